//! The client of connectors over HTTP. It sends
//! `POST {url}/operations/payment-intents/{paymentId}`, the contract of the public payment
//! connectors. A PSP that is called directly gets its own requests in place of it.

mod adyen;
mod answer;
mod minor_units;
mod platform;
mod settings;
mod stripe;
mod token;
mod webhooks;

pub use adyen::AdyenAccount;
pub use settings::{
    Authorization, ClientCredentials, ConnectorSettings, Connectors, Platform, Psp,
};
pub use stripe::StripeAccount;

use crate::error::BoxError;
use crate::money::Money;
use crate::payment::{DirectPsps, Report, Timestamp, Transaction};
use crate::ports::{Call, Clock, Connector, ConnectorError, ConnectorKey, Policy, Resend, Verdict};
use crate::secret::Secret;
use crate::transport::{NotAnswered, Transport};
use crate::url::UNRESERVED;
use http::{HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::Full;
use hyper::body::Bytes;
use percent_encoding::utf8_percent_encode;
use serde::Serialize;
use std::time::Duration;
use token::Tokens;

/// The longest answer of a connector that is read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Calls the connector that is configured for the Payment.
#[derive(Debug)]
pub struct HttpConnector<K> {
    connectors: Connectors,
    transport: Transport,
    tokens: Tokens,
    psps: DirectPsps,
    clock: K,
}

impl<K: Clock> HttpConnector<K> {
    /// A client of these connectors, without open connections.
    pub fn new(connectors: Connectors, transport: Transport, clock: K) -> Self {
        let psps = connectors.iter().map(|(interface, settings)| {
            (interface.clone(), settings.policy.psp.clone().unwrap_or_default())
        });
        let psps = DirectPsps::new(psps.collect());
        Self { connectors, transport, tokens: Tokens::default(), psps, clock }
    }

    /// Opens connections to the connectors and their token services within `time`. Sends
    /// no request.
    pub async fn open_connections(&self, time: Duration) {
        let addresses = self.connectors.values().flat_map(|settings| {
            let token_url = match &settings.authorization {
                Authorization::ClientCredentials(credentials) => Some(&credentials.token_url),
                Authorization::None | Authorization::Forward => None,
            };
            std::iter::once(&settings.url).chain(token_url)
        });
        self.transport.open(addresses, time, self.clock.now()).await;
    }

    /// True if a token service refused a client secret in its last answer.
    pub fn is_secret_refused(&self) -> bool {
        self.tokens.is_secret_refused()
    }

    fn settings(&self, key: &ConnectorKey) -> Result<&ConnectorSettings, NotConfigured> {
        let named = key.payment_interface.as_deref().and_then(|name| self.connectors.get(name));
        let settings = named.or_else(|| self.connectors.get("*")).ok_or(NotConfigured::Unknown)?;
        let projects = settings.projects.as_deref();
        if projects.is_none_or(|projects| projects.contains(&key.payment.project)) {
            Ok(settings)
        } else {
            Err(NotConfigured::OtherProject)
        }
    }

    fn time_until(&self, deadline: Timestamp) -> Duration {
        Duration::from_millis(deadline.ms_since(self.clock.now()))
    }

    /// The bearer token for a request to the connector, if it needs one.
    async fn bearer(
        &self,
        authorization: &Authorization,
        forwarded: Option<&Secret>,
        deadline: Timestamp,
    ) -> Result<Option<Secret>, BoxError> {
        match authorization {
            Authorization::None => Ok(None),
            Authorization::Forward => Ok(forwarded.cloned()),
            Authorization::ClientCredentials(credentials) => {
                let (now, time) = (self.clock.now(), self.time_until(deadline));
                self.tokens.get(&self.transport, credentials, now, time).await.map(Some)
            }
        }
    }

    /// Drops a cached token that was refused with 401.
    async fn drop_refused_token(
        &self,
        authorization: &Authorization,
        sent: Option<&Secret>,
        status: StatusCode,
    ) {
        if let (Authorization::ClientCredentials(credentials), Some(sent)) = (authorization, sent)
            && status == StatusCode::UNAUTHORIZED
        {
            self.tokens.drop_refused(credentials, sent).await;
        }
    }
}

impl<K: Clock> Connector for HttpConnector<K> {
    fn resends(&self) -> bool {
        self.connectors.values().any(|settings| settings.policy.resend != Resend::Never)
    }

    fn psps(&self) -> DirectPsps {
        self.psps.clone()
    }

    fn name<'a>(&self, key: &'a ConnectorKey) -> &'a str {
        let interface = key.payment_interface.as_deref();
        interface.filter(|name| self.connectors.contains_key(*name)).unwrap_or("*")
    }

    fn policy(&self, key: &ConnectorKey) -> Policy {
        self.settings(key).map(|settings| settings.policy.clone()).unwrap_or_default()
    }

    async fn call(&self, call: &Call, deadline: Timestamp) -> Result<Verdict, ConnectorError> {
        let settings = self.settings(&call.connector).map_err(not_reached)?;
        let deadline = deadline.min(self.clock.now().plus_ms(settings.timeout_ms));
        match &settings.psp {
            Some(Psp::Stripe(account)) => {
                return self.call_stripe(settings, account, call, deadline).await;
            }
            Some(Psp::Adyen(account)) => {
                return self.call_adyen(settings, account, call, deadline).await;
            }
            None => {}
        }
        let bearer = self.bearer(&settings.authorization, call.bearer.as_ref(), deadline).await;
        let bearer = bearer.map_err(ConnectorError::NotReached)?;
        let request = request(settings, call, bearer.as_ref());
        let request = request.map_err(ConnectorError::NotReached)?;
        let time = self.time_until(deadline);
        match self.transport.exchange(request, time, ANSWER_BYTES_MAX, self.clock.now()).await {
            Ok(answer) => {
                let authorization = &settings.authorization;
                self.drop_refused_token(authorization, bearer.as_ref(), answer.status).await;
                let is_first = call.attempt == 1;
                answer::verdict(answer.status, &answer.body, settings.policy.rejected, is_first)
            }
            Err(NotAnswered::NeverSent(error)) => Err(ConnectorError::NotReached(error)),
            Err(NotAnswered::Lost(error)) => Err(ConnectorError::OutcomeUnknown(error)),
        }
    }

    async fn look_up(
        &self,
        key: &ConnectorKey,
        open: &Transaction,
        deadline: Timestamp,
    ) -> Result<Vec<Report>, BoxError> {
        let settings = self.settings(key)?;
        let deadline = deadline.min(self.clock.now().plus_ms(settings.timeout_ms));
        if let Some(Psp::Stripe(account)) = &settings.psp {
            return self.look_up_at_stripe(settings, account, key, open, deadline).await;
        }
        let platform = settings.platform.as_ref().ok_or(NotConfigured::NoPlatform)?;
        let bearer = self.bearer(&platform.authorization, None, deadline).await?;
        let request = platform::request(platform, key, bearer.as_ref())?;
        let time = self.time_until(deadline);
        let exchanged = self
            .transport
            .exchange(request, time, platform::ANSWER_BYTES_MAX, self.clock.now())
            .await;
        let answer = exchanged.map_err(NotAnswered::into_cause)?;
        self.drop_refused_token(&platform.authorization, bearer.as_ref(), answer.status).await;
        platform::transactions(answer.status, &answer.body)
    }
}

