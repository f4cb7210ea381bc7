//! Recovery while a connector is down, and with more due Payments than one run can handle.

use crate::platform::world::{KEYED, MINUTE, OPAQUE, SHOWS, World};
use crate::platform::{Reply, Role, ScriptedServer, TestClock, error, outcome, shown};
use crate::support::dynamo::{Table, table};
use crate::support::http_server::{listen, serve};
use crate::support::payments::{AUTHORIZED, at, capture, id, key, nonce, registered, reservation};
use aws_sdk_dynamodb::types::AttributeValue;
use http::Response;
use http_body_util::{BodyExt, Full};
use payment_intents::connector::{ConnectorSettings, Connectors, HttpConnector};
use payment_intents::dynamodb::{Connection, DynamoStore, to_item};
use payment_intents::fan_out::{Copies, requested_part};
use payment_intents::payment::{Payment, Reservation};
use payment_intents::ports::{Clock, IndexPart, Policy, Store};
use payment_intents::recovery::{
    CALLS_PER_CONNECTOR, PAYMENTS_PER_PROCESS, PROCESSES_MAX, RecoveryRun, UNANSWERED_MAX,
};
use payment_intents::service::Service;
use payment_intents::transport::Transport;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

/// Two connectors on separate servers, over one table.
struct Outage {
    service: Service<DynamoStore, HttpConnector<TestClock>, TestClock>,
    table: Table,
    clock: TestClock,
    dead: ScriptedServer,
    healthy: ScriptedServer,
}

impl Outage {
    async fn with(policy: Policy) -> Self {
        let clock = TestClock::at(at(60 * MINUTE));
        let dead = ScriptedServer::start(clock.clone()).await;
        let healthy = ScriptedServer::start(clock.clone()).await;
        let table = table().await;
        // The timeout is long, so that a busy machine does not end a call.
        let settings = ConnectorSettings { timeout_ms: 20_000, ..healthy.settings(policy.clone()) };
        let connectors = Connectors::from([
            ("dead".to_owned(), dead.settings(policy)),
            ("healthy".to_owned(), settings),
        ]);
        let connector = HttpConnector::new(connectors, Transport::new().unwrap(), clock.clone());
        let service = Service::new(table.store.clone(), connector, clock.clone());
        Self { service, table, clock, dead, healthy }
    }

    /// Registers this many Payments of a connector. The invocation of each died, one second
    /// after the other.
    async fn crashes(&self, interface: &str, count: usize) {
        for n in 0..count {
            let payment = format!("{interface}-{n}");
            self.table.store.create(&of(interface, &payment)).await.unwrap();
            let asked = reservation("t", nonce().bits(), capture(60), self.clock.now());
            self.table.store.reserve(&Reservation { key: key(&payment), ..asked }).await.unwrap();
            self.clock.advance(1_000);
        }
    }

    async fn recover(&self) -> RecoveryRun {
        self.service.recover(self.clock.now().plus_ms(58_000), nonce).await.unwrap()
    }

    async fn states(&self, interface: &str, count: usize) -> BTreeSet<String> {
        let mut states = BTreeSet::new();
        for n in 0..count {
            let payment = self.table.store.get(&key(&format!("{interface}-{n}"))).await.unwrap();
            states.insert(format!("{:?}", payment.unwrap().transactions[&id("t")].state));
        }
        states
    }
}

fn of(interface: &str, payment: &str) -> Payment {
    let mut payment = registered(payment, AUTHORIZED);
    payment.details.payment_interface = Some(interface.to_owned());
    payment
}

