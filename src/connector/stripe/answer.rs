//! The outcome that an answer of Stripe proves. An answer that proves nothing is unknown.
//!
//! Statuses: <https://docs.stripe.com/api/errors>. Which errors are saved for a key:
//! <https://docs.stripe.com/error-low-level#idempotency>. Codes:
//! <https://docs.stripe.com/error-codes>

use super::StripeAccount;
use super::objects::{PaymentIntent, Refund};
use super::request::payment_intent_id;
use crate::connector::minor_units::to_stripe;
use crate::error::BoxError;
use crate::payment::{Action, RejectionReason};
use crate::ports::{Call, ConnectorError, NotActed, Verdict};
use crate::transport::Response;
use http::StatusCode;
use serde::Deserialize;

/// The meaning of an answer.
pub(super) enum Meaning {
    /// This outcome.
    Is(Result<Verdict, ConnectorError>),
    /// The refund with this id was made. The answer is an old one, so that the refund may have
    /// failed since.
    Refund(String),
    /// It proves nothing, and Stripe would repeat it. The objects at Stripe may prove the
    /// outcome.
    LookUp(BoxError),
}

impl Meaning {
    pub(super) fn unknown(cause: impl Into<BoxError>) -> Self {
        Self::Is(Err(ConnectorError::OutcomeUnknown(cause.into())))
    }
}

/// Common codes of rejections: the state of the payment does not allow the action, or it was
/// tried and failed. They are named in the log.
const REJECTIONS: &[&str] = &[
    "amount_too_large",
    "amount_too_small",
    "balance_insufficient",
    "capture_charge_authorization_expired",
    "capture_unauthorized_payment",
    "charge_already_captured",
    "charge_already_refunded",
    "charge_disputed",
    "charge_exceeds_transaction_limit",
    "charge_expired_for_capture",
    "charge_not_refundable",
    "insufficient_funds",
    "payment_intent_unexpected_state",
    "refund_disputed_payment",
];

/// The codes of requests that Stripe refuses before it carries anything out.
const BEFORE_EXECUTING: &[&str] = &[
    "account_invalid",
    "api_key_expired",
    "idempotency_key_too_long",
    "livemode_mismatch",
    "parameter_invalid_empty",
    "parameter_invalid_integer",
    "parameter_invalid_string_blank",
    "parameter_invalid_string_empty",
    "parameter_missing",
    "parameter_unknown",
    "parameters_exclusive",
    "platform_api_key_expired",
    "rate_limit",
    "resource_missing",
    "secret_key_required",
    "testmode_charges_only",
    "tls_version_unsupported",
    "url_invalid",
];

/// The code of a request that waited too long for another one.
const LOCK_TIMEOUT: &str = "lock_timeout";

/// True if Stripe had saved the answer for the key, and repeats it.
pub(super) fn is_saved(answer: &Response) -> bool {
    has_header(answer, "idempotent-replayed", "true")
}

/// Reads a complete answer to an action.
pub(super) fn read(account: &StripeAccount, call: &Call, answer: &Response) -> Meaning {
    if answer.status == StatusCode::OK {
        return match (&call.action, is_saved(answer)) {
            (Action::Refund { .. }, true) => saved_refund(&answer.body),
            _ => Meaning::Is(
                outcome_of(account, call, &answer.body).map_err(ConnectorError::OutcomeUnknown),
            ),
        };
    }
    let error = StripeError::read(answer);
    let (is_known, is_no_retry) = (error.is_known(), error.is_no_retry);
    match answer.status {
        // The endpoint waited for an object that another request had locked. By the
        // documentation it may be sent again, which is less than that nothing was done.
        StatusCode::TOO_MANY_REQUESTS if error.code == LOCK_TIMEOUT => Meaning::unknown(error),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS
            if is_known =>
        {
            error.not_acted()
        }
        StatusCode::BAD_REQUEST | StatusCode::PAYMENT_REQUIRED | StatusCode::NOT_FOUND
            if is_known && !error.is_retry =>
        {
            error.refused()
        }
        status if status.is_server_error() && (is_no_retry || is_saved(answer)) => {
            Meaning::LookUp(error.into())
        }
        _ => Meaning::unknown(error),
    }
}

