//! The API on localhost, as API Gateway would put it there, and what helps in trying it.

use super::listen::{Busy, Stopped, accept, read};
use super::{LocalApi, Sandbox, log, tokens};
use crate::clock::SystemClock;
use crate::error::BoxError;
use crate::http::BODY_BYTES_MAX;
use crate::ports::Clock;
use http::{HeaderMap, Method, Request, Response, header, request};
use hyper::body::Incoming;
use lambda_http::aws_lambda_events::query_map::QueryMap;
use lambda_http::request::RequestContext;
use lambda_http::{Context, RequestExt, Service};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::net::TcpListener;

/// The contract for machines.
const OPENAPI: &str = include_str!("../../openapi.yaml");

/// How long the deployed function may run.
const INVOCATION_MS: u64 = 28_000;

/// The API, and what is beside it.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) api: Arc<LocalApi>,
    /// The sandbox, where it is the connector.
    pub(super) sandbox: Option<Sandbox>,
    /// Authorization is off.
    pub(super) is_open: bool,
}

impl Server {
    /// Answers requests until it is told to stop. Work that has begun then holds `busy`.
    pub(super) async fn serve(self, listener: TcpListener, stopped: Stopped, busy: Busy) {
        let server = Arc::new(self);
        let work = busy.clone();
        accept(listener, stopped, busy, move |request| {
            let (server, work) = (Arc::clone(&server), work.clone());
            async move {
                let is_terminal = is_curl(request.headers());
                let mut response = server.answer(request, work).await?;
                if is_terminal && !response.body().ends_with('\n') {
                    response.body_mut().push('\n');
                }
                Ok(response)
            }
        })
        .await;
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        work: Busy,
    ) -> Result<Response<String>, BoxError> {
        let (parts, body) = request.into_parts();
        let body = read(body, BODY_BYTES_MAX).await?;
        match self.aside(&parts, &body) {
            Some(response) => Ok(response),
            None => self.call(parts, body, work).await,
        }
    }

    /// The answer to what is not a request to the API.
    fn aside(&self, request: &request::Parts, body: &[u8]) -> Option<Response<String>> {
        let form = || String::from_utf8_lossy(body);
        match (&request.method, request.uri.path()) {
            (&Method::GET, "/openapi.yaml") => Some(page("application/yaml", OPENAPI.to_owned())),
            (&Method::GET, "/sandbox/ledger") => {
                Some(json_page(&json!(self.sandbox.as_ref()?.ledger())))
            }
            (&Method::POST, "/oauth/token") if self.is_open => {
                Some(json_page(&tokens::granted(&form())))
            }
            (&Method::POST, "/oauth/introspect") if self.is_open => {
                Some(json_page(&tokens::introspected(&form())))
            }
            _ => None,
        }
    }

    async fn call(
        &self,
        parts: request::Parts,
        body: Vec<u8>,
        work: Busy,
    ) -> Result<Response<String>, BoxError> {
        let began = SystemClock.now();
        let asked = log::Asked::of(&parts, &body);
        let request = api_request(parts, body);
        let api = Arc::clone(&self.api);
        // As in a Lambda, a caller that hangs up does not stop the work.
        let called = tokio::spawn(async move {
            let response = (&*api).call(request).await;
            drop(work);
            response
        });
        let Ok(response) = called.await?;
        asked.answered(&response, SystemClock.now().ms_since(began));
        Ok(response)
    }
}

/// True for a client that writes bodies to a terminal as they are.
fn is_curl(headers: &HeaderMap) -> bool {
    let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    agent.is_some_and(|agent| agent.starts_with("curl/"))
}

fn json_page(body: &Value) -> Response<String> {
    page("application/json", body.to_string())
}

fn page(content_type: &'static str, body: String) -> Response<String> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}

/// The request as `lambda_http` makes it of an event, without a stage and an
/// authorizer.
fn api_request(parts: request::Parts, body: Vec<u8>) -> lambda_http::Request {
    let mut context = Context::default();
    context.deadline = SystemClock.now().plus_ms(INVOCATION_MS).ms();
    let path = parts.uri.path().to_owned();
    let Ok(query) = parts.uri.query().unwrap_or_default().parse::<QueryMap>();
    Request::from_parts(parts, lambda_http::Body::from(body))
        .with_raw_http_path(path)
        .with_query_string_parameters(query)
        .with_request_context(RequestContext::ApiGatewayV2(Default::default()))
        .with_lambda_context(context)
}
