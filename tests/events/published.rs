//! The published events: their types, content and ids.

use crate::support::actions::{report, report_state};
use crate::support::{cancel, capture, refund, reverse, with_reference};
use crate::world::{BUS, World};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const REJECTED: &str = "sandbox:rejected";

/// The event as it is sent.
const ORDER: &str = r#"{"typeId":"order","id":"o-1"}"#;
const CART: &str = r#"{"id": "c-1", "typeId": "cart"}"#;

#[tokio::test]
async fn each_of_the_six_types_has_the_platforms_shape() {
    let world = World::start().await;
    let order: Value = serde_json::from_str(ORDER).unwrap();
    let cart: Value = serde_json::from_str(CART).unwrap();
    for (index, (action, status, r#type)) in [
        (capture(4_000), 200, "CheckoutPaymentCharged"),
        (with_reference(capture(4_000), REJECTED), 400, "CheckoutPaymentChargeFailed"),
        (refund(4_000), 200, "CheckoutPaymentRefunded"),
        (with_reference(refund(4_000), REJECTED), 400, "CheckoutPaymentRefundFailed"),
        (cancel(), 200, "CheckoutPaymentAuthorizationCancelled"),
        (with_reference(cancel(), REJECTED), 400, "CheckoutPaymentCancelAuthorizationFailed"),
    ]
    .into_iter()
    .enumerate()
    {
        // With an order, with a cart, with both, and with neither.
        let about = match index % 4 {
            0 => json!({"order": order}),
            1 => json!({"cart": cart}),
            2 => json!({"order": order, "cart": cart}),
            _ => json!({}),
        };
        let id = format!("p{index}");
        world.register(&id, about.clone()).await;
        if action["action"] == "refundPayment" {
            world.act(&id, capture(10_000), 200).await;
        }
        world.stream.records().await;
        let transaction = world.act(&id, action, status).await;
        let published = world.published().await;
        let [event] = published.as_slice() else { panic!("{type}: {published:?}") };
        let routing = (event.bus.as_str(), event.source.as_str(), event.detail_type.as_str());
        assert_eq!(routing, (BUS, "payment-intents", r#type));
        let mut expected = json!({
            "id": event.id(),
            "notificationType": "Event",
            "resourceType": "checkout",
            "type": r#type,
            "createdAt": world.payment(&id).await["lastModifiedAt"],
            "data": {
                "projectKey": "demo",
                "payment": {"typeId": "payment", "id": id},
                "transactionId": transaction,
            },
        });
        expected["data"].as_object_mut().unwrap().extend(about.as_object().unwrap().clone());
        assert_eq!(event.detail, expected);
        assert!(uuid::Uuid::parse_str(event.id()).is_ok(), "{event:?}");
    }
}

/// A reversal is published as the cancel or refund that it became.
#[tokio::test]
async fn a_reversal_is_published_as_a_cancellation_or_a_refund() {
    let world = World::start().await;
    world.register("p", json!({})).await;
    world.act("p", reverse(), 200).await;
    assert_eq!(world.types().await, ["CheckoutPaymentAuthorizationCancelled"]);
    world.register("q", json!({})).await;
    world.act("q", capture(10_000), 200).await;
    world.stream.records().await;
    world.act("q", reverse(), 200).await;
    assert_eq!(world.types().await, ["CheckoutPaymentRefunded"]);
}

/// Order and cart are published exactly as they were registered.
#[tokio::test]
async fn order_and_cart_of_the_registration_are_in_every_event() {
    let world = World::start().await;
    let cart: Value = serde_json::from_str(CART).unwrap();
    world.register("p", json!({"cart": cart})).await;
    world.act("p", capture(1_000), 200).await;
    world.act("p", refund(400), 200).await;
    for event in world.published().await {
        assert_eq!(event.detail["data"]["cart"], cart);
        assert!(event.detail["data"].get("order").is_none(), "{event:?}");
    }
    // Numbers are not read, because a JSON reader would round them.
    let order =
        r#"{"typeId":"order", "id":"o-1", "rate":1.50, "number":90071992547409931234567890}"#;
    let amount = r#"{"centAmount": 10000, "currencyCode": "EUR"}"#;
    let authorization =
        format!(r#"{{"type": "Authorization", "state": "Success", "amount": {amount}}}"#);
    let draft = format!(
        r#"{{"id": "q", "amountPlanned": {amount}, "transactions": [{authorization}], "order": {order}}}"#
    );
    world.register_text(draft).await;
    world.act("q", capture(1_000), 200).await;
    let published = world.published().await;
    assert!(published[0].text.contains(&format!(r#""order":{order}"#)), "{}", published[0].text);
}

#[tokio::test]
async fn a_repeated_event_has_the_same_id_and_each_transition_has_another() {
    let world = World::start().await;
    world.register("p", json!({})).await;
    let charge = world.act("p", capture(4_000), 200).await;
    world.report("p", json!([report_state(&charge, "Failure")])).await;
    world.report("p", json!([report_state(&charge, "Success")])).await;
    // The same actions again, as other transactions and on another Payment.
    world.act("p", capture(4_000), 200).await;
    world.register("q", json!({})).await;
    world.act("q", capture(4_000), 200).await;
    let records = world.stream.records().await;
    assert_eq!(world.deliver(&records).await, None);
    let first = world.bus.published();
    let types: Vec<_> = first.iter().map(|event| event.detail_type.as_str()).collect();
    assert_eq!(
        types,
        [
            "CheckoutPaymentCharged",
            "CheckoutPaymentChargeFailed",
            "CheckoutPaymentCharged",
            "CheckoutPaymentCharged",
            "CheckoutPaymentCharged",
        ]
    );
    assert!(first[..3].iter().all(|event| event.transaction() == charge), "{first:?}");
    let ids: BTreeSet<_> = first.iter().map(|event| event.id().to_owned()).collect();
    assert_eq!(ids.len(), first.len());

    assert_eq!(world.deliver(&records).await, None);
    let second = world.bus.published();
    let texts = |events: &[crate::bus::PublishedEvent]| {
        events.iter().map(|e| e.text.clone()).collect::<Vec<_>>()
    };
    assert_eq!(texts(&second), texts(&first));
}

/// One write settles three transactions. All are published, in the order in which they
/// began.
#[tokio::test]
async fn a_write_that_settles_several_transactions_publishes_each() {
    let world = World::start().await;
    world.register("p", json!({})).await;
    let received = |amount| with_reference(capture(amount), "sandbox:received");
    let first = world.act("p", received(3_000), 200).await;
    let second = world.act("p", received(2_000), 200).await;
    let third = world.act("p", received(1_000), 200).await;
    assert_eq!(world.types().await, [""; 0]);
    // Settled in another order than they began.
    let all = json!([
        report_state(&third, "Success"),
        report_state(&first, "Success"),
        report_state(&second, "Failure"),
        report("Refund", "Success", 500),
    ]);
    let now = world.report("p", all).await;
    let records = world.stream.records().await;
    assert_eq!(records.len(), 1);
    assert_eq!(world.deliver(&records).await, None);
    let calls = world.bus.calls();
    assert!(calls.iter().all(|call| call.events.len() == 1), "{calls:?}");
    let published: Vec<_> = calls.into_iter().flat_map(|call| call.events).collect();
    let refund = now["transactions"][4]["id"].as_str().unwrap();
    let published: Vec<_> = published
        .iter()
        .inspect(|event| assert_eq!(event.detail["createdAt"], now["lastModifiedAt"]))
        .map(|event| (event.transaction(), event.detail_type.as_str()))
        .collect();
    assert_eq!(
        published,
        [
            (first.as_str(), "CheckoutPaymentCharged"),
            (second.as_str(), "CheckoutPaymentChargeFailed"),
            (third.as_str(), "CheckoutPaymentCharged"),
            (refund, "CheckoutPaymentRefunded"),
        ]
    );
}

/// A report that the balances do not allow yet is published when it arrives, and not again
/// when it is booked.
#[tokio::test]
async fn an_early_refund_is_published_once() {
    let world = World::start().await;
    world.register("p", json!({})).await;
    let charge = world.act("p", with_reference(capture(4_000), "sandbox:received"), 200).await;
    world.report("p", json!([report("Refund", "Success", 1_000)])).await;
    assert_eq!(world.types().await, ["CheckoutPaymentRefunded"]);
    let now = world.report("p", json!([report_state(&charge, "Success")])).await;
    assert_eq!(world.types().await, ["CheckoutPaymentCharged"]);
    assert_eq!(now["transactions"][2]["state"], "Success");
}

/// Effects that this service did not send are published as well.
#[tokio::test]
async fn reported_effects_are_published_except_chargebacks() {
    let world = World::start().await;
    world.register("p", json!({})).await;
    for (r#type, state, amount, expected) in [
        ("Charge", "Success", 5_000, Some("CheckoutPaymentCharged")),
        ("Charge", "Failure", 4_999, Some("CheckoutPaymentChargeFailed")),
        ("Charge", "Pending", 4_998, None),
        ("Refund", "Success", 1_000, Some("CheckoutPaymentRefunded")),
        ("Refund", "Failure", 999, Some("CheckoutPaymentRefundFailed")),
        ("Chargeback", "Success", 500, None),
        ("Authorization", "Failure", 10_000, None),
        ("CancelAuthorization", "Success", 2, Some("CheckoutPaymentAuthorizationCancelled")),
        ("CancelAuthorization", "Failure", 1, Some("CheckoutPaymentCancelAuthorizationFailed")),
    ] {
        world.report("p", json!([report(r#type, state, amount)])).await;
        let expected: Vec<_> = expected.into_iter().collect();
        assert_eq!(world.types().await, expected, "{type} {state}");
    }
}
