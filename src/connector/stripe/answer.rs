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
use crate::payment::Action;
use crate::ports::{Call, ConnectorError, NotActed, Verdict};
use crate::transport::Response;
use http::StatusCode;
use serde::Deserialize;

/// The meaning of an answer.
pub(super) enum Meaning {
    /// This outcome.
    Is(Result<Verdict, ConnectorError>),
    /// It will be the same whenever it is asked for, and proves nothing: the objects at
    /// Stripe may.
    LookUp(BoxError),
}

impl Meaning {
    pub(super) fn unknown(cause: impl Into<BoxError>) -> Self {
        Self::Is(Err(ConnectorError::OutcomeUnknown(cause.into())))
    }
}

/// Some of the codes by which Stripe says that the state of a payment does not allow the
/// action, or that it was tried and failed: for the log.
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
    "lock_timeout",
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

/// True if the answer was saved for the key, and is given again.
pub(super) fn is_saved(answer: &Response) -> bool {
    has_header(answer, "idempotent-replayed", "true")
}

/// Reads a complete answer to an action.
pub(super) fn read(account: &StripeAccount, call: &Call, answer: &Response) -> Meaning {
    if answer.status == StatusCode::OK {
        return Meaning::Is(
            done(account, call, &answer.body).map_err(ConnectorError::OutcomeUnknown),
        );
    }
    let error = StripeError::read(answer);
    let (is_known, is_no_retry) = (error.is_known(), error.is_no_retry);
    match answer.status {
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

/// The outcome by the object that a successful call answers with.
fn done(account: &StripeAccount, call: &Call, body: &[u8]) -> Result<Verdict, BoxError> {
    let id = payment_intent_id(&call.connector)?;
    let sent = to_stripe(call.amount, call.fraction_digits)?;
    let is_other = || "Stripe answered with an object that is not what was asked for";
    if let Action::Refund { .. } = call.action {
        let refund: Refund = serde_json::from_slice(body).map_err(|_| is_other())?;
        refund.check_payment_intent(&call.connector)?;
        if refund.amount != sent {
            return Err(is_other().into());
        }
        return match refund.status.as_deref() {
            Some("succeeded") => Ok(Verdict::Approved),
            Some("pending" | "requires_action") => Ok(Verdict::Received),
            Some("failed" | "canceled") => Ok(Verdict::Rejected),
            _ => Err("Stripe answered with a refund in a state that is not documented".into()),
        };
    }
    let intent: PaymentIntent = serde_json::from_slice(body).map_err(|_| is_other())?;
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
        (Action::Capture { .. }, "processing") => Ok(Verdict::Received),
        (Action::Cancel, "canceled") => Ok(Verdict::Approved),
        _ => Err("Stripe answered with a PaymentIntent in a state that proves nothing".into()),
    }
}

/// An error of Stripe. Shown with names of the lists above and no others, which could say
/// anything.
#[derive(Debug, thiserror::Error)]
#[error("Stripe answered {status} {}", self.name())]
struct StripeError {
    status: StatusCode,
    kind: String,
    code: String,
    /// Stripe advises to send it again.
    is_retry: bool,
    /// Stripe advises not to: it would answer the same.
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
}

impl StripeError {
    fn read(answer: &Response) -> Self {
        let body: Option<ErrorBody> = serde_json::from_slice(&answer.body).ok();
        let (kind, code) = body.map_or_else(Default::default, |body| {
            (body.error.r#type, body.error.code.unwrap_or_default())
        });
        Self {
            status: answer.status,
            kind,
            code,
            is_retry: has_header(answer, "stripe-should-retry", "true"),
            is_no_retry: has_header(answer, "stripe-should-retry", "false"),
        }
    }

    /// True if it is Stripe's, and not of something in front of it.
    fn is_known(&self) -> bool {
        !self.kind.is_empty()
    }

    fn name(&self) -> &str {
        let names = ["card_error", "idempotency_error", "invalid_request_error", "api_error"];
        let code = REJECTIONS.iter().chain(BEFORE_EXECUTING).find(|name| **name == self.code);
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
        // A content error, by the documentation: the request has to be another one.
        if matches!(self.kind.as_str(), "card_error" | "invalid_request_error") {
            return Meaning::Is(Ok(Verdict::Rejected));
        }
        Meaning::LookUp(self.into())
    }
}

fn has_header(answer: &Response, name: &str, value: &str) -> bool {
    answer.headers.get(name).is_some_and(|found| found.as_bytes() == value.as_bytes())
}
