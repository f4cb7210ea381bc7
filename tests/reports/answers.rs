//! Answers of connectors beside reports: which of both counts, and when they agree.

use super::*;

/// A capture of 40 at its connector.
fn open() -> Payment {
    in_flight(&payment(AUTHORIZED), "a", 40, at(1_000))
}

fn early(payment: &Payment, report: Report) -> Payment {
    told_by(payment, report, &reporter(at(1_500), true))
}

/// The answer to the holder of the slot.
fn answered(payment: &Payment, outcome: Outcome) -> Payment {
    let next = settled(payment, "a", outcome, at(2_000));
    assert_eq!(next.check(), Ok(()));
    next
}

/// An answer that comes when the attempt's slot is freed already.
fn late(payment: &Payment, outcome: Outcome) -> Payment {
    match payment.settle(&id("a"), &Nonce::new(77), outcome, later()).unwrap() {
        Settlement::Changed(next) => *next,
        Settlement::Unchanged(_) | Settlement::Gone => payment.clone(),
    }
}

fn state(payment: &Payment) -> State {
    payment.transactions[&id("a")].state
}

#[test]
fn only_an_attempt_that_ended_unclear_starts_the_time_to_wait_anew() {
    let unclear = answered(&open(), Outcome::Unknown);
    assert_eq!(unclear.transactions[&id("a")].recovery.unclear_since, Some(at(2_000)));
    let again = unclear.resume(&id("a"), Nonce::new(1), at(70_000), at(99_000)).unwrap();
    for (outcome, unclear_since) in [
        (Outcome::Unknown, at(71_000)),
        (Outcome::RejectedWithoutProof, at(71_000)),
        (Outcome::Rejected, at(2_000)),
        (Outcome::NeverExecuted, at(2_000)),
    ] {
        let ended = settled(&again, "a", outcome, at(71_000));
        assert_eq!((state(&ended), ended.in_flight.clone()), (Unknown, None), "{outcome:?}");
        let recovery = ended.transactions[&id("a")].recovery;
        assert_eq!(recovery.unclear_since, Some(unclear_since), "{outcome:?}");
    }
}

#[test]
fn an_answer_that_says_nothing_new_frees_the_slot() {
    let told = early(&open(), report(Charge, Success, 40, "a"));
    assert_eq!((state(&told), told.is_held_by(&Nonce::new(1))), (Success, true));
    let known = answered(&told, Outcome::Approved);
    assert_eq!((state(&known), known.in_flight.clone()), (Success, None));
    assert_eq!(known.transactions, told.transactions);
    // And without the slot, it changes nothing.
    let again = known.settle(&id("a"), &Nonce::new(1), Outcome::Approved, later());
    assert_eq!(again, Ok(Settlement::Unchanged(Success)));
}

#[test]
fn a_dispute_ends_where_the_first_answer_and_the_last_report_say_no() {
    let happened = early(&open(), report(Charge, Success, 40, "X"));
    let disputed = early(&happened, report(Charge, Failure, 40, ""));
    assert!(disputed.transactions[&id("a")].is_disputed);
    for outcome in [Outcome::Rejected, Outcome::Disproved] {
        let failed = answered(&disputed, outcome);
        assert_eq!((state(&failed), stopped(&failed)), (Failure, (false, false)), "{outcome:?}");
        // The effect of that name is another's.
        assert_eq!(failed.balances.captured, eur(40), "{outcome:?}");
    }
    for outcome in [Outcome::Approved, Outcome::Received, Outcome::Unknown] {
        let open = answered(&disputed, outcome);
        assert_eq!((state(&open), stopped(&open)), (Unknown, (true, true)), "{outcome:?}");
    }
    // After an attempt that was unclear, an answer is not the first one.
    let unclear = answered(&disputed, Outcome::Unknown);
    assert_eq!(stopped(&late(&unclear, Outcome::Disproved)), (true, true));
}

#[test]
fn a_dispute_ends_where_an_answer_agrees_with_a_failure_by_id() {
    let failed = early(&open(), report(Charge, Failure, 40, "a"));
    let other = early(&failed, report(Charge, Success, 30, "a"));
    assert!(other.transactions[&id("a")].is_disputed);
    let rejected = answered(&other, Outcome::Rejected);
    assert_eq!((state(&rejected), stopped(&rejected)), (Failure, (false, false)));
    assert_eq!(stopped(&answered(&other, Outcome::Approved)), (true, true));
}

#[test]
fn what_failed_by_its_id_is_not_forgotten_when_nothing_was_sent() {
    let failed = early(&open(), report(Charge, Failure, 40, "a"));
    assert_eq!(state(&failed), Initial);
    let known = answered(&failed, Outcome::NeverExecuted);
    assert_eq!((state(&known), known.balances.capturable), (Failure, eur(100)));
    // What failed by likeness alone is another's.
    let failed = early(&open(), report(Charge, Failure, 40, "X"));
    let withdrawn = answered(&failed, Outcome::NeverExecuted);
    assert_eq!(withdrawn.transactions.get(&id("a")), None);
    assert_eq!(withdrawn.transactions.len(), 2);
}

