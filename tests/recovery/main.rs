//! Unknown outcomes: no second effect, no guess, and none stays open for ever. Over a real
//! DynamoDB API and real HTTP, with a clock that the test moves.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that cannot start has failed"
)]
#![allow(unreachable_pub, reason = "the modules belong to one suite")]

mod lookup;
mod operator;
mod outage;
mod platform;
#[path = "../support/mod.rs"]
mod support;

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::join_all;
use payment_intents::payment::{Payment, Refusal, State};
use payment_intents::ports::{Clock, Policy, Rejections, Store};
use payment_intents::recovery::{ConnectorRun, RecoveryRun};
use payment_intents::service::ActError;
use platform::world::{APPROVED, KEYED, MINUTE, OPAQUE, UNTRUSTED, World};
use platform::{Reply, Role, error, outcome};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use support::payments::{AUTHORIZED, at, capture, eur, id, key, nonce, registered};

#[tokio::test]
async fn an_unknown_outcome_of_an_opaque_connector_stays_held_and_is_never_sent_again() {
    let world = World::new(OPAQUE).await;
    world.lose("t", capture(60)).await;
    let began = world.clock.now();
    let mut looked_at = began;
    for minutes in [1, 2, 5, 15, 60, 60, 60] {
        let due = looked_at.plus_ms(minutes * MINUTE);
        world.clock.set(due.minus_ms(1));
        world.recover().await;
        assert_eq!(world.look_at().await, Some(due), "{minutes} min");
        world.clock.set(due);
        let connector = ConnectorRun { due: 1, ..ConnectorRun::default() };
        let expected = RecoveryRun {
            payments: 1,
            open: 1,
            unknown: 1,
            oldest_unknown_ms: due.ms_since(began),
            connectors: BTreeMap::from([("*".to_owned(), connector)]),
            ..RecoveryRun::default()
        };
        assert_eq!(world.recover().await, expected);
        let repeated = world.act("t", capture(60)).await;
        let unknown = matches!(repeated, Err(ActError::OutcomeUnknown { replayed: true }));
        assert!(unknown, "{repeated:?}");
        looked_at = due;
    }
    assert_eq!(world.state("t").await, Some(State::Unknown));
    assert_eq!(world.payment().await.balances.capturable, eur(40));
    assert_eq!(world.sent(), ["t"]);
    assert_eq!(world.act("other", capture(40)).await.unwrap(), APPROVED);
}

#[tokio::test]
async fn after_a_crash_a_connector_that_honours_keys_is_sent_the_same_key_once_more() {
    for by_caller in [false, true] {
        let world = World::new(KEYED).await;
        world.crash("p", "t", capture(60)).await;
        world.clock.advance(33_000);
        let report = world.recover().await;
        assert_eq!((report.open, report.unknown, report.resolved), (1, 0, 0));
        for (transaction, amount) in [("t", 60), ("other", 40)] {
            let acted = world.act(transaction, capture(amount)).await;
            let busy = matches!(
                acted,
                Err(ActError::Refused(Refusal::OtherInFlight | Refusal::SameInFlight { .. }))
            );
            assert!(busy, "{acted:?}");
        }
        assert_eq!((world.state("t").await, world.sent().len()), (Some(State::Initial), 0));

        world.clock.advance(1);
        let (store, (seen, mut slot)) =
            (world.table.store.clone(), tokio::sync::oneshot::channel());
        world.server.during(async move {
            seen.send(store.get(&key("p")).await.unwrap().unwrap().in_flight).unwrap();
        });
        if by_caller {
            assert_eq!(world.act("t", capture(60)).await.unwrap(), APPROVED);
        } else {
            let connector = ConnectorRun { due: 1, resolved: 1, oldest_due_ms: 1, left_out: 0 };
            let expected = RecoveryRun {
                payments: 1,
                resolved: 1,
                oldest_due_ms: 1,
                connectors: BTreeMap::from([("*".to_owned(), connector)]),
                ..RecoveryRun::default()
            };
            assert_eq!(world.recover().await, expected);
        }
        let slot = slot.try_recv().unwrap().unwrap();
        let lease = world.clock.now().plus_ms(20_000 + 5_000);
        assert_eq!((slot.attempt, slot.lease), (2, lease));
        assert_eq!(
            (world.state("t").await, world.sent()),
            (Some(State::Success), vec!["t".into()])
        );
        assert_eq!(world.payment().await.balances.captured, eur(60));
        assert_eq!(world.look_at().await, None);
    }
}

