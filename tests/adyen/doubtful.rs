//! Adyen's ids and answers, where they leave room for doubt: its own id for each of our
//! requests, two of them for one request, refusals that contradict what happened, and amounts
//! in another currency.

use crate::support::payments::{capture, id, refund};
use crate::world::{DAY, MINUTE, PAYMENT, TIMEOUT_MS, World, is_recorded};
use AdyenFault::{LostAnswer, LostRequest, RefusedBeforeKey, Slow};
use payment_intents::local::adyen::{AdyenFault, AdyenSandbox};
use payment_intents::payment::{Action, Payment, State, TransactionKind, Update, UpdateRefusal};
use payment_intents::service::{ActError, Change, UpdateError};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::sleep;

/// Some time after the first events.
const LATER: &str = "2023-11-15T00:00:00+00:00";

/// Dates after that.
const DATES: [&str; 3] =
    ["2023-11-15T00:00:01+00:00", "2023-11-15T00:00:02+00:00", "2023-11-15T00:00:03+00:00"];

/// All orders of three events.
const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

/// The item with these fields in place of its own, signed.
fn with(item: &Value, fields: &Value) -> Value {
    let mut item = item.clone();
    for (name, value) in fields.as_object().unwrap() {
        item[name] = value.clone();
    }
    AdyenSandbox::signed(AdyenSandbox::HMAC_KEY, item)
}

/// Delivers items of which each is recorded.
async fn deliver(world: &World, items: &[&Value]) {
    for item in items {
        let taken = world.deliver(item).await;
        assert!(is_recorded(&taken), "{item} {taken:?}");
        world.payment().await.check().unwrap();
    }
}

async fn count_of(world: &World, kind: TransactionKind) -> usize {
    world.payment().await.transactions.values().filter(|one| one.kind == kind).count()
}

/// A check that Adyen makes before it looks the key up is no answer to the lost first request.
#[tokio::test]
async fn a_late_refusal_that_is_not_on_record_for_the_key_proves_nothing() {
    let world = World::new().await;
    world.adyen.plan(&[LostAnswer, RefusedBeforeKey, RefusedBeforeKey]);
    world.lose("t", capture(40)).await;
    world.recover_after(MINUTE).await;
    assert_eq!(world.state("t").await, Some(State::Unknown));
    // The second of two such requests is answered by the key.
    world.adyen.plan(&[RefusedBeforeKey]);
    world.recover_after(2 * MINUTE).await;
    assert_eq!(world.state("t").await, Some(State::Pending));
    assert_eq!(world.effects().len(), 1);
}

/// Events of ours may have the reference of the payment in place of ours. The answer to our
/// request said which id of Adyen it has.
#[tokio::test]
async fn events_without_our_reference_are_known_by_the_id_in_the_answer() {
    let world = World::new().await;
    world.done("c", capture(100)).await;
    world.act("r", refund(30)).await.unwrap();
    let event = with(&world.event("REFUND"), &json!({"merchantReference": "order-7"}));
    deliver(&world, &[&event, &event]).await;
    assert_eq!(world.state("r").await, Some(State::Success));
    assert_eq!(count_of(&world, TransactionKind::Refund).await, 1);
    assert_eq!(world.balances().await, [0, 100, 0, 70, 30]);

    // A refused one, too.
    world.adyen.customer_area(PAYMENT, "refunds", 70);
    world.act("s", refund(30)).await.unwrap();
    let event = with(&world.event("REFUND"), &json!({"merchantReference": "order-7"}));
    deliver(&world, &[&event]).await;
    assert_eq!(world.state("s").await, Some(State::Failure));
}

