//! A PSP and its connector that do as they are told, and remember what they
//! really did.
//!
//! Like most connectors it knows nothing of repeated requests: whatever arrives
//! is carried out. That money moves once is up to its caller.

use super::{bind, server};
use crate::clock::SystemClock;
use crate::http::format_time;
use crate::ports::{BoxError, Clock};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, PoisonError};

/// The sandbox connector.
#[derive(Clone, Debug)]
pub struct Sandbox {
    url: Uri,
    ledger: Arc<Mutex<Vec<Effect>>>,
}

/// Something that the PSP did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Effect {
    /// Of which Payment.
    pub payment_id: String,
    /// What was asked.
    pub action: String,
    /// How much it moved.
    pub cent_amount: u64,
    /// In which currency.
    pub currency_code: String,
    /// The key that came with it.
    pub idempotency_key: Option<String>,
    /// When.
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

/// What the merchant reference tells the sandbox to do.
enum Behaviour {
    Answer(StatusCode, &'static str),
    /// Acts, and never answers.
    Silence,
    /// Acts, and closes the connection.
    Drop,
}

impl Sandbox {
    /// Starts a sandbox that lives as long as the process.
    pub async fn start() -> Result<Self, BoxError> {
        let listener = bind().await?;
        let url = format!("http://{}", listener.local_addr()?).parse()?;
        let sandbox = Self { url, ledger: Arc::default() };
        let connector = sandbox.clone();
        tokio::spawn(server::accept(listener, move |request| {
            let connector = connector.clone();
            async move { connector.answer(request).await }
        }));
        Ok(sandbox)
    }

    /// Where the connector listens.
    pub fn url(&self) -> Uri {
        self.url.clone()
    }

    /// What the PSP really did, in order.
    pub fn ledger(&self) -> Vec<Effect> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// An error closes the connection.
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
        let (acts, behaviour) = behaviour(action.merchant_reference.as_deref());
        if acts {
            self.act(payment_id, action, idempotency_key);
        }
        match behaviour {
            Behaviour::Answer(status, body) => answered(status, body),
            Behaviour::Silence => std::future::pending().await,
            Behaviour::Drop => Err("the sandbox was told to close the connection".into()),
        }
    }

    fn act(&self, payment_id: String, action: Action, idempotency_key: Option<String>) {
        let effect = Effect {
            payment_id,
            action: action.action,
            cent_amount: action.amount.cent_amount,
            currency_code: action.amount.currency_code,
            idempotency_key,
            at: format_time(SystemClock.now()),
        };
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner).push(effect);
    }
}

/// Whether the PSP acts, and what the connector then does.
fn behaviour(merchant_reference: Option<&str>) -> (bool, Behaviour) {
    let ok = |body| Behaviour::Answer(StatusCode::OK, body);
    match merchant_reference {
        Some("sandbox:rejected") => (false, ok(r#"{"outcome":"rejected"}"#)),
        Some("sandbox:received") => (true, ok(r#"{"outcome":"received"}"#)),
        Some("sandbox:timeout") => (true, Behaviour::Silence),
        Some("sandbox:drop") => (true, Behaviour::Drop),
        Some("sandbox:error") => (true, Behaviour::Answer(StatusCode::INTERNAL_SERVER_ERROR, "{}")),
        Some("sandbox:garbage") => (true, ok("<html>It works!</html>")),
        Some("sandbox:refuse") => (
            false,
            Behaviour::Answer(
                StatusCode::BAD_REQUEST,
                r#"{"statusCode":400,"message":"refused","errors":[{"code":"InvalidField","message":"refused"}]}"#,
            ),
        ),
        Some(_) | None => (true, ok(r#"{"outcome":"approved"}"#)),
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
