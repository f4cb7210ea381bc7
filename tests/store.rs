//! The store against a real DynamoDB API: its conditions agree with the rules of the
//! ledger, and an item keeps every field of a Payment.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot start has failed"
)]

mod support;

use TransactionKind::{Authorization, Charge};
use aws_sdk_dynamodb::types::AttributeValue;
use payment_intents::payment::{
    Action, DirectPsps, Nonce, Outcome, Payment, PaymentKey, Refusal, Report, Reporter,
    Reservation, Settlement, State, TransactionKind, Update,
};
use payment_intents::ports::{CreateError, ReplaceError, ReserveError, Store, StoreError};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use support::dynamo::{Table, table};
use support::payments::{
    AUTHORIZED, CAPTURED_IN_FULL, any_action, any_details, any_past, any_payment,
    any_step_or_report, at, capture, eur, id, key, refund, registered, reservation, walk,
};
use tokio::runtime::Runtime;
use uuid::Uuid;

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Runs `check` on random cases, with one table.
fn for_all<S: Strategy>(
    cases: u32,
    strategy: S,
    check: impl AsyncFn(&Table, S::Value) -> Result<(), TestCaseError>,
) {
    let runtime = runtime();
    let table = runtime.block_on(table());
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new(config).run(&strategy, |value| runtime.block_on(check(&table, value))).unwrap();
}

/// The same Payment under a new key.
fn with_new_key(mut payment: Payment) -> Payment {
    payment.key = key(&Uuid::new_v4().to_string());
    payment
}

fn reservation_on(payment: &Payment, mut reservation: Reservation) -> Reservation {
    reservation.key = payment.key.clone();
    reservation
}

#[test]
fn a_payment_comes_back_as_it_was_written() {
    for_all(150, (any_payment(), any_details()), async |table, (payment, details)| {
        let payment = Payment { details, ..with_new_key(payment) };
        table.store.create(&payment).await.unwrap();
        let found = table.store.get(&payment.key).await.unwrap();
        prop_assert_eq!(found, Some(payment));
        Ok(())
    });
}

#[test]
fn every_change_is_written_completely() {
    let steps = prop::collection::vec(any_step_or_report(), 1..12);
    for_all(60, (any_past(), steps), async |table, (past, steps)| {
        let start = with_new_key(past);
        table.store.create(&start).await.unwrap();
        let mut changes = Vec::new();
        walk(start, &steps, |before, after| changes.push((before.clone(), after.clone())));
        for (before, after) in changes {
            table.store.replace(&before, &after).await.unwrap();
            let found = table.store.get(&after.key).await.unwrap();
            prop_assert_eq!(table.recover_at(&after).await, after.recover_at());
            prop_assert_eq!(found, Some(after));
        }
        Ok(())
    });
}

/// The rules exist twice: as conditions of the table, and in the ledger. This compares
/// both, with the reason for each refusal.
#[test]
fn the_conditions_and_the_rules_agree() {
    let asked = (0_u8..6, any_action());
    for_all(400, (any_payment(), asked), async |table, (payment, (transaction, action))| {
        let mut payment = with_new_key(payment);
        let interfaces = [None, Some("keyed"), Some("other")];
        let interface = interfaces[usize::from(transaction) % 3].map(str::to_owned);
        payment.details.payment_interface = interface;
        table.store.create(&payment).await.unwrap();
        let mut asked = reservation(&format!("key-{transaction}"), 1 << 64, action, at(20_000));
        let psps = [("keyed", "stripe"), ("other", ""), ("*", "adyen")];
        let psps = psps.map(|(interface, psp)| (interface.to_owned(), psp.to_owned()));
        asked.psps = DirectPsps::new(psps.into());
        let asked = reservation_on(&payment, asked);
        let expected = payment.reserve(&asked);
        match table.store.reserve(&asked).await {
            Ok(reserved) => {
                prop_assert_eq!(Ok(&reserved), expected.as_ref());
                prop_assert_eq!(table.store.get(&payment.key).await.unwrap(), Some(reserved));
            }
            Err(ReserveError::Refused { found, .. }) => {
                prop_assert_eq!(&*found, &payment);
                // The condition tries a reversal only as a cancel.
                let as_refund = asked.action == Action::Reverse && expected.is_ok();
                prop_assert!(as_refund || expected.is_err(), "{expected:?}");
                prop_assert_eq!(table.store.get(&payment.key).await.unwrap(), Some(payment));
            }
            Err(error) => prop_assert!(false, "{error:?}"),
        }
        Ok(())
    });
}

