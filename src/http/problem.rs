//! Errors in the words of the contract. Causes go to the log and nowhere else.
//!
//! `request` has the errors of a request that cannot be read, `payment` those of a
//! Payment that does not permit what was asked, `access` those of a token,
//! `webhook` those of a PSP's message.

mod access;
mod payment;
mod request;
mod webhook;

use super::error_body::ErrorBody;
use crate::error::BoxError;
use crate::ports::StoreError;
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
