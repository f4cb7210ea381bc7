//! Calls to Stripe, and how their outcomes are found.

use crate::support::payments::{capture, refund};
use crate::world::{MINUTE, TIMEOUT_MS, World, dashboard};
use StripeFault::{
    ErrorAfterActing, ErrorWithoutActing, LostAnswer, LostRequest, RateLimited, Slow,
};
use payment_intents::local::stripe::StripeFault;
use payment_intents::payment::{Action, State, TransactionKind};
use payment_intents::ports::Verdict;
use payment_intents::service::{ActError, Done};
use std::time::Duration;
use tokio::time::sleep;

const APPROVED: Done = Done { verdict: Verdict::Approved, replayed: false };

/// The code and the text of the reason of a rejection that is no replay.
fn reason_of(done: Done) -> (Option<String>, Option<String>) {
    let Done { verdict: Verdict::Rejected(Some(reason)), replayed: false } = done else {
        panic!("{done:?} is no first rejection with a reason")
    };
    (reason.code().map(str::to_owned), reason.text().map(str::to_owned))
}

fn effect(action: &str, amount: u64, key: &str) -> (String, u64, String) {
    (action.to_owned(), amount, key.to_owned())
}

#[tokio::test]
async fn a_capture_is_two_writes_no_read_and_one_call_with_the_transaction_in_it() {
    let world = World::new().await;
    assert_eq!(world.act("t-1", capture(100)).await.unwrap(), APPROVED);
    assert_eq!(world.shim.calls(), ["UpdateItem", "UpdateItem"]);
    assert_eq!(
        world.stripe.requests(),
        [(
            "POST /v1/payment_intents/pi_p/capture".to_owned(),
            "amount_to_capture=100&metadata%5Bt-1%5D=capture%20100".to_owned()
        )]
    );
    assert_eq!(world.effects(), [effect("capturePayment", 100, "t-1")]);
}

#[tokio::test]
async fn each_action_does_at_stripe_what_it_is() {
    let world = World::new().await;
    assert_eq!(world.act("c", capture(100)).await.unwrap(), APPROVED);
    assert_eq!(world.act("r", refund(30)).await.unwrap(), APPROVED);
    assert_eq!(world.act("v", Action::Reverse).await.unwrap(), APPROVED);
    assert_eq!(world.balances().await, [0, 100, 0, 0, 100]);
    let refunds = [effect("refundPayment", 30, "r"), effect("refundPayment", 70, "v")];
    assert_eq!(world.effects()[1..], refunds);

    let world = World::new().await;
    assert_eq!(world.act("v", Action::Cancel).await.unwrap(), APPROVED);
    assert_eq!(world.balances().await, [0, 0, 100, 0, 0]);
    assert_eq!(world.effects(), [effect("cancelPayment", 100, "v")]);
}

#[tokio::test]
async fn the_rest_that_stripe_releases_is_booked_in_the_write_of_the_capture() {
    let world = World::new().await;
    assert_eq!(world.act("t", capture(40)).await.unwrap(), APPROVED);
    assert_eq!(world.shim.calls(), ["UpdateItem", "UpdateItem"]);
    assert_eq!(world.balances().await, [0, 40, 60, 40, 0]);
    let payment = world.payment().await;
    let released = payment.transactions.values().find(|one| {
        one.kind == TransactionKind::CancelAuthorization && one.state == State::Success
    });
    assert_eq!(released.unwrap().amount.minor_units(), 60);
    // Nothing more is sent.
    let more = world.act("u", capture(1)).await;
    assert!(matches!(more, Err(ActError::Refused(_))), "{more:?}");
    assert_eq!(world.effects().len(), 1);
}

#[tokio::test]
async fn with_multicapture_the_rest_stays_until_the_last_capture() {
    let world = World::with(true).await;
    assert_eq!(world.act("a", capture(40)).await.unwrap(), APPROVED);
    assert_eq!(world.balances().await, [60, 40, 0, 40, 0]);
    assert_eq!(world.act("b", capture(60)).await.unwrap(), APPROVED);
    assert_eq!(world.balances().await, [0, 100, 0, 100, 0]);
    let sent: Vec<_> = world.stripe.requests().into_iter().map(|(_, body)| body).collect();
    assert!(sent[0].contains("final_capture=false"), "{sent:?}");
    assert!(!sent[1].contains("final_capture"), "{sent:?}");
}

