//! The rest of an authorization, which a PSP releases with the first capture.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic fails the test")]

mod support;

use TransactionKind::{Authorization, CancelAuthorization, Charge};
use payment_intents::payment::{
    DatedReport, Nonce, Outcome, Payment, Report, Reporter, Settlement, State, TransactionKind,
    Update,
};
use proptest::prelude::*;
use support::payments::{AUTHORIZED, any_payment, at, capture, eur, id, payment, reservation};

fn settled(payment: &Payment, transaction: &str, nonce: u128, outcome: Outcome) -> Payment {
    match payment.settle(&id(transaction), &Nonce::new(nonce), outcome, at(2)).unwrap() {
        Settlement::Changed(next) => *next,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_rest_is_released_once_something_is_captured() {
    const DONE: State = State::Success;
    for (past, released) in [
        (&[(Authorization, DONE, 100)][..], None),
        (&[(Authorization, DONE, 100), (Charge, DONE, 100)], None),
        (&[(Authorization, DONE, 100), (Charge, DONE, 40)], Some(60)),
        (&[(Authorization, DONE, 100), (Charge, State::Pending, 40)], None),
        (&[(Authorization, DONE, 100), (Charge, State::Failure, 40)], None),
        // What is open stays held.
        (&[(Authorization, DONE, 100), (Charge, DONE, 40), (Charge, State::Pending, 10)], Some(50)),
        (&[(Authorization, DONE, 100), (CancelAuthorization, DONE, 100)], None),
        (&[(Charge, DONE, 40)], None),
    ] {
        let before = payment(past);
        let after = before.release_rest(at(1));
        let amount = after.as_ref().map(|after| {
            after.check().unwrap();
            assert!(after.balances.capturable.is_zero());
            assert_eq!(after.release_rest(at(2)), None);
            after.balances.cancelled.minor_units()
        });
        assert_eq!(amount, released, "{past:?}");
    }
}

/// Two captures were sent, and the PSP carries out one. Whichever outcome comes first, in
/// the end nothing is left to capture.
#[test]
fn what_an_open_capture_held_is_released_when_it_turns_out_to_have_failed() {
    let mut payment = payment(AUTHORIZED);
    payment = payment.reserve(&reservation("a", 1, capture(30), at(1))).unwrap();
    payment = settled(&payment, "a", 1, Outcome::Unknown);
    payment = payment.reserve(&reservation("b", 2, capture(50), at(1))).unwrap();
    assert!(payment.has_rest_beside(&id("b")));
    payment = settled(&payment, "b", 2, Outcome::Approved).release_rest(at(2)).unwrap();
    assert_eq!(payment.balances.cancelled, eur(20));
    payment = settled(&payment, "a", 3, Outcome::Disproved).release_rest(at(3)).unwrap();
    assert_eq!(payment.balances.cancelled, eur(50));
    assert_eq!(payment.balances.captured, eur(50));
    payment.check().unwrap();
}

/// The PSP may capture again what failed at the card scheme, but not what it released.
#[test]
fn a_capture_that_failed_after_it_had_happened_is_not_released() {
    let report = Report {
        kind: Charge,
        state: State::Failure,
        amount: eur(40),
        timestamp: Some(at(1)),
        interaction_id: Some("X".to_owned()),
        interface_id: None,
    };
    let dated = Update::RecordDatedReport(DatedReport { report, is_undone: true });
    let reporter = Reporter { by: None, at: at(2), is_trusted: true };
    let failed = payment(AUTHORIZED).update(&[dated], &reporter).unwrap();
    assert_eq!(failed.balances.capturable, eur(100));
    let released = failed.release_rest(at(2)).unwrap();
    assert_eq!(released.check(), Ok(()));
    let balances = released.balances;
    assert_eq!((balances.capturable, balances.cancelled), (eur(40), eur(60)));
    assert_eq!(released.release_rest(at(3)), None);
}

#[test]
fn a_capture_of_all_that_is_left_has_no_rest() {
    let payment = payment(AUTHORIZED);
    for (amount, has_rest) in [(99, true), (100, false)] {
        let reserved = payment.reserve(&reservation("t", 1, capture(amount), at(1))).unwrap();
        assert_eq!(reserved.has_rest_beside(&id("t")), has_rest);
    }
}

proptest! {
    /// Whatever happened to a Payment, a release moves no more than what was left.
    #[test]
    fn a_release_moves_what_was_left_and_nothing_else(payment in any_payment()) {
        if let Some(after) = payment.release_rest(at(1)) {
            prop_assert_eq!(after.check(), Ok(()));
            let (before, now) = (payment.balances, after.balances);
            prop_assert_eq!(now.cancelled, before.cancelled.give(before.capturable).unwrap());
            prop_assert!(now.capturable.is_zero());
            prop_assert_eq!(
                (now.authorized, now.captured, now.refundable, now.refunded),
                (before.authorized, before.captured, before.refundable, before.refunded)
            );
        }
    }
}
