//! What others report of a Payment: which transaction is meant, whom it is believed
//! of, and that no hold is given back by a guess.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "that is how a test fails")]

#[path = "support/payments.rs"]
mod payments;

use State::{Failure, Initial, Pending, Success, Unknown};
use TransactionKind::{Authorization, CancelAuthorization, Charge, Chargeback, Refund};
use payment_intents::payment::{
    Fact, Nonce, Outcome, Payment, Reporter, Settlement, State, Timestamp, TransactionKind, Update,
    UpdateRefusal,
};
use payments::{at, capture, eur, id, payment, refund, reservation};

/// An hour after the Payment was registered.
fn later() -> Timestamp {
    at(3_600_000)
}

fn reporter(at: Timestamp, is_trusted: bool) -> Reporter {
    Reporter { by: Some("operator".to_owned()), at, is_trusted }
}

fn fact(kind: TransactionKind, state: State, amount: u64, name: &str) -> Fact {
    let interaction_id = (!name.is_empty()).then(|| name.to_owned());
    Fact { kind, state, amount: eur(amount), timestamp: None, interaction_id, interface_id: None }
}

/// Told by somebody whose word counts.
fn told(payment: &Payment, fact: Fact) -> Payment {
    told_by(payment, fact, &reporter(later(), true))
}

fn told_by(payment: &Payment, fact: Fact, reporter: &Reporter) -> Payment {
    let new = id(&format!("new-{}", payment.version));
    let update = Update::AddTransaction { id: new, fact };
    let next = payment.update(&[update], reporter).unwrap();
    assert_eq!(next.check(), Ok(()));
    next
}

/// The action in flight, as the transaction of that name, with the nonce 1.
fn in_flight(payment: &Payment, name: &str, amount: u64, when: Timestamp) -> Payment {
    payment.reserve(&reservation(name, 1, capture(amount), when)).unwrap()
}

fn settled(payment: &Payment, name: &str, outcome: Outcome, when: Timestamp) -> Payment {
    match payment.settle(&id(name), &Nonce::new(1), outcome, when).unwrap() {
        Settlement::Changed(next) => *next,
        unchanged => panic_with(&unchanged),
    }
}

#[expect(clippy::panic, reason = "that is how a test fails")]
fn panic_with(settlement: &Settlement) -> ! {
    panic!("{settlement:?}")
}

fn states(payment: &Payment) -> Vec<(TransactionKind, State, u64)> {
    let all = payment.transactions.values().filter(|ours| ours.kind != Authorization);
    let mut all: Vec<_> = all.collect();
    all.sort_by_key(|ours| (ours.timestamp, ours.id.clone()));
    all.iter().map(|ours| (ours.kind, ours.state, ours.amount.minor_units())).collect()
}

const AUTHORIZED: &[(TransactionKind, State, u64)] = &[(Authorization, Success, 100)];

#[test]
fn a_late_failure_of_an_earlier_capture_leaves_the_one_in_flight_alone() {
    let rejected = in_flight(&payment(AUTHORIZED), "a", 50, at(1_000));
    let rejected = settled(&rejected, "a", Outcome::Rejected, at(2_000));
    let retried = in_flight(&rejected, "b", 50, at(3_000));
    let told = told_by(&retried, fact(Charge, Failure, 50, "X"), &reporter(at(4_000), true));
    assert_eq!(states(&told), [(Charge, Failure, 50), (Charge, Initial, 50)]);
    assert_eq!(told.transactions[&id("a")].interaction_id.as_deref(), Some("X"));
    assert_eq!(told.balances.capturable, eur(50));
}

#[test]
fn what_was_over_before_it_began_is_no_failure_of_it() {
    let open = in_flight(&payment(AUTHORIZED), "a", 50, later());
    let before = Fact { timestamp: Some(at(0)), ..fact(Charge, Failure, 50, "X") };
    let told = told_by(&open, before, &reporter(later().plus_ms(1_000), true));
    assert_eq!(told.transactions[&id("a")].state, Initial);
    assert_eq!(told.balances.capturable, eur(50));
}

