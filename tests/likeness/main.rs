//! Reports with and without ids, in any order: an id overrides a match by likeness, no
//! report is lost, and no order of reports makes more money available than another.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a panic fails the test"
)]

mod ambiguous;
mod claims;
mod several;
#[path = "../support/mod.rs"]
mod support;
mod taken_back;

use State::{Failure, Pending, Success, Unknown};
use TransactionKind::{Authorization, CancelAuthorization, Charge, Refund};
use payment_intents::payment::{
    Action, Nonce, Outcome, Payment, Refusal, Report, Settlement, State, Timestamp,
    TransactionKind, Update, UpdateRefusal,
};
use support::payments::{at, capture, eur, id, payment, refund, refund_of, reservation};
use support::reporting::*;

/// The same report, with our own id of the transaction as well.
fn by_own_id(report: Report, name: &str) -> Report {
    Report { interface_id: Some(name.to_owned()), ..report }
}

/// A capture of this amount with this answer.
fn answered(payment: &Payment, name: &str, amount: u64, outcome: Outcome) -> Payment {
    settled(&in_flight(payment, name, amount, at(1_000)), name, outcome, at(2_000))
}

fn capturable(payment: &Payment) -> u64 {
    payment.balances.capturable.minor_units()
}

fn captured(payment: &Payment) -> u64 {
    payment.balances.captured.minor_units()
}

#[test]
fn an_effect_elsewhere_is_counted_though_its_name_was_taken_for_ours() {
    for state in [Success, Pending] {
        let ours = answered(&payment(AUTHORIZED), "a", 40, Outcome::Approved);
        let likely = told(&ours, report(Charge, state, 40, "X"));
        let known = told(&likely, by_own_id(report(Charge, Success, 40, "Y"), "a"));
        assert_eq!(capturable(&known), 20, "{state:?}");
        assert_eq!(captured(&known), if state == Success { 80 } else { 40 }, "{state:?}");
    }
}

#[test]
fn two_captures_that_share_a_psp_id_stay_two() {
    let elsewhere = told(&payment(AUTHORIZED), report(Charge, Success, 40, "psp-0"));
    let both = answered(&elsewhere, "b", 40, Outcome::Approved);
    let known = told(&both, by_own_id(report(Charge, Success, 40, "psp-0"), "b"));
    assert_eq!((captured(&known), capturable(&known)), (80, 20));
}

#[test]
fn an_effect_that_turns_out_to_be_ours_takes_its_refunds_along() {
    let open = in_flight(&payment(AUTHORIZED), "a", 40, later());
    let early = Report { timestamp: Some(at(60_000)), ..report(Charge, Success, 40, "X") };
    let both = settled(&told(&open, early), "a", Outcome::Approved, later());
    let effect = both.transactions.values().find(|one| one.interaction_id.is_some()).unwrap();
    let asked = reservation("r", 2, refund_of(effect.id.as_str(), 40), later());
    let refunding = both.reserve(&asked).unwrap();
    let Ok(Settlement::Changed(refunded)) =
        refunding.settle(&id("r"), &Nonce::new(2), Outcome::Approved, later())
    else {
        unreachable!("a refund is settled")
    };
    let known = told(&refunded, by_own_id(report(Charge, Success, 40, "X"), "a"));
    assert_eq!(known.transactions[&id("r")].charge, Some(id("a")));
    assert_eq!(known.balances.refundable, eur(0));
    assert_eq!((captured(&known), known.balances.refunded), (40, eur(40)));
}

#[test]
fn a_report_without_a_name_does_not_undo_what_one_with_a_name_told() {
    for name in ["", "psp-0"] {
        let open = unclear(&payment(AUTHORIZED), "a", 40);
        let happened = told(&open, report(Charge, Success, 40, "X"));
        let contrary = told(&happened, report(Charge, Failure, 40, name));
        assert_eq!(stopped(&contrary), (true, true), "{name:?}");
        assert_eq!(capturable(&contrary), 60, "{name:?}");
    }
}

#[test]
fn a_report_by_our_own_id_counts_beside_a_psp_id_taken_by_likeness() {
    let open = unclear(&payment(AUTHORIZED), "a", 40);
    let begun = told(&open, report(Charge, Pending, 40, "X"));
    let known = told(&begun, report(Charge, Success, 40, "a"));
    let failed = told(&known, report(Charge, Failure, 40, "X"));
    assert_eq!((capturable(&failed), stopped(&failed)), (60, (true, true)));
}

