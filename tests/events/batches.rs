//! Batches that are unreadable as a whole or in part, and a function with missing settings.

use crate::bus::Answer::{Refuses, Takes};
use crate::bus::PublishedEvent;
use crate::stream::{batch, sequence, settled};
use crate::support::capture;
use crate::support::lambda::events::event;
use crate::world::{LEFT_MS, World};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::process::Command;
use tokio::time::timeout;

const UNREADABLE: &str = "a record of the stream cannot be read";

/// The record with another value at this place; `null` removes the field.
fn with(record: &Value, pointer: &str, value: Value) -> Value {
    let mut record = record.clone();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = record.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    match value {
        Value::Null => parent.remove(name),
        value => parent.insert(name.to_owned(), value),
    };
    record
}

#[tokio::test]
async fn an_unreadable_record_is_put_on_the_dead_letter_queue_and_holds_no_other() {
    let world = World::start().await;
    for payment in ["p", "q"] {
        world.register(payment, json!({})).await;
        world.act(payment, capture(1_000), 200).await;
    }
    let records = world.stream.records().await;
    // The bad record is between the events of p and of q: the registration of q, or its
    // reservation.
    let (registered, reserved) = (&records[3], &records[4]);
    assert_eq!(
        (&registered["eventName"], &reserved["eventName"]),
        (&json!("INSERT"), &json!("MODIFY"))
    );
    let new = "/dynamodb/NewImage";
    for poison in [
        with(registered, new, Value::Null),
        with(reserved, new, Value::Null),
        with(reserved, "/dynamodb/OldImage", Value::Null),
        with(reserved, "/dynamodb/Keys", Value::Null),
        with(reserved, "/eventName", Value::Null),
        with(reserved, "/eventName", json!("RENAME")),
        with(reserved, &format!("{new}/version"), Value::Null),
        with(reserved, &format!("{new}/version"), json!({"N": "-1"})),
        with(reserved, &format!("{new}/version"), json!({"X": "1"})),
        with(reserved, &format!("{new}/version"), json!(1)),
        with(reserved, &format!("{new}/item_format"), json!({"N": "0"})),
        with(reserved, &format!("{new}/captured"), json!({"N": "1"})),
        with(reserved, &format!("{new}/inflight/M/n"), json!({"B": "%%%"})),
        with(reserved, &format!("{new}/inflight/M/n"), json!({"B": "AAAA"})),
        with(reserved, &format!("{new}/pk"), json!({"S": "demo"})),
        with(reserved, "/dynamodb/OldImage/transactions", json!({"L": []})),
    ] {
        let logged = world.logged(UNREADABLE).len();
        let number = sequence(&poison);
        let whole = [&records[..3], std::slice::from_ref(&poison), &records[5..]].concat();
        assert_eq!(world.deliver(&whole).await, None, "{poison}");
        let published = world.bus.published();
        let payments: Vec<_> = published.iter().map(PublishedEvent::payment).collect();
        assert_eq!(payments, ["p", "q"], "{poison}");
        let mut letters = world.queue.messages();
        assert_eq!(letters.len(), 1, "{poison}");
        let error = letters[0].as_object_mut().unwrap().remove("error").unwrap();
        let error = error.as_str().unwrap();
        assert!(error.starts_with("the record is damaged: "), "{error}");
        let mut expected = json!({
            "reason": "unreadableRecord",
            "streamArn": records[0]["eventSourceARN"],
            "sequenceNumber": number,
        });
        if poison.pointer("/dynamodb/Keys").is_some() {
            let payment = json!({"projectKey": "demo", "paymentId": "q"});
            expected.as_object_mut().unwrap().extend(payment.as_object().unwrap().clone());
        }
        assert_eq!(letters, [expected]);
        let logged = world.logged(UNREADABLE).split_off(logged);
        assert_eq!(logged.len(), 1, "{poison}");
        assert_eq!(logged[0]["sequence"], number.as_str());
    }
}