#[tokio::test]
async fn a_connector_that_does_not_answer_is_left_out_and_does_not_delay_others() {
    for (policy, role, silence) in [
        (KEYED, Role::Connector, Reply::Silence),
        (KEYED, Role::Connector, error(503, "General")),
        (SHOWS, Role::Platform, Reply::Silence),
    ] {
        let outage = Outage::with(policy.clone()).await;
        outage.dead.usually(role, silence.clone());
        outage.healthy.usually(Role::Platform, shown(&[]));
        // The Payments of the dead connector are due first.
        outage.crashes("dead", 40).await;
        outage.crashes("healthy", 40).await;
        outage.clock.advance(10 * MINUTE);
        let run = outage.recover().await;
        let (dead, healthy) = (run.connectors["dead"], run.connectors["healthy"]);
        assert_eq!((dead.due, healthy.due), (40, 40), "{run:?}");
        let calls = 40 - usize::try_from(dead.left_out).unwrap();
        let few = usize::try_from(UNANSWERED_MAX).unwrap()..=2 * CALLS_PER_CONNECTOR;
        assert!(few.contains(&calls), "{calls} calls: {silence:?}");
        assert!(outage.dead.received(role).len() <= calls);
        assert_eq!((healthy.left_out, run.left_out), (0, dead.left_out));
        assert_eq!((run.payments, run.failed, run.is_cut_short), (80, 0, false), "{run:?}");
        let calls = outage.healthy.received(role).len();
        assert_eq!(calls, 40, "one call for each Payment of the healthy connector");
        if policy == KEYED {
            assert_eq!((healthy.resolved, dead.resolved), (40, 0), "{run:?}");
            assert_eq!(outage.states("healthy", 40).await, ["Success".to_owned()].into());
        }
        // All leases expired, also those of the Payments that were left out.
        assert_eq!(outage.states("dead", 40).await, ["Unknown".to_owned()].into());
    }
}

#[tokio::test]
async fn a_connector_that_answers_again_is_not_left_out() {
    let outage = Outage::with(KEYED).await;
    // One of every three calls is answered.
    for n in 0..30 {
        let reply = if n % 3 == 2 { outcome("approved") } else { Reply::Drop };
        outage.dead.next(Role::Connector, reply);
    }
    outage.dead.usually(Role::Connector, outcome("approved"));
    outage.crashes("dead", 30).await;
    outage.clock.advance(10 * MINUTE);
    let mut runs = 0;
    while outage.recover().await.left_out > 0 {
        runs += 1;
        assert!(runs < 10, "each run calls it again");
    }
    // A call on a connection that a drop before it has closed may fail, too.
    for _ in 0..3 {
        outage.clock.advance(30 * MINUTE);
        outage.recover().await;
    }
    assert_eq!(outage.states("dead", 30).await, ["Success".to_owned()].into());
}

#[tokio::test]
async fn a_payment_that_an_earlier_version_wrote_to_the_index_is_found() {
    let world = World::new(KEYED).await;
    world.crashes(8).await;
    // Earlier versions used four shards.
    for n in 0..8 {
        let update = world.table.client.update_item().table_name(&world.table.name);
        let update = update.key("pk", AttributeValue::S(format!("demo#p{n}")));
        let update = update.key("sk", AttributeValue::S("payment".to_owned()));
        let shard = AttributeValue::S((n % 4).to_string());
        let update = update.update_expression("SET recover_shard = :shard");
        update.expression_attribute_values(":shard", shard).send().await.unwrap();
    }
    world.clock.advance(34_000);
    let run = world.recover().await;
    assert_eq!((run.payments, run.resolved), (8, 8));
}

#[tokio::test]
async fn the_parts_of_the_index_are_disjoint_and_together_complete() {
    let world = World::new(KEYED).await;
    world.crashes(60).await;
    world.clock.advance(34_000);
    let mut found = Vec::new();
    for part in 0..3 {
        let part = IndexPart::new(part, 3).unwrap();
        let page = world.table.store.due(part, world.clock.now(), None).await.unwrap();
        assert!(page.next.is_none() && page.payments.len() < 60);
        found.extend(page.payments.into_iter().map(|due| due.key));
    }
    assert_eq!(found.len(), 60);
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>().len(), 60);
    let part = IndexPart::new(1, 3).unwrap();
    let deadline = world.clock.now().plus_ms(20_000);
    let run = world.service.recover_part(part, deadline, nonce).await.unwrap();
    assert!(run.payments > 0 && run.payments < 60, "{run:?}");
    assert_eq!(run.resolved, run.payments);
}

#[tokio::test]
async fn the_due_entries_of_the_index_are_read_page_by_page_in_the_order_of_time() {
    let world = World::new(OPAQUE).await;
    write_open(&world.table, 700).await;
    let end = at(600);
    let (mut position, mut pages, mut times) = (None, 0, Vec::new());
    loop {
        let page = world.table.store.due(IndexPart::WHOLE, end, position).await.unwrap();
        times.extend(page.payments.iter().map(|due| due.due_at.ms()));
        pages += 1;
        position = page.next;
        if position.is_none() {
            break;
        }
    }
    assert!(pages > 1, "a single page does not test the order of pages");
    let expected = (0..=600).map(|ms| at(ms).ms()).collect::<Vec<_>>();
    assert_eq!(times, expected);
    let count = world.table.store.count_open(end).await.unwrap();
    assert_eq!((count.open, count.due), (700, 601));
}

