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
    Action, Details, DirectPsps, Nonce, Outcome, Payment, PaymentId, PaymentKey, ProjectKey,
    Refusal, Registration, RejectionReason, Report, Reporter, Reservation, Settlement, State,
    Timestamp, TransactionId, TransactionKind, Update,
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

/// Rejected captures and refunds make room for others until the item is full. Captures leave
/// some for refunds.
#[test]
fn a_payment_with_as_many_rejected_actions_as_it_takes_stays_within_16_kib() {
    let code = "c".repeat(RejectionReason::CODE_BYTES_MAX);
    let text = "No money. ".repeat(99);
    let usual = ("insufficient_funds", "The card has insufficient funds.");
    let order = |nth| format!("order-2026-{nth:06}");
    let (capture, refund) = (Action::Capture { amount: eur(1) }, refund(1));
    for (moved, reason, least) in [
        (2, None, 120),
        (2, Some(usual), 70),
        (2, Some((&*code, &*text)), 70),
        (Payment::TRANSACTIONS_MAX - 2, None, 80),
        (Payment::TRANSACTIONS_MAX - 2, Some(usual), 60),
    ] {
        let moved = payment_with(moved);
        let captures = filled(&moved, &capture, reason, order);
        let (count, bytes) = (captures.transactions.len(), item_size::of(&to_item(&captures)));
        assert!(count >= least && bytes <= 16 * KIB, "{count} transactions, {bytes} bytes");
        let refunds = filled(&captures, &refund, reason, order);
        let (more, bytes) = (refunds.transactions.len(), item_size::of(&to_item(&refunds)));
        assert!(more >= count + 10 && bytes <= 16 * KIB, "{more} transactions, {bytes} bytes");
    }
}

/// With such references, an item may exceed 16 KiB, as it may with fewer transactions.
#[test]
fn the_longest_references_leave_room_for_refunds_too() {
    let longest = |_| "€".repeat(256);
    let captures = filled(&payment_with(2), &Action::Capture { amount: eur(1) }, None, longest);
    assert_eq!(captures.transactions.len(), Payment::TRANSACTIONS_MAX);
    let refunds = filled(&captures, &refund(1), None, longest);
    assert_eq!(refunds.transactions.len(), Payment::TRANSACTIONS_MAX + 10);
}

#[test]
fn a_payment_keeps_reasons_up_to_a_limit_and_the_later_rejections_without() {
    let (code, text) = ("c".repeat(RejectionReason::CODE_BYTES_MAX), "No money. ".repeat(99));
    let capture = Action::Capture { amount: eur(1) };
    let full = filled(&payment_with(2), &capture, Some((&code, &text)), |_| String::from("order"));
    let with_reason = full.transactions.values().filter(|one| one.rejection.is_some()).count();
    assert_eq!(with_reason, 4 * KIB / (64 + 255));
}

/// The Payment after as many rejections of this action as it takes, each with this reason.
fn filled(
    payment: &Payment,
    action: &Action,
    reason: Option<(&str, &str)>,
    reference: impl Fn(usize) -> String,
) -> Payment {
    let mut payment = payment.clone();
    for nth in payment.transactions.len().. {
        let asked = Reservation {
            action: action.clone(),
            merchant_reference: Some(reference(nth)),
            ..next_reservation(&payment, nth)
        };
        match payment.reserve(&asked) {
            Ok(reserved) => payment = rejected(&reserved, &asked, reason),
            Err(refusal) => {
                assert_eq!(refusal, Refusal::TooManyTransactions);
                break;
            }
        }
    }
    payment
}

fn rejected(reserved: &Payment, asked: &Reservation, reason: Option<(&str, &str)>) -> Payment {
    let reason = reason.and_then(|(code, text)| RejectionReason::new(Some(code), Some(text)));
    let at = asked.at;
    let settled = reserved.settle(&asked.transaction, &asked.nonce, Outcome::Rejected, at);
    let settled = settled.unwrap().with_reason(&asked.transaction, reason.as_ref());
    let Settlement::Changed(settled) = settled else { panic!("{settled:?}") };
    *settled
}

fn refund(amount: u64) -> Action {
    Action::Refund { amount: eur(amount), charge: None }
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
        psps: DirectPsps::default(),
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