/// A refusal with our reference, after what happened was reported without it.
#[tokio::test]
async fn a_refusal_frees_nothing_that_happened_under_the_same_id_of_adyen() {
    for is_failed in [false, true] {
        for order in ORDERS {
            let world = World::new().await;
            world.done("c", capture(100)).await;
            world.adyen.plan(&[LostAnswer]);
            world.lose("r", refund(30)).await;
            world.advance(2 * DAY);
            let of_payment = json!({"merchantReference": "order-7", "eventDate": DATES[0]});
            let happened = with(&world.event("REFUND"), &of_payment);
            let failed = match is_failed {
                true => json!({"eventCode": "REFUND_FAILED", "eventDate": DATES[1]}),
                false => json!({}),
            };
            let refused = json!({"success": "false", "eventDate": DATES[2]});
            let items = [
                with(&world.event("REFUND"), &refused),
                with(&happened, &failed),
                happened.clone(),
            ];
            deliver(&world, &order.map(|at| &items[at])).await;
            world.recover_after(MINUTE).await;
            let refunded = if is_failed { 0 } else { 30 };
            assert_eq!(world.balances().await, [0, 100, 0, 70, refunded], "{is_failed} {order:?}");
        }
    }
}

/// Adyen acted twice on our request, once with another amount.
#[tokio::test]
async fn two_effects_of_different_amounts_are_both_held() {
    for is_reversed in [false, true] {
        let world = World::new().await;
        world.done("c", capture(100)).await;
        world.adyen.plan(&[LostAnswer]);
        world.lose("r", refund(30)).await;
        let first = world.event("REFUND");
        let other = json!({
            "pspReference": "OTHER00000000001", "amount": {"currency": "EUR", "value": 20},
        });
        let second = with(&first, &other);
        let items = if is_reversed { [&second, &first] } else { [&first, &second] };
        deliver(&world, &items).await;
        assert!(world.balances().await[3] <= 50, "{is_reversed}");
    }
}

/// Either a second effect of our request failed, or ours did, under an id that is new.
#[tokio::test]
async fn a_failure_under_a_new_id_of_adyen_disputes_ours() {
    for code in ["REFUND_FAILED", "REFUNDED_REVERSED"] {
        let world = World::new().await;
        world.done("c", capture(100)).await;
        world.done("r", refund(30)).await;
        world.advance(2 * DAY);
        let fields = json!({
            "eventCode": code, "pspReference": "OTHER00000000001", "eventDate": LATER,
        });
        deliver(&world, &[&with(&world.event("REFUND"), &fields)]).await;
        assert_eq!(world.state("r").await, Some(State::Unknown), "{code}");
        assert_eq!(world.payment().await.discrepancies().count(), 1, "{code}");
        assert!(world.balances().await[3] <= 70, "{code}");
    }
}

/// An operator gives ours the id under which Adyen refused it, or took it back.
#[tokio::test]
async fn an_operator_who_names_ours_gives_it_all_that_was_reported_under_that_name() {
    for (code, success, state) in [
        ("REFUND", "false", State::Failure),
        ("REFUNDED_REVERSED", "true", State::Failure),
        ("REFUND_FAILED", "true", State::Pending),
    ] {
        let world = World::new().await;
        world.done("c", capture(100)).await;
        world.adyen.plan(&[LostAnswer]);
        world.lose("r", refund(30)).await;
        let fields = json!({
            "merchantReference": "order-7", "eventCode": code, "success": success,
        });
        let item = with(&world.event("REFUND"), &fields);
        deliver(&world, &[&item]).await;
        let interaction_id = item["pspReference"].as_str().unwrap().to_owned();
        let id = id("r");
        change(&world, Update::ChangeTransactionInteractionId { id, interaction_id }).await;
        assert_eq!(world.state("r").await, Some(state), "{code} {success}");
        assert_eq!(world.payment().await.transactions.len(), 3, "{code} {success}");
    }
}

/// The date says which event is the last: nobody but Adyen sets it.
#[tokio::test]
async fn a_caller_does_not_change_when_it_happened() {
    let world = World::new().await;
    world.act("t", capture(40)).await.unwrap();
    let payment = world.payment().await;
    let timestamp = payment.modified_at.minus_ms(1);
    let update = Update::ChangeTransactionTimestamp { id: id("t"), timestamp };
    let changed = world.service.update(change_of(&payment, update)).await;
    let is_refused = matches!(changed, Err(UpdateError::Refused(UpdateRefusal::TimeOfPsp(_))));
    assert!(is_refused, "{changed:?}");
    assert_eq!(world.payment().await, payment);
}

