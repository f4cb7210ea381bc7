//! The Adyen that is called directly: it fails now and then, and its webhooks come to
//! processes that may be killed meanwhile.

use crate::support::lambda::events::{event, with};
use crate::support::random::Random;
use crate::{DEADLINE_MS, QUIET, World};
use payment_intents::local::adyen::{AdyenFault, AdyenSandbox};
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// Lets calls to Adyen fail now and then: it acts without an answer or with an error, does
/// not get the request, is slow, or cannot look up its keys.
pub async fn fail(world: Arc<World>, mut random: Random, until: Instant) {
    while Instant::now() < until {
        sleep(Duration::from_millis(random.below(300))).await;
        let fault = random.one_of(&[
            AdyenFault::LostAnswer,
            AdyenFault::LostRequest,
            AdyenFault::ErrorAfterActing,
            AdyenFault::Transient,
            AdyenFault::Slow(300),
        ]);
        if !world.adyen.has_plan() {
            world.adyen.plan(&[fault]);
        }
    }
}

/// Delivers the events in a random order, each until it is accepted, and some once more.
/// Returns the number of those that were not accepted in the end.
pub async fn deliver(world: Arc<World>, mut random: Random, killed_until: Instant) -> usize {
    let mut known = 0;
    let mut due: Vec<Value> = Vec::new();
    loop {
        let events = world.adyen.events();
        due.extend(events.iter().skip(known).cloned());
        known = events.len();
        let is_over = Instant::now() > killed_until;
        if due.is_empty() && is_over && world.is_settled().await
            || Instant::now() > killed_until + QUIET
        {
            return due.len();
        }
        if due.is_empty() {
            sleep(Duration::from_millis(20)).await;
            continue;
        }
        let item = due.swap_remove(random.index(due.len()));
        let is_accepted = post(&world, &mut random, &item).await;
        if !is_accepted || random.percent(10) && !is_over {
            due.push(item);
        }
    }
}

/// Delivers an event once. Returns true if it was accepted.
async fn post(world: &World, random: &mut Random, item: &Value) -> bool {
    let body = AdyenSandbox::notification(std::slice::from_ref(item)).to_string();
    let event = with(event("webhook"), "/rawPath", "/demo/webhooks/adyen");
    let event = with(event, "/body", body).to_string();
    let lambda = random.one_of(&[&world.lambdas[0], &world.lambdas[1]]);
    let Some(Ok(answer)) = lambda.invoke(DEADLINE_MS, event).await else { return false };
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    answer["body"] == "[accepted]"
}
