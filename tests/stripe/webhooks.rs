//! Webhooks: who may send them, and what they bring, in whatever order they come.

use crate::support::payments::{capture, refund};
use crate::support::random::Random;
use crate::world::{MINUTE, World, dashboard};
use payment_intents::local::stripe::{StripeFault, StripeSandbox};
use payment_intents::payment::{State, TransactionKind};
use payment_intents::ports::{Clock, WebhookRefusal};
use payment_intents::service::{WebhookError, WebhookOutcome};
use serde_json::{Value, json};

const SECRET: &str = StripeSandbox::WEBHOOK_SECRET;

fn is_recorded(taken: &Result<WebhookOutcome, WebhookError>) -> bool {
    matches!(taken, Ok(WebhookOutcome::Recorded(_)))
}

fn is_not_signed(taken: &Result<WebhookOutcome, WebhookError>) -> bool {
    matches!(taken, Err(WebhookError::WebhookRefusal(WebhookRefusal::NotSigned)))
}

#[tokio::test]
async fn only_what_stripe_signed_just_now_is_read() {
    let world = World::new().await;
    world.act("c", capture(100)).await.unwrap();
    let body = world.event("payment_intent.succeeded").to_string();
    let now = world.clock.now();
    let signed = |secret: &str, at| StripeSandbox::signature(secret, &body, at);
    let good = signed(SECRET, now);
    let tag = good.split_once(",v1=").unwrap().1.to_owned();
    let seconds = now.ms() / 1_000;
    for (signature, is_taken) in [
        (Some(good.clone()), true),
        (Some(signed(SECRET, now.minus_ms(299_000))), true),
        (Some(signed(SECRET, now.plus_ms(299_000))), true),
        (Some(format!("{good},v1={}", "0".repeat(64))), true),
        (Some(format!("v0=abc,t={seconds},v1={}, v1={tag}", "0".repeat(64))), true),
        (None, false),
        (Some(String::new()), false),
        (Some(signed("whsec_other", now)), false),
        (Some(signed(SECRET, now.minus_ms(302_000))), false),
        (Some(signed(SECRET, now.plus_ms(302_000))), false),
        (Some(format!("t={},v1={tag}", seconds + 1)), false),
        (Some(format!("t={seconds},t={seconds},v1={tag}")), false),
        (Some(format!("t=+{seconds},v1={tag}")), false),
        (Some(format!("v1={tag}")), false),
        (Some(format!("t={seconds},v0={tag}")), false),
        (Some(format!("t={seconds},v1={}", tag.to_uppercase())), false),
        (Some(format!("t={seconds},v1={}", &tag[..62])), false),
        (Some(format!("t={seconds},v1={tag}0")), false),
        (Some(format!("t={seconds},v1=")), false),
    ] {
        world.shim.calls();
        let taken = world.signed(&body, signature.as_deref()).await;
        assert_eq!(is_recorded(&taken), is_taken, "{signature:?} {taken:?}");
        if !is_taken {
            assert!(is_not_signed(&taken), "{signature:?} {taken:?}");
            assert!(world.shim.calls().is_empty(), "nothing is read or written");
        }
    }
}

/// 10,000 messages that are forged, or altered by one byte or bit.
#[tokio::test]
async fn no_forged_or_altered_message_is_taken() {
    let world = World::new().await;
    world.act("c", capture(100)).await.unwrap();
    let body = world.event("payment_intent.succeeded").to_string();
    let now = world.clock.now();
    let good = StripeSandbox::signature(SECRET, &body, now);
    assert!(is_recorded(&world.signed(&body, Some(&good)).await));
    world.shim.calls();
    let mut random = Random::new(7, 0);
    for number in 0..10_000_u64 {
        let (mut forged, mut signature) = (body.clone(), good.clone());
        match number % 4 {
            // One bit of the body, which stays ASCII.
            0 => {
                let mut bytes = forged.into_bytes();
                let length = u64::try_from(bytes.len()).unwrap();
                let at = usize::try_from(random.below(length)).unwrap();
                bytes[at] ^= 1 << random.below(7);
                forged = String::from_utf8(bytes).unwrap();
            }
            // One digit of the tag.
            1 => {
                let start = signature.len() - 64;
                let at = start + usize::try_from(random.below(64)).unwrap();
                let digit = char::from(signature.as_bytes()[at]).to_digit(16).unwrap();
                let other = (digit + 1 + u32::try_from(random.below(15)).unwrap()) % 16;
                let other = char::from_digit(other, 16).unwrap().to_string();
                signature.replace_range(at..=at, &other);
            }
            // Another secret.
            2 => {
                let secret = format!("whsec_{}", random.below(u64::MAX));
                signature = StripeSandbox::signature(&secret, &body, now);
            }
            // Another time under the same tag.
            _ => {
                let other = now.ms() / 1_000 + 1 + random.below(200);
                let tag = good.split_once(',').unwrap().1;
                signature = format!("t={other},{tag}");
            }
        }
        let taken = world.signed(&forged, Some(&signature)).await;
        assert!(is_not_signed(&taken), "{number}: {taken:?}");
    }
    assert!(world.shim.calls().is_empty(), "nothing is read or written");
}

