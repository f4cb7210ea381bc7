//! Settling: applying the outcome of a connector call to the Payment.

#![warn(clippy::wildcard_enum_match_arm)]

use super::recover::FIRST_LOOK_MS;
use super::state_machine::{Outcome, Step};
use super::{
    Inconsistent, Nonce, Payment, RecoveryProgress, RejectionReason, State, Timestamp, Transaction,
    TransactionId,
};

/// The result of settling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// The changed Payment, to be written.
    Changed(Box<Payment>),
    /// Nothing to write, and the state of the transaction: it was settled before, or the
    /// outcome does not prove enough.
    Unchanged(State),
    /// No such transaction: it was withdrawn before.
    Gone,
}

impl Settlement {
    /// Keeps the reason that the connector gave with this outcome for rejecting the
    /// transaction, if the Payment has room for it. If nothing is written, an earlier answer
    /// counts, and so does its reason.
    pub fn with_reason(mut self, id: &TransactionId, reason: Option<&RejectionReason>) -> Self {
        if let (Self::Changed(next), Some(reason)) = (&mut self, reason)
            && next.has_room_for_reason(id, reason)
            && let Some(transaction) = next.transactions.get_mut(id)
        {
            transaction.rejection = Some(reason.clone());
        }
        self
    }

    /// Keeps the PSP's id under which it accepted the transaction. What was reported by that id
    /// is about this transaction. Nothing is kept if the ledger would not add up.
    pub fn with_interaction_id(
        mut self,
        id: &TransactionId,
        interaction_id: Option<&str>,
        at: Timestamp,
    ) -> Self {
        if let (Self::Changed(next), Some(interaction_id)) = (&mut self, interaction_id) {
            let mut named = next.clone();
            named.accept_under(id, interaction_id, at);
            named.explain_excess(next);
            if named.check().is_ok() && named.check_size().is_ok() {
                *next = named;
            }
        }
        self
    }
}

impl Payment {
    /// Applies the outcome of the attempt with this `nonce`: changes the hold, the state
    /// and the slot. Settling again changes nothing.
    ///
    /// A positive outcome of any attempt counts at any time. A rejection of one attempt
    /// counts only from the holder of the slot, and only while the transaction is Initial.
    /// After an unclear attempt it proves nothing, and an [`Outcome::Disproved`] is needed.
    /// A report that likeness matched to the transaction gives way to the outcome.
    pub fn settle(
        &self,
        id: &TransactionId,
        nonce: &Nonce,
        outcome: Outcome,
        at: Timestamp,
    ) -> Result<Settlement, Inconsistent> {
        self.settle_attempt(id, self.is_held_by(nonce), outcome, at)
    }

    /// Settles an outcome that comes from the holder of the slot, or from a look-up or an
    /// earlier attempt.
    pub(super) fn settle_attempt(
        &self,
        id: &TransactionId,
        holds_slot: bool,
        outcome: Outcome,
        at: Timestamp,
    ) -> Result<Settlement, Inconsistent> {
        let Some(transaction) = self.transactions.get(id) else { return Ok(Settlement::Gone) };
        let counts = holds_slot || outcome.is_of_all_attempts();
        let step = if counts { self.step(transaction, outcome) } else { Step::Stay };
        let freed = || {
            let mut next = self.changed(at);
            next.in_flight.take_if(|_| holds_slot);
            next
        };
        let mut next = freed();
        match step {
            Step::Stay if outcome.is_unclear() && holds_slot => {
                next.note_answer(id, outcome);
                next.note_unclear(id, at);
            }
            Step::Stay => next.note_answer(id, outcome),
            Step::To(State::Success) => next.settle_as_happened(id, State::Success, at),
            Step::To(State::Pending) => next.settle_as_happened(id, State::Pending, at),
            Step::To(State::Failure) => next.settle_as_failed(id),
            Step::To(State::Initial | State::Unknown) => {
                next.settle_as_unknown(id, outcome, at);
            }
            Step::Withdraw => {
                let taken_back = next.take_back_likeness(id);
                next.transactions.remove(id);
                next.fence(transaction.timestamp);
                next.rebook_as_it_is();
                next.reassign_report(id, taken_back);
            }
            Step::Dispute => {
                next.drop_waiting_failure(id);
                next.dispute(id, at);
            }
        }
        let is_same = next.transactions == self.transactions && !holds_slot;
        if step == Step::Stay && is_same {
            return Ok(Settlement::Unchanged(transaction.state_for_caller()));
        }
        // The new balances may allow a report that did not fit before.
        next.book_waiting(at);
        if matches!(next.check(), Err(Inconsistent::Excess | Inconsistent::Money(_))) {
            // The outcome contradicts the reports about other transactions.
            next = freed();
            next.dispute(id, at);
            next.note_answer(id, outcome);
        }
        next.check()?;
        Ok(Settlement::Changed(Box::new(next)))
    }

