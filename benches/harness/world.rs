//! The servers that the function uses, on other threads: the emulator and the sandbox. And
//! the requests to the function.

use aws_sdk_dynamodb::Client;
use lambda_http::{Context, LambdaEvent};
use payment_intents::auth::{Auth, AuthSettings};
use payment_intents::clock::SystemClock;
use payment_intents::connector::{Authorization, ConnectorSettings, Connectors, HttpConnector};
use payment_intents::dynamodb::{Connection, DynamoStore};
use payment_intents::http::{Api, ApiOptions, RepeatDetection, ResponseForm, file_drafts, lambda};
use payment_intents::local::{emulator, sandbox::Sandbox};
use payment_intents::payment::{Payment, PaymentKey, ProjectKey};
use payment_intents::ports::{Clock, Connector, Policy, Store, Webhooks};
use payment_intents::service::Service;
use payment_intents::transport::Transport;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::path::Path;
use tokio::runtime::{Builder, Runtime};
use uuid::Uuid;

/// The name of the table.
pub const TABLE: &str = "payments";

/// The number of actions on a Payment after its authorization.
pub const ACTIONS_MAX: usize = Payment::TRANSACTIONS_MAX - 1;

/// The time of an invocation.
pub const INVOCATION_MS: u64 = 28_000;

/// The API over the real store and the real connectors.
pub type RealApi = Api<DynamoStore, HttpConnector<SystemClock>, SystemClock>;

/// The servers that the function calls.
pub struct World {
    /// The runtime of the servers. They end with it.
    _runtime: Option<Runtime>,
    pub dynamodb: Connection,
    pub sandbox: Sandbox,
}

impl World {
    pub fn start() -> Self {
        let mut builder = Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build().expect("a runtime");
        let (dynamodb, sandbox) = runtime.block_on(async {
            let dynamodb = emulator::start(None).await.expect("an emulator");
            let client = dynamodb.clone().client();
            emulator::ensure_table(&client, TABLE).await.expect("a table");
            (dynamodb, Sandbox::start().await.expect("a sandbox"))
        });
        Self { _runtime: Some(runtime), dynamodb, sandbox }
    }

    /// Uses an emulator that runs already and has the table. Starts a sandbox on the
    /// current runtime.
    pub async fn start_on(dynamodb_url: String) -> Self {
        let dynamodb = Connection::to_emulator(dynamodb_url);
        let sandbox = Sandbox::start().await.expect("a sandbox");
        Self { _runtime: None, dynamodb, sandbox }
    }

    /// The API, assembled as in the Lambda.
    pub fn api(&self, client: &Client) -> RealApi {
        let settings = ConnectorSettings {
            url: self.sandbox.url(),
            timeout_ms: 20_000,
            authorization: Authorization::None,
            projects: None,
            policy: Policy::default(),
            platform: None,
            psp: None,
        };
        let transport = Transport::new().expect("the system's roots");
        let connectors = Connectors::from([("*".to_owned(), settings)]);
        let connector = HttpConnector::new(connectors, transport.clone(), SystemClock);
        let store = DynamoStore::new(client.clone(), TABLE.to_owned());
        api(store, connector, transport)
    }
}

/// The API over this store and connector, behind a gateway that verifies tokens.
pub fn api<S: Store, C: Connector + Webhooks>(
    store: S,
    connector: C,
    transport: Transport,
) -> Api<S, C, SystemClock> {
    let options =
        ApiOptions { response: ResponseForm::Empty, repeat_detection: RepeatDetection::Key };
    let auth = Auth::new(AuthSettings::Gateway, transport);
    Api::new(Service::new(store, connector, SystemClock), auth, options)
}

/// A runtime with one thread, as in the Lambda.
pub fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Registers new Payments without captures.
pub async fn payments(client: &Client, count: usize) -> Vec<PaymentKey> {
    let store = DynamoStore::new(client.clone(), TABLE.to_owned());
    let mut keys = Vec::with_capacity(count);
    for _ in 0..count {
        let payment = payment();
        store.create(&payment).await.expect("it is new");
        keys.push(payment.key);
    }
    keys
}

/// A typical card Payment with 1000.00 EUR authorized.
pub fn payment() -> Payment {
    let (drafts, now) = (json!([draft(&Uuid::new_v4().to_string())]), SystemClock.now());
    let project = ProjectKey::parse("demo").expect("a project");
    let registration =
        file_drafts(&drafts.to_string(), &project, now).expect("a draft").remove(0).registration;
    Payment::register(registration, now).expect("it adds up")
}

/// The same Payment as a PaymentDraft.
pub fn draft(id: &str) -> Value {
    let amount = json!({"currencyCode": "EUR", "centAmount": 100_000});
    let authorization = json!({"type": "Authorization", "state": "Success", "amount": amount,
        "interactionId": "KHQC5N7G84BLNK43"});
    json!({"id": id, "amountPlanned": amount, "interfaceId": "KHQC5N7G84BLNK43",
        "paymentMethodInfo": {"paymentInterface": "adyen", "method": "card",
            "name": {"en": "Credit card", "de": "Kreditkarte"}},
        "transactions": [authorization]})
}

/// The path of actions on this Payment.
pub fn path(key: &PaymentKey) -> String {
    format!("/{}/payment-intents/{}", key.project.as_str(), key.id.as_str())
}

/// The body of an action.
pub fn body(minor_units: u64) -> String {
    let amount = json!({"centAmount": minor_units, "currencyCode": "EUR"});
    let action =
        json!({"action": "capturePayment", "amount": amount, "merchantReference": "order-1001"});
    json!({"actions": [action]}).to_string()
}

/// The event in events/capture.json, for this Payment and with a new key.
pub fn event(key: &PaymentKey) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("events/capture.json");
    let mut event: Value =
        serde_json::from_str(&std::fs::read_to_string(file).expect("a file")).expect("JSON");
    event["rawPath"] = path(key).into();
    event["headers"]["idempotency-key"] = Uuid::new_v4().to_string().into();
    event["body"] = body(100).into();
    event.to_string()
}

/// Handles an event as the Lambda does, and returns the answer as text.
pub async fn handle<S: Store, C: Connector + Webhooks>(
    api: &Api<S, C, SystemClock>,
    event: &str,
) -> String {
    let mut context = Context::default();
    context.deadline = SystemClock.now().plus_ms(INVOCATION_MS).ms();
    let event = RawValue::from_string(event.to_owned()).expect("JSON");
    let Ok(answer) = lambda::answer(api, LambdaEvent::new(event, context)).await;
    serde_json::to_string(&answer).expect("JSON")
}

pub fn is_approved(answer: &str) -> bool {
    answer.starts_with(r#"{"statusCode":200"#)
}
