//! The outcome that an answer of Adyen proves. An answer that proves nothing is unknown.
//!
//! | answer | counts as | by |
//! |---|---|---|
//! | 201, `status` `received`, and what was asked for | received | the API reference of the [capture], [cancel] and [refund]: the outcome comes by webhook |
//! | 201 with anything else, any other 2xx, 3xx | unknown | |
//! | 401, 403 | not executed | [status codes]: authentication or permission is missing |
//! | 400, and 422 with the `errorType` `validation` or `security` | not executed | [status codes] and [error codes]: the server cannot understand the request |
//! | 422 with the `errorType` `configuration` | rejected | [error codes]: the account does not allow it |
//! | any status with the code 704, or `transient-error: true` | unknown | [idempotency]: the first request with the key may be at work |
//! | 422 with another `errorType`, another 4xx, 5xx, what is not Adyen's | unknown | the documentation leaves it open |
//!
//! On a later attempt a 400 or 422 of the table is a rejection if Adyen has it on record for
//! the key, so that it holds for each attempt: the answer has the header `idempotency-key`, and
//! the request that is sent once more is answered with the same `pspReference`, which is not
//! that of the payment. A request that is processed anew gets a new reference. Otherwise the
//! outcome is unknown. A 401 or 403 on a later attempt says nothing about the earlier ones.
//!
//! [capture]: https://docs.adyen.com/api-explorer/Checkout/71/post/payments/(paymentPspReference)/captures
//! [cancel]: https://docs.adyen.com/api-explorer/Checkout/71/post/payments/(paymentPspReference)/cancels
//! [refund]: https://docs.adyen.com/api-explorer/Checkout/71/post/payments/(paymentPspReference)/refunds
//! [status codes]: https://docs.adyen.com/development-resources/response-handling
//! [error codes]: https://docs.adyen.com/development-resources/error-codes
//! [idempotency]: https://docs.adyen.com/development-resources/api-idempotency#error-handling

use super::AdyenAccount;
use super::request::payment_reference;
use crate::connector::minor_units::to_adyen;
use crate::error::BoxError;
use crate::payment::{Action, RejectionReason};
use crate::ports::{Call, ConnectorError, NotActed, Verdict};
use crate::transport::Response;
use http::StatusCode;
use serde::Deserialize;

/// The code of a request whose key is known: "request already processed or in progress".
const IN_PROGRESS: &str = "704";

/// Reads a complete answer to an action.
pub(super) fn read(
    account: &AdyenAccount,
    call: &Call,
    answer: &Response,
) -> Result<Verdict, ConnectorError> {
    if answer.status == StatusCode::CREATED {
        return received(account, call, &answer.body).map_err(ConnectorError::OutcomeUnknown);
    }
    let error = AdyenError::read(answer);
    if error.is_transient || error.code == IN_PROGRESS {
        return Err(ConnectorError::OutcomeUnknown(error.into()));
    }
    let is_by_key = header(answer, "idempotency-key") == Some(call.transaction.as_str());
    match (answer.status, error.kind) {
        (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, Some(_)) => Err(error.not_acted()),
        (StatusCode::BAD_REQUEST, Some(_))
        | (
            StatusCode::UNPROCESSABLE_ENTITY,
            Some(Kind::Validation | Kind::Security | Kind::Configuration),
        ) if call.attempt > 1 => match is_by_key {
            true => Ok(Verdict::Rejected(error.reason)),
            false => Err(ConnectorError::OutcomeUnknown(error.into())),
        },
        (StatusCode::BAD_REQUEST, Some(_))
        | (StatusCode::UNPROCESSABLE_ENTITY, Some(Kind::Validation | Kind::Security)) => {
            Err(error.not_acted())
        }
        (StatusCode::UNPROCESSABLE_ENTITY, Some(Kind::Configuration)) => {
            Ok(Verdict::Rejected(error.reason))
        }
        _ => Err(ConnectorError::OutcomeUnknown(error.into())),
    }
}

/// True if both answers are the one that Adyen has on record for the key: a rejection with the
/// same `pspReference`. A request that is processed anew gets a new one. The reference of the
/// payment itself says nothing.
pub(super) fn is_on_record(account: &AdyenAccount, call: &Call, answers: [&Response; 2]) -> bool {
    let reference = |answer: &Response| {
        let body: Option<ErrorBody> = serde_json::from_slice(&answer.body).ok();
        body.and_then(|body| body.psp_reference).filter(|reference| !reference.is_empty())
    };
    let is_rejection =
        |answer: &&Response| matches!(read(account, call, answer), Ok(Verdict::Rejected(_)));
    let [first, again] = answers.map(reference);
    let is_of_payment = first.as_deref() == payment_reference(&call.connector).ok();
    answers.iter().all(is_rejection) && first.is_some() && first == again && !is_of_payment
}

