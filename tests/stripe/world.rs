//! A service whose PSP is a Stripe on localhost, with a clock that a test moves.

use crate::support::clock::TestClock;
use crate::support::dynamo::{Shim, Table, connection, table_at};
use crate::support::payments::{at, eur, id, key, nonce, request_for, reservation};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use payment_intents::connector::{
    ConnectorSettings, Connectors, HttpConnector, Psp, StripeAccount,
};
use payment_intents::dynamodb::{Connection, DynamoStore};
use payment_intents::local::stripe::StripeSandbox;
use payment_intents::payment::{
    Action, Details, DirectPsps, Payment, Registration, Report, State, TransactionKind, Update,
};
use payment_intents::ports::{Clock, Store, Webhook};
use payment_intents::recovery::RecoveryRun;
use payment_intents::secret::Secret;
use payment_intents::service::{ActError, Change, Done, Service, WebhookError, WebhookOutcome};
use payment_intents::transport::Transport;
use serde_json::Value;

pub const MINUTE: u64 = 60_000;

/// The PaymentIntent of the Payment `p`.
pub const INTENT: &str = "pi_p";

/// The time limit of a call to Stripe here.
pub const TIMEOUT_MS: u64 = 1_000;

pub struct World {
    pub service: Service<DynamoStore, HttpConnector<TestClock>, TestClock>,
    pub clock: TestClock,
    pub stripe: StripeSandbox,
    pub shim: Shim,
    table: Table,
}

impl World {
    /// With one Payment, `p`, of which 100 are authorized at Stripe.
    pub async fn new() -> Self {
        Self::with(false).await
    }

    pub async fn with(multicapture: bool) -> Self {
        let stripe = StripeSandbox::start().await.unwrap();
        let mut settings = stripe.settings(TIMEOUT_MS);
        if let Some(Psp::Stripe(account)) = &mut settings.psp {
            account.multicapture = multicapture;
            settings.policy = account.policy();
        }
        stripe.authorize(INTENT, 100, "eur", multicapture);
        Self::over(stripe, settings, INTENT).await
    }

    /// With the Payment `p`, which is this PaymentIntent of the Stripe at `url`.
    pub async fn at(url: &str, key: &str, intent: &str) -> Self {
        let unused = StripeSandbox::start().await.unwrap();
        let mut settings = unused.settings(20_000);
        settings.url = url.parse().unwrap();
        if let Some(Psp::Stripe(account)) = &mut settings.psp {
            account.api_key = Secret::new(key.to_owned());
        }
        Self::over(unused, settings, intent).await
    }

    async fn over(stripe: StripeSandbox, settings: ConnectorSettings, intent: &str) -> Self {
        let clock = TestClock::at(at(60 * MINUTE));
        let connector = connector(settings, &clock);
        let shim = Shim::start(connection().await.endpoint_url.as_deref().unwrap()).await;
        let table = table_at(Connection::to_emulator(shim.url.clone())).await;
        let service = Service::new(table.store.clone(), connector, clock.clone());
        let world = Self { service, clock, stripe, shim, table };
        world.register("p", intent, State::Success).await;
        world.shim.calls();
        world
    }

    /// Replaces the connector, as a deployment with other settings does.
    pub fn replace_connector(&mut self, settings: ConnectorSettings) {
        let connector = connector(settings, &self.clock);
        self.service = Service::new(self.table.store.clone(), connector, self.clock.clone());
    }

    /// An invocation that dies between its two writes. Its lease runs for 33 s.
    pub async fn crash(&self, transaction: &str, action: Action) {
        let mut asked = reservation(transaction, nonce().bits(), action, self.clock.now());
        asked.psps = DirectPsps::new([("stripe".to_owned(), "stripe".to_owned())].into());
        self.table.store.reserve(&asked).await.unwrap();
    }

    /// Registers a Payment with an Authorization of 100 in this state.
    pub async fn register(&self, payment: &str, intent: &str, state: State) {
        self.register_at("stripe", payment, intent, state).await;
    }

    /// The same, for a Payment of this payment interface.
    pub async fn register_at(&self, interface: &str, payment: &str, intent: &str, state: State) {
        let authorization = Report {
            kind: TransactionKind::Authorization,
            state,
            amount: eur(100),
            timestamp: Some(at(0)),
            interaction_id: Some(intent.to_owned()),
            interface_id: None,
        };
        let details = Details {
            interface_id: Some(intent.to_owned()),
            payment_interface: Some(interface.to_owned()),
            ..Details::default()
        };
        let registration = Registration {
            key: key(payment),
            amount_planned: eur(100),
            fraction_digits: 2,
            transactions: vec![(id("authorization"), authorization)],
            details,
        };
        let payment = Payment::register(registration, at(0)).unwrap();
        self.service.create(&payment).await.unwrap();
    }

