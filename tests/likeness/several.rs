//! Which of several transactions a report is about, where no id says so.

use super::*;

fn state(payment: &Payment, name: &str) -> State {
    payment.transactions[&id(name)].state
}

/// Two captures of 40 that are Unknown: `a` is the older one.
fn two() -> Payment {
    unclear_at(&unclear_at(&payment(AUTHORIZED), "a", 40, 1_000), "b", 40, 3_000)
}

#[test]
fn an_effect_is_rather_the_one_of_its_name_and_else_one_without_a_name() {
    let two = two();
    for (payment, name, expected) in [
        (two.clone(), "", "a"),
        (two.clone(), "X", "a"),
        // A name that several share identifies nothing, and still says something.
        (named(&two, "b", "psp-0"), "psp-0", "b"),
        (named(&two, "a", "N"), "", "b"),
        (named(&two, "a", "psp-0"), "X", "b"),
    ] {
        let other = if expected == "a" { "b" } else { "a" };
        let known = told(&payment, report(Charge, Success, 40, name));
        assert_eq!((state(&known, expected), state(&known, other)), (Success, Unknown), "{name:?}");
    }
}

#[test]
fn a_failure_is_rather_of_one_that_was_reported_to_have_failed() {
    // In dispute.
    let disputed = told(&late(&two(), "a", Outcome::Approved), report(Charge, Success, 30, "a"));
    assert!(disputed.transactions[&id("a")].is_disputed);
    let again = told(&disputed, report(Charge, Failure, 40, ""));
    assert_eq!(again, disputed);
    // Of which a Failure waits.
    let doubtful = reporter(at(5_000), false);
    let waiting = told_by(&two(), report(Charge, Failure, 40, "a"), &doubtful);
    assert!(waiting.transactions[&id("a")].waiting_failure.is_some());
    assert_eq!(told_by(&waiting, report(Charge, Failure, 40, ""), &doubtful), waiting);
}

#[test]
fn an_effect_that_has_begun_is_not_taken_for_a_transaction_that_failed_by_its_own_id() {
    for is_in_flight in [false, true] {
        let open = in_flight(&payment(AUTHORIZED), "a", 40, at(1_000));
        let failed = told_by(&open, report(Charge, Failure, 40, "a"), &reporter(at(1_500), false));
        let failed =
            if is_in_flight { failed } else { settled(&failed, "a", Outcome::Unknown, at(2_000)) };
        for state in [State::Initial, Pending, Success] {
            let begun = told_by(&failed, report(Charge, state, 40, ""), &reporter(at(3_000), true));
            assert_eq!((begun.transactions.len(), capturable(&begun)), (3, 20), "{state:?}");
            assert_eq!(begun.transactions[&id("a")], failed.transactions[&id("a")], "{state:?}");
        }
    }
}

#[test]
fn the_connectors_id_says_that_an_effect_is_not_ours_whichever_report_has_it() {
    let by_connector = |report: Report, name: Option<&str>| Report {
        interface_id: name.map(str::to_owned),
        ..report
    };
    for (before, after, sum) in
        [(None, None, 40), (Some("F"), None, 80), (None, Some("F"), 80), (Some("B"), Some("B"), 40)]
    {
        let open = unclear(&payment(AUTHORIZED), "a", 40);
        let failure = by_connector(report(Charge, Failure, 40, "X"), before);
        let failed = told_by(&open, failure, &reporter(at(3_000), false));
        let approved = late(&failed, "a", Outcome::Approved);
        let update =
            Update::SetTransactionInterfaceId { id: id("a"), interface_id: Some("B".to_owned()) };
        let ours = approved.update(&[update], &reporter(later(), true)).unwrap();
        let known = told(&ours, by_connector(report(Charge, Success, 40, "X"), after));
        assert_eq!(captured(&known), sum, "{before:?} {after:?}");
    }
}

#[test]
fn ours_takes_both_ids_of_the_failure_that_it_was_taken_for() {
    for (success_by_interface, success_by_psp) in [(Some("F"), ""), (None, "X")] {
        let open = unclear(&payment(AUTHORIZED), "a", 40);
        let interface_id = Some("F".to_owned());
        let failure = Report { interface_id, ..report(Charge, Failure, 40, "X") };
        let failed = told_by(&open, failure, &reporter(at(3_000), false));
        let approved = late(&failed, "a", Outcome::Approved);
        let interface_id = success_by_interface.map(str::to_owned);
        let success = Report { interface_id, ..report(Charge, Success, 40, success_by_psp) };
        let known = told(&approved, success);
        let ours = &known.transactions[&id("a")];
        let ids = (ours.interaction_id.as_deref(), ours.interface_id.as_deref());
        assert_eq!((ids, captured(&known)), ((Some("X"), Some("F")), 40));
    }
}

