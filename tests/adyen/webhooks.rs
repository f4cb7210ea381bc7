//! Webhooks: what each event comes to in the ledger.

use crate::support::payments::{capture, key, refund};
use crate::world::{DAY, MINUTE, PAYMENT, World, is_recorded};
use payment_intents::local::adyen::{AdyenFault, AdyenSandbox};
use payment_intents::payment::{Action, State, TransactionKind};
use payment_intents::ports::WebhookRefusal;
use payment_intents::service::{ActError, WebhookError, WebhookOutcome};
use serde_json::{Value, json};

fn signed(item: Value) -> Value {
    AdyenSandbox::signed(AdyenSandbox::HMAC_KEY, item)
}

/// A CAPTURE item of the payment with these fields in place of its own.
fn capture_item(world: &World, fields: Value) -> Value {
    let mut item = world.event("CAPTURE");
    for (name, value) in fields.as_object().unwrap() {
        item[name] = value.clone();
    }
    signed(item)
}

#[tokio::test]
async fn a_message_with_several_items_is_recorded_whole_or_not_at_all() {
    let world = World::with(true).await;
    world.act("a", capture(40)).await.unwrap();
    world.act("b", capture(60)).await.unwrap();
    let events = world.adyen.events();
    let mut forged = events[1].clone();
    forged["amount"]["value"] = json!(61);
    world.shim.calls();
    let body = AdyenSandbox::notification(&[events[0].clone(), forged]).to_string();
    let taken = world.post(body.as_bytes()).await;
    assert!(matches!(taken, Err(WebhookError::Refused(WebhookRefusal::NotSigned))), "{taken:?}");
    assert!(world.shim.calls().is_empty(), "nothing is read or written");
    let body = AdyenSandbox::notification(&events).to_string();
    assert!(is_recorded(&world.post(body.as_bytes()).await));
    assert_eq!(world.balances().await, [0, 100, 0, 100, 0]);
}

#[tokio::test]
async fn what_is_not_for_us_is_taken_and_what_is_not_here_yet_is_repeated() {
    let world = World::new().await;
    world.act("c", capture(100)).await.unwrap();
    for fields in [
        json!({"eventCode": "REPORT_AVAILABLE", "pspReference": "report_2026.csv"}),
        json!({"eventCode": "NOTIFICATION_OF_CHARGEBACK"}),
        json!({"merchantAccountCode": "OtherShop"}),
        json!({"eventCode": "CANCEL_OR_REFUND", "success": "false"}),
    ] {
        let taken = world.deliver(&capture_item(&world, fields.clone())).await;
        assert_eq!(taken.unwrap(), WebhookOutcome::NotForUs, "{fields}");
    }
    assert_eq!(world.state("c").await, Some(State::Pending));

    world.register_at("other", "r", "PAYMENT000000009", State::Success).await;
    let elsewhere = capture_item(&world, json!({"originalReference": "PAYMENT000000009"}));
    let taken = world.deliver(&elsewhere).await;
    assert!(matches!(taken, Err(WebhookError::NoSuchPayment)), "{taken:?}");

    world.adyen.authorize("PAYMENT000000002", 100, "EUR", false);
    world.adyen.add_event("AUTHORISATION", "PAYMENT000000002", None, 100, true);
    let event = world.event("AUTHORISATION");
    let early = world.deliver(&event).await;
    assert!(matches!(early, Err(WebhookError::NoSuchPayment)), "{early:?}");
    world.register("q", "PAYMENT000000002", State::Pending).await;
    assert!(is_recorded(&world.deliver(&event).await));
    assert_eq!(world.payment_of("q").await.balances.authorized.minor_units(), 100);
}

#[tokio::test]
async fn what_cannot_be_told_is_repeated() {
    let world = World::new().await;
    world.act("c", capture(100)).await.unwrap();
    world.shim.calls();
    for fields in [
        json!({"eventCode": "CANCEL_OR_REFUND"}),
        json!({"success": "maybe"}),
        json!({"amount": {"currency": "EUR", "value": -1}}),
        json!({"eventDate": "yesterday"}),
        json!({"eventDate": null}),
        // Later than now by more than clocks may differ.
        json!({"eventDate": "2024-01-01T00:00:00+00:00"}),
    ] {
        let taken = world.deliver(&capture_item(&world, fields.clone())).await;
        assert!(
            matches!(taken, Err(WebhookError::Refused(WebhookRefusal::Unreadable))),
            "{taken:?}"
        );
        assert!(world.shim.calls().is_empty(), "{fields}");
    }
}