    /// The step of the state machine from the state that is known without reports by
    /// likeness.
    fn step(&self, transaction: &Transaction, outcome: Outcome) -> Step {
        let known = transaction.known_state();
        let is_by_likeness = transaction.likeness.is_some();
        let is_told_failed = transaction.waiting_failure.is_some() && !is_by_likeness;
        if transaction.is_disputed {
            // Both the answer and the last report say no.
            let is_first_answer = is_by_likeness && known == State::Initial;
            let is_no = matches!(outcome, Outcome::Rejected | Outcome::Disproved);
            let is_agreed =
                is_no && (is_told_failed || is_first_answer) && !transaction.has_happened();
            return if is_agreed { Step::To(State::Failure) } else { Step::Stay };
        }
        if self.contradicts(known, outcome) {
            return Step::Dispute;
        }
        // It happened, and failed afterwards: it was not rejected.
        let may_come_again = known == State::Pending && transaction.has_happened();
        if may_come_again && outcome == Outcome::Disproved {
            return Step::Dispute;
        }
        match known.after(outcome) {
            Step::To(State::Success) if is_told_failed => Step::Dispute,
            Step::Withdraw if is_told_failed => Step::To(State::Failure),
            // A later report by the PSP's id agrees with this answer.
            Step::Dispute if is_by_likeness && transaction.state == State::Success => match outcome
            {
                Outcome::Approved | Outcome::Received => Step::Stay,
                Outcome::Rejected
                | Outcome::NeverExecuted
                | Outcome::Unknown
                | Outcome::RejectedWithoutProof
                | Outcome::Disproved => Step::Dispute,
            },
            step @ (Step::Stay | Step::To(_) | Step::Withdraw | Step::Dispute) => step,
        }
    }

    /// True if nothing was sent yet, and a report by id says that it happened.
    fn contradicts(&self, known: State, outcome: Outcome) -> bool {
        let is_first = self.in_flight.as_ref().is_some_and(|slot| slot.attempt == 1);
        let is_told = matches!(known, State::Success | State::Pending);
        is_first && is_told && outcome == Outcome::NeverExecuted
    }

    /// Settles the transaction as Success or Pending. A Failure that likeness matched to it
    /// is about another transaction.
    fn settle_as_happened(&mut self, id: &TransactionId, state: State, at: Timestamp) {
        let Some(ours) = self.transactions.get(id) else { return };
        let is_failed_by_likeness = ours.has_failure_by_likeness();
        let is_no_longer = is_failed_by_likeness && state == State::Success;
        let is_given_back = is_failed_by_likeness && ours.state == State::Failure;
        let taken_back =
            if is_no_longer || is_given_back { self.take_back_likeness(id) } else { None };
        let Some(ours) = self.transactions.get_mut(id) else { return };
        if let Some(likeness) = &mut ours.likeness {
            likeness.known = state;
        }
        if ours.state != State::Success {
            let waiting = ours.waiting_failure.take();
            self.book_or_hold(id, state, at);
            // A Failure that was reported before this answer proves no more than a rejection
            // would: it waits until the connector has stopped working.
            if waiting.is_some() {
                self.note_unclear(id, at);
            }
            if let Some(ours) = self.transactions.get_mut(id) {
                ours.waiting_failure = waiting;
            }
        }
        self.reassign_report(id, taken_back);
        if state == State::Success {
            self.move_report_from_open_one(id);
        }
    }

    /// Settles the transaction as Failure. An effect that likeness matched to it is another
    /// one.
    fn settle_as_failed(&mut self, id: &TransactionId) {
        let Some(ours) = self.transactions.get(id) else { return };
        let is_agreed = ours.waiting_failure.is_some() || ours.state == State::Failure;
        let taken_back = if is_agreed { None } else { self.take_back_likeness(id) };
        if let Some(ours) = self.transactions.get_mut(id) {
            ours.state = State::Failure;
            ours.is_disputed = false;
            ours.state_awaiting_balances = None;
            ours.recovery = RecoveryProgress::default();
            ours.reported = ours.waiting_failure.take().or(ours.reported.take());
            if let Some(likeness) = &mut ours.likeness {
                likeness.known = State::Failure;
            }
        }
        self.rebook_as_it_is();
        self.reassign_report(id, taken_back);
    }

    /// Keeps the outcome of a disputed transaction. It counts if the report that contradicts
    /// it is taken back.
    fn note_answer(&mut self, id: &TransactionId, outcome: Outcome) {
        let Some(ours) = self.transactions.get_mut(id).filter(|ours| ours.is_disputed) else {
            return;
        };
        let known = match outcome {
            Outcome::Approved => State::Success,
            Outcome::Received => State::Pending,
            Outcome::Rejected
            | Outcome::NeverExecuted
            | Outcome::Unknown
            | Outcome::RejectedWithoutProof
            | Outcome::Disproved => State::Unknown,
        };
        if outcome == Outcome::Approved {
            ours.waiting_failure = None;
        }
        if let Some(likeness) = &mut ours.likeness
            && likeness.known.is_open()
        {
            likeness.known = known;
        }
    }

    /// Drops a waiting Failure, because a positive outcome contradicts it.
    fn drop_waiting_failure(&mut self, id: &TransactionId) {
        if let Some(ours) = self.transactions.get_mut(id) {
            ours.waiting_failure = None;
        }
    }

    /// Settles the transaction as Unknown: the attempt had no trusted answer.
    fn settle_as_unknown(&mut self, id: &TransactionId, outcome: Outcome, at: Timestamp) {
        let Some(ours) = self.transactions.get_mut(id) else { return };
        if let Some(likeness) = &mut ours.likeness {
            likeness.known = State::Unknown;
            // The connector's answer agrees with the report.
            let is_agreed = outcome == Outcome::RejectedWithoutProof;
            likeness.came_in_flight &= !is_agreed;
        }
        if matches!(ours.state, State::Initial | State::Unknown) {
            ours.state = State::Unknown;
            ours.recovery.look_at = Some(at.plus_ms(FIRST_LOOK_MS));
        }
        self.note_unclear(id, at);
    }
}