#[test]
fn a_late_approval_agrees_with_a_success_by_the_name_of_what_was_rejected() {
    let failed = early(&open(), report(Charge, Failure, 40, "X"));
    let rejected = answered(&failed, Outcome::Rejected);
    assert_eq!((state(&rejected), rejected.balances.capturable), (Failure, eur(100)));
    let happened = told(&rejected, report(Charge, Success, 40, "X"));
    assert_eq!((state(&happened), happened.balances.captured), (Success, eur(40)));
    for outcome in [Outcome::Approved, Outcome::Received] {
        let agreed = late(&happened, outcome);
        assert_eq!((state(&agreed), stopped(&agreed)), (Success, (false, false)), "{outcome:?}");
        // Without that report, they contradict each other.
        let disputed = late(&rejected, outcome);
        assert_eq!((state(&disputed), stopped(&disputed)), (Unknown, (true, true)), "{outcome:?}");
    }
}

#[test]
fn an_approval_confirms_the_success_that_was_reported_meanwhile() {
    for name in ["X", ""] {
        let known = answered(&early(&open(), report(Charge, Success, 40, name)), Outcome::Approved);
        assert_eq!(states(&known), [(Charge, Success, 40)], "{name:?}");
        assert_eq!(known.balances.capturable, eur(60), "{name:?}");
    }
}

#[test]
fn a_failure_by_name_that_waits_stays_with_what_was_taken_on() {
    let failed = early(&open(), report(Charge, Failure, 40, "X"));
    let taken_on = answered(&failed, Outcome::Received);
    assert_eq!(states(&taken_on), [(Charge, Pending, 40)]);
    assert_eq!(taken_on.transactions[&id("a")].interaction_id.as_deref(), Some("X"));
    let again = told(&taken_on, report(Charge, Failure, 40, "X"));
    assert_eq!(
        (states(&again), again.balances.capturable),
        (vec![(Charge, Failure, 40)], eur(100))
    );
}

#[test]
fn a_rejection_agrees_with_the_failure_that_was_reported_meanwhile() {
    let failed = early(&open(), report(Charge, Failure, 40, "X"));
    let rejected = answered(&failed, Outcome::Rejected);
    assert_eq!(states(&rejected), [(Charge, Failure, 40)]);
    let ours = &rejected.transactions[&id("a")];
    assert_eq!(ours.interaction_id.as_deref(), Some("X"));
    assert_eq!(ours.reported.as_ref().unwrap().at, at(1_500));
}

#[test]
fn a_dispute_about_a_failure_without_id_outlives_the_name_of_another_effect() {
    let happened = early(&open(), report(Charge, Success, 40, "X"));
    let disputed = early(&happened, report(Charge, Failure, 40, ""));
    let interaction_id = "Y".to_owned();
    let update = Update::ChangeTransactionInteractionId { id: id("a"), interaction_id };
    for outcome in [Outcome::Approved, Outcome::Received, Outcome::Unknown, Outcome::NeverExecuted]
    {
        let known = answered(&disputed, outcome);
        let known = known.update(std::slice::from_ref(&update), &reporter(later(), true)).unwrap();
        assert_eq!(state(&known), Unknown, "{outcome:?}");
        assert_eq!(known.balances.capturable, eur(20), "{outcome:?}");
        assert_eq!(stopped(&known), (true, true), "{outcome:?}");
        let said = Update::ChangeTransactionState { id: id("a"), state: Success };
        let resolved = known.update(&[said], &reporter(later(), true)).unwrap();
        assert_eq!((state(&resolved), stopped(&resolved)), (Success, (false, false)));
    }
}

#[test]
fn a_failure_by_id_is_refuted_by_an_approval() {
    let failed = early(&open(), report(Charge, Failure, 40, "a"));
    let approved = answered(&failed, Outcome::Approved);
    assert_eq!(stopped(&approved), (true, true));
    assert_eq!(late(&approved, Outcome::Disproved), approved);
    // In a dispute as well.
    let other = early(&failed, report(Charge, Success, 30, "a"));
    let approved = answered(&other, Outcome::Approved);
    assert_eq!(stopped(&late(&approved, Outcome::Disproved)), (true, true));
    // But not by an answer that says nothing.
    let unclear = answered(&other, Outcome::Unknown);
    let disproved = late(&unclear, Outcome::Disproved);
    assert_eq!((state(&disproved), stopped(&disproved)), (Failure, (false, false)));
}

#[test]
fn a_failure_that_came_in_flight_counts_in_time_where_its_connector_answered_the_same() {
    let doubtful = reporter(at(1_500), false);
    let failed = told_by(&open(), report(Charge, Failure, 40, "X"), &doubtful);
    let window_ends = at(2_000 + 360_000);
    let agreed = answered(&failed, Outcome::RejectedWithoutProof);
    assert_eq!(agreed.apply_waiting_failures(window_ends.minus_ms(1), false), None);
    let counted = agreed.apply_waiting_failures(window_ends, false).unwrap();
    assert_eq!((state(&counted), counted.balances.capturable), (Failure, eur(100)));
    assert_eq!(answered(&failed, Outcome::Unknown).apply_waiting_failures(later(), false), None);
}