#[tokio::test]
async fn a_resend_settles_only_outcomes_that_it_proves() {
    const REFUSED: &str = "http://127.0.0.1:1";
    let untrusted = Policy { rejected: Rejections::Unproven, ..KEYED };
    for (answer, policy, url, expected) in [
        (outcome("approved"), KEYED, None, State::Success),
        (outcome("received"), KEYED, None, State::Pending),
        (outcome("rejected"), KEYED, None, State::Failure),
        (outcome("rejected"), untrusted, None, State::Unknown),
        (error(400, "InvalidField"), KEYED, None, State::Unknown),
        (error(404, "ResourceNotFound"), KEYED, None, State::Unknown),
        (error(401, "invalid_token"), KEYED, None, State::Unknown),
        (error(500, "General"), KEYED, None, State::Unknown),
        (Reply::Drop, KEYED, None, State::Unknown),
        (Reply::Silence, KEYED, None, State::Unknown),
        (outcome("approved"), KEYED, Some(REFUSED), State::Unknown),
    ] {
        let world = World::with(policy.clone(), |settings| {
            settings.url = url.map_or(settings.url.clone(), |url| url.parse().unwrap());
        });
        let world = world.await;
        world.crash("p", "t", capture(60)).await;
        world.server.next(Role::Connector, answer.clone());
        world.clock.advance(34_000);
        let report = world.recover().await;
        assert_eq!(world.state("t").await, Some(expected), "{answer:?}");
        let is_unknown = expected == State::Unknown;
        assert_eq!(report.unknown, u64::from(is_unknown), "{answer:?}");
        let payment = world.payment().await;
        let free = if expected == State::Failure { 100 } else { 40 };
        assert_eq!(payment.balances.capturable, eur(free), "{answer:?}");
        assert_eq!(payment.in_flight, None, "{answer:?}");
        if is_unknown && url.is_none() && policy == KEYED {
            // A repeat with the same key gets the resolved outcome.
            world.clock.advance(2 * MINUTE);
            assert_eq!(world.recover().await.resolved, 1, "{answer:?}");
            assert_eq!(world.sent(), ["t", "t"], "{answer:?}");
        }
    }
}

#[tokio::test]
async fn past_the_time_in_which_keys_are_honoured_nothing_is_sent_again() {
    for (age_ms, sent) in [(1_200 * MINUTE - 1, 1), (1_200 * MINUTE, 0)] {
        for by_caller in [false, true] {
            let world = World::new(KEYED).await;
            world.crash("p", "t", capture(60)).await;
            world.clock.advance(age_ms);
            if by_caller {
                let repeated = world.act("t", capture(60)).await;
                assert_eq!(repeated.is_ok(), sent == 1, "{repeated:?}");
            } else {
                assert_eq!(world.recover().await.resolved, sent);
            }
            assert_eq!(u64::try_from(world.sent().len()).unwrap(), sent, "{age_ms} ms");
        }
    }
}

