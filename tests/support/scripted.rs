//! A server with scripted replies: the part that is the same for every role that a test
//! plays. Requests are kept by role.

use super::http_server::Answer;
use http::{HeaderMap, Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::time::Duration;
use tokio::time::sleep;

/// The reply to one request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Status and JSON.
    Says(u16, String),
    /// The same, after this many milliseconds.
    Late(u64, u16, String),
    /// 302, to this location.
    Redirect(String),
    /// The connection is closed without a reply.
    Drop,
    /// No reply, and the connection stays open.
    Silence,
}

/// A received request.
#[derive(Clone, Debug)]
pub struct Received {
    pub uri: String,
    pub headers: HeaderMap,
    pub body: String,
}

/// The scripted replies and the received requests, by role.
pub struct Script<R> {
    next: HashMap<R, VecDeque<Reply>>,
    usual: HashMap<R, Reply>,
    received: HashMap<R, Vec<Received>>,
}

impl Received {
    pub async fn read(request: Request<Incoming>) -> Result<Self, String> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap();
        Ok(Self { uri: parts.uri.to_string(), headers: parts.headers, body })
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The fields of the form in the body, decoded, in order.
    pub fn form(&self) -> Vec<(String, String)> {
        let fields = self.body.split('&').filter_map(|field| field.split_once('='));
        fields.map(|(name, value)| (decoded(name), decoded(value))).collect()
    }
}

/// Decodes a field of a form.
pub fn decoded(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8().unwrap().into_owned()
}

impl Reply {
    pub async fn send(self) -> Answer {
        match self {
            Self::Says(status, body) => json(status, body),
            Self::Late(ms, status, body) => {
                sleep(Duration::from_millis(ms)).await;
                json(status, body)
            }
            Self::Redirect(location) => {
                let response = Response::builder().status(302).header(header::LOCATION, location);
                Ok(response.body(Full::default()).unwrap())
            }
            Self::Drop => Err("the script closes the connection".to_owned()),
            Self::Silence => std::future::pending().await,
        }
    }
}

fn json(status: u16, body: String) -> Answer {
    let response = Response::builder().status(status);
    Ok(response.header(header::CONTENT_TYPE, "application/json").body(Full::from(body)).unwrap())
}

impl<R: Eq + Hash> Script<R> {
    /// Adds the reply to the next request of the role that has none yet.
    pub fn next(&mut self, role: R, reply: Reply) {
        self.next.entry(role).or_default().push_back(reply);
    }

    /// Sets the reply to requests of the role without one in [`Script::next`].
    pub fn usually(&mut self, role: R, reply: Reply) {
        self.usual.insert(role, reply);
    }

    /// The received requests of the role, in order.
    pub fn received(&self, role: R) -> Vec<Received> {
        self.received.get(&role).cloned().unwrap_or_default()
    }

    /// Keeps the request, and takes its reply from the script; `None` if it has none.
    pub fn receive(&mut self, role: R, request: Received) -> Option<Reply> {
        let next = self.next.get_mut(&role).and_then(VecDeque::pop_front);
        let reply = next.or_else(|| self.usual.get(&role).cloned());
        self.received.entry(role).or_default().push(request);
        reply
    }
}

impl<R> Default for Script<R> {
    fn default() -> Self {
        Self { next: HashMap::new(), usual: HashMap::new(), received: HashMap::new() }
    }
}
