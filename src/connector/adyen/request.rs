//! The requests to Adyen.

use super::AdyenAccount;
use crate::connector::minor_units::to_adyen;
use crate::connector::settings::ConnectorSettings;
use crate::error::BoxError;
use crate::payment::Action;
use crate::ports::{Call, ConnectorKey};
use http::{HeaderValue, Request, header};
use http_body_util::Full;
use hyper::body::Bytes;
use serde::Serialize;

/// The longest idempotency key:
/// <https://docs.adyen.com/development-resources/api-idempotency#enable-idempotency>. The
/// `reference`, which is the same text, may be longer.
const KEY_MAX: usize = 64;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    merchant_account: &'a str,
    /// A cancel has none: it releases all that is authorized.
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<Amount<'a>>,
    reference: &'a str,
}

#[derive(Serialize)]
struct Amount<'a> {
    currency: &'a str,
    value: u64,
}

/// The request of an action. It follows from the transaction alone, so that each attempt
/// sends the same.
pub(super) fn act(
    settings: &ConnectorSettings,
    account: &AdyenAccount,
    call: &Call,
) -> Result<Request<Full<Bytes>>, BoxError> {
    let payment = payment_reference(&call.connector)?;
    let id = call.transaction.as_str();
    if id.len() > KEY_MAX {
        return Err("the transaction id cannot be an idempotency key of Adyen".into());
    }
    let value = to_adyen(call.amount, call.fraction_digits)?;
    let currency = call.amount.currency();
    let amount = Amount { currency: currency.code(), value };
    let (path, amount) = match &call.action {
        Action::Capture { .. } => ("captures", Some(amount)),
        Action::Refund { .. } => ("refunds", Some(amount)),
        Action::Cancel => ("cancels", None),
        Action::Reverse => return Err("a reversal is sent as a cancel or a refund".into()),
    };
    let body = Body { merchant_account: &account.merchant_account, amount, reference: id };
    let mut key = HeaderValue::try_from(account.api_key.reveal())?;
    key.set_sensitive(true);
    let base = settings.url.to_string();
    let base = base.trim_end_matches('/');
    Ok(Request::post(format!("{base}/payments/{payment}/{path}"))
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "application/json")
        .header("x-api-key", key)
        .header("idempotency-key", id)
        .body(Full::from(serde_json::to_vec(&body)?))?)
}

/// Adyen's `pspReference` of a Payment, which is its `interfaceId`.
pub(super) fn payment_reference(key: &ConnectorKey) -> Result<&str, BoxError> {
    let id = key.interface_id.as_deref().ok_or("the Payment has no interfaceId")?;
    if !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        Ok(id)
    } else {
        Err("the interfaceId of the Payment is not a pspReference of Adyen".into())
    }
}
