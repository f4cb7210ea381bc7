//! Likeness: recording a report on a transaction of the same type and amount. When an
//! answer, an id or a look-up contradicts that, the report is taken back completely and
//! recorded elsewhere.

#![warn(clippy::wildcard_enum_match_arm)]

use super::matching::Match;
use super::reports::Certainty;
use super::{
    Likeness, Payment, Report, Reported, Reporter, State, Transaction, TransactionId,
    TransactionKind,
};
use crate::digest::id_of;

/// A report that was taken back and is to be recorded elsewhere, with its author.
#[derive(Clone, Debug)]
pub(super) struct TakenBack {
    pub(super) report: Report,
    pub(super) by: Reported,
}

impl Payment {
    /// Records a report on this transaction because its type and amount are the same. A
    /// report that says nothing new changes nothing.
    pub(super) fn record_by_likeness(
        &mut self,
        id: &TransactionId,
        report: &Report,
        reporter: &Reporter,
    ) {
        let before = self.transactions.clone();
        let is_failure = report.state == State::Failure;
        let name = self.identifying_ids(report).interaction.map(str::to_owned);
        let displaced = match self.transactions.get(id) {
            Some(transaction) if transaction.gives_way_to(report.state, name.as_deref()) => {
                self.take_back_likeness(id)
            }
            Some(_) | None => None,
        };
        let is_in_flight = self.is_in_flight(id);
        let Some(transaction) = self.transactions.get_mut(id) else { return };
        // A repeated report resolves no dispute.
        let is_repeated =
            transaction.likeness.as_ref().is_some_and(|one| one.reported_state == report.state);
        if transaction.is_disputed && is_repeated && name.is_none() {
            return;
        }
        // A Failure without an id may be about another transaction than the one that was
        // reported to have happened.
        let is_contrary =
            is_failure && (transaction.state == State::Success || transaction.is_disputed);
        let (known, had_likeness) = (transaction.known_state(), transaction.likeness.is_some());
        // A Failure by id stays known: the report only adds its ids.
        let is_known_to_fail = transaction.waiting_failure.is_some();
        let (gave_interaction_id, gave_interface_id) = self.record_ids(id, report);
        if let Some(transaction) = self.transactions.get_mut(id)
            && !had_likeness
            && !is_known_to_fail
        {
            transaction.likeness = Some(Likeness {
                known,
                reported_state: report.state,
                gave_interaction_id,
                gave_interface_id,
                timestamp: report.timestamp,
                came_in_flight: is_in_flight,
                by: reporter.signature(),
            });
        } else if let Some(likeness) =
            self.transactions.get_mut(id).and_then(|transaction| transaction.likeness.as_mut())
            && !is_contrary
        {
            likeness.reported_state = likeness.reported_state.after_report(report.state);
            likeness.came_in_flight &= is_in_flight;
            likeness.timestamp = report.timestamp;
            likeness.by = reporter.signature();
            likeness.gave_interaction_id |= gave_interaction_id;
            likeness.gave_interface_id |= gave_interface_id;
        }
        let is_changed = if is_contrary {
            self.dispute(id, reporter.at)
        } else {
            self.report_state(id, report.state, reporter, Certainty::Likeness)
        };
        let has_new_id = gave_interaction_id || gave_interface_id;
        if !has_new_id && !is_changed && displaced.is_none() {
            self.transactions = before;
            return;
        }
        self.reassign_report(id, displaced);
    }

    /// Takes back the report that likeness matched to the transaction, and returns it. If
    /// the balances no longer allow the state from before, that state waits for them. An
    /// open transaction holds its amount in any case.
    pub(super) fn take_back_likeness(&mut self, id: &TransactionId) -> Option<TakenBack> {
        let before = self.clone();
        let transaction = self.transactions.get_mut(id)?;
        let Likeness {
            known,
            reported_state,
            gave_interaction_id,
            gave_interface_id,
            timestamp,
            by,
            ..
        } = transaction.likeness.take()?;
        let given = |is_given: bool, name: &mut Option<String>| {
            if is_given { name.take() } else { None }
        };
        let report = Report {
            kind: transaction.kind,
            state: reported_state,
            amount: transaction.amount,
            timestamp,
            interaction_id: given(gave_interaction_id, &mut transaction.interaction_id),
            interface_id: given(gave_interface_id, &mut transaction.interface_id),
        };
        transaction.state = known;
        transaction.state_awaiting_balances = None;
        transaction.waiting_failure = None;
        transaction.is_disputed = false;
        transaction.reported = None;
        self.rebook_as_it_is();
        if !known.is_open() && !self.exceeds_no_more_than(&before) {
            if let Some(transaction) = self.transactions.get_mut(id) {
                transaction.state = before.transactions.get(id)?.state;
                transaction.state_awaiting_balances = Some(known);
            }
            self.rebook_as_it_is();
        }
        Some(TakenBack { report, by })
    }

