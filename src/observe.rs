//! The log lines and metrics for the operator.
//!
//! Each step of a transaction has a line. Its fields are from a short list: ids, action,
//! amount, states, durations, attempt. No line has a body, a token, a key or a reference.

mod logging;
mod metrics;

pub use logging::{Logging, log_json, targets};
pub(crate) use metrics::{Metric, measure, measure_by_outcome};

use crate::error::{BoxError, causes};
use crate::payment::{
    Outcome, Payment, PaymentKey, Reservation, State, Timestamp, Transaction, TransactionId,
    TransactionKind,
};
use crate::ports::{Call, ConnectorError, Webhook};
use std::error::Error;

/// The message of the line of a call to a connector.
pub(crate) const CALL_ENDED: &str = "a call to the connector ended";

/// The message of the line of a transition.
pub(crate) const STATE_CHANGED: &str = "a transaction changed its state";

/// The message of the line of a webhook.
pub(crate) const WEBHOOK_HANDLED: &str = "a webhook was handled";

/// Logs and measures a call to a connector.
pub(crate) fn log_connector_call(
    call: &Call,
    outcome: Outcome,
    error: Option<&ConnectorError>,
    duration_ms: u64,
    at: Timestamp,
) {
    tracing::info!(
        project = call.connector.payment.project.as_str(),
        payment = call.connector.payment.id.as_str(),
        transaction = call.transaction.as_str(),
        action = call.action.name(),
        amount = call.amount.minor_units(),
        currency = call.amount.currency().code(),
        attempt = call.attempt,
        ?outcome,
        duration_ms,
        correlation_id = call.correlation_id,
        error = error.and_then(Error::source).map(causes),
        "{CALL_ENDED}"
    );
    let name = match outcome {
        Outcome::Approved => "approved",
        Outcome::Received => "received",
        Outcome::Rejected | Outcome::Disproved => "rejected",
        Outcome::NeverExecuted => "neverExecuted",
        Outcome::Unknown | Outcome::RejectedWithoutProof => "unknown",
    };
    let time = Metric::milliseconds("ConnectorTime", duration_ms);
    let calls = Metric::count("ConnectorCalls", 1);
    measure_by_outcome(&[time], name, &[calls, time], at);
}

/// Counts a cold start: the process is ready for its first event.
pub fn log_started(at: Timestamp) {
    measure(&[Metric::count("ColdStarts", 1)], at);
}

/// Logs that a new state of a transaction was written.
pub(crate) fn log_transition(from: &Payment, to: &Payment, id: &TransactionId) {
    let state = |payment: &Payment| payment.transactions.get(id).map(|found| found.state);
    let Some(transaction) = to.transactions.get(id).or_else(|| from.transactions.get(id)) else {
        return;
    };
    let Transaction { amount, kind, .. } = transaction;
    tracing::info!(
        project = to.key.project.as_str(),
        payment = to.key.id.as_str(),
        transaction = id.as_str(),
        r#type = ?kind,
        amount = amount.minor_units(),
        currency = amount.currency().code(),
        from = ?state(from),
        to = ?state(to),
        "{STATE_CHANGED}"
    );
}

/// Logs the release of the rest of an authorization, if this write booked one.
pub(crate) fn log_release(from: &Payment, to: &Payment) {
    let is_new = |one: &&Transaction| !from.transactions.contains_key(&one.id);
    let is_release = |one: &&Transaction| one.kind == TransactionKind::CancelAuthorization;
    for release in to.transactions.values().filter(is_new).filter(is_release) {
        log_transition(from, to, &release.id);
    }
}

/// Logs the new states and discrepancies of an update that was written.
pub(crate) fn log_update(from: &Payment, to: &Payment, at: Timestamp) {
    for (id, after) in &to.transactions {
        if from.transactions.get(id).map(|before| before.state) != Some(after.state) {
            log_transition(from, to, id);
        }
    }
    log_discrepancies(from, to, at);
}

