//! Errors of a Payment: it is not there, or it does not permit what was asked.

use super::Problem;
use crate::payment::{Payment, PaymentId, PaymentKey, RegistrationRefusal, TransactionId};
use crate::ports::NotActed;
use http::{StatusCode, header};

impl Problem {
    pub(in crate::http) fn not_found(key: &PaymentKey) -> Self {
        let id = key.id.as_str();
        let message = format!("The Resource with ID {id} was not found.");
        Self::new(StatusCode::NOT_FOUND, "ResourceNotFound", message)
            .field("resourceIdentifier", "id")
            .field("resourceId", id)
    }

    /// No Payment of the project has this key.
    pub(in crate::http) fn no_such_key(key: &str) -> Self {
        let message = format!("The Resource with key {key} was not found.");
        Self::new(StatusCode::NOT_FOUND, "ResourceNotFound", message)
            .field("resourceIdentifier", "key")
            .field("resourceId", key)
    }

    pub(in crate::http) fn duplicate_id(id: &PaymentId) -> Self {
        let message = format!("A duplicate value {} exists for field id.", id.as_str());
        Self::new(StatusCode::BAD_REQUEST, "DuplicateField", message)
            .field("field", "id")
            .field("duplicateValue", id.as_str())
    }

    pub(in crate::http) fn duplicate_key(key: &str) -> Self {
        let message = format!("A duplicate value {key} exists for field key.");
        Self::new(StatusCode::BAD_REQUEST, "DuplicateField", message)
            .field("field", "key")
            .field("duplicateValue", key)
    }

    /// With `currentVersion`, so that clients repeat: nothing was written.
    pub(in crate::http) fn stale(key: &PaymentKey, expected: u64, current: u64) -> Self {
        let id = key.id.as_str();
        let message = format!(
            "Object {id} has a different version than expected. \
             Expected: {expected} - Actual: {current}."
        );
        Self::new(StatusCode::CONFLICT, "ConcurrentModification", message)
            .field("currentVersion", current)
            .field("expectedVersion", expected)
    }

    pub(in crate::http) fn invalid_operation(message: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidOperation", message)
    }

    pub(in crate::http) fn too_many_transactions() -> Self {
        Self::limit_exceeded("transaction", "transactions", Payment::TRANSACTIONS_MAX)
    }

    pub(in crate::http) fn limit_exceeded(kind: &'static str, counted: &str, limit: usize) -> Self {
        let message = format!("A Payment cannot have more than {limit} {counted}.");
        Self::new(StatusCode::BAD_REQUEST, "MaxResourceLimitExceeded", message)
            .field("limit", limit)
            .field("resourceTypeId", kind)
    }

    pub(in crate::http) fn other_in_flight(key: &PaymentKey) -> Self {
        Self::in_flight(key, "Another action on this Payment is in flight. Nothing was sent.", 1)
    }

    /// The caller's own request is still being carried out, for as long as its
    /// lease at the most.
    pub(in crate::http) fn same_in_flight(key: &PaymentKey, lease_ms: u64) -> Self {
        let message = "This request is still being carried out. It was not sent again.";
        Self::in_flight(key, message, lease_ms.div_ceil(1_000).max(1))
    }

    /// Another request is in flight. It has no `currentVersion`, because clients would
    /// repeat at once.
    fn in_flight(key: &PaymentKey, message: &str, retry_after_s: u64) -> Self {
        Self::new(StatusCode::CONFLICT, "ConcurrentModification", message)
            .field("resourceId", key.id.as_str())
            .header(header::RETRY_AFTER, retry_after_s.to_string())
    }

    /// The connector did not act. The message has its answer, if it was reached.
    pub(in crate::http) fn connector_failed(not_acted: Option<&NotActed>) -> Self {
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

    /// A discrepancy stops the action. The message names the transactions and the ways to
    /// resolve it.
    pub(in crate::http) fn discrepancy(transactions: &[TransactionId]) -> Self {
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
