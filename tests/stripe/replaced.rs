//! Settings that change while a transaction is Unknown: a connector over HTTP is replaced by
//! calls to Stripe, or the other way round. The new one knows nothing of what the old one
//! was sent.

use crate::support::payments::{capture, refund};
use crate::world::{MINUTE, World, dashboard};
use StripeFault::{ErrorWithoutActing, LostAnswer};
use payment_intents::connector::{Authorization, ConnectorSettings};
use payment_intents::local::stripe::{StripeFault, StripeSandbox};
use payment_intents::payment::{Action, State};
use payment_intents::ports::{Policy, Rejections, Resend};
use payment_intents::service::ActError;

const DAY: u64 = 21 * 60 * MINUTE;

/// A connector over HTTP whose answers prove nothing.
fn connector(stripe: &StripeSandbox) -> ConnectorSettings {
    ConnectorSettings {
        url: stripe.url(),
        timeout_ms: 1_000,
        authorization: Authorization::None,
        projects: None,
        policy: Policy { rejected: Rejections::Unproven, ..Policy::default() },
        platform: None,
        psp: None,
    }
}

/// A world in which a connector over HTTP was sent this action, and its answer was lost.
async fn lost_by_a_connector(before: Option<Action>, action: Action) -> World {
    let mut world = World::new().await;
    if let Some(before) = before {
        world.act("before", before).await.unwrap();
    }
    let stripe = world.stripe.settings(1_000);
    world.replace_connector(connector(&world.stripe));
    world.lose("t", action).await;
    world.replace_connector(stripe);
    world
}

fn posts(world: &World) -> usize {
    world.stripe.requests().iter().filter(|(line, _)| line.starts_with("POST ")).count()
}

#[tokio::test]
async fn what_a_connector_was_sent_is_not_sent_to_stripe_nor_disproved_by_it() {
    for (before, action) in
        [(None, capture(40)), (None, Action::Cancel), (Some(capture(100)), refund(30))]
    {
        let world = lost_by_a_connector(before, action.clone()).await;
        let sent = posts(&world);
        world.recover_after(MINUTE).await;
        let again = world.act("t", action.clone()).await;
        assert!(matches!(again, Err(ActError::OutcomeUnknown { replayed: true })), "{again:?}");
        world.recover_after(DAY).await;
        assert_eq!(world.state("t").await, Some(State::Unknown), "{action:?}");
        assert_eq!(posts(&world), sent, "{action:?}");
    }
}

/// A connector that hands our id on makes the mark that Stripe shows.
#[tokio::test]
async fn what_a_connector_was_sent_is_found_at_stripe_by_our_id() {
    let world = lost_by_a_connector(Some(capture(100)), refund(30)).await;
    let form = "payment_intent=pi_p&amount=30&metadata[t]=refund 30";
    dashboard(&world.stripe, "refunds", form).await;
    world.recover_after(DAY).await;
    assert_eq!(world.state("t").await, Some(State::Success));
    assert_eq!(world.balances().await, [0, 100, 0, 70, 30]);
}

#[tokio::test]
async fn what_stripe_was_sent_is_not_sent_to_a_connector() {
    let mut world = World::new().await;
    world.stripe.plan(&[LostAnswer]);
    world.lose("t", capture(40)).await;
    let sent = world.stripe.requests().len();
    let resend = Resend::SameKey { window_ms: DAY };
    let keyed = Policy { resend, ..Policy::default() };
    let stripe = world.stripe.settings(1_000);
    world.replace_connector(ConnectorSettings { policy: keyed, ..connector(&world.stripe) });
    world.recover_after(MINUTE).await;
    assert_eq!(world.stripe.requests().len(), sent);
    assert_eq!(world.state("t").await, Some(State::Unknown));
    // Stripe itself still knows the key.
    world.replace_connector(stripe);
    world.recover_after(2 * MINUTE).await;
    assert_eq!(world.state("t").await, Some(State::Success));
    assert_eq!(world.effects().len(), 1);
}

/// The process dies between its two writes: what the first one recorded decides.
#[tokio::test]
async fn a_process_that_dies_leaves_a_record_of_where_it_sent_the_transaction() {
    let mut world = World::new().await;
    world.crash("t", capture(40)).await;
    let stripe = world.stripe.settings(1_000);
    let keyed = Policy { resend: Resend::SameKey { window_ms: DAY }, ..Policy::default() };
    world.replace_connector(ConnectorSettings { policy: keyed, ..connector(&world.stripe) });
    world.recover_after(MINUTE).await;
    assert_eq!((world.state("t").await, posts(&world)), (Some(State::Unknown), 0));
    world.replace_connector(stripe);
    world.stripe.plan(&[ErrorWithoutActing]);
    world.recover_after(2 * MINUTE).await;
    assert_eq!((world.state("t").await, posts(&world)), (Some(State::Unknown), 1));

    let world = World::new().await;
    world.crash("t", capture(40)).await;
    world.recover_after(MINUTE).await;
    assert_eq!(world.state("t").await, Some(State::Success));
}
