//! Taking back a match by likeness completely: the transaction keeps its own ids, and the effect
//! keeps what was reported of it.

use super::*;

fn by_interface(report: Report, name: &str) -> Report {
    Report { interface_id: Some(name.to_owned()), ..report }
}

/// The two ids of a transaction.
fn ids(payment: &Payment, name: &str) -> (Option<String>, Option<String>) {
    let ours = &payment.transactions[&id(name)];
    (ours.interaction_id.clone(), ours.interface_id.clone())
}

/// The effect that was added beside the transactions of ours and those registered.
fn added(payment: &Payment) -> &payment_intents::payment::Transaction {
    let mut added = payment.transactions.values().filter(|one| {
        one.is_external && one.kind == Charge && !one.id.as_str().starts_with("past")
    });
    let first = added.next().unwrap();
    assert_eq!(added.next(), None);
    first
}

#[test]
fn a_name_that_came_with_a_second_report_goes_with_the_effect() {
    let nameless = told(&unclear(&payment(AUTHORIZED), "a", 40), report(Charge, Success, 40, ""));
    let likely = told(&nameless, by_interface(report(Charge, Success, 40, "X"), "F"));
    assert_eq!(ids(&likely, "a"), (Some("X".to_owned()), Some("F".to_owned())));
    let disproved = late(&likely, "a", Outcome::Disproved);
    assert_eq!(ids(&disproved, "a"), (None, None));
    let effect = added(&disproved);
    assert_eq!((effect.state, effect.interaction_id.as_deref()), (Success, Some("X")));
    assert_eq!(effect.interface_id.as_deref(), Some("F"));
    assert_eq!((captured(&disproved), capturable(&disproved)), (40, 60));
}

#[test]
fn a_name_that_ours_had_before_stays_when_the_effect_goes() {
    let interface_id = Some("G".to_owned());
    let update = Update::SetTransactionInterfaceId { id: id("a"), interface_id };
    let ours = named(&unclear(&payment(AUTHORIZED), "a", 40), "a", "N");
    let ours = ours.update(&[update], &reporter(later(), true)).unwrap();
    let likely = told(&ours, report(Charge, Pending, 40, ""));
    let again = told(&likely, by_interface(report(Charge, Success, 40, "psp-0"), "F"));
    assert_eq!((captured(&again), again.transactions.len()), (40, 2));
    let disproved = late(&again, "a", Outcome::Disproved);
    assert_eq!(ids(&disproved, "a"), (Some("N".to_owned()), Some("G".to_owned())));
    assert_eq!(disproved.transactions[&id("a")].state, Failure);
    assert_eq!((captured(&disproved), capturable(&disproved)), (40, 60));
}

#[test]
fn a_failure_that_came_in_flight_counts_when_it_is_said_again() {
    let open = in_flight(&payment(AUTHORIZED), "a", 40, at(1_000));
    let early = told_by(&open, report(Charge, Failure, 40, ""), &reporter(at(1_500), true));
    let unclear = settled(&early, "a", Outcome::Unknown, at(2_000));
    assert_eq!(capturable(&unclear), 60);
    let window_ends = at(2_000 + 360_000);
    assert_eq!(unclear.apply_waiting_failures(window_ends, true), None);
    let again = told_by(&unclear, report(Charge, Failure, 40, ""), &reporter(at(3_000), true));
    assert_eq!(capturable(&again), 100);
    // By a connector whose word proves nothing, when its time is over.
    let again = told_by(&unclear, report(Charge, Failure, 40, "X"), &reporter(at(3_000), false));
    assert_eq!(capturable(&again), 60);
    let counted = again.apply_waiting_failures(window_ends, false).unwrap();
    assert_eq!(capturable(&counted), 100);
}

#[test]
fn an_answer_holds_again_when_the_failure_that_contradicted_it_is_anothers() {
    let ours = answered(&payment(AUTHORIZED), "a", 40, Outcome::Approved);
    let disputed = told(&ours, report(Charge, Failure, 40, "X"));
    assert_eq!(stopped(&disputed), (true, true));
    let resolved = named(&disputed, "a", "Y");
    assert_eq!((captured(&resolved), capturable(&resolved)), (40, 60));
    assert_eq!(stopped(&resolved), (false, false));
    let effect = added(&resolved);
    assert_eq!((effect.state, effect.interaction_id.as_deref()), (Failure, Some("X")));
    assert_eq!(effect.possible_duplicate_of, Some(id("a")));
}