#[tokio::test]
async fn what_is_not_for_us_is_taken_and_what_is_not_here_yet_is_repeated() {
    let world = World::new().await;
    for event in [
        json!({"type": "customer.created", "data": {"object": {"id": "cus_1"}}}),
        json!({"type": "charge.refunded", "data": {"object": {"id": "ch_1", "payment_intent": null}}}),
    ] {
        assert_eq!(world.webhook(&event).await.unwrap(), WebhookOutcome::NotForUs, "{event}");
    }
    let unknown = world.webhook(&json!([])).await;
    assert!(
        matches!(unknown, Err(WebhookError::WebhookRefusal(WebhookRefusal::Unreadable))),
        "{unknown:?}"
    );

    world.stripe.authorize("pi_q", 100, "eur", false);
    world.register_at("other", "r", "pi_r", State::Success).await;
    let elsewhere = json!({"type": "payment_intent.succeeded", "data": {"object": {"id": "pi_r"}}});
    let elsewhere = world.webhook(&elsewhere).await;
    assert!(matches!(elsewhere, Err(WebhookError::NoSuchPayment)), "{elsewhere:?}");

    let event = json!({
        "type": "payment_intent.amount_capturable_updated", "data": {"object": {"id": "pi_q"}},
    });
    let early = world.webhook(&event).await;
    assert!(matches!(early, Err(WebhookError::NoSuchPayment)), "{early:?}");
    world.register("q", "pi_q", State::Pending).await;
    assert!(is_recorded(&world.webhook(&event).await));
}

#[tokio::test]
async fn an_event_before_the_answer_is_the_same_transaction() {
    let world = World::new().await;
    world.stripe.plan(&[StripeFault::LostAnswer]);
    world.lose("c", capture(40)).await;
    assert!(is_recorded(&world.webhook(&world.event("payment_intent.succeeded")).await));
    assert_eq!(world.state("c").await, Some(State::Success));
    // The rest is released in the same write.
    assert_eq!(world.balances().await, [0, 40, 60, 40, 0]);
    let transactions = world.payment().await.transactions.len();
    // Nothing is open, so nothing is sent again.
    let sent = world.stripe.requests().len();
    world.recover_after(10 * MINUTE).await;
    assert_eq!(world.stripe.requests().len(), sent);
    assert_eq!(world.payment().await.transactions.len(), transactions);
}

/// All events of a life, in any order and any number of times: the same end.
#[tokio::test]
async fn events_in_any_order_and_number_come_to_the_same_end() {
    let mut ends = Vec::new();
    for seed in 0..6 {
        let world = World::new().await;
        world.act("c", capture(90)).await.unwrap();
        world.act("r", refund(30)).await.unwrap();
        world.stripe.begin_refunds_as("pending");
        world.act("s", refund(20)).await.unwrap();
        let pending = world.event("refund.created")["data"]["object"]["id"].clone();
        world.stripe.end_refund(pending.as_str().unwrap(), "failed");
        // Equal to one of ours, and in the dashboard.
        world.stripe.begin_refunds_as("succeeded");
        dashboard(&world.stripe, "refunds", "payment_intent=pi_p&amount=30").await;
        world.stripe.dispute("pi_p", 10, "warning_needs_response");
        world.stripe.dispute("pi_p", 10, "needs_response");
        world.stripe.dispute("pi_p", 10, "lost");
        let events = world.stripe.events();
        let mut random = Random::new(seed, 0);
        let mut order: Vec<&Value> = events.iter().chain(&events).collect();
        for at in (1..order.len()).rev() {
            let other = usize::try_from(random.below(u64::try_from(at).unwrap() + 1)).unwrap();
            order.swap(at, other);
        }
        for event in order {
            assert!(is_recorded(&world.webhook(event).await), "{event}");
        }
        let payment = world.payment().await;
        payment.check().unwrap();
        assert_eq!(payment.discrepancies().count(), 0);
        let mut end: Vec<_> = payment
            .transactions
            .values()
            .map(|one| (one.kind, one.state, one.amount.minor_units()))
            .collect();
        end.sort();
        ends.push((world.balances().await, end));
    }
    let (balances, transactions) = &ends[0];
    assert_eq!(*balances, [0, 90, 10, 20, 70]);
    assert_eq!(
        *transactions,
        [
            (TransactionKind::Authorization, State::Success, 100),
            (TransactionKind::Charge, State::Success, 90),
            (TransactionKind::Refund, State::Success, 30),
            (TransactionKind::Refund, State::Success, 30),
            (TransactionKind::Refund, State::Failure, 20),
            (TransactionKind::CancelAuthorization, State::Success, 10),
            (TransactionKind::Chargeback, State::Success, 10),
        ]
    );
    assert!(ends.iter().all(|end| end == &ends[0]), "{ends:#?}");
}

