//! A PSP with its connector, for localhost and tests. The merchant reference of a request
//! selects the connector's behaviour. The PSP keeps a ledger of its effects.
//!
//! Like most connectors, it does not recognise repeated requests: every request has an
//! effect. A variant honours idempotency keys.

use super::bind;
use super::kept::Kept;
use super::listen::serve_for_ever;
use crate::clock::SystemClock;
use crate::error::BoxError;
use crate::platform::format_time;
use crate::ports::Clock;
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The sandbox connector.
#[derive(Clone, Debug)]
pub struct Sandbox {
    url: Uri,
    psp: Arc<Mutex<Psp>>,
}

/// The PSP: its effects and its recorded answers.
#[derive(Debug, Default)]
struct Psp {
    ledger: Vec<Effect>,
    /// Keeps the ledger over restarts.
    kept: Option<Kept>,
    /// The recorded answer for each key; `None` if keys are ignored.
    answers: Option<HashMap<String, &'static str>>,
}

/// An effect at the PSP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Effect {
    /// The id of the Payment.
    pub payment_id: String,
    /// The requested action.
    pub action: String,
    /// The amount in minor units.
    pub cent_amount: u64,
    /// The currency of the amount.
    pub currency_code: String,
    /// The `Idempotency-Key` of the request.
    pub idempotency_key: Option<String>,
    /// The time of the effect.
    pub at: String,
}

