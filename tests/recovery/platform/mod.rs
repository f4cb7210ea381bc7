//! One server with scripted replies for all that recovery uses over HTTP: a connector, the
//! platform's Payments, and a token service.

mod function;
pub mod world;

pub use function::Function;

pub use crate::support::clock::TestClock;
use crate::support::http_server::{Answer, listen, serve};
pub use crate::support::scripted::Reply;
use crate::support::scripted::{Received, Script};
use http::{Method, Request};
use hyper::body::Incoming;
use payment_intents::connector::{Authorization, ClientCredentials, ConnectorSettings, Platform};
use payment_intents::payment::Timestamp;
use payment_intents::ports::{Lookup, Policy};
use payment_intents::secret::Secret;
use serde_json::{Value, json};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// An outcome of the contract.
pub fn outcome(outcome: &str) -> Reply {
    Reply::Says(200, json!({ "outcome": outcome }).to_string())
}

/// An error of the contract.
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

/// The server's three roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    Connector,
    Platform,
    Tokens,
}

type During = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The server.
#[derive(Clone)]
pub struct ScriptedServer {
    pub url: String,
    clock: TestClock,
    script: Arc<Mutex<Script<Role>>>,
    takes_ms: Arc<AtomicU64>,
    during: Arc<Mutex<Option<During>>>,
}

impl ScriptedServer {
    pub async fn start(clock: TestClock) -> Self {
        let (listener, address) = listen().await;
        let server = Self {
            url: format!("http://{address}"),
            clock,
            script: Arc::default(),
            takes_ms: Arc::default(),
            during: Arc::default(),
        };
        server.usually(Role::Connector, outcome("approved"));
        server.usually(Role::Platform, shown(&[]));
        let served = server.clone();
        serve(listener, move |request| served.clone().answer(request));
        server
    }

    /// A connector that calls this server, and looks transactions up there if the policy
    /// says so.
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
            platform: (policy.lookup == Lookup::Payment).then_some(platform),
            policy,
            psp: None,
        }
    }

    /// Adds the reply to the next request that has none yet.
    pub fn next(&self, role: Role, reply: Reply) {
        self.script().next(role, reply);
    }

    /// Sets the reply to requests without a scripted one.
    pub fn usually(&self, role: Role, reply: Reply) {
        self.script().usually(role, reply);
    }

    /// The received requests, in order.
    pub fn received(&self, role: Role) -> Vec<Received> {
        self.script().received(role)
    }

    /// Sets the time that each call takes.
    pub fn takes(&self, ms: u64) {
        self.takes_ms.store(ms, Ordering::SeqCst);
    }

    /// Runs this while the connector or the platform handles the next request.
    pub fn during(&self, happens: impl Future<Output = ()> + Send + 'static) {
        *self.during.lock().unwrap() = Some(Box::pin(happens));
    }

    fn script(&self) -> MutexGuard<'_, Script<Role>> {
        self.script.lock().unwrap()
    }

    async fn answer(self, request: Request<Incoming>) -> Answer {
        let role = match (request.method(), request.uri().path()) {
            (&Method::POST, "/token") => Role::Tokens,
            (&Method::GET, path) if path.starts_with("/demo/payments/") => Role::Platform,
            (&Method::POST, path) if path.starts_with("/operations/payment-intents/") => {
                self.clock.advance(self.takes_ms.load(Ordering::SeqCst));
                Role::Connector
            }
            _ => return Err("there is no such path".to_owned()),
        };
        let request = Received::read(request).await?;
        let reply = {
            let mut script = self.script();
            let scripted = script.receive(role, request);
            scripted.unwrap_or_else(|| token(script.received(role).len(), 3_600))
        };
        let during = match role {
            Role::Connector | Role::Platform => self.during.lock().unwrap().take(),
            Role::Tokens => None,
        };
        if let Some(happens) = during {
            happens.await;
        }
        reply.send().await
    }
}

/// The n-th token of the token service, with this lifetime.
pub fn token(n: usize, life_s: u64) -> Reply {
    let granted =
        json!({"access_token": format!("token-{n}"), "token_type": "Bearer", "expires_in": life_s});
    Reply::Says(200, granted.to_string())
}
