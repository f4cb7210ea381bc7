//! API Gateway's documents: an HTTP API's (payload 2.0) and a REST API's
//! (payload 1.0) become a [`Request`], a [`Response`] becomes what either wants.
//!
//! The documents are read here, and not by a general crate, because the path
//! must stay raw, and because nothing in them may end the process: a malformed
//! Host or base64 is a request like any other.

use super::answer::Answer;
use super::problem::Problem;
use super::{Api, Request, Response, headers};
use crate::auth::{Caller, Scopes};
use crate::error::BoxError;
use crate::payment::Timestamp;
use crate::ports::{Clock, Connector, Store};
use crate::url::UNRESERVED;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::header::MaxSizeReached;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use percent_encoding::utf8_percent_encode;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// What API Gateway sends, as far as it is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    raw_path: Option<String>,
    raw_query_string: Option<String>,
    #[serde(default)]
    query_string_parameters: Option<BTreeMap<String, String>>,
    path: Option<String>,
    http_method: Option<String>,
    #[serde(default)]
    headers: Option<Headers<false>>,
    #[serde(default)]
    multi_value_headers: Option<Headers<true>>,
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
    request_context: Context,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Context {
    stage: Option<String>,
    http: Option<HttpContext>,
    #[serde(default)]
    authorizer: Value,
}

#[derive(Deserialize)]
struct HttpContext {
    method: String,
}

/// What API Gateway wants back. The headers are sent in the form that both
/// kinds of API read, since no header of ours is repeated.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResponseDocument {
    status_code: u16,
    headers: BTreeMap<String, String>,
    body: String,
    is_base64_encoded: bool,
}

/// Answers an event of either kind. An event of another kind is answered, too:
/// whoever sent it had better know.
pub async fn handle<S: Store, C: Connector, K: Clock>(
    api: &Api<S, C, K>,
    document: &str,
    deadline: Timestamp,
) -> ResponseDocument {
    match request(document, deadline) {
        Ok(request) => api.handle(request).await,
        Err(error) => {
            let correlation_id = headers::correlation_id(&HeaderMap::new());
            let problem = Problem::invalid_json(&error.to_string());
            Answer::from(problem).into_response(&correlation_id)
        }
    }
    .into()
}

/// Answers any event while the function has not got all of its settings: nothing
/// was sent, and the next event may fare better.
pub fn not_started(error: BoxError) -> ResponseDocument {
    let correlation_id = headers::correlation_id(&HeaderMap::new());
    let answer = Answer::from(Problem::unavailable().because(error));
    answer.log(&correlation_id);
    answer.into_response(&correlation_id).into()
}

/// Reads a document of either kind.
fn request(document: &str, deadline: Timestamp) -> Result<Request, NotARequest> {
    let document: Document = serde_json::from_str(document)?;
    let method = document.request_context.http.map(|http| http.method).or(document.http_method);
    let method = method.and_then(|method| method.parse::<Method>().ok());
    let path = document.raw_path.or(document.path);
    let stage = document.request_context.stage.filter(|stage| stage != "$default");
    let body = document.body.unwrap_or_default();
    let multi = document.multi_value_headers.map(|Headers(multi)| multi);
    let multi = multi.filter(|multi| !multi.is_empty());
    let single = document.headers.map(|Headers(single)| single);
    Ok(Request {
        method: method.ok_or(NotARequest::NoMethod)?,
        path: path.ok_or(NotARequest::NoPath)?,
        query: document
            .raw_query_string
            .unwrap_or_else(|| encoded(document.query_string_parameters.unwrap_or_default())),
        stage,
        headers: multi.or(single).unwrap_or_default(),
        body: if document.is_base64_encoded {
            BASE64.decode(body).ok()
        } else {
            Some(body.into_bytes())
        },
        caller: caller(&document.request_context.authorizer),
        deadline,
    })
}

impl From<Response> for ResponseDocument {
    fn from(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
        let headers = parts.headers.iter().map(|(name, value)| (name.to_string(), text(value)));
        Self {
            status_code: parts.status.as_u16(),
            headers: headers.collect(),
            body,
            is_base64_encoded: false,
        }
    }
}

/// A REST API hands over the parameters of a query decoded.
fn encoded(parameters: BTreeMap<String, String>) -> String {
    let encoded = |text| utf8_percent_encode(text, UNRESERVED).to_string();
    let pairs =
        parameters.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// The headers as a document tells of them: each with a value, or, so that repeated
/// ones survive, with a list of them. They are read where they stand, since every
/// event has a dozen.
struct Headers<const AS_LISTS: bool>(HeaderMap);

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de, const AS_LISTS: bool> Deserialize<'de> for Headers<AS_LISTS> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HeadersVisitor::<AS_LISTS>).map(Self)
    }
}

struct HeadersVisitor<const AS_LISTS: bool>;

impl<'de, const AS_LISTS: bool> Visitor<'de> for HeadersVisitor<AS_LISTS> {
    type Value = HeaderMap;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("headers")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<HeaderMap, A::Error> {
        let mut headers = HeaderMap::with_capacity(12);
        while let Some(Text(name)) = map.next_key::<Text<'de>>()? {
            if AS_LISTS {
                for Text(value) in map.next_value::<Vec<Text<'de>>>()? {
                    append(&mut headers, &name, &value).map_err(A::Error::custom)?;
                }
            } else {
                let Text(value) = map.next_value()?;
                append(&mut headers, &name, &value).map_err(A::Error::custom)?;
            }
        }
        Ok(headers)
    }
}

/// A name that cannot be one is none; a value that cannot be one is empty, so that
/// what was meant by it is refused and not overlooked.
fn append(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), MaxSizeReached> {
    let Ok(name) = HeaderName::try_from(name) else { return Ok(()) };
    let value = HeaderValue::try_from(value).unwrap_or(HeaderValue::from_static(""));
    headers.try_append(name, value)?;
    Ok(())
}

/// The caller that the authorizer in front vouches for: by the claims of an HTTP
/// API's JWT authorizer, or by the context of a Lambda authorizer of either kind.
/// Without authorizer data there is none at all.
fn caller(authorizer: &Value) -> Option<Caller> {
    let is_there = authorizer.as_object().is_some_and(|authorizer| !authorizer.is_empty());
    let jwt = authorizer.get("jwt").and_then(|jwt| jwt.get("claims"));
    let places = [jwt, authorizer.get("lambda"), authorizer.get("claims"), Some(authorizer)];
    let claims = || places.into_iter().flatten();
    let text = |name| claims().filter_map(move |claims| claims.get(name)?.as_str());
    let scopes = text("scope").chain(text("scp")).map(|list| Scopes::parse(unlisted(list)));
    let mut subjects = ["sub", "client_id", "principalId"].into_iter().flat_map(text);
    is_there.then(|| Caller {
        subject: subjects.next().map(str::to_owned),
        scopes: scopes.reduce(Scopes::and).unwrap_or_default(),
    })
}

/// An HTTP API writes a claim that is a list as `[a b]`.
fn unlisted(claim: &str) -> &str {
    claim.strip_prefix('[').and_then(|claim| claim.strip_suffix(']')).unwrap_or(claim)
}

/// Why a document is not a request.
#[derive(Debug, thiserror::Error)]
enum NotARequest {
    /// Not a document of API Gateway.
    #[error("the event is not a request of API Gateway")]
    NotADocument(#[from] serde_json::Error),
    /// There is no method, or not one of HTTP's.
    #[error("the event has no HTTP method")]
    NoMethod,
    /// There is no path.
    #[error("the event has no path")]
    NoPath,
}
