//! The ledger's rules: every state of a Payment with every action at every edge
//! of the amounts, every state of a transaction with every outcome, and the sums
//! that hold whatever happens.

#![allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    reason = "a test that cannot start has failed"
)]

#[path = "ledger/consistency.rs"]
mod consistency;
mod support;

use Outcome::{Approved, NeverExecuted, Received, Rejected};
use State::{Failure, Initial, Pending, Success, Unknown};
use TransactionKind::{Authorization, CancelAuthorization, Charge, Chargeback, Refund};
use payment_intents::money::Currency;
use payment_intents::payment::{
    Action, Admission, Nonce, Outcome, Payment, Refusal, RegistrationRefusal, Settlement, State,
    TransactionKind,
};
use proptest::prelude::*;
use support::payments::{
    AUTHORIZED, any_past, any_step, any_step_or_report, at, capture, eur, id, money, payment,
    refund, refund_of, register, reservation, walk,
};

type Past<'a> = &'a [(TransactionKind, State, u64)];

const NOTHING: Past<'_> = &[];
const AUTHORIZING: Past<'_> = &[(Authorization, Pending, 100)];
const UNAUTHORIZED: Past<'_> = &[(Authorization, Failure, 100)];
const CAPTURING: Past<'_> = &[(Authorization, Success, 100), (Charge, Pending, 40)];
const CAPTURE_UNKNOWN: Past<'_> = &[(Authorization, Success, 100), (Charge, Initial, 40)];
const CAPTURE_FAILED: Past<'_> = &[(Authorization, Success, 100), (Charge, Failure, 40)];
const PART_CAPTURED: Past<'_> = &[(Authorization, Success, 100), (Charge, Success, 60)];
const CAPTURED: Past<'_> = &[(Authorization, Success, 100), (Charge, Success, 100)];
const TWO_CHARGES: Past<'_> =
    &[(Authorization, Success, 100), (Charge, Success, 60), (Charge, Success, 40)];
const REFUNDING: Past<'_> =
    &[(Authorization, Success, 100), (Charge, Success, 100), (Refund, Pending, 30)];
const PART_REFUNDED: Past<'_> =
    &[(Authorization, Success, 100), (Charge, Success, 100), (Refund, Success, 30)];
const REFUNDED: Past<'_> =
    &[(Authorization, Success, 100), (Charge, Success, 100), (Refund, Success, 100)];
const CHARGED_BACK: Past<'_> =
    &[(Authorization, Success, 100), (Charge, Success, 100), (Chargeback, Success, 100)];
const CANCELLING: Past<'_> = &[(Authorization, Success, 100), (CancelAuthorization, Pending, 100)];
const CANCELLED: Past<'_> = &[(Authorization, Success, 100), (CancelAuthorization, Success, 100)];
const CAPTURED_AND_CANCELLED: Past<'_> =
    &[(Authorization, Success, 100), (Charge, Success, 60), (CancelAuthorization, Success, 40)];
const SALE: Past<'_> = &[(Charge, Success, 100)];

fn becomes(kind: TransactionKind, amount: u64) -> Result<Admission, Refusal> {
    Ok(Admission { kind, amount: eur(amount) })
}

fn exceeds_capturable(asked: u64, available: u64) -> Result<Admission, Refusal> {
    Err(Refusal::ExceedsCapturable { asked: eur(asked), available: eur(available) })
}

fn exceeds_refundable(asked: u64, available: u64) -> Result<Admission, Refusal> {
    Err(Refusal::ExceedsRefundable { asked: eur(asked), available: eur(available) })
}

fn exceeds_charge(asked: u64, available: u64) -> Result<Admission, Refusal> {
    Err(Refusal::ExceedsCharge { asked: eur(asked), available: eur(available) })
}