    /// Gives the Authorization this id of the PSP.
    pub async fn name_authorization(&self, name: &str) {
        let version = self.payment().await.version;
        let (id, interaction_id) = (id("authorization"), name.to_owned());
        let updates = vec![Update::ChangeTransactionInteractionId { id, interaction_id }];
        let change = Change { key: key("p"), version, updates, by: None };
        self.service.update(change).await.unwrap();
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

    /// An action whose outcome is not known afterwards.
    pub async fn lose(&self, transaction: &str, action: Action) {
        let acted = self.act(transaction, action).await;
        assert!(matches!(acted, Err(ActError::OutcomeUnknown { replayed: false })), "{acted:?}");
        assert_eq!(self.state(transaction).await, Some(State::Unknown));
    }

    pub async fn recover_after(&self, ms: u64) -> RecoveryRun {
        self.clock.advance(ms);
        self.service.recover(self.clock.now().plus_ms(20_000), nonce).await.unwrap()
    }

    pub async fn payment(&self) -> Payment {
        self.table.store.get(&key("p")).await.unwrap().unwrap()
    }

    pub async fn state(&self, transaction: &str) -> Option<State> {
        self.state_on("p", transaction).await
    }

    pub async fn state_on(&self, payment: &str, transaction: &str) -> Option<State> {
        let payment = self.table.store.get(&key(payment)).await.unwrap().unwrap();
        payment.transactions.get(&id(transaction)).map(|found| found.state)
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

    /// The actions that Stripe carried out, with their amounts and keys.
    pub fn effects(&self) -> Vec<(String, u64, String)> {
        let effects = self.stripe.ledger().into_iter();
        let key = |key: Option<String>| key.unwrap_or_default();
        effects
            .map(|effect| (effect.action, effect.cent_amount, key(effect.idempotency_key)))
            .collect()
    }

    /// Hands an event over, signed now.
    pub async fn webhook(&self, event: &Value) -> Result<WebhookOutcome, WebhookError> {
        let body = event.to_string();
        let now = self.clock.now();
        let signature = StripeSandbox::signature(StripeSandbox::WEBHOOK_SECRET, &body, now);
        self.signed(&body, Some(&signature)).await
    }

    /// Hands a message over with this signature.
    pub async fn signed(
        &self,
        body: &str,
        signature: Option<&str>,
    ) -> Result<WebhookOutcome, WebhookError> {
        let project = key("p").project;
        // The header outlives the call, since the test waits for it.
        let signature: Option<&'static str> =
            signature.map(|signature| &*Box::leak(signature.to_owned().into_boxed_str()));
        let header = move |name: &str| signature.filter(|_| name == "stripe-signature");
        let body = body.as_bytes();
        let webhook = Webhook { project: &project, connector: "stripe", header: &header, body };
        self.service.handle_webhook(&webhook, self.clock.now().plus_ms(20_000)).await
    }

    /// The latest event of this type.
    pub fn event(&self, r#type: &str) -> Value {
        let events = self.stripe.events();
        events.into_iter().rfind(|event| event["type"] == r#type).unwrap()
    }
}

fn connector(settings: ConnectorSettings, clock: &TestClock) -> HttpConnector<TestClock> {
    let connectors = Connectors::from([("stripe".to_owned(), settings)]);
    HttpConnector::new(connectors, Transport::new().unwrap(), clock.clone())
}

/// One POST to Stripe by somebody else, as in its dashboard. Returns the object.
pub async fn dashboard(stripe: &StripeSandbox, path: &str, form: &str) -> Value {
    let url = stripe.url().to_string();
    post(url.trim_end_matches('/'), StripeSandbox::API_KEY, path, form).await
}

/// An object or a list of the Stripe on localhost.
pub async fn get(stripe: &StripeSandbox, path: &str) -> Value {
    let url = stripe.url().to_string();
    let request = request("GET", url.trim_end_matches('/'), StripeSandbox::API_KEY, path);
    answer(request.body(Full::default()).unwrap()).await
}

/// One POST to the Stripe at `url`. Returns the object.
pub async fn post(url: &str, key: &str, path: &str, form: &str) -> Value {
    let request = request("POST", url, key, path)
        .header("idempotency-key", uuid::Uuid::new_v4().to_string())
        .header("content-type", "application/x-www-form-urlencoded");
    answer(request.body(Full::from(form.to_owned())).unwrap()).await
}

fn request(method: &str, url: &str, key: &str, path: &str) -> http::request::Builder {
    http::Request::builder()
        .method(method)
        .uri(format!("{url}/v1/{path}"))
        .header("authorization", format!("Bearer {key}"))
        .header("stripe-version", StripeAccount::API_VERSION)
}

async fn answer(request: http::Request<Full<Bytes>>) -> Value {
    let connector = HttpsConnectorBuilder::new().with_native_roots().unwrap();
    let connector = connector.https_or_http().enable_http1().build();
    let client = Client::builder(TokioExecutor::new()).build::<_, Full<Bytes>>(connector);
    let answer = client.request(request).await.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&body).unwrap()
}
