//! What follows a reservation: one call, and writing down what came of it.

use super::{
    ANSWER_RESERVE_MS, ActError, CALL_MIN_MS, Done, Invocation, OutOfTime, SETTLE_PAUSE_MS,
    SETTLE_RESERVE_MS, Service,
};
use crate::observe;
use crate::payment::{Outcome, Payment, Settlement, State, Transaction, TransactionId};
use crate::ports::{
    Call, Clock, Connector, ConnectorError, ConnectorKey, NotActed, Policy, Rejections,
    ReplaceError, Store, StoreError, Verdict,
};
use std::pin::pin;

impl<S: Store, C: Connector, K: Clock> Service<S, C, K> {
    /// Calls the connector for a transaction that holds the slot, and settles
    /// what comes of it.
    pub(crate) async fn attempt(
        &self,
        payment: Payment,
        id: &TransactionId,
        invocation: &Invocation,
    ) -> Settled {
        let called = self.called(payment, id, invocation).await;
        self.settle_called(called, id, invocation).await
    }

    /// Calls the connector for a transaction that holds the slot.
    pub(super) async fn called(
        &self,
        payment: Payment,
        id: &TransactionId,
        invocation: &Invocation,
    ) -> Called {
        let (outcome, not_acted) = match payment.transactions.get(id) {
            Some(transaction) => {
                let (outcome, not_acted) = self.call(&payment, transaction, invocation).await;
                (Some(outcome), not_acted)
            }
            None => (None, None),
        };
        Called { payment, outcome, not_acted }
    }

    /// Settles what came of a call.
    pub(super) async fn settle_called(
        &self,
        called: Called,
        id: &TransactionId,
        invocation: &Invocation,
    ) -> Settled {
        let Called { payment, outcome, .. } = called;
        let Some(outcome) = outcome else { return Settled::Withdrawn };
        self.settle(payment, id, invocation, outcome).await
    }

    /// Calls the connector, if there is time for it, and logs how that ended.
    /// Answers what it proves, and how the connector put it that it did not act.
    async fn call(
        &self,
        payment: &Payment,
        of: &Transaction,
        invocation: &Invocation,
    ) -> (Outcome, Option<NotActed>) {
        let deadline = invocation.deadline.minus_ms(SETTLE_RESERVE_MS);
        let started = self.clock.now();
        let Some(action) = of.action() else { return (Outcome::NeverExecuted, None) };
        let call = Call {
            connector: ConnectorKey::of(payment),
            transaction: of.id.clone(),
            attempt: payment.in_flight.as_ref().map_or(1, |slot| slot.attempt),
            action,
            amount: of.amount,
            fraction_digits: payment.fraction_digits,
            merchant_reference: of.merchant_reference.clone(),
            correlation_id: invocation.correlation_id.clone(),
            bearer: invocation.bearer.clone(),
        };
        let answer = if deadline.ms_since(started) < CALL_MIN_MS {
            let why = "too little time was left to call the connector";
            Err(ConnectorError::NotReached(why.into()))
        } else {
            self.connector.call(&call, deadline).await
        };
        let outcome = proven(&answer, call.attempt, self.connector.policy(&call.connector));
        let duration_ms = self.clock.now().ms_since(started);
        observe::connector_called(
            &call,
            outcome,
            answer.as_ref().err(),
            duration_ms,
            self.clock.now(),
        );
        let not_acted = match answer {
            Err(ConnectorError::NotActed { answer, .. }) => Some(answer),
            Err(ConnectorError::NotReached(_) | ConnectorError::OutcomeUnknown(_)) | Ok(_) => None,
        };
        (outcome, not_acted)
    }

