//! The requests to Stripe.

use super::StripeAccount;
use super::mark::Mark;
use crate::connector::authorization;
use crate::connector::minor_units::to_stripe;
use crate::connector::settings::ConnectorSettings;
use crate::error::BoxError;
use crate::payment::Action;
use crate::ports::{Call, ConnectorKey};
use crate::url::UNRESERVED;
use http::request::Builder;
use http::{Method, Request, header};
use http_body_util::Full;
use hyper::body::Bytes;
use percent_encoding::utf8_percent_encode;

/// The request of an action. Except for `final_capture`, it depends only on the transaction,
/// so that each attempt sends the same: Stripe refuses a key with other parameters.
pub(super) fn act(
    settings: &ConnectorSettings,
    account: &StripeAccount,
    call: &Call,
) -> Result<Request<Full<Bytes>>, BoxError> {
    let intent = payment_intent_id(&call.connector)?;
    let amount = to_stripe(call.amount, call.fraction_digits)?;
    let id = call.transaction.as_str();
    let (path, fields) = match &call.action {
        Action::Capture { .. } => {
            let mut fields = vec![
                ("amount_to_capture".to_owned(), amount.to_string()),
                Mark::Capture(amount).field(id)?,
            ];
            if account.multicapture && call.has_rest {
                fields.push(("final_capture".to_owned(), "false".to_owned()));
            }
            (format!("payment_intents/{intent}/capture"), fields)
        }
        Action::Refund { .. } => {
            let fields = vec![
                ("payment_intent".to_owned(), intent.to_owned()),
                ("amount".to_owned(), amount.to_string()),
                Mark::Refund(amount).field(id)?,
            ];
            ("refunds".to_owned(), fields)
        }
        Action::Cancel => (format!("payment_intents/{intent}/cancel"), Vec::new()),
        Action::Reverse => return Err("a reversal is sent as a cancel or a refund".into()),
    };
    let request = to_stripe_api(Method::POST, settings, account, &path)?
        .header("idempotency-key", id)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    Ok(request.body(Full::from(form(fields.iter().map(|(name, value)| (&**name, &**value)))))?)
}

/// The request that reads an object, or a list of objects if `id` is empty.
pub(super) fn get(
    settings: &ConnectorSettings,
    account: &StripeAccount,
    collection: &str,
    id: &str,
    query: &[(&str, &str)],
) -> Result<Request<Full<Bytes>>, BoxError> {
    let id = utf8_percent_encode(id, UNRESERVED);
    let query = form(query.iter().copied());
    let path = format!("{collection}/{id}?{query}");
    let path = path.trim_end_matches('?').replacen("/?", "?", 1);
    Ok(to_stripe_api(Method::GET, settings, account, &path)?.body(Full::default())?)
}

fn to_stripe_api(
    method: Method,
    settings: &ConnectorSettings,
    account: &StripeAccount,
    path: &str,
) -> Result<Builder, BoxError> {
    let base = settings.url.to_string();
    let uri = format!("{}/v1/{path}", base.trim_end_matches('/'));
    Ok(Request::builder()
        .method(method)
        .uri(uri)
        .header(header::ACCEPT, "application/json")
        .header(header::AUTHORIZATION, authorization(&account.api_key)?)
        .header("stripe-version", &account.api_version))
}

/// The id of the PaymentIntent: the `interfaceId` of the Payment.
pub(super) fn payment_intent_id(key: &ConnectorKey) -> Result<&str, BoxError> {
    let id = key.interface_id.as_deref().ok_or("the Payment has no interfaceId")?;
    let is_id = |rest: &str| rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if id.strip_prefix("pi_").is_some_and(|rest| !rest.is_empty() && is_id(rest)) {
        Ok(id)
    } else {
        Err("the interfaceId of the Payment is not that of a PaymentIntent (pi_…)".into())
    }
}

fn form<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let encoded = |text| utf8_percent_encode(text, UNRESERVED);
    let pairs = fields.map(|(name, value)| format!("{}={}", encoded(name), encoded(value)));
    pairs.collect::<Vec<_>>().join("&")
}