    /// Records a report that was taken back from `from` on another transaction, or as a
    /// separate effect.
    pub(super) fn reassign_report(&mut self, from: &TransactionId, taken_back: Option<TakenBack>) {
        let Some(TakenBack { report, by }) = taken_back else { return };
        // What began after the report is not what it reported.
        let timestamp = report.timestamp.or(Some(by.at));
        let found = match self.match_report(&Report { timestamp, ..report.clone() }, Some(from)) {
            Match::ById(id) => Some(id),
            // A Failure that is taken back releases no other hold.
            Match::ByLikeness(id) => Some(id).filter(|id| {
                let found = self.transactions.get(id);
                let has_failed =
                    |found: &Transaction| found.last_reported_state() == State::Failure;
                report.state != State::Failure || found.is_some_and(has_failed)
            }),
            Match::OtherAmount(_) | Match::New => None,
        };
        match found {
            Some(id) => {
                let reporter = Reporter { by: by.by, at: by.at, is_trusted: false };
                self.record_by_likeness(&id, &report, &reporter);
            }
            None => {
                let id = self.effect_id(from);
                // Without an id it may be a known Authorization, and counting it twice
                // would allow more captures.
                let has_no_ids = report.interaction_id.is_none() && report.interface_id.is_none();
                let is_doubtful = report.kind == TransactionKind::Authorization && has_no_ids;
                let state = if is_doubtful { State::Unknown } else { report.state };
                let possible_duplicate_of = (state == State::Failure).then(|| from.clone());
                self.add_effect(&id, &Report { state, ..report }, &by, possible_duplicate_of);
            }
        }
    }

    /// Takes back the report that likeness matched to this transaction, if `report`, which
    /// has our own id, shows that it was about another effect: the PSP's ids differ, or one
    /// failed and the other did not.
    pub(super) fn displace_other_effect(
        &mut self,
        id: &TransactionId,
        report: &Report,
    ) -> Option<TakenBack> {
        let other_than_ours = |name: &&str| *name != id.as_str();
        let psp_id = self.identifying_ids(report).interaction.filter(other_than_ours);
        let reported_id = report.interaction_id.as_deref().filter(other_than_ours);
        let transaction = self.transactions.get_mut(id)?;
        let likeness = transaction.likeness.as_ref()?;
        let is_contrary =
            (report.state == State::Failure) != (likeness.reported_state == State::Failure);
        // An id that several share says that it is the same effect only if nothing contradicts.
        let is_certain = psp_id.is_some() || !is_contrary || likeness.known == State::Success;
        let is_same = reported_id.is_some() && reported_id == transaction.interaction_id.as_deref();
        if is_same && is_certain {
            transaction.likeness = None;
            return None;
        }
        let is_other = psp_id.is_some() && transaction.interaction_id.is_some();
        if is_other || is_contrary { self.take_back_likeness(id) } else { None }
    }

    /// Records that the effect failed that likeness matched to this transaction. It is
    /// unknown if the effect was this transaction, so this transaction is open again. It is
    /// disputed instead, if its captured amount was refunded already.
    pub(super) fn reopen_after_failed_effect(&mut self, id: &TransactionId, reporter: &Reporter) {
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

    /// Moves to this transaction, which is known to have happened, the report that likeness
    /// matched to an open transaction of the same type and amount. A report is matched to
    /// one that happened before one that is open.
    pub(super) fn move_report_from_open_one(&mut self, id: &TransactionId) {
        let Some(happened) = self.transactions.get(id) else { return };
        let mut others = self.transactions.values();
        let open = others.find(|open| self.is_report_of_happened_one(open, happened));
        if let Some(open) = open.map(|open| open.id.clone()) {
            self.move_report_from(&open);
        }
    }

    /// Moves the report that likeness matched to this open transaction to one of the same
    /// type and amount that is known to have happened and has no PSP id, if there is one.
    pub(super) fn move_report_to_happened_one(&mut self, id: &TransactionId) {
        let Some(open) = self.transactions.get(id) else { return };
        let mut others = self.transactions.values().filter(|other| other.state == State::Success);
        if others.any(|happened| self.is_report_of_happened_one(open, happened)) {
            self.move_report_from(id);
        }
    }

    /// True if the report that likeness matched to `open` is rather about `happened`, which
    /// has no PSP id.
    fn is_report_of_happened_one(&self, open: &Transaction, happened: &Transaction) -> bool {
        let is_free = happened.likeness.is_none() && !self.has_unique_interaction_id(happened);
        let is_open = open.known_state().is_open() && !open.is_discrepant();
        // Ids of its own say that the report is about it.
        let is_guess = open.likeness.as_ref().is_some_and(|likeness| {
            (open.interaction_id.is_none() || likeness.gave_interaction_id)
                && (open.interface_id.is_none() || likeness.gave_interface_id)
        });
        open.id != happened.id
            && is_guess
            && is_free
            && open.is_like(happened)
            && is_open
            && open.likeness.as_ref().is_some_and(|likeness| {
                let reported_at = likeness.timestamp.or(Some(likeness.by.at));
                likeness.reported_state == State::Success
                    && self.could_have_begun(happened, reported_at)
            })
    }

    /// Takes back the report that likeness matched to this transaction, and records it on
    /// another one, if the balances allow that.
    fn move_report_from(&mut self, id: &TransactionId) {
        let mut next = self.clone();
        let taken_back = next.take_back_likeness(id);
        if next.exceeds_no_more_than(self) {
            next.reassign_report(id, taken_back);
            *self = next;
        }
    }

    /// The id of a new effect, derived from the transaction `from` and the version. A
    /// repeated write gets the same id.
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
