//! The log lines and metrics that an operator reads.
//!
//! One line for each event in the life of a transaction, with fields from a short
//! list: ids, action, amount, states, durations, attempt. Never a body, a token, a key
//! or a reference.

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

/// A call to a connector ended.
pub(crate) fn connector_called(
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
        "a call to the connector ended"
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

/// A process is ready for its first event.
pub fn log_started(at: Timestamp) {
    measure(&[Metric::count("ColdStarts", 1)], at);
}

/// A transaction is now in another state, durably.
pub(crate) fn transition(from: &Payment, to: &Payment, id: &TransactionId) {
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
        "a transaction changed its state"
    );
}

/// The PSP released the rest of an authorization with a capture, if `to` is the write
/// that says so.
pub(crate) fn released(from: &Payment, to: &Payment) {
    let is_new = |one: &&Transaction| !from.transactions.contains_key(&one.id);
    let is_release = |one: &&Transaction| one.kind == TransactionKind::CancelAuthorization;
    for release in to.transactions.values().filter(is_new).filter(is_release) {
        transition(from, to, &release.id);
    }
}

/// Reports and other changes were written.
pub(crate) fn updated(from: &Payment, to: &Payment, at: Timestamp) {
    for (id, after) in &to.transactions {
        if from.transactions.get(id).map(|before| before.state) != Some(after.state) {
            transition(from, to, id);
        }
    }
    discrepant(from, to, at);
}

/// Reports and balances, or reports and answers, do not agree: an operator has to look.
pub(crate) fn discrepant(from: &Payment, to: &Payment, at: Timestamp) {
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
            "a transaction is not what the ledger can say of it"
        );
    }
}

/// A lease was taken over after it expired, if `next` is that write.
pub(crate) fn lease_ran_out(found: &Payment, next: &Payment) {
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

/// A reservation that may have been written could not be withdrawn.
pub(crate) fn not_withdrawn(reservation: &Reservation, error: &BoxError) {
    tracing::warn!(
        project = reservation.key.project.as_str(),
        payment = reservation.key.id.as_str(),
        transaction = reservation.transaction.as_str(),
        error = causes(error.as_ref()),
        "a reservation that may have been written could not be withdrawn"
    );
}

/// An outcome could not be written. No other line names that outcome.
pub(crate) fn unsettled(
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
        "an outcome could not be written; recovery has to find it"
    );
}

/// A Payment with something open could not be read or written.
pub(crate) fn not_recovered(key: &PaymentKey, error: &BoxError) {
    tracing::error!(
        project = key.project.as_str(),
        payment = key.id.as_str(),
        error = causes(error.as_ref()),
        "a Payment with an open transaction could not be looked at"
    );
}

/// The platform could not be asked for the state of a transaction.
pub(crate) fn not_looked_up(key: &PaymentKey, id: &TransactionId, error: &BoxError) {
    tracing::warn!(
        project = key.project.as_str(),
        payment = key.id.as_str(),
        transaction = id.as_str(),
        error = causes(error.as_ref()),
        "the platform could not be asked what became of a transaction"
    );
}

/// A message of a PSP was taken, or not.
pub(crate) fn webhook_ended(
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
        "a webhook came"
    );
}

/// An event was sent.
pub(crate) fn published(key: &PaymentKey, r#type: &str, id: &str) {
    tracing::info!(
        project = key.project.as_str(),
        payment = key.id.as_str(),
        event = id,
        r#type,
        "an event was sent"
    );
}

/// An event was not sent. Its record will be delivered again.
pub(crate) fn not_published(error: &BoxError) {
    tracing::error!(error = causes(error.as_ref()), "an event could not be sent");
}

/// A record of the table's stream cannot be read.
pub(crate) fn unreadable_record(sequence: &str, error: &BoxError) {
    let error = causes(error.as_ref());
    tracing::error!(sequence, error, "a record of the stream cannot be read");
}
