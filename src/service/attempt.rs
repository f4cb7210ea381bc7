//! The steps after a reservation: one call, and the write of its outcome.

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
    /// Calls the connector for a transaction that holds the slot, and settles the
    /// outcome.
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
    /// outcome, and the connector's answer where that proves that it did not act.
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
        not_acted: Option<NotActed>,
    ) -> Result<State, ActError> {
        let began = |payment: &Payment| payment.transactions.get(id).map(|found| found.timestamp);
        let reserved_at = began(&payment);
        let policy = self.connector.policy(&ConnectorKey::of(&payment));
        loop {
            let now = self.clock.now();
            let next = match payment.settle(id, &invocation.nonce, outcome, now) {
                // A Failure that was reported meanwhile may count from now on.
                Ok(Settlement::Changed(next)) => {
                    let failed = next.apply_waiting_failures(now, policy.is_trusted());
                    Box::new(with_rest_released(failed.unwrap_or(*next), policy, now))
                }
                Ok(Settlement::Gone) if outcome != Outcome::NeverExecuted => {
                    return Err(unsettled(&payment, id, outcome, &Contradicted));
                }
                // Withdrawn before, in a write whose answer was lost, and reserved anew
                // by another request with the same key: its outcome is not ours.
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
                Err(error) => return Err(unsettled(&payment, id, outcome, &error)),
            };
            let deadline = invocation.deadline;
            let has_time =
                now.plus_ms(SETTLE_PAUSE_MS.saturating_add(ANSWER_RESERVE_MS)) < deadline;
            let replaced = self.in_time(deadline, pin!(self.store.replace(&payment, &next))).await;
            match replaced.unwrap_or_else(|| Err(StoreError::from(OutOfTime).into())) {
                Ok(()) => {
                    observe::transition(&payment, &next, id);
                    observe::released(&payment, &next);
                    observe::discrepant(&payment, &next, now);
                    let state = next.transactions.get(id).map(Transaction::state_for_caller);
                    return state.ok_or(ActError::ConnectorFailed(not_acted));
                }
                Err(ReplaceError::Changed(found)) if has_time => payment = *found,
                Err(ReplaceError::Store(StoreError::Unavailable(_))) if has_time => {
                    self.clock.sleep_ms(SETTLE_PAUSE_MS).await;
                }
                Err(error) => return Err(unsettled(&payment, id, outcome, &error)),
            }
        }
    }
}

/// One call to a connector, settled.
pub(crate) struct Attempt {
    /// The state in which the transaction durably is.
    pub(super) settled: Result<State, ActError>,
    /// The time that settling took.
    pub(super) settle_ms: u64,
}

/// The outcome that an answer proves, as far as its connector is trusted.
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
) -> ActError {
    observe::unsettled(payment, id, outcome, error);
    ActError::OutcomeUnknown { replayed: false }
}

/// The connector acted on a transaction that the ledger no longer has.
#[derive(Debug, thiserror::Error)]
#[error("the ledger says the opposite")]
struct Contradicted;