/// The function was rolled back, and the API was not yet.
#[tokio::test]
async fn a_record_of_a_later_version_holds_its_payment_until_it_can_be_read() {
    let world = World::start().await;
    let (records, held) = captures_of_two(&world, "p").await;
    let later = with(&records[held], "/dynamodb/NewImage/item_format", json!({"N": "3"}));
    let batch = [&records[..held], std::slice::from_ref(&later), &records[held + 1..]].concat();
    for _ in 0..2 {
        assert_eq!(world.deliver(&batch).await, Some(sequence(&later)));
        assert_eq!(payments(&world), ["q", "q"]);
    }
    assert_eq!(world.queue.messages(), [Value::Null; 0]);
    assert_eq!(world.logged(UNREADABLE).len(), 2);
    assert_eq!(world.deliver(&records[held..]).await, None);
    assert_eq!(payments(&world), ["p", "q", "p", "q"]);
}

#[tokio::test]
async fn an_unreadable_record_is_delivered_again_if_the_queue_cannot_be_reached() {
    let world = World::start().await;
    let (records, held) = captures_of_two(&world, "p").await;
    let poison = with(&records[held], "/dynamodb/NewImage", Value::Null);
    let batch = [&records[..held], std::slice::from_ref(&poison), &records[held + 1..]].concat();
    world.queue.fails(true);
    assert_eq!(world.deliver(&batch).await, Some(sequence(&poison)));
    assert_eq!(payments(&world), ["q", "q"]);
    let failed = "a record could not be put on the dead-letter queue";
    assert_eq!(world.logged(failed)[0]["sequence"], sequence(&poison).as_str());
    world.queue.fails(false);
    assert_eq!(world.deliver(&batch[held..]).await, None);
    assert_eq!(world.queue.messages().len(), 1);
    // The first event of p is lost, and its second one is sent.
    assert_eq!(payments(&world), ["q", "p", "q"]);
}

/// Registers p and q, and captures twice of each, in turns. Returns the records, and the
/// index of the one with the first event of a Payment.
async fn captures_of_two(world: &World, payment: &str) -> (Vec<Value>, usize) {
    for payment in ["p", "q"] {
        world.register(payment, json!({})).await;
    }
    for payment in ["p", "q", "p", "q"] {
        world.act(payment, capture(1_000), 200).await;
    }
    let records = world.stream.records().await;
    let is_settled = |record: &Value| {
        let is_new = record["eventName"] == "INSERT";
        let key = record["dynamodb"]["Keys"]["pk"]["S"].as_str();
        !is_new && key == Some(&format!("demo#{payment}")) && !settled(record).is_empty()
    };
    let first = records.iter().position(is_settled).unwrap();
    (records, first)
}

/// The Payments of the events that were published since the last time.
fn payments(world: &World) -> Vec<String> {
    world.bus.published().iter().map(|event| event.payment().to_owned()).collect()
}

/// An unreadable record behind a failed one is delivered again, so that it is not put on
/// the queue twice.
#[tokio::test]
async fn an_unreadable_record_behind_a_failed_one_is_put_on_the_queue_once() {
    let world = World::start().await;
    world.register("p", json!({})).await;
    world.act("p", capture(1_000), 200).await;
    let mut records = world.stream.records().await;
    let poison = with(&records[1], "/dynamodb/NewImage", Value::Null);
    let poison = with(&poison, "/dynamodb/SequenceNumber", json!("999999999999999999999"));
    records.push(poison);
    world.bus.next(&[Refuses(vec![0]), Refuses(vec![0])]);
    for _ in 0..2 {
        assert_eq!(world.deliver(&records).await, Some(sequence(&records[2])));
        assert_eq!(world.queue.messages(), [Value::Null; 0]);
    }
    assert_eq!(world.deliver(&records[2..]).await, None);
    assert_eq!(world.queue.messages().len(), 1);
    assert_eq!(world.bus.published().len(), 1);
}

