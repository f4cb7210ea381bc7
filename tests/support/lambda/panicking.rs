//! The function of the API over a connector that panics. It is the test program itself,
//! started again: the test that needs it calls [`serve`] in that process.

use super::process::Program;
use payment_intents::auth::Auth;
use payment_intents::clock::SystemClock;
use payment_intents::config::Config;
use payment_intents::connector::HttpConnector;
use payment_intents::dynamodb::DynamoStore;
use payment_intents::error::BoxError;
use payment_intents::http::{Api, lambda};
use payment_intents::observe::log_json;
use payment_intents::payment::{DirectPsps, Report, Timestamp, Transaction, Update};
use payment_intents::ports::{
    Acknowledgement, Call, Connector, ConnectorError, ConnectorKey, Notice, Policy, Verdict,
    Webhook, WebhookRefusal, Webhooks,
};
use payment_intents::secret::Secret;
use payment_intents::secrets_manager::Secrets;
use payment_intents::service::Service;
use payment_intents::transport::Transport;

/// The amount, in minor units, that makes the connector panic.
pub const PANICKING_AMOUNT: u64 = 1_313;

/// This test program, which runs only the test of this name.
pub fn program(test: &str) -> Program {
    let path = std::env::current_exe().unwrap();
    let arguments = [test, "--exact", "--nocapture"].map(str::to_owned).to_vec();
    Program { path, arguments }
}

/// True in a process of [`program`].
#[expect(clippy::disallowed_methods, reason = "says which process this is")]
pub fn is_this_process() -> bool {
    std::env::var("AWS_LAMBDA_RUNTIME_API").is_ok()
}

/// Answers events until the process is killed, with the parts of which the binary
/// consists, except for the connector.
pub async fn serve() {
    #[expect(clippy::disallowed_methods, reason = "this is the main of that process")]
    let variable = |name: &str| std::env::var(name).ok();
    let transport = Transport::new().unwrap();
    let secrets = Secrets::at_start(variable, &transport).await;
    let Config { backend, auth, api } = Config::read(variable, &secrets).unwrap();
    log_json(backend.logging).unwrap();
    let store = DynamoStore::new(backend.dynamodb.client(), backend.table);
    let connector = HttpConnector::new(backend.connectors, transport.clone(), SystemClock);
    let service = Service::new(store, PanickingConnector(connector), SystemClock);
    let api = Api::new(service, Auth::new(auth, transport), api);
    let handler = lambda_runtime::service_fn(|event| Box::pin(lambda::answer(&api, event)));
    lambda_runtime::run(handler).await.unwrap();
}

struct PanickingConnector(HttpConnector<SystemClock>);

impl Connector for PanickingConnector {
    fn resends(&self) -> bool {
        self.0.resends()
    }

    fn psps(&self) -> DirectPsps {
        self.0.psps()
    }

    fn name<'a>(&self, connector: &'a ConnectorKey) -> &'a str {
        self.0.name(connector)
    }

    fn policy(&self, connector: &ConnectorKey) -> Policy {
        self.0.policy(connector)
    }

    async fn look_up(
        &self,
        connector: &ConnectorKey,
        open: &Transaction,
        deadline: Timestamp,
    ) -> Result<Vec<Report>, BoxError> {
        self.0.look_up(connector, open, deadline).await
    }

    async fn call(&self, call: &Call, deadline: Timestamp) -> Result<Verdict, ConnectorError> {
        if call.amount.minor_units() == PANICKING_AMOUNT {
            // A message that must never be printed.
            panic!("{call:?} {:?}", call.bearer.as_ref().map(Secret::reveal));
        }
        self.0.call(call, deadline).await
    }
}

impl Webhooks for PanickingConnector {
    type Subject = <HttpConnector<SystemClock> as Webhooks>::Subject;

    fn read(
        &self,
        webhook: &Webhook<'_>,
        now: Timestamp,
    ) -> Result<Vec<Notice<Self::Subject>>, WebhookRefusal> {
        self.0.read(webhook, now)
    }

    async fn read_subject(
        &self,
        connector: &str,
        key: &ConnectorKey,
        subject: &Self::Subject,
        deadline: Timestamp,
    ) -> Result<Option<Vec<Update>>, BoxError> {
        self.0.read_subject(connector, key, subject, deadline).await
    }

    fn acknowledgement(&self, connector: &str) -> Acknowledgement {
        self.0.acknowledgement(connector)
    }
}