#[test]
fn the_order_of_a_late_answer_and_a_report_makes_no_difference() {
    let late = |payment: &Payment| match payment
        .settle(&id("b"), &Nonce::new(77), Outcome::Approved, later())
        .unwrap()
    {
        Settlement::Changed(next) => *next,
        Settlement::Unchanged(_) | Settlement::Gone => payment.clone(),
    };
    let first = unclear(&payment(AUTHORIZED), "b", 40);
    let open = first.reserve(&reservation("a", 1, capture(40), at(3_000))).unwrap();
    let report = || report(Charge, Success, 40, "X");
    let reported = settled(&told(&open, report()), "a", Outcome::Unknown, at(5_000));
    let one = late(&reported);
    let other = told(&late(&settled(&open, "a", Outcome::Unknown, at(5_000))), report());
    for payment in [&one, &other] {
        assert_eq!((captured(payment), capturable(payment)), (40, 20));
        let known = told(payment, by_own_id(report(), "b"));
        assert_eq!((captured(&known), capturable(&known)), (40, 20));
        assert_eq!(known.transactions[&id("b")].interaction_id.as_deref(), Some("X"));
        assert_eq!(known.transactions[&id("a")].state, Unknown);
    }
}

#[test]
fn time_settles_no_contradiction() {
    let open = in_flight(&payment(AUTHORIZED), "a", 40, at(1_000));
    let said = Update::ChangeTransactionState { id: id("a"), state: Failure };
    let doubtful = reporter(at(2_000), false);
    let failed = open.update(std::slice::from_ref(&said), &doubtful).unwrap();
    let disputed = settled(&failed, "a", Outcome::Approved, at(3_000));
    let again = disputed.update(std::slice::from_ref(&said), &reporter(at(4_000), false)).unwrap();
    assert_eq!(again.apply_waiting_failures(at(9_000_000), false), None);
    assert_eq!((capturable(&again), stopped(&again)), (60, (true, true)));
}

#[test]
fn a_rejected_capture_that_the_psp_reports_as_pending_is_held_again() {
    let rejected = answered(&payment(AUTHORIZED), "a", 40, Outcome::Rejected);
    let begun = told(&rejected, by_own_id(report(Charge, Pending, 40, "Y"), "a"));
    assert_eq!(capturable(&begun), 60);
    // Not after a report that it failed: that may have overtaken this one.
    let failed = told(&begun, by_own_id(report(Charge, Failure, 40, "Y"), "a"));
    let late = told(&failed, by_own_id(report(Charge, Pending, 40, "Y"), "a"));
    assert_eq!(capturable(&late), 100);
}

#[test]
fn an_interface_id_stays_with_our_transaction_after_a_rejection() {
    let open = in_flight(&payment(AUTHORIZED), "a", 40, at(1_000));
    let named = Update::SetTransactionInterfaceId { id: id("a"), interface_id: Some("F".into()) };
    let open = open.update(&[named], &reporter(at(1_500), true)).unwrap();
    let likely = told(&open, report(Charge, Success, 40, "X"));
    let rejected = settled(&likely, "a", Outcome::Rejected, at(3_000));
    assert_eq!(rejected.transactions[&id("a")].interface_id.as_deref(), Some("F"));
    let failed = told(
        &rejected,
        Report { interface_id: Some("F".into()), ..report(Charge, Failure, 40, "") },
    );
    assert_eq!((captured(&failed), capturable(&failed)), (40, 60));
}

#[test]
fn one_effect_told_with_and_without_its_time_is_one() {
    let without = told(&payment(AUTHORIZED), report(Charge, Success, 40, ""));
    let timed = Report { timestamp: Some(at(100_000)), ..report(Charge, Success, 40, "") };
    assert_eq!(captured(&told(&without, timed)), 40);
}

#[test]
fn another_amount_by_our_own_id_is_a_discrepancy() {
    let ours = answered(&payment(AUTHORIZED), "a", 100, Outcome::Approved);
    let other = told(&ours, by_own_id(report(Charge, Success, 60, "Y"), "a"));
    assert_eq!(stopped(&other), (true, true));
    assert_eq!(other.transactions.len(), ours.transactions.len());
}

