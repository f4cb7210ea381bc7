//! One attempt: the call to the connector, and the write of its outcome.

use super::{
    ANSWER_RESERVE_MS, ActError, CALL_MIN_MS, Invocation, OutOfTime, SETTLE_PAUSE_MS,
    SETTLE_RESERVE_MS, Service, with_rest_released,
};
use crate::observe;
use crate::payment::{Outcome, Payment, Settlement, State, Transaction, TransactionId};
use crate::ports::{
    Call, Clock, Connector, ConnectorError, ConnectorKey, NotActed, Policy, Rejections,
    ReplaceError, Store, StoreError, Verdict,
};
use std::pin::pin;

impl<S: Store, C: Connector, K: Clock> Service<S, C, K> {
    /// Calls the connector for the transaction in flight, and settles the outcome.
    pub(crate) async fn attempt(
        &self,
        payment: Payment,
        id: &TransactionId,
        invocation: &Invocation,
    ) -> Attempt {
        let Some(transaction) = payment.transactions.get(id) else {
            return Attempt { settled: Err(ActError::ConnectorFailed(None)), settle_ms: 0 };
        };
        let (outcome, not_acted) = self.call(&payment, transaction, invocation).await;
        let called_at = self.clock.now();
        let settled = self.settle(payment, id, invocation, outcome, not_acted).await;
        Attempt { settled, settle_ms: self.clock.now().ms_since(called_at) }
    }

    /// Calls the connector, if there is time for it, and logs the call. Returns the
    /// outcome, and the connector's answer if that proves that it did not act.
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
            has_rest: payment.has_rest_beside(&of.id),
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
        let outcome = proven_outcome(&answer, call.attempt, self.connector.policy(&call.connector));
        let duration_ms = self.clock.now().ms_since(started);
        observe::log_connector_call(
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

    /// Settles the outcome (write 2). The write is repeated until it succeeds or the time
    /// is up.
    async fn settle(
        &self,
        mut payment: Payment,
        id: &TransactionId,
        invocation: &Invocation,
        outcome: Outcome,
        not_acted: Option<NotActed>,
    ) -> Result<State, ActError> {
        let began = |payment: &Payment| payment.transactions.get(id).map(|found| found.timestamp);
        let reserved_at = began(&payment);
        let policy = self.connector.policy(&ConnectorKey::of(&payment));
        loop {
            let now = self.clock.now();
            let next = match payment.settle(id, &invocation.nonce, outcome, now) {
                // A Failure that was reported during the call may count from now on.
                Ok(Settlement::Changed(next)) => {
                    let failed = next.apply_waiting_failures(now, policy.is_trusted());
                    Box::new(with_rest_released(failed.unwrap_or(*next), policy, now))
                }
                Ok(Settlement::Gone) if outcome != Outcome::NeverExecuted => {
                    return Err(outcome_unknown(&payment, id, outcome, &WithdrawnTransaction));
                }
                // Withdrawn before, in a write whose answer was lost, and then reserved by
                // another request with the same key, to which the outcome belongs.
                Ok(Settlement::Unchanged(_))
                    if outcome == Outcome::NeverExecuted && began(&payment) != reserved_at =>
                {
                    return Err(ActError::ConnectorFailed(not_acted));
                }
                Ok(Settlement::Unchanged(_)) => {
                    let state = payment.transactions.get(id).map(Transaction::state_for_caller);
                    return state.ok_or(ActError::ConnectorFailed(not_acted));
                }
                Ok(Settlement::Gone) => return Err(ActError::ConnectorFailed(not_acted)),
                Err(error) => return Err(outcome_unknown(&payment, id, outcome, &error)),
            };
            let deadline = invocation.deadline;
            let has_time =
                now.plus_ms(SETTLE_PAUSE_MS.saturating_add(ANSWER_RESERVE_MS)) < deadline;
            let replaced = self.in_time(deadline, pin!(self.store.replace(&payment, &next))).await;
            match replaced.unwrap_or_else(|| Err(StoreError::from(OutOfTime).into())) {
                Ok(()) => {
                    observe::log_transition(&payment, &next, id);
                    observe::log_release(&payment, &next);
                    observe::log_discrepancies(&payment, &next, now);
                    let state = next.transactions.get(id).map(Transaction::state_for_caller);
                    return state.ok_or(ActError::ConnectorFailed(not_acted));
                }
                Err(ReplaceError::Changed(found)) if has_time => payment = *found,
                Err(ReplaceError::Store(StoreError::Unavailable(_))) if has_time => {
                    self.clock.sleep_ms(SETTLE_PAUSE_MS).await;
                }
                Err(error) => return Err(outcome_unknown(&payment, id, outcome, &error)),
            }
        }
    }
}

/// The result of an attempt.
pub(crate) struct Attempt {
    /// The state of the transaction that was written.
    pub(super) settled: Result<State, ActError>,
    /// The duration of the settling write.
    pub(super) settle_ms: u64,
}

/// The outcome of an attempt, by the answer and the connector's policy.
fn proven_outcome(
    answer: &Result<Verdict, ConnectorError>,
    attempt: u32,
    policy: Policy,
) -> Outcome {
    match (answer, policy.rejected) {
        (Ok(Verdict::Approved), _) => Outcome::Approved,
        (Ok(Verdict::Received), _) => Outcome::Received,
        (Ok(Verdict::Rejected), Rejections::Unproven) => Outcome::RejectedWithoutProof,
        // Only a connector that honours our key is sent a second attempt. Its answer is the
        // one that it recorded for the key.
        (Ok(Verdict::Rejected), _) if attempt > 1 => Outcome::Disproved,
        (Ok(Verdict::Rejected), _) => Outcome::Rejected,
        (Err(ConnectorError::NotReached(_) | ConnectorError::NotActed { .. }), _) => {
            Outcome::NeverExecuted
        }
        (Err(ConnectorError::OutcomeUnknown(_)), _) => Outcome::Unknown,
    }
}

/// Logs an outcome that could not be written, and returns the error for the caller.
fn outcome_unknown(
    payment: &Payment,
    id: &TransactionId,
    outcome: Outcome,
    error: &(dyn std::error::Error + 'static),
) -> ActError {
    observe::log_unwritten_outcome(payment, id, outcome, error);
    ActError::OutcomeUnknown { replayed: false }
}

/// The error for an outcome of a transaction that was withdrawn.
#[derive(Debug, thiserror::Error)]
#[error("the transaction was withdrawn, but the connector was called for it")]
struct WithdrawnTransaction;
