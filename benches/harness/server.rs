//! The local server in another process, and its client.

use super::harness::{directory, world};
use super::support;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use payment_intents::payment::{PaymentId, PaymentKey, ProjectKey};
use serde_json::json;
use std::process::Stdio;
use tokio::net::TcpStream;
use uuid::Uuid;

/// The server. Its process ends on drop.
pub struct Server {
    _server: support::Server,
    pub authority: String,
    /// The address of its DynamoDB emulator.
    pub dynamodb: String,
    /// The Payments, each with 1000.00 EUR authorized.
    pub payments: Vec<PaymentKey>,
}

impl Server {
    /// Starts it with this many Payments.
    pub async fn start(payments: usize) -> Self {
        let ids: Vec<String> = (0..payments).map(|_| Uuid::new_v4().to_string()).collect();
        let file = directory().join("payments.json");
        let drafts: Vec<_> = ids.iter().map(|id| world::draft(id)).collect();
        std::fs::write(&file, json!(drafts).to_string()).expect("a file");
        let mut command = support::Server::command();
        command.arg("--payments").arg(file).stderr(Stdio::null());
        let server = support::Server::run(command).await;
        let found = |before: &str| {
            let mut lines = server.welcome.iter();
            let (_, found) = lines.find_map(|line| line.split_once(before)).expect("a line");
            found.to_owned()
        };
        let authority = found("listening on http://");
        let dynamodb = found("AWS_ENDPOINT_URL_DYNAMODB=");
        let project = ProjectKey::parse("demo").expect("a project");
        let key = |id: &String| PaymentKey {
            project: project.clone(),
            id: PaymentId::parse(id).expect("an id"),
        };
        Self { _server: server, authority, dynamodb, payments: ids.iter().map(key).collect() }
    }
}

/// A client that keeps its connection open.
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    authority: String,
}

impl Connection {
    pub async fn open(authority: &str) -> Self {
        let stream = TcpStream::connect(authority).await.expect("the server");
        stream.set_nodelay(true).expect("a socket");
        let (sender, connection) = handshake(TokioIo::new(stream)).await.expect("HTTP");
        tokio::spawn(connection);
        Self { sender, authority: authority.to_owned() }
    }

    /// Captures 1.00 EUR, with a new key. Returns the status.
    pub async fn capture(&mut self, payment: &PaymentKey) -> u16 {
        let request = Request::post(world::path(payment))
            .header("host", &self.authority)
            .header("content-type", "application/json")
            .header("idempotency-key", Uuid::new_v4().to_string())
            .body(Full::from(world::body(100)))
            .expect("a request");
        self.sender.ready().await.expect("it is connected");
        let answer = self.sender.send_request(request).await.expect("an answer");
        let status = answer.status().as_u16();
        answer.into_body().collect().await.expect("a body");
        status
    }
}