const IS_OTHER: &str = "Stripe answered with an object that is not what was asked for";

/// The outcome of a successful call, by the object in its answer.
fn outcome_of(account: &StripeAccount, call: &Call, body: &[u8]) -> Result<Verdict, BoxError> {
    let id = payment_intent_id(&call.connector)?;
    let sent = to_stripe(call.amount, call.fraction_digits)?;
    if let Action::Refund { .. } = call.action {
        return refund_outcome(call, &serde_json::from_slice(body).map_err(|_| IS_OTHER)?);
    }
    let intent: PaymentIntent = serde_json::from_slice(body).map_err(|_| IS_OTHER)?;
    intent.check_id(id)?;
    let is_captured = match account.multicapture {
        true => intent.amount_received >= sent,
        false => intent.amount_received == sent,
    };
    match (&call.action, intent.status.as_str()) {
        (Action::Capture { .. }, "succeeded") if is_captured => Ok(Verdict::Approved),
        (Action::Capture { .. }, "requires_capture") if account.multicapture && is_captured => {
            Ok(Verdict::Approved)
        }
        (Action::Capture { .. }, "processing") => Ok(Verdict::Received(None)),
        // If a part was captured, only the rest was released.
        (Action::Cancel, "canceled") if intent.amount_received == 0 => Ok(Verdict::Approved),
        _ => Err("Stripe answered with a PaymentIntent in a state that proves nothing".into()),
    }
}

/// The outcome of a refund, by its state.
pub(super) fn refund_outcome(call: &Call, refund: &Refund) -> Result<Verdict, BoxError> {
    refund.check_payment_intent(&call.connector)?;
    if refund.amount != to_stripe(call.amount, call.fraction_digits)? {
        return Err(IS_OTHER.into());
    }
    match refund.status.as_deref() {
        Some("succeeded") => Ok(Verdict::Approved),
        Some("pending" | "requires_action") => Ok(Verdict::Received(None)),
        Some("failed" | "canceled") => Ok(Verdict::Rejected(refund.reason())),
        _ => Err("Stripe answered with a refund in a state that is not documented".into()),
    }
}

fn saved_refund(body: &[u8]) -> Meaning {
    match serde_json::from_slice::<Refund>(body) {
        Ok(refund) => Meaning::Refund(refund.id),
        Err(_) => Meaning::unknown(IS_OTHER),
    }
}

/// An error of Stripe. Its text has only codes of the lists above, because any other text
/// could contain a secret.
#[derive(Debug, thiserror::Error)]
#[error("Stripe answered {status} {}", self.name())]
struct StripeError {
    status: StatusCode,
    kind: String,
    code: String,
    /// The text for the caller.
    reason: Option<RejectionReason>,
    /// Stripe advises to repeat the request.
    is_retry: bool,
    /// Stripe advises not to repeat the request: the answer would be the same.
    is_no_retry: bool,
}

#[derive(Deserialize)]
struct ErrorBody {
    error: ErrorFields,
}

#[derive(Deserialize)]
struct ErrorFields {
    r#type: String,
    code: Option<String>,
    /// The card issuer's reason, with the code `card_declined`.
    decline_code: Option<String>,
    message: Option<String>,
}

