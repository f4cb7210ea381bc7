//! The answer for each result of the service: status, code and message.

#![warn(clippy::wildcard_enum_match_arm)]

use super::headers::CORRELATION_ID;
use super::message::Response;
use super::options::ResponseForm;
use super::problem::Problem;
use super::representation::{Page, Representation};
use crate::error::BoxError;
use crate::error::causes;
use crate::payment::{Payment, PaymentKey, Refusal, TransactionId, UpdateRefusal};
use crate::ports::Verdict;
use crate::service::{ActError, Done, UpdateError};
use http::{HeaderName, HeaderValue, StatusCode, header};

const TRANSACTION_ID: HeaderName = HeaderName::from_static("x-transaction-id");
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// The message of the log line of a request that failed here or at the connector.
pub(crate) const REQUEST_FAILED: &str = "a request failed";

/// The message of the log line of a request without a valid token or scope.
pub(crate) const CALLER_REFUSED: &str = "a caller was refused";

/// An answer before it becomes a response.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    headers: Vec<(HeaderName, String)>,
    body: String,
    /// The error code, for the log.
    code: Option<&'static str>,
    /// The cause of the error, for the log.
    cause: Option<BoxError>,
}

/// The answer to an action.
pub(super) fn to_action(
    acted: Result<Done, ActError>,
    form: ResponseForm,
    key: &PaymentKey,
    transaction: &TransactionId,
) -> Answer {
    let replayed = match &acted {
        Ok(done) => done.replayed,
        Err(ActError::OutcomeUnknown { replayed }) => *replayed,
        Err(_) => false,
    };
    let answer = match acted {
        Ok(done) => outcome(&done.verdict, form).on(transaction),
        Err(error) => failed(error, key, transaction),
    };
    if replayed { answer.with(REPLAYED, "true") } else { answer }
}

