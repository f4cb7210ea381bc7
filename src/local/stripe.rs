//! A Stripe on localhost, for trials and tests: PaymentIntents can be captured, cancelled
//! and refunded, and idempotency keys are honoured as Stripe documents it. It is stricter
//! than Stripe: every POST needs a key, and unknown parameters are refused.
//!
//! <https://docs.stripe.com/api/idempotent_requests>,
//! <https://docs.stripe.com/error-low-level#idempotency>

mod account;
mod answers;
mod checks;
mod fault;
mod form;
mod webhooks;

use super::bind;
use super::listen::serve_for_ever;
use super::sandbox::Effect;
use crate::clock::SystemClock;
use crate::connector::{Authorization, ConnectorSettings, Psp, StripeAccount};
use crate::error::BoxError;
use crate::payment::{Payment, Timestamp};
use crate::platform::format_time;
use crate::ports::Clock;
use crate::secret::Secret;
use account::{Account, Called, Movement, Refused};
use answers::{answered, broken, plain, text};
use checks::{check_head, checked, unknown_url};
pub use fault::StripeFault;
use form::Form;
use http::{Method, Request, Response, Uri};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use ring::hmac;
use serde_json::{Value, json};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A Stripe on localhost.
#[derive(Clone, Debug)]
pub struct StripeSandbox {
    url: Uri,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    account: Account,
    /// The ids of the Payments by PaymentIntent, if they are known.
    payments: HashMap<String, String>,
    keys: HashMap<String, Saved>,
    effects: Vec<Effect>,
    planned: VecDeque<StripeFault>,
    requests: Vec<(String, String)>,
    /// The paths and forms of the requests whose metadata was not stored.
    lost_metadata: Vec<(String, Form)>,
    refunds_become: Option<&'static str>,
}

/// The first request with a key, and its saved answer.
#[derive(Debug)]
struct Saved {
    request: (String, Form),
    /// `None` while the request is being carried out.
    answer: Option<(u16, String)>,
}

/// The answer to one POST: the status, true if it was saved before, and the body; `None` if
/// the connection is closed.
type Answered = Option<(u16, bool, String)>;

impl StripeSandbox {
    /// The API key that it accepts.
    pub const API_KEY: &str = "sk_test_sandbox";

    /// The signing secret of its webhooks.
    pub const WEBHOOK_SECRET: &str = "whsec_sandbox";

    /// Starts one that runs as long as the process.
    pub async fn start() -> Result<Self, BoxError> {
        let listener = bind().await?;
        let url = format!("http://{}", listener.local_addr()?).parse()?;
        let stripe = Self { url, state: Arc::default() };
        let api = stripe.clone();
        serve_for_ever(listener, move |request| {
            let api = api.clone();
            async move { api.answer(request).await }
        });
        Ok(stripe)
    }

    /// The settings with which this service calls it.
    pub fn settings(&self, timeout_ms: u64) -> ConnectorSettings {
        let account = StripeAccount {
            api_key: Secret::new(Self::API_KEY.to_owned()),
            webhook_secrets: vec![Secret::new(Self::WEBHOOK_SECRET.to_owned())],
            api_version: StripeAccount::API_VERSION.to_owned(),
            multicapture: false,
        };
        ConnectorSettings {
            url: self.url(),
            timeout_ms,
            authorization: Authorization::None,
            projects: None,
            policy: account.policy(),
            platform: None,
            psp: Some(Psp::Stripe(account)),
        }
    }

    /// Its entry of `CONNECTORS`.
    pub fn entry(&self) -> Value {
        json!({
            "psp": "stripe", "url": self.url.to_string().trim_end_matches('/'),
            "apiKey": Self::API_KEY, "webhookSecret": Self::WEBHOOK_SECRET,
        })
    }

    /// Its address.
    pub fn url(&self) -> Uri {
        self.url.clone()
    }

    /// Adds a PaymentIntent with this id and this authorized amount.
    pub fn authorize(&self, id: &str, amount: u64, currency: &str, multicapture: bool) {
        self.state().account.authorize(id, amount, currency, multicapture);
    }

    /// Adds the PaymentIntent of a Payment of which nothing is captured yet.
    pub(super) fn authorize_for(&self, payment: &Payment) {
        let currency = payment.currency().code().to_ascii_lowercase();
        if let Some(id) = &payment.details.interface_id {
            self.state().payments.insert(id.clone(), payment.key.id.as_str().to_owned());
            self.authorize(id, payment.balances.authorized.minor_units(), &currency, false);
        }
    }

