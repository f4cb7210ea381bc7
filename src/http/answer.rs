//! Answers and problems: every outcome's status, code and public words, in one
//! exhaustive match. Causes go to the log and nowhere else.

#![warn(clippy::wildcard_enum_match_arm)]

use super::fields::Invalid;
use super::headers::CORRELATION_ID;
use super::representation::Representation;
use super::{Response, ResponseForm};
use crate::auth::Denied;
use crate::observe::causes;
use crate::payment::{Payment, PaymentId, PaymentKey, Refusal, RegistrationRefusal, TransactionId};
use crate::ports::{BoxError, Verdict};
use crate::service::{ActError, Done};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::json;
use serde_json::value::RawValue;

const TRANSACTION_ID: HeaderName = HeaderName::from_static("x-transaction-id");
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// A response in the making.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    headers: Vec<(HeaderName, String)>,
    body: String,
    /// The public code of what went wrong, for the log.
    code: Option<&'static str>,
    /// Why, for the log.
    cause: Option<BoxError>,
}

/// What went wrong, in words that a caller may read.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    errors: Vec<ErrorBody>,
    headers: Vec<(HeaderName, String)>,
    /// `error_description` of 401 and 403.
    is_about_access: bool,
    cause: Option<BoxError>,
}

/// One entry of `errors`.
#[derive(Debug)]
struct ErrorBody {
    code: &'static str,
    message: String,
    fields: Vec<(&'static str, Box<RawValue>)>,
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
        Ok(done) => outcome(done.verdict, form).on(transaction),
        Err(error) => failed(error, key, transaction),
    };
    if replayed { answer.with(REPLAYED, "true") } else { answer }
}