#[test]
fn a_likely_effect_is_not_lost_when_ours_is_given_another_name() {
    let open = in_flight(&payment(AUTHORIZED), "a", 40, at(1_000));
    let likely = told(&open, report(Charge, Success, 40, "X"));
    let update =
        Update::ChangeTransactionInteractionId { id: id("a"), interaction_id: "Y".to_owned() };
    let named = likely.update(&[update], &reporter(at(2_000), true)).unwrap();
    let approved = settled(&named, "a", Outcome::Approved, at(3_000));
    assert_eq!((captured(&approved), capturable(&approved)), (80, 20));
}

#[test]
fn a_release_of_everything_is_not_taken_for_a_release_of_a_part() {
    let part = told(&payment(AUTHORIZED), report(CancelAuthorization, Success, 30, "V"));
    let whole = told(&part, report(CancelAuthorization, Success, 100, ""));
    assert_eq!(stopped(&whole), (true, false));
}

#[test]
fn an_amount_that_no_ledger_can_hold_is_not_acknowledged() {
    let most = payment_intents::money::Money::MINOR_UNITS_MAX;
    let exceeded = told(&payment(CAPTURED), report(Charge, Success, most, "X"));
    let update = Update::AcknowledgeDiscrepancy { id: id("new-1") };
    let refused = exceeded.update(&[update], &reporter(later(), true));
    assert_eq!(refused, Err(UpdateRefusal::TooMuch(id("new-1"))));
}

#[test]
fn a_rejection_that_does_not_fit_what_was_refunded_elsewhere_is_in_dispute() {
    let open = in_flight(&payment(CAPTURED), "a", 60, at(1_000));
    let likely = told(&open, report(Charge, Success, 60, "X"));
    let failed = Report { timestamp: None, ..report(Charge, Failure, 60, "X") };
    let refunded = told(&likely, report(Refund, Success, 100, "R"));
    let waiting = told(&refunded, failed);
    assert_eq!(waiting.check(), Ok(()));
    let rejected = settled(&waiting, "a", Outcome::Rejected, at(3_000));
    assert_eq!(rejected.check(), Ok(()));
    let asked = reservation("next", 9, refund(1), later());
    assert!(matches!(rejected.admit(&asked), Err(Refusal::Discrepancy { .. })), "{rejected:?}");
}

#[test]
fn a_further_authorization_without_a_name_is_not_made_of_one_that_failed() {
    let pending = payment(&[(Authorization, Pending, 100)]);
    let likely =
        told(&pending, Report { interaction_id: None, ..report(Authorization, Success, 100, "") });
    let failed = told(&likely, by_own_id(report(Authorization, Failure, 100, ""), "past-0"));
    assert_eq!(capturable(&failed), 0);
    let asked = reservation("next", 9, Action::Cancel, Timestamp::from_ms(later().ms() + 1));
    assert!(failed.admit(&asked).is_err());
}

#[test]
fn an_effect_of_ours_that_was_rejected_untruly_is_counted_once() {
    for name in ["", "psp-0"] {
        let rejected = answered(&payment(AUTHORIZED), "a", 40, Outcome::Rejected);
        let added = told(&rejected, report(Charge, Success, 40, name));
        assert_eq!(captured(&added), 40, "{name:?}");
        let known = told(&added, by_own_id(report(Charge, Success, 40, name), "a"));
        assert_eq!((captured(&known), capturable(&known)), (40, 60), "{name:?}");
        let success = Update::ChangeTransactionState { id: id("a"), state: Success };
        let said = added.update(&[success], &reporter(later(), true)).unwrap();
        assert_eq!((captured(&said), capturable(&said)), (40, 60), "{name:?}");
    }
}

#[test]
fn an_effect_elsewhere_is_not_taken_for_one_of_ours_that_was_rejected_untruly() {
    // It has its own id, or happened before.
    for (name, before) in [("X", false), ("", true)] {
        let elsewhere = |payment: &Payment| told(payment, report(Charge, Success, 40, name));
        let rejected = |payment: &Payment, at| {
            settled(&in_flight(payment, "a", 40, at), "a", Outcome::Rejected, at)
        };
        let start = payment(AUTHORIZED);
        let both = if before {
            rejected(&elsewhere(&start), later().plus_ms(60_000))
        } else {
            elsewhere(&rejected(&start, at(1_000)))
        };
        let success = Update::ChangeTransactionState { id: id("a"), state: Success };
        let known = both.update(&[success], &reporter(later().plus_ms(90_000), true)).unwrap();
        assert_eq!((captured(&known), capturable(&known)), (80, 20), "{name:?}");
    }
}