#[tokio::test]
async fn what_stripe_refuses_is_a_rejection_and_gives_the_hold_back() {
    let world = World::new().await;
    // In the dashboard, without a word to us.
    dashboard(&world.stripe, "payment_intents/pi_p/capture", "amount_to_capture=10").await;
    let rejected = world.act("t", capture(40)).await.unwrap();
    let text = "This PaymentIntent is succeeded and cannot be captured.";
    let code = Some("payment_intent_unexpected_state".to_owned());
    assert_eq!(reason_of(rejected), (code, Some(text.to_owned())));
    assert_eq!(world.balances().await[0], 100);
    assert_eq!(world.state("t").await, Some(State::Failure));

    let world = World::new().await;
    world.act("c", capture(100)).await.unwrap();
    dashboard(&world.stripe, "refunds", "payment_intent=pi_p&amount=80").await;
    let rejected = world.act("r", refund(30)).await.unwrap();
    assert_eq!(reason_of(rejected), (None, Some("Greater than the unrefunded amount.".to_owned())));
    assert_eq!(world.effects().len(), 3 - 1);
}

#[tokio::test]
async fn what_was_not_carried_out_is_withdrawn_and_may_be_sent_again() {
    let world = World::new().await;
    world.stripe.plan(&[RateLimited]);
    let acted = world.act("t", capture(40)).await;
    let Err(ActError::ConnectorFailed(Some(not_acted))) = acted else { panic!("{acted:?}") };
    assert_eq!((not_acted.status, &*not_acted.codes), (429, &["rate_limit".to_owned()][..]));
    assert_eq!(world.balances().await[0], 100);
    world.clock.advance(1);
    assert_eq!(world.act("t", capture(40)).await.unwrap(), APPROVED);
    assert_eq!(world.effects().len(), 1);
}

/// Each way in which the outcome of a call is lost: afterwards Stripe's ledger and ours
/// are the same, and nothing happened twice. Recovery looks after 1 minute, then after 2.
#[tokio::test]
async fn every_unknown_outcome_is_final_as_soon_as_stripe_answers_again() {
    for (faults, looks) in [
        (&[LostAnswer][..], 1),
        (&[LostRequest], 1),
        (&[LostRequest, LostAnswer], 2),
        // The answer to the second attempt said nothing of the first.
        (&[LostAnswer, RateLimited], 2),
        (&[LostRequest, RateLimited], 2),
        (&[Slow(TIMEOUT_MS + 300)], 1),
    ] {
        for (before, action, name, amount) in [
            (None, capture(40), "capturePayment", 40),
            (None, Action::Cancel, "cancelPayment", 100),
            (Some(capture(100)), refund(40), "refundPayment", 40),
        ] {
            let world = World::new().await;
            if let Some(before) = before {
                world.act("before", before).await.unwrap();
            }
            world.stripe.plan(faults);
            world.lose("t", action).await;
            if let [Slow(ms)] = faults {
                sleep(Duration::from_millis(*ms)).await;
            }
            for look in 1..=looks {
                assert_eq!(world.state("t").await, Some(State::Unknown), "{faults:?} {name}");
                world.recover_after(look * MINUTE).await;
            }
            assert_eq!(world.state("t").await, Some(State::Success), "{faults:?} {name}");
            let effects = world.effects();
            let ours: Vec<_> = effects.iter().filter(|effect| effect.2 == "t").collect();
            assert_eq!(ours, [&effect(name, amount, "t")], "{faults:?}");
            world.payment().await.check().unwrap();
        }
    }
}

