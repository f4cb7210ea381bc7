//! One attempt: the call to the connector, and the write of its outcome.

use super::{
    ANSWER_RESERVE_MS, ActError, CALL_MIN_MS, Invocation, OutOfTime, Recorded, SETTLE_PAUSE_MS,
    SETTLE_RESERVE_MS, Service, with_rest_released,
};
use crate::observe;
use crate::payment::{
    Outcome, Payment, RejectionReason, Settlement, Timestamp, Transaction, TransactionId,
};
use crate::ports::{
    Call, Clock, Connector, ConnectorError, ConnectorKey, NotActed, Rejections, ReplaceError,
    Store, StoreError, Verdict,
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
            let settled = Err(ActError::ConnectorFailed(None));
            return Attempt { settled, settle_ms: 0, is_answered: true };
        };
        let has_time = self.has_time(invocation.deadline);
        let called = self.call(&payment, transaction, invocation).await;
        let called_at = self.clock.now();
        let is_answered = match called.outcome {
            Outcome::Unknown => false,
            Outcome::NeverExecuted => called.not_acted.is_some() || !has_time,
            Outcome::Approved
            | Outcome::Received
            | Outcome::Rejected
            | Outcome::RejectedWithoutProof
            | Outcome::Disproved => true,
        };
        let settled = self.settle(payment, id, invocation, called).await;
        Attempt { settled, settle_ms: self.clock.now().ms_since(called_at), is_answered }
    }

    /// Calls the connector, if there is time for it, and logs the call.
    async fn call(&self, payment: &Payment, of: &Transaction, invocation: &Invocation) -> Called {
        let deadline = invocation.deadline.minus_ms(SETTLE_RESERVE_MS);
        let started = self.clock.now();
        let Some(action) = of.action() else { return Called::of(Outcome::NeverExecuted) };
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
        let policy = self.connector.policy(&call.connector);
        let outcome = proven_outcome(&answer, call.attempt, policy.rejected);
        let duration_ms = self.clock.now().ms_since(started);
        observe::log_connector_call(
            &call,
            outcome,
            answer.as_ref().err(),
            duration_ms,
            self.clock.now(),
        );
        match answer {
            Ok(Verdict::Rejected(reason)) => Called { reason, ..Called::of(outcome) },
            Err(ConnectorError::NotActed { answer, .. }) => {
                Called { not_acted: Some(answer), ..Called::of(outcome) }
            }
            Ok(Verdict::Received(name)) => Called { interaction_id: name, ..Called::of(outcome) },
            Ok(Verdict::Approved)
            | Err(ConnectorError::NotReached(_) | ConnectorError::OutcomeUnknown(_)) => {
                Called::of(outcome)
            }
        }
    }

    /// True if there is time for one more call and the write of its outcome.
    pub(crate) fn has_time(&self, deadline: Timestamp) -> bool {
        let needed_ms = SETTLE_RESERVE_MS.saturating_add(CALL_MIN_MS);
        deadline.ms_since(self.clock.now()) >= needed_ms
    }

    /// Settles the outcome (write 2). The write is repeated until it succeeds or the time
    /// is up.
    async fn settle(
        &self,
        mut payment: Payment,
        id: &TransactionId,
        invocation: &Invocation,
        called: Called,
    ) -> Result<Recorded, ActError> {
        let Called { outcome, reason, interaction_id, not_acted } = called;
        let began = |payment: &Payment| payment.transactions.get(id).map(|found| found.timestamp);
        let reserved_at = began(&payment);
        let policy = self.connector.policy(&ConnectorKey::of(&payment));
        loop {
            let now = self.clock.now();
            let settled = payment.settle(id, &invocation.nonce, outcome, now);
            let settled = settled.map(|settled| {
                let settled = settled.with_reason(id, reason.as_ref());
                settled.with_interaction_id(id, interaction_id.as_deref(), now)
            });
            let next = match settled {
                // A Failure that was reported during the call may count from now on.
                Ok(Settlement::Changed(next)) => {
                    let failed = next.apply_waiting_failures(now, policy.is_trusted());
                    let next = failed.unwrap_or(*next);
                    Box::new(with_rest_released(&payment, next, policy.rest, now))
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
                    let recorded = payment.transactions.get(id).map(Recorded::of);
                    return recorded.ok_or(ActError::ConnectorFailed(not_acted));
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
                    observe::log_settled(&payment, &next, id);
                    observe::log_release(&payment, &next);
                    observe::log_discrepancies(&payment, &next, now);
                    let recorded = next.transactions.get(id).map(Recorded::of);
                    return recorded.ok_or(ActError::ConnectorFailed(not_acted));
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

/// The result of a call to the connector.
struct Called {
    outcome: Outcome,
    /// The connector's reason for a rejection, if it gave one.
    reason: Option<RejectionReason>,
    /// The PSP's id of the transaction, if it is in the answer.
    interaction_id: Option<String>,
    /// The connector's answer, if that proves that it did not act.
    not_acted: Option<NotActed>,
}

impl Called {
    fn of(outcome: Outcome) -> Self {
        Self { outcome, reason: None, interaction_id: None, not_acted: None }
    }
}

/// The result of an attempt.
pub(crate) struct Attempt {
    /// The part of the transaction that was written and answers the caller.
    pub(super) settled: Result<Recorded, ActError>,
    /// The duration of the settling write.
    pub(super) settle_ms: u64,
    /// True if the connector answered with an outcome, or was not called for lack of time.
    pub(crate) is_answered: bool,
}

/// The outcome of an attempt, by the answer and the meaning of a rejection.
fn proven_outcome(
    answer: &Result<Verdict, ConnectorError>,
    attempt: u32,
    rejected: Rejections,
) -> Outcome {
    match (answer, rejected) {
        (Ok(Verdict::Approved), _) => Outcome::Approved,
        (Ok(Verdict::Received(_)), _) => Outcome::Received,
        (Ok(Verdict::Rejected(_)), Rejections::Unproven) => Outcome::RejectedWithoutProof,
        // Only a connector that honours our key is sent a second attempt. Its answer is the
        // one that it recorded for the key.
        (Ok(Verdict::Rejected(_)), _) if attempt > 1 => Outcome::Disproved,
        (Ok(Verdict::Rejected(_)), _) => Outcome::Rejected,
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