/// The authorization may have been adjusted since.
#[tokio::test]
async fn a_cancel_without_our_reference_is_ours_whatever_it_released() {
    let world = World::new().await;
    world.act("v", Action::Cancel).await.unwrap();
    let fields = json!({
        "merchantReference": "order-7", "amount": {"currency": "EUR", "value": 120},
    });
    deliver(&world, &[&with(&world.event("CANCELLATION"), &fields)]).await;
    assert_eq!(world.state("v").await, Some(State::Success));
    assert_eq!(world.balances().await, [0, 0, 100, 0, 0]);
}

/// The event was here first: an effect of its own, until the answer says that it is ours.
#[tokio::test]
async fn an_event_without_our_reference_before_the_answer_becomes_ours_with_it() {
    let world = World::with(true).await;
    world.adyen.plan(&[LostAnswer]);
    world.lose("t", capture(70)).await;
    let event = with(&world.event("CAPTURE"), &json!({"merchantReference": "order-7"}));
    deliver(&world, &[&event]).await;
    assert_eq!(count_of(&world, TransactionKind::Charge).await, 2);
    world.recover_after(MINUTE).await;
    assert_eq!(world.state("t").await, Some(State::Success));
    assert_eq!(count_of(&world, TransactionKind::Charge).await, 1);
    assert_eq!(world.balances().await, [30, 70, 0, 70, 0]);
    assert_eq!(world.payment().await.discrepancies().count(), 0);
    deliver(&world, &[&event, &world.event("CAPTURE")]).await;
    assert_eq!(world.balances().await, [30, 70, 0, 70, 0]);
}

/// Two ids of Adyen for one request of ours: it acted twice. Both are in the ledger, in any
/// order.
#[tokio::test]
async fn two_effects_of_one_request_are_both_in_the_ledger() {
    for is_reversed in [false, true] {
        let world = World::new().await;
        world.done("c", capture(100)).await;
        world.act("r", refund(30)).await.unwrap();
        let first = world.event("REFUND");
        let second = with(&first, &json!({"pspReference": "OTHER00000000001"}));
        let items = if is_reversed { [&second, &first] } else { [&first, &second] };
        deliver(&world, &items).await;
        assert_eq!(world.balances().await, [0, 100, 0, 40, 60], "{is_reversed}");
        assert_eq!(world.state("r").await, Some(State::Success));
        deliver(&world, &items).await;
        assert_eq!(world.balances().await, [0, 100, 0, 40, 60], "{is_reversed}");
        // Each of the two is taken back by its own id.
        let returned = json!({
            "eventCode": "REFUNDED_REVERSED", "eventDate": LATER,
        });
        world.advance(2 * DAY);
        deliver(&world, &[&with(&second, &returned)]).await;
        assert_eq!(world.balances().await, [0, 100, 0, 70, 30], "{is_reversed}");
        assert!(matches!(world.act("s", refund(71)).await, Err(ActError::Refused(_))));
    }
}

/// Two ids of Adyen for one request, of which one was returned or failed, in any order.
#[tokio::test]
async fn two_effects_of_one_request_end_each_by_its_own_events() {
    for (code, balances) in
        [("REFUNDED_REVERSED", [0, 100, 0, 70, 30]), ("REFUND_FAILED", [0, 100, 0, 40, 30])]
    {
        for order in ORDERS {
            let world = World::new().await;
            world.done("c", capture(100)).await;
            world.act("r", refund(30)).await.unwrap();
            world.advance(2 * DAY);
            let first = with(&world.event("REFUND"), &json!({"eventDate": DATES[0]}));
            let ended = json!({"eventCode": code, "eventDate": DATES[2]});
            let second = json!({"pspReference": "OTHER00000000001", "eventDate": DATES[1]});
            let items = [with(&first, &ended), with(&first, &second), first];
            for round in 0..2 {
                deliver(&world, &order.map(|at| &items[at])).await;
                assert_eq!(world.balances().await, balances, "{code} {order:?} {round}");
            }
            assert_eq!(world.payment().await.discrepancies().count(), 0, "{code} {order:?}");
        }
    }
}

