//! Calls to Adyen, and how their outcomes become final.

use crate::support::payments::{capture, refund};
use crate::world::{DAY, MINUTE, TIMEOUT_MS, World};
use AdyenFault::{
    ErrorAfterActing, LostAnswer, LostRequest, NotConfigured, RecordedError, Slow, Transient,
    Unauthorized,
};
use payment_intents::local::adyen::AdyenFault;
use payment_intents::payment::{Action, RejectionReason, State, TransactionKind};
use payment_intents::ports::Verdict;
use payment_intents::service::{ActError, Done};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::sleep;

const RECEIVED: Done = Done { verdict: Verdict::Received(None), replayed: false };

fn effect(action: &str, amount: u64, key: &str) -> (String, u64, String) {
    (action.to_owned(), amount, key.to_owned())
}

fn sent(world: &World) -> Vec<(String, Value)> {
    let requests = world.adyen.requests().into_iter();
    requests.map(|(line, body)| (line, serde_json::from_str(&body).unwrap())).collect()
}

#[tokio::test]
async fn a_capture_is_two_writes_no_read_and_one_call_with_the_transaction_in_it() {
    let world = World::new().await;
    assert_eq!(world.act("t-1", capture(100)).await.unwrap(), RECEIVED);
    assert_eq!(world.shim.calls(), ["UpdateItem", "UpdateItem"]);
    assert_eq!(
        sent(&world),
        [(
            "POST /checkout/v71/payments/PAYMENT000000001/captures".to_owned(),
            json!({
                "merchantAccount": "SandboxShop", "reference": "t-1",
                "amount": {"currency": "EUR", "value": 100},
            })
        )]
    );
    assert_eq!(world.effects(), [effect("capturePayment", 100, "t-1")]);
    assert_eq!(world.state("t-1").await, Some(State::Pending));
    world.deliver_last().await;
    assert_eq!(world.state("t-1").await, Some(State::Success));
    assert_eq!(world.balances().await, [0, 100, 0, 100, 0]);
}

#[tokio::test]
async fn each_action_does_at_adyen_what_it_is() {
    let world = World::new().await;
    world.done("c", capture(100)).await;
    world.done("r", refund(30)).await;
    world.done("v", Action::Reverse).await;
    assert_eq!(world.balances().await, [0, 100, 0, 0, 100]);
    let refunds = [effect("refundPayment", 30, "r"), effect("refundPayment", 70, "v")];
    assert_eq!(world.effects()[1..], refunds);

    let world = World::new().await;
    world.done("v", Action::Cancel).await;
    assert_eq!(world.balances().await, [0, 0, 100, 0, 0]);
    assert_eq!(world.effects(), [effect("cancelPayment", 100, "v")]);
    let (line, body) = sent(&world).remove(0);
    assert!(line.ends_with("/cancels"), "{line}");
    assert_eq!(body, json!({"merchantAccount": "SandboxShop", "reference": "v"}));
}

#[tokio::test]
async fn the_rest_that_adyen_cancels_is_booked_in_the_write_of_the_capture() {
    let world = World::new().await;
    world.act("t", capture(40)).await.unwrap();
    // Nothing is released until the capture happened.
    assert_eq!(world.balances().await, [60, 0, 0, 0, 0]);
    world.shim.calls();
    world.deliver_last().await;
    let writes = world.shim.calls().into_iter().filter(|call| call == "UpdateItem").count();
    assert_eq!(writes, 1);
    assert_eq!(world.balances().await, [0, 40, 60, 40, 0]);
    let payment = world.payment().await;
    let released = payment.transactions.values().find(|one| {
        one.kind == TransactionKind::CancelAuthorization && one.state == State::Success
    });
    assert_eq!(released.unwrap().amount.minor_units(), 60);
    assert!(matches!(world.act("u", capture(1)).await, Err(ActError::Refused(_))));
}

#[tokio::test]
async fn with_multicapture_the_rest_stays() {
    let world = World::with(true).await;
    world.done("a", capture(40)).await;
    assert_eq!(world.balances().await, [60, 40, 0, 40, 0]);
    world.done("b", capture(60)).await;
    assert_eq!(world.balances().await, [0, 100, 0, 100, 0]);
}

#[tokio::test]
async fn what_adyen_refuses_later_fails_and_gives_the_hold_back() {
    let world = World::new().await;
    // In the Customer Area, and its webhook is not here yet.
    world.adyen.customer_area(crate::world::PAYMENT, "captures", 10);
    assert_eq!(world.act("t", capture(40)).await.unwrap(), RECEIVED);
    assert_eq!(world.balances().await[0], 60);
    world.deliver_last().await;
    assert_eq!(world.state("t").await, Some(State::Failure));
    assert_eq!(world.balances().await[0], 100);

    let world = World::new().await;
    world.done("c", capture(100)).await;
    world.adyen.customer_area(crate::world::PAYMENT, "refunds", 80);
    world.act("r", refund(30)).await.unwrap();
    world.deliver_last().await;
    assert_eq!(world.state("r").await, Some(State::Failure));
    assert_eq!(world.effects().len(), 2);
}