#[test]
fn a_success_by_the_id_of_an_untrue_failure_is_ours() {
    let open = in_flight(&payment(AUTHORIZED), "a", 40, at(1_000));
    let hasty = told_by(&open, report(Charge, Failure, 40, "X"), &reporter(at(1_500), false));
    let approved = settled(&hasty, "a", Outcome::Approved, at(2_000));
    assert_eq!((captured(&approved), stopped(&approved)), (40, (false, false)));
    // It is shown as an effect that failed until then.
    let failed = approved.transactions.values().find(|one| one.interaction_id.is_some()).unwrap();
    assert_eq!((failed.state, failed.possible_duplicate_of.clone()), (Failure, Some(id("a"))));
    let known = told(&approved, report(Charge, Success, 40, "X"));
    assert_eq!((captured(&known), capturable(&known)), (40, 60));
    assert_eq!(known.transactions[&id("a")].interaction_id.as_deref(), Some("X"));
    // Unless ours has another name.
    let named = told(&approved, by_own_id(report(Charge, Success, 40, "Y"), "a"));
    assert_eq!(captured(&told(&named, report(Charge, Success, 40, "X"))), 80);
}

#[test]
fn a_success_of_another_name_goes_before_one_that_has_only_begun() {
    let ours = answered(&payment(AUTHORIZED), "a", 40, Outcome::Approved);
    let begun = told(&ours, report(Charge, Pending, 40, "X"));
    let known = told(&begun, report(Charge, Success, 40, "Y"));
    assert_eq!((captured(&known), capturable(&known)), (40, 20));
    assert_eq!(known.transactions[&id("a")].interaction_id.as_deref(), Some("Y"));
    // Without a name, it may be the one that had begun.
    assert_eq!(capturable(&told(&begun, report(Charge, Success, 40, ""))), 60);
}

#[test]
fn a_failure_without_a_name_undoes_no_effect_elsewhere() {
    let begun = payment(&[(Authorization, Success, 100), (Charge, Unknown, 40)]);
    for happened in [told(&begun, report(Charge, Success, 40, "")), payment(CAPTURED)] {
        let contrary = told(&happened, report(Charge, Failure, 40, ""));
        assert_eq!((capturable(&contrary), stopped(&contrary)), (60, (true, true)));
    }
}

/// The operator reports the state of the transaction with that name.
fn said(payment: &Payment, name: &str, state: State) -> Payment {
    let update = Update::ChangeTransactionState { id: id(name), state };
    payment.update(&[update], &reporter(later(), true)).unwrap()
}

/// An answer of an attempt whose slot is already free.
fn late(payment: &Payment, name: &str, outcome: Outcome) -> Payment {
    match payment.settle(&id(name), &Nonce::new(77), outcome, later()).unwrap() {
        Settlement::Changed(next) => *next,
        unchanged => panic_with(&unchanged),
    }
}

#[test]
fn a_report_that_an_effect_began_does_not_refute_that_it_failed() {
    for outcome in [Outcome::Received, Outcome::Approved] {
        let failed =
            told(&unclear(&payment(AUTHORIZED), "a", 40), report(Charge, Failure, 40, "X"));
        let taken_on = late(&failed, "a", outcome);
        for state in [Pending, State::Initial] {
            let overtaken = told(&taken_on, report(Charge, state, 40, "X"));
            let again = told(&overtaken, report(Charge, Failure, 40, "X"));
            assert_eq!((capturable(&again), stopped(&again)), (60, (false, false)), "{outcome:?}");
        }
    }
}

#[test]
fn two_that_our_own_ids_name_stay_two_though_they_are_alike() {
    let begun = payment(&[(Authorization, Success, 100), (Charge, Pending, 40)]);
    let both = answered(&begun, "a", 40, Outcome::Rejected);
    let known = said(&said(&both, "past-1", Success), "a", Success);
    assert_eq!((captured(&known), capturable(&known)), (80, 20));
    // An effect that was added, and named by its own id since.
    let rejected = answered(&payment(AUTHORIZED), "a", 40, Outcome::Rejected);
    let added = told(&rejected, report(Charge, Pending, 40, ""));
    let new = added.transactions.values().find(|one| one.is_external && one.kind == Charge);
    let new = new.unwrap().id.to_string();
    let known = said(&said(&added, &new, Success), "a", Success);
    assert_eq!((captured(&known), capturable(&known)), (80, 20));
}