#[test]
fn a_release_of_ours_is_reported_with_the_planned_amount_or_its_own() {
    // 100 is planned, and 60 is authorized.
    let cancel = reservation("c", 1, Action::Cancel, at(1_000));
    let open = payment(&[(Authorization, Success, 60)]).reserve(&cancel).unwrap();
    let unclear = settled(&open, "c", Outcome::Unknown, at(2_000));
    for (amount, is_ours) in [(100, true), (60, true), (30, false)] {
        let told = told(&unclear, report(CancelAuthorization, Success, amount, ""));
        let expected = if is_ours { Success } else { Unknown };
        assert_eq!(state(&told, "c"), expected, "{amount}");
        assert_eq!(told.balances.cancelled, eur(if is_ours { 60 } else { 0 }), "{amount}");
    }
}

#[test]
fn that_an_effect_began_is_no_news_of_one_that_happened_and_says_nothing_of_one_that_failed() {
    let begun = |payment: &Payment| told(payment, report(Charge, State::Initial, 40, ""));
    for outcome in [Outcome::Approved, Outcome::Received, Outcome::Unknown] {
        let ours = answered(&payment(AUTHORIZED), "a", 40, outcome);
        assert_eq!(begun(&ours), ours, "{outcome:?}");
    }
    let rejected = answered(&payment(AUTHORIZED), "a", 40, Outcome::Rejected);
    assert_eq!((capturable(&rejected), capturable(&begun(&rejected))), (100, 60));
}

#[test]
fn a_report_without_an_id_settles_no_dispute_about_what_ids_said() {
    let open = in_flight(&payment(AUTHORIZED), "a", 40, at(1_000));
    let failed = told_by(&open, report(Charge, Failure, 40, "a"), &reporter(at(1_500), true));
    let disputed = settled(&failed, "a", Outcome::Approved, at(2_000));
    let told = told(&disputed, report(Charge, Success, 40, ""));
    assert_eq!(told.transactions[&id("a")], disputed.transactions[&id("a")]);
    assert_eq!((captured(&told), capturable(&told), stopped(&told)), (40, 20, (true, true)));
}

#[test]
fn an_authorization_that_failed_is_the_one_that_happened_after_all() {
    let refused = payment(&[(Authorization, Failure, 100)]);
    let authorized = told(&refused, report(Authorization, Success, 100, ""));
    assert_eq!((state(&authorized, "past-0"), authorized.transactions.len()), (Success, 1));
    assert_eq!(capturable(&authorized), 100);
}

/// The payer's first card was declined, and the second one is at work.
#[test]
fn an_authorization_that_is_at_work_goes_before_one_that_was_declined() {
    let first_declined = [(Authorization, Failure, 100), (Authorization, Pending, 100)];
    let both = payment(&first_declined);
    let report = report(Authorization, Success, 100, "");
    for timestamp in [None, Some(later())] {
        let authorized = told(&both, Report { timestamp, ..report.clone() });
        let states = ["past-0", "past-1"].map(|name| state(&authorized, name));
        assert_eq!((states, capturable(&authorized)), ([Failure, Success], 100));
        // The caller says so by its id, too.
        let again = told(&authorized, by_own_id(report.clone(), "past-1"));
        assert_eq!(capturable(&again), 100);
    }
}

#[test]
fn a_name_gives_way_only_where_ours_happened_and_that_effect_had_only_begun() {
    let happened = told(&late(&two(), "a", Outcome::Approved), report(Charge, Success, 40, "X"));
    let begun = told(&unclear(&payment(AUTHORIZED), "a", 40), report(Charge, Pending, 40, "X"));
    for likely in [happened, begun] {
        let ours = likely.transactions[&id("a")].clone();
        assert_eq!(ours.interaction_id.as_deref(), Some("X"));
        let beside = told(&likely, report(Charge, Success, 40, "Y"));
        assert_eq!(beside.transactions[&id("a")], ours);
    }
}