/// Adyen accepts our request, and tells of another effect with our id: both are held.
#[tokio::test]
async fn what_adyen_accepts_is_held_beside_a_second_effect() {
    for is_told_first in [true, false] {
        let world = World::new().await;
        world.done("c", capture(100)).await;
        let second = refund_of_another_id(&world, "true");
        if is_told_first {
            tell_during_the_second_attempt(&world, &second).await;
        } else {
            world.act("r", refund(30)).await.unwrap();
            deliver(&world, &[&second]).await;
        }
        assert_eq!(world.balances().await, [0, 100, 0, 40, 30], "{is_told_first}");
        deliver(&world, &[&world.event("REFUND"), &second]).await;
        assert_eq!(world.balances().await, [0, 100, 0, 40, 60], "{is_told_first}");
        assert_eq!(world.payment().await.discrepancies().count(), 0, "{is_told_first}");
    }
}

/// The refusal of another request under our id comes while ours is on its way.
#[tokio::test]
async fn a_refusal_under_another_id_does_not_end_what_adyen_accepts() {
    let world = World::new().await;
    world.done("c", capture(100)).await;
    tell_during_the_second_attempt(&world, &refund_of_another_id(&world, "false")).await;
    assert_eq!(world.state("r").await, Some(State::Pending));
    assert_eq!(world.balances().await, [0, 100, 0, 70, 0]);
    deliver(&world, &[&world.event("REFUND")]).await;
    assert_eq!(world.balances().await, [0, 100, 0, 70, 30]);
}

/// An event of a refund of 30 with the id `r`, and a `pspReference` of its own.
fn refund_of_another_id(world: &World, success: &str) -> Value {
    let fields = json!({
        "eventCode": "REFUND", "merchantReference": "r", "pspReference": "OTHER00000000001",
        "amount": {"currency": "EUR", "value": 30}, "success": success,
    });
    with(&world.event("CAPTURE"), &fields)
}

/// Refunds 30 as `r`. Its first request is lost, and the event comes while Adyen works on the
/// second one.
async fn tell_during_the_second_attempt(world: &World, event: &Value) {
    world.adyen.plan(&[LostRequest, Slow(TIMEOUT_MS / 2)]);
    world.lose("r", refund(30)).await;
    let told = async {
        sleep(Duration::from_millis(TIMEOUT_MS / 5)).await;
        deliver(world, &[event]).await;
    };
    tokio::join!(world.recover_after(MINUTE), told);
}

/// Adyen refused the second of two requests of ours. The first one stands.
#[tokio::test]
async fn a_refused_second_effect_of_one_request_changes_nothing() {
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [2, 1, 0]] {
        let world = World::new().await;
        world.done("c", capture(100)).await;
        world.act("r", refund(30)).await.unwrap();
        let first = world.event("REFUND");
        let other = json!({
            "pspReference": "OTHER00000000001", "success": "false",
            "eventDate": LATER,
        });
        let refused = with(&first, &other);
        world.advance(DAY);
        let items = order.map(|at| [&first, &refused, &refused][at]);
        deliver(&world, &items).await;
        assert_eq!(world.state("r").await, Some(State::Success), "{order:?}");
        assert_eq!(world.balances().await, [0, 100, 0, 70, 30], "{order:?}");
    }
}

/// A refund that failed, and that Adyen may carry out again, stays held although a refusal comes.
#[tokio::test]
async fn a_refusal_of_what_failed_afterwards_frees_nothing_in_any_order() {
    for order in ORDERS {
        let world = World::new().await;
        world.done("c", capture(100)).await;
        world.act("r", refund(30)).await.unwrap();
        world.advance(2 * DAY);
        let happened = with(&world.event("REFUND"), &json!({"eventDate": DATES[0]}));
        let failed = json!({"eventCode": "REFUND_FAILED", "eventDate": DATES[1]});
        let refused = json!({"success": "false", "eventDate": DATES[2]});
        let items = [with(&happened, &failed), with(&happened, &refused), happened];
        deliver(&world, &order.map(|at| &items[at])).await;
        assert_eq!(world.state("r").await, Some(State::Pending), "{order:?}");
        assert_eq!(world.balances().await, [0, 100, 0, 70, 0], "{order:?}");
    }
}

