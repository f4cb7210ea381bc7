//! Reports about a Payment: the transaction that they are about, the reporters that are
//! trusted, and holds that no report releases by a guess.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a panic fails the test"
)]

mod answers;
mod dated;
mod excess;
mod failures;
mod lookup;
#[path = "../support/mod.rs"]
mod support;
mod updates;

use State::{Failure, Initial, Pending, Success, Unknown};
use TransactionKind::{Authorization, CancelAuthorization, Charge, Chargeback, Refund};
use payment_intents::payment::{
    Nonce, Outcome, Payment, PlatformProof, Refusal, Report, Settlement, State, Timestamp,
    TransactionKind, Update, UpdateRefusal,
};
use support::payments::{at, capture, eur, id, payment, refund, refund_of, reservation};
use support::reporting::*;

#[test]
fn a_late_failure_of_an_earlier_capture_leaves_the_one_in_flight_alone() {
    let rejected = in_flight(&payment(AUTHORIZED), "a", 50, at(1_000));
    let rejected = settled(&rejected, "a", Outcome::Rejected, at(2_000));
    let retried = in_flight(&rejected, "b", 50, at(3_000));
    let told = told_by(&retried, report(Charge, Failure, 50, "X"), &reporter(at(4_000), true));
    assert_eq!(states(&told), [(Charge, Failure, 50), (Charge, Initial, 50)]);
    assert_eq!(told.transactions[&id("a")].interaction_id.as_deref(), Some("X"));
    assert_eq!(told.balances.capturable, eur(50));
}

#[test]
fn a_failure_from_before_the_capture_does_not_fail_it() {
    let open = in_flight(&payment(AUTHORIZED), "a", 50, later());
    let before = Report { timestamp: Some(at(0)), ..report(Charge, Failure, 50, "X") };
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
    let told = told(&both, report(Charge, Failure, 50, "b"));
    assert_eq!(told.transactions[&id("a")].state, Unknown);
    assert_eq!(told.transactions[&id("b")].state, Failure);
    assert_eq!(told.transactions[&id("b")].interaction_id, None);
}

#[test]
fn a_connector_that_is_not_trusted_cannot_fail_what_it_called_pending_meanwhile() {
    let open = in_flight(&payment(AUTHORIZED), "a", 50, at(1_000));
    let doubtful = reporter(at(2_000), false);
    let pending = told_by(&open, report(Charge, Pending, 50, "X"), &doubtful);
    let failed = told_by(&pending, report(Charge, Failure, 50, "X"), &doubtful);
    assert_eq!(states(&failed), [(Charge, Pending, 50)]);
    let unclear = settled(&failed, "a", Outcome::Unknown, at(3_000));
    let told = told_by(&unclear, report(Charge, Failure, 50, "X"), &reporter(at(4_000), false));
    assert_eq!(told.balances.capturable, eur(50));
    let late = told_by(&told, report(Charge, Failure, 50, "X"), &reporter(at(400_000), false));
    assert_eq!(late.balances.capturable, eur(100));
}

#[test]
fn an_early_failure_is_kept_and_counts_when_the_connector_has_stopped() {
    let open = in_flight(&payment(AUTHORIZED), "a", 50, at(1_000));
    let open = settled(&open, "a", Outcome::Unknown, at(2_000));
    let doubtful = reporter(at(300_000), false);
    for how in ["by id", "by likeness"] {
        let told = if how == "by id" {
            let failed = Update::ChangeTransactionState { id: id("a"), state: Failure };
            open.update(&[failed], &doubtful).unwrap()
        } else {
            told_by(&open, report(Charge, Failure, 50, "X"), &doubtful)
        };
        assert_eq!(told.balances.capturable, eur(50), "{how}");
        assert!(told.transactions[&id("a")].waiting_failure.is_some(), "{how}");
        assert!(told.recover_at().unwrap() <= at(362_000), "{how}");
        assert_eq!(told.apply_waiting_failures(at(361_999), false), None, "{how}");
        let resolved = told.apply_waiting_failures(at(362_000), false).unwrap();
        assert_eq!(resolved.check(), Ok(()));
        assert_eq!(resolved.balances.capturable, eur(100), "{how}");
        let reported = resolved.transactions[&id("a")].reported.clone().unwrap();
        assert_eq!((reported.by.as_deref(), reported.at), (Some("operator"), at(300_000)));
        // Unless something positive came meanwhile.
        let approved = settled(&told, "a", Outcome::Approved, at(310_000));
        assert_eq!(approved.apply_waiting_failures(at(400_000), false), None, "{how}");
        assert_eq!(approved.balances.capturable, eur(50), "{how}");
    }
}