#[test]
fn an_authorization_of_a_name_of_its_own_counts_though_it_was_taken_for_another() {
    let begun = told(&payment(&[]), report(Authorization, Pending, 100, ""));
    let first = begun.transactions.keys().next().unwrap().to_string();
    let by_interaction = report(Authorization, Success, 100, "X");
    for likely in [by_interaction, by_interface(report(Authorization, Success, 100, ""), "F")] {
        let likely = told(&begun, likely);
        assert_eq!((capturable(&likely), likely.transactions.len()), (100, 1));
        let failure = by_interface(report(Authorization, Failure, 100, ""), &first);
        let both = told(&likely, failure);
        assert_eq!((capturable(&both), both.transactions.len()), (100, 2));
        assert_eq!(both.transactions[&id(&first)].state, Failure);
    }
}

#[test]
fn a_name_does_not_make_one_of_two_that_are_both_known() {
    // Registered under that name.
    let ours = answered(&payment(support::reporting::CAPTURED), "a", 40, Outcome::Approved);
    let same = named(&ours, "a", "psp-1");
    assert_eq!((captured(&same), capturable(&same)), (80, 20));
    // Reported, and sent by us.
    let first = answered(&payment(AUTHORIZED), "a", 40, Outcome::Approved);
    let first = named(&said(&said(&first, "a", Failure), "a", Success), "a", "X");
    assert!(first.transactions[&id("a")].reported.is_some());
    let open = in_flight(&first, "b", 40, later());
    let both = settled(&open, "b", Outcome::Approved, later());
    let same = named(&both, "b", "X");
    assert_eq!((captured(&same), capturable(&same)), (80, 20));
}

#[test]
fn a_transaction_that_takes_the_name_of_an_effect_that_failed_does_not_fail() {
    let failed = told(&payment(AUTHORIZED), report(Charge, Failure, 40, "X"));
    let open = in_flight(&failed, "a", 40, later().plus_ms(90_000));
    let approved = settled(&open, "a", Outcome::Approved, later().plus_ms(91_000));
    let known = named(&approved, "a", "X");
    assert_eq!(known.transactions.len(), 2);
    assert_eq!((known.transactions[&id("a")].state, captured(&known)), (Success, 40));
}

#[test]
fn an_effect_that_failed_by_its_name_leaves_ours_open_where_it_may_be_anothers() {
    let both = unclear(&payment(AUTHORIZED), "a", 40);
    let both = settled(&in_flight(&both, "b", 40, at(5_000)), "b", Outcome::Unknown, at(6_000));
    for state in [Pending, Success] {
        let likely = told(&both, report(Charge, state, 40, "X"));
        let taken = likely.transactions.values().find(|one| one.interaction_id == name("X"));
        let taken = taken.unwrap().id.to_string();
        let failed = told(&likely, report(Charge, Failure, 40, "X"));
        assert_eq!(failed.transactions[&id(&taken)].state, Unknown);
        assert_eq!(ids(&failed, &taken), (None, None));
        let effect = added(&failed);
        assert_eq!((effect.state, effect.interaction_id.clone()), (Failure, name("X")));
        assert_eq!((captured(&failed), capturable(&failed)), (0, 20));
        assert_eq!(stopped(&failed), (false, false));
        // Its capture is refunded already: somebody has to look.
        if state == Success {
            let refunded = told(&likely, report(Refund, Success, 40, "R"));
            let failed = told(&refunded, report(Charge, Failure, 40, "X"));
            assert!(failed.transactions[&id(&taken)].is_disputed);
            assert_eq!(stopped(&failed), (true, true));
        }
    }
}

#[test]
fn what_was_taken_back_after_the_lease_ran_out_leaves_ours_as_it_is_known() {
    let open = in_flight(&payment(AUTHORIZED), "a", 40, at(1_000));
    let early = |payment: &Payment, report| told_by(payment, report, &reporter(at(1_500), true));
    let likely = early(&open, report(Charge, Success, 40, "X"));
    let known = early(
        &early(&open, report(Charge, Pending, 40, "X")),
        by_own_id(report(Charge, Success, 40, ""), "a"),
    );
    for (reported, expected) in [(likely, Unknown), (known, Success)] {
        let expired = reported.expire(at(90_000)).unwrap();
        assert_eq!(expired.check(), Ok(()));
        let resolved = named(&expired, "a", "Y");
        assert_eq!(resolved.transactions[&id("a")].state, expected);
        assert_eq!(capturable(&resolved), 20);
    }
}

fn name(text: &str) -> Option<String> {
    Some(text.to_owned())
}
