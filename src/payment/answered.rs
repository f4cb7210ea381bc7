//! The PSP's id of a transaction, as the answer to our request gives it. Reports may have come
//! before the answer: about the same effect by that id alone, or about another effect with our
//! id.

#![warn(clippy::wildcard_enum_match_arm)]

use super::reports::Certainty;
use super::{Payment, Report, Reported, Reporter, State, Timestamp, Transaction, TransactionId};

impl Payment {
    /// Records that the PSP accepted this transaction under its id `psp_id`, and will report
    /// the outcome by it.
    pub(super) fn accept_under(&mut self, id: &TransactionId, psp_id: &str, at: Timestamp) {
        let Some(ours) = self.transactions.get_mut(id) else { return };
        match &ours.interaction_id {
            None => self.take_psp_id(id, psp_id, at),
            Some(known) if known == psp_id => {}
            // The refusal was of another request than the accepted one.
            Some(_) if ours.is_refused_by_report() => {
                ours.waiting_failure = None;
                self.take_psp_id(id, psp_id, at);
            }
            Some(_) => self.hold_second_effect(id, psp_id, at),
        }
    }

    /// Gives this transaction the PSP id. An effect that was reported by that id is merged into
    /// it, with all that was reported.
    fn take_psp_id(&mut self, id: &TransactionId, psp_id: &str, at: Timestamp) {
        let is_it = |other: &&Transaction| {
            other.is_external && other.interaction_id.as_deref() == Some(psp_id)
        };
        let effect = self.transactions.values().find(is_it).cloned();
        self.absorb_effect_named(id, psp_id, at);
        if let Some(ours) = self.transactions.get_mut(id) {
            ours.interaction_id = Some(psp_id.to_owned());
        }
        let Some(effect) = effect.filter(|one| !self.transactions.contains_key(&one.id)) else {
            return;
        };
        let by = effect.reported.clone().and_then(|reported| reported.by);
        let reporter = Reporter { by, at, is_trusted: false };
        match effect.last_reported_state() {
            State::Failure => {
                self.report_state(id, State::Failure, &reporter, Certainty::Id);
            }
            // It failed after it had happened, and may come again.
            State::Pending if effect.happened_at.is_some() => self.hold_again(id, &reporter),
            State::Pending | State::Success | State::Initial | State::Unknown => {}
        }
        if effect.is_disputed {
            self.dispute(id, at);
        }
    }

    /// Holds the amount of an accepted request beside that of this transaction, which has
    /// another PSP id: the PSP may act on both.
    fn hold_second_effect(&mut self, id: &TransactionId, psp_id: &str, at: Timestamp) {
        let Some(ours) = self.transactions.get(id) else { return };
        let has_it = |one: &Transaction| one.interaction_id.as_deref() == Some(psp_id);
        if self.transactions.values().any(has_it) {
            return;
        }
        if self.transactions.len() >= Self::TRANSACTIONS_MAX_REPORTED {
            self.dispute(id, at);
            return;
        }
        let second = Report {
            kind: ours.kind,
            state: State::Pending,
            amount: ours.amount,
            timestamp: Some(at),
            interaction_id: Some(psp_id.to_owned()),
            interface_id: None,
        };
        let new = self.new_effect_id(&[&self.key.to_string(), psp_id]);
        self.add_effect(&new, &second, &Reported { by: None, at }, None);
    }
}

impl Transaction {
    /// True if it was reported to be refused, and never to have happened.
    fn is_refused_by_report(&self) -> bool {
        self.happened_at.is_none() && (self.waiting_failure.is_some() || self.is_disputed)
    }
}
