//! A real DynamoDB API for the suites: the embedded emulator, or the one that
//! `AWS_ENDPOINT_URL_DYNAMODB` names. Each test has its own table.

use super::http_server::{Answer, listen, serve};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue::S;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use payment_intents::dynamodb::{Connection, DynamoStore, create_table};
use payment_intents::local::emulator;
use payment_intents::payment::{Payment, Timestamp};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use uuid::Uuid;

/// A table for one test.
pub struct Table {
    pub store: DynamoStore,
    pub client: Client,
    pub name: String,
}

impl Table {
    /// The time at which recovery should look, as stored in the item: the key of the index.
    pub async fn recover_at(&self, payment: &Payment) -> Option<Timestamp> {
        let get = self.client.get_item().table_name(&self.name).consistent_read(true);
        let get = get.key("pk", S(payment.key.to_string())).key("sk", S("payment".to_owned()));
        let item = get.send().await.unwrap().item?;
        let at = item.get("recover_at")?.as_n().unwrap().parse().unwrap();
        Some(Timestamp::from_ms(at))
    }
}

/// The connection to DynamoDB.
pub async fn connection() -> Connection {
    #[allow(clippy::disallowed_methods, reason = "says where the suite runs")]
    match std::env::var("AWS_ENDPOINT_URL_DYNAMODB") {
        Ok(url) if !url.is_empty() => Connection::to_emulator(url),
        _ => emulator::start(None).await.unwrap(),
    }
}

pub async fn table() -> Table {
    table_at(connection().await).await
}

pub async fn table_at(connection: Connection) -> Table {
    let client = connection.client();
    let name = format!("payments-{}", Uuid::new_v4());
    create_table(&client, &name).await.unwrap();
    Table { store: DynamoStore::new(client.clone(), name.clone()), client, name }
}

/// A fault of one request to DynamoDB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No fault.
    None,
    /// It is carried out, and the answer is lost.
    LostAnswer,
    /// It does not arrive, and the connection is closed.
    Lost,
    /// It does not arrive, and the connection stays open without an answer.
    Silent,
}

/// A proxy between the SDK and DynamoDB, which records operations and loses messages as
/// planned.
#[derive(Clone)]
pub struct Shim {
    pub url: String,
    upstream: String,
    client: HyperClient<HttpConnector, Full<Bytes>>,
    openings: Arc<AtomicUsize>,
    calls: Arc<Mutex<Vec<String>>>,
    plan: Arc<Mutex<VecDeque<Fault>>>,
}

impl Shim {
    pub async fn start(upstream: &str) -> Self {
        let (listener, address) = listen().await;
        let shim = Self {
            url: format!("http://{address}"),
            upstream: upstream.trim_end_matches('/').to_owned(),
            client: HyperClient::builder(TokioExecutor::new()).build_http(),
            openings: Arc::default(),
            calls: Arc::default(),
            plan: Arc::default(),
        };
        let served = shim.clone();
        serve(listener, move |request| served.clone().pass(request));
        shim
    }

    /// Plans the faults of the next requests, in order. Later requests have none.
    pub fn plan(&self, faults: &[Fault]) {
        *self.plan.lock().unwrap() = faults.iter().copied().collect();
    }

    /// The number of reads that only open a connection.
    pub fn openings(&self) -> usize {
        self.openings.load(Ordering::SeqCst)
    }

    /// The other operations since the last call.
    pub fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }

    async fn pass(self, request: Request<Incoming>) -> Answer {
        let (mut parts, body) = request.into_parts();
        let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
        let target = parts.headers["x-amz-target"].to_str().unwrap();
        let fault = if opens_a_connection(&body) {
            self.openings.fetch_add(1, Ordering::SeqCst);
            Fault::None
        } else {
            self.calls.lock().unwrap().push(target.rsplit('.').next().unwrap().to_owned());
            self.plan.lock().unwrap().pop_front().unwrap_or(Fault::None)
        };
        match fault {
            Fault::Lost => return Err("lost".to_owned()),
            Fault::Silent => std::future::pending().await,
            Fault::None | Fault::LostAnswer => {}
        }
        parts.uri = format!("{}{}", self.upstream, parts.uri.path()).parse().unwrap();
        let request = Request::from_parts(parts, Full::from(body));
        let (parts, body) = self.client.request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        if fault == Fault::LostAnswer {
            return Err("lost".to_owned());
        }
        Ok(Response::from_parts(parts, Full::from(body)))
    }
}

/// True for a read of the empty project key, which only opens a connection.
fn opens_a_connection(body: &[u8]) -> bool {
    let body: serde_json::Value = serde_json::from_slice(body).unwrap();
    body["Key"]["pk"]["S"] == "#"
}
