//! Errors in the words of the contract. Causes go to the log and nowhere else.

use super::error_body::ErrorBody;
use super::invalid::Invalid;
use crate::auth::Denied;
use crate::error::BoxError;
use crate::payment::{Payment, PaymentId, PaymentKey, RegistrationRefusal, TransactionId};
use crate::ports::{NotActed, StoreError};
use http::{HeaderName, StatusCode, header};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// An error that a caller is answered.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    errors: Vec<ErrorBody>,
    pub(super) headers: Vec<(HeaderName, String)>,
    /// `error_description` of 401 and 403.
    is_about_access: bool,
    pub(super) cause: Option<BoxError>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            errors: vec![ErrorBody::new(code, message)],
            headers: Vec::new(),
            is_about_access: false,
            cause: None,
        }
    }

    /// The messages.
    #[cfg(feature = "local")]
    pub(super) fn message(&self) -> String {
        let messages: Vec<_> = self.errors.iter().map(|error| error.message.as_str()).collect();
        messages.join(" ")
    }

    /// The code of the first error.
    pub(super) fn code(&self) -> Option<&'static str> {
        self.errors.first().map(|error| error.code)
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

    /// A fault of ours.
    pub(super) fn general() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "General",
            "Something went wrong. Please verify the Payment before repeating the action.",
        )
    }

    /// A fault of ours, before anything was sent.
    pub(super) fn internal_nothing_sent() -> Self {
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

    pub(super) fn too_large(bytes_max: usize) -> Self {
        let message = format!("The body is longer than {bytes_max} bytes.");
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

    pub(super) fn duplicate_key(key: &str) -> Self {
        let message = format!("A duplicate value {key} exists for field key.");
        Self::new(StatusCode::BAD_REQUEST, "DuplicateField", message)
            .field("field", "key")
            .field("duplicateValue", key)
    }

    /// No Payment of the project has this key.
    pub(super) fn no_such_key(key: &str) -> Self {
        let message = format!("The Resource with key {key} was not found.");
        Self::new(StatusCode::NOT_FOUND, "ResourceNotFound", message)
            .field("resourceIdentifier", "key")
            .field("resourceId", key)
    }

    /// `action` is what was asked, as it was written.
    pub(super) fn unknown_update(action: &str) -> Self {
        let shown: String = action.chars().take(256).collect();
        let message = format!("The update action {shown} is not supported.");
        Self::new(StatusCode::BAD_REQUEST, "InvalidInput", message)
    }

    /// Only one predicate is understood; any other would find nothing, or all.
    pub(super) fn unknown_predicate(predicate: &str) -> Self {
        let shown: String = predicate.chars().take(256).collect();
        let message = format!(
            "Malformed parameter: where: {shown:?} is not supported; \
             Payments are found by interfaceId=\"…\"."
        );
        Self::new(StatusCode::BAD_REQUEST, "InvalidInput", message)
    }

    /// With `currentVersion`, so that clients repeat: nothing was written.
    pub(super) fn stale(key: &PaymentKey, expected: u64, current: u64) -> Self {
        let id = key.id.as_str();
        let message = format!(
            "Object {id} has a different version than expected. \
             Expected: {expected} - Actual: {current}."
        );
        Self::new(StatusCode::CONFLICT, "ConcurrentModification", message)
            .field("currentVersion", current)
            .field("expectedVersion", expected)
    }

    pub(super) fn invalid_operation(message: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidOperation", message)
    }

    pub(super) fn too_many_transactions() -> Self {
        Self::limit_exceeded("transaction", "transactions", Payment::TRANSACTIONS_MAX)
    }

    pub(super) fn limit_exceeded(kind: &'static str, counted: &str, limit: usize) -> Self {
        let message = format!("A Payment cannot have more than {limit} {counted}.");
        Self::new(StatusCode::BAD_REQUEST, "MaxResourceLimitExceeded", message)
            .field("limit", limit)
            .field("resourceTypeId", kind)
    }

    fn about_access(
        status: StatusCode,
        code: &'static str,
        message: impl Into<String>,
        challenge: &str,
    ) -> Self {
        let problem = Self::new(status, code, message).header(header::WWW_AUTHENTICATE, challenge);
        Self { is_about_access: true, ..problem }
    }

    pub(super) fn other_in_flight(key: &PaymentKey) -> Self {
        Self::in_flight(key, "Another action on this Payment is in flight. Nothing was sent.", 1)
    }

    /// The caller's own request is still being carried out, for as long as its
    /// lease at the most.
    pub(super) fn same_in_flight(key: &PaymentKey, lease_ms: u64) -> Self {
        let message = "This request is still being carried out. It was not sent again.";
        Self::in_flight(key, message, lease_ms.div_ceil(1_000).max(1))
    }

    /// Never with `currentVersion`: clients repeat blindly when they see it.
    fn in_flight(key: &PaymentKey, message: &str, retry_after_s: u64) -> Self {
        Self::new(StatusCode::CONFLICT, "ConcurrentModification", message)
            .field("resourceId", key.id.as_str())
            .header(header::RETRY_AFTER, retry_after_s.to_string())
    }

    /// The connector did not act. Says whether it was reached, and what it answered.
    pub(super) fn connector_failed(not_acted: Option<&NotActed>) -> Self {
        let message = match not_acted {
            None => "The connector could not be reached. Nothing moved.".to_owned(),
            Some(NotActed { status, codes }) => {
                let reasons = std::iter::once(status.to_string()).chain(codes.iter().cloned());
                let reasons: Vec<_> = reasons.collect();
                format!(
                    "The connector answered {} and did not act. Nothing moved.",
                    reasons.join(" ")
                )
            }
        };
        Self::new(StatusCode::BAD_GATEWAY, "ConnectorFailed", message)
    }

    /// Says which transactions do not agree, and how to resolve that.
    pub(super) fn discrepancy(transactions: &[TransactionId]) -> Self {
        let ids: Vec<_> = transactions.iter().map(TransactionId::as_str).collect();
        let message = format!(
            "What was reported does not fit the ledger: {}. Nothing was sent. To resolve it, \
             change the state of each to how far it really is, report what made room (such as a \
             further Authorization), or acknowledge the discrepancy.",
            ids.join(", ")
        );
        Self::invalid_operation(message).field("transactionIds", ids)
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        match &denied {
            // RFC 6750, 3.1: who shows no token is not told of an error.
            Denied::NoToken => Self::about_access(
                StatusCode::UNAUTHORIZED,
                "access_denied",
                "An access token is required: get one from the token service and send it \
                 as `Authorization: Bearer`.",
                "Bearer realm=\"payment-intents\"",
            ),
            Denied::InvalidToken(_) => Self::about_access(
                StatusCode::UNAUTHORIZED,
                "invalid_token",
                "The access token is invalid or has expired: get a new one from the token service.",
                "Bearer realm=\"payment-intents\", error=\"invalid_token\"",
            ),
            Denied::MissingScope(names) => Self::about_access(
                StatusCode::FORBIDDEN,
                "insufficient_scope",
                format!(
                    "Insufficient scope. One of the following is missing: {}.",
                    names.join(", ")
                ),
                "Bearer realm=\"payment-intents\", error=\"insufficient_scope\"",
            ),
            Denied::Unavailable(_) => Self::unavailable(),
        }
        .because(denied)
    }
}

/// The store failed before anything was sent.
impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => Self::unavailable().because(error),
            StoreError::Corrupt(_) => Self::internal_nothing_sent().because(error),
        }
    }
}

impl From<RegistrationRefusal> for Problem {
    fn from(refusal: RegistrationRefusal) -> Self {
        match refusal {
            RegistrationRefusal::TooManyTransactions
            | RegistrationRefusal::TooLarge
            | RegistrationRefusal::MorePlacedThanAuthorized
            | RegistrationRefusal::MoreRefundedThanCaptured
            | RegistrationRefusal::Money(_)
            | RegistrationRefusal::Inconsistent(_) => {
                Self::invalid_operation(format!("The Payment cannot be registered: {refusal}."))
            }
        }
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