/// Logs and counts new discrepancies, which an operator has to look at.
pub(crate) fn log_discrepancies(from: &Payment, to: &Payment, at: Timestamp) {
    let is_new = |found: &&Transaction| {
        !from.transactions.get(&found.id).is_some_and(Transaction::is_discrepant)
    };
    for found in to.discrepancies().filter(is_new) {
        measure(&[Metric::count("Discrepancies", 1)], at);
        tracing::error!(
            project = to.key.project.as_str(),
            payment = to.key.id.as_str(),
            transaction = found.id.as_str(),
            r#type = ?found.kind,
            amount = found.amount.minor_units(),
            currency = found.amount.currency().code(),
            state = ?found.state,
            state_awaiting_balances = ?found.state_awaiting_balances,
            is_disputed = found.is_disputed,
            "a report contradicts the balances or the connector's answer"
        );
    }
}

/// Logs that a slot was freed because its lease expired, if `next` is that write.
pub(crate) fn log_expired_lease(found: &Payment, next: &Payment) {
    let held = found.in_flight.as_ref().filter(|_| next.in_flight.is_none());
    if let Some(slot) = held {
        tracing::warn!(
            project = found.key.project.as_str(),
            payment = found.key.id.as_str(),
            transaction = slot.transaction.as_str(),
            attempt = slot.attempt,
            to = ?State::Unknown,
            "a lease ran out before its transaction was settled"
        );
    }
}

/// Logs that a reservation that may have been written could not be withdrawn.
pub(crate) fn log_failed_withdrawal(reservation: &Reservation, error: &BoxError) {
    tracing::warn!(
        project = reservation.key.project.as_str(),
        payment = reservation.key.id.as_str(),
        transaction = reservation.transaction.as_str(),
        error = causes(error.as_ref()),
        "a reservation that may have been written could not be withdrawn"
    );
}

/// Logs an outcome that could not be written and is recorded nowhere else.
pub(crate) fn log_unwritten_outcome(
    payment: &Payment,
    id: &TransactionId,
    outcome: Outcome,
    error: &(dyn Error + 'static),
) {
    let transaction = payment.transactions.get(id);
    tracing::error!(
        project = payment.key.project.as_str(),
        payment = payment.key.id.as_str(),
        transaction = id.as_str(),
        r#type = ?transaction.map(|unsettled| unsettled.kind),
        amount = transaction.map(|unsettled| unsettled.amount.minor_units()),
        currency = payment.currency().code(),
        attempt = payment.in_flight.as_ref().map(|slot| slot.attempt),
        ?outcome,
        error = causes(error),
        "an outcome could not be written; recovery will look for it"
    );
}

/// Logs that recovery could not read or write a Payment.
pub(crate) fn log_failed_recovery(key: &PaymentKey, error: &BoxError) {
    tracing::error!(
        project = key.project.as_str(),
        payment = key.id.as_str(),
        error = causes(error.as_ref()),
        "recovery could not read or write a Payment with an open transaction"
    );
}

/// Logs that the platform's Payment could not be read.
pub(crate) fn log_failed_look_up(key: &PaymentKey, id: &TransactionId, error: &BoxError) {
    tracing::warn!(
        project = key.project.as_str(),
        payment = key.id.as_str(),
        transaction = id.as_str(),
        error = causes(error.as_ref()),
        "the state of a transaction could not be looked up on the platform"
    );
}

/// Logs and counts a webhook.
pub(crate) fn log_webhook(
    webhook: &Webhook<'_>,
    counted_as: &'static str,
    error: Option<&(dyn Error + 'static)>,
    at: Timestamp,
) {
    measure(&[Metric::count(counted_as, 1)], at);
    tracing::info!(
        project = webhook.project.as_str(),
        connector = webhook.connector,
        counted_as,
        error = error.map(causes),
        "{WEBHOOK_HANDLED}"
    );
}

/// Logs an event that was sent.
pub(crate) fn log_event(key: &PaymentKey, r#type: &str, id: &str) {
    tracing::info!(
        project = key.project.as_str(),
        payment = key.id.as_str(),
        event = id,
        r#type,
        "an event was sent"
    );
}

/// Logs that an event was not sent. Lambda will repeat its record.
pub(crate) fn log_failed_event(error: &BoxError) {
    tracing::error!(error = causes(error.as_ref()), "an event could not be sent");
}

/// Logs a record of the table's stream that cannot be read.
pub(crate) fn log_unreadable_record(sequence: &str, error: &BoxError) {
    let error = causes(error.as_ref());
    tracing::error!(sequence, error, "a record of the stream cannot be read");
}