#[test]
fn an_effect_before_ours_began_is_not_ours() {
    let open = in_flight(&payment(AUTHORIZED), "a", 40, later());
    let rejected = settled(&open, "a", Outcome::Rejected, later());
    let old = Report { timestamp: Some(at(60_000)), ..report(Charge, Success, 40, "") };
    assert_eq!(captured(&said(&told(&rejected, old), "a", Success)), 80);
}

#[test]
fn another_of_the_connectors_ids_is_another_effect() {
    let by_connector = |state, name: &str| Report {
        interface_id: Some(name.to_owned()),
        ..report(Charge, state, 40, "")
    };
    let open = unclear(&payment(AUTHORIZED), "a", 40);
    let failed = told_by(&open, by_connector(Failure, "F"), &reporter(at(3_000), false));
    let approved = late(&failed, "a", Outcome::Approved);
    let update =
        Update::SetTransactionInterfaceId { id: id("a"), interface_id: Some("B".to_owned()) };
    let named = approved.update(&[update], &reporter(later(), true)).unwrap();
    let both = told(&named, by_connector(Success, "F"));
    assert_eq!((captured(&both), capturable(&both)), (80, 20));
    assert!(both.version > named.version);
    // Without another id, it is ours, and keeps the names that were reported.
    let open = unclear(&payment(AUTHORIZED), "a", 40);
    let failed = Report { interaction_id: Some("X".to_owned()), ..by_connector(Failure, "F") };
    let approved = late(&told(&open, failed), "a", Outcome::Approved);
    let known = told(&approved, by_connector(Success, "F"));
    let ours = &known.transactions[&id("a")];
    assert_eq!((captured(&known), ours.interaction_id.as_deref()), (40, Some("X")));
    assert_eq!(ours.interface_id.as_deref(), Some("F"));
}

#[test]
fn an_id_that_several_share_is_no_other_name() {
    let ours = answered(&payment(AUTHORIZED), "a", 40, Outcome::Approved);
    let begun = told(&ours, report(Charge, Pending, 40, "X"));
    let shared = told(&begun, report(Charge, Success, 40, "psp-0"));
    assert_eq!(captured(&told(&shared, report(Charge, Success, 40, "X"))), 40);
}

#[test]
fn a_report_that_is_repeated_neither_settles_a_dispute_nor_is_another_effect() {
    for name in ["", "psp-0"] {
        let open = unclear(&payment(AUTHORIZED), "a", 40);
        let happened = told(&open, report(Charge, Success, 40, name));
        let disputed = told(&happened, report(Charge, Failure, 40, name));
        let again = told(&disputed, report(Charge, Success, 40, name));
        assert_eq!((capturable(&again), stopped(&again)), (60, (true, true)), "{name:?}");
        let known = said(&again, "a", Success);
        assert_eq!((captured(&known), capturable(&known)), (40, 60), "{name:?}");
    }
}

#[test]
fn a_late_approval_beside_an_effect_like_it_comes_to_one_when_it_is_confirmed() {
    let rejected = answered(&payment(AUTHORIZED), "a", 40, Outcome::Rejected);
    let added = told(&rejected, report(Charge, Success, 40, ""));
    let disputed = late(&added, "a", Outcome::Approved);
    assert_eq!((capturable(&disputed), stopped(&disputed)), (20, (true, true)));
    assert_eq!(captured(&said(&disputed, "a", Success)), 40);
    assert_eq!(captured(&said(&disputed, "a", Failure)), 40);
}

#[test]
fn a_rejected_transaction_that_is_given_the_name_of_an_effect_happened() {
    let rejected = answered(&payment(AUTHORIZED), "a", 40, Outcome::Rejected);
    let happened = told(&rejected, report(Charge, Success, 40, "X"));
    let update =
        Update::ChangeTransactionInteractionId { id: id("a"), interaction_id: "X".to_owned() };
    let named = happened.update(&[update], &reporter(later(), true)).unwrap();
    assert_eq!((captured(&named), capturable(&named)), (40, 60));
    assert_eq!(named.transactions[&id("a")].state, Success);
    assert!(named.version > happened.version);
}

