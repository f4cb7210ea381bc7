//! The answers of the API, as status, body and headers.

use super::Answered;
use super::account::{Called, Refused};
use crate::error::BoxError;
use http::{Response, StatusCode};
use serde_json::json;

pub(super) fn broken() -> Refused {
    Refused::new(500, "api_error", None, "An error occurred at the sandbox, as planned.")
}

pub(super) fn text(called: Called) -> (u16, String) {
    match called {
        Ok(object) => (200, object.to_string()),
        Err(refused) => (refused.status, json!({"error": refused.error}).to_string()),
    }
}

/// An answer that is not a replay.
pub(super) fn plain(called: Called) -> Answered {
    let (status, body) = text(called);
    Some((status, false, body))
}

pub(super) fn answered(
    status: u16,
    is_replay: bool,
    body: &str,
) -> Result<Response<String>, BoxError> {
    let mut response = Response::builder()
        .status(StatusCode::from_u16(status)?)
        .header("content-type", "application/json");
    if is_replay {
        response = response.header("idempotent-replayed", "true");
    }
    if status >= 500 {
        // A repeated request would get the same answer.
        response = response.header("stripe-should-retry", "false");
    }
    Ok(response.body(body.to_owned())?)
}