#[tokio::test]
async fn what_was_not_carried_out_is_withdrawn_and_may_be_sent_again() {
    let world = World::new().await;
    world.adyen.plan(&[Unauthorized]);
    let acted = world.act("t", capture(40)).await;
    let Err(ActError::ConnectorFailed(Some(not_acted))) = acted else { panic!("{acted:?}") };
    assert_eq!((not_acted.status, &*not_acted.codes), (401, &["000".to_owned()][..]));
    assert_eq!(world.balances().await[0], 100);
    assert_eq!(world.state("t").await, None);
    world.advance(1);
    assert_eq!(world.act("t", capture(40)).await.unwrap(), RECEIVED);
    assert_eq!(world.effects().len(), 1);
}

#[tokio::test]
async fn a_payment_that_adyen_does_not_have_is_not_acted_on() {
    let world = World::new().await;
    world.register("q", "PAYMENT000000002", State::Success).await;
    let acted = world.act_on("q", "t", capture(40)).await;
    let Err(ActError::ConnectorFailed(Some(not_acted))) = acted else { panic!("{acted:?}") };
    assert_eq!((not_acted.status, &*not_acted.codes), (422, &["167".to_owned()][..]));
}

#[tokio::test]
async fn a_business_error_is_a_rejection_and_gives_the_hold_back() {
    let world = World::new().await;
    world.adyen.plan(&[NotConfigured]);
    let rejected = world.act("t", capture(40)).await.unwrap();
    let reason = RejectionReason::new(Some("905"), Some("The sandbox refuses it."));
    assert!(reason.is_some());
    assert_eq!(rejected, Done { verdict: Verdict::Rejected(reason), replayed: false });
    assert_eq!(world.state("t").await, Some(State::Failure));
    assert_eq!(world.balances().await[0], 100);
}

/// Each way in which the outcome of a call is lost. It is sent again with its key after 1
/// minute, then after 2, and is Unknown no longer. Its webhook says how it ended. Nothing
/// happens twice.
#[tokio::test]
async fn every_unknown_outcome_is_final_as_soon_as_adyen_answers_again() {
    for (faults, looks) in [
        (&[LostAnswer][..], 1),
        (&[LostRequest], 1),
        (&[Transient], 1),
        (&[ErrorAfterActing], 1),
        (&[LostRequest, LostAnswer], 2),
        (&[LostAnswer, Transient], 2),
        // The answer to the second attempt says nothing of the first.
        (&[LostAnswer, Unauthorized], 2),
        (&[LostRequest, Unauthorized], 2),
        (&[Slow(TIMEOUT_MS + 300)], 1),
    ] {
        for (before, action, name, amount) in [
            (None, capture(40), "capturePayment", 40),
            (None, Action::Cancel, "cancelPayment", 100),
            (Some(capture(100)), refund(40), "refundPayment", 40),
        ] {
            let world = World::new().await;
            if let Some(before) = before {
                world.done("before", before).await;
            }
            world.adyen.plan(faults);
            world.lose("t", action).await;
            if let [Slow(ms)] = faults {
                sleep(Duration::from_millis(*ms)).await;
            }
            for look in 1..=looks {
                assert_eq!(world.state("t").await, Some(State::Unknown), "{faults:?} {name}");
                world.recover_after(look * MINUTE).await;
            }
            assert_eq!(world.state("t").await, Some(State::Pending), "{faults:?} {name}");
            world.deliver_last().await;
            assert_eq!(world.state("t").await, Some(State::Success), "{faults:?} {name}");
            let effects = world.effects();
            let ours: Vec<_> = effects.iter().filter(|effect| effect.2 == "t").collect();
            assert_eq!(ours, [&effect(name, amount, "t")], "{faults:?}");
            let bodies: Vec<_> = sent(&world).into_iter().map(|(_, body)| body).collect();
            let attempts: Vec<_> = bodies.iter().filter(|body| body["reference"] == "t").collect();
            assert!(attempts.iter().all(|body| *body == attempts[0]), "{attempts:?}");
            world.payment().await.check().unwrap();
        }
    }
}

