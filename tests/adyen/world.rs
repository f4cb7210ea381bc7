//! A service whose PSP is an Adyen on localhost, with a clock that a test moves.

use crate::support::clock::TestClock;
use crate::support::dynamo::{Shim, Table, connection, table_at};
use crate::support::payments::{at, eur, id, key, nonce, request_for, reservation};
use payment_intents::connector::{ConnectorSettings, Connectors, HttpConnector, Psp};
use payment_intents::dynamodb::{Connection, DynamoStore};
use payment_intents::local::adyen::AdyenSandbox;
use payment_intents::payment::{
    Action, Details, DirectPsps, Payment, Registration, Report, State, TransactionKind,
};
use payment_intents::ports::{Clock, Store, Webhook};
use payment_intents::recovery::RecoveryRun;
use payment_intents::secret::Secret;
use payment_intents::service::{ActError, Done, Service, WebhookError, WebhookOutcome};
use payment_intents::transport::Transport;
use serde_json::Value;

pub const MINUTE: u64 = 60_000;
pub const DAY: u64 = 24 * 60 * MINUTE;

/// The `pspReference` of the Payment `p`.
pub const PAYMENT: &str = "PAYMENT000000001";

/// The time limit of a call to Adyen here.
pub const TIMEOUT_MS: u64 = 1_000;

/// The HMAC key that is rotated out: webhooks may still be signed with it.
pub const OLD_KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF";

pub struct World {
    pub service: Service<DynamoStore, HttpConnector<TestClock>, TestClock>,
    pub clock: TestClock,
    pub adyen: AdyenSandbox,
    pub shim: Shim,
    table: Table,
    /// The name of the account in the ledger.
    account: String,
}

impl World {
    /// With one Payment, `p`, of which 100 are authorized at Adyen.
    pub async fn new() -> Self {
        Self::with(false).await
    }

    /// The same, for an account that may capture a payment several times.
    pub async fn with(multicapture: bool) -> Self {
        let adyen = AdyenSandbox::start().await.unwrap();
        let mut settings = adyen.settings(TIMEOUT_MS);
        if let Some(Psp::Adyen(account)) = &mut settings.psp {
            account.multicapture = multicapture;
            account.hmac_keys.push(Secret::new(OLD_KEY.to_owned()));
            settings.policy = account.policy(&settings.url);
        }
        adyen.authorize(PAYMENT, 100, "EUR", multicapture);
        let clock = TestClock::at(at(60 * MINUTE));
        adyen.set_time(clock.now());
        let account = settings.policy.psp.clone().unwrap();
        let connector = connector(settings, &clock);
        let shim = Shim::start(connection().await.endpoint_url.as_deref().unwrap()).await;
        let table = table_at(Connection::to_emulator(shim.url.clone())).await;
        let service = Service::new(table.store.clone(), connector, clock.clone());
        let world = Self { service, clock, adyen, shim, table, account };
        world.register("p", PAYMENT, State::Success).await;
        world.shim.calls();
        world
    }

    /// Deploys other settings for the payment interface `adyen`.
    pub fn replace_connector(&mut self, settings: ConnectorSettings) {
        let connector = connector(settings, &self.clock);
        self.service = Service::new(self.table.store.clone(), connector, self.clock.clone());
    }

    /// An invocation that dies between its two writes. Its lease runs for 33 s.
    pub async fn crash(&self, transaction: &str, action: Action) {
        let mut asked = reservation(transaction, nonce().bits(), action, self.clock.now());
        asked.psps = DirectPsps::new([("adyen".to_owned(), self.account.clone())].into());
        self.table.store.reserve(&asked).await.unwrap();
    }

    /// Registers a Payment with an Authorization of 100 in this state.
    pub async fn register(&self, payment: &str, psp_reference: &str, state: State) {
        self.register_at("adyen", payment, psp_reference, state).await;
    }

    /// The same, for a Payment of this payment interface.
    pub async fn register_at(&self, interface: &str, payment: &str, psp: &str, state: State) {
        self.register_with(interface, payment, psp, &[(psp, state)]).await;
    }

    /// The same, with an Authorization of 100 for each of these ids and states.
    pub async fn register_with(
        &self,
        interface: &str,
        payment: &str,
        psp: &str,
        authorizations: &[(&str, State)],
    ) {
        let authorization = |(name, state): &(&str, State)| {
            let report = Report {
                kind: TransactionKind::Authorization,
                state: *state,
                amount: eur(100),
                timestamp: Some(at(0)),
                interaction_id: Some((*name).to_owned()),
                interface_id: None,
            };
            (id(name), report)
        };
        let details = Details {
            interface_id: Some(psp.to_owned()),
            payment_interface: Some(interface.to_owned()),
            ..Details::default()
        };
        let registration = Registration {
            key: key(payment),
            amount_planned: eur(100),
            fraction_digits: 2,
            transactions: authorizations.iter().map(authorization).collect(),
            details,
        };
        let payment = Payment::register(registration, at(0)).unwrap();
        self.service.create(&payment).await.unwrap();
    }