fn outcome(verdict: Verdict, form: ResponseForm) -> Answer {
    match (form, verdict) {
        (ResponseForm::Outcome, Verdict::Approved) => Answer::ok(r#"{"outcome":"approved"}"#),
        (ResponseForm::Outcome, Verdict::Received) => Answer::ok(r#"{"outcome":"received"}"#),
        (ResponseForm::Outcome, Verdict::Rejected) => Answer::ok(r#"{"outcome":"rejected"}"#),
        (ResponseForm::Empty, Verdict::Approved | Verdict::Received) => Answer::ok("{}"),
        (ResponseForm::Empty, Verdict::Rejected) => Problem::new(
            StatusCode::BAD_REQUEST,
            "PaymentFailure",
            "Payment could not be completed successfully.",
        )
        .into(),
    }
}

fn failed(error: ActError, key: &PaymentKey, transaction: &TransactionId) -> Answer {
    match error {
        ActError::NotFound => Problem::not_found(key).into(),
        ActError::Refused(refusal) => refused(refusal, key).into(),
        ActError::ConnectorFailed => Answer::from(Problem::new(
            StatusCode::BAD_GATEWAY,
            "ConnectorFailed",
            "The connector could not be reached.",
        ))
        .on(transaction),
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
        ActError::Corrupt(cause) => Problem::broken().because(cause).into(),
    }
}

fn refused(refusal: Refusal, key: &PaymentKey) -> Problem {
    match refusal {
        Refusal::InFlight | Refusal::LeaseExpired => Problem::in_flight(key),
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
            "A transaction of this Payment whose outcome is still to come is in the way."
                .to_owned(),
        ),
        Refusal::NothingToReverse => {
            Problem::invalid_operation("Nothing is left to cancel or refund.".to_owned())
        }
        Refusal::Withdrawn => Problem::unavailable(),
        Refusal::Repeated(_) | Refusal::Inconsistent => Problem::broken(),
    }
}

impl Answer {
    fn ok(body: &str) -> Self {
        Self {
            status: StatusCode::OK,
            headers: Vec::new(),
            body: body.to_owned(),
            code: None,
            cause: None,
        }
    }

    /// A Payment as the platform represents it.
    pub(super) fn payment(status: StatusCode, payment: &Payment) -> Self {
        match serde_json::to_string(&Representation::of(payment)) {
            Ok(body) => Self { status, ..Self::ok(&body) },
            Err(error) => Problem::broken().because(error).into(),
        }
    }

    /// Says that the caller's preference was heard.
    pub(super) fn applied(self, form: Option<ResponseForm>) -> Self {
        match form {
            Some(ResponseForm::Outcome) => self.with(PREFERENCE_APPLIED, "return=representation"),
            Some(ResponseForm::Empty) => self.with(PREFERENCE_APPLIED, "return=minimal"),
            None => self,
        }
    }

    /// Names the transaction in the ledger.
    fn on(self, transaction: &TransactionId) -> Self {
        self.with(TRANSACTION_ID, transaction.as_str())
    }

    fn with(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// One line for each failure that is ours or the connector's; what callers
    /// do wrong is theirs to know.
    pub(super) fn log(&self, correlation_id: &str) {
        if self.status.is_server_error() {
            tracing::error!(
                correlation_id,
                status = self.status.as_u16(),
                code = self.code,
                error = self.cause.as_ref().map(|cause| causes(cause.as_ref())),
                "a request failed"
            );
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

impl Problem {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        let error = ErrorBody { code, message: message.into(), fields: Vec::new() };
        Self {
            status,
            errors: vec![error],
            headers: Vec::new(),
            is_about_access: false,
            cause: None,
        }
    }

    /// What is wrong, in words.
    #[cfg(feature = "local")]
    pub(super) fn message(&self) -> String {
        let messages: Vec<_> = self.errors.iter().map(|error| error.message.as_str()).collect();
        messages.join(" ")
    }

    /// Keeps the cause for the log.
    pub(super) fn because(self, cause: impl Into<BoxError>) -> Self {
        Self { cause: Some(cause.into()), ..self }
    }

    fn field(mut self, name: &'static str, value: impl serde::Serialize) -> Self {
        if let Some(error) = self.errors.last_mut() {
            error.field(name, value);
        }
        self
    }

    fn header(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Our fault.
    pub(super) fn general() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "General",
            "Something went wrong. Please verify the Payment before repeating the action.",
        )
    }

    /// Our fault, and nothing was sent.
    pub(super) fn broken() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "General",
            "The Payment could not be processed, and nothing was sent. \
             Please verify the Payment before repeating the action.",
        )
    }

    pub(super) fn unavailable() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "ServiceUnavailable",
            "The service is temporarily unavailable. Nothing was sent.",
        )
        .header(header::RETRY_AFTER, "1")
    }

    pub(super) fn no_such_path() -> Self {
        Self::new(StatusCode::NOT_FOUND, "ResourceNotFound", "No resource has this path.")
    }

    pub(super) fn not_found(key: &PaymentKey) -> Self {
        let id = key.id.as_str();
        let message = format!("The Resource with ID {id} was not found.");
        Self::new(StatusCode::NOT_FOUND, "ResourceNotFound", message)
            .field("resourceIdentifier", "id")
            .field("resourceId", id)
    }

    pub(super) fn method_not_allowed(allow: &'static str) -> Self {
        let message = format!("This path answers {allow} only.");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message)
            .header(header::ALLOW, allow)
    }

    pub(super) fn too_large() -> Self {
        let message = format!("The body is longer than {} bytes.", super::BODY_BYTES_MAX);
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "ContentTooLarge", message)
    }

    pub(super) fn unsupported_media_type() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UnsupportedMediaType",
            "The Content-Type must be application/json.",
        )
    }

    pub(super) fn invalid_json(detail: &str) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "InvalidJsonInput",
            "Request body does not contain valid JSON.",
        )
        .field("detailedErrorMessage", detail)
    }

    pub(super) fn multiple_actions() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "MultipleActionsNotAllowed",
            "Actions accepts only one action at time. Array size must be 1.",
        )
    }

    /// One error for each field that is wrong.
    pub(super) fn invalid_fields<'a>(invalid: impl IntoIterator<Item = &'a Invalid>) -> Self {
        let errors: Vec<_> = invalid.into_iter().map(ErrorBody::of_field).collect();
        if errors.is_empty() {
            return Self::general();
        }
        Self { errors, ..Self::new(StatusCode::BAD_REQUEST, "InvalidField", "") }
    }

    pub(super) fn duplicate_id(id: &PaymentId) -> Self {
        let message = format!("A duplicate value {} exists for field id.", id.as_str());
        Self::new(StatusCode::BAD_REQUEST, "DuplicateField", message)
            .field("field", "id")
            .field("duplicateValue", id.as_str())
    }

    fn invalid_operation(message: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidOperation", message)
    }

    fn too_many_transactions() -> Self {
        let limit = Payment::TRANSACTIONS_MAX;
        let message = format!("A Payment cannot have more than {limit} transactions.");
        Self::new(StatusCode::BAD_REQUEST, "MaxResourceLimitExceeded", message)
            .field("limit", limit)
            .field("resourceTypeId", "transaction")
    }

    /// Never with `currentVersion`: clients repeat blindly when they see it.
    fn in_flight(key: &PaymentKey) -> Self {
        let message = "Another action on this Payment is in flight. Nothing was sent.";
        Self::new(StatusCode::CONFLICT, "ConcurrentModification", message)
            .field("resourceId", key.id.as_str())
            .header(header::RETRY_AFTER, "1")
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        let (status, code, message) = match denied {
            Denied::NoToken => (
                StatusCode::UNAUTHORIZED,
                "access_denied",
                "An access token is required: get one from the token service and send it \
                 as `Authorization: Bearer`."
                    .to_owned(),
            ),
            Denied::MissingScope(names) => (
                StatusCode::FORBIDDEN,
                "insufficient_scope",
                format!(
                    "Insufficient scope. One of the following is missing: {}.",
                    names.join(", ")
                ),
            ),
        };
        let challenge = format!("Bearer realm=\"payment-intents\", error=\"{code}\"");
        let problem = Self::new(status, code, message);
        Self { is_about_access: true, ..problem.header(header::WWW_AUTHENTICATE, challenge) }
    }
}