#[test]
fn an_early_refund_is_counted_once_its_capture_is_approved() {
    let open = in_flight(&payment(AUTHORIZED), "a", 100, at(1_000));
    let refunded = told(&open, report(Refund, Success, 50, "R"));
    assert_eq!(refunded.discrepancies().count(), 1);
    let captured = settled(&refunded, "a", Outcome::Approved, later());
    assert_eq!(captured.discrepancies().count(), 0);
    assert_eq!(captured.balances.refundable, eur(50));
    assert!(captured.admit(&reservation("r", 2, refund(51), later())).is_err());
}

#[test]
fn an_authorization_that_is_none_does_not_make_a_sale_impossible() {
    for past in [&[(Authorization, Failure, 100)][..], &[(Authorization, Pending, 100)], &[]] {
        let sold = told(&payment(past), report(Charge, Success, 100, "C"));
        assert_eq!(sold.discrepancies().count(), 0, "{past:?}");
        let late = told(&sold, report(Authorization, Failure, 30, "A"));
        let refunded = told(&late, report(Refund, Success, 40, "R"));
        assert_eq!(refunded.balances.refundable, eur(60), "{past:?}");
        let authorized = told(&refunded, report(Authorization, Success, 100, "B"));
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
fn the_payment_interface_is_not_changed_while_a_transaction_is_open() {
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
fn effects_that_were_not_requested_here_move_the_balances() {
    let captured = told(&payment(AUTHORIZED), report(Charge, Success, 60, "C"));
    let released = told(&captured, report(CancelAuthorization, Success, 40, "V"));
    let charged_back = told(&released, report(Chargeback, Success, 25, "B"));
    let more = told(&charged_back, report(Authorization, Success, 10, "A"));
    let balances = more.balances;
    assert_eq!((balances.authorized, balances.capturable), (eur(110), eur(10)));
    assert_eq!((balances.captured, balances.refundable), (eur(60), eur(35)));
    assert_eq!((balances.refunded, balances.cancelled), (eur(25), eur(40)));
    let again = told(&more, report(Chargeback, Success, 25, "B"));
    assert_eq!(again, more, "a repeated report changes nothing");
}

#[test]
fn an_id_that_many_share_names_none_of_them() {
    // The authorization's own, as the public template reports all that it does.
    let first = told(&payment(AUTHORIZED), report(Charge, Success, 40, "psp-0"));
    let second = in_flight(&first, "b", 40, later().plus_ms(1_000));
    let failed = reporter(later().plus_ms(2_000), true);
    let told = told_by(&second, report(Charge, Failure, 40, "psp-0"), &failed);
    assert_eq!(
        states(&told),
        [(Charge, Success, 40), (Charge, Initial, 40), (Charge, Failure, 40)]
    );
}

#[test]
fn a_capture_of_more_than_is_authorized_stops_captures_and_refunds_until_it_is_resolved() {
    let exceeded = told(&payment(AUTHORIZED), report(Charge, Success, 120, "X"));
    assert_eq!(stopped(&exceeded), (true, true));
    let new = id("new-1");
    assert_eq!(
        admitted(&exceeded, capture(100)),
        Err(Refusal::Discrepancy { transactions: vec![new.clone()] })
    );
    let more = told(&exceeded, report(Authorization, Success, 30, "A"));
    assert_eq!((stopped(&more), more.balances.capturable), ((false, false), eur(10)));
    let failed = Update::ChangeTransactionState { id: new, state: Failure };
    let undone = exceeded.update(&[failed], &reporter(later(), true)).unwrap();
    assert_eq!((stopped(&undone), undone.balances.capturable), ((false, false), eur(100)));
}

#[test]
fn a_refund_of_more_than_is_captured_stops_refunds_and_not_captures() {
    let told = told(&payment(CAPTURED), report(Refund, Success, 50, "X"));
    assert_eq!(stopped(&told), (false, true));
    assert_eq!(admitted(&told, capture(60)), Ok(()));
}

#[test]
fn an_excess_that_is_acknowledged_is_taken_from_what_makes_room_later() {
    let exceeded = told(&payment(CAPTURED), report(Refund, Success, 50, "X"));
    let accepted = acknowledged(&exceeded, "new-1");
    assert_eq!(stopped(&accepted), (false, false));
    assert_eq!(accepted.balances.refundable, eur(0));
    assert_eq!(accepted.transactions[&id("new-1")].acknowledged.as_ref().unwrap().at, later());
    let open = accepted.reserve(&reservation("c", 1, capture(60), later())).unwrap();
    let captured = settled(&open, "c", Outcome::Approved, later());
    assert_eq!(captured.balances.refundable, eur(50));
    // A further excess is a new discrepancy.
    let more = told(&accepted, report(Refund, Success, 1, "Y"));
    assert_eq!(stopped(&more), (false, true));
    // A second acknowledgement changes nothing, and only an excess can be acknowledged.
    assert_eq!(acknowledged(&accepted, "new-1"), accepted);
    let update = Update::AcknowledgeDiscrepancy { id: id("past-1") };
    let refused = accepted.update(&[update], &reporter(later(), true));
    assert_eq!(refused, Err(UpdateRefusal::NothingToAcknowledge(id("past-1"))));
}

#[test]
fn a_capture_elsewhere_that_does_not_fit_beside_an_unclear_one_stops_captures() {
    let told = told(&unclear(&payment(AUTHORIZED), "a", 60), report(Charge, Success, 100, "X"));
    assert_eq!(stopped(&told), (true, true));
    // It fits as soon as the unclear one turns out to have failed.
    let failed = Update::ChangeTransactionState { id: id("a"), state: Failure };
    let resolved = told.update(&[failed], &reporter(later(), true)).unwrap();
    assert_eq!((stopped(&resolved), resolved.balances.captured), ((false, false), eur(100)));
}

#[test]
fn a_release_that_does_not_fit_beside_an_unclear_capture_stops_captures() {
    let unclear = unclear(&payment(AUTHORIZED), "a", 40);
    let told = told(&unclear, report(CancelAuthorization, Success, 100, "X"));
    assert_eq!(stopped(&told), (true, false));
}

#[test]
fn a_refund_that_fits_only_if_an_unclear_capture_happened_stops_refunds() {
    let told = told(&unclear(&payment(CAPTURED), "a", 60), report(Refund, Success, 100, "X"));
    assert_eq!(stopped(&told), (false, true));
    let approved = settled(&told, "a", Outcome::Approved, later());
    assert_eq!((stopped(&approved), approved.balances.refundable), ((false, false), eur(0)));
}

#[test]
fn the_failure_of_another_capture_does_not_release_the_one_in_flight() {
    let open = in_flight(&payment(AUTHORIZED), "a", 100, at(1_000));
    let told = told_by(&open, report(Charge, Failure, 100, "X"), &reporter(at(2_000), true));
    assert_eq!(told.balances.capturable, eur(0));
    let approved = settled(&told, "a", Outcome::Approved, at(3_000));
    assert_eq!(approved.transactions[&id("a")].state, Success);
    assert_eq!(approved.transactions[&id("a")].interaction_id, None);
    assert_eq!(stopped(&approved), (false, false));
    let failed = approved.transactions.values().find(|ours| ours.state == Failure).unwrap();
    assert_eq!(failed.interaction_id.as_deref(), Some("X"));
}

#[test]
fn a_failure_by_id_against_an_approval_is_a_dispute_that_holds_its_amount() {
    let refunding = payment(CAPTURED).reserve(&reservation("a", 1, refund(40), at(1_000))).unwrap();
    let failed = Update::ChangeTransactionState { id: id("a"), state: Failure };
    let told = refunding.update(&[failed], &reporter(at(2_000), true)).unwrap();
    assert_eq!(told.balances.refundable, eur(0), "its connector is at work");
    let disputed = settled(&told, "a", Outcome::Approved, at(3_000));
    assert_eq!(disputed.transactions[&id("a")].state_to_show(), Unknown);
    assert_eq!(disputed.transactions[&id("a")].state_for_caller(), Unknown);
    assert_eq!((stopped(&disputed), disputed.balances.refundable), ((false, true), eur(0)));
    assert_eq!(disputed.apply_waiting_failures(later(), true), None);
    for (state, left) in [(Success, 0), (Failure, 40)] {
        let said = Update::ChangeTransactionState { id: id("a"), state };
        let resolved = disputed.update(&[said], &reporter(later(), true)).unwrap();
        assert_eq!(resolved.balances.refundable, eur(left), "{state:?}");
        assert_eq!(stopped(&resolved), (false, false), "{state:?}");
    }
}

#[test]
fn report_and_answer_that_contradict_each_other_are_a_dispute_whichever_came_first() {
    for (state, outcome) in [
        (Failure, Outcome::Approved),
        (Success, Outcome::Rejected),
        (Success, Outcome::NeverExecuted),
    ] {
        let open = in_flight(&payment(AUTHORIZED), "a", 50, at(1_000));
        let said = Update::ChangeTransactionState { id: id("a"), state };
        let known = open.update(&[said], &reporter(at(2_000), true)).unwrap();
        let disputed = settled(&known, "a", outcome, at(3_000));
        assert_eq!(states(&disputed), [(Charge, Unknown, 50)], "{outcome:?}");
        assert_eq!(disputed.in_flight, None, "{outcome:?}");
        assert_eq!(stopped(&disputed), (true, true), "{outcome:?}");
        assert_eq!(disputed.balances.capturable, eur(50), "{outcome:?}");
        let confirmed = told(&disputed, report(Charge, state, 50, "a"));
        assert_eq!(stopped(&confirmed), (false, false), "{outcome:?}");
        assert_eq!(states(&confirmed), [(Charge, state, 50)], "{outcome:?}");
    }
}

#[test]
fn a_capture_of_years_ago_is_not_the_one_in_flight() {
    let open = in_flight(&payment(AUTHORIZED), "a", 40, later());
    let old = Report { timestamp: Some(at(1_000)), ..report(Charge, Success, 40, "X") };
    let told = told_by(&open, old, &reporter(later().plus_ms(1_000), true));
    assert_eq!(told.balances.capturable, eur(20));
    assert_eq!(told.transactions[&id("a")].state, Initial);
    let approved = settled(&told, "a", Outcome::Approved, later().plus_ms(2_000));
    assert_eq!(approved.balances.captured, eur(80));
    assert!(matches!(admitted(&approved, capture(60)), Err(Refusal::ExceedsCapturable { .. })));
}

#[test]
fn a_rejection_gives_an_effect_back_that_likeness_took_for_the_one_in_flight() {
    for (outcome, state) in [(Outcome::Rejected, Some(Failure)), (Outcome::NeverExecuted, None)] {
        let open = in_flight(&payment(AUTHORIZED), "a", 40, at(1_000));
        let told = told_by(&open, report(Charge, Success, 40, "X"), &reporter(at(2_000), true));
        assert_eq!(told.balances.captured, eur(40));
        let answered = settled(&told, "a", outcome, at(3_000));
        assert_eq!(answered.transactions.get(&id("a")).map(|ours| ours.state), state);
        let other =
            answered.transactions.values().find(|one| one.interaction_id.as_deref() == Some("X"));
        assert_eq!(other.unwrap().state, Success, "{outcome:?}");
        assert_eq!(answered.balances.captured, eur(40), "{outcome:?}");
        assert_eq!(answered.discrepancies().count(), 0, "{outcome:?}");
    }
}

#[test]
fn of_two_that_are_alike_as_many_count_as_effects_were_told() {
    let both = unclear(&unclear(&payment(AUTHORIZED), "a", 30), "b", 30);
    let once = told(&both, report(Charge, Success, 30, "X"));
    assert_eq!((once.balances.captured, once.balances.capturable), (eur(30), eur(40)));
    let again = told(&once, report(Charge, Success, 30, "X"));
    assert_eq!(again, once);
    let twice = told(&once, report(Charge, Success, 30, "Y"));
    assert_eq!((twice.balances.captured, twice.balances.capturable), (eur(60), eur(40)));
    let thrice = told(&twice, report(Charge, Success, 30, "Z"));
    assert_eq!((thrice.balances.captured, thrice.balances.capturable), (eur(90), eur(10)));
}

#[test]
fn a_failure_names_none_of_several_that_are_alike() {
    let both = unclear(&unclear(&payment(AUTHORIZED), "a", 30), "b", 30);
    let told = told(&both, report(Charge, Failure, 30, "X"));
    assert_eq!(told.balances.capturable, eur(40));
    assert_eq!(told.transactions.len(), both.transactions.len() + 1);
}

#[test]
fn an_id_takes_back_what_likeness_decided() {
    let both = unclear(&unclear(&payment(AUTHORIZED), "a", 30), "b", 30);
    let guessed = told(&both, report(Charge, Success, 30, "X"));
    let (taken, other) =
        if guessed.transactions[&id("a")].state == Success { ("a", "b") } else { ("b", "a") };
    // The PSP says that X was the other one, by both ids.
    let said = Report { interface_id: Some(other.to_owned()), ..report(Charge, Success, 30, "X") };
    let known = told(&guessed, said);
    assert_eq!(known.balances.captured, eur(30), "it is one effect, of either transaction");
    // And that the first one failed.
    let failed =
        Report { interaction_id: Some(taken.to_owned()), ..report(Charge, Failure, 30, "") };
    let known = told(&known, failed);
    assert_eq!(known.transactions[&id(taken)].state, Failure);
    assert_eq!((known.balances.captured, known.balances.capturable), (eur(30), eur(70)));
}

#[test]
fn a_chargeback_after_a_full_refund_is_an_excess_that_an_operator_accepts() {
    let refunded = told(&payment(CAPTURED), report(Refund, Success, 40, "R"));
    let charged_back = told(&refunded, report(Chargeback, Success, 40, "B"));
    assert_eq!(stopped(&charged_back), (false, true));
    let accepted = acknowledged(&charged_back, &format!("new-{}", refunded.version));
    assert_eq!(accepted.balances.refunded, eur(80));
    assert_eq!(accepted.balances.refundable, eur(0));
    assert_eq!(admitted(&accepted, capture(60)), Ok(()));
}

fn shown(state: State, name: Option<&str>, when: Timestamp) -> Report {
    Report {
        kind: Charge,
        state,
        amount: eur(40),
        timestamp: Some(when),
        interaction_id: name.map(str::to_owned),
        interface_id: None,
    }
}

const PROOF: PlatformProof =
    PlatformProof { failures_count: true, absence_counts: true, psp: None };

fn looked_up(payment: &Payment, name: &str, shown: &[Report]) -> Payment {
    match payment.look_up(&id(name), shown, &PROOF, later()).unwrap() {
        Settlement::Changed(next) => *next,
        Settlement::Unchanged(_) | Settlement::Gone => payment.clone(),
    }
}

#[test]
fn a_look_up_settles_by_ids_what_likeness_would_confuse() {
    // `a` happened and is known as PSP-A; `b` never happened.
    let a = unclear(&payment(AUTHORIZED), "a", 40);
    let a = told_by(&a, report(Charge, Pending, 40, "PSP-A"), &reporter(at(3_000), true));
    let open = a.reserve(&reservation("b", 1, capture(40), at(4_000))).unwrap();
    let both = settled(&open, "b", Outcome::Unknown, at(5_000));
    let platform = [shown(Success, Some("PSP-A"), at(2_000))];
    let known = looked_up(&looked_up(&both, "b", &platform), "a", &platform);
    assert_eq!(known.transactions[&id("a")].state, Success);
    assert_eq!(known.transactions[&id("b")].state, Failure);
    let again = told(&known, report(Charge, Success, 40, "PSP-A"));
    assert_eq!(again.balances.captured, eur(40));
}

#[test]
fn a_look_up_keeps_the_ids_that_it_reads() {
    let open = unclear(&payment(AUTHORIZED), "a", 40);
    let known = looked_up(&open, "a", &[shown(Success, Some("PSP-A"), at(2_000))]);
    assert_eq!(known.transactions[&id("a")].interaction_id.as_deref(), Some("PSP-A"));
    let told = told(&known, report(Charge, Success, 40, "PSP-B"));
    assert_eq!(told.balances.captured, eur(80), "another id is another effect");
}

#[test]
fn nothing_is_absent_while_something_shown_could_still_be_it() {
    // A dashboard capture that is known here, and one of ours that is not.
    let own = Report { timestamp: Some(at(500)), ..report(Charge, Success, 40, "") };
    let dashboard = told(&payment(AUTHORIZED), own);
    let open = unclear(&dashboard, "a", 40);
    let known = looked_up(&open, "a", &[shown(Success, None, at(2_000))]);
    assert_eq!(known.transactions[&id("a")].state, Unknown, "which of both is shown?");
    let absent = looked_up(&open, "a", &[]);
    assert_eq!(absent.transactions[&id("a")].state, Failure);
}

#[test]
fn of_two_unclear_refunds_the_one_that_is_shown_by_its_id_happened() {
    // `a` happened, and its connector said that it had begun; `b` never happened.
    let past = &[(Authorization, Success, 100), (Charge, Success, 100)];
    let refunding = |payment: &Payment, name: &str, when: Timestamp| {
        let open = payment.reserve(&reservation(name, 1, refund(40), when)).unwrap();
        settled(&open, name, Outcome::Unknown, when.plus_ms(1_000))
    };
    let a = refunding(&payment(past), "a", at(1_000));
    let both = refunding(&a, "b", at(3_000));
    let begun = report(Refund, Pending, 40, "PSP-A");
    let both = told_by(&both, begun, &reporter(at(5_000), true));
    let known = both.transactions.values().find(|one| one.interaction_id.is_some()).unwrap();
    let other = if known.id == id("a") { "b" } else { "a" };
    let item = Report { kind: Refund, ..shown(Success, Some("PSP-A"), at(3_500)) };
    let platform = [item];
    let looked = looked_up(&looked_up(&both, "b", &platform), "a", &platform);
    assert_eq!(looked.transactions[&known.id].state, Success);
    assert_eq!(looked.transactions[&id(other)].state, Failure);
    let webhook = told(&looked, report(Refund, Success, 40, "PSP-A"));
    assert_eq!(webhook.balances.refunded, eur(40), "it is one refund, reported by either");
}

#[test]
fn reversed_effects_that_share_one_id_can_be_corrected_by_transaction() {
    // Captured 100 and refunded 40, all known by the authorization's id; then both are
    // undone, and 40 are captured in the dashboard.
    let past = &[(Authorization, Success, 100), (Charge, Success, 100)];
    let open = payment(past).reserve(&reservation("r", 1, refund_of("past-1", 40), at(1_000)));
    let open = settled(&open.unwrap(), "r", Outcome::Unknown, at(2_000));
    let refunded = told(&open, report(Refund, Success, 40, "psp-0"));
    assert_eq!(refunded.balances.refunded, eur(40));
    let undone = told(&refunded, report(Charge, Failure, 100, "psp-0"));
    assert_eq!(stopped(&undone), (true, true), "its transaction is ambiguous");
    let undone = told(&undone, report(Refund, Failure, 40, "psp-0"));
    let elsewhere = told(&undone, report(Charge, Success, 40, "X"));
    let said = |name: &str| Update::ChangeTransactionState { id: id(name), state: Failure };
    let clear = elsewhere.update(&[said("r"), said("past-1")], &reporter(later(), true)).unwrap();
    assert_eq!(clear.check(), Ok(()));
    assert_eq!(stopped(&clear), (false, false));
    assert_eq!((clear.balances.captured, clear.balances.refunded), (eur(40), eur(0)));
    assert_eq!(clear.balances.capturable, eur(60));
}
