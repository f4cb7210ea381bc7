//! A Payment that is read from the stream is equal to the one that was written, for every
//! field of the table.

use crate::stream::{Stream, sequence};
use crate::support::payments::{any_details, any_past, any_step, at, eur, id, walk};
use payment_intents::dynamodb::{Connection, DynamoStore, create_table};
use payment_intents::events::read_change;
use payment_intents::local::emulator;
use payment_intents::payment::{
    Details, Nonce, Payment, Report, Reporter, State, Transaction, TransactionKind, Update,
};
use payment_intents::ports::Store;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;

/// The states of one Payment, in the order of its writes.
fn any_history() -> impl Strategy<Value = Vec<Payment>> {
    let steps = prop::collection::vec(any_step(), 0..12);
    (any_past(), steps, any_details(), any::<u128>()).prop_map(
        |(mut past, steps, details, nonce)| {
            past.details = Details { cart: details.customer.clone(), ..details };
            let mut life = vec![past.clone()];
            let last = walk(past, &steps, |_, next| life.push(next.clone()));
            life.push(reported(&last));
            for (index, payment) in life.iter_mut().enumerate() {
                if let Some(slot) = &mut payment.in_flight {
                    slot.nonce = Nonce::new(nonce.rotate_left(u32::try_from(index).unwrap()));
                }
            }
            life
        },
    )
}

/// A Payment with every field that a report can set.
fn reported(payment: &Payment) -> Payment {
    let report = Report {
        kind: TransactionKind::Refund,
        state: State::Success,
        amount: eur(10_000),
        timestamp: Some(at(7)),
        interaction_id: Some("psp-ß€😀".to_owned()),
        interface_id: Some(String::new()),
    };
    let new = id("new");
    let updates = [
        Update::AddTransaction { id: new.clone(), report },
        Update::ChangeTransactionTimestamp { id: new, timestamp: at(9) },
        Update::AddInterfaceInteraction(r#"{"a": ["\u0000", 1e400]}"#.to_owned()),
        Update::AddInterfaceInteraction("{}".to_owned()),
    ];
    let by = Some("ключ \"1\"".to_owned());
    payment.update(&updates, &Reporter { by, at: at(20_000), is_trusted: true }).unwrap()
}

/// Writes the states of one Payment, and compares each record with the state and with the
/// item.
async fn check(dynamodb: &Connection, life: Vec<Payment>) -> Result<(), TestCaseError> {
    let client = dynamodb.clone().client();
    let table = format!("payments-{}", Uuid::new_v4());
    create_table(&client, &table).await.unwrap();
    let stream = Stream::of(dynamodb, &table).await;
    let store = DynamoStore::new(client, table);
    let mut before: Option<&Payment> = None;
    let mut last = String::new();
    for payment in &life {
        match before {
            None => store.create(payment).await.unwrap(),
            Some(before) => store.replace(before, payment).await.unwrap(),
        }
        let records = stream.records().await;
        prop_assert_eq!(records.len(), 1);
        let read = read(&records[0]);
        let stored = store.get(&payment.key).await.unwrap();
        prop_assert_eq!(Some(&read.1), stored.as_ref());
        prop_assert_eq!(&read, &(before.cloned(), payment.clone()));
        prop_assert!(sequence(&records[0]) > last);
        last = sequence(&records[0]);
        before = Some(payment);
    }
    Ok(())
}

fn read(record: &Value) -> (Option<Payment>, Payment) {
    let record = RawValue::from_string(record.to_string()).unwrap();
    let change = read_change(&record).unwrap().expect("it is of a Payment");
    (change.before, change.after)
}

#[test]
fn any_payment_is_read_as_it_was_written() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let dynamodb = runtime.block_on(emulator::start(None)).unwrap();
    let config = Config { cases: 48, failure_persistence: None, ..Config::default() };
    let check = |life| runtime.block_on(check(&dynamodb, life));
    TestRunner::new(config).run(&any_history(), check).unwrap();
}

/// The random Payments have each kind of value that an item can contain.
#[test]
fn the_random_payments_have_every_kind_of_value() {
    let mut runner = TestRunner::deterministic();
    let mut seen = [false; 8];
    for _ in 0..200 {
        let life = any_history().new_tree(&mut runner).unwrap().current();
        let transactions = || life.iter().flat_map(|payment| payment.transactions.values());
        let has = |found: fn(&Transaction) -> bool| transactions().any(found);
        let found = [
            has(|found| found.is_reversal),
            has(|found| found.state_awaiting_balances.is_some()),
            has(|found| found.is_disputed),
            has(|found| found.reported.is_some()),
            has(|found| found.recovery.look_at.is_some()),
            life.iter().any(|payment| payment.in_flight.is_some()),
            life.iter().any(|payment| payment.withdrawn_at.is_some()),
            life.iter().any(|payment| payment.details.interface_interactions.len() > 1),
        ];
        seen.iter_mut().zip(found).for_each(|(seen, found)| *seen |= found);
    }
    assert_eq!(seen, [true; 8]);
}
