//! What an operator sees: one line for each thing that happened to a
//! transaction, with fields from a short list (ids, action, amount, states,
//! durations, attempt), and never a body, a token, a key or a reference; and
//! metrics, as lines in CloudWatch's embedded format.

mod lines;
mod metrics;

pub use lines::{Logging, log_json, targets};

use crate::payment::{
    Outcome, Payment, PaymentKey, Refusal, Reservation, State, Timestamp, Transaction,
    TransactionId,
};
use crate::ports::{BoxError, Call, ConnectorError, Verdict};
use crate::recovery::RecoveryRun;
use crate::service::{ActError, Done};
use metrics::{measure, measure_by, members};
use std::error::Error;

/// A call to a connector ended. One line says so and counts it.
pub(crate) fn called(
    call: &Call,
    outcome: Outcome,
    error: Option<&ConnectorError>,
    duration_ms: u64,
    at: Timestamp,
) {
    let name = match outcome {
        Outcome::Approved => "approved",
        Outcome::Received => "received",
        Outcome::Rejected | Outcome::Disproved => "rejected",
        Outcome::NeverExecuted => "neverExecuted",
        Outcome::Unknown | Outcome::RejectedWithoutProof => "unknown",
    };
    let all = [("ConnectorTime", "Milliseconds", duration_ms)];
    let by_outcome = [("ConnectorCalls", "Count", 1), all[0]];
    if !tracing::enabled!(tracing::Level::INFO) {
        return measure_by(&all, Some((name, &by_outcome)), at);
    }
    tracing::info!(
        project = call.served.key.project.as_str(),
        payment = call.served.key.id.as_str(),
        transaction = call.transaction.as_str(),
        action = call.action.name(),
        amount = call.amount.minor_units(),
        currency = call.amount.currency().code(),
        attempt = call.attempt,
        ?outcome,
        duration_ms,
        correlation_id = call.correlation_id,
        error = error.and_then(Error::source).map(causes),
        metrics = members(&all, Some((name, &by_outcome)), at),
        "a call to the connector ended"
    );
}

/// How long an action took, in all and for its two writes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) reserve_ms: u64,
    /// `None` where there was nothing to settle.
    pub(crate) settle_ms: Option<u64>,
    pub(crate) total_ms: u64,
}

/// An action was answered.
pub(crate) fn acted(acted: &Result<Done, ActError>, times: Times, at: Timestamp) {
    let outcome = match acted {
        Ok(Done { replayed: true, .. }) => "repeated",
        Ok(Done { verdict: Verdict::Approved, .. }) => "approved",
        Ok(Done { verdict: Verdict::Received, .. }) => "received",
        Ok(Done { verdict: Verdict::Rejected, .. }) => "rejected",
        Err(ActError::Refused(_) | ActError::NotFound) => "refused",
        Err(ActError::OutcomeUnknown { .. }) => "unknown",
        Err(ActError::ConnectorFailed(_) | ActError::Unavailable(_) | ActError::Corrupt(_)) => {
            "failed"
        }
    };
    let in_the_way = matches!(
        acted,
        Err(ActError::Refused(
            Refusal::OtherInFlight | Refusal::SameInFlight { .. } | Refusal::LeaseExpired
        ))
    );
    let mut all = vec![
        ("ActionTime", "Milliseconds", times.total_ms),
        ("ReserveTime", "Milliseconds", times.reserve_ms),
        ("Conflicts", "Count", u64::from(in_the_way)),
    ];
    all.extend(times.settle_ms.map(|settle_ms| ("SettleTime", "Milliseconds", settle_ms)));
    measure_by(&all, Some((outcome, &[("Actions", "Count", 1)])), at);
}

/// A process is ready for its first event.
pub fn started(at: Timestamp) {
    measure(&[("ColdStarts", "Count", 1)], at);
}

/// What a run of recovery found. Written even where it found nothing: silence
/// means that recovery does not run.
pub fn recovered(run: &RecoveryRun, at: Timestamp) {
    let metrics = [
        ("OpenTransactions", "Count", run.open),
        ("UnknownTransactions", "Count", run.unknown),
        ("OldestOpenTransaction", "Milliseconds", run.oldest_ms),
        ("OldestUnknownTransaction", "Milliseconds", run.oldest_unknown_ms),
        ("ResolvedTransactions", "Count", run.resolved),
        ("UnreadablePayments", "Count", run.failed),
    ];
    measure(&metrics, at);
    tracing::info!(
        payments = run.payments,
        open = run.open,
        unknown = run.unknown,
        resolved = run.resolved,
        oldest_ms = run.oldest_ms,
        failed = run.failed,
        is_cut_short = run.is_cut_short,
        "recovery looked at what is open"
    );
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

/// Facts and other changes were written.
pub(crate) fn updated(from: &Payment, to: &Payment, at: Timestamp) {
    for (id, after) in &to.transactions {
        if from.transactions.get(id).map(|before| before.state) != Some(after.state) {
            transition(from, to, id);
        }
    }
    discrepant(from, to, at);
}

/// Facts and balances, or facts and answers, do not agree: somebody has to look.
pub(crate) fn discrepant(from: &Payment, to: &Payment, at: Timestamp) {
    let is_new = |found: &&Transaction| {
        !from.transactions.get(&found.id).is_some_and(Transaction::is_discrepant)
    };
    for found in to.discrepancies().filter(is_new) {
        measure(&[("Discrepancies", "Count", 1)], at);
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

/// A write that took over an expired lease, if `next` is that.
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

/// A reservation may have been written, and could not be given back.
pub(crate) fn not_withdrawn(reservation: &Reservation, error: &BoxError) {
    tracing::warn!(
        project = reservation.key.project.as_str(),
        payment = reservation.key.id.as_str(),
        transaction = reservation.transaction.as_str(),
        error = causes(error.as_ref()),
        "a reservation that may have been written could not be withdrawn"
    );
}

/// The one line from which an outcome can be told that could not be written.
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

/// The platform did not tell what became of a transaction.
pub(crate) fn not_looked_up(key: &PaymentKey, id: &TransactionId, error: &BoxError) {
    tracing::warn!(
        project = key.project.as_str(),
        payment = key.id.as_str(),
        transaction = id.as_str(),
        error = causes(error.as_ref()),
        "the platform could not be asked what became of a transaction"
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

/// An event was not sent. It will come again.
pub(crate) fn not_published(error: &BoxError) {
    tracing::error!(error = causes(error.as_ref()), "an event could not be sent");
}

/// A record of the table's stream does not tell what happened.
pub(crate) fn unreadable_record(sequence: &str, error: &BoxError) {
    let error = causes(error.as_ref());
    tracing::error!(sequence, error, "a record of the stream cannot be read");
}

/// An error with its causes, the nearest first: the log's own writer would leave
/// the causes out. Bounded, since nobody knows what they say.
pub(crate) fn causes(error: &(dyn Error + 'static)) -> String {
    const LENGTH_MAX: usize = 512;
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next.filter(|_| text.len() < LENGTH_MAX) {
        let said = cause.to_string();
        // Some repeat what their cause says.
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        next = cause.source();
    }
    text.chars().take(LENGTH_MAX).collect()
}
