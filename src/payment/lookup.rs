//! Look-ups: settling an open transaction by the platform's Payment. The rules are those
//! of reports: an id goes before likeness, and of several transactions that are alike as
//! many happened as are shown.

#![warn(clippy::wildcard_enum_match_arm)]

use super::reports::Certainty;
use super::{
    Inconsistent, Outcome, Payment, Report, Reporter, Settlement, State, Timestamp, Transaction,
    TransactionId, TransactionKind,
};

/// The conclusions that a platform's Payment allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlatformProof {
    /// A shown Failure proves that nothing moved.
    pub failures_count: bool,
    /// A transaction of ours that is not shown never happened.
    pub absence_counts: bool,
    /// The account at a PSP that is looked at directly; `None` if it is a connector's
    /// platform. Of a transaction that was sent elsewhere, only an id proves something.
    pub psp: Option<String>,
}

impl Payment {
    /// Settles the open transaction `id` by the transactions that the platform shows, as far
    /// as they prove its outcome, and records the ids that they have for it.
    pub fn look_up(
        &self,
        id: &TransactionId,
        shown: &[Report],
        proof: &PlatformProof,
        at: Timestamp,
    ) -> Result<Settlement, Inconsistent> {
        let Some(open) = self.transactions.get(id) else { return Ok(Settlement::Gone) };
        let unchanged = Settlement::Unchanged(open.state_for_caller());
        if !open.is_open() || self.is_in_flight(id) {
            return Ok(unchanged);
        }
        let mut identified = shown.iter().filter(|theirs| self.is_shown_as(open, theirs, shown));
        if let Some(theirs) = identified.next() {
            // The PSP id may be another effect's if likeness gave it. Its Failure proves
            // nothing while another shown effect may be this transaction.
            let is_doubtful = theirs.state == State::Failure
                && open.likeness.is_some()
                && Unclaimed::of(self, open, shown).may_show(open);
            if is_doubtful {
                return Ok(unchanged);
            }
            return self.settle_by_shown(open, theirs, proof, Certainty::Id, at);
        }
        // Only an id resolves a discrepancy.
        if open.is_discrepant() || !open.was_sent_to(proof.psp.as_deref()) {
            return Ok(unchanged);
        }
        let unclaimed = Unclaimed::of(self, open, shown);
        // Without a time it may belong to any of them.
        let has_untimed = unclaimed.theirs.iter().any(|theirs| theirs.timestamp.is_none());
        if has_untimed || self.may_be_in_a_sum(open, shown) {
            return Ok(unchanged);
        }
        if let Some(theirs) = unclaimed.claimed_by(open, State::Success, &POSITIVE) {
            return self.settle_by_shown(open, theirs, proof, Certainty::Likeness, at);
        }
        let failure = if proof.failures_count { State::Failure } else { State::Unknown };
        let failed = unclaimed.claimed_by(open, failure, &[State::Failure]);
        if let Some(theirs) = failed.filter(|_| proof.failures_count) {
            return self.settle_by_shown(open, theirs, proof, Certainty::Likeness, at);
        }
        let has_begun = unclaimed.claimed_by(open, State::Initial, &[State::Initial]).is_some();
        let is_absent = failed.is_none()
            && !has_begun
            && !unclaimed.may_show(open)
            && self.others_are_finished(open, at);
        let is_ours = open.state == State::Unknown && open.was_sent_by_us();
        if is_absent && is_ours && proof.absence_counts {
            // The transaction does not hold the slot.
            return self.settle_attempt(id, false, Outcome::Disproved, at);
        }
        Ok(unchanged)
    }

    /// True if an id identifies `theirs` as `ours`. An id that is shown twice, or that
    /// several transactions share, identifies nothing.
    fn is_shown_as(&self, ours: &Transaction, theirs: &Report, shown: &[Report]) -> bool {
        let is_same = |other: &&Report| {
            let (id, other) = (&theirs.interaction_id, &other.interaction_id);
            id.is_some() && id == other
        };
        let is_own = theirs.interaction_id.as_deref() == Some(ours.id.as_str())
            || theirs.interface_id.as_deref() == Some(ours.id.as_str());
        let is_shared = shown.iter().filter(is_same).count() > 1;
        self.is_identified_by(ours, theirs) && (is_own || !is_shared)
    }

    /// True if a Charge is shown that no id matches, without a time and with at least this
    /// amount: it may be the sum of several captures.
    fn may_be_in_a_sum(&self, open: &Transaction, shown: &[Report]) -> bool {
        let is_sum = |theirs: &&Report| {
            theirs.kind == TransactionKind::Charge
                && theirs.timestamp.is_none()
                && theirs.amount.take(open.amount).is_ok()
        };
        let is_known = |theirs: &Report| {
            self.transactions.values().any(|ours| self.is_shown_as(ours, theirs, shown))
        };
        let is_charge = open.kind == TransactionKind::Charge;
        is_charge && shown.iter().filter(is_sum).any(|theirs| !is_known(theirs))
    }

    /// True if no other transaction of ours that is alike can still be shown later: each
    /// was answered, or its connector has stopped working on it. Until then, an effect that
    /// is shown may be `open`'s, and one that is counted may be the other's.
    fn others_are_finished(&self, open: &Transaction, at: Timestamp) -> bool {
        let is_other =
            |other: &&Transaction| other.is_like(open) && other.id != open.id && !other.is_external;
        self.transactions.values().filter(is_other).all(|other| {
            let has_answer = !other.is_open()
                && other.likeness.is_none()
                && other.reported.is_none()
                && other.recovery.unclear_since.is_none();
            !self.is_in_flight(&other.id) && (has_answer || other.window_ends() <= at)
        })
    }

