//! Effects at the PSP that this service did not send, reported over HTTP: the actions that
//! are then refused, the Payment as shown, and the resolution. Against the real local
//! server and its sandbox PSP.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot start has failed"
)]

mod support;

use serde_json::{Value, json};
use std::sync::Arc;
use support::{
    AUTHORIZED, CAPTURED, Reply, Server, actions, cancel, capture, refund, reverse, with_reference,
};

/// Reports an effect on a Payment of the project `demo`, with the current version.
async fn report(server: &Server, payment: &str, action: Value) -> Reply {
    let version = server.payment(payment).await["version"].clone();
    let body = json!({"version": version, "actions": [action]}).to_string();
    let path = format!("/demo/payments/{payment}");
    let reply = server.send("POST", &path, &[("content-type", "application/json")], body).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply
}

/// A report of an effect, with the PSP's id.
fn effect(r#type: &str, state: &str, cent_amount: u64, id: &str) -> Value {
    let mut effect = actions::report(r#type, state, cent_amount);
    effect["transaction"]["interactionId"] = json!(id);
    effect
}

/// The transaction with this id of the PSP.
fn transaction_with(payment: &Value, id: &str) -> Value {
    let all = payment["transactions"].as_array().unwrap();
    all.iter().find(|one| one["interactionId"] == id).unwrap().clone()
}

async fn assert_stopped(server: &Server, payment: &str, action: Value, transaction: &str) {
    let reply = server.act(payment, action.clone(), &[]).await;
    assert_eq!(reply.outcome(), (400, "InvalidOperation"), "{action}");
    let expected = json!({"code": "InvalidOperation", "transactionIds": [transaction]});
    assert_eq!(reply.error(), expected, "{action}");
    let message = reply.body["message"].as_str().unwrap();
    assert!(message.contains(transaction) && message.contains("acknowledge"), "{message}");
}

#[tokio::test]
async fn a_capture_elsewhere_of_more_than_is_authorized_stops_both_sides_until_acknowledged() {
    let server = Server::start().await;
    report(&server, CAPTURED, effect("Charge", "Success", 12_000, "X")).await;
    let payment = server.payment(CAPTURED).await;
    let charge = transaction_with(&payment, "X");
    assert_eq!((&payment["discrepancy"], &charge["discrepancy"]), (&json!(true), &json!(true)));
    let id = charge["id"].as_str().unwrap();
    for action in [refund(1), reverse()] {
        assert_stopped(&server, CAPTURED, action, id).await;
    }
    report(&server, AUTHORIZED, effect("Charge", "Success", 12_000, "Y")).await;
    let charge = transaction_with(&server.payment(AUTHORIZED).await, "Y");
    let id = charge["id"].as_str().unwrap();
    for action in [capture(1), cancel(), reverse(), refund(1)] {
        assert_stopped(&server, AUTHORIZED, action, id).await;
    }
    assert_eq!(server.effects(AUTHORIZED).await, []);
    let acknowledge = json!({"action": "acknowledgeDiscrepancy", "transactionId": id});
    let accepted = report(&server, AUTHORIZED, acknowledge).await;
    let charge = transaction_with(&accepted.body, "Y");
    assert!(accepted.body.get("discrepancy").is_none(), "{accepted:?}");
    assert!(charge["acknowledged"]["at"].is_string(), "{charge}");
    // Nothing is left to capture. The captured amount can be refunded.
    assert_eq!(server.act(AUTHORIZED, capture(1), &[]).await.status, 400);
    assert_eq!(server.act(AUTHORIZED, refund(12_000), &[]).await.status, 200);
    // The excess is subtracted when a later change makes room.
    report(&server, AUTHORIZED, effect("Authorization", "Success", 3_000, "A")).await;
    assert_eq!(server.act(AUTHORIZED, capture(1_001), &[]).await.status, 400);
    assert_eq!(server.act(AUTHORIZED, capture(1_000), &[]).await.status, 200);
}

#[tokio::test]
async fn a_refund_elsewhere_of_more_than_is_captured_stops_refunds_alone() {
    let server = Server::start().await;
    assert_eq!(server.act(AUTHORIZED, capture(4_000), &[]).await.status, 200);
    report(&server, AUTHORIZED, effect("Refund", "Success", 5_000, "X")).await;
    let refund_id = transaction_with(&server.payment(AUTHORIZED).await, "X")["id"].clone();
    assert_stopped(&server, AUTHORIZED, refund(1), refund_id.as_str().unwrap()).await;
    // A capture makes room for the refund, and ends the discrepancy.
    assert_eq!(server.act(AUTHORIZED, capture(6_000), &[]).await.status, 200);
    assert!(server.payment(AUTHORIZED).await.get("discrepancy").is_none());
    assert_eq!(server.act(AUTHORIZED, refund(5_001), &[]).await.status, 400);
    assert_eq!(server.act(AUTHORIZED, refund(5_000), &[]).await.status, 200);
}

/// A capture that the PSP carried out and whose outcome is Unknown here. Returns its id.
async fn capture_with_lost_answer(server: &Server, action: Value) -> String {
    let reply = server.act(AUTHORIZED, with_reference(action, "sandbox:drop"), &[]).await;
    assert_eq!(reply.status, 500);
    reply.header("x-transaction-id").unwrap().to_owned()
}

#[tokio::test]
async fn an_effect_too_large_beside_an_unclear_capture_stops_captures_until_that_is_clear() {
    for elsewhere in ["Charge", "CancelAuthorization"] {
        let server = Server::start().await;
        let open = capture_with_lost_answer(&server, capture(4_000)).await;
        report(&server, AUTHORIZED, effect(elsewhere, "Success", 10_000, "X")).await;
        let id = transaction_with(&server.payment(AUTHORIZED).await, "X")["id"].clone();
        assert_stopped(&server, AUTHORIZED, capture(6_000), id.as_str().unwrap()).await;
        report(&server, AUTHORIZED, actions::report_state(&open, "Failure")).await;
        let payment = server.payment(AUTHORIZED).await;
        assert!(payment.get("discrepancy").is_none(), "{payment}");
        assert_eq!(server.effects(AUTHORIZED).await.len(), 1);
    }
}

#[tokio::test]
async fn a_refund_elsewhere_that_needs_an_unclear_capture_stops_refunds() {
    let server = Server::start().await;
    assert_eq!(server.act(AUTHORIZED, capture(4_000), &[]).await.status, 200);
    let open = capture_with_lost_answer(&server, capture(6_000)).await;
    report(&server, AUTHORIZED, effect("Refund", "Success", 10_000, "X")).await;
    let id = transaction_with(&server.payment(AUTHORIZED).await, "X")["id"].clone();
    assert_stopped(&server, AUTHORIZED, refund(4_000), id.as_str().unwrap()).await;
    report(&server, AUTHORIZED, actions::report_state(&open, "Success")).await;
    let payment = server.payment(AUTHORIZED).await;
    assert!(payment.get("discrepancy").is_none(), "{payment}");
    assert_eq!(server.act(AUTHORIZED, refund(1), &[]).await.status, 400);
}

#[tokio::test]
async fn a_chargeback_after_a_full_refund_is_shown_and_can_be_accepted() {
    let server = Server::start().await;
    assert_eq!(server.act(CAPTURED, refund(10_000), &[]).await.status, 200);
    report(&server, CAPTURED, effect("Chargeback", "Success", 10_000, "B")).await;
    let id = transaction_with(&server.payment(CAPTURED).await, "B")["id"].clone();
    assert_stopped(&server, CAPTURED, refund(1), id.as_str().unwrap()).await;
    let acknowledge = json!({"action": "acknowledgeDiscrepancy", "transactionId": id});
    report(&server, CAPTURED, acknowledge).await;
    assert!(server.payment(CAPTURED).await.get("discrepancy").is_none());
    assert_eq!(server.act(CAPTURED, refund(1), &[]).await.status, 400);
}

#[tokio::test]
async fn a_transaction_without_a_discrepancy_cannot_be_acknowledged() {
    let server = Server::start().await;
    let payment = server.payment(CAPTURED).await;
    let id = payment["transactions"][1]["id"].clone();
    let action = json!({"action": "acknowledgeDiscrepancy", "transactionId": id});
    let body = json!({"version": payment["version"], "actions": [action]}).to_string();
    let path = format!("/demo/payments/{CAPTURED}");
    let reply = server.send("POST", &path, &[("content-type", "application/json")], body).await;
    assert_eq!(reply.outcome(), (400, "InvalidOperation"));
    assert!(reply.body["message"].as_str().unwrap().contains("does not exceed"), "{reply:?}");
}

/// A server whose connector takes 1.5 s, with a capture in flight.
async fn at_its_connector(
    action: Value,
    key: &'static str,
) -> (Arc<Server>, tokio::task::JoinHandle<Reply>) {
    let server = Arc::new(Server::with(&["--connector-timeout-ms", "1500"], &[]).await);
    let holder = {
        let server = Arc::clone(&server);
        let action = with_reference(action, "sandbox:timeout");
        tokio::spawn(
            async move { server.act(AUTHORIZED, action, &[("idempotency-key", key)]).await },
        )
    };
    while server.effects(AUTHORIZED).await.is_empty() {}
    (server, holder)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_of_an_action_in_flight_is_answered_with_the_time_to_retry() {
    let (server, holder) = at_its_connector(capture(1_000), "k").await;
    let action = with_reference(capture(1_000), "sandbox:timeout");
    let again = server.act(AUTHORIZED, action, &[("idempotency-key", "k")]).await;
    let expected = json!({"code": "ConcurrentModification", "resourceId": AUTHORIZED});
    assert_eq!((again.status, again.error()), (409, expected));
    let message = again.body["message"].as_str().unwrap();
    assert!(message.contains("still being carried out"), "{message}");
    // The lease ends 5 s after the invocation's time, which is 28 s.
    let retry_after: u64 = again.header("retry-after").unwrap().parse().unwrap();
    assert!((10..=33).contains(&retry_after), "{retry_after}");
    assert_eq!(holder.await.unwrap().status, 500);
    assert_eq!(server.effects(AUTHORIZED).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reported_old_capture_reduces_the_amount_and_is_not_the_one_in_flight() {
    let (server, holder) = at_its_connector(capture(4_000), "k").await;
    let mut old = effect("Charge", "Success", 4_000, "X");
    old["transaction"]["timestamp"] = json!("2020-01-01T00:00:00.000Z");
    report(&server, AUTHORIZED, old).await;
    let states = server.transactions(AUTHORIZED).await;
    assert_eq!(states[0], "Charge Success 4000", "{states:?}");
    assert_eq!(holder.await.unwrap().status, 500);
    assert_eq!(server.act(AUTHORIZED, capture(2_001), &[]).await.status, 400);
    assert_eq!(server.act(AUTHORIZED, capture(2_000), &[]).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_failure_of_another_capture_releases_no_hold_while_one_is_in_flight() {
    let (server, holder) = at_its_connector(capture(10_000), "k").await;
    report(&server, AUTHORIZED, effect("Charge", "Failure", 10_000, "X")).await;
    let payment = server.payment(AUTHORIZED).await;
    let ours = transaction_with(&payment, "X");
    assert_eq!(
        (&ours["state"], &ours["reported"]["state"]),
        (&json!("Initial"), &json!("Failure"))
    );
    let busy = server.act(AUTHORIZED, capture(10_000), &[]).await;
    assert_eq!(busy.status, 409);
    assert_eq!(holder.await.unwrap().status, 500);
}

#[tokio::test]
async fn a_connector_that_did_not_act_is_answered_differently_from_one_that_is_not_reached() {
    let server = Server::start().await;
    let reply = server.act(AUTHORIZED, with_reference(capture(1), "sandbox:refuse"), &[]).await;
    assert_eq!(reply.outcome(), (502, "ConnectorFailed"));
    let expected = "The connector answered 400 InvalidField and did not act. Nothing moved.";
    assert_eq!(reply.body["message"], expected);
}

#[tokio::test]
async fn a_new_key_after_a_rejection_is_sent_to_the_psp_as_a_new_key() {
    let server = Server::start().await;
    let rejected = with_reference(capture(10_000), "sandbox:rejected");
    let first = server.act(AUTHORIZED, rejected, &[("idempotency-key", "first")]).await;
    assert_eq!(first.outcome(), (400, "PaymentFailure"));
    let second = server.act(AUTHORIZED, capture(10_000), &[("idempotency-key", "second")]).await;
    assert_eq!(second.status, 200);
    let ledger = server.get("/sandbox/ledger").await.body;
    let keys: Vec<_> =
        ledger.as_array().unwrap().iter().map(|effect| effect["idempotencyKey"].clone()).collect();
    let transaction = second.header("x-transaction-id").unwrap();
    assert_eq!(keys, [json!(transaction)]);
    assert_ne!(first.header("x-transaction-id"), Some(transaction));
}

#[tokio::test]
async fn a_second_refund_beside_an_unclear_one_takes_only_what_is_left() {
    let server = Server::start().await;
    let first = server.act(CAPTURED, with_reference(refund(6_000), "sandbox:drop"), &[]).await;
    assert_eq!(first.status, 500);
    assert_eq!(server.act(CAPTURED, refund(4_001), &[]).await.status, 400);
    assert_eq!(server.act(CAPTURED, refund(4_000), &[]).await.status, 200);
    assert_eq!(server.act(CAPTURED, refund(1), &[]).await.status, 400);
    let sent: u64 = server.effects(CAPTURED).await.iter().map(|(_, amount)| amount).sum();
    assert_eq!(sent, 10_000);
}

#[tokio::test]
async fn a_reversal_of_a_part_is_sent_as_the_refund_of_that_part() {
    let server = Server::start().await;
    assert_eq!(server.act(AUTHORIZED, capture(4_000), &[]).await.status, 200);
    assert_eq!(server.act(AUTHORIZED, reverse(), &[]).await.status, 200);
    let expected = [("capturePayment".to_owned(), 4_000), ("refundPayment".to_owned(), 4_000)];
    assert_eq!(server.effects(AUTHORIZED).await, expected);
}

#[tokio::test]
async fn a_reversal_of_what_is_authorized_is_sent_as_a_cancel() {
    let server = Server::start().await;
    assert_eq!(server.act(AUTHORIZED, reverse(), &[]).await.status, 200);
    assert_eq!(server.effects(AUTHORIZED).await, [("cancelPayment".to_owned(), 10_000)]);
}
