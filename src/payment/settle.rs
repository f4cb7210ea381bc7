//! What the outcome of a connector call does to the Payment.

#![warn(clippy::wildcard_enum_match_arm)]

use super::recover::FIRST_LOOK_MS;
use super::{Inconsistent, Nonce, Payment, Pursuit, State, Timestamp, Transaction, TransactionId};
use crate::mutants::Mutant;

/// How one attempt at a connector ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The PSP did it.
    Approved,
    /// The PSP took it on and will report.
    Received,
    /// The PSP says no, and that can be trusted: nothing moved.
    Rejected,
    /// The connector provably never acted: nothing moved.
    NeverExecuted,
    /// It may have happened.
    Unknown,
    /// It provably did not happen, however unclear it was before: the recorded
    /// answer to its key, or a complete record without it.
    Disproved,
}

impl Outcome {
    /// Whether it says something of the transaction as a whole, and not only of
    /// one attempt at it.
    fn is_of_all_attempts(self) -> bool {
        match self {
            Self::Approved | Self::Received | Self::Disproved => true,
            Self::Rejected | Self::NeverExecuted | Self::Unknown => false,
        }
    }
}

/// What settling came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// This is to be written.
    Changed(Box<Payment>),
    /// There is nothing to write: it was settled before, or the outcome does
    /// not prove enough. That is the state it stays in.
    Unchanged(State),
    /// No such transaction: it was withdrawn before.
    Gone,
}

impl Payment {
    /// Applies the outcome of the attempt that `nonce` stands for: moves the
    /// hold, the state and the slot. Settling again changes nothing.
    ///
    /// A positive outcome counts whenever it comes, and from any attempt. A
    /// "no" to one attempt counts only from the holder of the slot, and only
    /// while the transaction is Initial: once an attempt was ambiguous, it proves
    /// nothing any more, and takes an [`Outcome::Disproved`].
    pub fn settle(
        &self,
        id: &TransactionId,
        nonce: &Nonce,
        outcome: Outcome,
        at: Timestamp,
    ) -> Result<Settlement, Inconsistent> {
        let Some(transaction) = self.transactions.get(id) else { return Ok(Settlement::Gone) };
        let holds_slot = self.is_held_by(nonce);
        let counts = holds_slot || outcome.is_of_all_attempts();
        let step = if counts { transaction.state.after(outcome) } else { Step::Stay };
        let step = if holds_slot && self.contradicts(transaction, outcome) {
            Step::Dispute
        } else {
            step.mistaken(outcome, holds_slot)
        };
        if step == Step::Dispute {
            return Ok(self.disputed(transaction, holds_slot, at));
        }
        if step == Step::Stay && !holds_slot {
            return Ok(Settlement::Unchanged(transaction.state));
        }
        let mut next = self.changed(at);
        if holds_slot {
            next.in_flight = None;
        }
        match step {
            Step::Stay if outcome == Outcome::Unknown => next.note_unclear(id, at),
            Step::Stay | Step::Dispute => {}
            Step::To(done @ (State::Success | State::Failure)) => {
                next.set_state(id, done, Pursuit::default());
                next.rebook()?;
            }
            Step::To(open @ (State::Initial | State::Pending | State::Unknown)) => {
                let look_at = Some(at.plus_ms(FIRST_LOOK_MS));
                next.set_state(id, open, Pursuit { look_at, ..transaction.pursuit });
                if open == State::Unknown {
                    next.note_unclear(id, at);
                }
            }
            Step::Withdraw => {
                next.transactions.remove(id);
                next.rebook()?;
                next.fence(transaction.timestamp);
            }
        }
        // What moved may have made room for a fact.
        if !Mutant::ForgetWaitingAtAnswers.is_on() {
            next.book_waiting(at);
        }
        Ok(Settlement::Changed(Box::new(next)))
    }

