//! Stream batches as Lambda delivers them:
//! <https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html>. They contain writes of the
//! service.

use crate::stream::batch;
use crate::support::lambda::events::read;
use crate::world::World;
use serde_json::{Value, json};

const PAYMENT: &str = "d4f7c8b2-5d0e-4d5e-9a0b-1f3f0a3c9e11";
const CHARGE: &str = "019a4a6c-9d02-7b6e-9c55-41e0c2a7d9f3";

/// The records of a document in tests/events/.
fn records(name: &str) -> Vec<Value> {
    let document: Value =
        serde_json::from_str(&read(&format!("tests/events/{name}.json"))).unwrap();
    document["Records"].as_array().unwrap().clone()
}

/// A key is claimed, a Payment registered, a capture reserved and settled. The event's id
/// is part of the contract: a later version must not publish the same event with another
/// id.
#[tokio::test]
async fn the_event_of_a_capture_keeps_its_documented_format() {
    let world = World::start().await;
    assert_eq!(world.deliver(&records("capture")).await, None);
    let published = world.bus.published();
    assert_eq!(published.len(), 1);
    let expected = json!({
        "id": "b09a3c0b-cf3a-8124-ac31-191ef2eea772",
        "notificationType": "Event",
        "resourceType": "checkout",
        "type": "CheckoutPaymentCharged",
        "createdAt": "2026-11-02T09:22:14.541Z",
        "data": {
            "projectKey": "demo",
            "payment": {"typeId": "payment", "id": PAYMENT},
            "transactionId": CHARGE,
            "order": {"typeId": "order", "id": "5a1c7e1a-9a0e-4a57-8f44-0a6c2c0d8f21"},
        },
    });
    assert_eq!(published[0].detail, expected);
}

/// A removal by an operator or by a time to live.
#[tokio::test]
async fn a_removal_is_not_published() {
    let world = World::start().await;
    let removed = records("removed");
    let mut without_images = removed.clone();
    without_images[0]["dynamodb"].as_object_mut().unwrap().remove("OldImage");
    for batch in [removed, without_images] {
        assert_eq!(world.deliver(&batch).await, None);
    }
    assert_eq!(world.bus.calls().len(), 0);
}

/// Fields that AWS may change or add.
#[tokio::test]
async fn records_are_read_with_every_optional_field_of_aws() {
    let world = World::start().await;
    let settled = &records("capture")[3..];
    let text = batch(settled);
    let with = |pointer: &str, value: Value| {
        let mut record = settled[0].clone();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        record.pointer_mut(parent).unwrap()[name] = value;
        batch(&[record])
    };
    let escaped = text.replace("demo#", r"demo\u0023").replace("OldImage", r"Old\u0049mage");
    for document in [
        text.clone(),
        serde_json::to_string_pretty(&serde_json::from_str::<Value>(&text).unwrap()).unwrap(),
        escaped,
        with("/eventVersion", json!("2.0")),
        with("/userIdentity", Value::Null),
        with("/awsRegion", json!("cn-north-1")),
        with("/dynamodb/ApproximateCreationDateTime", json!(1_793_611_386.5)),
        with("/dynamodb/ApproximateCreationDateTimePrecision", json!("MILLISECOND")),
        with("/dynamodb/SequenceNumber", json!("9".repeat(40))),
        with("/somethingNew", json!({"a": [{}]})),
    ] {
        let said = world.hand_over(crate::world::LEFT_MS, document.clone()).await;
        assert_eq!(said, Ok(json!({"batchItemFailures": []})), "{document}");
        let published = world.bus.published();
        assert_eq!(published.len(), 1, "{document}");
        assert_eq!(published[0].transaction(), CHARGE);
    }
}

/// Records of the emulator have the same form as the documents, and so have the writes of
/// this version of the service.
#[tokio::test]
async fn the_stream_documents_match_the_writes_of_the_service() {
    let world = World::start().await;
    let note = json!({"type": {"typeId": "type", "key": "notification"}, "fields": {}});
    let fields = json!({
        "key": "order-1001",
        "paymentMethodInfo": {"paymentInterface": "x", "method": "card", "name": {"en": "Card"}},
        "order": {"typeId": "order", "id": "o"},
        "interfaceInteractions": [note],
    });
    world.register(PAYMENT, fields).await;
    world.act(PAYMENT, crate::support::capture(4_000), 200).await;
    let shapes = |records: &[Value]| records.iter().map(structure).collect::<Vec<_>>();
    assert_eq!(shapes(&records("capture")), shapes(&world.stream.records().await));
}

/// The value without its variable parts: texts, numbers, and ids of transactions.
fn structure(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let name = |(place, name): (usize, &String)| match name.len() {
                36 => place.to_string(),
                _ => name.clone(),
            };
            let fields = fields.iter().enumerate();
            fields.map(|(place, (key, value))| (name((place, key)), structure(value))).collect()
        }
        Value::Array(values) => values.iter().map(structure).collect(),
        Value::String(_) => json!(""),
        Value::Number(_) => json!(0),
        Value::Null | Value::Bool(_) => value.clone(),
    }
}
