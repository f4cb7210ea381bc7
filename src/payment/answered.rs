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
        let Some(ours) = self.transactions.get(id) else { return };
        let is_identified = self.has_unique_interaction_id(ours);
        match &ours.interaction_id {
            Some(known) if known == psp_id => {}
            Some(_) if ours.has_happened() || is_identified && !ours.is_refused_or_disputed() => {
                self.hold_second_effect(id, psp_id, at);
            }
            // A refusal by another id was of another request than the accepted one.
            Some(_) | None => {
                if let Some(ours) = self.transactions.get_mut(id).filter(|_| is_identified) {
                    ours.waiting_failure = None;
                }
                self.merge_effect_under(id, psp_id, at);
                if let Some(ours) = self.transactions.get_mut(id) {
                    ours.interaction_id = Some(psp_id.to_owned());
                }
            }
        }
    }

    /// Merges the effect that was reported by this PSP id into this transaction, with all that
    /// was reported about it.
    pub(super) fn merge_effect_under(&mut self, id: &TransactionId, psp_id: &str, at: Timestamp) {
        let has_psp_id = |other: &&Transaction| {
            other.is_external && other.interaction_id.as_deref() == Some(psp_id)
        };
        let effect = self.transactions.values().find(has_psp_id).cloned();
        self.absorb_effect_named(id, psp_id, at);
        let Some(effect) = effect.filter(|one| !self.transactions.contains_key(&one.id)) else {
            return;
        };
        let by = effect.reported.clone().and_then(|reported| reported.by);
        let reporter = Reporter { by, at, is_trusted: false };
        let Some(ours) = self.transactions.get(id) else { return };
        let (is_open, is_direct) = (ours.is_open(), ours.psp.is_some());
        match effect.last_reported_state() {
            State::Failure if is_open => {
                self.report_state(id, State::Failure, &reporter, Certainty::Id);
            }
            // The approval of a connector over HTTP says more than an earlier report. At a PSP
            // that is called directly the two contradict each other.
            State::Failure if is_direct && ours.state == State::Success => {
                self.dispute(id, at);
            }
            // It failed after it had happened, and may come again.
            State::Pending if is_direct && effect.has_happened() => self.hold_again(id, &reporter),
            State::Failure | State::Pending | State::Success | State::Initial | State::Unknown => {}
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
    /// True if it was reported to be refused, or is disputed, and was never reported to have
    /// happened.
    fn is_refused_or_disputed(&self) -> bool {
        !self.has_happened() && (self.waiting_failure.is_some() || self.is_disputed)
    }
}
