//! An Adyen on localhost: payments that are captured, cancelled and refunded, with the
//! outcome by webhook, and idempotency keys that are honoured as Adyen documents it. Where
//! Adyen is lenient, it is not: every request needs a key, and fields that are not known
//! are refused.
//!
//! <https://docs.adyen.com/development-resources/api-idempotency>

mod account;
mod api;
mod events;
mod webhooks;

use super::bind;
use super::listen::serve_for_ever;
use super::sandbox::Effect;
use crate::clock::SystemClock;
use crate::connector::{AdyenAccount, Authorization, ConnectorSettings, Psp};
use crate::error::BoxError;
use crate::payment::{Payment, Timestamp};
use crate::ports::Clock;
use crate::secret::Secret;
use account::{Account, Kind, Requested};
use api::{Answer, header, refused};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Value, json};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// An Adyen on localhost.
#[derive(Clone, Debug)]
pub struct AdyenSandbox {
    url: Uri,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    account: Account,
    /// The recorded answer for each key; `None` while the first request is being processed.
    keys: HashMap<String, Option<Answer>>,
    effects: Vec<Effect>,
    planned: VecDeque<AdyenFault>,
    requests: Vec<(String, String)>,
}

/// The failure of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdyenFault {
    /// It is carried out, and the connection is closed.
    LostAnswer,
    /// The connection is closed, and nothing is carried out.
    LostRequest,
    /// It is carried out, and answered with an error that is not recorded for the key.
    ErrorAfterActing,
    /// It is carried out, and an error is recorded as its answer.
    RecordedError,
    /// It is refused by a check that comes before its key is looked up, with the header of a
    /// request that was processed by its key.
    RefusedBeforeKey,
    /// The store of keys is unavailable: nothing is carried out.
    Transient,
    /// The API key is refused, as if it had been rotated: nothing is carried out.
    Unauthorized,
    /// The account does not allow it: nothing is carried out.
    NotConfigured,
    /// It takes this number of milliseconds, also if its caller does not wait.
    Slow(u64),
}

impl AdyenSandbox {
    /// The API key that it accepts.
    pub const API_KEY: &str = "AQE_sandbox_key";

    /// Its merchant account.
    pub const MERCHANT_ACCOUNT: &str = "SandboxShop";

    /// The HMAC key of its webhooks.
    pub const HMAC_KEY: &str = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056";

    /// Starts one that runs as long as the process.
    pub async fn start() -> Result<Self, BoxError> {
        let listener = bind().await?;
        let url = format!("http://{}/checkout/v71", listener.local_addr()?).parse()?;
        let adyen = Self { url, state: Arc::default() };
        let api = adyen.clone();
        serve_for_ever(listener, move |request| {
            let api = api.clone();
            async move { api.answer(request).await }
        });
        Ok(adyen)
    }

    /// The settings with which this service calls it.
    pub fn settings(&self, timeout_ms: u64) -> ConnectorSettings {
        let account = AdyenAccount {
            merchant_account: Self::MERCHANT_ACCOUNT.to_owned(),
            api_key: Secret::new(Self::API_KEY.to_owned()),
            hmac_keys: vec![Secret::new(Self::HMAC_KEY.to_owned())],
            multicapture: false,
        };
        ConnectorSettings {
            url: self.url(),
            timeout_ms,
            authorization: Authorization::None,
            projects: None,
            policy: account.policy(&self.url),
            platform: None,
            psp: Some(Psp::Adyen(account)),
        }
    }

    /// The same as an entry of `CONNECTORS`.
    pub fn entry(&self) -> Value {
        json!({
            "psp": "adyen", "url": self.url.to_string(), "apiKey": Self::API_KEY,
            "merchantAccount": Self::MERCHANT_ACCOUNT, "hmacKeys": [Self::HMAC_KEY],
        })
    }

    /// The address of its API.
    pub fn url(&self) -> Uri {
        self.url.clone()
    }

    /// Adds a payment with this `pspReference` and this authorized amount.
    pub fn authorize(&self, id: &str, amount: u64, currency: &str, multicapture: bool) {
        self.state().account.authorize(id, amount, currency, multicapture);
    }

    /// Adds the payment of a new Payment.
    pub(super) fn authorize_for(&self, payment: &Payment) {
        if let Some(id) = &payment.details.interface_id {
            let amount = payment.balances.authorized.minor_units();
            self.authorize(id, amount, payment.currency().code(), false);
        }
    }

    /// The effects so far, in order. The id of the Payment in each is the `pspReference`.
    pub fn ledger(&self) -> Vec<Effect> {
        self.state().effects.clone()
    }

    /// The amounts of a payment: open to capture, captured, refunded.
    pub fn balances(&self, payment: &str) -> [u64; 3] {
        self.state().account.balances(payment)
    }

    /// Makes the next requests fail, one for each fault, in order.
    pub fn plan(&self, faults: &[AdyenFault]) {
        self.state().planned.extend(faults);
    }

    /// True if a planned fault is left.
    pub fn has_plan(&self) -> bool {
        !self.state().planned.is_empty()
    }

    /// Removes the planned faults.
    pub fn forget_plan(&self) {
        self.state().planned.clear();
    }

    /// Sets the date of the next event. Each later one is a second later.
    pub fn set_time(&self, at: Timestamp) {
        self.state().account.events.time = Some(at);
    }