/// Adyen may capture it again, so that another capture beside it could be one too many.
#[tokio::test]
async fn a_capture_that_fails_days_later_stays_held_and_may_come_again() {
    let world = World::with(true).await;
    world.done("c", capture(40)).await;
    assert_eq!(world.balances().await, [60, 40, 0, 40, 0]);
    world.advance(3 * DAY);
    let charge = world.psp_reference("CAPTURE");
    world.adyen.fail(&charge);
    world.deliver_last().await;
    assert_eq!(world.state("c").await, Some(State::Pending));
    assert_eq!(world.balances().await, [60, 0, 0, 0, 0]);
    assert!(matches!(world.act("d", capture(61)).await, Err(ActError::Refused(_))));
    // Its old event, once more.
    let first = world.adyen.events()[0].clone();
    assert!(is_recorded(&world.deliver(&first).await));
    assert_eq!(world.balances().await, [60, 0, 0, 0, 0]);
    world.advance(2 * DAY);
    world.adyen.try_again(&charge);
    world.deliver_last().await;
    assert_eq!(world.state("c").await, Some(State::Success));
    assert_eq!(world.balances().await, [60, 40, 0, 40, 0]);
    for event in world.adyen.events() {
        assert!(is_recorded(&world.deliver(&event).await));
        assert_eq!(world.balances().await, [60, 40, 0, 40, 0]);
    }
    assert_eq!(world.payment().await.discrepancies().count(), 0);
}

#[tokio::test]
async fn a_refund_that_fails_stays_held_and_one_that_comes_back_is_refundable_again() {
    for (is_reversed, state, balances) in
        [(true, State::Failure, [0, 100, 0, 100, 0]), (false, State::Pending, [0, 100, 0, 70, 0])]
    {
        let world = World::new().await;
        world.done("c", capture(100)).await;
        world.done("r", refund(30)).await;
        assert_eq!(world.balances().await, [0, 100, 0, 70, 30]);
        world.advance(5 * DAY);
        let reference = world.psp_reference("REFUND");
        match is_reversed {
            true => world.adyen.reverse_refund(&reference),
            false => world.adyen.fail(&reference),
        }
        world.deliver_last().await;
        assert_eq!(world.state("r").await, Some(state));
        assert_eq!(world.balances().await, balances);
        if is_reversed {
            continue;
        }
        // What is held is not refunded a second time beside Adyen's own second try.
        assert!(matches!(world.act("s", refund(71)).await, Err(ActError::Refused(_))));
        world.advance(DAY);
        world.adyen.try_again(&reference);
        world.deliver_last().await;
        assert_eq!(world.state("r").await, Some(State::Success));
        assert_eq!(world.balances().await, [0, 100, 0, 70, 30]);
    }
}

/// The event of the failure came first, and did not name our transaction.
#[tokio::test]
async fn a_failure_without_our_reference_counts_before_an_older_event_with_it() {
    for is_reversed in [true, false] {
        let world = World::new().await;
        world.done("c", capture(100)).await;
        world.act("r", refund(30)).await.unwrap();
        let refunded = world.event("REFUND");
        world.advance(DAY);
        let reference = world.psp_reference("REFUND");
        match is_reversed {
            true => world.adyen.reverse_refund(&reference),
            false => world.adyen.fail(&reference),
        }
        let code = if is_reversed { "REFUNDED_REVERSED" } else { "REFUND_FAILED" };
        let mut failed = world.event(code);
        failed["merchantReference"] = json!("order-7");
        assert!(is_recorded(&world.deliver(&signed(failed)).await));
        assert!(is_recorded(&world.deliver(&refunded).await));
        let (state, balances) = match is_reversed {
            true => (State::Failure, [0, 100, 0, 100, 0]),
            false => (State::Pending, [0, 100, 0, 70, 0]),
        };
        assert_eq!(world.state("r").await, Some(state), "{code}");
        assert_eq!(world.balances().await, balances, "{code}");
        assert_eq!(world.payment().await.transactions.len(), 3, "{code}");
    }
}

/// Two ids of Adyen are two captures, of which the ledger has room for one.
#[tokio::test]
async fn a_second_capture_at_adyen_is_not_taken_for_ours() {
    let world = World::new().await;
    world.done("c", capture(40)).await;
    let mut second = world.event("CAPTURE");
    second["pspReference"] = json!("OTHER00000000001");
    second["merchantReference"] = json!("order-7");
    assert!(is_recorded(&world.deliver(&signed(second)).await));
    assert_eq!(world.payment().await.discrepancies().count(), 1);
}

