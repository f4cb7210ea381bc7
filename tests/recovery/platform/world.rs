//! A service over a real table, with a scripted connector and platform.

use super::{Reply, Role, ScriptedServer, TestClock};
use crate::support::dynamo::{Table, table};
use crate::support::payments::{
    AUTHORIZED, at, capture, id, key, nonce, registered, request_for, reservation,
};
use payment_intents::connector::{ConnectorSettings, Connectors, HttpConnector};
use payment_intents::dynamodb::DynamoStore;
use payment_intents::payment::{Action, Payment, PaymentKey, Reservation, State, Timestamp};
use payment_intents::ports::{
    Absence, Clock, IndexPart, Lookup, Policy, Rejections, Resend, Rest, Store, Verdict,
};
use payment_intents::recovery::RecoveryRun;
use payment_intents::service::{ActError, Done, Service};
use payment_intents::transport::Transport;
use std::sync::Arc;

pub const MINUTE: u64 = 60_000;
pub const APPROVED: Done = Done { verdict: Verdict::Approved, replayed: false };

pub const OPAQUE: Policy = Policy {
    resend: Resend::Never,
    rejected: Rejections::Final,
    lookup: Lookup::None,
    absence: Absence::Unproven,
    rest: Rest::Kept,
    psp: None,
};
pub const UNTRUSTED: Policy = Policy { rejected: Rejections::Unproven, ..OPAQUE };
pub const KEYED: Policy =
    Policy { resend: Resend::SameKey { window_ms: 1_200 * MINUTE }, ..OPAQUE };
pub const SHOWS: Policy = Policy { lookup: Lookup::Payment, ..OPAQUE };
pub const SHOWS_ALL: Policy = Policy { absence: Absence::Proof, ..SHOWS };
pub const UNTRUSTED_SHOWS: Policy = Policy { rejected: Rejections::Unproven, ..SHOWS };
pub const UNTRUSTED_SHOWS_ALL: Policy = Policy { rejected: Rejections::Unproven, ..SHOWS_ALL };

pub type TestService = Service<DynamoStore, HttpConnector<TestClock>, TestClock>;

pub struct World {
    pub service: Arc<TestService>,
    pub table: Table,
    pub clock: TestClock,
    pub server: ScriptedServer,
}

impl World {
    /// Starts it with one Payment, `p`, of which 100 are authorized.
    pub async fn new(policy: Policy) -> Self {
        Self::with(policy, |_| {}).await
    }

    pub async fn with(policy: Policy, change: impl FnOnce(&mut ConnectorSettings)) -> Self {
        let clock = TestClock::at(at(60 * MINUTE));
        let server = ScriptedServer::start(clock.clone()).await;
        let mut settings = server.settings(policy);
        change(&mut settings);
        let table = table().await;
        let connectors = Connectors::from([("*".to_owned(), settings)]);
        let connector = HttpConnector::new(connectors, Transport::new().unwrap(), clock.clone());
        let service = Service::new(table.store.clone(), connector, clock.clone()).into();
        table.store.create(&registered("p", AUTHORIZED)).await.unwrap();
        Self { service, table, clock, server }
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

    /// Sends an action whose answer is lost.
    pub async fn lose(&self, transaction: &str, action: Action) {
        self.server.next(Role::Connector, Reply::Drop);
        let acted = self.act(transaction, action).await;
        assert!(matches!(acted, Err(ActError::OutcomeUnknown { replayed: false })), "{acted:?}");
    }

    /// Reserves as an invocation that died between its two writes. Its lease lasts 33 s.
    pub async fn crash(&self, payment: &str, transaction: &str, action: Action) {
        let asked = reservation(transaction, nonce().bits(), action, self.clock.now());
        self.table.store.reserve(&Reservation { key: key(payment), ..asked }).await.unwrap();
    }

    /// Registers this many Payments whose invocation died.
    pub async fn crashes(&self, count: usize) {
        for n in 0..count {
            let payment = format!("p{n}");
            self.table.store.create(&registered(&payment, AUTHORIZED)).await.unwrap();
            self.crash(&payment, &format!("t{n}"), capture(60)).await;
        }
    }

    pub async fn recover(&self) -> RecoveryRun {
        self.recover_within(20_000).await
    }

    pub async fn recover_within(&self, ms: u64) -> RecoveryRun {
        self.service.recover(self.clock.now().plus_ms(ms), nonce).await.unwrap()
    }

    /// The Payments in the index, the first due first.
    pub async fn indexed(&self) -> Vec<PaymentKey> {
        let (end, mut position, mut keys) = (at(10_000 * MINUTE), None, Vec::new());
        loop {
            let page = self.table.store.due(IndexPart::WHOLE, end, position).await.unwrap();
            keys.extend(page.payments.into_iter().map(|due| due.key));
            position = page.next;
            if position.is_none() {
                return keys;
            }
        }
    }

    pub async fn payment(&self) -> Payment {
        self.table.store.get(&key("p")).await.unwrap().unwrap()
    }

    pub async fn state(&self, transaction: &str) -> Option<State> {
        self.payment().await.transactions.get(&id(transaction)).map(|found| found.state)
    }

    pub async fn look_at(&self) -> Option<Timestamp> {
        self.payment().await.recover_at()
    }

    /// The keys of the received calls, in order.
    pub fn sent(&self) -> Vec<String> {
        let requests = self.server.received(Role::Connector);
        requests.iter().map(|request| request.header("idempotency-key").to_owned()).collect()
    }
}
