//! Money moves once: repeated requests, races, lost answers and a killed server, against
//! the real local server and the ledger of its sandbox PSP.

#![allow(clippy::unwrap_used, reason = "a test that cannot start has failed")]

mod support;

use serde_json::{Value, json};
use std::sync::Arc;
use support::{
    AUTHORIZED, CAPTURED, Reply, Server, cancel, capture, refund, reverse, with_reference,
};

#[tokio::test]
async fn a_repeated_capture_with_the_same_key_is_answered_from_the_record() {
    let server = Server::start().await;
    for (reference, key, status) in
        [("-", "k1", 200), ("sandbox:received", "k2", 200), ("sandbox:rejected", "k3", 400)]
    {
        let action = with_reference(capture(1000), reference);
        let first = server.act(AUTHORIZED, action.clone(), &[("idempotency-key", key)]).await;
        // The same key, written as a structured field.
        let quoted = format!("\"{key}\"");
        let again = server.act(AUTHORIZED, action, &[("idempotency-key", &quoted)]).await;
        assert_eq!((first.status, &first.body), (status, &again.body), "{reference}");
        assert_eq!(first.status, again.status, "{reference}");
        assert_eq!(first.header("x-transaction-id"), again.header("x-transaction-id"));
        assert_eq!(first.header("idempotent-replayed"), None);
        assert_eq!(again.header("idempotent-replayed"), Some("true"));
    }
    assert_eq!(server.effects(AUTHORIZED).await.len(), 2);
}

#[tokio::test]
async fn the_same_key_with_other_content_is_refused() {
    let server = Server::start().await;
    let key = [("idempotency-key", "k")];
    server.act(AUTHORIZED, capture(1000), &key).await;
    for other in
        [capture(1001), refund(1000), with_reference(capture(1000), "other"), cancel(), reverse()]
    {
        let reply = server.act(AUTHORIZED, other.clone(), &key).await;
        assert_eq!(reply.outcome(), (422, "IdempotencyKeyReused"), "{other}");
    }
    assert_eq!(server.act(CAPTURED, refund(1000), &key).await.status, 200);
}

#[tokio::test]
async fn the_same_key_may_be_used_again_if_the_connector_was_not_reached() {
    let server = Server::with(&["--connector", "http://127.0.0.1:1"], &[]).await;
    let key = [("idempotency-key", "k")];
    for _ in 0..2 {
        let reply = server.act(AUTHORIZED, capture(10_000), &key).await;
        assert_eq!(reply.outcome(), (502, "ConnectorFailed"));
        assert_eq!(reply.body["message"], "The connector could not be reached. Nothing moved.");
        assert_eq!(server.transactions(AUTHORIZED).await.len(), 1);
    }
}

#[tokio::test]
async fn an_invalid_key_is_refused_before_anything_is_sent() {
    let server = Server::start().await;
    for (headers, value) in [
        (vec![("idempotency-key", "a,b")], "a,b"),
        (vec![("idempotency-key", "a b")], "a b"),
        (vec![("idempotency-key", "")], ""),
        (vec![("idempotency-key", "a"), ("idempotency-key", "b")], "a"),
    ] {
        let reply = server.act(AUTHORIZED, capture(1), &headers).await;
        let expected =
            json!({"code": "InvalidField", "field": "Idempotency-Key", "invalidValue": value});
        assert_eq!(reply.error(), expected, "{headers:?}");
    }
    assert_eq!(server.effects(AUTHORIZED).await, []);
}

