//! Changes without an event, because no transaction got an outcome.

use crate::stream::is_of_payment;
use crate::support::actions::{report, report_state};
use crate::support::{capture, with_reference};
use crate::world::World;
use serde_json::json;

/// The transactions happened elsewhere, and were published there.
#[tokio::test]
async fn a_registration_with_past_transactions_is_not_published() {
    let world = World::start().await;
    let amount = json!({"centAmount": 10_000, "currencyCode": "EUR"});
    let past = |r#type, state| json!({"type": r#type, "state": state, "amount": amount});
    for (index, past) in [
        json!([past("Authorization", "Success")]),
        json!([past("Authorization", "Success"), past("Charge", "Success")]),
        json!([past("Charge", "Success"), past("Refund", "Success")]),
        json!([past("Charge", "Success"), past("Refund", "Failure")]),
        json!([past("Authorization", "Success"), past("CancelAuthorization", "Success")]),
    ]
    .into_iter()
    .enumerate()
    {
        world.register(&format!("p{index}"), json!({"transactions": past})).await;
    }
    let records = world.stream.records().await;
    assert_eq!(records.len(), 5);
    assert_eq!(world.deliver(&records).await, None);
    assert_eq!(world.bus.calls().len(), 0);
}

#[tokio::test]
async fn refused_and_repeated_actions_are_not_published() {
    let world = World::start().await;
    world.register("p", json!({})).await;
    world.act("p", capture(10_001), 400).await;
    world.act("absent", capture(1_000), 404).await;
    assert_eq!(world.types().await, [""; 0]);
    for times in 0..3 {
        let reply = world.act_with_key("p", capture(4_000), "order-1").await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let published = if times == 0 { 1 } else { 0 };
        assert_eq!(world.types().await.len(), published);
    }
    let other = world.act_with_key("p", capture(4_001), "order-1").await;
    assert_eq!(other.status, 422, "{other:?}");
    // Outcomes that are known already, and changes without an outcome.
    world.report("p", json!([report("Charge", "Success", 4_000)])).await;
    let code = json!({"action": "setStatusInterfaceCode", "interfaceCode": "paid"});
    world.report("p", json!([code])).await;
    assert!(!world.stream.records().await.is_empty());
    assert_eq!(world.types().await, [""; 0]);
}

/// The connector did not act, or was not reached.
#[tokio::test]
async fn a_withdrawn_reservation_is_not_published() {
    let world = World::start().await;
    let dead = json!({"paymentMethodInfo": {"paymentInterface": "dead"}});
    for (id, fields, action) in [
        ("p", json!({}), with_reference(capture(4_000), "sandbox:refuse")),
        ("q", dead, capture(4_000)),
    ] {
        world.register(id, fields).await;
        world.stream.records().await;
        world.act(id, action, 502).await;
        let records = world.stream.records().await;
        assert_eq!(records.len(), 2, "it is reserved, and withdrawn");
        assert_eq!(world.deliver(&records).await, None);
        assert_eq!(world.bus.calls().len(), 0);
        assert_eq!(world.payment(id).await["transactions"].as_array().unwrap().len(), 1);
    }
}

/// The event is published once the outcome is known.
#[tokio::test]
async fn an_open_transaction_is_published_when_it_is_final() {
    let world = World::start().await;
    for (index, (reference, status, last, r#type)) in [
        ("sandbox:received", 200, "Success", "CheckoutPaymentCharged"),
        ("sandbox:received", 200, "Failure", "CheckoutPaymentChargeFailed"),
        ("sandbox:drop", 500, "Success", "CheckoutPaymentCharged"),
        ("sandbox:error", 500, "Failure", "CheckoutPaymentChargeFailed"),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("p{index}");
        world.register(&id, json!({})).await;
        let charge = world.act(&id, with_reference(capture(4_000), reference), status).await;
        if status == 500 {
            world.report(&id, json!([report_state(&charge, "Pending")])).await;
        }
        assert_eq!(world.types().await, [""; 0], "{reference}");
        world.report(&id, json!([report_state(&charge, last)])).await;
        let published = world.published().await;
        assert_eq!(published.len(), 1, "{published:?}");
        assert_eq!(
            (published[0].transaction(), published[0].detail_type.as_str()),
            (charge.as_str(), r#type)
        );
    }
}

/// The items of unique names are in the same table, and so in its stream.
#[tokio::test]
async fn records_of_other_items_are_skipped() {
    let world = World::start().await;
    let key = |key: &str| json!({"key": key});
    world.register("p", key("order-1")).await;
    world.act("p", capture(1_000), 200).await;
    // The old key is released, which changes its item, and the new key is claimed.
    world.report("p", json!([{"action": "setKey", "key": "order-2"}])).await;
    world.act("p", capture(2_000), 200).await;
    let records = world.stream.records().await;
    let others = records.iter().filter(|record| !is_of_payment(record)).count();
    assert_eq!((records.len(), others), (9, 3));
    assert_eq!(world.deliver(&records).await, None);
    assert_eq!(world.bus.published().len(), 2);
    assert!(world.logged("a record of the stream cannot be read").is_empty());
}

/// The service never removes a Payment, but an operator can.
#[tokio::test]
async fn a_removed_payment_does_not_block_the_batch() {
    let world = World::start().await;
    for id in ["p", "q"] {
        world.register(id, json!({"key": format!("key-of-{id}")})).await;
    }
    world.act("p", capture(1_000), 200).await;
    for (pk, sk) in [("demo#p", "payment"), ("demo##key-of-p", "key")] {
        use aws_sdk_dynamodb::types::AttributeValue::S;
        let delete = world.client.delete_item().table_name("payments");
        let delete = delete.key("pk", S(pk.to_owned())).key("sk", S(sk.to_owned()));
        delete.send().await.unwrap();
    }
    world.act("q", capture(1_000), 200).await;
    let records = world.stream.records().await;
    let removed = records.iter().filter(|record| record["eventName"] == "REMOVE").count();
    assert_eq!(removed, 2);
    assert_eq!(world.deliver(&records).await, None);
    let published: Vec<_> =
        world.bus.published().iter().map(|event| event.payment().to_owned()).collect();
    assert_eq!(published, ["p", "q"]);
}
