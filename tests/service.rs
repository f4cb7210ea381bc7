//! Reserve, call and settle over a real DynamoDB API and a real HTTP connector, with lost
//! answers of either.

#![allow(clippy::unwrap_used, reason = "a test that cannot start has failed")]

mod support;

use payment_intents::clock::SystemClock;
use payment_intents::connector::{Authorization, ConnectorSettings, Connectors, HttpConnector};
use payment_intents::dynamodb::{Connection, DynamoStore};
use payment_intents::local::sandbox::Sandbox;
use payment_intents::payment::{
    Action, DirectPsps, Nonce, Outcome, Payment, ProjectKey, Refusal, RejectionReason, Reporter,
    Reservation, Settlement, State, TransactionKind, Update,
};
use payment_intents::ports::{Clock, Policy, Rejections, Resend, Store, Verdict};
use payment_intents::service::{ActError, Done, Invocation, LEASE_MARGIN_MS, Request, Service};
use payment_intents::transport::Transport;
use std::time::Duration;
use support::dynamo::{Fault, Shim, Table, connection, table_at};
use support::payments::{
    self, AUTHORIZED, CAPTURED_IN_FULL, capture, eur, id, key, refund, registered,
};

const APPROVED: Done = Done { verdict: Verdict::Approved, replayed: false };

/// The sandbox's rejection with its reason.
fn rejected() -> Verdict {
    let (code, text) = ("insufficient_funds", "The card has insufficient funds.");
    Verdict::Rejected(RejectionReason::new(Some(code), Some(text)))
}

/// A service with a real table, a real connector and a proxy between it and DynamoDB.
struct World {
    service: Service<DynamoStore, HttpConnector<SystemClock>, SystemClock>,
    table: Table,
    upstream: String,
    shim: Shim,
    sandbox: Sandbox,
}

impl World {
    async fn new(past: &[(TransactionKind, State, u64)]) -> Self {
        let sandbox = Sandbox::start().await.unwrap();
        let connectors = Connectors::from([("*".to_owned(), settings(&sandbox))]);
        Self::with(past, sandbox, connectors).await
    }

    async fn with(
        past: &[(TransactionKind, State, u64)],
        sandbox: Sandbox,
        connectors: Connectors,
    ) -> Self {
        let upstream = connection().await.endpoint_url.unwrap();
        let shim = Shim::start(&upstream).await;
        let table = table_at(Connection::to_emulator(shim.url.clone())).await;
        let connector = HttpConnector::new(connectors, Transport::new().unwrap(), SystemClock);
        let service = Service::new(table.store.clone(), connector, SystemClock);
        table.store.create(&registered("p", past)).await.unwrap();
        shim.calls();
        Self { service, table, upstream, shim, sandbox }
    }

    /// The table as another process sees it, whose requests all arrive.
    fn store_beside_the_shim(&self) -> DynamoStore {
        let client = Connection::to_emulator(self.upstream.clone()).client();
        DynamoStore::new(client, self.table.name.clone())
    }

    async fn act(&self, transaction: &str, action: Action) -> Result<Done, ActError> {
        self.service.act(request(transaction, action)).await
    }

    async fn payment(&self) -> Payment {
        self.table.store.get(&key("p")).await.unwrap().unwrap()
    }

    /// The state of the transaction.
    async fn state(&self, transaction: &str) -> Option<State> {
        self.payment().await.transactions.get(&id(transaction)).map(|found| found.state)
    }
}

fn settings(sandbox: &Sandbox) -> ConnectorSettings {
    ConnectorSettings {
        url: sandbox.url(),
        timeout_ms: 1_000,
        authorization: Authorization::None,
        projects: None,
        policy: Policy::default(),
        platform: None,
        psp: None,
    }
}

fn request(transaction: &str, action: Action) -> Request {
    Request {
        key: key("p"),
        transaction: id(transaction),
        action,
        merchant_reference: None,
        invocation: Invocation {
            nonce: Nonce::new(uuid::Uuid::new_v4().as_u128()),
            deadline: SystemClock.now().plus_ms(20_000),
            correlation_id: "test".to_owned(),
            bearer: None,
        },
    }
}

fn with_reference(mut request: Request, reference: &str) -> Request {
    request.merchant_reference = Some(reference.to_owned());
    request
}

#[tokio::test]
async fn a_successful_action_is_two_writes_and_no_read() {
    let actions = [
        (AUTHORIZED, capture(40)),
        (CAPTURED_IN_FULL, refund(40)),
        (AUTHORIZED, Action::Cancel),
        (AUTHORIZED, Action::Reverse),
    ];
    for (past, action) in actions {
        let world = World::new(past).await;
        assert_eq!(world.act("t", action.clone()).await.unwrap(), APPROVED);
        assert_eq!(world.shim.calls(), ["UpdateItem", "UpdateItem"], "{action:?}");
        assert_eq!(world.sandbox.ledger().len(), 1);
    }
}

