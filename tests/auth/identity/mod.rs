//! One server for everything around tokens, with scripted replies: an issuer's keys,
//! introspection, a token endpoint, AWS's extension for secrets, and a connector.

pub mod keys;
pub mod record;

use crate::support::http_server::{Answer, listen, serve};
use crate::support::scripted::Script;
pub use crate::support::scripted::{Received, Reply, decoded};
use http::{Method, Request};
use hyper::body::Incoming;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

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

/// The server. It lives as long as the runtime of its test.
#[derive(Clone)]
pub struct Identity {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    script: Script<Role>,
    /// The introspection answer of each granted token.
    granted: HashMap<String, Value>,
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
        self.state().script.next(role, reply);
    }

    /// Sets the reply to requests without a scripted one.
    pub fn usually(&self, role: Role, reply: Reply) {
        self.state().script.usually(role, reply);
    }

    /// Sets the introspection answer for the token.
    pub fn grant(&self, token: &str, says: Value) {
        self.state().granted.insert(token.to_owned(), says);
    }

    /// The received requests, in order.
    pub fn received(&self, role: Role) -> Vec<Received> {
        self.state().script.received(role)
    }

    /// The largest number of simultaneous requests of the role.
    pub fn most_simultaneous(&self, role: Role) -> usize {
        self.state().most_busy.get(&role).copied().unwrap_or_default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    async fn answer(self, request: Request<Incoming>) -> Answer {
        let role = role(request.method(), request.uri().path());
        let request = Received::read(request).await?;
        let _busy = Busy::new(&self, role);
        self.reply(role, request).send().await
    }

    fn reply(&self, role: Role, request: Received) -> Reply {
        let mut state = self.state();
        let (status, body) = match role {
            Role::Introspection => (200, state.introspected(&request)),
            Role::Connector => (200, json!({"outcome": "approved"})),
            Role::Keys | Role::Tokens | Role::Secrets | Role::Elsewhere => (404, json!({})),
        };
        let scripted = state.script.receive(role, request);
        scripted.unwrap_or_else(|| Reply::Says(status, body.to_string()))
    }
}

impl State {
    fn introspected(&self, request: &Received) -> Value {
        let token = request.form().into_iter().find(|(name, _)| name == "token");
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