    pub async fn act(&self, transaction: &str, action: Action) -> Result<Done, ActError> {
        self.act_on("p", transaction, action).await
    }

    pub async fn act_on(
        &self,
        payment: &str,
        transaction: &str,
        action: Action,
    ) -> Result<Done, ActError> {
        self.service.act(request_for(payment, transaction, action, self.clock.now())).await
    }

    /// An action that Adyen takes on and carries out.
    pub async fn done(&self, transaction: &str, action: Action) {
        self.act(transaction, action).await.unwrap();
        self.deliver_last().await;
        assert_eq!(self.state(transaction).await, Some(State::Success));
    }

    /// An action whose outcome is not known afterwards.
    pub async fn lose(&self, transaction: &str, action: Action) {
        let acted = self.act(transaction, action).await;
        assert!(matches!(acted, Err(ActError::OutcomeUnknown { replayed: false })), "{acted:?}");
        assert_eq!(self.state(transaction).await, Some(State::Unknown));
    }

    /// Moves the clock, ours and Adyen's.
    pub fn advance(&self, ms: u64) {
        self.clock.advance(ms);
        self.adyen.set_time(self.clock.now());
    }

    pub async fn recover_after(&self, ms: u64) -> RecoveryRun {
        self.advance(ms);
        self.service.recover(self.clock.now().plus_ms(20_000), nonce).await.unwrap()
    }

    pub async fn payment(&self) -> Payment {
        self.payment_of("p").await
    }

    pub async fn payment_of(&self, payment: &str) -> Payment {
        self.table.store.get(&key(payment)).await.unwrap().unwrap()
    }

    pub async fn state(&self, transaction: &str) -> Option<State> {
        self.payment().await.transactions.get(&id(transaction)).map(|found| found.state)
    }

    /// The balances: capturable, captured, cancelled, refundable, refunded.
    pub async fn balances(&self) -> [u64; 5] {
        let balances = self.payment().await.balances;
        let all = [
            balances.capturable,
            balances.captured,
            balances.cancelled,
            balances.refundable,
            balances.refunded,
        ];
        all.map(|amount| amount.minor_units())
    }

    /// The actions that Adyen carried out, with their amounts and keys.
    pub fn effects(&self) -> Vec<(String, u64, String)> {
        let effects = self.adyen.ledger().into_iter();
        let key = |key: Option<String>| key.unwrap_or_default();
        effects
            .map(|effect| (effect.action, effect.cent_amount, key(effect.idempotency_key)))
            .collect()
    }

    /// Delivers one notification item.
    pub async fn deliver(&self, item: &Value) -> Result<WebhookOutcome, WebhookError> {
        let body = AdyenSandbox::notification(std::slice::from_ref(item)).to_string();
        self.post(body.as_bytes()).await
    }

    /// Delivers the latest item.
    pub async fn deliver_last(&self) {
        let last = self.adyen.events().pop().unwrap();
        self.deliver(&last).await.unwrap();
    }

    /// Delivers a message as it is.
    pub async fn post(&self, body: &[u8]) -> Result<WebhookOutcome, WebhookError> {
        let project = key("p").project;
        let header = |_: &str| None;
        let webhook = Webhook { project: &project, connector: "adyen", header: &header, body };
        self.service.handle_webhook(&webhook, self.clock.now().plus_ms(20_000)).await
    }

    /// The latest item with this event code.
    pub fn event(&self, code: &str) -> Value {
        let events = self.adyen.events();
        events.into_iter().rfind(|event| event["eventCode"] == code).unwrap()
    }

    /// The `pspReference` of the latest item with this event code.
    pub fn psp_reference(&self, code: &str) -> String {
        self.event(code)["pspReference"].as_str().unwrap().to_owned()
    }
}

fn connector(settings: ConnectorSettings, clock: &TestClock) -> HttpConnector<TestClock> {
    let connectors = Connectors::from([("adyen".to_owned(), settings)]);
    HttpConnector::new(connectors, Transport::new().unwrap(), clock.clone())
}

pub fn is_recorded(taken: &Result<WebhookOutcome, WebhookError>) -> bool {
    matches!(taken, Ok(WebhookOutcome::Recorded(_)))
}
