//! Connectors over HTTP: `POST {url}/operations/payment-intents/{paymentId}`,
//! the contract of the public payment connectors.

mod answer;
mod transport;

use crate::money::Money;
use crate::payment::ProjectKey;
use crate::payment::Timestamp;
use crate::ports::{BoxError, Call, Clock, Connector, ConnectorError, Verdict};
use http::{HeaderValue, Request, Uri, header};
use http_body_util::Full;
use hyper::body::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use std::collections::HashMap;
use std::time::Duration;
use transport::{NotAnswered, Transport};

/// What the operator says of one connector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectorSettings {
    /// Where it is: `https`, or a loopback address; no query.
    pub url: Uri,
    /// How long one call may take.
    pub timeout_ms: u64,
    /// What we show it.
    pub authorization: Authorization,
    /// Who may use it; everybody where it is `None`.
    pub projects: Option<Vec<ProjectKey>>,
}

/// How we identify ourselves to a connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authorization {
    /// Not at all.
    None,
    /// With the bearer token of our caller.
    Forward,
}

/// The connectors by the payment interface that they serve; `*` serves the rest.
pub type Connectors = HashMap<String, ConnectorSettings>;

/// Calls whichever connector serves the Payment.
#[derive(Debug)]
pub struct HttpConnector<K> {
    connectors: Connectors,
    transport: Transport,
    clock: K,
}

impl<K: Clock> HttpConnector<K> {
    /// Reads the system's certificate roots; connects to nobody yet.
    pub fn new(connectors: Connectors, clock: K) -> Result<Self, BoxError> {
        Ok(Self { connectors, transport: Transport::new()?, clock })
    }

    fn settings(&self, call: &Call) -> Result<&ConnectorSettings, Unserved> {
        let named = call.payment_interface.as_deref().and_then(|name| self.connectors.get(name));
        let settings = named.or_else(|| self.connectors.get("*")).ok_or(Unserved::Unknown)?;
        let projects = settings.projects.as_deref();
        if projects.is_none_or(|projects| projects.contains(&call.key.project)) {
            Ok(settings)
        } else {
            Err(Unserved::OtherProject)
        }
    }

    /// How long the call may take: the connector's own time, or what is left.
    fn time_for(&self, settings: &ConnectorSettings, deadline: Timestamp) -> Duration {
        let left_ms = deadline.ms_since(self.clock.now());
        Duration::from_millis(left_ms.min(settings.timeout_ms))
    }
}

impl<K: Clock> Connector for HttpConnector<K> {
    async fn call(&self, call: &Call, deadline: Timestamp) -> Result<Verdict, ConnectorError> {
        let settings = self.settings(call).map_err(never)?;
        let request = request(settings, call).map_err(ConnectorError::NeverExecuted)?;
        let time = self.time_for(settings, deadline);
        match self.transport.exchange(request, time).await {
            Ok(answer) => answer::verdict(answer.status, &answer.body),
            Err(NotAnswered::NeverSent(error)) => Err(ConnectorError::NeverExecuted(error)),
            Err(NotAnswered::Lost(error)) => Err(ConnectorError::OutcomeUnknown(error)),
        }
    }
}

fn never(error: Unserved) -> ConnectorError {
    ConnectorError::NeverExecuted(error.into())
}

/// Why no connector was called.
#[derive(Debug, thiserror::Error)]
enum Unserved {
    #[error("no connector is configured for the payment interface of the Payment")]
    Unknown,
    #[error("the connector of the Payment is not open to its project")]
    OtherProject,
}

/// Everything but what RFC 3986 leaves unreserved: a Payment id is one segment.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

fn request(settings: &ConnectorSettings, call: &Call) -> Result<Request<Full<Bytes>>, BoxError> {
    let id = utf8_percent_encode(call.key.id.as_str(), SEGMENT);
    let base = settings.url.to_string();
    let uri: Uri =
        format!("{}/operations/payment-intents/{id}", base.trim_end_matches('/')).parse()?;
    let body = serde_json::to_vec(&Body { actions: [ActionBody::of(call)] })?;
    let mut request = Request::post(uri)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "application/json")
        .header("idempotency-key", call.transaction.as_str())
        .header("x-correlation-id", &call.correlation_id);
    if settings.authorization == Authorization::Forward
        && let Some(bearer) = &call.bearer
    {
        let mut value = HeaderValue::try_from(format!("Bearer {}", bearer.reveal()))?;
        value.set_sensitive(true);
        request = request.header(header::AUTHORIZATION, value);
    }
    Ok(request.body(Full::from(body))?)
}

#[derive(Serialize)]
struct Body<'a> {
    actions: [ActionBody<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ActionBody<'a> {
    action: &'static str,
    amount: AmountBody,
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    merchant_reference: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AmountBody {
    cent_amount: u64,
    currency_code: String,
    fraction_digits: u8,
}

impl<'a> ActionBody<'a> {
    fn of(call: &'a Call) -> Self {
        Self {
            action: call.action.name(),
            amount: AmountBody::of(call.amount, call.fraction_digits),
            transaction_id: call.action.charge().map(|charge| charge.as_str()),
            merchant_reference: call.merchant_reference.as_deref(),
        }
    }
}

impl AmountBody {
    fn of(amount: Money, fraction_digits: u8) -> Self {
        Self {
            cent_amount: amount.minor_units(),
            currency_code: amount.currency().to_string(),
            fraction_digits,
        }
    }
}