    /// Its effects, in order. A Payment that is not known to it has the PaymentIntent's id.
    pub fn ledger(&self) -> Vec<Effect> {
        self.state().effects.clone()
    }

    /// Plans these failures, each for one POST, in order.
    pub fn plan(&self, faults: &[StripeFault]) {
        self.state().planned.extend(faults);
    }

    /// True if a planned failure has not happened yet.
    pub fn has_plan(&self) -> bool {
        !self.state().planned.is_empty()
    }

    /// Removes the planned failures.
    pub fn forget_plan(&self) {
        self.state().planned.clear();
    }

    /// Sets the status of a PaymentIntent.
    pub fn set_status(&self, intent: &str, status: &'static str) {
        self.state().account.set_status(intent, status);
    }

    /// Sets an entry of the `metadata` of a PaymentIntent, as a repair or an operator does.
    pub fn set_metadata(&self, intent: &str, key: &str, value: &str) {
        let metadata = [(key.to_owned(), value.to_owned())].into();
        self.state().account.add_metadata(intent, metadata);
    }

    /// Raises the authorized amount of a PaymentIntent to this one:
    /// <https://docs.stripe.com/payments/incremental-authorization>
    pub fn increment(&self, intent: &str, amount: u64) {
        self.state().account.increment(intent, amount);
    }

    /// Sets the first status of later refunds.
    pub fn begin_refunds_as(&self, status: &'static str) {
        self.state().refunds_become = Some(status);
    }

    /// Sets the last status of a refund.
    pub fn end_refund(&self, id: &str, status: &'static str) {
        self.state().account.end_refund(id, status);
    }

    /// Opens a dispute about a PaymentIntent, or changes its status. Returns its id.
    pub fn dispute(&self, intent: &str, amount: u64, status: &str) -> String {
        self.state().account.dispute(intent, amount, status)
    }

    /// Removes all keys, as Stripe may after 24 hours.
    pub fn forget_keys(&self) {
        self.state().keys.clear();
    }

    /// The events so far, in order.
    pub fn events(&self) -> Vec<Value> {
        self.state().account.events.clone()
    }

    /// The requests so far: method and path, and the body.
    pub fn requests(&self) -> Vec<(String, String)> {
        self.state().requests.clone()
    }