    /// Captures, cancels or refunds in the Customer Area; a cancel ignores the amount. `path`
    /// is that of the API. Returns the `pspReference`.
    pub fn customer_area(&self, payment: &str, path: &str, amount: u64) -> String {
        let mut state = self.state();
        let Some(kind) = Kind::of_path(path) else { return String::new() };
        // Adyen repeats the reference of the payment.
        let requested = Requested { payment, kind, amount, reference: "order-7" };
        state.carry_out(&requested, None)
    }

    /// Makes a capture or a refund fail at the card scheme.
    pub fn fail(&self, psp_reference: &str) {
        self.state().account.fail(psp_reference, None);
    }

    /// Returns a refund to the merchant.
    pub fn reverse_refund(&self, psp_reference: &str) {
        self.state().account.fail(psp_reference, Some("REFUNDED_REVERSED"));
    }

    /// Captures again what failed at the card scheme.
    pub fn try_again(&self, psp_reference: &str) {
        self.state().account.try_again(psp_reference);
    }

    /// Adds an event about a payment, or about its dispute with this id.
    pub fn add_event(
        &self,
        event_code: &str,
        payment: &str,
        dispute: Option<&str>,
        amount: u64,
        is_success: bool,
    ) {
        self.state().account.add_payment_event(event_code, payment, dispute, amount, is_success);
    }

    /// Forgets all keys, as Adyen may after 7 days.
    pub fn forget_keys(&self) {
        self.state().keys.clear();
    }

    /// The notification items so far, in order, each signed.
    pub fn events(&self) -> Vec<Value> {
        self.state().account.events.all.clone()
    }

    /// The requests so far: method and path, and the body.
    pub fn requests(&self) -> Vec<(String, String)> {
        self.state().requests.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An error closes the connection.
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<String>, BoxError> {
        let (head, body) = request.into_parts();
        let body = String::from_utf8(body.collect().await?.to_bytes().to_vec())?;
        let path = head.uri.path().to_owned();
        if let Some(shown) = self.shown(&head.method, &path) {
            return Ok(Response::builder()
                .header("content-type", "application/json")
                .body(shown.to_string())?);
        }
        self.state().requests.push((format!("{} {path}", head.method), body.clone()));
        let key = header(&head.headers, "idempotency-key").to_owned();
        // As at Adyen, a caller that hangs up does not stop the work.
        let adyen = self.clone();
        let headers = head.headers;
        let sent_key = key.clone();
        let posted =
            tokio::spawn(async move { adyen.post(&headers, &path, &body, &sent_key).await });
        let Some(answer) = posted.await? else {
            return Err("the sandbox was told to close the connection".into());
        };
        let mut response = Response::builder()
            .status(StatusCode::from_u16(answer.status)?)
            .header("content-type", "application/json");
        if answer.is_transient {
            response = response.header("transient-error", "true");
        }
        if answer.is_by_key {
            response = response.header("idempotency-key", key);
        }
        Ok(response.body(answer.body)?)
    }

    /// The events or the requests so far, which Adyen itself does not show.
    fn shown(&self, method: &Method, path: &str) -> Option<Value> {
        match (method, path) {
            (&Method::GET, "/sandbox/events") => Some(json!(self.events())),
            (&Method::GET, "/sandbox/requests") => Some(json!(self.requests())),
            _ => None,
        }
    }

    /// `None` closes the connection.
    async fn post(&self, headers: &HeaderMap, path: &str, body: &str, key: &str) -> Option<Answer> {
        let fault = self.state().planned.pop_front();
        match fault {
            Some(AdyenFault::LostRequest) => return None,
            Some(AdyenFault::Unauthorized) => return Some(refused(401, "security", "000")),
            Some(AdyenFault::RefusedBeforeKey) => {
                return Some(Answer { is_by_key: true, ..self.state().not_configured() });
            }
            Some(AdyenFault::Transient) => {
                return Some(Answer { is_transient: true, ..refused(503, "internal", "703") });
            }
            _ => {}
        }
        let known = match self.state().begin(headers, key) {
            Ok(known) => known,
            Err(answer) => return Some(answer),
        };
        let answer = match known {
            Some(answer) => answer,
            None => self.carry_out_once(path, body, key, fault).await,
        };
        match fault {
            Some(AdyenFault::LostAnswer) => None,
            Some(AdyenFault::ErrorAfterActing) => Some(refused(500, "internal", "000")),
            _ => Some(answer),
        }
    }

    /// Carries out a request with a new key, and records its answer.
    async fn carry_out_once(
        &self,
        path: &str,
        body: &str,
        key: &str,
        fault: Option<AdyenFault>,
    ) -> Answer {
        if let Some(AdyenFault::Slow(ms)) = fault {
            SystemClock.sleep_ms(ms).await;
        }
        let mut state = self.state();
        let called = match fault {
            Some(AdyenFault::NotConfigured) => state.not_configured(),
            _ => state.call(path, body, key),
        };
        let recorded = match fault {
            Some(AdyenFault::RecordedError) => refused(500, "internal", "000"),
            _ => called,
        };
        let answer = Answer { is_by_key: true, ..recorded };
        state.keys.insert(key.to_owned(), Some(answer.clone()));
        answer
    }
}