/// The reference of the refund may be missing: then Adyen's own id tells which it is.
#[tokio::test]
async fn an_event_without_our_reference_is_known_by_adyens_id() {
    let world = World::new().await;
    world.done("c", capture(100)).await;
    world.done("r", refund(30)).await;
    world.adyen.reverse_refund(&world.psp_reference("REFUND"));
    let mut event = world.event("REFUNDED_REVERSED");
    event["merchantReference"] = json!("order-7");
    assert!(is_recorded(&world.deliver(&signed(event)).await));
    assert_eq!(world.state("r").await, Some(State::Failure));
    assert_eq!(world.payment().await.transactions.len(), 3);
}

/// A Failure gives money back, so it waits while the call may still be under way.
#[tokio::test]
async fn a_failure_that_comes_before_the_answer_waits_for_the_call() {
    let world = World::new().await;
    world.act("other", capture(100)).await.unwrap();
    let world_of_call = World::new().await;
    world_of_call.crash("t", capture(40)).await;
    let refused = json!({
        "merchantReference": "t", "success": "false", "amount": {"currency": "EUR", "value": 40},
    });
    let item = capture_item(&world, refused);
    assert!(is_recorded(&world_of_call.deliver(&item).await));
    assert_eq!(world_of_call.state("t").await, Some(State::Initial));
    assert_eq!(world_of_call.balances().await[0], 60);
    world_of_call.recover_after(MINUTE).await;
    assert_eq!(world_of_call.state("t").await, Some(State::Failure));
    assert_eq!(world_of_call.balances().await[0], 100);
}

/// An effect in the Customer Area that is equal to one of ours, of which nothing is known,
/// is not taken for it.
#[tokio::test]
async fn what_others_do_in_the_customer_area_is_an_effect_of_its_own() {
    let world = World::new().await;
    world.done("c", capture(100)).await;
    world.adyen.plan(&[AdyenFault::LostRequest]);
    world.lose("r", refund(30)).await;
    world.adyen.customer_area(PAYMENT, "refunds", 30);
    world.deliver_last().await;
    assert_eq!(world.state("r").await, Some(State::Unknown));
    // 30 refunded, 30 held.
    assert_eq!(world.balances().await, [0, 100, 0, 40, 30]);
    world.recover_after(MINUTE).await;
    world.deliver_last().await;
    assert_eq!(world.state("r").await, Some(State::Success));
    assert_eq!(world.balances().await, [0, 100, 0, 40, 60]);
    // Another one that is equal, with the same reference.
    world.adyen.customer_area(PAYMENT, "refunds", 30);
    world.deliver_last().await;
    assert_eq!(world.balances().await, [0, 100, 0, 10, 90]);
    // One that Adyen refused moved nothing, and is not kept.
    let transactions = world.payment().await.transactions.len();
    world.adyen.customer_area(PAYMENT, "refunds", 30);
    world.deliver_last().await;
    assert_eq!(world.payment().await.transactions.len(), transactions);

    let world = World::new().await;
    world.adyen.customer_area(PAYMENT, "captures", 70);
    world.deliver_last().await;
    assert_eq!(world.balances().await, [0, 70, 30, 70, 0]);

    let world = World::new().await;
    world.adyen.customer_area(PAYMENT, "cancels", 0);
    world.deliver_last().await;
    assert_eq!(world.balances().await, [0, 0, 100, 0, 0]);
}

#[tokio::test]
async fn a_cancel_or_refund_is_what_adyen_says_it_was() {
    for (captured, action, balances) in
        [(0, "cancel", [0, 0, 100, 0, 0]), (100, "refund", [0, 100, 0, 0, 100])]
    {
        let world = World::new().await;
        if captured > 0 {
            world.done("c", capture(captured)).await;
        } else {
            world.act("c", capture(1)).await.unwrap();
            let fails = json!({"success": "false"});
            let fails = capture_item(&world, fails);
            world.deliver(&fails).await.unwrap();
        }
        let item = capture_item(
            &world,
            json!({
                "eventCode": "CANCEL_OR_REFUND", "pspReference": "REVERSAL00000001",
                "merchantReference": "till-3", "additionalData": {"modification.action": action},
                "amount": {"currency": "EUR", "value": 100}, "success": "true",
            }),
        );
        assert!(is_recorded(&world.deliver(&item).await));
        assert_eq!(world.balances().await, balances, "{action}");
    }
}