#[derive(Deserialize)]
struct Body {
    actions: Vec<Action>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Action {
    action: String,
    amount: Amount,
    merchant_reference: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Amount {
    cent_amount: u64,
    currency_code: String,
}

/// The behaviour of the connector after the PSP has acted.
enum Behaviour {
    Answer(StatusCode, &'static str),
    /// Never answers.
    Silence,
    /// Acts, and answers late.
    Delay,
    /// Closes the connection.
    Drop,
}

/// The time that a slow answer takes: more than it takes to send many requests.
const DELAY: Duration = Duration::from_secs(1);

impl Sandbox {
    /// Starts a sandbox that runs as long as the process.
    pub async fn start() -> Result<Self, BoxError> {
        Self::with(Psp::default()).await
    }

    /// As [`Sandbox::start`], but a request with a known `Idempotency-Key` has no effect. Its
    /// answer is the PSP's outcome of the first request with that key, also if the connector
    /// did not answer that request.
    pub async fn start_honouring_keys() -> Result<Self, BoxError> {
        Self::with(Psp { answers: Some(HashMap::new()), ..Psp::default() }).await
    }

    /// As [`Sandbox::start`], with a ledger that is kept in a file.
    pub async fn start_keeping(path: &Path) -> Result<Self, BoxError> {
        let (kept, ledger) = Kept::open(path)?;
        Self::with(Psp { ledger, kept: Some(kept), ..Psp::default() }).await
    }

    async fn with(psp: Psp) -> Result<Self, BoxError> {
        let listener = bind().await?;
        let url = format!("http://{}", listener.local_addr()?).parse()?;
        let sandbox = Self { url, psp: Arc::new(Mutex::new(psp)) };
        let connector = sandbox.clone();
        serve_for_ever(listener, move |request| {
            let connector = connector.clone();
            async move { connector.answer(request).await }
        });
        Ok(sandbox)
    }

    /// The address of the connector.
    pub fn url(&self) -> Uri {
        self.url.clone()
    }

    /// The effects at the PSP, in order.
    pub fn ledger(&self) -> Vec<Effect> {
        self.psp().ledger.clone()
    }

    fn psp(&self) -> MutexGuard<'_, Psp> {
        self.psp.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers a request of the contract. An error closes the connection.
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<String>, BoxError> {
        let path = request.uri().path().to_owned();
        let Some(id) = path.strip_prefix("/operations/payment-intents/") else {
            return answered(StatusCode::NOT_FOUND, "{}");
        };
        if request.method() != Method::POST {
            return answered(StatusCode::METHOD_NOT_ALLOWED, "{}");
        }
        let payment_id = percent_decode_str(id).decode_utf8()?.into_owned();
        let idempotency_key = request.headers().get("idempotency-key");
        let idempotency_key = idempotency_key.and_then(|key| key.to_str().ok()).map(str::to_owned);
        let body = request.into_body().collect().await?.to_bytes();
        let Ok(Body { actions }) = serde_json::from_slice(&body) else {
            return answered(StatusCode::BAD_REQUEST, &error("InvalidJsonInput"));
        };
        let Some(action) = actions.into_iter().next() else {
            return answered(StatusCode::BAD_REQUEST, &error("RequiredField"));
        };
        let (outcome, behaviour) = behaviour(action.merchant_reference.as_deref());
        if let Some(outcome) = outcome {
            let recorded = self.psp().act(payment_id, action, idempotency_key, outcome)?;
            if let Some(answer) = recorded {
                return answered(StatusCode::OK, answer);
            }
        }
        match behaviour {
            Behaviour::Answer(status, body) => answered(status, body),
            Behaviour::Silence => std::future::pending().await,
            Behaviour::Delay => {
                tokio::time::sleep(DELAY).await;
                answered(StatusCode::OK, APPROVED)
            }
            Behaviour::Drop => Err("the merchant reference is sandbox:drop".into()),
        }
    }
}

impl Psp {
    /// Does what is asked, unless it refuses to, or has an answer on record for
    /// the key: that one, then. An effect that could not be kept did not happen.
    fn act(
        &mut self,
        payment_id: String,
        action: Action,
        idempotency_key: Option<String>,
        outcome: &'static str,
    ) -> Result<Option<&'static str>, BoxError> {
        if let (Some(answers), Some(key)) = (&mut self.answers, &idempotency_key) {
            if let Some(answer) = answers.get(key) {
                return Ok(Some(answer));
            }
            answers.insert(key.clone(), outcome);
        }
        if outcome != REJECTED {
            let effect = Effect {
                payment_id,
                action: action.action,
                cent_amount: action.amount.cent_amount,
                currency_code: action.amount.currency_code,
                idempotency_key,
                at: format_time(SystemClock.now()),
            };
            if let Some(kept) = &mut self.kept {
                kept.add(&effect)?;
            }
            self.ledger.push(effect);
        }
        Ok(None)
    }
}

const APPROVED: &str = r#"{"outcome":"approved"}"#;
const RECEIVED: &str = r#"{"outcome":"received"}"#;
const REJECTED: &str = r#"{"outcome":"rejected","interfaceCode":"insufficient_funds","interfaceText":"The card has insufficient funds."}"#;

/// The outcome at the PSP, if the connector calls it, and the behaviour of the connector
/// after that.
fn behaviour(merchant_reference: Option<&str>) -> (Option<&'static str>, Behaviour) {
    let ok = |body| Behaviour::Answer(StatusCode::OK, body);
    match merchant_reference {
        Some("sandbox:rejected") => (Some(REJECTED), ok(REJECTED)),
        Some("sandbox:received") => (Some(RECEIVED), ok(RECEIVED)),
        Some("sandbox:slow") => (Some(APPROVED), Behaviour::Delay),
        Some("sandbox:timeout") => (Some(APPROVED), Behaviour::Silence),
        Some("sandbox:drop") => (Some(APPROVED), Behaviour::Drop),
        Some("sandbox:error") => {
            (Some(APPROVED), Behaviour::Answer(StatusCode::INTERNAL_SERVER_ERROR, "{}"))
        }
        Some("sandbox:garbage") => (Some(APPROVED), ok("<html>It works!</html>")),
        Some("sandbox:refuse") => (
            None,
            Behaviour::Answer(
                StatusCode::BAD_REQUEST,
                r#"{"statusCode":400,"message":"refused","errors":[{"code":"InvalidField","message":"refused"}]}"#,
            ),
        ),
        Some(_) | None => (Some(APPROVED), ok(APPROVED)),
    }
}

fn error(code: &str) -> String {
    let error = serde_json::json!({"code": code, "message": "cannot be read"});
    serde_json::json!({"statusCode": 400, "message": "cannot be read", "errors": [error]})
        .to_string()
}

fn answered(status: StatusCode, body: &str) -> Result<Response<String>, BoxError> {
    let response = Response::builder().status(status).header("content-type", "application/json");
    Ok(response.body(body.to_owned())?)
}