/// 40 captured, of which the refund `one` of 15 is taken for failed by likeness, so
/// that there was room for `two` of 30.
fn refunded_in_doubt(charge: Option<&str>) -> Payment {
    let asked = |name: &str, nonce, amount| {
        let action = charge.map_or_else(|| refund(amount), |charge| refund_of(charge, amount));
        reservation(name, nonce, action, at(1_000))
    };
    let captured = payment(CAPTURED);
    let captured = told(&captured, report(Charge, Success, 60, "other"));
    let captured = if charge.is_some() { captured } else { payment(CAPTURED) };
    let one = captured.reserve(&asked("one", 1, 15)).unwrap();
    let one = settled(&one, "one", Outcome::Unknown, at(1_500));
    let failed = told(&one, report(Refund, Failure, 15, "F1"));
    assert_eq!(failed.transactions[&id("one")].state, Failure);
    let two = failed.reserve(&asked("two", 2, 30)).unwrap();
    match two.settle(&id("two"), &Nonce::new(2), Outcome::Approved, at(2_500)).unwrap() {
        Settlement::Changed(next) => *next,
        unchanged => panic_with(&unchanged),
    }
}

#[test]
fn an_excess_that_a_dispute_explained_is_explained_by_what_resolves_it() {
    let disputed = told(&refunded_in_doubt(None), report(Refund, Failure, 30, "F2"));
    assert_eq!(stopped(&disputed), (false, true));
    let exceeded = told(&disputed, report(Refund, Success, 15, "P1"));
    let known = told(&exceeded, report(Refund, Success, 30, "P2"));
    let two = &known.transactions[&id("two")];
    assert_eq!((two.state_awaiting_balances, two.is_disputed), (Some(Success), false));
    assert_eq!(two.interaction_id.as_deref(), Some("P2"));
    assert_eq!(known.transactions[&id("one")].state_awaiting_balances, None);
    assert_eq!(stopped(&known), (false, true));
    let accepted = acknowledged(&known, "two");
    assert_eq!((accepted.balances.refunded, stopped(&accepted)), (eur(45), (false, false)));
}

#[test]
fn an_excess_beside_another_discrepancy_is_shown_when_that_is_resolved() {
    let disputed = told(&refunded_in_doubt(None), report(Refund, Failure, 30, "F2"));
    let exceeded = told(&disputed, report(Refund, Success, 15, "P1"));
    let unrelated = told(&exceeded, report(Charge, Success, 200, "Z"));
    let known = said(&unrelated, "two", Success);
    assert_eq!((known.discrepancies().count(), stopped(&known)), (1, (true, true)));
    let other = known.discrepancies().next().unwrap().id.to_string();
    let resolved = said(&known, &other, Failure);
    assert_eq!((resolved.discrepancies().count(), stopped(&resolved)), (1, (false, true)));
    assert_eq!(resolved.discrepancies().next().unwrap().kind, Refund);
}

#[test]
fn an_excess_that_nothing_explains_any_more_is_shown_by_the_newest() {
    for charge in [None, Some("past-1")] {
        let unrelated = told(&refunded_in_doubt(charge), report(Charge, Success, 200, "Z"));
        let zed = unrelated.discrepancies().next().unwrap().id.to_string();
        let exceeded = told(&unrelated, report(Refund, Success, 15, "P1"));
        assert_eq!(exceeded.discrepancies().count(), 1);
        let resolved = said(&exceeded, &zed, Failure);
        let found: Vec<_> = resolved.discrepancies().map(|one| one.id.clone()).collect();
        assert_eq!(found, [id("two")], "{charge:?}");
        assert_eq!(resolved.transactions[&id("two")].state, Success);
        assert_eq!(stopped(&resolved), (false, true));
        let accepted = acknowledged(&resolved, "two");
        assert_eq!(stopped(&accepted), (false, false));
        // More that is captured makes room as well.
        if charge.is_none() {
            let room = told(&resolved, report(Charge, Success, 60, "more"));
            assert_eq!((stopped(&room), room.balances.refundable), ((false, false), eur(55)));
        }
    }
}

#[test]
fn an_excess_of_captures_is_shown_by_the_newest_capture() {
    let one = unclear(&payment(AUTHORIZED), "one", 30);
    let failed = told(&one, report(Charge, Failure, 30, "F1"));
    let two =
        settled(&in_flight(&failed, "two", 80, at(5_000)), "two", Outcome::Approved, at(6_000));
    let unrelated = told(&two, report(Refund, Success, 500, "Z"));
    let zed = unrelated.discrepancies().next().unwrap().id.to_string();
    let exceeded = told(&unrelated, report(Charge, Success, 30, "P1"));
    assert_eq!(stopped(&exceeded), (false, true));
    let resolved = said(&exceeded, &zed, Failure);
    let found: Vec<_> = resolved.discrepancies().map(|one| one.id.clone()).collect();
    assert_eq!((found, stopped(&resolved)), (vec![id("two")], (true, true)));
}

