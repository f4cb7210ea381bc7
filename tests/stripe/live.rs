//! One life of a payment, at the Stripe on localhost, and at Stripe itself in its test mode
//! where somebody gives a key:
//!
//! `STRIPE_TEST_KEY=sk_test_… cargo test --all-features --test stripe -- --ignored stripe_itself`

use crate::support::payments::{capture, refund};
use crate::world::{MINUTE, World, post};
use payment_intents::connector::StripeAccount;
use payment_intents::local::stripe::StripeSandbox;
use payment_intents::payment::{Action, State};
use payment_intents::ports::Verdict;
use payment_intents::service::Done;
use serde_json::Value;

const APPROVED: Done = Done { verdict: Verdict::Approved, replayed: false };

#[tokio::test]
async fn a_payment_lives_at_the_stripe_on_localhost() {
    let stripe = StripeSandbox::start().await.unwrap();
    live_and_cancel(stripe.url().to_string().trim_end_matches('/'), StripeSandbox::API_KEY).await;
    assert_eq!(stripe.ledger().len(), 3);
}

#[tokio::test]
#[ignore = "needs STRIPE_TEST_KEY, and Stripe"]
async fn a_payment_lives_at_stripe_itself() {
    #[allow(clippy::disallowed_methods, reason = "a key is given to this test alone")]
    let key = std::env::var("STRIPE_TEST_KEY").unwrap();
    assert!(key.starts_with("sk_test_"), "no money moves in test mode alone");
    live_and_cancel(StripeAccount::URL, &key).await;
}

async fn live_and_cancel(url: &str, key: &str) {
    let world = World::at(url, key, &authorized(url, key).await).await;
    assert_eq!(world.act("capture-1", capture(60)).await.unwrap(), APPROVED);
    assert_eq!(world.balances().await, [0, 60, 40, 60, 0]);
    assert_eq!(world.act("refund-1", refund(20)).await.unwrap(), APPROVED);
    assert_eq!(world.balances().await, [0, 60, 40, 40, 20]);

    // What an invocation sent that died before it heard the answer, is sent again.
    let world = World::at(url, key, &authorized(url, key).await).await;
    world.crash("cancel-1", Action::Cancel).await;
    world.recover_after(2 * MINUTE).await;
    assert_eq!(world.state("cancel-1").await, Some(State::Success));
    assert_eq!(world.balances().await, [0, 0, 100, 0, 0]);
}

/// A PaymentIntent of 1.00 EUR that is authorized with Stripe's test card.
async fn authorized(url: &str, key: &str) -> String {
    let form = "amount=100&currency=eur&capture_method=manual&confirm=true\
                &payment_method=pm_card_visa&payment_method_types[0]=card";
    let intent: Value = post(url, key, "payment_intents", form).await;
    assert_eq!(intent["status"], "requires_capture", "{intent}");
    intent["id"].as_str().unwrap().to_owned()
}
