//! EventBridge is unreachable, slow or silent: no event is lost, and the log is correct.

use crate::bus::Answer::{Fails, Hangs, IsLost, Refuses, Takes};
use crate::bus::Bus;
use crate::stream::sequence;
use crate::support::capture;
use crate::world::World;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const SENT: &str = "an event was sent";
const NOT_SENT: &str = "an event could not be sent";

/// Captures of two Payments, and the place of the first record with an event.
async fn two_captures(world: &World) -> (Vec<Value>, String) {
    for payment in ["p", "q"] {
        world.register(payment, json!({})).await;
    }
    for payment in ["p", "q"] {
        world.act(payment, capture(1_000), 200).await;
    }
    let records = world.stream.records().await;
    assert_eq!(records.len(), 6);
    let first = sequence(&records[3]);
    (records, first)
}

#[tokio::test]
async fn events_are_retried_while_eventbridge_cannot_be_reached() {
    let world = World::with(Bus::start().await, "http://127.0.0.1:1".to_owned()).await;
    let (records, first) = two_captures(&world).await;
    assert_eq!(world.deliver(&records).await, Some(first.clone()));
    assert_eq!(world.deliver(&records[3..]).await, Some(first));
    assert_eq!(world.logged(SENT), Vec::<Value>::new());
    assert_eq!(world.logged(NOT_SENT).len(), 2);
}

#[tokio::test]
async fn events_are_retried_until_eventbridge_accepts_them() {
    let world = World::start().await;
    let (records, first) = two_captures(&world).await;
    for (answer, attempts) in [
        (Fails(500, "InternalException"), 3),
        (Fails(503, "ServiceUnavailable"), 3),
        (Fails(400, "ThrottlingException"), 3),
        (Fails(400, "AccessDeniedException"), 1),
        (Fails(400, "ResourceNotFoundException"), 1),
        (Fails(413, "RequestEntityTooLarge"), 1),
        (Refuses(vec![0, 1]), 1),
    ] {
        world.bus.usually(answer.clone());
        assert_eq!(world.deliver(&records).await, Some(first.clone()), "{answer:?}");
        assert_eq!(world.bus.calls().len(), attempts, "{answer:?}");
    }
    assert_eq!(world.logged(SENT), Vec::<Value>::new());
    world.bus.usually(Takes);
    assert_eq!(world.deliver(&records[3..]).await, None);
    assert_eq!(world.bus.published().len(), 2);
    assert_eq!(world.logged(SENT).len(), 2);
}

/// The SDK's own retry is enough.
#[tokio::test]
async fn a_call_that_fails_once_is_repeated_at_once() {
    let world = World::start().await;
    let (records, _) = two_captures(&world).await;
    for answer in [Fails(500, "InternalException"), IsLost] {
        world.bus.next(std::slice::from_ref(&answer));
        assert_eq!(world.deliver(&records).await, None, "{answer:?}");
        let calls = world.bus.calls();
        assert_eq!(calls.len(), 2, "{answer:?}");
        let ids = |call: &crate::bus::Call| -> Vec<_> {
            call.events.iter().map(|event| event.id().to_owned()).collect()
        };
        assert_eq!(ids(&calls[0]), ids(&calls[1]), "{answer:?}");
    }
}

/// The log line of each event says whether it was sent.
#[tokio::test]
async fn only_the_accepted_entries_of_a_call_are_logged_as_sent() {
    let world = World::start().await;
    for (index, refused) in [vec![0], vec![1], vec![0, 1]].into_iter().enumerate() {
        let before = world.logged(SENT).len();
        for payment in [format!("p{index}"), format!("q{index}")] {
            world.register(&payment, json!({})).await;
            world.act(&payment, capture(1_000), 200).await;
        }
        let records = world.stream.records().await;
        world.bus.next(&[Refuses(refused.clone())]);
        let first = if refused[0] == 0 { &records[2] } else { &records[5] };
        assert_eq!(world.deliver(&records).await, Some(sequence(first)));
        let published: Vec<_> =
            world.bus.published().iter().map(|event| json!(event.id())).collect();
        let logged = world.logged(SENT);
        let logged: Vec<_> = logged[before..].iter().map(|line| line["event"].clone()).collect();
        assert_eq!(logged, published, "{refused:?}");
    }
}

/// 6 s with all retries: long before the invocation's end.
#[tokio::test]
async fn a_silent_eventbridge_is_given_up_in_time_to_report_the_rest() {
    let world = World::start().await;
    let (records, _) = two_captures(&world).await;
    world.act("p", capture(1_000), 200).await;
    let mut batch = records;
    batch.extend(world.stream.records().await);
    // The first two events are sent in one call.
    world.bus.next(&[Takes]);
    world.bus.usually(Hangs);
    let began = Instant::now();
    let reported = world.deliver_within(15_000, &batch).await;
    assert!(began.elapsed() < Duration::from_secs(7), "{:?}", began.elapsed());
    assert_eq!(reported, Some(sequence(&batch[7])));
    assert_eq!(world.bus.published().len(), 2);
    world.bus.usually(Takes);
    assert_eq!(world.deliver(&batch[7..]).await, None);
    assert_eq!(world.bus.published().len(), 1);
}
