//! Objects at Stripe that leave a doubt about a transaction of ours: marks that are missing
//! or come later, amounts that differ from the ledger's, marks of somebody else, and answers
//! that are old.

use crate::support::payments::{capture, refund};
use crate::world::{MINUTE, World, dashboard};
use StripeFault::{
    ErrorWithoutActing, ErrorWithoutMetadata, LockedWhileActing, LostAnswer, LostRequest,
};
use payment_intents::local::stripe::StripeFault;
use payment_intents::payment::{Action, State};
use payment_intents::ports::Verdict;
use payment_intents::service::ActError;

const DAY: u64 = 21 * 60 * MINUTE;

/// With several captures, only the sum of the unmarked ones is known.
#[tokio::test]
async fn an_unmarked_capture_may_be_ours_while_more_can_be_captured() {
    let world = World::with(true).await;
    world.stripe.plan(&[ErrorWithoutMetadata]);
    world.lose("b", capture(30)).await;
    world.recover_after(DAY).await;
    assert_eq!(world.state("b").await, Some(State::Unknown));
    assert_eq!(world.balances().await, [70, 0, 0, 0, 0]);
    // Once its mark is there, it is found.
    world.stripe.set_metadata("pi_p", "b", "capture 30");
    world.recover_after(60 * MINUTE).await;
    assert_eq!(world.state("b").await, Some(State::Success));
    assert_eq!(world.balances().await, [70, 30, 0, 30, 0]);
}

#[tokio::test]
async fn an_unmarked_capture_may_be_the_sum_of_ours_and_others() {
    // At once, and after the key has died.
    for looked_up_at_once in [true, false] {
        let world = World::with(true).await;
        world.stripe.plan(&[ErrorWithoutMetadata]);
        world.lose("b", capture(30)).await;
        dashboard(&world.stripe, "payment_intents/pi_p/capture", "amount_to_capture=20").await;
        world.recover_after(if looked_up_at_once { MINUTE } else { DAY }).await;
        assert_eq!(world.state("b").await, Some(State::Unknown), "{looked_up_at_once}");
    }
    // It is not if it is smaller.
    let world = World::with(true).await;
    world.stripe.plan(&[ErrorWithoutActing]);
    world.lose("b", capture(30)).await;
    dashboard(&world.stripe, "payment_intents/pi_p/capture", "amount_to_capture=20").await;
    world.recover_after(MINUTE).await;
    assert_eq!(world.state("b").await, Some(State::Failure));
}

/// A look-up finds a refund of ours even if the captures of others are not clear.
#[tokio::test]
async fn a_refund_is_found_whatever_is_known_of_the_captures() {
    let world = World::with(true).await;
    world.act("c", capture(40)).await.unwrap();
    let form = "amount_to_capture=10&final_capture=false";
    dashboard(&world.stripe, "payment_intents/pi_p/capture", form).await;
    world.stripe.plan(&[LostAnswer]);
    world.lose("r", refund(30)).await;
    world.stripe.forget_keys();
    world.recover_after(DAY).await;
    assert_eq!(world.state("r").await, Some(State::Success));
}

/// Stripe repairs what an error left behind, and in between a webhook brings the capture
/// without our mark.
#[tokio::test]
async fn a_capture_whose_mark_comes_late_is_booked_once() {
    for authorization in ["pi_p", "ch_sandbox000001"] {
        for way in ["event", "repeat", "look-up"] {
            let world = World::new().await;
            let context = format!("{authorization} {way}");
            world.name_authorization(authorization).await;
            world.stripe.plan(&[ErrorWithoutMetadata]);
            world.lose("a", capture(40)).await;
            world.webhook(&world.event("charge.captured")).await.unwrap();
            world.stripe.set_metadata("pi_p", "a", "capture 40");
            match way {
                "event" => drop(world.webhook(&world.event("charge.captured")).await.unwrap()),
                "repeat" => drop(world.recover_after(MINUTE).await),
                _ => drop(world.recover_after(DAY).await),
            }
            assert_eq!(world.state("a").await, Some(State::Success), "{context}");
            assert_eq!(world.balances().await, [0, 40, 60, 40, 0], "{context}");
            // Nor is it booked again.
            world.webhook(&world.event("payment_intent.succeeded")).await.unwrap();
            assert_eq!(world.balances().await, [0, 40, 60, 40, 0], "{context}");
            assert_eq!(world.payment().await.discrepancies().count(), 0, "{context}");
        }
    }
}

