//! A request and its answer as they were on the wire, without the caller's token.

use crate::clock::SystemClock;
use crate::platform::format_time;
use crate::ports::Clock;
use http::{HeaderMap, Response, header, request};
use serde::Serialize;

/// A request and its answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::local) struct Exchange {
    at: String,
    method: String,
    path: String,
    request_headers: Vec<(String, String)>,
    request_body: String,
    status: u16,
    response_headers: Vec<(String, String)>,
    response_body: String,
    duration_ms: u64,
}

impl Exchange {
    /// A request that is not answered yet.
    pub(in crate::local) fn of(request: &request::Parts, body: &[u8]) -> Self {
        Self {
            at: format_time(SystemClock.now()),
            method: request.method.to_string(),
            path: request.uri.path_and_query().map_or_else(String::new, ToString::to_string),
            request_headers: shown(&request.headers),
            request_body: String::from_utf8_lossy(body).into_owned(),
            status: 0,
            response_headers: Vec::new(),
            response_body: String::new(),
            duration_ms: 0,
        }
    }

    /// The same with its answer.
    pub(in crate::local) fn answered(self, response: &Response<String>, duration_ms: u64) -> Self {
        Self {
            status: response.status().as_u16(),
            response_headers: shown(response.headers()),
            response_body: response.body().clone(),
            duration_ms,
            ..self
        }
    }
}

/// The headers. A token is not shown.
fn shown(headers: &HeaderMap) -> Vec<(String, String)> {
    let shown = |name: &header::HeaderName, value: &header::HeaderValue| match *name {
        header::AUTHORIZATION => "Bearer …".to_owned(),
        _ => String::from_utf8_lossy(value.as_bytes()).into_owned(),
    };
    headers.iter().map(|(name, value)| (name.to_string(), shown(name, value))).collect()
}
