//! One server for everything around tokens, with scripted replies: an issuer's keys,
//! introspection, a token endpoint, AWS's extension for secrets, and a connector.

pub mod keys;
pub mod record;

use crate::support::http_server::{Answer, listen, serve};
use http::{HeaderMap, Method, Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::time::sleep;

/// The endpoints of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// `GET /keys`
    Keys,
    /// `POST /introspect`: the granted answer, unless a reply is scripted.
    Introspection,
    /// `POST /token`
    Tokens,
    /// `GET /secretsmanager/get`
    Secrets,
    /// `POST /operations/payment-intents/…`: approves.
    Connector,
    /// Any other path.
    Elsewhere,
}

/// The reply to one request.
#[derive(Clone, Debug)]
pub enum Reply {
    Says(u16, String),
    /// The reply, after this many milliseconds.
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
pub struct Asked {
    pub role: Role,
    pub uri: String,
    pub headers: HeaderMap,
    pub body: String,
}

impl Asked {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The fields of the form, decoded, in order.
    pub fn form(&self) -> Vec<(String, String)> {
        let fields = self.body.split('&').filter_map(|field| field.split_once('='));
        fields.map(|(name, value)| (decoded(name), decoded(value))).collect()
    }
}

/// Decodes a field of a form.
pub fn decoded(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8().unwrap().into_owned()
}

/// The server. It lives as long as the runtime of its test.
#[derive(Clone)]
pub struct Identity {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// The scripted replies to the next requests of each role, in order.
    next: HashMap<Role, VecDeque<Reply>>,
    usual: HashMap<Role, Reply>,
    /// The introspection answer of each granted token.
    granted: HashMap<String, Value>,
    asked: Vec<Asked>,
    busy: HashMap<Role, usize>,
    most_busy: HashMap<Role, usize>,
}

impl Identity {
    pub async fn start() -> Self {
        let (listener, address) = listen().await;
        let identity = Self { address, state: Arc::default() };
        let served = identity.clone();
        serve(listener, move |request| served.clone().answer(request));
        identity
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Adds the reply to the next request that has none yet.
    pub fn next(&self, role: Role, reply: Reply) {
        self.state().next.entry(role).or_default().push_back(reply);
    }

    /// Sets the reply to requests without a scripted one.
    pub fn usually(&self, role: Role, reply: Reply) {
        self.state().usual.insert(role, reply);
    }

    /// Sets the introspection answer for the token.
    pub fn grant(&self, token: &str, says: Value) {
        self.state().granted.insert(token.to_owned(), says);
    }

    /// The received requests, in order.
    pub fn asked(&self, role: Role) -> Vec<Asked> {
        self.state().asked.iter().filter(|asked| asked.role == role).cloned().collect()
    }

    /// The largest number of simultaneous requests of the role.
    pub fn most_at_once(&self, role: Role) -> usize {
        self.state().most_busy.get(&role).copied().unwrap_or_default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    async fn answer(self, request: Request<Incoming>) -> Answer {
        let role = role(request.method(), request.uri().path());
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap();
        let asked = Asked { role, uri: parts.uri.to_string(), headers: parts.headers, body };
        let _busy = Busy::new(&self, role);
        match self.reply(asked) {
            Reply::Says(status, body) => says(status, body),
            Reply::Late(ms, status, body) => {
                sleep(Duration::from_millis(ms)).await;
                says(status, body)
            }
            Reply::Redirect(location) => {
                let response = Response::builder().status(302).header(header::LOCATION, location);
                Ok(response.body(Full::default()).unwrap())
            }
            Reply::Drop => Err("told to close the connection".to_owned()),
            Reply::Silence => std::future::pending().await,
        }
    }

    fn reply(&self, asked: Asked) -> Reply {
        let mut state = self.state();
        let role = asked.role;
        let next = state.next.get_mut(&role).and_then(VecDeque::pop_front);
        let reply = next.or_else(|| state.usual.get(&role).cloned()).unwrap_or_else(|| {
            let (status, body) = match role {
                Role::Introspection => (200, state.introspected(&asked)),
                Role::Connector => (200, json!({"outcome": "approved"})),
                Role::Keys | Role::Tokens | Role::Secrets | Role::Elsewhere => (404, json!({})),
            };
            Reply::Says(status, body.to_string())
        });
        state.asked.push(asked);
        reply
    }
}

impl State {
    fn introspected(&self, asked: &Asked) -> Value {
        let token = asked.form().into_iter().find(|(name, _)| name == "token");
        let granted = token.and_then(|(_, token)| self.granted.get(&token).cloned());
        granted.unwrap_or_else(|| json!({"active": false}))
    }
}

fn role(method: &Method, path: &str) -> Role {
    match (method, path) {
        (&Method::GET, "/keys") => Role::Keys,
        (&Method::POST, "/introspect") => Role::Introspection,
        (&Method::POST, "/token") => Role::Tokens,
        (&Method::GET, "/secretsmanager/get") => Role::Secrets,
        (&Method::POST, path) if path.starts_with("/operations/payment-intents/") => {
            Role::Connector
        }
        _ => Role::Elsewhere,
    }
}

fn says(status: u16, body: String) -> Answer {
    let response = Response::builder().status(status);
    Ok(response.header(header::CONTENT_TYPE, "application/json").body(Full::from(body)).unwrap())
}

/// Counts a request until its handling ends, in whatever way.
struct Busy<'a>(&'a Identity, Role);

impl<'a> Busy<'a> {
    fn new(identity: &'a Identity, role: Role) -> Self {
        let mut state = identity.state();
        let busy = state.busy.entry(role).or_default();
        *busy += 1;
        let busy = *busy;
        let most = state.most_busy.entry(role).or_default();
        *most = busy.max(*most);
        Self(identity, role)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        *self.0.state().busy.entry(self.1).or_default() -= 1;
    }
}