/// The body of a 201.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Modification {
    merchant_account: String,
    payment_psp_reference: String,
    psp_reference: String,
    reference: Option<String>,
    status: String,
    amount: Option<Amount>,
}

#[derive(Deserialize)]
struct Amount {
    currency: String,
    value: u64,
}

/// Adyen took the action on, if the answer is about what was asked for.
fn received(account: &AdyenAccount, call: &Call, body: &[u8]) -> Result<Verdict, BoxError> {
    let is_other = || "Adyen answered with something else than was asked for";
    let found: Modification = serde_json::from_slice(body).map_err(|_| is_other())?;
    let is_amount = match (&call.action, &found.amount) {
        (Action::Cancel, _) => true,
        (_, None) => false,
        (_, Some(amount)) => {
            amount.value == to_adyen(call.amount, call.fraction_digits)?
                && amount.currency == call.amount.currency().code()
        }
    };
    let id = call.transaction.as_str();
    let is_it = is_amount
        && found.status == "received"
        && found.merchant_account == account.merchant_account
        && found.payment_psp_reference == payment_reference(&call.connector)?
        && found.reference.as_deref().is_none_or(|reference| reference == id)
        && !found.psp_reference.is_empty();
    if is_it { Ok(Verdict::Received(Some(found.psp_reference))) } else { Err(is_other().into()) }
}

/// The category of an error, as `errorType` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Validation,
    Security,
    Configuration,
    /// One that nothing is concluded from.
    Other,
}

/// An error of Adyen.
#[derive(Debug, thiserror::Error)]
#[error("Adyen answered {status} {kind:?} {}", self.name())]
struct AdyenError {
    status: StatusCode,
    /// `None` if the answer is not Adyen's, but of something in front of it.
    kind: Option<Kind>,
    code: String,
    /// The text for the caller.
    reason: Option<RejectionReason>,
    is_transient: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ErrorBody {
    error_code: String,
    error_type: String,
    message: Option<String>,
    psp_reference: Option<String>,
}

impl AdyenError {
    fn read(answer: &Response) -> Self {
        let body: Option<ErrorBody> = serde_json::from_slice(&answer.body).ok();
        let kind = body.as_ref().map(|body| match body.error_type.as_str() {
            "validation" => Kind::Validation,
            "security" => Kind::Security,
            "configuration" => Kind::Configuration,
            _ => Kind::Other,
        });
        let reason = body
            .as_ref()
            .and_then(|body| RejectionReason::new(Some(&body.error_code), body.message.as_deref()));
        Self {
            status: answer.status,
            kind,
            reason,
            code: body.map(|body| body.error_code).unwrap_or_default(),
            is_transient: header(answer, "transient-error") == Some("true"),
        }
    }

    /// The code, if it is one of Adyen's: a number. Anything else could say anything.
    fn name(&self) -> &str {
        const CODE_MAX: usize = 8;
        let is_digit = |byte: u8| byte.is_ascii_digit() || byte == b'_';
        let is_code =
            !self.code.is_empty() && self.code.len() <= CODE_MAX && self.code.bytes().all(is_digit);
        if is_code { &self.code } else { "without a code" }
    }