#[test]
fn our_own_id_names_our_transaction_and_is_not_taken_for_the_psps() {
    let first = in_flight(&payment(AUTHORIZED), "a", 50, at(1_000));
    let first = settled(&first, "a", Outcome::Unknown, at(2_000));
    let both = in_flight(&first, "b", 50, at(3_000));
    let both = settled(&both, "b", Outcome::Unknown, at(4_000));
    let told = told(&both, fact(Charge, Failure, 50, "b"));
    assert_eq!(told.transactions[&id("a")].state, Unknown);
    assert_eq!(told.transactions[&id("b")].state, Failure);
    assert_eq!(told.transactions[&id("b")].interaction_id, None);
}

#[test]
fn a_connector_that_is_not_trusted_cannot_fail_what_it_called_pending_meanwhile() {
    let open = in_flight(&payment(AUTHORIZED), "a", 50, at(1_000));
    let doubtful = reporter(at(2_000), false);
    let pending = told_by(&open, fact(Charge, Pending, 50, "X"), &doubtful);
    let failed = told_by(&pending, fact(Charge, Failure, 50, "X"), &doubtful);
    assert_eq!(states(&failed), [(Charge, Pending, 50)]);
    let unclear = settled(&failed, "a", Outcome::Unknown, at(3_000));
    let told = told_by(&unclear, fact(Charge, Failure, 50, "X"), &reporter(at(4_000), false));
    assert_eq!(told.balances.capturable, eur(50));
    let late = told_by(&told, fact(Charge, Failure, 50, "X"), &reporter(at(400_000), false));
    assert_eq!(late.balances.capturable, eur(100));
}

#[test]
fn an_operator_who_is_too_early_is_told_so() {
    let open = in_flight(&payment(AUTHORIZED), "a", 50, at(1_000));
    let open = settled(&open, "a", Outcome::Unknown, at(2_000));
    let failed = Update::ChangeTransactionState { id: id("a"), state: Failure };
    let early = open.update(std::slice::from_ref(&failed), &reporter(at(300_000), false));
    assert_eq!(early, Err(UpdateRefusal::TooEarly(id("a"))));
    let resolved = open.update(&[failed], &reporter(at(400_000), false)).unwrap();
    assert_eq!(resolved.balances.capturable, eur(100));
    let reported = resolved.transactions[&id("a")].reported.clone().unwrap();
    assert_eq!((reported.by.as_deref(), reported.at), (Some("operator"), at(400_000)));
}

#[test]
fn what_could_not_be_booked_is_booked_when_an_answer_makes_room() {
    let open = in_flight(&payment(AUTHORIZED), "a", 100, at(1_000));
    let refunded = told(&open, fact(Refund, Success, 50, "R"));
    assert_eq!(refunded.discrepancies().count(), 1);
    let captured = settled(&refunded, "a", Outcome::Approved, later());
    assert_eq!(captured.discrepancies().count(), 0);
    assert_eq!(captured.balances.refundable, eur(50));
    assert!(captured.admit(&reservation("r", 2, refund(51), later())).is_err());
}

#[test]
fn an_authorization_that_is_none_does_not_make_a_sale_impossible() {
    for past in [&[(Authorization, Failure, 100)][..], &[(Authorization, Pending, 100)], &[]] {
        let sold = told(&payment(past), fact(Charge, Success, 100, "C"));
        assert_eq!(sold.discrepancies().count(), 0, "{past:?}");
        let late = told(&sold, fact(Authorization, Failure, 30, "A"));
        let refunded = told(&late, fact(Refund, Success, 40, "R"));
        assert_eq!(refunded.balances.refundable, eur(60), "{past:?}");
        let authorized = told(&refunded, fact(Authorization, Success, 100, "B"));
        assert_eq!(authorized.balances.authorized, eur(100), "{past:?}");
        assert_eq!(authorized.discrepancies().count(), 0, "{past:?}");
    }
}

#[test]
fn a_capture_begun_elsewhere_that_fails_leaves_nothing_to_capture() {
    let begun = payment(&[(Charge, Initial, 50)]);
    let failed = match begun.settle(&id("past-0"), &Nonce::new(9), Outcome::Disproved, later()) {
        Ok(Settlement::Changed(next)) => next,
        other => panic_with(&other.unwrap()),
    };
    assert_eq!(failed.balances.authorized, eur(0));
    assert!(failed.admit(&reservation("c", 1, capture(1), later())).is_err());
}

