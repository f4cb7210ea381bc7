//! The built `local` server in a process, and a client that sends requests as they are.

use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// Authorized, 100.00 EUR.
pub const AUTHORIZED: &str = "11111111-1111-4111-8111-111111111111";
/// Captured, 100.00 EUR.
pub const CAPTURED: &str = "22222222-2222-4222-8222-222222222222";
/// Authorized, 5000 JPY.
pub const AUTHORIZED_JPY: &str = "33333333-3333-4333-8333-333333333333";
/// 25.00 EUR whose authorization is Pending.
pub const PENDING: &str = "44444444-4444-4444-8444-444444444444";

/// The start of the last line that the server prints before it waits for requests.
const LAST_OF_WELCOME: &str = "export CONNECTORS=";

const START_MAX: Duration = Duration::from_secs(20);

/// The `local` binary on a free port. It ends with the test.
pub struct Server {
    process: Child,
    pub url: String,
    /// The lines that it printed when it started.
    pub welcome: Vec<String>,
    client: HyperClient<HttpConnector, Full<Bytes>>,
}

/// A response, read to its end.
#[derive(Debug, PartialEq)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Server {
    pub async fn start() -> Self {
        Self::with(&[], &[]).await
    }

    pub async fn with(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = Self::command();
        command.args(arguments).envs(variables.iter().copied()).stderr(Stdio::null());
        Self::run(command).await
    }

    /// The command that starts the server on a free port.
    pub fn command() -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_local"));
        command.args(["--port", "0"]).kill_on_drop(true);
        command
    }

    /// Runs the command until the server is ready for requests.
    pub async fn run(mut command: Command) -> Self {
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut welcome = Vec::<String>::new();
        while !welcome.last().is_some_and(|line| line.contains(LAST_OF_WELCOME)) {
            let line = timeout(START_MAX, lines.next_line()).await;
            let line = line.expect("the server starts in time").unwrap();
            welcome.push(line.expect("the server prints how to use it"));
        }
        let url = welcome[0].strip_prefix("listening on ").unwrap().to_owned();
        // A full pipe would stop the server.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let client = HyperClient::builder(TokioExecutor::new()).build_http();
        Self { process, url, welcome, client }
    }

    /// Kills the process at once, as `kill -9` does.
    pub async fn kill(mut self) {
        self.process.kill().await.unwrap();
    }

    /// Interrupts the process, as Ctrl-C does.
    pub async fn interrupt(&self) {
        let id = self.process.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().await.unwrap().success());
    }

    /// Waits until the process ends by itself. Returns its exit code.
    pub async fn ended(mut self) -> Option<i32> {
        timeout(START_MAX, self.process.wait()).await.expect("it ends").unwrap().code()
    }

    /// Sends a request exactly as it is: the path is not touched.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Reply {
        let mut request = Request::builder()
            .method(method.parse::<Method>().unwrap())
            .uri(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::from(body.into())).unwrap();
        let (parts, body) = self.client.request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&body).expect("every body is JSON");
        Reply { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    /// Posts an action of a Payment of the project `demo`.
    pub async fn act(&self, payment: &str, action: Value, headers: &[(&str, &str)]) -> Reply {
        let path = format!("/demo/payment-intents/{payment}");
        let mut all = vec![("content-type", "application/json")];
        all.extend(headers);
        self.send("POST", &path, &all, json!({"actions": [action]}).to_string()).await
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[], "").await
    }

    /// The Payment as it is now.
    pub async fn payment(&self, payment: &str) -> Value {
        let reply = self.get(&format!("/demo/payments/{payment}")).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.body
    }

    /// Type, state and amount of each transaction, in order.
    pub async fn transactions(&self, payment: &str) -> Vec<String> {
        transactions_of(&self.payment(payment).await)
    }

    /// The effects of the Payment at the sandbox PSP: action and amount.
    pub async fn effects(&self, payment: &str) -> Vec<(String, u64)> {
        let ledger = self.get("/sandbox/ledger").await.body;
        let effects = ledger.as_array().unwrap().iter();
        effects
            .filter(|effect| effect["paymentId"] == payment)
            .map(|effect| {
                let action = effect["action"].as_str().unwrap().to_owned();
                (action, effect["centAmount"].as_u64().unwrap())
            })
            .collect()
    }
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The code of the first error.
    pub fn code(&self) -> &str {
        self.body["errors"][0]["code"].as_str().unwrap_or("")
    }

    /// Status and code, by which a caller decides.
    pub fn outcome(&self) -> (u16, &str) {
        (self.status, self.code())
    }

    /// The first error without its message: code and fields.
    pub fn error(&self) -> Value {
        let mut error = self.body["errors"][0].clone();
        error.as_object_mut().unwrap().remove("message");
        error
    }
}

/// Type, state and amount of each transaction of the Payment, in order.
pub fn transactions_of(payment: &Value) -> Vec<String> {
    let describe = |transaction: &Value| {
        let text = |name: &str| transaction[name].as_str().unwrap().to_owned();
        format!("{} {} {}", text("type"), text("state"), transaction["amount"]["centAmount"])
    };
    payment["transactions"].as_array().unwrap().iter().map(describe).collect()
}