#[tokio::test]
async fn while_a_key_is_at_work_its_repeat_is_no_answer() {
    let world = World::new().await;
    world.stripe.plan(&[Slow(3 * TIMEOUT_MS)]);
    world.lose("t", capture(40)).await;
    world.recover_after(MINUTE).await;
    assert_eq!(world.state("t").await, Some(State::Unknown));
    sleep(Duration::from_millis(3 * TIMEOUT_MS)).await;
    world.recover_after(2 * MINUTE).await;
    assert_eq!(world.state("t").await, Some(State::Success));
    assert_eq!(world.effects(), [effect("capturePayment", 40, "t")]);
}

#[tokio::test]
async fn a_saved_error_whose_effect_is_there_is_looked_up_at_once() {
    for (before, action) in
        [(None, capture(40)), (None, Action::Cancel), (Some(capture(100)), refund(40))]
    {
        let world = World::new().await;
        if let Some(before) = before {
            world.act("before", before).await.unwrap();
        }
        world.stripe.plan(&[ErrorAfterActing]);
        assert_eq!(world.act("t", action.clone()).await.unwrap(), APPROVED, "{action:?}");
        assert_eq!(world.effects().into_iter().filter(|effect| effect.2 == "t").count(), 1);
    }
}

/// Stripe may still repair what an error left behind, so that nothing is there proves
/// nothing while the key lives. After that it is not sent again, and its absence counts.
#[tokio::test]
async fn a_saved_error_without_an_effect_stays_unknown_until_the_key_has_died() {
    let world = World::new().await;
    world.stripe.plan(&[ErrorWithoutActing]);
    world.lose("t", capture(40)).await;
    for _ in 0..4 {
        world.recover_after(60 * MINUTE).await;
        assert_eq!(world.state("t").await, Some(State::Unknown));
        assert_eq!(world.balances().await[0], 60);
    }
    world.stripe.forget_keys();
    world.recover_after(17 * 60 * MINUTE).await;
    assert_eq!(world.state("t").await, Some(State::Failure));
    assert_eq!((world.balances().await[0], world.effects().len()), (100, 0));
}

/// Of a PaymentIntent that has come to its end nothing more is captured.
#[tokio::test]
async fn a_saved_error_without_an_effect_failed_once_nothing_more_can_happen() {
    for (path, form) in [("cancel", ""), ("capture", "amount_to_capture=70")] {
        let world = World::new().await;
        world.stripe.plan(&[ErrorWithoutActing]);
        world.lose("t", capture(40)).await;
        dashboard(&world.stripe, &format!("payment_intents/pi_p/{path}"), form).await;
        world.recover_after(MINUTE).await;
        assert_eq!(world.state("t").await, Some(State::Failure), "{path}");
    }
    // A capture of the same amount without a mark may be it.
    let world = World::new().await;
    world.stripe.plan(&[ErrorWithoutActing]);
    world.lose("t", capture(40)).await;
    dashboard(&world.stripe, "payment_intents/pi_p/capture", "amount_to_capture=40").await;
    world.recover_after(MINUTE).await;
    assert_eq!(world.state("t").await, Some(State::Unknown));
}

/// Somebody may have removed the mark of ours: nobody knows whose the effect is.
#[tokio::test]
async fn an_unmarked_effect_of_the_same_amount_settles_nothing() {
    for (amount, state) in [(30, State::Unknown), (31, State::Failure)] {
        let world = World::new().await;
        world.act("c", capture(100)).await.unwrap();
        world.stripe.plan(&[ErrorWithoutActing]);
        world.lose("r", refund(30)).await;
        let form = format!("payment_intent=pi_p&amount={amount}");
        dashboard(&world.stripe, "refunds", &form).await;
        world.recover_after(21 * 60 * MINUTE).await;
        assert_eq!(world.state("r").await, Some(state), "{amount}");
    }
}