fn not_reached(error: NotConfigured) -> ConnectorError {
    ConnectorError::NotReached(error.into())
}

/// The reasons why a Payment has no usable connector or platform.
#[derive(Debug, thiserror::Error)]
enum NotConfigured {
    #[error("no connector is configured for the payment interface of the Payment")]
    Unknown,
    #[error("the connector of the Payment is not configured for its project")]
    OtherProject,
    #[error("no platform is configured for the connector of the Payment")]
    NoPlatform,
}

/// The URL `{base}/{path}/{id}`, with `id` percent-encoded.
fn address(base: &Uri, path: &str, id: &str) -> Result<Uri, BoxError> {
    let (base, id) = (base.to_string(), utf8_percent_encode(id, UNRESERVED));
    Ok(format!("{}/{path}/{id}", base.trim_end_matches('/')).parse()?)
}

/// The value of an `Authorization` header, marked as sensitive.
fn authorization(bearer: &Secret) -> Result<HeaderValue, BoxError> {
    let mut value = HeaderValue::try_from(format!("Bearer {}", bearer.reveal()))?;
    value.set_sensitive(true);
    Ok(value)
}

fn request(
    settings: &ConnectorSettings,
    call: &Call,
    bearer: Option<&Secret>,
) -> Result<Request<Full<Bytes>>, BoxError> {
    let id = call.connector.payment.id.as_str();
    let body = serde_json::to_vec(&Body { actions: [ActionBody::of(call)] })?;
    let mut request = Request::post(address(&settings.url, "operations/payment-intents", id)?)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "application/json")
        .header("idempotency-key", call.transaction.as_str())
        .header("x-correlation-id", &call.correlation_id);
    if let Some(bearer) = bearer {
        request = request.header(header::AUTHORIZATION, authorization(bearer)?);
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
