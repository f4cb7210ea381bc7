//! The order of a Payment's events, with failures of EventBridge and with little time.

use crate::bus::Answer::{Fails, IsLost, Refuses, Takes, TakesLate};
use crate::bus::{Answer, Call};
use crate::stream::{sequence, settled};
use crate::support::actions::report;
use crate::support::capture;
use crate::world::{LEFT_MS, World};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

const PAYMENTS: usize = 12;

/// Makes this many captures of each Payment, one Payment after the other. Returns record,
/// transaction and Payment of each event.
async fn captured(world: &World, payments: usize, captures: usize) -> (Vec<Value>, Vec<Due>) {
    for payment in 0..payments {
        world.register(&format!("p{payment}"), json!({})).await;
    }
    for _ in 0..captures {
        for payment in 0..payments {
            world.act(&format!("p{payment}"), capture(1_000), 200).await;
        }
    }
    let records = world.stream.records().await;
    let due = records.iter().flat_map(|record| {
        let of = record["dynamodb"]["Keys"]["pk"]["S"].as_str().unwrap();
        let payment = of.strip_prefix("demo#").unwrap().to_owned();
        let of_record = move |transaction| Due {
            sequence: sequence(record),
            transaction,
            payment: payment.clone(),
        };
        let is_new = record["eventName"] == "INSERT";
        settled(record).into_iter().filter(move |_| !is_new).map(of_record)
    });
    let due: Vec<_> = due.collect();
    assert_eq!(due.len(), payments * captures);
    (records, due)
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Due {
    sequence: String,
    transaction: String,
    payment: String,
}

/// Delivers the records as Lambda does, from the reported one on, until all are sent.
/// Returns the calls of each invocation.
async fn hand_over(world: &World, left_ms: u64, records: &[Value], due: &[Due]) -> Vec<Vec<Call>> {
    let (mut from, mut invocations) = (0, Vec::new());
    for _ in 0..100 {
        let batch = &records[from..];
        let reported = world.deliver_within(left_ms, batch).await;
        let calls = world.bus.calls();
        // Only the last result of each event counts, because calls are repeated.
        let events = calls.iter().flat_map(|call| call.events.iter().zip(&call.taken));
        let said: BTreeMap<_, _> =
            events.map(|(event, taken)| (event.transaction().to_owned(), *taken)).collect();
        let is_missing = |due: &&Due| {
            due.sequence >= sequence(&batch[0]) && said.get(&due.transaction) != Some(&true)
        };
        // The reported record is the first one that was not sent.
        assert_eq!(reported, due.iter().find(is_missing).map(|due| due.sequence.clone()));
        invocations.push(calls);
        let Some(reported) = reported else { return invocations };
        from += batch.iter().position(|record| sequence(record) == reported).unwrap();
    }
    panic!("it never comes to an end");
}

/// The transactions of each Payment, in the order of their first accepted event.
fn arrived(calls: &[Call]) -> BTreeMap<String, Vec<String>> {
    let mut arrived: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for call in calls {
        let payments: BTreeSet<_> = call.events.iter().map(|event| event.payment()).collect();
        assert_eq!(payments.len(), call.events.len(), "a call has two events of a Payment");
        for (event, _) in call.events.iter().zip(&call.taken).filter(|(_, taken)| **taken) {
            let of_payment = arrived.entry(event.payment().to_owned()).or_default();
            if !of_payment.iter().any(|known| known == event.transaction()) {
                of_payment.push(event.transaction().to_owned());
            }
        }
    }
    arrived
}

#[tokio::test]
async fn each_payments_events_arrive_in_order_despite_failed_entries() {
    let world = World::start().await;
    let (records, due) = captured(&world, PAYMENTS, 3).await;
    let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for due in &due {
        expected.entry(due.payment.clone()).or_default().push(due.transaction.clone());
    }
    let denied = || Fails(400, "AccessDeniedException");
    for script in [
        vec![],
        vec![Refuses(vec![0])],
        vec![Refuses(vec![9])],
        vec![Refuses((0..10).collect())],
        vec![Takes, Refuses(vec![0, 1])],
        vec![Refuses(vec![3, 7]), Refuses(vec![2]), Takes, Refuses(vec![1, 9]), Refuses(vec![0])],
        vec![Refuses(vec![8]), Refuses(vec![8]), Refuses(vec![8]), Refuses(vec![8])],
        vec![Takes, denied(), Refuses(vec![5]), denied(), denied(), Refuses(vec![0])],
        vec![IsLost, Takes, IsLost, Refuses(vec![4])],
        (0..40).map(|n| Refuses(vec![(n * 7 + 3) % 10])).collect(),
    ] {
        world.bus.next(&script);
        let invocations = hand_over(&world, LEFT_MS, &records, &due).await;
        let failures = |answer: &&Answer| matches!(answer, Refuses(_) | Fails(..));
        if script.len() < 10 {
            let failed = script.iter().filter(failures).count();
            assert_eq!(invocations.len(), failed + 1, "{script:?}");
        }
        assert_eq!(arrived(&invocations.concat()), expected, "{script:?}");
    }
}

/// Ten entries in one call, where they may be together.
#[tokio::test]
async fn events_are_sent_in_the_largest_batches_allowed() {
    let world = World::start().await;
    let (records, due) = captured(&world, PAYMENTS, 2).await;
    let calls = hand_over(&world, LEFT_MS, &records, &due).await.concat();
    let sizes: Vec<_> = calls.iter().map(|call| call.events.len()).collect();
    assert_eq!(sizes, [10, 10, 4]);
}

/// A write with several transactions, of which some were sent, is delivered again.
#[tokio::test]
async fn a_write_whose_events_were_sent_in_part_is_delivered_again_as_a_whole() {
    let world = World::start().await;
    world.register("p", json!({})).await;
    let charge = |amount| report("Charge", "Success", amount);
    world.report("p", json!([charge(1_000), charge(2_000), charge(3_000)])).await;
    let records = world.stream.records().await;
    world.bus.next(&[Takes, Refuses(vec![0])]);
    assert_eq!(world.deliver(&records).await, Some(sequence(&records[1])));
    let first = world.bus.published();
    assert_eq!(world.deliver(&records[1..]).await, None);
    let second = world.bus.published();
    assert_eq!((first.len(), second.len()), (1, 3));
    assert_eq!(first[0].text, second[0].text);
}

/// A call needs 8 s. Each invocation makes progress, even a late one.
#[tokio::test]
async fn with_too_little_time_left_one_call_is_made_and_the_rest_is_delivered_again() {
    let world = World::start().await;
    let (records, due) = captured(&world, 1, 4).await;
    let invocations = hand_over(&world, 7_900, &records, &due).await;
    let calls: Vec<_> = invocations.iter().map(Vec::len).collect();
    assert_eq!(calls, [1, 1, 1, 1]);
    assert_eq!(hand_over(&world, LEFT_MS, &records, &due).await.len(), 1);
}

#[tokio::test]
async fn no_call_is_begun_that_may_outlast_the_invocation() {
    let world = World::start().await;
    let (records, due) = captured(&world, 1, 3).await;
    world.bus.next(&[TakesLate(1_600), TakesLate(1_600)]);
    let began = Instant::now();
    let invocations = hand_over(&world, 11_000, &records, &due).await;
    let calls: Vec<_> = invocations.iter().map(Vec::len).collect();
    assert_eq!(calls, [2, 1], "{:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
}
