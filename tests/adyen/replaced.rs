//! Settings that change while a transaction is Unknown: Adyen is called in another region,
//! or for another merchant account. There the key of the transaction is not known.

use crate::support::payments::{capture, refund};
use crate::world::{MINUTE, PAYMENT, TIMEOUT_MS, World};
use payment_intents::connector::Psp;
use payment_intents::local::adyen::{AdyenFault, AdyenSandbox};
use payment_intents::payment::State;
use payment_intents::service::ActError;

/// The failover to another region comes just when something is Unknown.
#[tokio::test]
async fn what_one_region_was_sent_is_not_sent_to_another() {
    let mut world = World::new().await;
    world.done("c", capture(100)).await;
    world.adyen.plan(&[AdyenFault::LostAnswer]);
    world.lose("r", refund(30)).await;
    let other = AdyenSandbox::start().await.unwrap();
    other.authorize(PAYMENT, 100, "EUR", false);
    other.customer_area(PAYMENT, "captures", 100);
    let ours = world.adyen.settings(TIMEOUT_MS);
    world.replace_connector(other.settings(TIMEOUT_MS));
    world.recover_after(MINUTE).await;
    let again = world.act("r", refund(30)).await;
    assert!(matches!(again, Err(ActError::OutcomeUnknown { replayed: true })), "{again:?}");
    assert_eq!((world.state("r").await, other.requests().len()), (Some(State::Unknown), 0));
    // What is new goes there.
    world.act("s", refund(10)).await.unwrap();
    assert_eq!(other.requests().len(), 1);
    // The first region still knows the key.
    world.replace_connector(ours);
    world.recover_after(2 * MINUTE).await;
    assert_eq!(world.state("r").await, Some(State::Pending));
    assert_eq!(world.effects().len(), 2);
}

#[tokio::test]
async fn what_one_merchant_account_was_sent_is_not_sent_to_another() {
    let mut world = World::new().await;
    world.adyen.plan(&[AdyenFault::LostAnswer]);
    world.lose("t", capture(40)).await;
    let sent = world.adyen.requests().len();
    let mut other = world.adyen.settings(TIMEOUT_MS);
    if let Some(Psp::Adyen(account)) = &mut other.psp {
        account.merchant_account = "OtherShop".to_owned();
        other.policy = account.policy(&other.url);
    }
    world.replace_connector(other);
    world.recover_after(MINUTE).await;
    assert_eq!(world.state("t").await, Some(State::Unknown));
    assert_eq!(world.adyen.requests().len(), sent);
}

/// A new API key, or a new version of the API, is the same account.
#[tokio::test]
async fn another_version_of_the_api_knows_the_key() {
    let mut world = World::new().await;
    world.adyen.plan(&[AdyenFault::LostAnswer]);
    world.lose("t", capture(40)).await;
    let mut other = world.adyen.settings(TIMEOUT_MS);
    let newer = other.url.to_string().replace("v71", "v72");
    if let Some(Psp::Adyen(account)) = &mut other.psp {
        other.url = newer.parse().unwrap();
        other.policy = account.policy(&other.url);
    }
    let sent = world.adyen.requests().len();
    world.replace_connector(other);
    world.recover_after(MINUTE).await;
    assert_eq!(world.adyen.requests().len(), sent + 1);
}