#[tokio::test]
async fn an_authorization_is_confirmed_and_never_added() {
    let world = World::new().await;
    world.adyen.authorize("PAYMENT000000002", 100, "EUR", false);
    world.register("q", "PAYMENT000000002", State::Pending).await;
    let tell = async |amount, is_success| {
        world.adyen.add_event("AUTHORISATION", "PAYMENT000000002", None, amount, is_success);
        assert!(is_recorded(&world.deliver(&world.event("AUTHORISATION")).await));
        world.payment_of("q").await.balances.authorized.minor_units()
    };
    // One of another amount is another one.
    assert_eq!(tell(120, true).await, 0);
    for _ in 0..3 {
        assert_eq!(tell(100, true).await, 100);
    }
    assert_eq!(tell(120, true).await, 100);
    assert_eq!(tell(100, false).await, 100);
    assert_eq!(world.service.get(&key("q")).await.unwrap().unwrap().transactions.len(), 1);

    world.adyen.authorize("PAYMENT000000003", 100, "EUR", false);
    world.register("s", "PAYMENT000000003", State::Pending).await;
    world.adyen.add_event("AUTHORISATION", "PAYMENT000000003", None, 100, false);
    world.deliver_last().await;
    let payment = world.payment_of("s").await;
    let states: Vec<_> = payment.transactions.values().map(|one| one.state).collect();
    assert_eq!(states, [State::Failure]);
}

#[tokio::test]
async fn an_authorization_is_confirmed_by_adyens_id() {
    let world = World::new().await;
    let authorizations =
        [("PAYMENT000000004", State::Failure), ("PAYMENT000000005", State::Pending)];
    world.adyen.authorize("PAYMENT000000005", 100, "EUR", false);
    world.register_with("adyen", "q", "PAYMENT000000005", &authorizations).await;
    world.adyen.add_event("AUTHORISATION", "PAYMENT000000005", None, 100, true);
    world.deliver_last().await;
    let payment = world.payment_of("q").await;
    let states: Vec<_> = payment.transactions.values().map(|one| one.state).collect();
    assert_eq!(states, [State::Failure, State::Success]);
    assert_eq!(payment.balances.authorized.minor_units(), 100);
}

#[tokio::test]
async fn a_chargeback_takes_captured_money_and_a_reversed_one_returns_it() {
    let world = World::new().await;
    world.done("c", capture(100)).await;
    for (code, balances) in [
        ("CHARGEBACK", [0, 100, 0, 40, 60]),
        ("CHARGEBACK_REVERSED", [0, 100, 0, 100, 0]),
        ("SECOND_CHARGEBACK", [0, 100, 0, 40, 60]),
    ] {
        world.advance(DAY);
        world.adyen.add_event(code, PAYMENT, Some("DISPUTE000000001"), 60, true);
        world.deliver_last().await;
        assert_eq!(world.balances().await, balances, "{code}");
    }
    let payment = world.payment().await;
    let chargebacks =
        payment.transactions.values().filter(|one| one.kind == TransactionKind::Chargeback);
    assert_eq!(chargebacks.count(), 1);
}

/// Without `originalReference` Adyen does not say which chargeback was reversed: it is in
/// dispute, and nothing is given back.
#[tokio::test]
async fn a_reversed_chargeback_without_the_payments_reference_gives_nothing_back() {
    let world = World::new().await;
    world.done("c", capture(100)).await;
    world.adyen.add_event("CHARGEBACK", PAYMENT, Some("DISPUTE000000001"), 60, true);
    world.deliver_last().await;
    world.adyen.add_event("CHARGEBACK_REVERSED", PAYMENT, None, 60, true);
    world.deliver_last().await;
    assert_eq!(world.balances().await[3], 40);
}

#[tokio::test]
async fn a_cancel_in_the_customer_area_comes_before_ours_is_refused() {
    let world = World::new().await;
    world.adyen.customer_area(PAYMENT, "cancels", 0);
    world.act("v", Action::Cancel).await.unwrap();
    for event in world.adyen.events() {
        assert!(is_recorded(&world.deliver(&event).await));
    }
    assert_eq!(world.state("v").await, Some(State::Failure));
    assert_eq!(world.balances().await, [0, 0, 100, 0, 0]);
    assert_eq!(world.payment().await.discrepancies().count(), 0);
}

/// Each is written over the version that was read, and again if that is not the last.
#[tokio::test]
async fn webhooks_at_the_same_time_are_all_recorded() {
    let world = World::new().await;
    world.done("c", capture(100)).await;
    for amount in [11, 12, 13] {
        world.adyen.customer_area(PAYMENT, "refunds", amount);
    }
    let events = world.adyen.events();
    let [.., a, b, c] = events.as_slice() else { panic!("{events:?}") };
    let taken = tokio::join!(world.deliver(a), world.deliver(b), world.deliver(c));
    assert!([taken.0, taken.1, taken.2].iter().all(is_recorded));
    assert_eq!(world.balances().await, [0, 100, 0, 64, 36]);
}