#[test]
fn who_serves_a_payment_is_not_changed_while_something_is_open() {
    let open = in_flight(&payment(AUTHORIZED), "a", 50, at(1_000));
    let named = Update::SetMethodInfoInterface("adyen".to_owned());
    let refused = open.update(std::slice::from_ref(&named), &reporter(at(2_000), true));
    assert_eq!(refused, Err(UpdateRefusal::TransactionOpen));
    let closed = settled(&open, "a", Outcome::Approved, at(3_000));
    let named = closed.update(&[named], &reporter(at(4_000), true)).unwrap();
    let other = Update::SetMethodInfoInterface("stripe".to_owned());
    let refused = named.update(&[other], &reporter(at(5_000), true));
    assert_eq!(refused, Err(UpdateRefusal::AlreadySet("paymentMethodInfo.paymentInterface")));
}

#[test]
fn a_payment_keeps_only_so_much_text_and_all_of_a_request_or_nothing() {
    let before = payment(AUTHORIZED);
    let note = Update::AddInterfaceInteraction("x".repeat(60 * 1024));
    let status = Update::SetStatusInterfaceCode(Some("paid".to_owned()));
    let few =
        before.update(&[note.clone(), note.clone(), status.clone()], &reporter(later(), true));
    assert_eq!(few.as_ref().unwrap().version, before.version + 3);
    let most = few.unwrap().update(std::slice::from_ref(&note), &reporter(later(), true)).unwrap();
    let refused = most.update(&[status, note], &reporter(later(), true));
    assert_eq!(refused, Err(UpdateRefusal::TooLarge));
}

#[test]
fn what_nobody_asked_for_moves_the_balances() {
    let captured = told(&payment(AUTHORIZED), fact(Charge, Success, 60, "C"));
    let released = told(&captured, fact(CancelAuthorization, Success, 40, "V"));
    let charged_back = told(&released, fact(Chargeback, Success, 25, "B"));
    let more = told(&charged_back, fact(Authorization, Success, 10, "A"));
    let balances = more.balances;
    assert_eq!((balances.authorized, balances.capturable), (eur(110), eur(10)));
    assert_eq!((balances.captured, balances.refundable), (eur(60), eur(35)));
    assert_eq!((balances.refunded, balances.cancelled), (eur(25), eur(40)));
    let again = told(&more, fact(Chargeback, Success, 25, "B"));
    assert_eq!(again, more, "told twice, it is no news");
}

#[test]
fn an_id_that_many_share_names_none_of_them() {
    // The authorization's own, as the public template reports all that it does.
    let first = told(&payment(AUTHORIZED), fact(Charge, Success, 40, "psp-0"));
    let second = in_flight(&first, "b", 40, later().plus_ms(1_000));
    let failed = reporter(later().plus_ms(2_000), true);
    let told = told_by(&second, fact(Charge, Failure, 40, "psp-0"), &failed);
    assert_eq!(states(&told), [(Charge, Success, 40), (Charge, Failure, 40)]);
}

#[test]
fn a_fact_stands_against_an_answer_and_somebody_has_to_look() {
    for (state, outcome, standing) in [
        (Failure, Outcome::Approved, Unknown),
        (Failure, Outcome::Received, Unknown),
        (Success, Outcome::Rejected, Success),
        (Success, Outcome::NeverExecuted, Success),
    ] {
        let open = in_flight(&payment(AUTHORIZED), "a", 50, at(1_000));
        let known = told_by(&open, fact(Charge, state, 50, "X"), &reporter(at(2_000), true));
        let disputed = settled(&known, "a", outcome, at(3_000));
        assert_eq!(states(&disputed), [(Charge, state, 50)], "{outcome:?}");
        assert_eq!(disputed.in_flight, None, "{outcome:?}");
        assert_eq!(disputed.discrepancies().count(), 1, "{outcome:?}");
        assert_eq!(disputed.transactions[&id("a")].standing(), standing, "{outcome:?}");
        let confirmed = told(&disputed, fact(Charge, state, 50, "X"));
        assert_eq!(confirmed.discrepancies().count(), 0, "{outcome:?}");
    }
}