#[test]
fn a_full_payment_is_refused_by_the_condition_too() {
    runtime().block_on(async {
        let table = table().await;
        let mut payment = registered("full", &[(Authorization, State::Success, 1); 49]);
        table.store.create(&payment).await.unwrap();
        for n in 0..2_u128 {
            let asked = reservation(&format!("t{n}"), n, capture(1), at(1));
            let asked = reservation_on(&payment, asked);
            match table.store.reserve(&asked).await {
                Ok(reserved) if n == 0 => payment = settle(&table, &asked, &reserved).await,
                Err(ReserveError::Refused { found, .. }) if n == 1 => {
                    assert_eq!(found.admit(&asked), Err(Refusal::TooManyTransactions));
                }
                other => panic!("{n}: {other:?}"),
            }
        }
    });
}

/// Settles the reservation as approved.
async fn settle(table: &Table, asked: &Reservation, reserved: &Payment) -> Payment {
    let settled = reserved.settle(&asked.transaction, &asked.nonce, Outcome::Approved, at(2));
    let Ok(Settlement::Changed(next)) = settled else { panic!("{settled:?}") };
    table.store.replace(reserved, &next).await.unwrap();
    *next
}

#[test]
fn of_fifty_parallel_reservations_one_is_made() {
    runtime().block_on(async {
        let table = table().await;
        let payment = registered("race", AUTHORIZED);
        table.store.create(&payment).await.unwrap();
        let attempts: Vec<_> = (0..50_u128)
            .map(|n| {
                let asked =
                    reservation_on(&payment, reservation(&format!("t{n}"), n, capture(100), at(1)));
                let store = table.store.clone();
                tokio::spawn(async move { store.reserve(&asked).await })
            })
            .collect();
        let mut made = 0;
        for attempt in attempts {
            match attempt.await.unwrap() {
                Ok(reserved) => {
                    made += 1;
                    assert_eq!(reserved.balances.capturable, eur(0));
                }
                Err(ReserveError::Refused { found, .. }) => assert!(found.in_flight.is_some()),
                Err(error) => panic!("{error:?}"),
            }
        }
        assert_eq!(made, 1);
    });
}

#[test]
fn a_repeated_write_is_recognised() {
    runtime().block_on(async {
        let table = table().await;
        let payment = registered("again", AUTHORIZED);
        table.store.create(&payment).await.unwrap();
        table.store.create(&payment).await.unwrap();
        for action in [capture(40), Action::Cancel] {
            let payment = with_new_key(payment.clone());
            table.store.create(&payment).await.unwrap();
            let asked = reservation_on(&payment, reservation("t", 7, action, at(1)));
            let first = table.store.reserve(&asked).await.unwrap();
            let second = table.store.reserve(&asked).await.unwrap();
            assert_eq!(first, second);
            let settled = settle(&table, &asked, &first).await;
            table.store.replace(&first, &settled).await.unwrap();
            // Another attempt with the same transaction is not a repeat of that write.
            let other = Reservation { nonce: Nonce::new(8), ..asked };
            let refused = table.store.reserve(&other).await;
            assert!(matches!(refused, Err(ReserveError::Refused { .. })), "{refused:?}");
        }
    });
}

#[test]
fn a_withdrawn_reservation_is_refused_when_it_arrives_late() {
    runtime().block_on(async {
        let table = table().await;
        let payment = registered("fenced", AUTHORIZED);
        table.store.create(&payment).await.unwrap();
        let asked = reservation_on(&payment, reservation("t", 7, capture(100), at(1)));
        let later = Reservation { at: at(2), nonce: Nonce::new(8), ..asked.clone() };
        let fenced = payment.withdraw(&asked, at(2)).unwrap();
        table.store.replace(&payment, &fenced).await.unwrap();
        // A second withdrawal does not make the first reservation valid again.
        let twice = fenced.withdraw(&later, at(3)).unwrap();
        table.store.replace(&fenced, &twice).await.unwrap();
        for late in [&asked, &later] {
            match table.store.reserve(late).await {
                Err(ReserveError::Refused { found, .. }) => {
                    assert_eq!(found.admit(late), Err(Refusal::PossiblyStaleCopy));
                }
                other => panic!("{other:?}"),
            }
        }
        let again = Reservation { at: at(4), nonce: Nonce::new(9), ..asked };
        table.store.reserve(&again).await.unwrap();
    });
}