impl From<RegistrationRefusal> for Problem {
    fn from(refusal: RegistrationRefusal) -> Self {
        match refusal {
            RegistrationRefusal::TooManyTransactions
            | RegistrationRefusal::MorePlacedThanAuthorized
            | RegistrationRefusal::MoreRefundedThanCaptured
            | RegistrationRefusal::Money(_)
            | RegistrationRefusal::Inconsistent(_) => {
                Self::invalid_operation(format!("The Payment cannot be registered: {refusal}."))
            }
        }
    }
}

impl From<Problem> for Answer {
    fn from(problem: Problem) -> Self {
        let body = serde_json::to_string(&problem).unwrap_or_default();
        let code = problem.errors.first().map(|error| error.code);
        Self { status: problem.status, headers: problem.headers, body, code, cause: problem.cause }
    }
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let first = self.errors.first();
        let message = first.map_or("", |error| error.message.as_str());
        let mut body = serializer.serialize_map(None)?;
        body.serialize_entry("statusCode", &self.status.as_u16())?;
        body.serialize_entry("message", message)?;
        body.serialize_entry("errors", &self.errors)?;
        if self.is_about_access {
            body.serialize_entry("error", first.map_or("", |error| error.code))?;
            body.serialize_entry("error_description", message)?;
        }
        body.end()
    }
}

impl ErrorBody {
    fn of_field(invalid: &Invalid) -> Self {
        match invalid {
            Invalid::Missing { field } => {
                let message = format!("A value is required for field {field}.");
                let mut error = Self { code: "RequiredField", message, fields: Vec::new() };
                error.field("field", field);
                error
            }
            Invalid::Value { field, value, allowed } => {
                let message = format!("The value {value} is not valid for field {field}.");
                let mut error = Self { code: "InvalidField", message, fields: Vec::new() };
                error.field("field", field);
                error.field("invalidValue", value);
                if !allowed.is_empty() {
                    error.field("allowedValues", json!(allowed));
                }
                error
            }
        }
    }

    fn field(&mut self, name: &'static str, value: impl serde::Serialize) {
        if let Ok(value) = serde_json::value::to_raw_value(&value) {
            self.fields.push((name, value));
        }
    }
}

impl Serialize for ErrorBody {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut entry = serializer.serialize_map(None)?;
        entry.serialize_entry("code", self.code)?;
        entry.serialize_entry("message", &self.message)?;
        for (name, value) in &self.fields {
            entry.serialize_entry(name, value)?;
        }
        entry.end()
    }
}