/// Sends actions on one Payment, all at the same time.
async fn act_in_parallel(
    server: &Arc<Server>,
    payment: &'static str,
    actions: Vec<(Value, Option<&'static str>)>,
) -> Vec<Reply> {
    let sent: Vec<_> = actions
        .into_iter()
        .map(|(action, key)| {
            let server = Arc::clone(server);
            tokio::spawn(async move {
                let headers: Vec<_> = key.map(|key| ("idempotency-key", key)).into_iter().collect();
                server.act(payment, action, &headers).await
            })
        })
        .collect();
    let mut replies = Vec::new();
    for reply in sent {
        replies.push(reply.await.unwrap());
    }
    replies
}

fn count(replies: &[Reply], status: u16) -> usize {
    replies.iter().filter(|reply| reply.status == status).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_parallel_full_captures_move_the_money_once() {
    let server = Arc::new(Server::start().await);
    let replies = act_in_parallel(&server, AUTHORIZED, vec![(capture(10_000), None); 50]).await;
    assert_eq!(count(&replies, 200), 1);
    assert_eq!(count(&replies, 409) + count(&replies, 400), 49);
    assert_eq!(server.effects(AUTHORIZED).await, [("capturePayment".to_owned(), 10_000)]);
    let transactions = server.transactions(AUTHORIZED).await;
    assert_eq!(transactions, ["Authorization Success 10000", "Charge Success 10000"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_parallel_capture_and_cancel_one_happens() {
    for _ in 0..5 {
        let server = Arc::new(Server::start().await);
        let actions = vec![(capture(10_000), None), (cancel(), None)];
        let replies = act_in_parallel(&server, AUTHORIZED, actions).await;
        assert_eq!(count(&replies, 200), 1, "{replies:?}");
        assert_eq!(server.effects(AUTHORIZED).await.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refunds_that_together_exceed_what_was_captured_do_not_all_happen() {
    let server = Arc::new(Server::start().await);
    let replies = act_in_parallel(&server, CAPTURED, vec![(refund(6_000), None); 2]).await;
    assert_eq!(count(&replies, 200), 1, "{replies:?}");
    // Repeated one after the other, the second one still exceeds the amount.
    assert_eq!(server.act(CAPTURED, refund(6_000), &[]).await.status, 400);
    assert_eq!(server.act(CAPTURED, refund(4_000), &[]).await.status, 200);
    assert_eq!(server.effects(CAPTURED).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_twenty_times_at_once_has_one_effect() {
    let server = Arc::new(Server::start().await);
    let replies = act_in_parallel(&server, AUTHORIZED, vec![(capture(1_000), Some("k")); 20]).await;
    assert_eq!(count(&replies, 200) + count(&replies, 409), 20, "{replies:?}");
    assert!(count(&replies, 200) >= 1);
    let transaction = replies.iter().find_map(|reply| reply.header("x-transaction-id")).unwrap();
    for again in act_in_parallel(&server, AUTHORIZED, vec![(capture(1_000), Some("k")); 20]).await {
        assert_eq!((again.status, &again.body), (200, &json!({})));
        assert_eq!(again.header("x-transaction-id"), Some(transaction));
    }
    assert_eq!(server.effects(AUTHORIZED).await.len(), 1);
}

#[tokio::test]
async fn an_unknown_outcome_keeps_the_hold_and_names_the_transaction() {
    let server = Server::with(&["--connector-timeout-ms", "300"], &[]).await;
    let key = ("idempotency-key", "k");
    let action = with_reference(capture(6000), "sandbox:timeout");
    let reply = server.act(AUTHORIZED, action.clone(), &[key]).await;
    assert_eq!(reply.outcome(), (500, "General"));
    let transaction = reply.header("x-transaction-id").unwrap();
    let message = reply.body["message"].as_str().unwrap();
    assert!(message.contains(transaction), "{message}");
    assert!(message.contains("verify the Payment before repeating"), "{message}");
    assert_eq!(server.transactions(AUTHORIZED).await[1], "Charge Initial 6000");
    assert_eq!(server.act(AUTHORIZED, capture(4001), &[]).await.status, 400);
    // A repeat is still answered as unknown, and the PSP is not called again.
    let again = server.act(AUTHORIZED, action, &[key]).await;
    assert_eq!(again.outcome(), (500, "General"));
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(server.effects(AUTHORIZED).await.len(), 1);
    assert_eq!(server.act(AUTHORIZED, capture(4000), &[]).await.status, 200);
}

#[tokio::test]
async fn payments_survive_a_killed_server() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("payments.db");
    let arguments = ["--data", file.to_str().unwrap()];
    let server = Server::with(&arguments, &[]).await;
    assert_eq!(server.act(AUTHORIZED, capture(4000), &[]).await.status, 200);
    let before = server.payment(AUTHORIZED).await;
    server.kill().await;
    let server = Server::with(&arguments, &[]).await;
    assert_eq!(server.payment(AUTHORIZED).await, before);
    assert_eq!(server.act(AUTHORIZED, capture(7000), &[]).await.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_during_another_is_answered_409_with_a_time_to_retry() {
    let server = Arc::new(Server::with(&["--connector-timeout-ms", "1500"], &[]).await);
    let holder = {
        let server = Arc::clone(&server);
        let action = with_reference(capture(1_000), "sandbox:timeout");
        tokio::spawn(async move { server.act(AUTHORIZED, action, &[]).await })
    };
    while server.effects(AUTHORIZED).await.is_empty() {}
    let busy = server.act(AUTHORIZED, capture(1), &[]).await;
    let expected = json!({"code": "ConcurrentModification", "resourceId": AUTHORIZED});
    assert_eq!((busy.status, busy.error()), (409, expected));
    assert_eq!(busy.header("retry-after"), Some("1"));
    assert_eq!(holder.await.unwrap().status, 500);
    assert_eq!(server.act(AUTHORIZED, capture(1), &[]).await.status, 200);
}