/// The webhook may be here before recovery. Then nothing is sent again.
#[tokio::test]
async fn an_event_before_the_answer_is_the_same_transaction() {
    let world = World::new().await;
    world.adyen.plan(&[LostAnswer]);
    world.lose("t", capture(40)).await;
    world.deliver_last().await;
    assert_eq!(world.state("t").await, Some(State::Success));
    assert_eq!(world.balances().await, [0, 40, 60, 40, 0]);
    let sent = world.adyen.requests().len();
    world.recover_after(10 * MINUTE).await;
    assert_eq!(world.adyen.requests().len(), sent);
    // An Authorization, the Charge, and the release.
    assert_eq!(world.payment().await.transactions.len(), 3);
}

#[tokio::test]
async fn while_a_key_is_at_work_its_repeat_is_no_answer() {
    let world = World::new().await;
    world.adyen.plan(&[Slow(3 * TIMEOUT_MS)]);
    world.lose("t", capture(40)).await;
    world.recover_after(MINUTE).await;
    assert_eq!(world.state("t").await, Some(State::Unknown));
    sleep(Duration::from_millis(3 * TIMEOUT_MS)).await;
    world.recover_after(2 * MINUTE).await;
    assert_eq!(world.state("t").await, Some(State::Pending));
    assert_eq!(world.effects(), [effect("capturePayment", 40, "t")]);
}

/// Adyen answers the key with the same error again and again: only the webhook says what
/// happened.
#[tokio::test]
async fn an_error_on_record_stays_unknown_until_the_webhook_comes() {
    for (before, action) in
        [(None, capture(40)), (None, Action::Cancel), (Some(capture(100)), refund(40))]
    {
        let world = World::new().await;
        if let Some(before) = before {
            world.done("before", before).await;
        }
        world.adyen.plan(&[RecordedError]);
        world.lose("t", action).await;
        for _ in 0..3 {
            world.recover_after(60 * MINUTE).await;
            assert_eq!(world.state("t").await, Some(State::Unknown));
        }
        world.deliver_last().await;
        assert_eq!(world.state("t").await, Some(State::Success));
        assert_eq!(world.effects().into_iter().filter(|effect| effect.2 == "t").count(), 1);
    }
}

/// A refusal that is on record for the key holds for the lost first attempt, too.
#[tokio::test]
async fn a_late_rejection_that_is_on_record_for_the_key_is_final() {
    let world = World::new().await;
    world.adyen.plan(&[LostRequest, NotConfigured]);
    world.lose("t", capture(40)).await;
    world.recover_after(MINUTE).await;
    assert_eq!(world.state("t").await, Some(State::Failure));
    assert_eq!((world.balances().await[0], world.effects().len()), (100, 0));
}

#[tokio::test]
async fn a_key_that_adyen_may_have_forgotten_is_not_sent_again() {
    let world = World::new().await;
    world.adyen.plan(&[LostAnswer]);
    world.lose("t", capture(40)).await;
    world.adyen.forget_keys();
    let sent = world.adyen.requests().len();
    world.recover_after(6 * DAY + MINUTE).await;
    assert_eq!(world.adyen.requests().len(), sent);
    assert_eq!(world.state("t").await, Some(State::Unknown));
    world.deliver(&world.event("CAPTURE")).await.unwrap();
    assert_eq!(world.state("t").await, Some(State::Success));
    assert_eq!(world.effects().len(), 1);
}

#[tokio::test]
async fn for_six_days_it_is_sent_again_with_its_key() {
    let world = World::new().await;
    world.adyen.plan(&[LostAnswer]);
    world.lose("t", capture(40)).await;
    world.recover_after(6 * DAY - MINUTE).await;
    assert_eq!(world.state("t").await, Some(State::Pending));
    assert_eq!(world.effects().len(), 1);
}

#[tokio::test]
async fn a_transaction_of_a_killed_process_is_sent_with_its_key() {
    let world = World::new().await;
    world.crash("t", capture(40)).await;
    world.recover_after(MINUTE).await;
    assert_eq!(world.state("t").await, Some(State::Pending));
    world.deliver_last().await;
    assert_eq!(world.state("t").await, Some(State::Success));
    assert_eq!(world.effects(), [effect("capturePayment", 40, "t")]);
}

#[tokio::test]
async fn without_a_payment_or_a_key_that_adyen_can_have_nothing_is_sent() {
    let world = World::new().await;
    for (payment, psp_reference) in [("q", "pi_1"), ("r", "A/../B"), ("s", "ü")] {
        world.register(payment, psp_reference, State::Success).await;
        let acted = world.act_on(payment, "t", capture(40)).await;
        assert!(matches!(acted, Err(ActError::ConnectorFailed(None))), "{acted:?}");
    }
    let acted = world.act(&"x".repeat(65), capture(40)).await;
    assert!(matches!(acted, Err(ActError::ConnectorFailed(None))), "{acted:?}");
    assert!(world.adyen.requests().is_empty());
    world.advance(1);
    assert_eq!(world.act(&"x".repeat(64), capture(40)).await.unwrap(), RECEIVED);
}