fn outcome(verdict: &Verdict, form: ResponseForm) -> Answer {
    match (form, verdict) {
        (ResponseForm::Outcome, Verdict::Approved) => Answer::ok(r#"{"outcome":"approved"}"#),
        (ResponseForm::Outcome, Verdict::Received(_)) => Answer::ok(r#"{"outcome":"received"}"#),
        (ResponseForm::Outcome, Verdict::Rejected(_)) => Answer::ok(r#"{"outcome":"rejected"}"#),
        (ResponseForm::Empty, Verdict::Approved | Verdict::Received(_)) => Answer::ok("{}"),
        (ResponseForm::Empty, Verdict::Rejected(reason)) => {
            Problem::rejected(reason.as_ref()).into()
        }
    }
}

fn failed(error: ActError, key: &PaymentKey, transaction: &TransactionId) -> Answer {
    match error {
        ActError::NotFound => Problem::not_found(key).into(),
        ActError::Refused(refusal) => refused(refusal, key).into(),
        ActError::ConnectorFailed(not_acted) => {
            Answer::from(Problem::connector_failed(not_acted.as_ref())).on(transaction)
        }
        ActError::OutcomeUnknown { .. } => Answer::from(Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "General",
            format!(
                "The outcome of transaction {transaction} is not known yet. \
                 Please verify the Payment before repeating the action."
            ),
        ))
        .on(transaction),
        ActError::Unavailable(cause) => Problem::unavailable().because(cause).into(),
        ActError::Corrupt(cause) => Problem::internal_nothing_sent().because(cause).into(),
    }
}

fn refused(refusal: Refusal, key: &PaymentKey) -> Problem {
    match refusal {
        Refusal::OtherInFlight | Refusal::LeaseExpired => Problem::other_in_flight(key),
        Refusal::SameInFlight { lease_ms } => Problem::same_in_flight(key, lease_ms),
        Refusal::Discrepancy { transactions } => Problem::discrepancy(&transactions),
        Refusal::KeyReused => Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "IdempotencyKeyReused",
            "The Idempotency-Key was used for an action with other content on this Payment.",
        ),
        Refusal::TooManyTransactions => Problem::too_many_transactions(),
        Refusal::OtherCurrency { expected, found } => Problem::invalid_operation(format!(
            "The action is in {found}, but the Payment is in {expected}."
        )),
        Refusal::NothingAuthorized => {
            Problem::invalid_operation("Nothing is authorized on this Payment.".to_owned())
        }
        Refusal::ExceedsCapturable { asked, available } => Problem::invalid_operation(format!(
            "Cannot capture {} {}: {} is left to capture (in minor units).",
            asked.minor_units(),
            asked.currency(),
            available.minor_units()
        )),
        Refusal::AlreadyCancelled => {
            Problem::invalid_operation("The authorization was already cancelled.".to_owned())
        }
        Refusal::NothingCaptured => {
            Problem::invalid_operation("Nothing was captured that could be refunded.".to_owned())
        }
        Refusal::ExceedsRefundable { asked, available } => Problem::invalid_operation(format!(
            "Cannot refund {} {}: {} is left to refund (in minor units).",
            asked.minor_units(),
            asked.currency(),
            available.minor_units()
        )),
        Refusal::NoSuchCharge => Problem::invalid_operation(
            "The transactionId does not name a successful Charge of this Payment.".to_owned(),
        ),
        Refusal::ExceedsCharge { asked, available } => Problem::invalid_operation(format!(
            "Cannot refund {} {} of this Charge: {} is left of it (in minor units).",
            asked.minor_units(),
            asked.currency(),
            available.minor_units()
        )),
        Refusal::AlreadyCaptured => Problem::invalid_operation(
            "The Payment was already captured; captured funds can be refunded, not cancelled."
                .to_owned(),
        ),
        Refusal::TransactionOpen => Problem::invalid_operation(
            "Another transaction of this Payment has no final outcome yet.".to_owned(),
        ),
        Refusal::NothingToReverse => {
            Problem::invalid_operation("Nothing is left to cancel or refund.".to_owned())
        }
        Refusal::PossiblyStaleCopy => Problem::unavailable(),
        Refusal::Repeated(_) | Refusal::Inconsistent => Problem::internal_nothing_sent(),
    }
}

/// The answer to an update that failed.
pub(super) fn to_update(error: UpdateError, key: &PaymentKey, expected: u64) -> Problem {
    match error {
        UpdateError::NotFound => Problem::not_found(key),
        UpdateError::Stale { current } => Problem::stale(key, expected, current),
        UpdateError::KeyTaken(taken) => Problem::duplicate_key(&taken),
        UpdateError::Store(error) => error.into(),
        UpdateError::Refused(refusal) => match refusal {
            UpdateRefusal::NoSuchTransaction(_)
            | UpdateRefusal::AlreadySet(_)
            | UpdateRefusal::NothingToAcknowledge(_)
            | UpdateRefusal::TooMuch(_)
            | UpdateRefusal::Inconsistent(_)
            | UpdateRefusal::TimeOfPsp(_)
            | UpdateRefusal::TransactionOpen
            | UpdateRefusal::OtherCurrency { .. } => {
                Problem::invalid_operation(format!("The Payment cannot be changed: {refusal}."))
            }
            UpdateRefusal::TooManyTransactions => Problem::limit_exceeded(
                "transaction",
                "transactions",
                Payment::TRANSACTIONS_MAX_REPORTED,
            ),
            UpdateRefusal::TooLarge => {
                Problem::limit_exceeded("payment", "bytes of text", Payment::TEXT_BYTES_MAX)
            }
        },
    }
}

impl Answer {
    pub(super) fn ok(body: &str) -> Self {
        Self {
            status: StatusCode::OK,
            headers: Vec::new(),
            body: body.to_owned(),
            code: None,
            cause: None,
        }
    }

    /// An answer with the platform's representation of a Payment.
    pub(super) fn payment(status: StatusCode, payment: &Payment) -> Self {
        match serde_json::to_string(&Representation::of(payment)) {
            Ok(body) => Self { status, ..Self::ok(&body) },
            Err(error) => Problem::internal_nothing_sent().because(error).into(),
        }
    }

    /// An answer with the platform's representation of a page with one result or none.
    pub(super) fn page(found: Option<&Payment>) -> Self {
        match serde_json::to_string(&Page::of(found)) {
            Ok(body) => Self::ok(&body),
            Err(error) => Problem::internal_nothing_sent().because(error).into(),
        }
    }

    /// Adds `Preference-Applied` if the caller stated a preference.
    pub(super) fn applied(self, form: Option<ResponseForm>) -> Self {
        match form {
            Some(ResponseForm::Outcome) => self.with(PREFERENCE_APPLIED, "return=representation"),
            Some(ResponseForm::Empty) => self.with(PREFERENCE_APPLIED, "return=minimal"),
            None => self,
        }
    }

    /// Adds the id of the transaction as `X-Transaction-ID`.
    fn on(self, transaction: &TransactionId) -> Self {
        self.with(TRANSACTION_ID, transaction.as_str())
    }

    pub(super) fn with(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Logs server errors, and callers that were refused with 401 or 403. Other client
    /// errors are not logged.
    pub(super) fn log(&self, correlation_id: &str) {
        let (status, code) = (self.status.as_u16(), self.code);
        let error = self.cause.as_ref().map(|cause| causes(cause.as_ref()));
        if self.status.is_server_error() {
            tracing::error!(correlation_id, status, code, error, "{REQUEST_FAILED}");
        } else if matches!(self.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            tracing::info!(correlation_id, status, code, error, "{CALLER_REFUSED}");
        }
    }

    pub(super) fn into_response(self, correlation_id: &str) -> Response {
        let mut response = Response::new(self.body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let named = self.headers.into_iter().chain([(CORRELATION_ID, correlation_id.to_owned())]);
        for (name, value) in named {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        }
        response
    }
}

impl From<Problem> for Answer {
    fn from(problem: Problem) -> Self {
        let body = serde_json::to_string(&problem).unwrap_or_default();
        let code = problem.code();
        Self { status: problem.status, headers: problem.headers, body, code, cause: problem.cause }
    }
}
