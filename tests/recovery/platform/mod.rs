//! Everything that recovery talks to over HTTP, in one server that does as it
//! is told: a connector, the platform whose Payments it writes to, and a token
//! service. And a clock that stands still until a test moves it.

mod function;
pub mod world;

pub use function::Function;

use crate::support::http_server::{Answer, listen, serve};
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use payment_intents::connector::{Authorization, ClientCredentials, ConnectorSettings, Platform};
use payment_intents::payment::Timestamp;
use payment_intents::ports::{Clock, Lookup, Policy};
use payment_intents::secret::Secret;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Stands still. What waits by it waits for real: else every deadline would
/// have come already.
#[derive(Clone, Debug)]
pub struct TestClock(Arc<AtomicU64>);

impl TestClock {
    pub fn at(now: Timestamp) -> Self {
        Self(Arc::new(now.ms().into()))
    }

    pub fn set(&self, now: Timestamp) {
        self.0.store(now.ms(), Ordering::SeqCst);
    }

    pub fn advance(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_ms(self.0.load(Ordering::SeqCst))
    }

    async fn sleep_ms(&self, ms: u64) {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}

/// What becomes of one request.
#[derive(Clone, Debug)]
pub enum Reply {
    Says(u16, String),
    /// The connection is closed.
    Drop,
    /// Nothing comes.
    Silence,
}

/// One of the contract's outcomes.
pub fn outcome(outcome: &str) -> Reply {
    Reply::Says(200, json!({ "outcome": outcome }).to_string())
}

/// An error as the contract has it.
pub fn error(status: u16, code: &str) -> Reply {
    Reply::Says(status, json!({"statusCode": status, "errors": [{"code": code}]}).to_string())
}

/// The platform's Payment with these transactions.
pub fn shown(transactions: &[Value]) -> Reply {
    Reply::Says(200, json!({"id": "p", "transactions": transactions}).to_string())
}

pub fn transaction(kind: &str, state: &str, (amount, currency): Amount, at: Timestamp) -> Value {
    let nanos = i128::from(at.ms()) * 1_000_000;
    let timestamp = OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap();
    json!({
        "id": "00000000-0000-4000-8000-000000000000", "type": kind, "state": state,
        "amount": {"type": "centPrecision", "centAmount": amount, "currencyCode": currency},
        "timestamp": timestamp.format(&Rfc3339).unwrap(),
    })
}

pub type Amount = (u64, &'static str);

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    pub headers: HeaderMap,
    pub body: String,
}

impl Asked {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// The server's three roles.
#[derive(Clone, Copy, Debug)]
pub enum Role {
    Connector,
    Platform,
    Tokens,
}

/// The next requests of a role are answered so, in order; later ones as usual.
#[derive(Default)]
struct Script {
    next: VecDeque<Reply>,
    usual: Option<Reply>,
    asked: Vec<Asked>,
}

type During = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The server.
#[derive(Clone)]
pub struct Outside {
    pub url: String,
    clock: TestClock,
    scripts: Arc<[Mutex<Script>; 3]>,
    takes_ms: Arc<AtomicU64>,
    during: Arc<Mutex<Option<During>>>,
}

impl Outside {
    pub async fn start(clock: TestClock) -> Self {
        let (listener, address) = listen().await;
        let outside = Self {
            url: format!("http://{address}"),
            clock,
            scripts: Arc::default(),
            takes_ms: Arc::default(),
            during: Arc::default(),
        };
        outside.usually(Role::Connector, outcome("approved"));
        outside.usually(Role::Platform, shown(&[]));
        let served = outside.clone();
        serve(listener, move |request| served.clone().answer(request));
        outside
    }

    /// Calls it, and looks things up there where the policy has that.
    pub fn settings(&self, policy: Policy) -> ConnectorSettings {
        let credentials = ClientCredentials {
            token_url: format!("{}/token", self.url).parse().unwrap(),
            client_id: "shop:1 ü".to_owned(),
            client_secret: Secret::new("s/e+c=ret".to_owned()),
            scope: Some("view_payments:demo".to_owned()),
        };
        let authorization = Authorization::ClientCredentials(credentials);
        let platform = Platform { url: self.url.parse().unwrap(), authorization };
        ConnectorSettings {
            url: self.url.parse().unwrap(),
            timeout_ms: 500,
            authorization: Authorization::None,
            projects: None,
            policy,
            platform: (policy.lookup == Lookup::Payment).then_some(platform),
            psp: None,
        }
    }

    /// How the next request is answered that has no answer yet.
    pub fn next(&self, role: Role, reply: Reply) {
        self.script(role).next.push_back(reply);
    }

    /// How requests are answered of which nothing else was said.
    pub fn usually(&self, role: Role, reply: Reply) {
        self.script(role).usual = Some(reply);
    }

    /// What came, in order.
    pub fn asked(&self, role: Role) -> Vec<Asked> {
        self.script(role).asked.clone()
    }

    /// How much time passes while the connector works.
    pub fn takes(&self, ms: u64) {
        self.takes_ms.store(ms, Ordering::SeqCst);
    }

    /// What else happens while the connector or the platform works on the next
    /// request.
    pub fn during(&self, happens: impl Future<Output = ()> + Send + 'static) {
        *self.during.lock().unwrap() = Some(Box::pin(happens));
    }

    #[expect(clippy::as_conversions, reason = "a role is a place in the array")]
    fn script(&self, role: Role) -> std::sync::MutexGuard<'_, Script> {
        self.scripts[role as usize].lock().unwrap()
    }

    async fn answer(self, request: Request<Incoming>) -> Answer {
        let role = match (request.method(), request.uri().path()) {
            (&Method::POST, "/token") => Role::Tokens,
            (&Method::GET, path) if path.starts_with("/demo/payments/") => Role::Platform,
            (&Method::POST, path) if path.starts_with("/operations/payment-intents/") => {
                self.clock.advance(self.takes_ms.load(Ordering::SeqCst));
                Role::Connector
            }
            _ => return Err("nobody asks that".to_owned()),
        };
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap();
        let reply = {
            let mut script = self.script(role);
            script.asked.push(Asked { headers: parts.headers, body });
            let next = script.next.pop_front().or_else(|| script.usual.clone());
            next.unwrap_or_else(|| token(script.asked.len(), 3_600))
        };
        let during = match role {
            Role::Connector | Role::Platform => self.during.lock().unwrap().take(),
            Role::Tokens => None,
        };
        if let Some(happens) = during {
            happens.await;
        }
        match reply {
            Reply::Says(status, body) => {
                Ok(Response::builder().status(status).body(Full::from(body)).unwrap())
            }
            Reply::Drop => Err("told to close the connection".to_owned()),
            Reply::Silence => std::future::pending().await,
        }
    }
}

/// The token service's n-th token, which lives that long.
pub fn token(n: usize, life_s: u64) -> Reply {
    let granted =
        json!({"access_token": format!("token-{n}"), "token_type": "Bearer", "expires_in": life_s});
    Reply::Says(200, granted.to_string())
}