    /// The header `Stripe-Signature` of a body that is sent at `at`.
    pub fn signature(secret: &str, body: &str, at: Timestamp) -> String {
        let seconds = at.ms() / 1_000;
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let tag = hmac::sign(&key, format!("{seconds}.{body}").as_bytes());
        let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("t={seconds},v1={hex}")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An error closes the connection.
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<String>, BoxError> {
        let (head, body) = request.into_parts();
        let body = String::from_utf8(body.collect().await?.to_bytes().to_vec())?;
        let path = head.uri.path().to_owned();
        let query = head.uri.query().unwrap_or_default().to_owned();
        let line = format!("{} {path}", head.method);
        self.state().requests.push((line, body.clone()));
        if let Err(refused) = check_head(&head.headers) {
            return answered(refused.status, false, &json!({"error": refused.error}).to_string());
        }
        if head.method != Method::POST {
            let (status, body) = text(self.state().read(&path, &query));
            return answered(status, false, &body);
        }
        let key = head.headers.get("idempotency-key").and_then(|key| key.to_str().ok());
        let key = key.unwrap_or_default().to_owned();
        // As at Stripe, a caller that hangs up does not stop the work.
        let stripe = self.clone();
        let posted = tokio::spawn(async move { stripe.post(&path, &body, key).await }).await?;
        match posted {
            Some((status, is_replay, body)) => answered(status, is_replay, &body),
            None => Err("the sandbox was told to close the connection".into()),
        }
    }

    async fn post(&self, path: &str, body: &str, key: String) -> Answered {
        let fault = self.state().planned.pop_front();
        if fault == Some(StripeFault::LostRequest) {
            return None;
        }
        if fault == Some(StripeFault::RateLimited) {
            let refused = Refused::new(429, "invalid_request_error", Some("rate_limit"), "Later.");
            return plain(Err(refused));
        }
        let form = match self.state().begin(path, body, &key) {
            Ok(form) => form,
            Err(answered) => return answered,
        };
        if let Some(StripeFault::Slow(ms)) = fault {
            SystemClock.sleep_ms(ms).await;
        }
        let mut state = self.state();
        let called = match fault {
            Some(StripeFault::ErrorWithoutActing) => Err(broken()),
            Some(StripeFault::ErrorWithoutMetadata) => {
                let called = state.carry_out(path, &form.without_metadata(), &key);
                if called.is_ok() {
                    state.lost_metadata.push((path.to_owned(), form.clone()));
                }
                called
            }
            _ => state.carry_out(path, &form, &key),
        };
        let called = match fault {
            Some(StripeFault::ErrorAfterActing | StripeFault::ErrorWithoutMetadata)
                if called.is_ok() =>
            {
                Err(broken())
            }
            _ => called,
        };
        if fault == Some(StripeFault::LockedWhileActing) {
            let message = "The object is at work for another request.";
            let locked = Refused::new(429, "invalid_request_error", Some("lock_timeout"), message);
            if let (Ok(shown), Some(saved)) = (called, state.keys.get_mut(&key)) {
                saved.answer = Some((200, shown.to_string()));
            }
            return plain(Err(locked));
        }
        let (status, body) = text(called);
        if let Some(saved) = state.keys.get_mut(&key) {
            saved.answer = Some((status, body.clone()));
        }
        (fault != Some(StripeFault::LostAnswer)).then_some((status, false, body))
    }
}

impl State {
    fn read(&self, path: &str, query: &str) -> Called {
        let segments: Vec<_> = path.trim_start_matches("/v1/").split('/').collect();
        match segments.as_slice() {
            ["payment_intents", id] => self.account.intent(id),
            ["refunds", id] => self.account.refund_of(id),
            ["refunds"] => {
                let known = ["payment_intent", "limit", "starting_after"];
                self.account.refunds(&Form::read(query, &known)?)
            }
            ["disputes", id] => self.account.dispute_of(id),
            _ => Err(unknown_url()),
        }
    }

    /// Checks a POST and reserves its key, before anything is carried out. A refusal is not
    /// saved.
    fn begin(&mut self, path: &str, body: &str, key: &str) -> Result<Form, Answered> {
        let form = checked(path, body, key).map_err(|refused| plain(Err(refused)))?;
        let request = (path.to_owned(), form.clone());
        match self.keys.get(key) {
            Some(saved) if saved.request != request => {
                let message =
                    "Keys can only be used with the parameters they were first used with.";
                Err(plain(Err(Refused::new(400, "idempotency_error", None, message))))
            }
            Some(Saved { answer: None, .. }) => {
                let code = Some("idempotency_key_in_use");
                let message = "Another request with this key is at work.";
                Err(plain(Err(Refused::new(409, "invalid_request_error", code, message))))
            }
            Some(Saved { answer: Some((status, body)), .. }) => {
                Err(Some((*status, true, body.clone())))
            }
            None => {
                self.keys.insert(key.to_owned(), Saved { request, answer: None });
                Ok(form)
            }
        }
    }

    fn carry_out(&mut self, path: &str, form: &Form, key: &str) -> Called {
        let segments: Vec<_> = path.trim_start_matches("/v1/").split('/').collect();
        let (shown, moved) = match segments.as_slice() {
            ["payment_intents"] => return self.account.create(form),
            ["payment_intents", id, "capture"] => self.account.capture(id, form)?,
            ["payment_intents", id, "cancel"] => self.account.cancel(id)?,
            ["refunds"] => {
                let status = self.refunds_become.unwrap_or("succeeded");
                self.account.refund(form, status)?
            }
            _ => return Err(unknown_url()),
        };
        self.add_effect(moved, &shown, key);
        Ok(shown)
    }

    fn add_effect(&mut self, (intent, action, cent_amount): Movement, shown: &Value, key: &str) {
        let payment_id = self.payments.get(&intent).cloned().unwrap_or(intent);
        let currency = shown.get("currency").and_then(Value::as_str).unwrap_or_default();
        self.effects.push(Effect {
            payment_id,
            action: action.to_owned(),
            cent_amount,
            currency_code: currency.to_ascii_uppercase(),
            idempotency_key: Some(key.to_owned()),
            at: format_time(SystemClock.now()),
        });
    }
}
