//! More than there is: what waits for the balances, and when it is booked.

use super::*;

#[test]
fn what_makes_room_for_one_books_what_waits_for_that_one() {
    let refunded = told(&payment(CAPTURED), report(Refund, Success, 70, "R"));
    let captured = told(&refunded, report(Charge, Success, 80, "C"));
    let cancelled = told(&captured, report(CancelAuthorization, Success, 200, "V"));
    assert_eq!(cancelled.discrepancies().count(), 3);
    let more = told(&cancelled, report(Authorization, Success, 30, "A"));
    let waiting: Vec<_> = more.discrepancies().map(|one| one.kind).collect();
    assert_eq!(waiting, [CancelAuthorization]);
    assert_eq!((more.balances.captured, more.balances.refunded), (eur(120), eur(70)));
    assert_eq!((more.balances.capturable, more.balances.refundable), (eur(10), eur(50)));
}

#[test]
fn what_fits_only_together_is_booked_together() {
    // 10 more are authorized; the refund of 60 waits for the capture of 70, and the
    // capture for the authorization.
    let refunded = told(&payment(CAPTURED), report(Refund, Success, 60, "R"));
    let captured = told(&refunded, report(Charge, Success, 70, "C"));
    assert_eq!(captured.discrepancies().count(), 2);
    let more = told(&captured, report(Authorization, Success, 10, "A"));
    assert_eq!((more.discrepancies().count(), more.balances.refundable), (0, eur(50)));
}

#[test]
fn an_approval_whose_hold_was_given_back_and_spent_is_held_all_the_same() {
    let open = unclear(&payment(AUTHORIZED), "a", 40);
    let failed = told(&open, report(Charge, Failure, 40, "X"));
    assert_eq!(failed.balances.capturable, eur(100));
    let spent = in_flight(&failed, "b", 100, later());
    let spent = settled(&spent, "b", Outcome::Approved, later());
    let refuted = told(&spent, report(Charge, Success, 40, "X"));
    assert_eq!(refuted.transactions[&id("a")].state, Failure);
    assert_eq!(stopped(&refuted), (true, true));
    let when = later().plus_ms(1_000);
    let approved = match refuted.settle(&id("a"), &Nonce::new(77), Outcome::Approved, when) {
        Ok(Settlement::Changed(next)) => *next,
        other => panic_with(&other.unwrap()),
    };
    let ours = &approved.transactions[&id("a")];
    assert_eq!((ours.state, ours.state_awaiting_balances), (Unknown, Some(Success)));
    assert_eq!(approved.recover_at(), Some(when.plus_ms(60_000)));
    assert_eq!(stopped(&approved), (true, true));
    let accepted = acknowledged(&approved, "a");
    assert_eq!((accepted.balances.captured, stopped(&accepted)), (eur(140), (false, false)));
}

#[test]
fn an_excess_that_was_accepted_and_is_in_dispute_takes_a_state_to_resolve() {
    let exceeded = told(&payment(CAPTURED), report(Refund, Success, 50, "X"));
    let accepted = acknowledged(&exceeded, "new-1");
    assert!(accepted.version > exceeded.version);
    let disputed = told(&accepted, report(Refund, Failure, 50, ""));
    assert_eq!(stopped(&disputed), (false, true));
    let update = Update::AcknowledgeDiscrepancy { id: id("new-1") };
    let refused = disputed.update(&[update], &reporter(later(), true));
    assert_eq!(refused, Err(UpdateRefusal::NothingToAcknowledge(id("new-1"))));
}

#[test]
fn what_waits_is_booked_in_whatever_order_it_fits() {
    // The refund, which came first, needs the capture; and that the room of `a`.
    let refunded = told(&unclear(&payment(CAPTURED), "a", 20), report(Refund, Success, 70, "R"));
    let captured = told(&refunded, report(Charge, Success, 60, "C"));
    let cancelled = told(&captured, report(CancelAuthorization, Success, 200, "V"));
    assert_eq!(cancelled.discrepancies().count(), 3);
    let failed = Update::ChangeTransactionState { id: id("a"), state: Failure };
    let booked = cancelled.update(&[failed], &reporter(later(), true)).unwrap();
    let waiting: Vec<_> = booked.discrepancies().map(|one| one.kind).collect();
    assert_eq!(waiting, [CancelAuthorization]);
    assert_eq!((booked.balances.captured, booked.balances.refunded), (eur(100), eur(70)));
}

/// A refund of so much that a report without our id says has failed.
fn failed_by_likeness(payment: &Payment, name: &str, amount: u64, when: u64) -> Payment {
    let open = payment.reserve(&reservation(name, 1, refund(amount), at(when))).unwrap();
    let unclear = settled(&open, name, Outcome::Unknown, at(when + 500));
    let failed = told(&unclear, report(Refund, Failure, amount, &format!("F-{name}")));
    assert_eq!(failed.transactions[&id(name)].state, Failure);
    failed
}

#[test]
fn all_that_is_open_again_and_has_no_room_any_more_waits() {
    let failed = failed_by_likeness(&payment(CAPTURED), "a", 15, 1_000);
    let failed = failed_by_likeness(&failed, "b", 5, 3_000);
    let spent = failed.reserve(&reservation("c", 1, refund(40), later())).unwrap();
    let spent = settled(&spent, "c", Outcome::Approved, later());
    let begun = |name: &str, amount| Update::AddTransaction {
        id: id(&format!("new-{name}")),
        report: report(Refund, Initial, amount, name),
    };
    let next = spent.update(&[begun("a", 15), begun("b", 5)], &reporter(later(), true)).unwrap();
    let waiting: Vec<_> = next.discrepancies().map(|one| one.id.clone()).collect();
    assert_eq!((waiting, stopped(&next)), (vec![id("a"), id("b")], (false, true)));
    assert_eq!(next.balances.refunded, eur(40));
}