/// A reversal is first reserved as a cancel. Where it must be a refund, the condition fails
/// once, and returns the Payment that the next write needs.
#[tokio::test]
async fn a_reversal_that_comes_to_a_refund_is_three_writes_and_no_read() {
    let world = World::new(CAPTURED_IN_FULL).await;
    assert_eq!(world.act("t", Action::Reverse).await.unwrap(), APPROVED);
    assert_eq!(world.shim.calls(), ["UpdateItem", "UpdateItem", "UpdateItem"]);
    assert_eq!(world.payment().await.balances.refunded, eur(100));
}

#[tokio::test]
async fn a_lost_answer_of_our_own_write_is_recognised() {
    use Fault::{LostAnswer, None};
    let cases: [(&str, &[Fault]); 5] = [
        ("reserve", &[LostAnswer]),
        ("reserve, twice", &[LostAnswer, LostAnswer]),
        ("settle", &[None, LostAnswer]),
        ("settle, twice", &[None, LostAnswer, LostAnswer]),
        ("both", &[LostAnswer, None, LostAnswer]),
    ];
    for (what, faults) in cases {
        for (past, action) in [
            (AUTHORIZED, capture(100)),
            (CAPTURED_IN_FULL, refund(100)),
            (AUTHORIZED, Action::Cancel),
            (CAPTURED_IN_FULL, Action::Reverse),
        ] {
            let world = World::new(past).await;
            world.shim.plan(faults);
            assert_eq!(
                world.act("t", action.clone()).await.unwrap(),
                APPROVED,
                "{what} {action:?}"
            );
            assert_eq!(world.sandbox.ledger().len(), 1, "{what} {action:?}");
            assert_eq!(world.state("t").await, Some(State::Success), "{what} {action:?}");
        }
    }
}

#[tokio::test]
async fn a_settling_write_is_repeated_until_it_succeeds() {
    let world = World::new(AUTHORIZED).await;
    // The reservation passes; then two rounds of the SDK's attempts fail.
    let mut faults = vec![Fault::Lost; 7];
    faults[0] = Fault::None;
    world.shim.plan(&faults);
    assert_eq!(world.act("t", capture(40)).await.unwrap(), APPROVED);
    assert_eq!(world.state("t").await, Some(State::Success));
}

#[tokio::test]
async fn without_a_reservation_nothing_is_sent_and_nothing_is_held() {
    use Fault::{Lost, LostAnswer};
    // All three attempts fail. The third one may have been written.
    for last in [Lost, LostAnswer] {
        let world = World::new(AUTHORIZED).await;
        world.shim.plan(&[Lost, Lost, last]);
        let acted = world.act("t", capture(100)).await;
        assert!(matches!(acted, Err(ActError::Unavailable(_))), "{acted:?}");
        assert_eq!(world.sandbox.ledger(), []);
        let payment = world.payment().await;
        assert_eq!(payment.in_flight, None);
        assert_eq!(payment.balances.capturable, eur(100));
        // The same key may be used again.
        assert_eq!(world.act("t", capture(100)).await.unwrap(), APPROVED);
    }
}

#[tokio::test]
async fn a_reservation_that_arrives_after_its_caller_gave_up_reserves_nothing() {
    let world = World::new(AUTHORIZED).await;
    world.shim.plan(&[Fault::Lost; 3]);
    let request = request("t", capture(100));
    let late = Reservation {
        key: key("p"),
        transaction: request.transaction.clone(),
        nonce: request.invocation.nonce,
        action: capture(100),
        merchant_reference: None,
        at: SystemClock.now(),
        lease: request.invocation.deadline,
        psps: DirectPsps::default(),
    };
    world.service.act(request).await.unwrap_err();
    // The network delivers the reservation late.
    world.table.store.reserve(&late).await.unwrap_err();
    assert_eq!(world.payment().await.in_flight, None);
}