/// Each is read for a version of the Payment, and again where that is not the last.
#[tokio::test]
async fn webhooks_at_the_same_time_are_all_recorded() {
    let world = World::new().await;
    world.act("c", capture(100)).await.unwrap();
    for amount in [11, 12, 13] {
        dashboard(&world.stripe, "refunds", &format!("payment_intent=pi_p&amount={amount}")).await;
    }
    let events = world.stripe.events();
    let [.., a, b, c] = events.as_slice() else { panic!("{events:?}") };
    let taken = tokio::join!(world.webhook(a), world.webhook(b), world.webhook(c));
    assert!([taken.0, taken.1, taken.2].iter().all(is_recorded));
    assert_eq!(world.balances().await, [0, 100, 0, 64, 36]);
}

/// An effect in the dashboard that is equal to one of ours, of which nothing is known, is
/// not taken for it.
#[tokio::test]
async fn what_others_do_in_the_dashboard_is_an_effect_of_its_own() {
    let world = World::new().await;
    world.act("c", capture(100)).await.unwrap();
    world.stripe.plan(&[StripeFault::LostRequest]);
    world.lose("r", refund(30)).await;
    dashboard(&world.stripe, "refunds", "payment_intent=pi_p&amount=30").await;
    assert!(is_recorded(&world.webhook(&world.event("refund.created")).await));
    assert_eq!(world.state("r").await, Some(State::Unknown));
    // 30 refunded, 30 held.
    assert_eq!(world.balances().await, [0, 100, 0, 40, 30]);
    world.recover_after(MINUTE).await;
    assert_eq!(world.state("r").await, Some(State::Success));
    assert_eq!(world.balances().await, [0, 100, 0, 40, 60]);

    let world = World::new().await;
    dashboard(&world.stripe, "payment_intents/pi_p/capture", "amount_to_capture=70").await;
    assert!(is_recorded(&world.webhook(&world.event("charge.captured")).await));
    assert_eq!(world.balances().await, [0, 70, 30, 70, 0]);

    let world = World::new().await;
    dashboard(&world.stripe, "payment_intents/pi_p/cancel", "").await;
    assert!(is_recorded(&world.webhook(&world.event("payment_intent.canceled")).await));
    assert_eq!(world.balances().await, [0, 0, 100, 0, 0]);
}

#[tokio::test]
async fn an_authorization_is_confirmed_and_never_added() {
    let world = World::new().await;
    world.stripe.authorize("pi_q", 100, "eur", false);
    world.register("q", "pi_q", State::Pending).await;
    let event = json!({
        "type": "payment_intent.amount_capturable_updated", "data": {"object": {"id": "pi_q"}},
    });
    let authorized = async || {
        let key = crate::support::payments::key("q");
        let payment = world.service.get(&key).await.unwrap().unwrap();
        payment.balances.authorized.minor_units()
    };
    assert_eq!(authorized().await, 0);
    for _ in 0..3 {
        assert!(is_recorded(&world.webhook(&event).await));
        assert_eq!(authorized().await, 100);
    }
    // Nor is one of another amount.
    world.stripe.authorize("pi_q", 120, "eur", false);
    assert!(is_recorded(&world.webhook(&event).await));
    assert_eq!(authorized().await, 100);
}

#[tokio::test]
async fn a_dispute_takes_captured_money_back_and_a_won_one_returns_it() {
    let world = World::new().await;
    world.act("c", capture(100)).await.unwrap();
    for (status, told, balances) in [
        ("warning_needs_response", "created", [0, 100, 0, 100, 0]),
        ("needs_response", "closed", [0, 100, 0, 40, 60]),
        ("won", "closed", [0, 100, 0, 100, 0]),
    ] {
        world.stripe.dispute("pi_p", 60, status);
        let event = world.event(&format!("charge.dispute.{told}"));
        assert!(is_recorded(&world.webhook(&event).await));
        assert_eq!(world.balances().await, balances, "{status}");
    }
}
