//! The API on localhost, as API Gateway would put it there, and what helps in trying it.

use super::adyen::AdyenSandbox;
use super::console::{Body, Burst, Console, Exchange, is_from_here};
use super::listen::{Busy, Stopped, accept, read};
use super::sandbox::{Effect, Sandbox};
use super::stripe::StripeSandbox;
use super::{LocalApi, log, tokens};
use crate::clock::SystemClock;
use crate::error::BoxError;
use crate::http::WEBHOOK_BYTES_MAX;
use crate::payment::ProjectKey;
use crate::ports::Clock;
use futures_util::future::join_all;
use http::{HeaderMap, Method, Request, Response, header, request};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use lambda_http::aws_lambda_events::query_map::QueryMap;
use lambda_http::request::RequestContext;
use lambda_http::{Context, RequestExt, Service};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::TcpListener;

/// The contract for machines.
const OPENAPI: &str = include_str!("../../openapi.yaml");

/// The time limit of an invocation, that of the deployed function.
const INVOCATION_MS: u64 = 28_000;

/// The PSPs on localhost.
#[derive(Clone, Debug)]
pub(super) struct Psps {
    /// The sandbox, where it is the connector.
    pub(super) sandbox: Option<Sandbox>,
    /// The Stripe, beside the sandbox.
    pub(super) stripe: Option<StripeSandbox>,
    /// The Adyen, beside the sandbox.
    pub(super) adyen: Option<AdyenSandbox>,
}

impl Psps {
    /// The effects at the PSPs, in order for each PSP; `None` if the sandbox is not the
    /// connector.
    pub(super) fn ledger(&self) -> Option<Vec<Effect>> {
        let mut effects = self.sandbox.as_ref()?.ledger();
        effects.extend(self.stripe.iter().flat_map(StripeSandbox::ledger));
        effects.extend(self.adyen.iter().flat_map(AdyenSandbox::ledger));
        Some(effects)
    }
}

/// The API, and what is beside it.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) api: Arc<LocalApi>,
    pub(super) psps: Psps,
    /// Authorization is off.
    pub(super) is_open: bool,
    pub(super) console: Console,
    /// The projects that were asked for.
    pub(super) projects: Mutex<BTreeSet<String>>,
}

impl Server {
    /// Answers requests until it is told to stop. Work that has begun then holds `busy`.
    pub(super) async fn serve(self, listener: TcpListener, stopped: Stopped, busy: Busy) {
        let server = Arc::new(self);
        let work = busy.clone();
        let is_ending = stopped.clone();
        accept(listener, stopped, busy, move |request| {
            let (server, work) = (Arc::clone(&server), work.clone());
            let is_ending = is_ending.clone();
            async move { server.answer(request, work, is_ending).await }
        })
        .await;
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        work: Busy,
        stopped: Stopped,
    ) -> Result<Response<Body>, BoxError> {
        let (parts, body) = request.into_parts();
        if let Some(response) = self.console.answer(&parts, &stopped) {
            return Ok(response);
        }
        let is_terminal = is_curl(&parts.headers);
        let body = read(body, WEBHOOK_BYTES_MAX).await?;
        let mut response = match self.local_answer(&parts, &body) {
            Some(response) => response,
            None if is_burst(&parts) => self.burst(&body, work).await?,
            None => self.call(parts, body, work).await?,
        };
        if is_terminal && !response.body().ends_with('\n') {
            response.body_mut().push('\n');
        }
        Ok(response.map(|body| Full::from(body).boxed()))
    }

    /// Makes the same request many times at once. A browser would make but a few.
    async fn burst(&self, body: &[u8], work: Busy) -> Result<Response<String>, BoxError> {
        let Burst { path, body, authorization, count } = Burst::read(body)?;
        let call = || {
            let request = Request::post(&path).header(header::CONTENT_TYPE, "application/json");
            let request = match &authorization {
                Some(token) => request.header(header::AUTHORIZATION, token),
                None => request,
            };
            let (parts, ()) = request.body(())?.into_parts();
            Ok(self.call(parts, body.clone().into_bytes(), work.clone()))
        };
        let calls = (0..count).map(|_| call()).collect::<Result<Vec<_>, BoxError>>()?;
        let answers = join_all(calls).await;
        let statuses = answers.into_iter().map(|answer| Ok(answer?.status().as_u16()));
        Ok(json_page(&json!(statuses.collect::<Result<Vec<_>, BoxError>>()?)))
    }

    /// The answer to a request that is not one of the API.
    fn local_answer(&self, request: &request::Parts, body: &[u8]) -> Option<Response<String>> {
        let form = || String::from_utf8_lossy(body);
        match (&request.method, request.uri.path()) {
            (&Method::GET, "/openapi.yaml") => {
                // A browser would download YAML.
                let is_browser = has(&request.headers, header::ACCEPT, "text/html");
                let kind =
                    if is_browser { "text/plain; charset=utf-8" } else { "application/yaml" };
                Some(page(kind, OPENAPI.to_owned()))
            }
            (&Method::GET, "/sandbox/ledger") => Some(json_page(&json!(self.psps.ledger()?))),
            (&Method::POST, "/oauth/token") if self.is_open => {
                Some(json_page(&tokens::granted(&form(), &self.projects())))
            }
            (&Method::POST, "/oauth/introspect") if self.is_open => {
                Some(json_page(&tokens::introspected(&form(), &self.projects())))
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
        self.note_project(parts.uri.path());
        let began = SystemClock.now();
        let asked = log::Asked::of(&parts, &body);
        let exchange = Exchange::of(&parts, &body);
        let request = api_request(parts, body);
        let api = Arc::clone(&self.api);
        // As in a Lambda, a caller that hangs up does not stop the work.
        let called = tokio::spawn(async move {
            let response = (&*api).call(request).await;
            drop(work);
            response
        });
        let Ok(response) = called.await?;
        let duration_ms = SystemClock.now().ms_since(began);
        asked.answered(&response, duration_ms);
        self.console.show(&exchange.answered(&response, duration_ms));
        Ok(response)
    }
}

impl Server {
    fn projects(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.projects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connector that is asked about a Payment of any project finds its token good.
    fn note_project(&self, path: &str) {
        const PROJECTS_MAX: usize = 100;
        let project = path.split('/').nth(1).and_then(|project| ProjectKey::parse(project).ok());
        let mut projects = self.projects();
        if let Some(project) = project.filter(|_| projects.len() < PROJECTS_MAX) {
            projects.insert(project.as_str().to_owned());
        }
    }
}

/// Pages of other sites may not make one.
fn is_burst(request: &request::Parts) -> bool {
    (&request.method, request.uri.path()) == (&Method::POST, "/console/burst")
        && is_from_here(&request.headers)
}

/// True for a client that writes bodies to a terminal as they are.
fn is_curl(headers: &HeaderMap) -> bool {
    has(headers, header::USER_AGENT, "curl/")
}

fn has(headers: &HeaderMap, name: header::HeaderName, text: &str) -> bool {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.contains(text))
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

/// The request that `lambda_http` would make of an event without stage and authorizer.
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