#[tokio::test]
async fn the_number_of_processes_grows_with_the_number_of_due_payments() {
    let world = World::new(OPAQUE).await;
    world.clock.set(at(100_000));
    assert_eq!(world.service.plan_recovery().await.unwrap(), [IndexPart::WHOLE]);
    let count = usize::try_from(PAYMENTS_PER_PROCESS).unwrap();
    write_open(&world.table, count).await;
    assert_eq!(world.service.plan_recovery().await.unwrap(), [IndexPart::WHOLE]);
    let one_more = world.table.client.put_item().table_name(&world.table.name);
    one_more.set_item(Some(entry(count))).send().await.unwrap();
    let parts = world.service.plan_recovery().await.unwrap();
    assert_eq!(parts, [IndexPart::new(0, 2).unwrap(), IndexPart::new(1, 2).unwrap()]);
    assert!(parts.len() <= PROCESSES_MAX);
}

#[tokio::test]
async fn copies_are_invoked_for_all_parts_but_the_first_and_if_that_fails_one_process_does_all() {
    const FUNCTION: &str = "arn:aws:lambda:eu-central-1:123456789012:function:recovery";
    let parts = (0..3).filter_map(|part| IndexPart::new(part, 3)).collect::<Vec<_>>();
    for (status, left) in [(202, parts[0]), (403, IndexPart::WHOLE)] {
        let invoked = Arc::new(Mutex::new(BTreeSet::new()));
        let (listener, address) = listen().await;
        let kept = Arc::clone(&invoked);
        serve(listener, move |request| {
            let kept = Arc::clone(&kept);
            async move {
                let kind = request.headers()["x-amz-invocation-type"].to_str().unwrap().to_owned();
                let path = request.uri().path().to_owned();
                let event = request.into_body().collect().await.unwrap().to_bytes();
                let event = String::from_utf8(event.to_vec()).unwrap();
                kept.lock().unwrap().insert((kind, path, requested_part(&event).unwrap().part()));
                Ok(Response::builder().status(status).body(Full::default()).unwrap())
            }
        });
        let copies = Copies::new(Connection::to_emulator(format!("http://{address}")));
        assert_eq!(copies.invoke_copies(FUNCTION, &parts[..1]).await, parts[0]);
        assert!(invoked.lock().unwrap().is_empty(), "a single part needs no copy");
        assert_eq!(copies.invoke_copies(FUNCTION, &parts).await, left, "{status}");
        let invoked = invoked.lock().unwrap().clone();
        assert_eq!(invoked.iter().map(|(_, _, part)| *part).collect::<Vec<_>>(), [1, 2]);
        for (kind, path, _) in invoked {
            assert_eq!(kind, "Event", "the invocation is asynchronous");
            let function = path.strip_prefix("/2015-03-31/functions/").unwrap();
            assert!(function.contains("recovery") && path.ends_with("/invocations"), "{path}");
        }
    }
}

/// An item in the index that is due after this many milliseconds. The first shard gets most
/// of the items, so that it has several pages.
fn entry(ms: usize) -> payment_intents::dynamodb::Item {
    let mut item = to_item(&registered(&format!("open-{ms}"), AUTHORIZED));
    let shard = if ms < 600 && ms.is_multiple_of(2) { 0 } else { ms % 64 };
    item.insert("recover_shard".to_owned(), AttributeValue::S(shard.to_string()));
    let due_ms = at(u64::try_from(ms).unwrap()).ms();
    item.insert("recover_at".to_owned(), AttributeValue::N(due_ms.to_string()));
    item
}

async fn write_open(table: &Table, count: usize) {
    use aws_sdk_dynamodb::types::{PutRequest, WriteRequest};
    for chunk in (0..count).collect::<Vec<_>>().chunks(25) {
        let write = |ms: &usize| {
            let put = PutRequest::builder().set_item(Some(entry(*ms))).build().unwrap();
            WriteRequest::builder().put_request(put).build()
        };
        let writes = chunk.iter().map(write).collect();
        let batch = table.client.batch_write_item().request_items(&table.name, writes);
        let written = batch.send().await.unwrap();
        assert!(written.unprocessed_items.unwrap_or_default().is_empty());
    }
}