/// The whole life of a refund is told without our reference before its answer comes.
#[tokio::test]
async fn what_is_told_before_the_answer_counts_with_it() {
    for (code, success, state, balances) in [
        ("REFUND", "true", State::Success, [0, 100, 0, 70, 30]),
        ("REFUND", "false", State::Failure, [0, 100, 0, 100, 0]),
        ("REFUNDED_REVERSED", "true", State::Failure, [0, 100, 0, 100, 0]),
        ("REFUND_FAILED", "true", State::Pending, [0, 100, 0, 70, 0]),
    ] {
        let world = World::new().await;
        world.done("c", capture(100)).await;
        world.adyen.plan(&[LostAnswer]);
        world.lose("r", refund(30)).await;
        world.advance(2 * DAY);
        let reference = json!({"merchantReference": "order-7"});
        let told = with(&world.event("REFUND"), &reference);
        let last = with(&told, &json!({"eventCode": code, "success": success, "eventDate": LATER}));
        if code != "REFUND" {
            deliver(&world, &[&told]).await;
        }
        deliver(&world, &[&last]).await;
        world.recover_after(MINUTE).await;
        assert_eq!(world.state("r").await, Some(state), "{code} {success}");
        assert_eq!(world.balances().await, balances, "{code} {success}");
        assert_eq!(count_of(&world, TransactionKind::Refund).await, 1, "{code} {success}");
        assert_eq!(world.payment().await.discrepancies().count(), 0, "{code} {success}");
    }
}

/// Adyen cancels once, and refuses the second request of ours under an id of its own.
#[tokio::test]
async fn a_refused_second_cancel_changes_nothing() {
    let world = World::new().await;
    world.act("v", Action::Cancel).await.unwrap();
    let cancelled = world.event("CANCELLATION");
    let other = json!({"pspReference": "OTHER00000000001", "success": "false"});
    let refused = with(&cancelled, &other);
    deliver(&world, &[&refused]).await;
    assert_eq!((world.state("v").await, world.balances().await[0]), (Some(State::Pending), 0));
    deliver(&world, &[&cancelled, &refused]).await;
    assert_eq!(world.state("v").await, Some(State::Success));
    assert_eq!(world.balances().await, [0, 0, 100, 0, 0]);
}

/// By its documentation, Adyen reports with another event that an effect failed afterwards.
#[tokio::test]
async fn a_refusal_of_what_happened_changes_nothing_in_any_order() {
    for is_reversed in [false, true] {
        let world = World::new().await;
        world.done("c", capture(100)).await;
        world.act("r", refund(30)).await.unwrap();
        let happened = world.event("REFUND");
        let later = json!({"success": "false", "eventDate": LATER});
        let refused = with(&happened, &later);
        world.advance(DAY);
        let items = if is_reversed { [&refused, &happened] } else { [&happened, &refused] };
        deliver(&world, &items).await;
        assert_eq!(world.state("r").await, Some(State::Success), "{is_reversed}");
        assert_eq!(world.balances().await, [0, 100, 0, 70, 30], "{is_reversed}");
    }
}

#[tokio::test]
async fn a_cancel_is_recorded_before_the_authorization_is() {
    let world = World::new().await;
    let other = "PAYMENT000000002";
    world.adyen.authorize(other, 100, "EUR", false);
    world.register("q", other, State::Pending).await;
    world.adyen.add_event("AUTHORISATION", other, None, 100, true);
    let authorized = world.event("AUTHORISATION");
    for code in ["CANCELLATION", "TECHNICAL_CANCEL"] {
        world.adyen.add_event(code, other, Some("CANCEL0000000001"), 100, true);
        assert!(is_recorded(&world.deliver(&world.event(code)).await), "{code}");
        let payment = world.payment_of("q").await;
        assert_eq!(payment.discrepancies().count(), 1, "{code}");
    }
    assert!(is_recorded(&world.deliver(&authorized).await));
    let payment = world.payment_of("q").await;
    assert_eq!(payment.discrepancies().count(), 0);
    assert_eq!((payment.balances.capturable.minor_units(), payment.transactions.len()), (0, 2));
    let acted = world.act_on("q", "t", capture(1)).await;
    assert!(matches!(acted, Err(ActError::Refused(_))), "{acted:?}");
}