    fn settle_by_shown(
        &self,
        open: &Transaction,
        theirs: &Report,
        proof: &PlatformProof,
        certainty: Certainty,
        at: Timestamp,
    ) -> Result<Settlement, Inconsistent> {
        let unchanged = Ok(Settlement::Unchanged(open.state_for_caller()));
        if theirs.state == State::Failure && !proof.failures_count {
            return unchanged;
        }
        let mut next = self.changed(at);
        let reporter = Reporter { by: None, at, is_trusted: true };
        match certainty {
            Certainty::Id => next.record_by_id(&open.id, theirs, &reporter),
            Certainty::Likeness => next.record_by_likeness(&open.id, theirs, &reporter),
        };
        if next.transactions == self.transactions {
            return unchanged;
        }
        next.explain_excess(self);
        next.check()?;
        Ok(Settlement::Changed(Box::new(next)))
    }
}

const POSITIVE: [State; 2] = [State::Success, State::Pending];

/// The transactions of the ledger and of the platform that are alike and that no id
/// matches.
struct Unclaimed<'a> {
    payment: &'a Payment,
    ours: Vec<&'a Transaction>,
    theirs: Vec<&'a Report>,
}

impl<'a> Unclaimed<'a> {
    fn of(payment: &'a Payment, open: &Transaction, shown: &'a [Report]) -> Self {
        let alike = payment.transactions.values().filter(|ours| ours.is_like(open));
        let (mut claimed, mut ours) = (Vec::new(), Vec::new());
        for one in alike {
            let mine = shown.iter().filter(|theirs| payment.is_shown_as(one, theirs, shown));
            let before = claimed.len();
            claimed.extend(mine);
            if claimed.len() == before {
                ours.push(one);
            }
        }
        let is_alike = |theirs: &&Report| theirs.kind == open.kind && theirs.amount == open.amount;
        let is_free =
            |theirs: &&Report| !claimed.iter().any(|claimed| std::ptr::eq(*claimed, *theirs));
        ours.sort_by_key(|ours| ours.timestamp);
        let mut theirs: Vec<_> = shown.iter().filter(is_alike).filter(is_free).collect();
        theirs.sort_by_key(|theirs| theirs.timestamp);
        Self { payment, ours, theirs }
    }

    /// The shown transaction, in one of `states`, that is `open`.
    ///
    /// If several transactions of the ledger could be the shown one, it is one that has the
    /// state `settled`, or else the latest that began before it: a connector records an
    /// action when it carries it out.
    fn claimed_by(
        &self,
        open: &Transaction,
        settled: State,
        states: &[State],
    ) -> Option<&'a Report> {
        let is_candidate =
            |ours: &&&Transaction| ours.is_open() && !ours.is_discrepant() || ours.state == settled;
        // The id that likeness gave may be wrong: for `open` itself, for one that is known to
        // have happened, and where a Failure is shown, which releases a hold.
        let can_be = |ours: &Transaction, theirs: &Report| {
            let is_doubtful = theirs.state == State::Failure
                || ours.id == open.id
                || ours.known_state() == State::Success;
            self.payment.could_have_begun(ours, theirs.timestamp)
                && self.has_no_other_name(ours, theirs, is_doubtful)
        };
        let mut ours: Vec<_> = self.ours.iter().filter(is_candidate).collect();
        ours.sort_by_key(|ours| (ours.state == settled, ours.timestamp));
        let mut theirs: Vec<_> = self.theirs.clone();
        theirs.retain(|theirs| states.contains(&theirs.state));
        theirs.retain(|theirs| {
            let claims = |ours: &&Transaction| ours.state == settled && can_be(ours, theirs);
            let claimed =
                (theirs.state == settled).then(|| ours.iter().rposition(|one| claims(one)));
            claimed.flatten().map(|at| ours.remove(at)).is_none()
        });
        for theirs in theirs {
            if let Some(claims) = ours.iter().rposition(|ours| can_be(ours, theirs))
                && ours.remove(claims).id == open.id
            {
                return Some(theirs);
            }
        }
        None
    }

    /// True if a transaction that is shown as Success or Pending may be `open`: more are
    /// shown than the other transactions of the ledger explain. Times do not count here,
    /// because clocks may differ by more than is tolerated.
    fn may_show(&self, open: &Transaction) -> bool {
        let is_positive = |state: State| POSITIVE.contains(&state);
        let theirs = self.theirs.iter().filter(|theirs| is_positive(theirs.state));
        let theirs = theirs.filter(|theirs| self.has_no_other_name(open, theirs, true)).count();
        let ours = self.ours.iter().filter(|ours| ours.id != open.id && !ours.is_external);
        theirs > ours.filter(|ours| is_positive(ours.state)).count()
    }

    /// True if `theirs` has no other PSP id than `ours`. An id that likeness gave to `ours`
    /// does not count if it is doubtful.
    fn has_no_other_name(&self, ours: &Transaction, theirs: &Report, is_doubtful: bool) -> bool {
        let is_guess = ours.likeness.as_ref().is_some_and(|likeness| likeness.gave_interaction_id);
        theirs.interaction_id.is_none()
            || is_guess && is_doubtful
            || !self.payment.has_unique_interaction_id(ours)
            || theirs.interaction_id == ours.interaction_id
    }
}
