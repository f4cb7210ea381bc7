//! Batches that are unreadable as a whole or in part, and a function with missing settings.

use crate::stream::{batch, sequence};
use crate::support::capture;
use crate::support::lambda::events::event;
use crate::world::{LEFT_MS, World};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::process::Command;
use tokio::time::timeout;

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

/// As Lambda does: it delivers the batch again from the reported record on, halves it on a
/// repeated failure, and discards a single record that still fails. Other records are not
/// delayed further.
#[tokio::test]
async fn an_unreadable_record_delays_only_the_records_behind_it() {
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
        with(reserved, &format!("{new}/item_format"), json!({"N": "3"})),
        with(reserved, &format!("{new}/captured"), json!({"N": "1"})),
        with(reserved, &format!("{new}/inflight/M/n"), json!({"B": "%%%"})),
        with(reserved, &format!("{new}/inflight/M/n"), json!({"B": "AAAA"})),
        with(reserved, &format!("{new}/pk"), json!({"S": "demo"})),
        with(reserved, "/dynamodb/OldImage/transactions", json!({"L": []})),
    ] {
        let said = "a record of the stream cannot be read";
        let logged = world.logged(said).len();
        let number = sequence(&poison);
        let whole = [&records[..3], std::slice::from_ref(&poison), &records[5..]].concat();
        assert_eq!(world.deliver(&whole).await.as_ref(), Some(&number), "{poison}");
        let payments = || -> Vec<String> {
            world.bus.published().iter().map(|event| event.payment().to_owned()).collect()
        };
        assert_eq!(payments(), ["p"], "{poison}");
        // From the bad record on, and then that record alone.
        for batch in [&whole[3..], &whole[3..4]] {
            assert_eq!(world.deliver(batch).await.as_ref(), Some(&number), "{poison}");
            assert_eq!(payments(), [""; 0], "{poison}");
        }
        assert_eq!(world.deliver(&whole[4..]).await, None);
        assert_eq!(payments(), ["q"], "{poison}");
        let logged = world.logged(said).split_off(logged);
        assert_eq!(logged.len(), 3, "{poison}");
        assert!(logged.iter().all(|line| line["sequence"] == number.as_str()), "{logged:?}");
    }
}

/// The first failed record is reported, whether it is unreadable or could not be sent.
#[tokio::test]
async fn of_two_failed_records_the_first_is_reported() {
    let world = World::start().await;
    world.register("p", json!({})).await;
    world.act("p", capture(1_000), 200).await;
    let mut records = world.stream.records().await;
    let poison = with(&records[1], "/dynamodb/NewImage", Value::Null);
    let poison = with(&poison, "/dynamodb/SequenceNumber", json!("999999999999999999999"));
    records.push(poison);
    world.bus.next(&[crate::bus::Answer::Refuses(vec![0])]);
    assert_eq!(world.deliver(&records).await, Some(sequence(&records[2])));
    assert_eq!(world.deliver(&records[2..]).await, Some(sequence(&records[3])));
    assert_eq!(world.bus.published().len(), 1);
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
    const AWS: [&str; 3] = ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
    let known = AWS.map(|name| (name, "x"));
    let level = ("AWS_LAMBDA_LOG_LEVEL", "LOUD");
    for (variables, named, unnamed) in [
        (vec![], [&["EVENT_BUS_NAME"], AWS.as_slice()].concat(), vec!["LOG_LEVEL", "PAYMENTS"]),
        (known.to_vec(), vec!["EVENT_BUS_NAME"], AWS.to_vec()),
        ([known.as_slice(), &[("EVENT_BUS_NAME", "")]].concat(), vec!["EVENT_BUS_NAME"], vec![]),
        ([known.as_slice(), &[level]].concat(), vec!["EVENT_BUS_NAME", level.0], AWS.to_vec()),
        (vec![("EVENT_BUS_NAME", "b"), level], [&[level.0], AWS.as_slice()].concat(), vec!["BUS"]),
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
