//! Undoing what likeness decided: the report that was taken for a
//! transaction is taken back whole, and finds another place.

#![warn(clippy::wildcard_enum_match_arm)]

use super::matching::Match;
use super::reports::Certainty;
use super::{
    Likeness, Payment, Report, Reported, Reporter, State, Timestamp, Transaction, TransactionId,
    TransactionKind,
};
use crate::digest::id_of;

/// A report that was taken back, with its author, to find another place.
#[derive(Clone, Debug)]
pub(super) struct TakenBack {
    pub(super) report: Report,
    pub(super) by: Reported,
}

impl Payment {
    /// Takes back what likeness decided about the transaction. Returns the report
    /// that was taken for it. A state that the balances do not allow any more waits
    /// for them; what is open holds its amount all the same.
    pub(super) fn take_back_likeness(&mut self, id: &TransactionId) -> Option<TakenBack> {
        let before = self.clone();
        let ours = self.transactions.get_mut(id)?;
        let Likeness { known, told, gave_interaction_id, gave_interface_id, timestamp, by, .. } =
            ours.likeness.take()?;
        let given = |is_given: bool, name: &mut Option<String>| {
            if is_given { name.take() } else { None }
        };
        let report = Report {
            kind: ours.kind,
            state: told,
            amount: ours.amount,
            timestamp,
            interaction_id: given(gave_interaction_id, &mut ours.interaction_id),
            interface_id: given(gave_interface_id, &mut ours.interface_id),
        };
        ours.state = known;
        ours.state_awaiting_balances = None;
        ours.waiting_failure = None;
        ours.is_disputed = false;
        ours.reported = None;
        self.rebook_as_it_is();
        if !known.is_open() && !self.exceeds_no_more_than(&before) {
            if let Some(ours) = self.transactions.get_mut(id) {
                ours.state = before.transactions.get(id)?.state;
                ours.state_awaiting_balances = Some(known);
            }
            self.rebook_as_it_is();
        }
        Some(TakenBack { report, by })
    }

    /// Finds another place for a report that was taken back from `from`.
    pub(super) fn place(&mut self, from: &TransactionId, taken_back: Option<TakenBack>) {
        let Some(TakenBack { report, by }) = taken_back else { return };
        match self.match_report(&report, Some(from)) {
            Match::ById(id) | Match::ByLikeness(id) => {
                let reporter = Reporter { by: by.by, at: by.at, is_trusted: false };
                self.record_by_likeness(&id, &report, &reporter);
            }
            Match::Other(_) | Match::New => {
                let id = self.effect_id(from);
                // Without an id, nothing says that it is another Authorization, and one
                // more would be more to capture.
                let is_nameless = report.interaction_id.is_none() && report.interface_id.is_none();
                let is_doubtful = report.kind == TransactionKind::Authorization && is_nameless;
                let state = if is_doubtful { State::Unknown } else { report.state };
                let may_be = (state == State::Failure).then(|| from.clone());
                self.add_effect(&id, &Report { state, ..report }, &by, may_be);
            }
        }
    }

    /// A report by our own id may say that another effect was taken for this
    /// transaction: one that the PSP calls otherwise, or that happened where this
    /// one did not. Takes that effect's report back.
    pub(super) fn displace_other_effect(
        &mut self,
        id: &TransactionId,
        report: &Report,
    ) -> Option<TakenBack> {
        let ours = self.transactions.get_mut(id)?;
        let likeness = ours.likeness.as_ref()?;
        let theirs = report.interaction_id.as_ref().filter(|name| name.as_str() != id.as_str());
        if theirs.is_some() && theirs == ours.interaction_id.as_ref() {
            ours.likeness = None;
            return None;
        }
        let is_contrary = (report.state == State::Failure) != (likeness.told == State::Failure);
        let is_other = theirs.is_some() && ours.interaction_id.is_some();
        if is_other || is_contrary { self.take_back_likeness(id) } else { None }
    }

    /// Somebody says what the PSP calls this transaction. An effect of that name that
    /// was taken for another transaction, or added because none was known to be it, is
    /// this one.
    pub(super) fn claim_name(&mut self, id: &TransactionId, name: &str, at: Timestamp) {
        let Some(ours) = self.transactions.get(id) else { return };
        let is_same = |other: &&Transaction| {
            other.id != *id
                && (other.kind, other.amount) == (ours.kind, ours.amount)
                && other.interaction_id.as_deref() == Some(name)
                && self.is_named(other)
        };
        let Some(same) = self.transactions.values().find(is_same) else { return };
        let same_id = same.id.clone();
        if same.likeness.as_ref().is_some_and(|likeness| likeness.gave_interaction_id) {
            // Its report is this one's now.
            self.take_back_likeness(&same_id);
        } else if same.is_external && same.reported.is_some() {
            self.absorb(id, &same_id, at);
        }
    }

