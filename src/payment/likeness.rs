//! Likeness: taking a report for a transaction that is alike, and taking it back
//! whole when an answer, an id or a look-up says otherwise, to find another place.

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
    /// Records a report whose effect is taken to be this transaction, because it is
    /// alike.
    pub(super) fn record_by_likeness(
        &mut self,
        id: &TransactionId,
        report: &Report,
        reporter: &Reporter,
    ) -> bool {
        let before = self.transactions.clone();
        let is_failure = report.state == State::Failure;
        let name = self.identifying_ids(report).interaction.map(str::to_owned);
        let displaced = match self.transactions.get(id) {
            Some(ours) if ours.gives_way_to(report.state, name.as_deref()) => {
                self.take_back_likeness(id)
            }
            Some(_) | None => None,
        };
        let is_in_flight = self.is_in_flight(id);
        let Some(ours) = self.transactions.get_mut(id) else { return false };
        // Saying it once more settles no dispute.
        let was_told = ours.likeness.as_ref().is_some_and(|one| one.told == report.state);
        if ours.is_disputed && was_told && name.is_none() {
            return false;
        }
        // A Failure that does not identify what was reported to have happened may be
        // another's.
        let is_contrary = is_failure && (ours.state == State::Success || ours.is_disputed);
        let (known, had_likeness) = (ours.known_state(), ours.likeness.is_some());
        let gave_interaction_id = ours.interaction_id.is_none();
        let gave_interface_id = ours.interface_id.is_none();
        // One that was reported as failed by its id takes the name, and stays known.
        let is_known_to_fail = ours.waiting_failure.is_some();
        let is_named = self.name(id, report);
        if let Some(ours) = self.transactions.get_mut(id)
            && !had_likeness
            && !is_known_to_fail
        {
            ours.likeness = Some(Likeness {
                known,
                told: report.state,
                gave_interaction_id: gave_interaction_id && ours.interaction_id.is_some(),
                gave_interface_id: gave_interface_id && ours.interface_id.is_some(),
                timestamp: report.timestamp,
                came_in_flight: is_in_flight,
                by: reporter.signature(),
            });
        } else if let Some(likeness) =
            self.transactions.get_mut(id).and_then(|ours| ours.likeness.as_mut())
            && !is_contrary
        {
            likeness.told = likeness.told.on_hearing(report.state);
            likeness.came_in_flight &= is_in_flight;
            likeness.gave_interaction_id |= gave_interaction_id && report.interaction_id.is_some();
            likeness.gave_interface_id |= gave_interface_id && report.interface_id.is_some();
        }
        let is_news = if is_contrary {
            self.dispute(id, reporter.at)
        } else {
            self.report_state(id, report.state, reporter, Certainty::Likeness)
        };
        if !is_named && !is_news && displaced.is_none() {
            self.transactions = before;
            return false;
        }
        self.place(id, displaced);
        self.transactions != before
    }

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
        self.new_effect_id(&[from.as_str(), &self.version.to_string()])
    }

    /// An id that follows from these, and that no transaction has.
    pub(super) fn new_effect_id(&self, parts: &[&str]) -> TransactionId {
        let id = |count: u32| {
            let count = count.to_string();
            let parts: Vec<_> = ["effect"].iter().chain(parts).chain([&&*count]).copied().collect();
            TransactionId::from(id_of(&parts))
        };
        let mut free = (0..).map(id).skip_while(|id| self.transactions.contains_key(id));
        free.next().unwrap_or_else(|| id(u32::MAX))
    }
}