#[test]
fn an_existing_payment_is_not_overwritten() {
    runtime().block_on(async {
        let table = table().await;
        let payment = registered("taken", AUTHORIZED);
        table.store.create(&payment).await.unwrap();
        let other = registered("taken", CAPTURED_IN_FULL);
        assert!(matches!(table.store.create(&other).await, Err(CreateError::Exists)));
        assert_eq!(table.store.get(&payment.key).await.unwrap(), Some(payment));
    });
}

#[test]
fn a_change_of_an_outdated_payment_returns_the_current_one() {
    runtime().block_on(async {
        let table = table().await;
        let start = registered("stale", CAPTURED_IN_FULL);
        table.store.create(&start).await.unwrap();
        let step = |n, amount| {
            let asked = reservation(&format!("t{n}"), n, refund(amount), at(1));
            start.reserve(&reservation_on(&start, asked)).unwrap()
        };
        let (first, second) = (step(1, 10), step(2, 20));
        table.store.replace(&start, &first).await.unwrap();
        match table.store.replace(&start, &second).await {
            Err(ReplaceError::Changed(found)) => assert_eq!(*found, first),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn a_payment_that_does_not_exist_is_not_found() {
    runtime().block_on(async {
        let table = table().await;
        let payment = registered("nowhere", AUTHORIZED);
        assert_eq!(table.store.get(&payment.key).await.unwrap(), None);
        let asked = reservation_on(&payment, reservation("t", 1, capture(1), at(1)));
        assert!(matches!(table.store.reserve(&asked).await, Err(ReserveError::NotFound)));
        let next = payment.reserve(&asked).unwrap();
        let replaced = table.store.replace(&payment, &next).await;
        assert!(matches!(replaced, Err(ReplaceError::Gone)), "{replaced:?}");
        assert_eq!(table.store.get(&payment.key).await.unwrap(), None);
    });
}

#[test]
fn nothing_is_reserved_on_an_inconsistent_ledger() {
    runtime().block_on(async {
        let table = table().await;
        let payment = registered("damaged", AUTHORIZED);
        table.store.create(&payment).await.unwrap();
        table
            .client
            .update_item()
            .table_name(&table.name)
            .key("pk", AttributeValue::S("demo#damaged".to_owned()))
            .key("sk", AttributeValue::S("payment".to_owned()))
            .update_expression("SET capturable = :more")
            .expression_attribute_values(":more", AttributeValue::N("101".to_owned()))
            .send()
            .await
            .unwrap();
        let found = table.store.get(&payment.key).await;
        assert!(matches!(found, Err(StoreError::Corrupt(_))), "{found:?}");
        let asked = reservation_on(&payment, reservation("t", 1, capture(101), at(1)));
        let reserved = table.store.reserve(&asked).await;
        let corrupt = matches!(reserved, Err(ReserveError::Store(StoreError::Corrupt(_))));
        assert!(corrupt, "{reserved:?}");
    });
}

#[test]
fn the_recovery_index_lists_exactly_the_open_payments() {
    runtime().block_on(async {
        let table = table().await;
        let payment = registered("listed", AUTHORIZED);
        table.store.create(&payment).await.unwrap();
        assert_eq!(listed(&table).await, []);
        let asked = reservation_on(&payment, reservation("t", 1, capture(40), at(1)));
        let reserved = table.store.reserve(&asked).await.unwrap();
        assert_eq!(listed(&table).await, [(payment.key.clone(), asked.lease.ms())]);
        settle(&table, &asked, &reserved).await;
        assert_eq!(listed(&table).await, []);

        let open = registered("open", &[AUTHORIZED[0], (Charge, State::Pending, 40)]);
        table.store.create(&open).await.unwrap();
        let first_look = open.transactions[&id("past-1")].timestamp.plus_ms(60_000);
        assert_eq!(listed(&table).await, [(open.key, first_look.ms())]);
    });
}

/// All entries of the recovery index, in all shards.
async fn listed(table: &Table) -> Vec<(PaymentKey, u64)> {
    let mut found = Vec::new();
    for shard in 0..64 {
        let output = table
            .client
            .query()
            .table_name(&table.name)
            .index_name("recovery")
            .key_condition_expression("recover_shard = :shard")
            .expression_attribute_values(":shard", AttributeValue::S(shard.to_string()))
            .send()
            .await
            .unwrap();
        for item in output.items() {
            let payment = item["pk"].as_s().unwrap().strip_prefix("demo#").unwrap();
            let at = item["recover_at"].as_n().unwrap().parse().unwrap();
            found.push((key(payment), at));
        }
    }
    found
}

/// The amount of a cancel that was reserved without a read is stored beside the
/// transaction, and applies to that transaction only.
#[test]
fn a_cancel_in_flight_survives_a_write_to_an_earlier_one() {
    let past = [
        (Authorization, State::Success, 100),
        (TransactionKind::CancelAuthorization, State::Failure, 100),
    ];
    runtime().block_on(async {
        let table = table().await;
        let payment = with_new_key(registered("p", &past));
        table.store.create(&payment).await.unwrap();
        let asked = reservation_on(&payment, reservation("k", 1, Action::Cancel, at(1)));
        let held = table.store.reserve(&asked).await.unwrap();
        let mut next = Payment { version: held.version + 1, ..held.clone() };
        next.transactions.get_mut(&id("past-1")).unwrap().interface_id = Some("i".to_owned());
        table.store.replace(&held, &next).await.unwrap();
        assert_eq!(table.store.get(&payment.key).await.unwrap(), Some(next));
    });
}

/// Writes the item in the format before discrepancies were stored.
async fn create_in_earlier_format(table: &Table, payment: &Payment) {
    let mut item = payment_intents::dynamodb::to_item(payment);
    item.insert("item_format".to_owned(), AttributeValue::N("1".to_owned()));
    item.remove("captures_stopped");
    item.remove("refunds_stopped");
    let put = table.client.put_item().table_name(&table.name).set_item(Some(item));
    put.send().await.unwrap();
}

/// An item in that format does not say which side its discrepancies stop. So nothing is
/// reserved on it without a read, and the next write updates the format.
#[test]
fn an_item_of_the_earlier_format_is_reserved_only_after_a_read_and_then_upgraded() {
    runtime().block_on(async {
        let table = table().await;
        let payment = with_new_key(registered("p", AUTHORIZED));
        create_in_earlier_format(&table, &payment).await;
        assert_eq!(table.store.get(&payment.key).await.unwrap(), Some(payment.clone()));
        let asked = reservation_on(&payment, reservation("t", 1, capture(40), at(20_000)));
        let Err(ReserveError::Refused { found, .. }) = table.store.reserve(&asked).await else {
            panic!("it was reserved without a read")
        };
        let reserved = found.reserve(&asked).unwrap();
        table.store.replace(&found, &reserved).await.unwrap();
        let settled = settle(&table, &asked, &reserved).await;
        let next = reservation_on(&payment, reservation("u", 2, capture(60), at(30_000)));
        assert_eq!(table.store.reserve(&next).await.unwrap().balances.capturable, eur(0));
        assert_eq!(settled.balances.captured, eur(40));
    });
}

/// The amount of a cancel that was reserved without a read is stored beside the
/// transactions.
#[test]
fn the_amount_of_a_cancel_in_flight_survives_reports_of_another_cancel() {
    runtime().block_on(async {
        let table = table().await;
        let mut payment = with_new_key(registered("p", AUTHORIZED));
        table.store.create(&payment).await.unwrap();
        let asked = reservation_on(&payment, reservation("v", 1, Action::Cancel, at(20_000)));
        payment = table.store.reserve(&asked).await.unwrap();
        let reporter = Reporter { by: None, at: at(21_000), is_trusted: true };
        for (kind, state, amount, name) in [
            (Authorization, State::Success, 50, "A"),
            (TransactionKind::CancelAuthorization, State::Pending, 50, "W"),
            (TransactionKind::CancelAuthorization, State::Success, 50, "W"),
        ] {
            let report = Report {
                kind,
                state,
                amount: eur(amount),
                timestamp: None,
                interaction_id: Some(name.to_owned()),
                interface_id: None,
            };
            let update = Update::AddTransaction { id: id(&format!("{name}-{state:?}")), report };
            let told = payment.update(&[update], &reporter).unwrap();
            table.store.replace(&payment, &told).await.unwrap();
            payment = table.store.get(&payment.key).await.unwrap().unwrap();
            assert_eq!(payment, told);
        }
        assert_eq!(payment.transactions[&id("v")].amount, eur(100));
    });
}
