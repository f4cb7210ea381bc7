//! Transactions that failed make room for others, and change nothing else.

use super::*;
use payment_intents::payment::{Reporter, Transaction, Update};

/// The number of rejected transactions: more than the transactions that a Payment takes.
const MANY: u64 = 60;

/// The Payment after this number of rejected captures of 1, with the keys `old-0`, `old-1`….
fn rejected(payment: &Payment, count: u64) -> Payment {
    (0..count).fold(payment.clone(), |payment, n| {
        let (name, nonce) = (format!("old-{n}"), u128::from(n));
        let reserved = payment.reserve(&reservation(&name, nonce, capture(1), at(n))).unwrap();
        settled(&reserved, &name, nonce, Rejected)
    })
}

/// The Payment with many transactions that were rejected, whatever it allows itself. No
/// report is about them: their amount is another.
fn crowded(mut payment: Payment) -> Payment {
    let mut one = rejected(&self::payment(AUTHORIZED), 1);
    let template = one.transactions.remove(&id("old-0")).unwrap();
    for n in 0..MANY {
        let name = id(&format!("old-{n}"));
        let old = Transaction { id: name.clone(), amount: eur(500), ..template.clone() };
        payment.transactions.insert(name, old);
    }
    payment
}

fn without_crowd(mut payment: Payment) -> Payment {
    payment.transactions.retain(|id, _| !id.as_str().starts_with("old-"));
    payment
}

#[test]
fn rejected_transactions_make_room_for_every_action() {
    for (past, action, expected) in [
        (AUTHORIZED, capture(100), becomes(Charge, 100)),
        (AUTHORIZED, capture(101), exceeds_capturable(101, 100)),
        (AUTHORIZED, Action::Cancel, becomes(CancelAuthorization, 100)),
        (AUTHORIZED, Action::Reverse, becomes(CancelAuthorization, 100)),
        (CAPTURED, refund(100), becomes(Refund, 100)),
        (CAPTURED, refund_of("past-1", 40), becomes(Refund, 40)),
        (CAPTURED, Action::Reverse, becomes(Refund, 100)),
    ] {
        let payment = crowded(payment(past));
        let asked = reservation("t", 1, action.clone(), at(100));
        assert_eq!(payment.admit(&asked), expected, "{action:?} on {past:?}");
    }
}

#[test]
fn what_moved_or_may_have_moved_makes_no_room() {
    let full = |outcome| {
        (1_u64..50).fold(payment(AUTHORIZED), |payment, n| {
            let (name, nonce) = (format!("t{n}"), u128::from(n));
            let asked = reservation(&name, nonce, capture(1), at(n));
            settled(&payment.reserve(&asked).unwrap(), &name, nonce, outcome)
        })
    };
    let asked = reservation("t", 99, capture(1), at(99));
    for outcome in [Approved, Received, Outcome::Unknown] {
        let full = full(outcome);
        assert_eq!(full.admit(&asked), Err(Refusal::TooManyTransactions), "{outcome:?}");
        assert_eq!(crowded(full).admit(&asked), Err(Refusal::TooManyTransactions), "{outcome:?}");
    }
    // The answers to one of them contradict each other: it may have moved.
    let rejected = full(Rejected);
    assert_eq!(rejected.admit(&asked), becomes(Charge, 1));
    let disputed = (1_u64..50)
        .fold(rejected, |payment, n| settled(&payment, &format!("t{n}"), u128::from(n), Approved));
    assert_eq!(disputed.discrepancies().count(), 49);
    assert_eq!(disputed.admit(&asked), Err(Refusal::TooManyTransactions));
}

#[test]
fn the_key_of_a_rejected_transaction_is_never_free_again() {
    // As long as the ids of the service.
    let name = |n: u64| format!("{n:036}");
    let mut payment = payment(AUTHORIZED);
    for n in 0.. {
        let nonce = u128::from(n);
        match payment.reserve(&reservation(&name(n), nonce, capture(1), at(n))) {
            Ok(reserved) => payment = settled(&reserved, &name(n), nonce, Rejected),
            Err(refusal) => {
                assert_eq!(refusal, Refusal::TooManyTransactions);
                break;
            }
        }
    }
    let count = u64::try_from(payment.transactions.len()).unwrap();
    assert!((150..200).contains(&count), "{count} transactions");
    for n in 0..count - 1 {
        let again = |amount| reservation(&name(n), 9, capture(amount), at(999));
        assert_eq!(payment.admit(&again(1)), Err(Refusal::Repeated(Failure)), "{n}");
        assert_eq!(payment.admit(&again(2)), Err(Refusal::KeyReused), "{n}");
    }
    // Captures are over, and a cancel is not.
    let asked = |action| payment.admit(&reservation("t", 1, action, at(999)));
    assert_eq!(asked(capture(1)), Err(Refusal::TooManyTransactions));
    assert_eq!(asked(Action::Cancel), becomes(CancelAuthorization, 100));
}

#[test]
fn a_late_success_of_a_rejected_transaction_counts_once() {
    let full = rejected(&payment(AUTHORIZED), MANY);
    let reporter = Reporter { by: None, at: at(400_000), is_trusted: true };
    let happened = Update::ChangeTransactionState { id: id("old-7"), state: Success };
    for times in 1..=2 {
        let told = full.update(&vec![happened.clone(); times], &reporter).unwrap();
        assert_eq!(told.balances.captured, eur(1));
        assert_eq!(told.balances.capturable, eur(99));
        let asked = |amount| reservation("t", 1, capture(amount), at(500_000));
        assert_eq!(told.admit(&asked(100)), exceeds_capturable(100, 99));
        assert_eq!(told.admit(&asked(99)), becomes(Charge, 99));
    }
}

proptest! {
    /// Requests, answers, reports and recovery lead to the same as without them.
    #[test]
    fn rejected_transactions_change_nothing_but_themselves(
        past in any_past(),
        steps in prop::collection::vec(any_step_or_report(), 0..25),
    ) {
        let alone = walk(past.clone(), &steps, |_, _| {});
        let beside = walk(crowded(past.clone()), &steps, |_, _| {});
        let old = crowded(past);
        for (id, transaction) in &old.transactions {
            if id.as_str().starts_with("old-") {
                prop_assert_eq!(beside.transactions.get(id), Some(transaction));
            }
        }
        prop_assert_eq!(without_crowd(beside), alone);
    }
}
