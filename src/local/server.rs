//! HTTP in front of the API, as API Gateway would be.

use super::sandbox::Effect;
use super::{LocalApi, PROJECT, Sandbox, StripeSandbox};
use crate::clock::SystemClock;
use crate::error::BoxError;
use crate::http::WEBHOOK_BYTES_MAX;
use crate::ports::Clock;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use lambda_http::aws_lambda_events::query_map::QueryMap;
use lambda_http::request::RequestContext;
use lambda_http::{Body, Context, RequestExt, Service};
use serde_json::{Value, json};
use std::future::Future;
use std::sync::Arc;
use tokio::net::TcpListener;
use uuid::Uuid;

/// How long the deployed function may run.
const INVOCATION_MS: u64 = 28_000;

/// The PSPs on localhost.
#[derive(Clone, Debug)]
pub(super) struct Psps {
    pub(super) sandbox: Sandbox,
    pub(super) stripe: Option<StripeSandbox>,
}

impl Psps {
    /// What they really did, in order of the PSPs.
    fn ledger(&self) -> Vec<Effect> {
        let at_stripe = self.stripe.as_ref().map(StripeSandbox::ledger).unwrap_or_default();
        self.sandbox.ledger().into_iter().chain(at_stripe).collect()
    }
}

/// Answers API requests, and tells what the sandbox did.
pub(super) async fn serve(
    listener: TcpListener,
    api: Arc<LocalApi>,
    psps: Psps,
    is_open: bool,
) -> Result<(), BoxError> {
    accept(listener, move |request| {
        let (api, psps) = (Arc::clone(&api), psps.clone());
        async move {
            let aside = match (request.method(), request.uri().path()) {
                (&Method::GET, "/sandbox/ledger") => Some(json!(psps.ledger())),
                (&Method::POST, "/oauth/token") if is_open => Some(token()),
                (&Method::POST, "/oauth/introspect") if is_open => Some(introspected()),
                _ => None,
            };
            if let Some(body) = aside {
                return Ok(Response::builder()
                    .header("content-type", "application/json")
                    .header("cache-control", "no-store")
                    .body(body.to_string())?);
            }
            let request = api_request(request).await?;
            // As in a Lambda, a caller that hangs up does not stop the work.
            let Ok(response) = tokio::spawn(async move { (&*api).call(request).await }).await?;
            Ok(response)
        }
    })
    .await;
    Ok(())
}

/// How long a token lives that is good for nothing anyway, as the platform's do.
const TOKEN_LIFE_S: u64 = 172_800;

/// A token for anybody who asks: while authorization is off, a connector under
/// development gets along without a token service of its own.
fn token() -> Value {
    json!({
        "access_token": Uuid::new_v4().simple().to_string(),
        "token_type": "Bearer",
        "expires_in": TOKEN_LIFE_S,
        "scope": format!("manage_project:{PROJECT}"),
    })
}

/// Whatever the token, it is good for the demo project.
fn introspected() -> Value {
    let expires = SystemClock.now().plus_ms(TOKEN_LIFE_S.saturating_mul(1_000)).ms() / 1_000;
    json!({
        "active": true,
        "scope": format!("manage_project:{PROJECT}"),
        "client_id": "local",
        "exp": expires,
    })
}

/// Answers each request on each connection with `answer`; an error closes the
/// connection.
pub(super) async fn accept<F, A>(listener: TcpListener, answer: F)
where
    F: Fn(Request<Incoming>) -> A + Clone + Send + 'static,
    A: Future<Output = Result<Response<String>, BoxError>> + Send + 'static,
{
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let answer = answer.clone();
        tokio::spawn(async move {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service_fn(answer));
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended");
            }
        });
    }
}

/// The request as `lambda_http` makes it of an event, without a stage and an
/// authorizer.
async fn api_request(request: Request<Incoming>) -> Result<lambda_http::Request, BoxError> {
    let (parts, body) = request.into_parts();
    let mut context = Context::default();
    context.deadline = SystemClock.now().plus_ms(INVOCATION_MS).ms();
    let path = parts.uri.path().to_owned();
    let Ok(query) = parts.uri.query().unwrap_or_default().parse::<QueryMap>();
    Ok(Request::from_parts(parts, Body::from(read(body).await?))
        .with_raw_http_path(path)
        .with_query_string_parameters(query)
        .with_request_context(RequestContext::ApiGatewayV2(Default::default()))
        .with_lambda_context(context))
}

/// Reads until it is clear that the body is too long, and not a frame further.
async fn read(mut body: Incoming) -> Result<Vec<u8>, BoxError> {
    let mut bytes = Vec::new();
    while bytes.len() <= WEBHOOK_BYTES_MAX {
        let Some(frame) = body.frame().await else { break };
        if let Ok(data) = frame?.into_data() {
            bytes.extend_from_slice(&data);
        }
    }
    Ok(bytes)
}