    /// An effect that was added because no transaction was known to be it is this one:
    /// what was reported of it was reported of this one.
    fn absorb(&mut self, id: &TransactionId, effect: &TransactionId, at: Timestamp) {
        let before = self.clone();
        let Some(effect) = self.transactions.remove(effect) else { return };
        for refund in self.transactions.values_mut() {
            if refund.charge.as_ref() == Some(&effect.id) {
                refund.charge = Some(id.clone());
            }
        }
        let Some(ours) = self.transactions.get_mut(id) else { return };
        ours.interaction_id = ours.interaction_id.take().or(effect.interaction_id.clone());
        ours.interface_id = ours.interface_id.take().or(effect.interface_id.clone());
        ours.happened_at = ours.happened_at.or(effect.happened_at);
        ours.acknowledged = ours.acknowledged.take().or(effect.acknowledged.clone());
        let state = effect.last_reported_state();
        let is_news = state != State::Failure && !ours.has_come_to(state);
        self.rebook_as_it_is();
        if let Some(Reported { by, at }) = effect.reported.filter(|_| is_news) {
            let reporter = Reporter { by, at, is_trusted: false };
            self.report_state(id, state, &reporter, Certainty::Id);
        }
        // What both had captured is refunded already.
        if !self.exceeds_no_more_than(&before) {
            self.dispute(id, at);
        }
        self.book_waiting(at);
    }

    /// A transaction that was answered to be rejected happened all the same. What was
    /// reported meanwhile without an id, and added because of that answer, is this one.
    /// Returns whether there was such an effect.
    pub(super) fn claim_added_effect(&mut self, id: &TransactionId, at: Timestamp) -> bool {
        let is_its = |other: &&Transaction| {
            other.may_be.as_ref() == Some(id) && other.last_reported_state() != State::Failure
        };
        let Some(added) = self.transactions.values().find(is_its).map(|one| one.id.clone()) else {
            return false;
        };
        self.absorb(id, &added, at);
        true
    }

    /// An effect that was taken for this transaction failed, and nobody knows whether
    /// that was this one. It is open again; or in dispute, where what was captured by
    /// it was refunded already.
    pub(super) fn leave_failure_open(&mut self, id: &TransactionId, reporter: &Reporter) {
        let mut next = self.clone();
        let Some(taken_back) = next.take_back_likeness(id) else { return };
        if !next.exceeds_no_more_than(self) {
            self.dispute(id, reporter.at);
            return;
        }
        *self = next;
        let failed = Report { state: State::Failure, ..taken_back.report };
        let new = self.effect_id(id);
        self.add_effect(&new, &failed, &reporter.signature(), None);
    }

    /// A transaction is known to have happened now. The effect that was taken for one
    /// like it, of which nothing is known, is rather this one's: what happened already
    /// is named before what is open.
    pub(super) fn claim_effect_of_open_one(&mut self, id: &TransactionId) {
        let Some(ours) = self.transactions.get(id) else { return };
        if self.is_named(ours) || ours.likeness.is_some() {
            return;
        }
        let is_taken = |other: &&Transaction| {
            let is_alike = (other.kind, other.amount) == (ours.kind, ours.amount);
            let is_open = other.known_state().is_open() && !other.is_discrepant();
            other.id != *id
                && is_alike
                && is_open
                && other.likeness.as_ref().is_some_and(|likeness| {
                    likeness.told == State::Success
                        && self.could_have_begun(ours, likeness.timestamp)
                })
        };
        let Some(taken) = self.transactions.values().find(is_taken).map(|one| one.id.clone())
        else {
            return;
        };
        let mut next = self.clone();
        let taken_back = next.take_back_likeness(&taken);
        if next.exceeds_no_more_than(self) {
            next.place(&taken, taken_back);
            *self = next;
        }
    }

    /// An id for an effect that was taken back from a transaction: whoever repeats the
    /// write makes the same.
    fn effect_id(&self, from: &TransactionId) -> TransactionId {
        let version = self.version.to_string();
        let ids = (0_u32..).map(|count| {
            TransactionId::from(id_of(&["effect", from.as_str(), &version, &count.to_string()]))
        });
        let mut free = ids.skip_while(|id| self.transactions.contains_key(id));
        free.next().unwrap_or_else(|| from.clone())
    }
}