#[tokio::test]
async fn where_rejections_prove_nothing_every_rejection_leaves_the_outcome_unknown() {
    for answer in [
        outcome("rejected"),
        error(400, "InvalidOperation"),
        error(400, "InvalidField"),
        error(400, "RequiredField"),
        error(404, "ResourceNotFound"),
        error(401, "invalid_token"),
    ] {
        let world = World::new(UNTRUSTED).await;
        world.server.next(Role::Connector, answer.clone());
        let acted = world.act("t", capture(60)).await;
        let unknown = matches!(acted, Err(ActError::OutcomeUnknown { replayed: false }));
        assert!(unknown, "{answer:?}: {acted:?}");
        assert_eq!(world.state("t").await, Some(State::Unknown), "{answer:?}");
        assert_eq!(world.payment().await.balances.capturable, eur(40), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn four_parallel_recoveries_resend_each_transaction_once() {
    // The timeout is long, so that a busy machine does not end a call.
    let world = World::with(KEYED, |settings| settings.timeout_ms = 20_000).await;
    world.crashes(20).await;
    world.clock.advance(34_000);
    let runs = (0..4).map(|_| {
        let (service, deadline) = (Arc::clone(&world.service), world.clock.now().plus_ms(20_000));
        tokio::spawn(async move { service.recover(deadline, nonce).await.unwrap() })
    });
    for report in join_all(runs).await {
        assert_eq!(report.unwrap().failed, 0);
    }
    let mut sent = world.sent();
    sent.sort();
    let mut expected: Vec<_> = (0..20).map(|n| format!("t{n}")).collect();
    expected.sort();
    assert_eq!(sent, expected);
    for n in 0..20 {
        let payment = world.table.store.get(&key(&format!("p{n}"))).await.unwrap().unwrap();
        assert_eq!(payment.transactions[&id(&format!("t{n}"))].state, State::Success);
        assert_eq!(payment.balances.captured, eur(60));
    }
    assert_eq!(world.indexed().await, []);
}

#[tokio::test]
async fn a_run_without_time_left_reports_that_and_the_next_one_continues() {
    let world = World::with(KEYED, |settings| settings.timeout_ms = 20_000).await;
    world.crashes(20).await;
    world.clock.advance(34_000);
    world.server.takes(4_000);
    let first = world.recover_within(12_000).await;
    assert!(first.is_cut_short && first.resolved < 20, "{first:?}");
    let mut resolved = first.resolved;
    for _ in 0..20 {
        // A transaction whose call began too late is due again later.
        world.clock.advance(2 * MINUTE);
        resolved += world.recover_within(12_000).await.resolved;
    }
    assert_eq!(resolved, 20);
    assert_eq!(world.sent().iter().collect::<BTreeSet<_>>().len(), 20);
    assert_eq!(world.sent().len(), 20);
}

/// Effects by hand, by other software, or by a bug.
#[tokio::test]
async fn an_item_that_cannot_be_read_does_not_stop_the_others() {
    for (damaged, failed) in [("demo#p1", 1), ("no project", 0)] {
        let world = World::new(KEYED).await;
        world.crashes(3).await;
        let number = |digits: &str| AttributeValue::N(digits.to_owned());
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let update = world.table.client.update_item().table_name(&world.table.name);
        let update = update.key("pk", text(damaged)).key("sk", text("payment"));
        let update = update.update_expression(
            "SET capturable = :amount, recover_shard = :shard, recover_at = :first",
        );
        let update = update.expression_attribute_values(":amount", number("99"));
        let update = update.expression_attribute_values(":shard", text("0"));
        update.expression_attribute_values(":first", number("1")).send().await.unwrap();
        world.clock.advance(34_000);
        let recovered = world.service.recover(world.clock.now().plus_ms(20_000), nonce).await;
        let report = recovered.map_err(|error| format!("{damaged}: {error:?}")).unwrap();
        assert_eq!((report.failed, report.resolved), (failed, 3 - failed), "{damaged}");
    }
}

#[tokio::test]
async fn the_index_lists_exactly_the_open_payments_and_the_first_due_first() {
    let world = World::new(OPAQUE).await;
    assert_eq!(world.indexed().await, []);
    let act = async |payment: &str| {
        world.table.store.create(&registered(payment, AUTHORIZED)).await.unwrap();
        let _ = world.act_on(payment, "t", capture(60)).await;
        world.table.store.get(&key(payment)).await.unwrap().unwrap()
    };
    for (n, (answer, is_open)) in [
        (Reply::Drop, true),
        (outcome("received"), true),
        (outcome("approved"), false),
        (outcome("rejected"), false),
        (error(400, "InvalidField"), false),
    ]
    .into_iter()
    .enumerate()
    {
        world.server.next(Role::Connector, answer.clone());
        let payment = act(&format!("ends-{n}")).await;
        let listed = world.indexed().await.contains(&payment.key);
        assert_eq!((payment.recover_at().is_some(), listed), (is_open, is_open), "{answer:?}");
    }
    // More than one page in each shard, written out of order.
    let mut expected: Vec<Payment> = Vec::new();
    for n in [7, 3, 11, 1, 5, 9, 2, 10, 4, 12, 6, 8] {
        world.clock.set(at(n * MINUTE));
        world.server.next(Role::Connector, Reply::Drop);
        expected.push(act(&format!("open-{n}")).await);
    }
    expected.sort_by_key(Payment::recover_at);
    let expected: Vec<_> = expected.into_iter().map(|payment| payment.key).collect();
    let open = world.indexed().await;
    assert_eq!((&open[..12], open.len()), (&expected[..], 14));
}