#[tokio::test]
async fn a_cancel_is_decided_by_the_status_and_not_by_the_amount() {
    for at_once in [true, false] {
        let world = World::new().await;
        world.stripe.increment("pi_p", 120);
        let fault = if at_once { ErrorWithoutMetadata } else { LostAnswer };
        world.stripe.plan(&[fault]);
        if at_once {
            let done = world.act("c", Action::Cancel).await.unwrap();
            assert_eq!(done.verdict, Verdict::Approved);
        } else {
            world.lose("c", Action::Cancel).await;
            world.stripe.forget_keys();
            world.recover_after(DAY).await;
        }
        assert_eq!(world.state("c").await, Some(State::Success), "{at_once}");
        assert_eq!(world.balances().await, [0, 0, 100, 0, 0], "{at_once}");
    }
}

/// A cancel releases what is left. If others have captured a part, it is no release of all.
#[tokio::test]
async fn a_cancel_of_what_was_captured_in_part_is_unknown() {
    let world = World::with(true).await;
    let form = "amount_to_capture=40&final_capture=false";
    dashboard(&world.stripe, "payment_intents/pi_p/capture", form).await;
    world.lose("c", Action::Cancel).await;
    assert_eq!(world.balances().await, [0, 0, 0, 0, 0]);
    world.stripe.forget_keys();
    world.recover_after(DAY).await;
    assert_eq!(world.state("c").await, Some(State::Unknown));
}

/// Two Payments may have one PaymentIntent.
#[tokio::test]
async fn a_refund_with_the_mark_of_another_payment_is_none_of_ours() {
    let world = World::new().await;
    world.act("c", capture(100)).await.unwrap();
    world.register("q", "pi_p", State::Success).await;
    world.webhook(&world.event("charge.captured")).await.unwrap();
    world.stripe.plan(&[ErrorWithoutActing]);
    world.lose("r2", refund(40)).await;
    dashboard(&world.stripe, "refunds", "payment_intent=pi_p&amount=40&metadata[r1]=refund 40")
        .await;
    world.recover_after(DAY).await;
    assert_eq!(world.state("r2").await, Some(State::Failure));
    assert_eq!(world.balances().await, [0, 100, 0, 100, 0]);
}

/// The saved answer is the state of then. Without webhooks nothing else brings the later one.
#[tokio::test]
async fn a_refund_that_failed_after_its_answer_was_lost_failed() {
    let world = World::new().await;
    world.act("c", capture(100)).await.unwrap();
    world.stripe.plan(&[LostAnswer]);
    world.lose("r", refund(30)).await;
    let refund = world.event("refund.created")["data"]["object"]["id"].clone();
    world.stripe.end_refund(refund.as_str().unwrap(), "failed");
    world.recover_after(MINUTE).await;
    assert_eq!(world.state("r").await, Some(State::Failure));
    assert_eq!(world.balances().await, [0, 100, 0, 100, 0]);
}

/// A lock ends inside of the endpoint, so nothing says what was done before.
#[tokio::test]
async fn a_locked_object_proves_nothing() {
    let world = World::new().await;
    world.stripe.plan(&[LockedWhileActing]);
    let acted = world.act("t", capture(40)).await;
    assert!(matches!(acted, Err(ActError::OutcomeUnknown { replayed: false })), "{acted:?}");
    world.recover_after(MINUTE).await;
    assert_eq!(world.state("t").await, Some(State::Success));
    assert_eq!(world.effects().len(), 1);
}

#[tokio::test]
async fn a_refund_is_read_after_its_event_of_an_older_version_too() {
    let world = World::new().await;
    world.act("c", capture(100)).await.unwrap();
    world.stripe.plan(&[LostRequest]);
    world.lose("r", refund(30)).await;
    dashboard(&world.stripe, "refunds", "payment_intent=pi_p&amount=20").await;
    let mut event = world.event("refund.created");
    event["type"] = "charge.refund.updated".into();
    world.webhook(&event).await.unwrap();
    assert_eq!(world.balances().await, [0, 100, 0, 50, 20]);
}