fn assert_admits(rows: &[(Past<'_>, Action, Result<Admission, Refusal>)]) {
    for (past, action, expected) in rows {
        let payment = payment(past);
        let asked = reservation("t", 1, action.clone(), at(1));
        assert_eq!(payment.admit(&asked), *expected, "{action:?} on {past:?}");
        // A reservation succeeds exactly if the action is admitted.
        let reserved = payment.reserve(&asked);
        assert_eq!(reserved.is_ok(), expected.is_ok(), "{action:?} on {past:?}");
        if let Ok(reserved) = reserved {
            assert_eq!(reserved.check(), Ok(()), "{action:?} on {past:?}");
        }
    }
}

#[test]
fn a_capture_takes_what_is_capturable_and_not_a_cent_more() {
    assert_admits(&[
        (NOTHING, capture(1), Err(Refusal::NothingAuthorized)),
        (AUTHORIZING, capture(1), Err(Refusal::NothingAuthorized)),
        (UNAUTHORIZED, capture(1), Err(Refusal::NothingAuthorized)),
        (AUTHORIZED, capture(1), becomes(Charge, 1)),
        (AUTHORIZED, capture(99), becomes(Charge, 99)),
        (AUTHORIZED, capture(100), becomes(Charge, 100)),
        (AUTHORIZED, capture(101), exceeds_capturable(101, 100)),
        (CAPTURING, capture(60), becomes(Charge, 60)),
        (CAPTURING, capture(61), exceeds_capturable(61, 60)),
        (CAPTURE_UNKNOWN, capture(60), becomes(Charge, 60)),
        (CAPTURE_UNKNOWN, capture(61), exceeds_capturable(61, 60)),
        (CAPTURE_FAILED, capture(100), becomes(Charge, 100)),
        (CAPTURE_FAILED, capture(101), exceeds_capturable(101, 100)),
        (PART_CAPTURED, capture(40), becomes(Charge, 40)),
        (PART_CAPTURED, capture(41), exceeds_capturable(41, 40)),
        (CAPTURED, capture(1), exceeds_capturable(1, 0)),
        (REFUNDED, capture(1), exceeds_capturable(1, 0)),
        (CHARGED_BACK, capture(1), exceeds_capturable(1, 0)),
        (CANCELLING, capture(1), exceeds_capturable(1, 0)),
        (CANCELLED, capture(1), Err(Refusal::AlreadyCancelled)),
        (CAPTURED_AND_CANCELLED, capture(1), exceeds_capturable(1, 0)),
        (SALE, capture(1), exceeds_capturable(1, 0)),
    ]);
}

#[test]
fn a_refund_takes_what_is_refundable_and_not_a_cent_more() {
    assert_admits(&[
        (NOTHING, refund(1), Err(Refusal::NothingCaptured)),
        (AUTHORIZED, refund(1), Err(Refusal::NothingCaptured)),
        (CAPTURING, refund(1), Err(Refusal::NothingCaptured)),
        (CAPTURE_UNKNOWN, refund(1), Err(Refusal::NothingCaptured)),
        (CAPTURE_FAILED, refund(1), Err(Refusal::NothingCaptured)),
        (CANCELLED, refund(1), Err(Refusal::NothingCaptured)),
        (PART_CAPTURED, refund(60), becomes(Refund, 60)),
        (PART_CAPTURED, refund(61), exceeds_refundable(61, 60)),
        (CAPTURED, refund(1), becomes(Refund, 1)),
        (CAPTURED, refund(100), becomes(Refund, 100)),
        (CAPTURED, refund(101), exceeds_refundable(101, 100)),
        (REFUNDING, refund(70), becomes(Refund, 70)),
        (REFUNDING, refund(71), exceeds_refundable(71, 70)),
        (PART_REFUNDED, refund(70), becomes(Refund, 70)),
        (PART_REFUNDED, refund(71), exceeds_refundable(71, 70)),
        (REFUNDED, refund(1), exceeds_refundable(1, 0)),
        (CHARGED_BACK, refund(1), exceeds_refundable(1, 0)),
        (CAPTURED_AND_CANCELLED, refund(60), becomes(Refund, 60)),
        (SALE, refund(100), becomes(Refund, 100)),
        (SALE, refund(101), exceeds_refundable(101, 100)),
    ]);
}

#[test]
fn a_refund_of_one_charge_takes_no_more_than_is_left_of_it() {
    assert_admits(&[
        (TWO_CHARGES, refund_of("past-1", 60), becomes(Refund, 60)),
        (TWO_CHARGES, refund_of("past-1", 61), exceeds_charge(61, 60)),
        (TWO_CHARGES, refund_of("past-2", 40), becomes(Refund, 40)),
        (TWO_CHARGES, refund_of("past-2", 41), exceeds_charge(41, 40)),
        // Not a Charge, absent, not successful, or the refund itself:
        (TWO_CHARGES, refund_of("past-0", 1), Err(Refusal::NoSuchCharge)),
        (TWO_CHARGES, refund_of("other", 1), Err(Refusal::NoSuchCharge)),
        (TWO_CHARGES, refund_of("t", 1), Err(Refusal::NoSuchCharge)),
        (CAPTURING, refund_of("past-1", 1), Err(Refusal::NothingCaptured)),
        // The Charge has enough, the Payment has not.
        (REFUNDED, refund_of("past-1", 1), exceeds_refundable(1, 0)),
    ]);
}

#[test]
fn a_cancel_needs_an_authorization_without_captures() {
    assert_admits(&[
        (NOTHING, Action::Cancel, Err(Refusal::NothingAuthorized)),
        (AUTHORIZING, Action::Cancel, Err(Refusal::NothingAuthorized)),
        (UNAUTHORIZED, Action::Cancel, Err(Refusal::NothingAuthorized)),
        (AUTHORIZED, Action::Cancel, becomes(CancelAuthorization, 100)),
        (CAPTURE_FAILED, Action::Cancel, becomes(CancelAuthorization, 100)),
        (CAPTURING, Action::Cancel, Err(Refusal::TransactionOpen)),
        (CAPTURE_UNKNOWN, Action::Cancel, Err(Refusal::TransactionOpen)),
        (CANCELLING, Action::Cancel, Err(Refusal::TransactionOpen)),
        (CANCELLED, Action::Cancel, Err(Refusal::AlreadyCancelled)),
        (PART_CAPTURED, Action::Cancel, Err(Refusal::AlreadyCaptured)),
        (CAPTURED, Action::Cancel, Err(Refusal::AlreadyCaptured)),
        (REFUNDED, Action::Cancel, Err(Refusal::AlreadyCaptured)),
        (SALE, Action::Cancel, Err(Refusal::AlreadyCaptured)),
    ]);
}

#[test]
fn a_reversal_cancels_or_else_refunds_all_that_is_refundable() {
    assert_admits(&[
        (NOTHING, Action::Reverse, Err(Refusal::NothingAuthorized)),
        (AUTHORIZING, Action::Reverse, Err(Refusal::NothingAuthorized)),
        (AUTHORIZED, Action::Reverse, becomes(CancelAuthorization, 100)),
        (CAPTURE_FAILED, Action::Reverse, becomes(CancelAuthorization, 100)),
        (CAPTURING, Action::Reverse, Err(Refusal::TransactionOpen)),
        (CAPTURE_UNKNOWN, Action::Reverse, Err(Refusal::TransactionOpen)),
        (CANCELLING, Action::Reverse, Err(Refusal::TransactionOpen)),
        (CANCELLED, Action::Reverse, Err(Refusal::AlreadyCancelled)),
        (PART_CAPTURED, Action::Reverse, becomes(Refund, 60)),
        (CAPTURED, Action::Reverse, becomes(Refund, 100)),
        (TWO_CHARGES, Action::Reverse, becomes(Refund, 100)),
        (PART_REFUNDED, Action::Reverse, becomes(Refund, 70)),
        (REFUNDING, Action::Reverse, Err(Refusal::TransactionOpen)),
        (REFUNDED, Action::Reverse, Err(Refusal::NothingToReverse)),
        (CHARGED_BACK, Action::Reverse, Err(Refusal::NothingToReverse)),
        (CAPTURED_AND_CANCELLED, Action::Reverse, becomes(Refund, 60)),
        (SALE, Action::Reverse, becomes(Refund, 100)),
    ]);
}

#[test]
fn another_currency_is_refused_before_its_amount_is_compared() {
    let expected = Currency::parse("EUR").unwrap();
    for code in ["USD", "QQQ"] {
        let found = Currency::parse(code).unwrap();
        let refusal = Refusal::OtherCurrency { expected, found };
        let amount = money(1000, code);
        assert_admits(&[
            (AUTHORIZED, Action::Capture { amount }, Err(refusal.clone())),
            (CAPTURED, Action::Refund { amount, charge: None }, Err(refusal)),
        ]);
    }
}

#[test]
fn the_fiftieth_transaction_is_the_last() {
    let past = |count: u64| -> Payment {
        let mut payment = payment(AUTHORIZED);
        for n in 1..count {
            let asked = reservation(&format!("t{n}"), u128::from(n), capture(1), at(n));
            let reserved = payment.reserve(&asked).unwrap();
            payment = settled(&reserved, &format!("t{n}"), u128::from(n), Approved);
        }
        payment
    };
    let asked = reservation("t", 99, capture(1), at(99));
    assert_eq!(past(49).admit(&asked), becomes(Charge, 1));
    assert_eq!(past(50).admit(&asked), Err(Refusal::TooManyTransactions));
}

#[test]
fn a_repeat_differs_from_a_new_request_and_from_a_reused_key() {
    let first = reservation("t", 1, capture(40), at(1));
    let payment = payment(AUTHORIZED).reserve(&first).unwrap();
    let expired = first.lease.plus_ms(1);
    let other = reservation("u", 2, capture(40), at(2));
    let again = reservation("t", 2, capture(40), at(2));
    let changed = reservation("t", 2, capture(41), at(2));
    let refund = reservation("t", 2, refund(40), at(2));
    let mut referenced = again.clone();
    referenced.merchant_reference = Some("inv-7".to_owned());

    // While it is in flight, and past its lease:
    let lease_ms = first.lease.ms_since(again.at);
    assert_eq!(payment.admit(&again), Err(Refusal::SameInFlight { lease_ms }));
    assert_eq!(payment.admit(&other), Err(Refusal::OtherInFlight));
    let late = |mut asked: payment_intents::payment::Reservation| {
        asked.at = expired;
        payment.admit(&asked)
    };
    assert_eq!(late(again.clone()), Err(Refusal::LeaseExpired));
    assert_eq!(late(other.clone()), Err(Refusal::LeaseExpired));
    let mut on_the_dot = other.clone();
    on_the_dot.at = first.lease;
    assert_eq!(payment.admit(&on_the_dot), Err(Refusal::OtherInFlight));

    // A repeat of the reversal, with either result:
    for (outcome, state) in [(Approved, Success), (Received, Pending), (Rejected, Failure)] {
        let payment = settled(&payment, "t", 1, outcome);
        assert_eq!(payment.admit(&again), Err(Refusal::Repeated(state)));
        for reused in [&changed, &refund, &referenced] {
            assert_eq!(payment.admit(reused), Err(Refusal::KeyReused), "{reused:?}");
        }
        assert_eq!(payment.admit(&other), becomes(Charge, 40));
    }
    // After a withdrawal the same key may be used again; a late copy of the first is refused.
    let payment = settled(&payment, "t", 1, NeverExecuted);
    assert_eq!(payment.admit(&again), becomes(Charge, 40));
    assert_eq!(payment.admit(&first), Err(Refusal::PossiblyStaleCopy));
}

#[test]
fn a_repeated_reversal_is_a_repeat_of_the_cancel_or_refund_that_it_became() {
    for past in [AUTHORIZED, CAPTURED] {
        let first = reservation("t", 1, Action::Reverse, at(1));
        let reserved = payment(past).reserve(&first).unwrap();
        let payment = settled(&reserved, "t", 1, Approved);
        let again = |action| payment.admit(&reservation("t", 2, action, at(2)));
        assert_eq!(again(Action::Reverse), Err(Refusal::Repeated(Success)));
        assert_eq!(again(Action::Cancel), Err(Refusal::KeyReused));
        assert_eq!(again(refund(100)), Err(Refusal::KeyReused));
    }
}

/// Every state with every outcome, and the new state (`None`: it is withdrawn).
const STATE_MACHINE: [(State, Outcome, Option<State>); 30] = [
    (Initial, Approved, Some(Success)),
    (Initial, Received, Some(Pending)),
    (Initial, Rejected, Some(Failure)),
    (Initial, NeverExecuted, None),
    (Initial, Outcome::Unknown, Some(Unknown)),
    (Initial, Outcome::Disproved, Some(Failure)),
    (Pending, Outcome::Disproved, Some(Failure)),
    (Unknown, Outcome::Disproved, Some(Failure)),
    // Answers that contradict each other: in dispute, and held.
    (Success, Outcome::Disproved, Some(Unknown)),
    (Failure, Outcome::Disproved, Some(Failure)),
    (Pending, Approved, Some(Success)),
    (Pending, Received, Some(Pending)),
    (Pending, Rejected, Some(Pending)),
    (Pending, NeverExecuted, Some(Pending)),
    (Pending, Outcome::Unknown, Some(Pending)),
    (Unknown, Approved, Some(Success)),
    (Unknown, Received, Some(Pending)),
    (Unknown, Rejected, Some(Unknown)),
    (Unknown, NeverExecuted, Some(Unknown)),
    (Unknown, Outcome::Unknown, Some(Unknown)),
    (Success, Approved, Some(Success)),
    (Success, Received, Some(Success)),
    (Success, Rejected, Some(Success)),
    (Success, NeverExecuted, Some(Success)),
    (Success, Outcome::Unknown, Some(Success)),
    (Failure, Approved, Some(Unknown)),
    (Failure, Received, Some(Unknown)),
    (Failure, Rejected, Some(Failure)),
    (Failure, NeverExecuted, Some(Failure)),
    (Failure, Outcome::Unknown, Some(Failure)),
];

#[test]
fn every_state_with_every_outcome_goes_where_the_table_says() {
    let actions = [(AUTHORIZED, capture(40)), (CAPTURED, refund(40)), (AUTHORIZED, Action::Cancel)];
    for (past, action) in actions {
        for (state, outcome, expected) in STATE_MACHINE {
            let before = payment(past);
            let reserved = before.reserve(&reservation("t", 1, action.clone(), at(1))).unwrap();
            let there = match state {
                Initial => reserved.clone(),
                Pending => settled(&reserved, "t", 1, Received),
                Unknown => settled(&reserved, "t", 1, Outcome::Unknown),
                Success => settled(&reserved, "t", 1, Approved),
                Failure => settled(&reserved, "t", 1, Rejected),
            };
            let after = settled(&there, "t", 1, outcome);
            let what = format!("{action:?} in {state:?} ends {outcome:?}");
            assert_eq!(after.transactions.get(&id("t")).map(|t| t.state), expected, "{what}");
            assert_eq!(after.check(), Ok(()), "{what}");
            assert_eq!(after.in_flight, None, "{what}");
            // The hold is released, moved to its balance, or kept.
            match expected {
                None | Some(Failure) => assert_eq!(after.balances, before.balances, "{what}"),
                Some(Success) => assert_eq!(moved(&after), moved(&before) + 1, "{what}"),
                Some(Initial | Pending | Unknown) => {
                    assert_eq!(after.balances, reserved.balances, "{what}");
                }
            }
        }
    }
}

/// The number of completed sums, of three, that are not zero.
fn moved(payment: &Payment) -> usize {
    let balances = &payment.balances;
    let sums = [balances.captured, balances.refunded, balances.cancelled];
    sums.iter().filter(|sum| !sum.is_zero()).count()
}

fn settled(payment: &Payment, transaction: &str, nonce: u128, outcome: Outcome) -> Payment {
    match payment.settle(&id(transaction), &Nonce::new(nonce), outcome, at(5)).unwrap() {
        Settlement::Changed(next) => *next,
        Settlement::Unchanged(_) | Settlement::Gone => payment.clone(),
    }
}

#[test]
fn a_refund_of_one_charge_comes_back_to_it_when_it_fails() {
    let asked = reservation("r", 1, refund_of("past-1", 50), at(1));
    let reserved = payment(TWO_CHARGES).reserve(&asked).unwrap();
    let left = |payment: &Payment| payment.transactions[&id("past-1")].refundable;
    assert_eq!(left(&reserved), Some(eur(10)));
    assert_eq!(left(&settled(&reserved, "r", 1, Approved)), Some(eur(10)));
    assert_eq!(left(&settled(&reserved, "r", 1, Outcome::Unknown)), Some(eur(10)));
    assert_eq!(left(&settled(&reserved, "r", 1, Rejected)), Some(eur(60)));
    assert_eq!(left(&settled(&reserved, "r", 1, NeverExecuted)), Some(eur(60)));
}

#[test]
fn a_lease_that_ran_out_keeps_the_hold_and_frees_the_slot() {
    let asked = reservation("t", 1, capture(40), at(1));
    let reserved = payment(AUTHORIZED).reserve(&asked).unwrap();
    assert_eq!(reserved.expire(asked.lease), None);
    let expired = reserved.expire(asked.lease.plus_ms(1)).unwrap();
    assert_eq!(expired.in_flight, None);
    assert_eq!(expired.transactions[&id("t")].state, Unknown);
    assert_eq!(expired.balances, reserved.balances);
    // The first attempt is answered late: an approval counts, a rejection does not.
    for (outcome, state) in [(Approved, Success), (Rejected, Unknown), (NeverExecuted, Unknown)] {
        assert_eq!(settled(&expired, "t", 1, outcome).transactions[&id("t")].state, state);
    }
}

#[test]
fn a_rejection_from_an_attempt_without_the_slot_proves_nothing() {
    let reserved = payment(AUTHORIZED).reserve(&reservation("t", 1, capture(40), at(1))).unwrap();
    for outcome in [Rejected, NeverExecuted, Outcome::Unknown] {
        assert_eq!(settled(&reserved, "t", 2, outcome), reserved, "{outcome:?}");
    }
    let of_all_attempts = [(Approved, Success), (Received, Pending), (Outcome::Disproved, Failure)];
    for (outcome, state) in of_all_attempts {
        let after = settled(&reserved, "t", 2, outcome);
        assert_eq!(after.transactions[&id("t")].state, state);
        assert!(after.is_held_by(&Nonce::new(1)));
    }
}

#[test]
fn an_unknown_transaction_is_sent_again_with_the_same_id_and_another_nonce() {
    let reserved = payment(AUTHORIZED).reserve(&reservation("t", 1, capture(40), at(1))).unwrap();
    let resume =
        |payment: &Payment, now| payment.resume(&id("t"), Nonce::new(2), at(now), at(now + 33_000));
    assert!(matches!(resume(&reserved, 2), Err(Refusal::SameInFlight { .. })));
    assert_eq!(resume(&reserved, 99_000), Err(Refusal::LeaseExpired));
    for (outcome, state) in [(Approved, Success), (Received, Pending), (Rejected, Failure)] {
        let settled = settled(&reserved, "t", 1, outcome);
        assert_eq!(resume(&settled, 6), Err(Refusal::Repeated(state)));
    }
    let unknown = settled(&reserved, "t", 1, Outcome::Unknown);
    let again = resume(&unknown, 6).unwrap();
    assert_eq!(again.in_flight.as_ref().map(|slot| slot.attempt), Some(2));
    assert_eq!(again.balances, reserved.balances);
    // It is not Initial again: what was ambiguous stays so until it is cleared up.
    for outcome in [Rejected, NeverExecuted, Outcome::Unknown] {
        assert_eq!(settled(&again, "t", 2, outcome).transactions[&id("t")].state, Unknown);
    }
    assert_eq!(settled(&again, "t", 2, Approved).transactions[&id("t")].state, Success);
    assert_eq!(settled(&again, "t", 2, Outcome::Disproved).balances, payment(AUTHORIZED).balances);
}

#[test]
fn an_open_transaction_is_due_after_1_2_5_15_and_60_minutes_and_then_hourly() {
    let minutes = |n: u64| n * 60_000;
    let reserved = payment(AUTHORIZED).reserve(&reservation("t", 1, capture(40), at(0))).unwrap();
    let mut open = settled(&reserved, "t", 1, Outcome::Unknown);
    let mut now = 5;
    for pause in [1, 2, 5, 15, 60, 60, 60] {
        now += minutes(pause);
        assert!(open.due(at(now - 1)).is_empty(), "{pause}");
        assert_eq!(open.due(at(now)).len(), 1, "{pause}");
        assert_eq!(open.recover_at(), Some(at(now)), "{pause}");
        open = open.look_again(&id("t"), at(now), at(now));
    }
    let later = open.look_again(&id("t"), at(now), at(now + minutes(300)));
    assert_eq!(later.recover_at(), Some(at(now + minutes(300))));
}

#[test]
fn the_old_holder_does_not_free_the_slot_of_the_new_one() {
    let old = reservation("t", 1, capture(40), at(1));
    let expired = payment(AUTHORIZED).reserve(&old).unwrap().expire(at(99_000)).unwrap();
    let new = reservation("u", 2, capture(30), at(99_001));
    let taken = expired.reserve(&new).unwrap();
    let after = settled(&taken, "t", 1, Approved);
    assert!(after.is_held_by(&new.nonce));
    assert_eq!(after.transactions[&id("u")].state, Initial);
    assert_eq!(after.check(), Ok(()));
}

#[test]
fn a_past_that_does_not_add_up_cannot_be_registered() {
    let register = |past: Past<'_>, planned| register("p", past, planned).map(drop);
    use RegistrationRefusal::{
        Money, MorePlacedThanAuthorized, MoreRefundedThanCaptured, TooManyTransactions,
    };
    for (past, expected) in [
        (&[(Authorization, Success, 10), (Charge, Success, 11)][..], MorePlacedThanAuthorized),
        (&[(Authorization, Success, 10), (Charge, Pending, 11)], MorePlacedThanAuthorized),
        (&[(CancelAuthorization, Success, 1)], MorePlacedThanAuthorized),
        (&[(Charge, Success, 10), (Refund, Success, 11)], MoreRefundedThanCaptured),
        (&[(Charge, Success, 10), (Chargeback, Success, 11)], MoreRefundedThanCaptured),
        (&[(Authorization, Success, 10), (Refund, Initial, 1)], MoreRefundedThanCaptured),
        (&[(Authorization, Success, 1); 50], TooManyTransactions),
    ] {
        assert_eq!(register(past, eur(10)), Err(expected), "{past:?}");
    }
    // Another currency is refused whether it counts for a balance or not.
    for state in [Success, Pending, Failure] {
        for kind in [Authorization, Charge, Chargeback] {
            let other = register(&[(kind, state, 10)], money(10, "USD"));
            assert!(matches!(other, Err(Money(_))), "{kind:?} {state:?} {other:?}");
        }
    }
    assert_eq!(register(&[(Authorization, Success, 1); 49], eur(10)), Ok(()));
}

#[test]
fn recovery_looks_at_what_is_in_flight_when_its_lease_ends_and_at_the_rest_as_planned() {
    let first = payment(AUTHORIZED).reserve(&reservation("a", 1, capture(40), at(1))).unwrap();
    let unclear = settled(&first, "a", 1, Outcome::Unknown);
    let planned = at(5).plus_ms(60_000);
    let asked = reservation("b", 2, capture(30), at(90_000));
    let both = unclear.reserve(&asked).unwrap();
    let look_at =
        |payment: &Payment, name: &str| payment.next_look_at(&payment.transactions[&id(name)]);
    assert_eq!(look_at(&both, "a"), planned);
    assert_eq!(look_at(&both, "b"), asked.lease);
    // One that is sent again is left to its new holder.
    let lease = at(200_000);
    let again = unclear.resume(&id("a"), Nonce::new(3), at(100_000), lease).unwrap();
    assert_eq!(look_at(&again, "a"), lease);
    assert!(again.due(lease).is_empty());
    // One that began elsewhere has no plan yet.
    let elsewhere = payment(CAPTURING);
    assert_eq!(look_at(&elsewhere, "past-1"), at(60_000));
}

#[test]
fn a_repeat_is_answered_from_the_record_while_another_action_is_in_flight() {
    let first = reservation("a", 1, capture(40), at(1));
    let done = settled(&payment(AUTHORIZED).reserve(&first).unwrap(), "a", 1, Approved);
    let busy = done.reserve(&reservation("b", 2, capture(30), at(6))).unwrap();
    let again = reservation("a", 3, capture(40), at(7));
    assert_eq!(busy.admit(&again), Err(Refusal::Repeated(Success)));
    let other = reservation("c", 3, capture(30), at(7));
    assert_eq!(busy.admit(&other), Err(Refusal::OtherInFlight));
}

#[test]
fn an_action_has_the_name_that_callers_know_and_a_transaction_is_sent_as_its_action() {
    for (past, action, name) in [
        (AUTHORIZED, capture(40), "capturePayment"),
        (CAPTURED, refund(40), "refundPayment"),
        (CAPTURED, refund_of("past-1", 40), "refundPayment"),
        (AUTHORIZED, Action::Cancel, "cancelPayment"),
    ] {
        assert_eq!(action.name(), name);
        let asked = reservation("t", 1, action.clone(), at(1));
        let reserved = payment(past).reserve(&asked).unwrap();
        assert_eq!(reserved.transactions[&id("t")].action(), Some(action));
    }
    // A reversal is sent as what it was decided to be.
    assert_eq!(Action::Reverse.name(), "reversePayment");
    for (past, decided) in [(AUTHORIZED, Action::Cancel), (CAPTURED, refund(100))] {
        let asked = reservation("t", 1, Action::Reverse, at(1));
        let reserved = payment(past).reserve(&asked).unwrap();
        assert_eq!(reserved.transactions[&id("t")].action(), Some(decided));
    }
    let past = payment(CHARGED_BACK);
    for not_ours in ["past-0", "past-2"] {
        assert_eq!(past.transactions[&id(not_ours)].action(), None);
    }
}

#[test]
fn a_key_is_reused_where_any_part_of_the_content_is_another() {
    let mut first = reservation("t", 1, refund_of("past-1", 30), at(1));
    first.merchant_reference = Some("inv-7".to_owned());
    let payment = settled(&payment(CAPTURED).reserve(&first).unwrap(), "t", 1, Approved);
    let again = |action: Action, reference: Option<&str>| {
        let mut asked = reservation("t", 2, action, at(9));
        asked.merchant_reference = reference.map(str::to_owned);
        payment.admit(&asked)
    };
    let reference = Some("inv-7");
    assert_eq!(again(refund_of("past-1", 30), reference), Err(Refusal::Repeated(Success)));
    for (action, reference) in [
        (refund_of("past-1", 30), None),
        (refund_of("past-1", 30), Some("inv-8")),
        (refund_of("past-1", 31), reference),
        (refund_of("past-0", 30), reference),
        (refund(30), reference),
        (capture(30), reference),
        (Action::Reverse, reference),
        (Action::Cancel, reference),
    ] {
        let what = format!("{action:?} {reference:?}");
        assert_eq!(again(action, reference), Err(Refusal::KeyReused), "{what}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    /// After any reports, by any id and in any order, the ledger is consistent and can be
    /// read, and a disputed transaction keeps its hold.
    #[test]
    fn no_report_makes_a_ledger_that_does_not_add_up(
        past in any_past(),
        steps in prop::collection::vec(any_step_or_report(), 0..24),
    ) {
        walk(past, &steps, |before, after| {
            assert_eq!(after.check(), Ok(()), "{after:?}");
            assert!(after.version > before.version);
            for disputed in after.transactions.values().filter(|one| one.is_disputed) {
                assert_eq!(disputed.state, Unknown, "{after:?}");
            }
            let is_open =
                after.open_transactions().next().is_some() || after.in_flight.is_some();
            assert_eq!(after.recover_at().is_some(), is_open);
        });
    }
}

proptest! {
    /// In any order of actions, answers and losses, no money appears or vanishes, final
    /// states stay final, and amounts never change.
    #[test]
    fn no_step_loses_or_invents_money(
        past in any_past(),
        steps in prop::collection::vec(any_step(), 0..40),
    ) {
        walk(past, &steps, |before, after| {
            assert_eq!(after.check(), Ok(()), "{after:?}");
            assert_eq!(after.version, before.version + 1);
            assert_eq!(after.balances.authorized, before.balances.authorized);
            let is_open =
                after.open_transactions().next().is_some() || after.in_flight.is_some();
            assert_eq!(after.recover_at().is_some(), is_open);
            for (id, transaction) in &before.transactions {
                let later = after.transactions.get(id);
                assert!(later.is_some() || transaction.state == Initial, "{id} vanished");
                if let Some(later) = later {
                    assert_eq!(later.amount, transaction.amount);
                    assert_eq!(later.kind, transaction.kind);
                    let is_final = !transaction.state.is_open() && !later.is_disputed;
                    assert!(!is_final || later.state == transaction.state);
                }
            }
        });
    }
}
