//! How an answer counts. Everything that is not a proof of something is
//! unknown.

use crate::ports::{BoxError, ConnectorError, Verdict};
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

/// Reads a complete answer.
pub(super) fn verdict(status: StatusCode, body: &[u8]) -> Result<Verdict, ConnectorError> {
    if status.is_success() {
        return outcome(body).map_err(ConnectorError::OutcomeUnknown);
    }
    let answered = Answered { status, codes: codes(body) };
    // Connectors check these before they act; only a code proves that it was
    // the connector, and not something in front of it, that answered.
    const BEFORE_ACTING: &[&str] = &["RequiredField", "InvalidField", "InvalidJsonInput"];
    match status {
        StatusCode::UNAUTHORIZED => Err(ConnectorError::NeverExecuted(answered.into())),
        StatusCode::BAD_REQUEST if answered.are(BEFORE_ACTING) => {
            Err(ConnectorError::NeverExecuted(answered.into()))
        }
        StatusCode::NOT_FOUND if answered.are(&["ResourceNotFound"]) => {
            Err(ConnectorError::NeverExecuted(answered.into()))
        }
        StatusCode::BAD_REQUEST if answered.are(&["InvalidOperation"]) => Ok(Verdict::Rejected),
        _ => Err(ConnectorError::OutcomeUnknown(answered.into())),
    }
}

fn outcome(body: &[u8]) -> Result<Verdict, BoxError> {
    // The reader below would take an array for an object, too.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err("the connector answered something else than a JSON object".into());
    }
    match serde_json::from_slice::<Answer>(body)?.outcome.as_str() {
        "approved" => Ok(Verdict::Approved),
        "received" => Ok(Verdict::Received),
        "rejected" => Ok(Verdict::Rejected),
        _ => Err("the connector answered an outcome that the contract does not have".into()),
    }
}

#[derive(Deserialize)]
struct Answer {
    outcome: String,
}

/// The codes of an error body; none where it is anything else.
fn codes(body: &[u8]) -> Vec<String> {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let errors = body.get("errors").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let code = |error: &Value| error.get("code").and_then(Value::as_str).unwrap_or("?").to_owned();
    errors.iter().map(code).collect()
}

#[derive(Debug, thiserror::Error)]
#[error("the connector answered {status} {codes:?}")]
struct Answered {
    status: StatusCode,
    codes: Vec<String>,
}

impl Answered {
    /// Whether it gave reasons, and none but these.
    fn are(&self, expected: &[&str]) -> bool {
        !self.codes.is_empty() && self.codes.iter().all(|code| expected.contains(&code.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an answer counts as, in a word.
    fn counts(status: u16, body: &str) -> &'static str {
        match verdict(StatusCode::from_u16(status).unwrap(), body.as_bytes()) {
            Ok(Verdict::Approved) => "approved",
            Ok(Verdict::Received) => "received",
            Ok(Verdict::Rejected) => "rejected",
            Err(ConnectorError::NeverExecuted(_)) => "never executed",
            Err(ConnectorError::OutcomeUnknown(_)) => "unknown",
        }
    }

    #[test]
    fn only_a_proof_counts_as_one() {
        for (status, body, expected) in [
            (200, r#"{"outcome":"approved"}"#, "approved"),
            (200, r#"{"outcome":"received","more":[1]}"#, "received"),
            (201, r#"{"outcome":"rejected"}"#, "rejected"),
            (200, r#"{"outcome":"initial"}"#, "unknown"),
            (200, r#"{"outcome":"Approved"}"#, "unknown"),
            (200, r#"{"outcome":null}"#, "unknown"),
            (200, r#"{"outcome":{"approved":null}}"#, "unknown"),
            (200, r#"["approved"]"#, "unknown"),
            (200, r#"{"outcome":"approved"} x"#, "unknown"),
            (200, r#"{"outcome":"approved","outcome":"rejected"}"#, "unknown"),
            (200, "{}", "unknown"),
            (200, "<html>", "unknown"),
            (204, "", "unknown"),
            (302, r#"{"outcome":"approved"}"#, "unknown"),
            (400, r#"{"errors":[{"code":"InvalidOperation"}]}"#, "rejected"),
            (400, r#"{"errors":[{"code":"InvalidField"}]}"#, "never executed"),
            (400, r#"{"errors":[{"code":"RequiredField"}]}"#, "never executed"),
            (400, r#"{"errors":[{"code":"InvalidJsonInput"}]}"#, "never executed"),
            (400, r#"{"errors":[{"code":"InvalidField"},{"code":"Odd"}]}"#, "unknown"),
            (400, r#"{"errors":[]}"#, "unknown"),
            (400, "bad request", "unknown"),
            (401, "", "never executed"),
            (403, r#"{"errors":[{"code":"InvalidField"}]}"#, "unknown"),
            (404, r#"{"errors":[{"code":"ResourceNotFound"}]}"#, "never executed"),
            (404, "no such page", "unknown"),
            (409, r#"{"errors":[{"code":"InvalidOperation"}]}"#, "unknown"),
            (422, r#"{"errors":[{"code":"InvalidField"}]}"#, "unknown"),
            (429, "", "unknown"),
            (500, r#"{"errors":[{"code":"InvalidField"}]}"#, "unknown"),
            (503, "", "unknown"),
        ] {
            assert_eq!(counts(status, body), expected, "{status} {body}");
        }
    }
}
