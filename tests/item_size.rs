//! The size of a Payment's item. Each KiB of a write costs a write unit, and a larger item
//! takes longer to read.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    reason = "a panic fails the test"
)]

mod support;

use payment_intents::dynamodb::to_item;
use payment_intents::money::{Currency, Money};
use payment_intents::payment::{
    Action, Details, Nonce, Outcome, Payment, PaymentId, PaymentKey, ProjectKey, Registration,
    Report, Reporter, Reservation, Settlement, State, Timestamp, TransactionId, TransactionKind,
    Update,
};
use support::item_size;
use uuid::Uuid;

const KIB: usize = 1024;

#[test]
fn a_payment_with_five_transactions_fits_into_one_write_unit() {
    let bytes = item_size::of(&to_item(&payment_with(5)));
    assert!(bytes <= KIB, "{bytes} bytes");
}

#[test]
fn a_payment_with_all_its_transactions_stays_within_16_kib() {
    let payment = payment_with(Payment::TRANSACTIONS_MAX);
    let bytes = item_size::of(&to_item(&payment));
    assert!(bytes <= 16 * KIB, "{bytes} bytes");
    // The longest possible ids and references fit as well: an item may have 400 KiB.
    assert!(bytes >= 4 * KIB, "{bytes} bytes are less than this could be");
}

/// A reserved item also has the attempt in flight and its lease.
#[test]
fn a_payment_with_an_action_in_flight_fits_into_one_write_unit() {
    let payment = payment_with(4);
    let reserved = payment.reserve(&next_reservation(&payment, 4)).unwrap();
    let bytes = item_size::of(&to_item(&reserved));
    assert!(bytes <= KIB, "{bytes} bytes");
}

/// A typical card Payment, captured and refunded in turns, with the PSP's id of each
/// transaction.
fn payment_with(transactions: usize) -> Payment {
    let mut payment = authorized();
    for nth in 1..transactions {
        let asked = next_reservation(&payment, nth);
        let reserved = payment.reserve(&asked).unwrap();
        let settled = reserved.settle(&asked.transaction, &asked.nonce, Outcome::Approved, at(nth));
        let Ok(Settlement::Changed(settled)) = settled else { panic!("{settled:?}") };
        let interaction_id = psp_reference(nth);
        let named =
            Update::ChangeTransactionInteractionId { id: asked.transaction, interaction_id };
        let reporter = Reporter { by: None, at: at(nth), is_trusted: true };
        payment = settled.update(&[named], &reporter).unwrap();
    }
    assert_eq!(payment.transactions.len(), transactions);
    payment
}

fn authorized() -> Payment {
    let id = |text: &str| PaymentId::parse(text).unwrap();
    let authorization = Report {
        kind: TransactionKind::Authorization,
        state: State::Success,
        amount: eur(1_250_000),
        timestamp: Some(at(0)),
        interaction_id: Some(psp_reference(0)),
        interface_id: None,
    };
    let registration = Registration {
        key: PaymentKey {
            project: ProjectKey::parse("acme-shop-eu").unwrap(),
            id: id(&Uuid::new_v4().to_string()),
        },
        amount_planned: eur(1_250_000),
        fraction_digits: 2,
        transactions: vec![(Uuid::new_v4().into(), authorization)],
        details: Details {
            interface_id: Some(psp_reference(0)),
            payment_interface: Some("adyen".to_owned()),
            method: Some("card".to_owned()),
            ..Details::default()
        },
    };
    Payment::register(registration, at(0)).unwrap()
}

/// Captures and refunds in turn; each refund names the Charge before it.
fn next_reservation(payment: &Payment, nth: usize) -> Reservation {
    let amount = eur(12_345);
    let latest = payment.transactions.values().max_by_key(|past| past.timestamp);
    let charge = latest.filter(|past| past.kind == TransactionKind::Charge);
    let action = match charge {
        Some(charge) => Action::Refund { amount, charge: Some(charge.id.clone()) },
        None => Action::Capture { amount },
    };
    Reservation {
        key: payment.key.clone(),
        transaction: TransactionId::from(Uuid::new_v4()),
        nonce: Nonce::new(Uuid::new_v4().as_u128()),
        action,
        merchant_reference: Some(format!("order-2026-{nth:06}")),
        at: at(nth),
        lease: at(nth).plus_ms(33_000),
    }
}

/// A reference in the format of a PSP.
fn psp_reference(nth: usize) -> String {
    format!("KHQC5N7G84BL{nth:04}")
}

fn eur(minor_units: u64) -> Money {
    Money::new(minor_units, Currency::parse("EUR").unwrap()).unwrap()
}

/// Timestamps with all three digits of the milliseconds.
fn at(nth: usize) -> Timestamp {
    Timestamp::from_ms(1_793_610_964_137 + 60_001 * u64::try_from(nth).unwrap())
}