    /// Write 2, tried until it is written or the time is up.
    async fn settle(
        &self,
        mut payment: Payment,
        id: &TransactionId,
        invocation: &Invocation,
        outcome: Outcome,
    ) -> Settled {
        let began = |payment: &Payment| payment.transactions.get(id).map(|found| found.timestamp);
        let reserved_at = began(&payment);
        let is_trusted = self.connector.policy(&ConnectorKey::of(&payment)).is_trusted();
        loop {
            let now = self.clock.now();
            let next = match payment.settle(id, &invocation.nonce, outcome, now) {
                // A Failure that was reported meanwhile may count from now on.
                Ok(Settlement::Changed(next)) => {
                    next.apply_waiting_failures(now, is_trusted).map_or(next, Box::new)
                }
                Ok(Settlement::Gone) if outcome != Outcome::NeverExecuted => {
                    return unsettled(&payment, id, outcome, &Contradicted);
                }
                // Withdrawn before, in a write whose answer was lost, and reserved
                // anew by somebody with the same key: what came of that is not ours.
                Ok(Settlement::Unchanged(_))
                    if outcome == Outcome::NeverExecuted && began(&payment) != reserved_at =>
                {
                    return Settled::Withdrawn;
                }
                Ok(Settlement::Unchanged(_)) => {
                    let state = payment.transactions.get(id).map(Transaction::state_for_caller);
                    return state.map_or(Settled::Withdrawn, Settled::In);
                }
                Ok(Settlement::Gone) => return Settled::Withdrawn,
                Err(error) => return unsettled(&payment, id, outcome, &error),
            };
            let deadline = invocation.deadline;
            let has_time =
                now.plus_ms(SETTLE_PAUSE_MS.saturating_add(ANSWER_RESERVE_MS)) < deadline;
            let replaced = self.in_time(deadline, pin!(self.store.replace(&payment, &next))).await;
            match replaced.unwrap_or_else(|| Err(StoreError::from(OutOfTime).into())) {
                Ok(()) => {
                    observe::transition(&payment, &next, id);
                    observe::discrepant(&payment, &next, now);
                    let state = next.transactions.get(id).map(Transaction::state_for_caller);
                    return state.map_or(Settled::Withdrawn, Settled::In);
                }
                Err(ReplaceError::Changed(found)) if has_time => payment = *found,
                Err(ReplaceError::Store(StoreError::Unavailable(_))) if has_time => {
                    self.clock.sleep_ms(SETTLE_PAUSE_MS).await;
                }
                Err(error) => return unsettled(&payment, id, outcome, &error),
            }
        }
    }
}

/// A Payment whose connector was called.
pub(super) struct Called {
    payment: Payment,
    /// `None` where the transaction is not there.
    outcome: Option<Outcome>,
    /// The connector's answer, where it says that it did not act.
    pub(super) not_acted: Option<NotActed>,
}

/// Where a transaction is after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    /// Durably in this state.
    In(State),
    /// Nowhere: nothing was sent, and nothing is held.
    Withdrawn,
    /// The outcome could not be written; recovery has to find it.
    Unwritten,
}

impl Settled {
    /// What the ledger says counts, not what the call said: a fact may have come
    /// first.
    pub(super) fn answer(
        self,
        replayed: bool,
        not_acted: Option<NotActed>,
    ) -> Result<Done, ActError> {
        let verdict = match self {
            Self::In(State::Success) => Verdict::Approved,
            Self::In(State::Pending) => Verdict::Received,
            Self::In(State::Failure) => Verdict::Rejected,
            Self::In(State::Unknown | State::Initial) | Self::Unwritten => {
                return Err(ActError::OutcomeUnknown { replayed });
            }
            Self::Withdrawn => return Err(ActError::ConnectorFailed(not_acted)),
        };
        Ok(Done { verdict, replayed })
    }
}

/// What an answer proves of the transaction, as far as its connector is trusted.
fn proven(answer: &Result<Verdict, ConnectorError>, attempt: u32, policy: Policy) -> Outcome {
    match (answer, policy.rejected) {
        (Ok(Verdict::Approved), _) => Outcome::Approved,
        (Ok(Verdict::Received), _) => Outcome::Received,
        (Ok(Verdict::Rejected), Rejections::Unproven) => Outcome::RejectedWithoutProof,
        // Only a connector that honours our key is asked again, and what it
        // answers then is what it recorded for the key.
        (Ok(Verdict::Rejected), _) if attempt > 1 => Outcome::Disproved,
        (Ok(Verdict::Rejected), _) => Outcome::Rejected,
        (Err(ConnectorError::NotReached(_) | ConnectorError::NotActed { .. }), _) => {
            Outcome::NeverExecuted
        }
        (Err(ConnectorError::OutcomeUnknown(_)), _) => Outcome::Unknown,
    }
}

fn unsettled(
    payment: &Payment,
    id: &TransactionId,
    outcome: Outcome,
    error: &(dyn std::error::Error + 'static),
) -> Settled {
    observe::unsettled(payment, id, outcome, error);
    Settled::Unwritten
}

/// The connector did what the ledger holds for undone.
#[derive(Debug, thiserror::Error)]
#[error("the ledger says the opposite")]
struct Contradicted;