    /// Whether nothing was sent yet, and a fact says that it happened: it can only
    /// have meant another.
    fn contradicts(&self, transaction: &Transaction, outcome: Outcome) -> bool {
        let is_first = self.in_flight.as_ref().is_some_and(|slot| slot.attempt == 1);
        let is_told = matches!(transaction.state, State::Success | State::Pending);
        is_first && is_told && outcome == Outcome::NeverExecuted
    }

    /// The answer is the opposite of what was final before.
    fn disputed(&self, transaction: &Transaction, holds_slot: bool, at: Timestamp) -> Settlement {
        let mut next = self.changed(at);
        let is_news = next.dispute(&transaction.id);
        if holds_slot {
            next.in_flight = None;
        }
        if is_news || holds_slot {
            Settlement::Changed(Box::new(next))
        } else {
            Settlement::Unchanged(transaction.state)
        }
    }

    fn set_state(&mut self, id: &TransactionId, state: State, pursuit: Pursuit) {
        if let Some(transaction) = self.transactions.get_mut(id) {
            transaction.state = state;
            transaction.unbooked = None;
            transaction.pursuit = pursuit;
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Stay,
    To(State),
    Withdraw,
    /// It is final, and this is the opposite.
    Dispute,
}

impl Step {
    /// The step that a mistake would make of this one.
    fn mistaken(self, outcome: Outcome, holds_slot: bool) -> Self {
        if Mutant::IgnoreEarlyFacts.is_on() && !holds_slot {
            return Self::Stay;
        }
        match outcome {
            Outcome::Rejected if self == Self::Stay && Mutant::SettleWithoutState.is_on() => {
                Self::To(State::Failure)
            }
            Outcome::Approved if self == Self::Dispute && Mutant::AnswerOverFact.is_on() => {
                Self::To(State::Success)
            }
            Outcome::Rejected if self == Self::Dispute && Mutant::AnswerOverFact.is_on() => {
                Self::To(State::Failure)
            }
            Outcome::NeverExecuted
                if self == Self::Stay && holds_slot && Mutant::WithdrawConfirmed.is_on() =>
            {
                Self::Withdraw
            }
            Outcome::Approved
            | Outcome::Received
            | Outcome::Rejected
            | Outcome::NeverExecuted
            | Outcome::Unknown
            | Outcome::Disproved => self,
        }
    }
}

impl State {
    /// The state machine: every state with every outcome.
    fn after(self, outcome: Outcome) -> Step {
        match (self, outcome) {
            (Self::Initial, Outcome::Approved) => Step::To(Self::Success),
            (Self::Initial, Outcome::Received) => Step::To(Self::Pending),
            (Self::Initial, Outcome::Rejected) => Step::To(Self::Failure),
            (Self::Initial | Self::Pending | Self::Unknown, Outcome::Disproved) => {
                Step::To(Self::Failure)
            }
            (Self::Initial, Outcome::NeverExecuted) => Step::Withdraw,
            (Self::Initial, Outcome::Unknown) => Step::To(Self::Unknown),
            (Self::Unknown, Outcome::Received) => Step::To(Self::Pending),
            (Self::Pending | Self::Unknown, Outcome::Approved) => Step::To(Self::Success),
            (Self::Pending, Outcome::Received) => Step::Stay,
            // A "no" after an ambiguous attempt, or after the PSP took it on,
            // is no proof.
            (
                Self::Pending | Self::Unknown,
                Outcome::Rejected | Outcome::NeverExecuted | Outcome::Unknown,
            ) => Step::Stay,
            // Final by a fact, or by an earlier answer to the same key.
            (Self::Failure, Outcome::Approved | Outcome::Received) => Step::Dispute,
            (Self::Success, Outcome::Rejected | Outcome::Disproved) => Step::Dispute,
            (
                Self::Success,
                Outcome::Approved | Outcome::Received | Outcome::NeverExecuted | Outcome::Unknown,
            )
            | (
                Self::Failure,
                Outcome::Rejected | Outcome::NeverExecuted | Outcome::Unknown | Outcome::Disproved,
            ) => Step::Stay,
        }
    }
}