#[test]
fn two_that_are_one_and_refunded_both_are_in_dispute() {
    let open = in_flight(&payment(AUTHORIZED), "a", 40, later());
    let early = Report { timestamp: Some(at(60_000)), ..report(Charge, Success, 40, "X") };
    let both = settled(&told(&open, early), "a", Outcome::Approved, later());
    assert_eq!(captured(&both), 80);
    let refunded = told(&both, report(Refund, Success, 80, "R"));
    let known = told(&refunded, by_own_id(report(Charge, Success, 40, "X"), "a"));
    assert_eq!(known.check(), Ok(()));
    assert_eq!(stopped(&known), (true, true));
}

#[test]
fn recovery_looks_at_a_dispute_and_knows_since_when_it_is_unclear() {
    let ours = answered(&payment(AUTHORIZED), "a", 40, Outcome::Approved);
    let disputed = told(&ours, report(Charge, Failure, 40, ""));
    let recovery = disputed.transactions[&id("a")].recovery;
    assert_eq!(recovery.unclear_since, Some(later()));
    assert_eq!(recovery.look_at, Some(later().plus_ms(60_000)));
    // A transaction that this service did not send.
    let external = told(&payment(CAPTURED), report(Charge, Failure, 40, ""));
    let recovery = external.transactions[&id("past-1")].recovery;
    assert_eq!((recovery.unclear_since, recovery.look_at), (None, Some(later().plus_ms(60_000))));
}

#[test]
fn a_likely_beginning_is_kept_when_ours_turns_out_to_be_another() {
    let open = in_flight(&payment(AUTHORIZED), "a", 60, at(1_000));
    let begun = told(&open, report(Charge, Pending, 60, "X"));
    let known = told(&begun, by_own_id(report(Charge, Success, 60, "Y"), "a"));
    assert_eq!((known.transactions.len(), known.discrepancies().count()), (3, 1));
    let next = known.expire(at(9_000_000)).unwrap();
    assert_eq!(stopped(&next), (true, true));
}

/// True if the hold is released in this case: an unclear capture of 40 was matched to the
/// begun effect X, `other` makes X another transaction, and then X fails.
fn is_given_back(other: impl FnOnce(&Payment) -> Payment) -> bool {
    let start = payment(&[(Authorization, Success, 200)]);
    let begun = told(&unclear(&start, "a", 40), report(Charge, Pending, 40, "X"));
    let both = other(&begun);
    let failed = told(&both, report(Charge, Failure, 40, "X"));
    let given_back = capturable(&failed).checked_sub(capturable(&both));
    assert!(matches!(given_back, Some(0 | 40)), "{failed:?}");
    given_back == Some(40)
}

#[test]
fn a_failure_by_a_likely_name_counts_only_while_it_can_be_about_no_other() {
    let reserved = |payment: &Payment, amount, when| {
        let open = payment.reserve(&reservation("b", 1, capture(amount), when)).unwrap();
        settled(&open, "b", Outcome::Unknown, when.plus_ms(1_000))
    };
    let named = |payment: &Payment, state| {
        told(&reserved(payment, 40, at(5_000)), by_own_id(report(Charge, state, 40, "Y"), "b"))
    };
    assert!(is_given_back(Clone::clone), "alone");
    assert!(!is_given_back(|one| reserved(one, 40, at(5_000))), "beside one like it");
    assert!(is_given_back(|one| reserved(one, 30, at(5_000))), "beside another amount");
    assert!(is_given_back(|one| named(one, Pending)), "beside one with a name of its own");
    assert!(is_given_back(|one| named(one, Success)), "beside one that happened");
    let answered = |payment: &Payment, outcome| {
        settled(&in_flight(payment, "b", 40, at(5_000)), "b", outcome, at(6_000))
    };
    assert!(is_given_back(|one| answered(one, Outcome::Rejected)), "beside one that failed");
    assert!(!is_given_back(|one| answered(one, Outcome::Approved)), "beside one without a name");
    // It may have begun half a minute later by another clock, and not more.
    let after = |ms| later().plus_ms(ms);
    assert!(!is_given_back(|one| reserved(one, 40, after(30_000))), "within half a minute");
    assert!(is_given_back(|one| reserved(one, 40, after(30_001))), "begun later");
    // A transaction with a waiting Failure already has its own.
    let waiting = |one: &Payment| {
        let open = one.reserve(&reservation("b", 1, capture(40), at(5_000))).unwrap();
        let failed = Update::ChangeTransactionState { id: id("b"), state: Failure };
        let failed = open.update(&[failed], &reporter(at(6_000), false)).unwrap();
        settled(&failed, "b", Outcome::Unknown, at(7_000))
    };
    assert!(is_given_back(waiting), "beside one that failed by its own id");
}