impl StripeError {
    fn read(answer: &Response) -> Self {
        let body: Option<ErrorBody> = serde_json::from_slice(&answer.body).ok();
        let (kind, code, reason) = body.map_or_else(Default::default, |ErrorBody { error }| {
            let code = error.decline_code.as_deref().or(error.code.as_deref());
            let reason = RejectionReason::new(code, error.message.as_deref());
            (error.r#type, error.code.unwrap_or_default(), reason)
        });
        Self {
            status: answer.status,
            kind,
            code,
            reason,
            is_retry: has_header(answer, "stripe-should-retry", "true"),
            is_no_retry: has_header(answer, "stripe-should-retry", "false"),
        }
    }

    /// True if it is an error of Stripe, and not of a proxy in front of it.
    fn is_known(&self) -> bool {
        !self.kind.is_empty()
    }

    fn name(&self) -> &str {
        let names = ["card_error", "idempotency_error", "invalid_request_error", "api_error"];
        let code = REJECTIONS
            .iter()
            .chain(BEFORE_EXECUTING)
            .chain([&LOCK_TIMEOUT])
            .find(|name| **name == self.code);
        let kind = || names.iter().find(|name| **name == self.kind);
        code.or_else(kind).copied().unwrap_or("without a code that is known here")
    }

    fn not_acted(self) -> Meaning {
        let answer = NotActed { status: self.status.as_u16(), codes: vec![self.name().to_owned()] };
        Meaning::Is(Err(ConnectorError::NotActed { answer, cause: self.into() }))
    }

    /// The meaning of a request that Stripe refused.
    fn refused(self) -> Meaning {
        if self.kind == "idempotency_error" {
            // The first request with the key had other parameters.
            return Meaning::LookUp(self.into());
        }
        if BEFORE_EXECUTING.contains(&self.code.as_str()) {
            return self.not_acted();
        }
        // By the documentation, an error of the content: the same request cannot succeed.
        if matches!(self.kind.as_str(), "card_error" | "invalid_request_error") {
            return Meaning::Is(Ok(Verdict::Rejected(self.reason)));
        }
        Meaning::LookUp(self.into())
    }
}

fn has_header(answer: &Response, name: &str, value: &str) -> bool {
    answer.headers.get(name).is_some_and(|found| found.as_bytes() == value.as_bytes())
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

    fn account(multicapture: bool) -> StripeAccount {
        StripeAccount {
            api_key: Secret::new("sk_1".to_owned()),
            webhook_secrets: Vec::new(),
            api_version: StripeAccount::API_VERSION.to_owned(),
            multicapture,
        }
    }

    fn call(action: Action) -> Call {
        let amount = Money::new(40, Currency::parse("EUR").unwrap()).unwrap();
        let project = ProjectKey::parse("demo").unwrap();
        let payment = PaymentKey { project, id: PaymentId::parse("p").unwrap() };
        Call {
            connector: ConnectorKey {
                payment,
                payment_interface: None,
                interface_id: Some("pi_1".to_owned()),
                fraction_digits: 2,
            },
            transaction: TransactionId::parse("t").unwrap(),
            attempt: 1,
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
        Action::Capture { amount: call(Action::Cancel).amount }
    }

    fn refund() -> Action {
        Action::Refund { amount: call(Action::Cancel).amount, charge: None }
    }

    /// The meaning of an answer, in a word.
    fn counts(
        action: Action,
        multicapture: bool,
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
        match read(&account(multicapture), &call(action), &answer) {
            Meaning::LookUp(_) => "look up",
            Meaning::Refund(_) => "read the refund",
            Meaning::Is(Ok(Verdict::Approved)) => "approved",
            Meaning::Is(Ok(Verdict::Received(_))) => "received",
            Meaning::Is(Ok(Verdict::Rejected(_))) => "rejected",
            Meaning::Is(Err(ConnectorError::NotReached(_) | ConnectorError::NotActed { .. })) => {
                "never executed"
            }
            Meaning::Is(Err(ConnectorError::OutcomeUnknown(_))) => "unknown",
        }
    }

    fn intent(status: &str, received: u64) -> Value {
        json!({
            "id": "pi_1", "status": status, "amount": 100, "amount_capturable": 0,
            "amount_received": received, "currency": "eur", "latest_charge": "ch_1",
        })
    }

    #[test]
    fn an_object_counts_by_its_status_and_only_if_it_is_what_was_asked_for() {
        let refunded = |status: &str, amount: u64, of: &str| {
            json!({
                "id": "re_1", "amount": amount, "currency": "eur", "created": 1,
                "payment_intent": of, "status": status,
            })
        };
        let other = |mut object: Value| {
            object["id"] = json!("pi_2");
            object
        };
        for (action, multicapture, body, expected) in [
            (capture(), false, intent("succeeded", 40), "approved"),
            (capture(), false, intent("succeeded", 39), "unknown"),
            (capture(), false, intent("succeeded", 41), "unknown"),
            (capture(), false, intent("requires_capture", 40), "unknown"),
            (capture(), false, intent("processing", 0), "received"),
            (capture(), false, intent("requires_action", 0), "unknown"),
            (capture(), false, intent("canceled", 0), "unknown"),
            (capture(), false, other(intent("succeeded", 40)), "unknown"),
            (capture(), true, intent("requires_capture", 40), "approved"),
            (capture(), true, intent("requires_capture", 90), "approved"),
            (capture(), true, intent("requires_capture", 39), "unknown"),
            (capture(), true, intent("succeeded", 90), "approved"),
            (Action::Cancel, false, intent("canceled", 0), "approved"),
            (Action::Cancel, true, intent("canceled", 40), "unknown"),
            (Action::Cancel, false, intent("requires_capture", 0), "unknown"),
            (Action::Cancel, false, intent("succeeded", 40), "unknown"),
            (Action::Cancel, false, other(intent("canceled", 0)), "unknown"),
            (refund(), false, refunded("succeeded", 40, "pi_1"), "approved"),
            (refund(), false, refunded("pending", 40, "pi_1"), "received"),
            (refund(), false, refunded("requires_action", 40, "pi_1"), "received"),
            (refund(), false, refunded("failed", 40, "pi_1"), "rejected"),
            (refund(), false, refunded("canceled", 40, "pi_1"), "rejected"),
            (refund(), false, refunded("new_state", 40, "pi_1"), "unknown"),
            (refund(), false, refunded("failed", 39, "pi_1"), "unknown"),
            (refund(), false, refunded("failed", 40, "pi_2"), "unknown"),
            (refund(), false, intent("succeeded", 40), "unknown"),
            (capture(), false, json!({}), "unknown"),
            (capture(), false, json!([]), "unknown"),
        ] {
            let counted = counts(action.clone(), multicapture, 200, &[], &body.to_string());
            assert_eq!(counted, expected, "{action:?} {body}");
        }
        let saved = [("idempotent-replayed", "true")];
        let old = refunded("succeeded", 40, "pi_1").to_string();
        assert_eq!(counts(refund(), false, 200, &saved, &old), "read the refund");
        assert_eq!(counts(refund(), false, 200, &saved, "{}"), "unknown");
        for status in [201, 202, 204, 301, 302, 307] {
            let body = intent("succeeded", 40).to_string();
            assert_eq!(counts(capture(), false, status, &[], &body), "unknown", "{status}");
        }
    }

    #[test]
    fn an_error_counts_as_what_it_proves() {
        const INVALID: &str = "invalid_request_error";
        const NO: &[(&str, &str)] = &[("stripe-should-retry", "false")];
        const YES: &[(&str, &str)] = &[("stripe-should-retry", "true")];
        const AGAIN: &[(&str, &str)] = &[("idempotent-replayed", "true")];
        for (status, kind, code, headers, expected) in [
            (400, INVALID, "payment_intent_unexpected_state", &[][..], "rejected"),
            (400, INVALID, "amount_too_large", &[], "rejected"),
            (400, INVALID, "charge_already_refunded", AGAIN, "rejected"),
            (400, INVALID, "", &[], "rejected"),
            (400, INVALID, "a_new_code", &[], "rejected"),
            (402, "card_error", "card_declined", &[], "rejected"),
            (402, "card_error", "card_declined", YES, "unknown"),
            (400, INVALID, "parameter_missing", &[], "never executed"),
            (400, INVALID, "parameter_unknown", &[], "never executed"),
            (404, INVALID, "resource_missing", &[], "never executed"),
            (401, INVALID, "", &[], "never executed"),
            (401, INVALID, "api_key_expired", &[], "never executed"),
            (403, INVALID, "", &[], "never executed"),
            (429, INVALID, "rate_limit", YES, "never executed"),
            (429, INVALID, "lock_timeout", YES, "unknown"),
            (400, "idempotency_error", "", &[], "look up"),
            (400, "api_error", "", &[], "look up"),
            (409, INVALID, "idempotency_key_in_use", &[], "unknown"),
            (409, INVALID, "", YES, "unknown"),
            (424, INVALID, "", &[], "unknown"),
            (500, "api_error", "", &[], "unknown"),
            (500, "api_error", "", YES, "unknown"),
            (500, "api_error", "", NO, "look up"),
            (500, "api_error", "", AGAIN, "look up"),
            (503, "api_error", "", &[], "unknown"),
            (503, "api_error", "", NO, "look up"),
        ] {
            let body = json!({"error": {"type": kind, "code": code, "message": "No."}});
            for action in [capture(), refund(), Action::Cancel] {
                let counted = counts(action, false, status, headers, &body.to_string());
                assert_eq!(counted, expected, "{status} {kind} {code} {headers:?}");
            }
        }
        // A proxy in front of Stripe may have answered.
        for status in [400, 401, 402, 403, 404, 429, 500] {
            for body in ["", "<html>", "{}", r#"{"error":"no"}"#] {
                assert_eq!(counts(capture(), false, status, &[], body), "unknown", "{status}");
            }
        }
    }

    #[test]
    fn a_rejection_has_stripes_reason() {
        let reason = |action: Action, status: u16, body: Value| {
            let status = StatusCode::from_u16(status).unwrap();
            let answer =
                Response { status, headers: HeaderMap::new(), body: body.to_string().into() };
            let Meaning::Is(Ok(Verdict::Rejected(reason))) =
                read(&account(false), &call(action), &answer)
            else {
                panic!("{body} is no rejection")
            };
            let reason = reason.expect("a reason");
            (reason.code().map(str::to_owned), reason.text().map(str::to_owned))
        };
        let declined = json!({"error": {
            "type": "card_error", "code": "card_declined", "decline_code": "insufficient_funds",
            "message": "Your card has insufficient funds.",
        }});
        let text = "Your card has insufficient funds.".to_owned();
        let expected = (Some("insufficient_funds".to_owned()), Some(text));
        assert_eq!(reason(capture(), 402, declined), expected);
        let late = json!({"error": {
            "type": "invalid_request_error", "code": "charge_expired_for_capture",
        }});
        let expected = (Some("charge_expired_for_capture".to_owned()), None);
        assert_eq!(reason(capture(), 400, late), expected);
        let failed = json!({
            "id": "re_1", "amount": 40, "currency": "eur", "created": 1, "payment_intent": "pi_1",
            "status": "failed", "failure_reason": "expired_or_canceled_card",
        });
        let expected = (Some("expired_or_canceled_card".to_owned()), None);
        assert_eq!(reason(refund(), 200, failed), expected);
    }

    #[test]
    fn an_error_names_only_what_the_lists_have() {
        let secret = json!({"error": {"type": "sk_live_1", "code": "sk_live_2"}}).to_string();
        let error = |body: String| {
            let status = StatusCode::BAD_REQUEST;
            let headers = HeaderMap::new();
            StripeError::read(&Response { status, headers, body: body.into() }).to_string()
        };
        assert!(!error(secret).contains("sk_live"));
        let known = json!({"error": {"type": "card_error", "code": "amount_too_large"}});
        assert_eq!(error(known.to_string()), "Stripe answered 400 Bad Request amount_too_large");
    }
}
