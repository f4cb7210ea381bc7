//! The simulation's model of the store and the real store run the same random operations.
//! Their answers and items are equal, so the proof over the model holds for the real store.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test that cannot start has failed; the model is shared with the simulator"
)]

#[path = "simulation/model/mod.rs"]
mod model;
mod support;

use model::{landing, psp, world};
use payment_intents::payment::{Nonce, Payment, Reporter, Settlement, Timestamp};
use payment_intents::ports::{ReplaceError, ReserveError, Store};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use psp::{Style, Tier};
use std::sync::atomic::{AtomicU32, Ordering};
use support::dynamo::{Table, table};
use support::payments::{self, any_action, any_outcome, any_report, id};
use uuid::Uuid;
use world::{Answer, Op, Past, World};

/// The number of operations that a run compares, at the least.
const OPERATIONS: u32 = 10_000;
const LENGTH: u32 = 50;

/// An operation on the Payment, on its current or on an older state.
#[derive(Clone, Debug)]
enum Operation {
    Reserve(u8, payment_intents::payment::Action),
    /// The attempt in flight settles (`true`), or another process that knows the outcome.
    Settle(u8, payment_intents::payment::Outcome, bool),
    Expire,
    Resume(u8),
    LookAgain(u8),
    Withdraw(u8),
    /// Somebody reports an effect.
    Tell(payment_intents::payment::Update),
    /// The last write is delivered a second time.
    Again,
}

fn any_operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        6 => (0_u8..6, any_action()).prop_map(|(key, action)| Operation::Reserve(key, action)),
        6 => (0_u8..6, any_outcome(), any::<bool>())
            .prop_map(|(key, outcome, holds)| Operation::Settle(key, outcome, holds)),
        2 => Just(Operation::Expire),
        1 => (0_u8..6).prop_map(Operation::Resume),
        1 => (0_u8..6).prop_map(Operation::LookAgain),
        1 => (0_u8..6).prop_map(Operation::Withdraw),
        3 => any_report().prop_map(Operation::Tell),
        2 => Just(Operation::Again),
    ]
}

#[test]
fn the_model_and_the_real_store_give_the_same_answers_and_items() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let table = runtime.block_on(table());
    // Some operations come to no call.
    let cases = OPERATIONS * 5 / 2 / LENGTH;
    let compared = AtomicU32::new(0);
    let length = usize::try_from(LENGTH).unwrap();
    let steps = prop::collection::vec((any_operation(), any::<bool>()), length);
    let config =
        Config { max_shrink_iters: 200, cases, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&(any::<bool>(), steps), |(captured, steps)| {
            runtime.block_on(compare(&table, captured, &steps, &compared))
        })
        .unwrap();
    let compared = compared.into_inner();
    println!("conformance: {compared} operations, 0 differences");
    assert!(compared >= OPERATIONS, "only {compared} operations were compared");
}

async fn compare(
    table: &Table,
    captured: bool,
    steps: &[(Operation, bool)],
    compared: &AtomicU32,
) -> Result<(), TestCaseError> {
    let mut model = World::new(
        Tier::Opaque,
        if captured { Past::Captured } else { Past::Authorized },
        Style::Named,
    );
    model.payment.key.id =
        payment_intents::payment::PaymentId::parse(&Uuid::new_v4().to_string()).unwrap();
    table.store.create(&model.payment).await.unwrap();
    let (mut older, mut last) = (model.payment.clone(), None);
    for (index, (operation, is_stale)) in steps.iter().enumerate() {
        model.now = model.now.plus_ms(10_000);
        let seen = if *is_stale { older.clone() } else { model.payment.clone() };
        older = model.payment.clone();
        let op = match operation {
            Operation::Again => last.clone(),
            other => store_call(other, &seen, model.now, index as u128),
        };
        let Some(op) = op else { continue };
        compared.fetch_add(1, Ordering::Relaxed);
        same_answer(table, &mut model, &op).await?;
        let stored = table.store.get(&model.payment.key).await.unwrap();
        prop_assert_eq!(stored.as_ref(), Some(&model.payment), "after {}", op.name());
        let listed = table.recover_at(&model.payment).await;
        prop_assert_eq!(listed, model.recover_at, "index after {}", op.name());
        last = Some(op);
    }
    prop_assert_eq!(model.violation, None);
    Ok(())
}

/// The call to the store that the operation makes, given the Payment that was read.
fn store_call(operation: &Operation, seen: &Payment, now: Timestamp, nonce: u128) -> Option<Op> {
    let transaction = |key: &u8| id(&format!("key-{key}"));
    let next = match operation {
        Operation::Reserve(key, action) => {
            let mut asked =
                payments::reservation(&format!("key-{key}"), nonce, action.clone(), now);
            asked.key = seen.key.clone();
            return Some(Op::Reserve(asked));
        }
        Operation::Settle(key, outcome, holds) => {
            let slot = seen.in_flight.as_ref().filter(|_| *holds);
            let settled = match slot {
                Some(slot) => seen.settle(&slot.transaction, &slot.nonce, *outcome, now),
                None => seen.settle(&transaction(key), &Nonce::new(u128::MAX), *outcome, now),
            };
            match settled.unwrap() {
                Settlement::Changed(next) => *next,
                Settlement::Unchanged(_) | Settlement::Gone => return None,
            }
        }
        Operation::Expire => seen.expire(now.plus_ms(60_000))?,
        Operation::Resume(key) => {
            let lease = now.plus_ms(33_000);
            seen.resume(&transaction(key), Nonce::new(nonce), now, lease).ok()?
        }
        Operation::LookAgain(key) => {
            let open = seen.transactions.get(&transaction(key)).filter(|open| open.is_open())?;
            seen.look_again(&open.id, now, now)
        }
        Operation::Withdraw(key) => {
            let action = payments::capture(1);
            let mut asked = payments::reservation(&format!("key-{key}"), nonce, action, now);
            asked.key = seen.key.clone();
            seen.withdraw(&asked, now).unwrap()
        }
        Operation::Tell(update) => {
            let reporter = Reporter { by: None, at: now, is_trusted: true };
            let told = seen.update(std::slice::from_ref(update), &reporter).ok()?;
            Some(told).filter(|told| told != seen)?
        }
        Operation::Again => return None,
    };
    Some(Op::Replace(seen.clone().into(), next.into()))
}

async fn same_answer(table: &Table, model: &mut World, op: &Op) -> Result<(), TestCaseError> {
    match (op, model.execute(op)) {
        (Op::Reserve(asked), Answer::Reserved(expected, _)) => {
            match (table.store.reserve(asked).await, expected) {
                (Ok(reserved), Ok(expected)) => prop_assert_eq!(reserved, *expected),
                (Err(ReserveError::Refused { found, .. }), Err(expected)) => {
                    prop_assert_eq!(found, expected);
                }
                (real, model) => prop_assert!(false, "{real:?} but {model:?}"),
            }
        }
        (Op::Replace(from, to), Answer::Replaced(expected)) => {
            match (table.store.replace(from, to).await, expected) {
                (Ok(()), Ok(())) => {}
                (Err(ReplaceError::Changed(found)), Err(expected)) => {
                    prop_assert_eq!(found, expected);
                }
                (real, model) => prop_assert!(false, "{real:?} but {model:?}"),
            }
        }
        (op, answer) => prop_assert!(false, "{op:?} was answered {answer:?}"),
    }
    Ok(())
}
