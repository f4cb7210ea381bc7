//! The events of a life in any order and any number of times: the same end.

use crate::support::payments::{capture, refund};
use crate::support::random::Random;
use crate::world::{DAY, PAYMENT, World, is_recorded};
use payment_intents::payment::{State, TransactionKind};
use serde_json::Value;

const SEEDS: u64 = 8;

type End = ([u64; 5], Vec<(TransactionKind, State, u64)>);

/// Delivers all events twice in an order that follows from the seed.
async fn end_in_order_of(world: &World, seed: u64) -> End {
    let events = world.adyen.events();
    let mut random = Random::new(seed, 0);
    let mut order: Vec<&Value> = events.iter().chain(&events).collect();
    for at in (1..order.len()).rev() {
        order.swap(at, random.index(at + 1));
    }
    for event in order {
        let taken = world.deliver(event).await;
        assert!(is_recorded(&taken), "{event} {taken:?}");
        world.payment().await.check().unwrap();
    }
    let payment = world.payment().await;
    assert_eq!(payment.discrepancies().count(), 0, "seed {seed}: {:#?}", payment.transactions);
    let mut end: Vec<_> = payment
        .transactions
        .values()
        .map(|one| (one.kind, one.state, one.amount.minor_units()))
        .collect();
    end.sort();
    (world.balances().await, end)
}

#[tokio::test]
async fn captures_refunds_and_disputes_come_to_the_same_end() {
    use TransactionKind::{Authorization, Charge, Chargeback, Refund};
    for seed in 0..SEEDS {
        let world = World::with(true).await;
        let adyen = &world.adyen;
        adyen.add_event("AUTHORISATION", PAYMENT, None, 100, true);
        world.act("c", capture(60)).await.unwrap();
        let ours = world.psp_reference("CAPTURE");
        let theirs = adyen.customer_area(PAYMENT, "captures", 30);
        // More than is left: Adyen says so later.
        world.act("d", capture(5)).await.unwrap();
        let fails = world.psp_reference("CAPTURE");
        world.advance(DAY);
        for at_scheme in [&ours, &theirs, &fails] {
            adyen.fail(at_scheme);
            world.advance(DAY);
        }
        adyen.try_again(&ours);
        world.advance(DAY);
        // Nothing is known here of the captures, so refunds are asked for elsewhere.
        let refunds = [7, 7, 8].map(|amount| adyen.customer_area(PAYMENT, "refunds", amount));
        world.advance(DAY);
        adyen.fail(&refunds[0]);
        adyen.reverse_refund(&refunds[2]);
        adyen.customer_area(PAYMENT, "refunds", 1_000);
        for code in ["CHARGEBACK", "CHARGEBACK_REVERSED", "SECOND_CHARGEBACK"] {
            world.advance(DAY);
            adyen.add_event(code, PAYMENT, Some("DISPUTE000000001"), 9, true);
        }
        for code in ["CHARGEBACK", "CHARGEBACK_REVERSED"] {
            world.advance(DAY);
            adyen.add_event(code, PAYMENT, Some("DISPUTE000000002"), 9, true);
        }
        let (balances, transactions) = end_in_order_of(&world, seed).await;
        assert_eq!(balances, [5, 60, 0, 37, 16], "seed {seed}");
        assert_eq!(
            transactions,
            [
                (Authorization, State::Success, 100),
                (Charge, State::Pending, 5),
                (Charge, State::Pending, 30),
                (Charge, State::Success, 60),
                (Refund, State::Pending, 7),
                (Refund, State::Success, 7),
                (Refund, State::Failure, 8),
                (Chargeback, State::Success, 9),
                (Chargeback, State::Failure, 9),
            ],
            "seed {seed}"
        );
    }
}

/// Adyen cancels the rest with the first capture, also if that fails later.
#[tokio::test]
async fn the_released_rest_comes_to_the_same_end() {
    for is_recaptured in [false, true] {
        for seed in 0..SEEDS {
            let world = World::new().await;
            world.act("c", capture(40)).await.unwrap();
            let charge = world.psp_reference("CAPTURE");
            world.advance(DAY);
            world.adyen.fail(&charge);
            world.advance(DAY);
            let expected = match is_recaptured {
                true => {
                    world.adyen.try_again(&charge);
                    [0, 40, 60, 40, 0]
                }
                false => [0, 0, 60, 0, 0],
            };
            let (balances, _) = end_in_order_of(&world, seed).await;
            assert_eq!(balances, expected, "seed {seed}");
        }
    }
}

#[tokio::test]
async fn our_refunds_come_to_the_same_end() {
    for seed in 0..SEEDS {
        let world = World::new().await;
        world.done("c", capture(100)).await;
        world.act("r", refund(30)).await.unwrap();
        world.act("s", refund(30)).await.unwrap();
        let fails = world.psp_reference("REFUND");
        world.adyen.customer_area(PAYMENT, "refunds", 30);
        world.advance(DAY);
        world.adyen.fail(&fails);
        let (balances, _) = end_in_order_of(&world, seed).await;
        assert_eq!(balances, [0, 100, 0, 10, 60], "seed {seed}");
        assert_eq!(world.state("r").await, Some(State::Success));
        assert_eq!(world.state("s").await, Some(State::Pending));
    }
}