/// The same PaymentIntent may have been used by another installation.
#[tokio::test]
async fn an_effect_with_the_mark_of_another_transaction_is_not_ours() {
    let world = World::new().await;
    world.act("c", capture(100)).await.unwrap();
    world.stripe.plan(&[ErrorWithoutActing]);
    world.lose("r", refund(30)).await;
    let form = "payment_intent=pi_p&amount=30&metadata[elsewhere]=refund%2030";
    dashboard(&world.stripe, "refunds", form).await;
    world.recover_after(21 * 60 * MINUTE).await;
    // Ours would have our mark, which Stripe sets with the refund.
    assert_eq!(world.state("r").await, Some(State::Failure));
    world.webhook(&world.event("refund.created")).await.unwrap();
    assert_eq!(world.state("r").await, Some(State::Failure));
    assert_eq!(world.balances().await, [0, 100, 0, 70, 30]);
}

/// Some payment methods capture for days: that nothing is there yet is no absence.
#[tokio::test]
async fn while_a_payment_is_processing_its_look_up_settles_nothing() {
    for (status, state) in [
        ("processing", State::Unknown),
        ("new", State::Unknown),
        ("requires_capture", State::Failure),
    ] {
        let world = World::new().await;
        world.stripe.plan(&[ErrorWithoutActing]);
        world.lose("t", capture(40)).await;
        world.stripe.set_status("pi_p", status);
        world.recover_after(21 * 60 * MINUTE).await;
        assert_eq!(world.state("t").await, Some(state), "{status}");
    }
}

#[tokio::test]
async fn a_forgotten_key_is_not_sent_again_and_what_it_did_is_found() {
    let world = World::new().await;
    world.stripe.plan(&[LostAnswer]);
    world.lose("t", capture(40)).await;
    world.stripe.forget_keys();
    let sent = world.stripe.requests().len();
    world.recover_after(21 * 60 * MINUTE).await;
    assert_eq!(world.state("t").await, Some(State::Success));
    assert_eq!(world.balances().await, [0, 40, 60, 40, 0]);
    let posts = world.stripe.requests().split_off(sent);
    assert!(posts.iter().all(|(line, _)| line.starts_with("GET ")), "{posts:?}");
}

/// A rejection that came fresh to a second attempt would say nothing of a first one that
/// is still under way. Saved for the key, it does.
#[tokio::test]
async fn a_late_rejection_counts_once_it_is_saved_for_the_key() {
    let world = World::new().await;
    world.stripe.plan(&[LostRequest]);
    world.lose("t", capture(40)).await;
    dashboard(&world.stripe, "payment_intents/pi_p/cancel", "").await;
    let sent = world.stripe.requests().len();
    world.recover_after(MINUTE).await;
    assert_eq!(world.state("t").await, Some(State::Failure));
    assert_eq!(world.stripe.requests().len(), sent + 2);
}

#[tokio::test]
async fn a_refund_that_stripe_takes_on_is_pending_until_it_ends() {
    for (ends, state, balances) in [
        ("succeeded", State::Success, [0, 100, 0, 70, 30]),
        ("failed", State::Failure, [0, 100, 0, 100, 0]),
        ("canceled", State::Failure, [0, 100, 0, 100, 0]),
    ] {
        let world = World::new().await;
        world.act("c", capture(100)).await.unwrap();
        world.stripe.begin_refunds_as("pending");
        let done = world.act("r", refund(30)).await.unwrap();
        assert_eq!(done.verdict, Verdict::Received(None));
        let refund = world.event("refund.created")["data"]["object"]["id"].clone();
        world.stripe.end_refund(refund.as_str().unwrap(), ends);
        // No webhook came: recovery looks.
        world.recover_after(10 * MINUTE).await;
        assert_eq!(world.state("r").await, Some(state), "{ends}");
        assert_eq!(world.balances().await, balances);
    }
}

#[tokio::test]
async fn without_a_payment_intent_nothing_is_sent() {
    for (payment, interface_id) in [("q", "ch_1"), ("r", "pi_"), ("s", "pi_../../refunds")] {
        let world = World::new().await;
        world.register(payment, interface_id, State::Success).await;
        let acted = world.act_on(payment, "t", capture(40)).await;
        assert!(matches!(acted, Err(ActError::ConnectorFailed(None))), "{acted:?}");
        assert!(world.stripe.requests().is_empty());
    }
}
