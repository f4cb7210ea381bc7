//! Merging two transactions that turn out to be the same effect: one of ours, and one
//! that was added because a report matched none.

#![warn(clippy::wildcard_enum_match_arm)]

use super::likeness::TakenBack;
use super::reports::Certainty;
use super::{
    Likeness, Payment, Reported, Reporter, State, Timestamp, Transaction, TransactionId,
    TransactionKind,
};

impl Payment {
    /// Merges into this transaction the effect that was reported with the PSP id `name`:
    /// one that likeness matched to another transaction, or one that was added because it
    /// matched none.
    pub(super) fn absorb_effect_named(&mut self, id: &TransactionId, name: &str, at: Timestamp) {
        let Some(transaction) = self.transactions.get(id) else { return };
        let is_same = |other: &&Transaction| {
            other.id != *id
                && other.is_like(transaction)
                && other.interaction_id.as_deref() == Some(name)
                && self.has_unique_interaction_id(other)
        };
        let Some(same) = self.transactions.values().find(is_same) else { return };
        let same_id = same.id.clone();
        if same.likeness.as_ref().is_some_and(|likeness| likeness.gave_interaction_id) {
            // The effect is this transaction, so its report is recorded here.
            let Some(TakenBack { report, by }) = self.take_back_likeness(&same_id) else { return };
            let reported_at = by.at;
            let is_positive = matches!(report.state, State::Success | State::Pending);
            if is_positive && self.transactions.get(id).is_some_and(|it| it.is_open()) {
                let reporter = Reporter { by: by.by, at: by.at, is_trusted: false };
                self.report_state(id, report.state, &reporter, Certainty::Id);
            }
            self.absorb_effect_added_beside(&same_id, reported_at, at);
        } else if same.is_external && same.reported.is_some() {
            self.absorb(id, &same_id, at);
        }
    }

    /// Merges into this transaction, which has happened and whose PSP id is another
    /// transaction's, an effect that was added since it had that id, because of it. The
    /// match is by likeness, and our own id may correct it.
    fn absorb_effect_added_beside(
        &mut self,
        id: &TransactionId,
        named_at: Timestamp,
        at: Timestamp,
    ) {
        let Some(transaction) = self.transactions.get(id) else { return };
        if transaction.state != State::Success
            || transaction.is_discrepant()
            || transaction.likeness.is_some()
            || self.has_unique_interaction_id(transaction)
        {
            return;
        }
        let is_candidate = |other: &&Transaction| {
            let reported_at = other.reported.as_ref().map(|reported| reported.at);
            other.is_external
                && other.id != *id
                && other.is_like(transaction)
                && matches!(other.state, State::Success | State::Pending)
                && !other.is_discrepant()
                && reported_at.is_some_and(|reported_at| reported_at >= named_at)
                && self.has_unique_interaction_id(other)
                && self.could_have_begun(transaction, Some(other.timestamp))
                && self.could_have_begun(transaction, reported_at)
        };
        let Some(added) = self.transactions.values().find(is_candidate).cloned() else { return };
        let Some(by) = added.reported.clone() else { return };
        let (known, had_interface_id) = (transaction.state, transaction.interface_id.is_some());
        self.absorb(id, &added.id, at);
        if let Some(transaction) = self.transactions.get_mut(id) {
            transaction.likeness = Some(Likeness {
                known,
                reported_state: added.state,
                gave_interaction_id: true,
                gave_interface_id: !had_interface_id && added.interface_id.is_some(),
                timestamp: Some(added.timestamp),
                came_in_flight: false,
                by,
            });
        }
    }

    /// The Payment in which a capture of ours and a reported one of the same amount are one,
    /// for a PSP that captures once. One of the two has become a Success since `before`, and
    /// their ids do not say that they are two. `None` if there is no such pair.
    pub fn merge_single_capture(&self, before: &Self, at: Timestamp) -> Option<Self> {
        let has_happened = |one: &Transaction| {
            one.kind == TransactionKind::Charge && one.last_reported_state() == State::Success
        };
        let is_new = |one: &Transaction| {
            let known = before.transactions.get(&one.id);
            known.is_none_or(|known| known.last_reported_state() != State::Success)
        };
        let captures = || self.transactions.values().filter(|one| has_happened(one));
        let reported = || captures().filter(|one| one.is_external && one.reported.is_some());
        let ours = captures().filter(|one| !one.is_external);
        let mut pairs = ours.flat_map(|ours| reported().map(move |other| (ours, other)));
        let is_pair = |(ours, other): &(&Transaction, &Transaction)| {
            let names = [&ours.interaction_id, &other.interaction_id];
            let is_other = names[0] != names[1] && names.iter().all(|name| name.is_some());
            ours.is_like(other) && !is_other && (is_new(ours) || is_new(other))
        };
        let (ours, other) = pairs.find(is_pair)?;
        let mut next = self.changed(at);
        next.absorb(&ours.id, &other.id, at);
        Some(next)
    }

    /// Merges an effect that was added because it matched no transaction into this
    /// transaction, with its ids and its reported state.
    fn absorb(&mut self, id: &TransactionId, effect: &TransactionId, at: Timestamp) {
        let before = self.clone();
        let Some(effect) = self.transactions.remove(effect) else { return };
        for refund in self.transactions.values_mut() {
            if refund.charge.as_ref() == Some(&effect.id) {
                refund.charge = Some(id.clone());
            }
        }
        let Some(transaction) = self.transactions.get_mut(id) else { return };
        transaction.interaction_id =
            transaction.interaction_id.take().or(effect.interaction_id.clone());
        transaction.interface_id = transaction.interface_id.take().or(effect.interface_id.clone());
        if transaction.happened_at.is_none() && effect.happened_at.is_some() {
            transaction.happened_at = effect.happened_at;
            transaction.reported = transaction.reported.take().or(effect.reported.clone());
        }
        transaction.acknowledged = transaction.acknowledged.take().or(effect.acknowledged.clone());
        let state = effect.last_reported_state();
        let is_changed = state != State::Failure && !transaction.has_reached(state);
        self.rebook_as_it_is();
        if let Some(Reported { by, at }) = effect.reported.filter(|_| is_changed) {
            let reporter = Reporter { by, at, is_trusted: false };
            self.report_state(id, state, &reporter, Certainty::Id);
        }
        // Part of what both had captured is refunded already.
        if !self.exceeds_no_more_than(&before) {
            self.dispute(id, at);
        }
        self.book_waiting(at);
    }

    /// Merges the effect that was reported without an id, and added because this
    /// transaction was rejected, into this transaction, which happened after all. Returns
    /// true if there was such an effect.
    pub(super) fn absorb_added_effect(&mut self, id: &TransactionId, at: Timestamp) -> bool {
        let is_duplicate = |other: &&Transaction| {
            other.possible_duplicate_of.as_ref() == Some(id)
                && other.last_reported_state() != State::Failure
        };
        let Some(added) = self.transactions.values().find(is_duplicate).map(|one| one.id.clone())
        else {
            return false;
        };
        self.absorb(id, &added, at);
        true
    }
}
