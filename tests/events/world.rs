//! Both functions as they are built: the API, whose writes the table's stream records, and
//! the function behind the stream, which publishes to a bus.

use crate::bus::{Bus, PublishedEvent};
use crate::stream::{Stream, batch};
use crate::support::Reply;
use crate::support::lambda::events::{act, event, header, with};
use crate::support::lambda::function::Function;
use payment_intents::local::{emulator, sandbox::Sandbox};
use serde_json::{Value, json};
use tempfile::TempDir;

pub const BUS: &str = "payment-events";

/// The time of an invocation of the function behind the stream.
pub const LEFT_MS: u64 = 30_000;

pub struct World {
    pub bus: Bus,
    pub stream: Stream,
    pub client: aws_sdk_dynamodb::Client,
    api: Function,
    events: Function,
    directory: TempDir,
}

impl World {
    pub async fn start() -> Self {
        let bus = Bus::start().await;
        let url = bus.url.clone();
        Self::with(bus, url).await
    }

    /// Starts both, with another address for EventBridge than the bus.
    pub async fn with(bus: Bus, eventbridge: String) -> Self {
        let dynamodb = emulator::start(None).await.unwrap();
        let client = dynamodb.clone().client();
        emulator::ensure_table(&client, "payments").await.unwrap();
        let stream = Stream::of(&dynamodb, "payments").await;
        let sandbox = Sandbox::start().await.unwrap().url().to_string();
        let directory = TempDir::new().unwrap();
        let connectors = json!({"*": {"url": sandbox}, "dead": {"url": "http://127.0.0.1:1"}});
        let api = [
            ("PAYMENTS_TABLE", "payments".to_owned()),
            ("CONNECTORS", connectors.to_string()),
            ("AUTH", "gateway".to_owned()),
            ("AWS_ENDPOINT_URL_DYNAMODB", dynamodb.endpoint_url.unwrap()),
        ];
        let events =
            [("EVENT_BUS_NAME", BUS.to_owned()), ("AWS_ENDPOINT_URL_EVENTBRIDGE", eventbridge)];
        let log = |name: &str| directory.path().join(name);
        let binary = env!("CARGO_BIN_EXE_payment-intents");
        let api = Function::start(binary, &api, log("api.log")).await;
        let binary = env!("CARGO_BIN_EXE_events");
        let events = Function::start(binary, &events, log("events.log")).await;
        Self { bus, stream, client, api, events, directory }
    }

    /// Registers a Payment with 100.00 EUR authorized and these additional fields.
    pub async fn register(&self, id: &str, fields: Value) {
        let amount = json!({"centAmount": 10_000, "currencyCode": "EUR"});
        let authorization = json!({"type": "Authorization", "state": "Success", "amount": amount});
        let mut draft = json!({"id": id, "amountPlanned": amount, "transactions": [authorization]});
        draft.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        self.register_text(draft.to_string()).await;
    }

    pub async fn register_text(&self, draft: String) {
        let reply = self.ask(&with(event("create-payment"), "/body", draft)).await;
        assert_eq!(reply.status, 201, "{reply:?}");
    }

    /// Sends an action, and returns its transaction.
    pub async fn act(&self, payment: &str, action: Value, status: u16) -> String {
        let reply = self.ask(&act(payment, action)).await;
        assert_eq!(reply.status, status, "{reply:?}");
        reply.header("x-transaction-id").unwrap_or_default().to_owned()
    }

    /// Sends an action with a key.
    pub async fn act_with_key(&self, payment: &str, action: Value, key: &str) -> Reply {
        self.ask(&header(act(payment, action), "idempotency-key", key)).await
    }

    /// Sends these update actions with the current version.
    pub async fn report(&self, payment: &str, actions: Value) -> Value {
        let version = self.payment(payment).await["version"].clone();
        let path = format!("/demo/payments/{payment}");
        let asked = with(event("create-payment"), "/rawPath", path);
        let body = json!({"version": version, "actions": actions}).to_string();
        let reply = self.ask(&with(asked, "/body", body)).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.body
    }

    pub async fn payment(&self, id: &str) -> Value {
        let path = format!("/demo/payments/{id}");
        self.ask(&with(event("get-payment"), "/rawPath", path)).await.body
    }

    async fn ask(&self, event: &Value) -> Reply {
        self.api.request(LEFT_MS, event).await.expect("the function is running")
    }

    /// Delivers these records. Returns the sequence number from which they must be
    /// delivered again, if any.
    pub async fn deliver(&self, records: &[Value]) -> Option<String> {
        self.deliver_within(LEFT_MS, records).await
    }

    pub async fn deliver_within(&self, left_ms: u64, records: &[Value]) -> Option<String> {
        let said = self.hand_over(left_ms, batch(records)).await.unwrap();
        let failures = said["batchItemFailures"].as_array().unwrap();
        assert!(failures.len() <= 1, "{said}");
        failures.first().map(|failure| failure["itemIdentifier"].as_str().unwrap().to_owned())
    }

    /// Delivers any event. An `Err` is an error that the function reported.
    pub async fn hand_over(&self, left_ms: u64, event: String) -> Result<Value, String> {
        let posted = self.events.invoke(left_ms, event).await.expect("it is ready in time");
        posted
            .map(|said| serde_json::from_slice(&said).unwrap())
            .map_err(|report| String::from_utf8(report.to_vec()).unwrap())
    }

    /// The events of all changes since the stream was last read.
    pub async fn published(&self) -> Vec<PublishedEvent> {
        assert_eq!(self.deliver(&self.stream.records().await).await, None);
        self.bus.published()
    }

    /// The types of these events.
    pub async fn types(&self) -> Vec<String> {
        self.published().await.into_iter().map(|published| published.detail_type).collect()
    }

    /// The log lines with this message of the function behind the stream.
    pub fn logged(&self, message: &str) -> Vec<Value> {
        let log = std::fs::read_to_string(self.directory.path().join("events.log")).unwrap();
        let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|line| line["message"] == message).collect()
    }
}
