//! An emulated Runtime API, and the built binary as its function, with the embedded
//! emulator as DynamoDB and the sandbox as connector.
//!
//! The process of a [`Lambda`] is started once: an invocation that ends it fails the test.
//! A [`function::Function`] is started again.

pub mod events;
pub mod function;
pub mod panicking;
pub mod process;
pub mod runtime_api;

use crate::support::{Reply, transactions_of};
use events::{event, read, with};
use http::{HeaderName, HeaderValue};
use payment_intents::local::{emulator, sandbox::Sandbox};
use process::{Process, Program};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Output;
use std::time::Duration;
use tokio::time::timeout;

/// The time of an invocation, as deployed.
const TIMEOUT_MS: u64 = 28_000;

/// The longest wait for a start or an invocation, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(40);

/// The function, ready for events.
pub struct Lambda {
    process: Process,
    pub sandbox: Sandbox,
}

impl Lambda {
    /// Starts it with the demo Payments of the local server.
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// As [`Lambda::start`], with more variables.
    pub async fn with(variables: &[(&str, &str)]) -> Self {
        Self::of(&Program::from(binary().as_str()), variables).await
    }

    /// As [`Lambda::with`], for any program that serves the API.
    pub async fn of(program: &Program, variables: &[(&str, &str)]) -> Self {
        let dynamodb = emulator::start(None).await.unwrap();
        let client = dynamodb.clone().client();
        emulator::ensure_table(&client, "payments").await.unwrap();
        let sandbox = Sandbox::start().await.unwrap();
        let (dynamodb, connector) = (dynamodb.endpoint_url.unwrap(), sandbox.url().to_string());
        let settings = environment(&dynamodb, &connector);
        let more = variables.iter().map(|(name, value)| (*name, (*value).to_owned()));
        let variables: Vec<_> = settings.into_iter().chain(more).collect();
        let process = Process::start(program, &variables, Path::new("/dev/null")).await;
        let mut lambda = Self { process, sandbox };
        let demo: Vec<Value> = serde_json::from_str(&read("src/local/demo.json")).unwrap();
        for draft in demo {
            lambda.register("demo", draft).await;
        }
        lambda
    }

    /// Registers a Payment, through the function itself.
    pub async fn register(&mut self, project: &str, draft: Value) {
        let scope = format!("manage_payments:{project}");
        let event = with(event("create-payment"), "/rawPath", format!("/{project}/payments"));
        let event = with(event, "/requestContext/authorizer/jwt/claims/scope", scope);
        let reply = self.invoke(&with(event, "/body", draft.to_string())).await;
        assert_eq!(reply.status, 201, "{reply:?}");
    }

    pub async fn invoke(&mut self, event: &Value) -> Reply {
        self.invoke_within(TIMEOUT_MS, event).await
    }

    /// Invokes it with this much time until the deadline.
    pub async fn invoke_within(&mut self, left_ms: u64, event: &Value) -> Reply {
        match self.deliver(left_ms, event.to_string()).await {
            Ok(reply) => reply,
            Err(report) => panic!("{event} failed: {report}"),
        }
    }

    /// Delivers any text, even invalid JSON. An `Err` is an error that the function
    /// reported.
    pub async fn deliver(&mut self, left_ms: u64, event: String) -> Result<Reply, String> {
        let answered = self.process.hand_over(left_ms, event);
        let posted = tokio::select! {
            answered = timeout(PATIENCE, answered) => answered.expect("it is answered").unwrap(),
            ended = self.process.child.wait() => panic!("the process ended: {ended:?}"),
        };
        posted
            .map(|document| reply(&document))
            .map_err(|report| String::from_utf8(report.to_vec()).unwrap())
    }

    /// The Payment as it is now.
    pub async fn payment(&mut self, id: &str) -> Value {
        let path = format!("/demo/payments/{id}");
        let reply = self.invoke(&with(event("get-payment"), "/rawPath", path)).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.body
    }

    /// Type, state and amount of each transaction, in order.
    pub async fn transactions(&mut self, id: &str) -> Vec<String> {
        transactions_of(&self.payment(id).await)
    }

    /// The effects at the sandbox PSP, in order.
    pub fn effects(&self) -> Vec<String> {
        let ledger = self.sandbox.ledger().into_iter();
        ledger
            .map(|did| format!("{} {} {}", did.action, did.cent_amount, did.currency_code))
            .collect()
    }

    /// The id of the process, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.child.id()
    }
}

/// The binary that was built with the tests, or the one that `PAYMENT_INTENTS_BOOTSTRAP`
/// names: the one that is deployed.
fn binary() -> String {
    #[expect(clippy::disallowed_methods, reason = "says which binary to test")]
    let shipped = std::env::var("PAYMENT_INTENTS_BOOTSTRAP").ok();
    shipped.unwrap_or_else(|| env!("CARGO_BIN_EXE_payment-intents").to_owned())
}

/// The exit of the API's process with these variables.
pub async fn run_api_to_exit(variables: &[(&str, &str)]) -> Output {
    run_to_exit(env!("CARGO_BIN_EXE_payment-intents"), variables).await
}

/// As [`run_api_to_exit`], for any of the Lambdas.
pub async fn run_to_exit(binary: &str, variables: &[(&str, &str)]) -> Output {
    let mut command = Program::from(binary).command("127.0.0.1:9");
    let output = command.envs(variables.iter().copied()).output();
    timeout(PATIENCE, output).await.expect("it ends").unwrap()
}

/// The variables that an operator sets.
fn environment(dynamodb: &str, connector: &str) -> [(&'static str, String); 4] {
    [
        ("PAYMENTS_TABLE", "payments".to_owned()),
        ("CONNECTORS", json!({"*": {"url": connector}}).to_string()),
        ("AUTH", "gateway".to_owned()),
        ("AWS_ENDPOINT_URL_DYNAMODB", dynamodb.to_owned()),
    ]
}

/// Reads a response in the format of either kind of API, and checks the headers that every
/// answer has.
fn reply(document: &[u8]) -> Reply {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Document {
        status_code: u16,
        headers: BTreeMap<String, String>,
        multi_value_headers: BTreeMap<String, Vec<String>>,
        #[serde(default)]
        cookies: Vec<String>,
        body: String,
        is_base64_encoded: bool,
    }
    let document: Document = serde_json::from_slice(document).unwrap();
    assert!(!document.is_base64_encoded);
    assert!(document.cookies.is_empty());
    assert!(document.headers.is_empty() || document.multi_value_headers.is_empty());
    let lists = document.multi_value_headers.into_iter();
    let lists =
        lists.flat_map(|(name, values)| values.into_iter().map(move |value| (name.clone(), value)));
    let headers = document.headers.into_iter().chain(lists).map(|(name, value)| {
        (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap())
    });
    let body = serde_json::from_str(&document.body).expect("every body is JSON");
    let reply = Reply { status: document.status_code, headers: headers.collect(), body };
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert!(reply.header("x-correlation-id").is_some(), "{reply:?}");
    reply
}