/// An event that is refused again and again does not hold the events of others.
#[tokio::test]
async fn a_refused_event_holds_the_events_of_its_payment_only() {
    let world = World::start().await;
    let (records, held) = captures_of_two(&world, "p").await;
    let first = sequence(&records[held]);
    let mut sent = Vec::new();
    for _ in 0..3 {
        // The first call has the first event of each, the second call the second one of q.
        world.bus.next(&[Refuses(vec![0]), Takes]);
        assert_eq!(world.deliver(&records[held..]).await, Some(first.clone()));
        let events = world.bus.published();
        assert!(events.iter().all(|event| event.payment() == "q"), "{events:?}");
        sent.push(events.iter().map(|event| event.id().to_owned()).collect::<Vec<_>>());
    }
    // Events that were sent already are sent again with the same ids.
    assert_eq!(sent[0].len(), 2);
    assert!(sent.iter().all(|ids| *ids == sent[0]));
    let refused = world.logged("an event could not be sent");
    assert!(refused.len() == 3 && refused.iter().all(|line| line["payment"] == "p"));
    assert_eq!(world.deliver(&records[held..]).await, None);
    assert_eq!(payments(&world), ["p", "q", "p", "q"]);
}

#[tokio::test]
async fn an_event_that_is_no_stream_batch_is_an_invocation_error() {
    let world = World::start().await;
    let sqs = json!({"messageId": "1", "eventSource": "aws:sqs", "body": "{}"});
    for document in [
        json!({}),
        json!([]),
        json!(null),
        json!("Records"),
        json!({"Records": null}),
        json!({"Records": {}}),
        json!({"Records": [null]}),
        json!({"Records": [sqs]}),
        json!({"Records": [{"dynamodb": {}}]}),
        event("capture"),
    ] {
        let said = world.hand_over(LEFT_MS, document.to_string()).await;
        let report: Value = serde_json::from_str(&said.expect_err("an error")).unwrap();
        assert!(report["errorMessage"].is_string(), "{document}: {report}");
    }
    world.hand_over(LEFT_MS, r#"{"Records": ["#.to_owned()).await.expect_err("an error");
    assert_eq!(world.bus.calls().len(), 0);
    // The process goes on, and an empty batch is no error.
    let said = world.hand_over(LEFT_MS, batch(&[])).await;
    assert_eq!(said, Ok(json!({"batchItemFailures": []})));
}

#[tokio::test]
async fn all_configuration_errors_of_the_function_are_named_at_once() {
    const OURS: [&str; 2] = ["EVENT_BUS_NAME", "EVENT_DEAD_LETTER_QUEUE_URL"];
    const AWS: [&str; 3] = ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
    let known = AWS.map(|name| (name, "x"));
    let level = ("AWS_LAMBDA_LOG_LEVEL", "LOUD");
    for (variables, named, unnamed) in [
        (vec![], [&OURS, AWS.as_slice()].concat(), vec!["LOG_LEVEL", "PAYMENTS"]),
        (known.to_vec(), OURS.to_vec(), AWS.to_vec()),
        ([known.as_slice(), &[(OURS[0], "")]].concat(), OURS.to_vec(), vec![]),
        ([known.as_slice(), &[level]].concat(), vec![OURS[0], level.0], AWS.to_vec()),
        (vec![(OURS[0], "b"), level], [&[level.0, OURS[1]], AWS.as_slice()].concat(), vec!["BUS"]),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_events"))
            .env_clear()
            .kill_on_drop(true)
            .env("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9")
            .envs(variables.iter().copied())
            .output();
        let output = timeout(Duration::from_secs(20), output).await.expect("it ends").unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{variables:?}: {said}");
        assert!(named.iter().all(|name| said.contains(name)), "{variables:?}: {said}");
        assert!(!unnamed.iter().any(|name| said.contains(name)), "{variables:?}: {said}");
        // The line in the log for the operator.
        let line: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(line["level"], "ERROR", "{line}");
        let message = line["message"].as_str().unwrap();
        assert!(named.iter().all(|name| message.contains(name)), "{line}");
    }
}
