//! The verdict of a connector's answer. An answer that proves nothing is unknown.

use crate::error::BoxError;
use crate::payment::RejectionReason;
use crate::ports::{ConnectorError, NotActed, Rejections, Verdict};
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

/// The error codes for checks that connectors make before they act. A code proves that the
/// connector answered, and not a proxy in front of it.
const BEFORE_ACTING: &[&str] = &["RequiredField", "InvalidField", "InvalidJsonInput"];

/// The error codes for checks that connectors make after they have read the Payment.
const AFTER_LOOKING: &[&str] = &["InvalidOperation", "ResourceNotFound"];

/// Reads a complete answer. From a connector whose `rejected` is unproven, no error proves
/// anything: some connectors pass on errors that happened after they acted. On a later
/// attempt, `InvalidOperation` proves nothing: the first attempt may be its cause.
pub(super) fn verdict(
    status: StatusCode,
    body: &[u8],
    rejected: Rejections,
    is_first: bool,
) -> Result<Verdict, ConnectorError> {
    if status.is_success() {
        return outcome(body).map_err(ConnectorError::OutcomeUnknown);
    }
    let answered = ErrorAnswer { status, codes: codes(body) };
    if rejected == Rejections::Unproven {
        return Err(ConnectorError::OutcomeUnknown(answered.into()));
    }
    match status {
        StatusCode::UNAUTHORIZED => Err(answered.not_acted()),
        StatusCode::BAD_REQUEST if answered.has_only_codes(BEFORE_ACTING) => {
            Err(answered.not_acted())
        }
        StatusCode::NOT_FOUND if answered.has_only_codes(&["ResourceNotFound"]) => {
            Err(answered.not_acted())
        }
        StatusCode::BAD_REQUEST if is_first && answered.has_only_codes(&["InvalidOperation"]) => {
            Ok(Verdict::Rejected(RejectionReason::new(None, message(body).as_deref())))
        }
        _ => Err(ConnectorError::OutcomeUnknown(answered.into())),
    }
}

fn outcome(body: &[u8]) -> Result<Verdict, BoxError> {
    // The parser below would also accept an array for the struct.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err("the connector's answer is not a JSON object".into());
    }
    match serde_json::from_slice::<OutcomeBody>(body)?.outcome.as_str() {
        "approved" => Ok(Verdict::Approved),
        "received" => Ok(Verdict::Received(None)),
        "rejected" => Ok(Verdict::Rejected(reason(body))),
        _ => Err("the connector answered an outcome that is not in the contract".into()),
    }
}

#[derive(Deserialize)]
struct OutcomeBody {
    outcome: String,
}

/// The reason of a `rejected`: the fields that the platform's status of a Payment has for
/// it. A field of another type is no reason, and does not make the answer unreadable.
fn reason(body: &[u8]) -> Option<RejectionReason> {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let code = match body.get("interfaceCode") {
        Some(Value::Number(code)) => Some(code.to_string()),
        code => code.and_then(Value::as_str).map(str::to_owned),
    };
    let text = body.get("interfaceText").and_then(Value::as_str);
    RejectionReason::new(code.as_deref(), text)
}

/// The message of the first error of an error body.
fn message(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    body.pointer("/errors/0/message")?.as_str().map(str::to_owned)
}

/// The highest number of error codes that are read.
const CODES_MAX: usize = 16;

/// The codes of an error body. Empty if the body is not an error of the contract.
fn codes(body: &[u8]) -> Vec<String> {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let errors = body.get("errors").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let code = |error: &Value| error.get("code").and_then(Value::as_str).unwrap_or("?").to_owned();
    errors.iter().map(code).take(CODES_MAX).collect()
}

/// The error for an answer with an error status. Its text has only codes of the contract,
/// because other codes could contain anything.
#[derive(Debug, thiserror::Error)]
#[error("the connector answered {status} {:?}", self.contract_codes())]
struct ErrorAnswer {
    status: StatusCode,
    codes: Vec<String>,
}

impl ErrorAnswer {
    fn contract_codes(&self) -> Vec<&str> {
        let known = |code: &&str| BEFORE_ACTING.contains(code) || AFTER_LOOKING.contains(code);
        self.codes.iter().map(String::as_str).filter(known).collect()
    }

    /// The error for an answer that proves that the connector did not act.
    fn not_acted(self) -> ConnectorError {
        let codes = self.contract_codes().into_iter().map(str::to_owned).collect();
        let answer = NotActed { status: self.status.as_u16(), codes };
        ConnectorError::NotActed { answer, cause: self.into() }
    }

    /// True if it has codes, and all of them are expected.
    fn has_only_codes(&self, expected: &[&str]) -> bool {
        !self.codes.is_empty() && self.codes.iter().all(|code| expected.contains(&code.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A word for the verdict of an answer.
    fn counts(status: u16, body: &str, rejected: Rejections, is_first: bool) -> &'static str {
        let status = StatusCode::from_u16(status).unwrap();
        match verdict(status, body.as_bytes(), rejected, is_first) {
            Ok(Verdict::Approved) => "approved",
            Ok(Verdict::Received(_)) => "received",
            Ok(Verdict::Rejected(_)) => "rejected",
            Err(ConnectorError::NotReached(_) | ConnectorError::NotActed { .. }) => {
                "never executed"
            }
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
            assert_eq!(counts(status, body, Rejections::Final, true), expected, "{status} {body}");
            // From a connector whose `rejected` is unproven, an error proves nothing.
            let unproven = if status < 300 { expected } else { "unknown" };
            let counted = counts(status, body, Rejections::Unproven, true);
            assert_eq!(counted, unproven, "{status} {body}");
        }
    }

    #[test]
    fn a_rejection_has_the_reason_that_the_connector_gave() {
        for (status, body, expected) in [
            (200, r#"{"outcome":"rejected"}"#, None),
            (200, r#"{"outcome":"rejected","interfaceCode":"51"}"#, Some((Some("51"), None))),
            (200, r#"{"outcome":"rejected","interfaceCode":51}"#, Some((Some("51"), None))),
            (
                200,
                r#"{"outcome":"rejected","interfaceCode":"51","interfaceText":"No \nmoney"}"#,
                Some((Some("51"), Some("No money"))),
            ),
            (
                200,
                r#"{"outcome":"rejected","interfaceText":"Card 4111 1111 1111 1111"}"#,
                Some((None, Some("Card ****"))),
            ),
            (200, r#"{"outcome":"rejected","interfaceCode":{"a":1},"interfaceText":["b"]}"#, None),
            (
                200,
                r#"{"outcome":"rejected","interfaceText":"a","interfaceText":"b"}"#,
                Some((None, Some("b"))),
            ),
            (400, r#"{"errors":[{"code":"InvalidOperation"}]}"#, None),
            (
                400,
                r#"{"errors":[{"code":"InvalidOperation","message":"More than is left."}]}"#,
                Some((None, Some("More than is left."))),
            ),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let verdict = verdict(status, body.as_bytes(), Rejections::Final, true);
            let Ok(Verdict::Rejected(reason)) = verdict else { panic!("{body}") };
            let given = reason.as_ref().map(|reason| (reason.code(), reason.text()));
            assert_eq!(given, expected, "{body}");
        }
    }

    #[test]
    fn a_later_attempt_may_be_refused_because_of_the_first() {
        let refused = r#"{"errors":[{"code":"InvalidOperation"}]}"#;
        assert_eq!(counts(400, refused, Rejections::Final, false), "unknown");
        let rejected = r#"{"outcome":"rejected"}"#;
        assert_eq!(counts(200, rejected, Rejections::Final, false), "rejected");
    }
}