/// The bank takes the money again that a reversed chargeback had returned. Fees that are added
/// to its amount are not the payer's.
#[tokio::test]
async fn a_lost_arbitration_takes_what_was_returned_once() {
    let world = World::new().await;
    world.done("c", capture(100)).await;
    for (code, amount, refunded) in [
        ("CHARGEBACK", 60, 60),
        ("CHARGEBACK_REVERSED", 60, 0),
        ("PREARBITRATION_LOST", 60, 60),
        ("SCHEME_ARBITRATION_LOST", 60, 60),
        ("SECOND_CHARGEBACK", 75, 60),
    ] {
        world.advance(DAY);
        world.adyen.add_event(code, PAYMENT, Some("DISPUTE000000001"), amount, true);
        world.deliver_last().await;
        assert_eq!(world.balances().await, [0, 100, 0, 100 - refunded, refunded], "{code}");
    }
    assert_eq!(count_of(&world, TransactionKind::Chargeback).await, 1);
}

/// The amount of the chargeback in the currency of the Payment is unknown. Nothing is refunded
/// beside it until an operator reports the amount.
#[tokio::test]
async fn a_chargeback_in_another_currency_stops_refunds_until_its_amount_is_told() {
    for currency in ["USD", "JPY"] {
        let world = World::new().await;
        world.done("c", capture(100)).await;
        world.adyen.add_event("CHARGEBACK", PAYMENT, Some("DISPUTE000000001"), 7, true);
        let amount = json!({"amount": {"currency": currency, "value": 7}});
        let event = with(&world.event("CHARGEBACK"), &amount);
        deliver(&world, &[&event, &event]).await;
        let payment = world.payment().await;
        assert_eq!(payment.discrepancies().count(), 1, "{currency}");
        let acted = world.act("r", refund(1)).await;
        assert!(matches!(acted, Err(ActError::Refused(_))), "{acted:?}");

        let chargeback = payment.transactions.values().find(|one| one.is_discrepant()).unwrap();
        let (id, state) = (chargeback.id.clone(), State::Success);
        change(&world, Update::ChangeTransactionState { id, state }).await;
        // Its event comes once more.
        deliver(&world, &[&event]).await;
        assert_eq!(world.payment().await.discrepancies().count(), 0, "{currency}");
        world.act("s", refund(1)).await.unwrap();
    }

    // A later event of the dispute has an amount in ours. It may be another one.
    for first in ["CHARGEBACK", "CHARGEBACK_REVERSED"] {
        let world = World::new().await;
        world.done("c", capture(100)).await;
        for (code, currency) in [(first, "USD"), ("SECOND_CHARGEBACK", "EUR")] {
            world.advance(DAY);
            world.adyen.add_event(code, PAYMENT, Some("DISPUTE000000001"), 7, true);
            let amount = json!({"amount": {"currency": currency, "value": 7}});
            deliver(&world, &[&with(&world.event(code), &amount)]).await;
        }
        assert_eq!(world.payment().await.discrepancies().count(), 1, "{first}");
    }

    let world = World::new().await;
    world.done("c", capture(100)).await;
    for code in ["CHARGEBACK", "CHARGEBACK_REVERSED"] {
        world.advance(DAY);
        world.adyen.add_event(code, PAYMENT, Some("DISPUTE000000001"), 7, true);
        let amount = json!({"amount": {"currency": "USD", "value": 7}});
        deliver(&world, &[&with(&world.event(code), &amount)]).await;
    }
    assert_eq!(world.payment().await.discrepancies().count(), 0);
    world.act("r", refund(100)).await.unwrap();
}

/// An operator makes a change.
async fn change(world: &World, update: Update) {
    let change = change_of(&world.payment().await, update);
    world.service.update(change).await.unwrap();
}

fn change_of(payment: &Payment, update: Update) -> Change {
    Change {
        key: payment.key.clone(),
        version: payment.version,
        updates: vec![update],
        by: Some("operator".to_owned()),
    }
}