/// The answer of the reservation is lost, and by the clock of another process its lease
/// has run out: that one sends it again with the same key, and it succeeds.
#[tokio::test]
async fn a_reservation_that_another_process_sent_is_not_answered_with_nothing_was_sent() {
    let sandbox = Sandbox::start().await.unwrap();
    let honours_key = Policy { resend: Resend::SameKey { window_ms: 60_000 }, ..Policy::default() };
    let settings = ConnectorSettings { policy: honours_key, ..settings(&sandbox) };
    let connectors = Connectors::from([("*".to_owned(), settings)]);
    let world = World::with(AUTHORIZED, sandbox, connectors).await;
    world.shim.plan(&[Fault::LostAnswer, Fault::Silent, Fault::Silent]);
    let request = request("t", capture(100));
    let after_lease = request.invocation.deadline.plus_ms(LEASE_MARGIN_MS).plus_ms(1);
    let others_nonce = Nonce::new(2);
    let other_process = async {
        let mut writes = 0;
        while writes < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            writes += world.shim.calls().len();
        }
        let store = world.store_beside_the_shim();
        let reserved = store.get(&key("p")).await.unwrap().unwrap();
        let expired = reserved.expire(after_lease).unwrap();
        let lease = after_lease.plus_ms(10_000);
        let resumed = expired.resume(&id("t"), others_nonce, after_lease, lease).unwrap();
        let settled = resumed.settle(&id("t"), &others_nonce, Outcome::Approved, after_lease);
        let Ok(Settlement::Changed(settled)) = settled else { panic!("{settled:?}") };
        for (from, to) in [(&reserved, &expired), (&expired, &resumed), (&resumed, &settled)] {
            store.replace(from, to).await.unwrap();
        }
    };
    let (acted, ()) = tokio::join!(world.service.act(request), other_process);
    assert!(matches!(acted, Err(ActError::OutcomeUnknown { replayed: false })), "{acted:?}");
    assert_eq!(world.state("t").await, Some(State::Success));
    let repeated = world.act("t", capture(100)).await.unwrap();
    assert_eq!(repeated, Done { replayed: true, ..APPROVED });
}

#[tokio::test]
async fn a_repeat_of_a_rejection_is_answered_with_the_reason_that_was_recorded() {
    let world = World::new(AUTHORIZED).await;
    let asked = || with_reference(request("t", capture(40)), "sandbox:rejected");
    let first = world.service.act(asked()).await.unwrap();
    assert_eq!(first, Done { verdict: rejected(), replayed: false });
    let repeated = world.service.act(asked()).await.unwrap();
    assert_eq!(repeated, Done { verdict: rejected(), replayed: true });
}

/// The connector's `rejected` proves nothing, so that the outcome is open until a report
/// agrees with it.
#[tokio::test]
async fn a_rejection_without_proof_keeps_its_reason_until_a_report_agrees() {
    let sandbox = Sandbox::start().await.unwrap();
    let policy = Policy { rejected: Rejections::Unproven, ..Policy::default() };
    let settings = ConnectorSettings { policy, ..settings(&sandbox) };
    let world =
        World::with(AUTHORIZED, sandbox, Connectors::from([("*".to_owned(), settings)])).await;
    let asked = || with_reference(request("t", capture(40)), "sandbox:rejected");
    let open = world.service.act(asked()).await;
    assert!(matches!(open, Err(ActError::OutcomeUnknown { .. })), "{open:?}");
    let found = world.payment().await;
    let reporter = Reporter { by: None, at: SystemClock.now(), is_trusted: true };
    let failed = Update::ChangeTransactionState { id: id("t"), state: State::Failure };
    let told = found.update(&[failed], &reporter).unwrap();
    world.table.store.replace(&found, &told).await.unwrap();
    let repeated = world.service.act(asked()).await.unwrap();
    assert_eq!(repeated, Done { verdict: rejected(), replayed: true });
}

/// The condition of the table knows only the number of transactions.
#[tokio::test]
async fn beside_fifty_rejected_transactions_an_action_is_three_writes_and_no_read() {
    let world = World::new(AUTHORIZED).await;
    let asked = |n| with_reference(request(&format!("t{n}"), capture(40)), "sandbox:rejected");
    for n in 1..=60 {
        let acted = world.service.act(asked(n)).await.unwrap();
        assert_eq!(acted, Done { verdict: rejected(), replayed: false }, "{n}");
    }
    for n in [1, 49, 50, 60] {
        let repeated = world.service.act(asked(n)).await.unwrap();
        assert_eq!(repeated, Done { verdict: rejected(), replayed: true }, "{n}");
        let reused = world.act(&format!("t{n}"), capture(41)).await;
        assert!(matches!(reused, Err(ActError::Refused(Refusal::KeyReused))), "{reused:?}");
    }
    world.shim.calls();
    assert_eq!(world.act("next", capture(40)).await.unwrap(), APPROVED);
    assert_eq!(world.shim.calls(), ["UpdateItem"; 3]);
    assert_eq!(world.act("back", Action::Reverse).await.unwrap(), APPROVED);
    assert_eq!(world.sandbox.ledger().len(), 2);
    assert_eq!(world.payment().await.balances.refunded, eur(40));
}

#[tokio::test]
async fn an_expired_lease_is_taken_over_and_its_hold_is_kept() {
    let world = World::new(AUTHORIZED).await;
    let crashed = Reservation {
        lease: SystemClock.now().minus_ms(1),
        ..payments::reservation("crashed", 1, capture(60), SystemClock.now())
    };
    world.table.store.reserve(&crashed).await.unwrap();
    assert_eq!(world.act("next", capture(40)).await.unwrap(), APPROVED);
    assert_eq!(world.state("crashed").await, Some(State::Unknown));
    let refused = world.act("more", capture(1)).await;
    let expected = Refusal::ExceedsCapturable { asked: eur(1), available: eur(0) };
    assert!(matches!(refused, Err(ActError::Refused(refusal)) if refusal == expected));
}

