//! The built binaries with everything around them: a table whose calls are
//! counted, the servers around tokens, and the sandbox PSP.

use crate::identity::record::{output, secret};
use crate::support::dynamo::{Shim, connection};
use crate::support::lambda::events::{act, event, header, read, with};
use crate::support::lambda::function::Function;
use crate::support::lambda::process::Program;
use crate::support::lambda::run_to_exit;
use crate::support::{AUTHORIZED, Reply, capture, transactions_of};
use payment_intents::aws::Connection;
use payment_intents::clock::SystemClock;
use payment_intents::dynamodb::{DynamoStore, create_table};
use payment_intents::http::file_drafts;
use payment_intents::local::emulator::ensure_table;
use payment_intents::local::sandbox::Sandbox;
use payment_intents::payment::{Payment, ProjectKey};
use payment_intents::ports::{Clock, Name, Store};
use serde_json::{Value, json};
use uuid::Uuid;

pub const API: &str = env!("CARGO_BIN_EXE_payment-intents");
pub const RECOVERY: &str = env!("CARGO_BIN_EXE_recovery");

/// The variables of one function, besides the common ones.
pub type Variables = Vec<(&'static str, String)>;

/// The time of an invocation, as deployed.
const TIMEOUT_MS: u64 = 28_000;

/// A function and the servers that it uses.
pub struct Stage {
    pub function: Function,
    /// The proxy in front of the table.
    pub dynamodb: Shim,
    pub sandbox: Sandbox,
}

impl Stage {
    /// Starts the API with these variables, at the most verbose log level.
    pub async fn start(variables: Variables) -> Self {
        Self::of(API, variables).await
    }

    pub async fn of(program: impl Into<Program>, variables: Variables) -> Self {
        let dynamodb = connection().await;
        let shim = Shim::start(&dynamodb.endpoint_url.clone().unwrap()).await;
        let table = table(dynamodb).await;
        let sandbox = Sandbox::start().await.unwrap();
        let mut environment = vec![
            ("PAYMENTS_TABLE", table),
            ("AWS_ENDPOINT_URL_DYNAMODB", shim.url.clone()),
            ("AWS_SECRET_ACCESS_KEY", secret("access-key")),
            ("CONNECTORS", connectors(&sandbox.url().to_string(), json!({"type": "forward"}))),
        ];
        environment.extend(verbose());
        environment.extend(variables);
        let function = Function::start(program, &environment, output()).await;
        Self { function, dynamodb: shim, sandbox }
    }

    pub async fn invoke(&self, event: &Value) -> Reply {
        self.function.request(TIMEOUT_MS, event).await.expect("the process goes on")
    }

    /// Captures one cent.
    pub async fn capture(&self, bearer: &str) -> Reply {
        self.invoke(&with_token(bearer, act(AUTHORIZED, capture(1)))).await
    }

    /// Status, code, and the number of operations on the table since the last call.
    pub async fn outcome(&self, event: &Value) -> (u16, String, usize) {
        let reply = self.invoke(event).await;
        (reply.status, reply.code().to_owned(), self.dynamodb.calls().len())
    }

    /// Type, state and amount of each transaction of [`AUTHORIZED`], in order, read as a
    /// caller behind a gateway.
    pub async fn transactions(&self) -> Vec<String> {
        transactions_of(&self.invoke(&event("get-payment")).await.body)
    }

    /// The number of effects at the PSP.
    pub fn effects(&self) -> usize {
        self.sandbox.ledger().len()
    }
}

/// The most verbose log level, and backtraces.
pub fn verbose() -> Variables {
    let verbose =
        [("AWS_LAMBDA_LOG_LEVEL", "TRACE"), ("RUST_LOG", "trace"), ("RUST_BACKTRACE", "1")];
    verbose.map(|(name, value)| (name, value.to_owned())).to_vec()
}

/// One connector for all payment interfaces.
pub fn connectors(url: &str, authorization: Value) -> String {
    json!({"*": {"url": url, "timeoutMs": 5_000, "authorization": authorization}}).to_string()
}

/// The output of a process that exits at once, with no variables but these.
pub async fn output_at_exit(binary: &str, variables: &Variables) -> String {
    let said = [verbose(), variables.clone()].concat();
    let said = said.iter().map(|(name, value)| (*name, value.as_str())).collect::<Vec<_>>();
    let ended = run_to_exit(binary, &said).await;
    assert_eq!(ended.status.code(), Some(1), "{variables:?}");
    let text = String::from_utf8([ended.stdout, ended.stderr].concat()).unwrap();
    std::fs::write(output(), &text).unwrap();
    text
}

/// The event, with this token and without an authorizer.
pub fn with_token(token: &str, event: Value) -> Value {
    let event = with(event, "/requestContext/authorizer", Value::Null);
    header(event, "authorization", format!("Bearer {token}"))
}

/// The key of a Payment besides those of the demo, and its id at the PSP.
pub const KEY: &str = "order-1001";

/// A new table with the demo Payments and one that has names, written through the store.
async fn table(dynamodb: Connection) -> String {
    let (client, name) = (dynamodb.client(), format!("payments-{}", Uuid::new_v4()));
    // On a busy machine the SDK sends `CreateTable` twice, and the second one fails.
    if create_table(&client, &name).await.is_err() {
        ensure_table(&client, &name).await.unwrap();
    }
    let store = DynamoStore::new(client, name.clone());
    let (project, now) = (ProjectKey::parse("demo").unwrap(), SystemClock.now());
    let mut drafts: Vec<Value> = serde_json::from_str(&read("src/local/demo.json")).unwrap();
    let amount = json!({"centAmount": 1, "currencyCode": "EUR"});
    let named = json!({"id": "named", "key": KEY, "interfaceId": KEY, "amountPlanned": amount});
    drafts.push(named);
    for draft in file_drafts(&json!(drafts).to_string(), &project, now).unwrap() {
        let payment = Payment::register(draft.registration, now).unwrap();
        if payment.details.key.is_some() {
            for name in [Name::Key(KEY.to_owned()), Name::InterfaceId(KEY.to_owned())] {
                store.claim(&payment.key, &name, now).await.unwrap();
            }
        }
        store.create(&payment).await.unwrap();
    }
    name
}