    fn not_acted(self) -> ConnectorError {
        let answer = NotActed { status: self.status.as_u16(), codes: vec![self.name().to_owned()] };
        ConnectorError::NotActed { answer, cause: self.into() }
    }
}

fn header<'a>(answer: &'a Response, name: &str) -> Option<&'a str> {
    answer.headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::{Currency, Money};
    use crate::payment::{PaymentId, PaymentKey, ProjectKey, TransactionId};
    use crate::ports::ConnectorKey;
    use crate::secret::Secret;
    use http::{HeaderMap, HeaderName, HeaderValue};
    use serde_json::{Value, json};

    fn account() -> AdyenAccount {
        AdyenAccount {
            merchant_account: "Shop".to_owned(),
            api_key: Secret::new("key".to_owned()),
            hmac_keys: Vec::new(),
            multicapture: false,
        }
    }

    fn call(action: Action, attempt: u32) -> Call {
        let amount = Money::new(40, Currency::parse("EUR").unwrap()).unwrap();
        let project = ProjectKey::parse("demo").unwrap();
        let payment = PaymentKey { project, id: PaymentId::parse("p").unwrap() };
        Call {
            connector: ConnectorKey {
                payment,
                payment_interface: None,
                interface_id: Some("PAY1".to_owned()),
                fraction_digits: 2,
            },
            transaction: TransactionId::parse("t").unwrap(),
            attempt,
            action,
            amount,
            has_rest: false,
            fraction_digits: 2,
            merchant_reference: None,
            correlation_id: "c".to_owned(),
            bearer: None,
        }
    }

    fn capture() -> Action {
        Action::Capture { amount: call(Action::Cancel, 1).amount }
    }

    fn refund() -> Action {
        Action::Refund { amount: call(Action::Cancel, 1).amount, charge: None }
    }

    const BY_KEY: (&str, &str) = ("idempotency-key", "t");
    const TRANSIENT: (&str, &str) = ("transient-error", "true");

    /// The meaning of an answer, in a word.
    fn counts(
        call: &Call,
        status: u16,
        headers: &[(&'static str, &'static str)],
        body: &str,
    ) -> &'static str {
        let header = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        let answer = Response {
            status: StatusCode::from_u16(status).unwrap(),
            headers: headers.iter().map(header).collect::<HeaderMap>(),
            body: body.to_owned().into(),
        };
        match read(&account(), call, &answer) {
            Ok(Verdict::Approved) => "approved",
            Ok(Verdict::Received(_)) => "received",
            Ok(Verdict::Rejected(_)) => "rejected",
            Err(ConnectorError::NotReached(_) | ConnectorError::NotActed { .. }) => "not executed",
            Err(ConnectorError::OutcomeUnknown(_)) => "unknown",
        }
    }

    fn modification() -> Value {
        json!({
            "merchantAccount": "Shop", "paymentPspReference": "PAY1", "pspReference": "MOD1",
            "reference": "t", "status": "received", "amount": {"currency": "EUR", "value": 40},
        })
    }

    #[test]
    fn a_201_counts_only_if_it_is_about_what_was_asked_for() {
        let with = |field: &str, value: Value| {
            let mut changed = modification();
            changed[field] = value;
            changed
        };
        let amount = |currency: &str, value: u64| json!({"currency": currency, "value": value});
        for (body, expected, of_a_cancel) in [
            (modification(), "received", "received"),
            (with("reference", Value::Null), "received", "received"),
            (with("reference", json!("u")), "unknown", "unknown"),
            (with("status", json!("authorised")), "unknown", "unknown"),
            (with("merchantAccount", json!("Other")), "unknown", "unknown"),
            (with("paymentPspReference", json!("PAY2")), "unknown", "unknown"),
            (with("pspReference", json!("")), "unknown", "unknown"),
            (with("pspReference", Value::Null), "unknown", "unknown"),
            (with("amount", amount("EUR", 41)), "unknown", "received"),
            (with("amount", amount("USD", 40)), "unknown", "received"),
            (with("amount", Value::Null), "unknown", "received"),
            (json!({}), "unknown", "unknown"),
            (json!([]), "unknown", "unknown"),
        ] {
            let body = body.to_string();
            for attempt in [1, 2] {
                for action in [capture(), refund()] {
                    assert_eq!(counts(&call(action, attempt), 201, &[], &body), expected, "{body}");
                }
                let cancel = call(Action::Cancel, attempt);
                assert_eq!(counts(&cancel, 201, &[], &body), of_a_cancel, "{body}");
            }
        }
        for status in [200, 202, 204, 301, 302, 307] {
            let counted = counts(&call(capture(), 1), status, &[], &modification().to_string());
            assert_eq!(counted, "unknown", "{status}");
        }
    }

    /// The columns: the first attempt; a later one; a later one whose answer is by its key.
    #[test]
    fn an_error_counts_as_what_it_proves() {
        const NOT: [&str; 3] = ["not executed", "unknown", "rejected"];
        const AUTH: [&str; 3] = ["not executed"; 3];
        const NO: [&str; 3] = ["rejected", "unknown", "rejected"];
        const OPEN: [&str; 3] = ["unknown"; 3];
        for (status, kind, code, expected) in [
            (400, "validation", "702", NOT),
            (401, "security", "000", AUTH),
            (403, "security", "010", AUTH),
            (403, "security", "901", AUTH),
            (422, "validation", "167", NOT),
            (422, "validation", "137", NOT),
            (422, "security", "010", NOT),
            (422, "configuration", "905", NO),
            (422, "internal", "000", OPEN),
            (422, "a new kind", "000", OPEN),
            (422, "validation", "704", OPEN),
            (409, "validation", "704", OPEN),
            (409, "validation", "000", OPEN),
            (404, "validation", "000", OPEN),
            (429, "validation", "000", OPEN),
            (500, "internal", "000", OPEN),
            (500, "configuration", "905", OPEN),
            (503, "internal", "703", OPEN),
        ] {
            let body = json!({
                "status": status, "errorCode": code, "message": "No.", "errorType": kind,
            });
            let body = body.to_string();
            for action in [capture(), refund(), Action::Cancel] {
                let first = counts(&call(action.clone(), 1), status, &[], &body);
                let later = call(action, 2);
                let found = [
                    first,
                    counts(&later, status, &[], &body),
                    counts(&later, status, &[BY_KEY], &body),
                ];
                assert_eq!(found, expected, "{status} {kind} {code}");
                let other_key = counts(&later, status, &[("idempotency-key", "u")], &body);
                assert_eq!(other_key, expected[1], "{status} {kind} {code}");
                for attempt in [1, 2] {
                    let call = call(capture(), attempt);
                    let counted = counts(&call, status, &[TRANSIENT, BY_KEY], &body);
                    assert_eq!(counted, "unknown", "{status} {kind} {code}");
                }
            }
        }
        // Something in front of Adyen may answer, too.
        for status in [400, 401, 403, 404, 422, 500] {
            for body in ["", "<html>", "{}", r#"{"errorCode":"167"}"#, "[]"] {
                let counted = counts(&call(capture(), 1), status, &[], body);
                assert_eq!(counted, "unknown", "{status} {body}");
            }
        }
    }

    #[test]
    fn a_rejection_is_on_record_if_it_comes_twice_under_one_id_of_its_own() {
        let answer = |reference: Option<&str>, is_by_key: bool, kind: &str| {
            let body = json!({
                "errorCode": "905", "errorType": kind, "pspReference": reference,
            });
            let mut headers = HeaderMap::new();
            if is_by_key {
                headers.insert("idempotency-key", HeaderValue::from_static("t"));
            }
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            Response { status, headers, body: body.to_string().into() }
        };
        let known = answer(Some("E1"), true, "configuration");
        let call = call(capture(), 2);
        for (first, again, expected) in [
            (&known, &known, true),
            (&known, &answer(Some("E2"), true, "configuration"), false),
            (&known, &answer(None, true, "configuration"), false),
            (&known, &answer(Some("E1"), false, "configuration"), false),
            (&known, &answer(Some("E1"), true, "internal"), false),
        ] {
            assert_eq!(is_on_record(&account(), &call, [first, again]), expected);
        }
        // None, an empty one, and that of the payment.
        for reference in [None, Some(""), Some("PAY1")] {
            let twice = answer(reference, true, "configuration");
            assert!(!is_on_record(&account(), &call, [&twice, &twice]), "{reference:?}");
        }
    }

    #[test]
    fn a_rejection_has_adyens_reason() {
        let body = json!({
            "status": 422, "errorCode": "905", "errorType": "configuration",
            "message": "Payment details are not supported",
        });
        let (status, headers) = (StatusCode::UNPROCESSABLE_ENTITY, HeaderMap::new());
        let answer = Response { status, headers, body: body.to_string().into() };
        let reason = RejectionReason::new(Some("905"), Some("Payment details are not supported"));
        assert!(reason.is_some());
        let rejected = read(&account(), &call(capture(), 1), &answer);
        assert_eq!(rejected.ok(), Some(Verdict::Rejected(reason)));
    }

    #[test]
    fn an_error_repeats_no_text_of_the_answer() {
        let error = |code: &str, kind: &str| {
            let body = json!({"errorCode": code, "errorType": kind, "message": "secret"});
            let (status, headers) = (StatusCode::UNPROCESSABLE_ENTITY, HeaderMap::new());
            AdyenError::read(&Response { status, headers, body: body.to_string().into() })
                .to_string()
        };
        assert!(error("167", "validation").ends_with("Some(Validation) 167"));
        assert!(!error("secret", "secret").contains("secret"));
        assert!(!error("1234567890", "validation").contains("1234567890"));
    }
}