#[tokio::test]
async fn a_repeat_after_its_lease_is_unknown_and_not_sent_again() {
    let world = World::new(AUTHORIZED).await;
    let crashed = Reservation {
        lease: SystemClock.now().minus_ms(1),
        ..payments::reservation("t", 1, capture(60), SystemClock.now())
    };
    world.table.store.reserve(&crashed).await.unwrap();
    let acted = world.act("t", capture(60)).await;
    assert!(matches!(acted, Err(ActError::OutcomeUnknown { replayed: true })), "{acted:?}");
    assert_eq!(world.state("t").await, Some(State::Unknown));
    assert_eq!(world.sandbox.ledger(), []);
}

#[tokio::test]
async fn a_connector_of_another_project_is_not_called() {
    let sandbox = Sandbox::start().await.unwrap();
    let other = Some(vec![ProjectKey::parse("other").unwrap()]);
    let closed = ConnectorSettings { projects: other, ..settings(&sandbox) };
    let named = [("adyen".to_owned(), settings(&sandbox))];
    for connectors in [Connectors::from(named), Connectors::from([("*".to_owned(), closed)])] {
        let world = World::with(AUTHORIZED, sandbox.clone(), connectors).await;
        let acted = world.act("t", capture(100)).await;
        assert!(matches!(acted, Err(ActError::ConnectorFailed(_))), "{acted:?}");
        assert_eq!(world.payment().await.balances.capturable, eur(100));
        assert_eq!(world.state("t").await, None);
    }
    assert_eq!(sandbox.ledger(), []);
}

#[tokio::test]
async fn with_too_little_time_left_nothing_is_sent() {
    let world = World::new(AUTHORIZED).await;
    let mut request = request("t", capture(100));
    request.invocation.deadline = SystemClock.now().plus_ms(4_900);
    let acted = world.service.act(request).await;
    assert!(matches!(acted, Err(ActError::Unavailable(_))), "{acted:?}");
    assert_eq!(world.sandbox.ledger(), []);
    assert!(world.shim.calls().is_empty());
}

#[tokio::test]
async fn with_a_silent_store_the_answer_still_comes_before_the_deadline() {
    // The reservation passes; after that, DynamoDB never answers.
    let world = World::new(AUTHORIZED).await;
    let mut faults = vec![Fault::Silent; 20];
    faults[0] = Fault::None;
    world.shim.plan(&faults);
    let mut request = request("t", capture(40));
    request.invocation.deadline = SystemClock.now().plus_ms(5_500);
    let deadline = request.invocation.deadline;
    let acted = world.service.act(request).await;
    assert!(matches!(acted, Err(ActError::OutcomeUnknown { .. })), "{acted:?}");
    assert!(SystemClock.now() < deadline);
    assert_eq!(world.sandbox.ledger().len(), 1);
}

/// The reference that scripts the sandbox, the result, the state, and the amount left to
/// capture.
#[tokio::test]
async fn each_outcome_of_a_call_is_recorded_as_the_state_that_it_proves() {
    let rows = [
        ("anything", Ok(Verdict::Approved), Some(State::Success), 60),
        ("sandbox:received", Ok(Verdict::Received(None)), Some(State::Pending), 60),
        ("sandbox:rejected", Ok(rejected()), Some(State::Failure), 100),
        ("sandbox:refuse", Err("never"), None, 100),
        ("sandbox:timeout", Err("unknown"), Some(State::Unknown), 60),
        ("sandbox:drop", Err("unknown"), Some(State::Unknown), 60),
        ("sandbox:error", Err("unknown"), Some(State::Unknown), 60),
        ("sandbox:garbage", Err("unknown"), Some(State::Unknown), 60),
    ];
    for (reference, expected, state, capturable) in rows {
        let world = World::new(AUTHORIZED).await;
        let acted = world.service.act(with_reference(request("t", capture(40)), reference)).await;
        let acted = match acted {
            Ok(done) => Ok(done.verdict),
            Err(ActError::ConnectorFailed(_)) => Err("never"),
            Err(ActError::OutcomeUnknown { replayed: false }) => Err("unknown"),
            Err(other) => panic!("{reference}: {other:?}"),
        };
        assert_eq!(acted, expected, "{reference}");
        assert_eq!(world.state("t").await, state, "{reference}");
        let payment = world.payment().await;
        assert_eq!(payment.balances.capturable, eur(capturable), "{reference}");
        assert_eq!(payment.in_flight, None, "{reference}");
    }
}