#[test]
fn an_effect_is_not_taken_for_a_transaction_that_failed_by_its_own_id() {
    let open = unclear(&payment(AUTHORIZED), "a", 40);
    let failed = told_by(
        &open,
        by_own_id(report(Charge, Failure, 40, ""), "a"),
        &reporter(at(3_000), false),
    );
    assert!(failed.transactions[&id("a")].waiting_failure.is_some());
    let elsewhere = told(&failed, report(Charge, Success, 40, "X"));
    assert_eq!((captured(&elsewhere), capturable(&elsewhere)), (40, 20));
    assert_eq!(elsewhere.transactions[&id("a")].interaction_id, None);
}

#[test]
fn a_report_that_is_no_news_to_one_is_not_about_another_that_is_open() {
    let done = answered(&payment(AUTHORIZED), "a", 40, Outcome::Approved);
    let open = settled(&in_flight(&done, "b", 40, at(5_000)), "b", Outcome::Unknown, at(6_000));
    for state in [Success, Pending, State::Initial] {
        let same = told(&open, report(Charge, state, 40, ""));
        assert_eq!(same.transactions[&id("b")].state, Unknown, "{state:?}");
        assert_eq!(same.transactions.len(), open.transactions.len(), "{state:?}");
    }
}

#[test]
fn a_rejected_transaction_is_only_one_that_its_connector_answered() {
    let success = |payment: &Payment| told(payment, report(Charge, Success, 40, ""));
    let may_be = |payment: &Payment| {
        let added = payment
            .transactions
            .values()
            .find(|one| one.is_external && one.state == Success && one.kind == Charge);
        added.unwrap().possible_duplicate_of.clone()
    };
    let rejected = answered(&payment(AUTHORIZED), "a", 40, Outcome::Rejected);
    assert_eq!(may_be(&success(&rejected)), Some(id("a")));
    // Not one of another amount, one that is reported to have failed, or another's.
    let other = answered(&payment(AUTHORIZED), "a", 30, Outcome::Rejected);
    assert_eq!(may_be(&success(&other)), None);
    let reported = said(&unclear(&payment(AUTHORIZED), "a", 40), "a", Failure);
    assert_eq!(may_be(&success(&reported)), None);
    let external = payment(&[(Authorization, Success, 100), (Charge, Failure, 40)]);
    assert_eq!(may_be(&success(&external)), None);
}

#[test]
fn a_report_by_its_own_id_ends_the_doubt_whose_an_effect_is() {
    let rejected = answered(&payment(AUTHORIZED), "a", 40, Outcome::Rejected);
    let added = told(&rejected, report(Charge, Pending, 40, ""));
    let new = added
        .transactions
        .values()
        .find(|one| one.possible_duplicate_of.is_some())
        .unwrap()
        .id
        .to_string();
    let known = told(&added, by_own_id(report(Charge, Success, 40, ""), &new));
    assert_eq!(captured(&said(&known, "a", Success)), 80);
}

#[test]
fn a_payment_takes_reports_of_a_hundred_transactions() {
    let authorized = payment(&[(Authorization, Success, 1_000)]);
    let full = (1..Payment::TRANSACTIONS_MAX_REPORTED).fold(authorized, |payment, count| {
        told(&payment, report(Charge, Success, 1, &format!("X{count}")))
    });
    assert_eq!(full.transactions.len(), 100);
    let update = Update::AddTransaction { id: id("more"), report: report(Charge, Success, 1, "Y") };
    let refused = full.update(&[update], &reporter(later(), true));
    assert_eq!(refused, Err(UpdateRefusal::TooManyTransactions));
    // A report about a known transaction is recorded all the same.
    assert_eq!(captured(&told(&full, report(Charge, Failure, 1, "X1"))), 98);
}
