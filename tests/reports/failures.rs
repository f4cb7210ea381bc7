//! Reported states beside what is known: when a Failure counts, and what no report undoes.

use super::*;

fn open() -> Payment {
    in_flight(&payment(AUTHORIZED), "a", 40, at(1_000))
}

fn by(payment: &Payment, when: u64, is_trusted: bool, report: Report) -> Payment {
    told_by(payment, report, &reporter(at(when), is_trusted))
}

fn state(payment: &Payment, name: &str) -> State {
    payment.transactions[&id(name)].state
}

#[test]
fn a_beginning_settles_no_dispute_and_revives_no_authorization() {
    let failed = by(&open(), 1_500, true, report(Charge, Failure, 40, "a"));
    let disputed = settled(&failed, "a", Outcome::Approved, at(2_000));
    assert_eq!(told(&disputed, report(Charge, Pending, 40, "a")), disputed);
    let refused = payment(&[(Authorization, Failure, 100)]);
    assert_eq!(told(&refused, report(Authorization, Pending, 100, "past-0")), refused);
    let approved = settled(&open(), "a", Outcome::Approved, at(2_000));
    assert_eq!(told(&approved, report(Charge, Pending, 40, "a")), approved);
}

#[test]
fn a_failure_by_a_likely_name_against_an_answer_is_a_dispute_of_ours_alone() {
    // A capture that was answered.
    let likely = by(&open(), 1_500, true, report(Charge, Success, 40, "X"));
    let approved = settled(&likely, "a", Outcome::Approved, at(2_000));
    let failed = told(&approved, report(Charge, Failure, 40, "X"));
    assert!(failed.transactions[&id("a")].is_disputed);
    // A chargeback that others reported.
    let charged_back = told(&payment(CAPTURED), report(Chargeback, Success, 30, ""));
    let likely = told(&charged_back, report(Chargeback, Success, 30, "B"));
    assert_eq!(likely.transactions.len(), 3);
    let failed = told(&likely, report(Chargeback, Failure, 30, "B"));
    assert_eq!((failed.balances.refunded, stopped(&failed)), (eur(0), (false, false)));
}

#[test]
fn a_success_that_is_taken_back_in_flight_is_open_again_or_by_our_own_id_in_dispute() {
    let reported = |state, name: &str| report(Charge, state, 40, name);
    let likely = by(&open(), 1_500, true, reported(Success, "X"));
    let open_again = by(&likely, 1_600, true, reported(Failure, "X"));
    assert_eq!(state(&open_again, "a"), Initial);
    assert!(!open_again.transactions[&id("a")].is_disputed);
    let known = by(&open(), 1_500, true, reported(Success, "a"));
    let disputed = by(&known, 1_600, true, reported(Failure, "a"));
    assert!(disputed.transactions[&id("a")].is_disputed);
    // Its capture is refunded already.
    let refunded = by(&likely, 1_550, true, report(Refund, Success, 40, "R"));
    let disputed = by(&refunded, 1_600, true, reported(Failure, "X"));
    assert!(disputed.transactions[&id("a")].is_disputed);
}

#[test]
fn a_failure_that_waits_gives_nothing_back_beside_another_that_it_may_be_about() {
    let unclear = settled(&open(), "a", Outcome::Unknown, at(2_000));
    let waiting = by(&unclear, 3_000, false, report(Charge, Failure, 40, ""));
    assert!(waiting.apply_waiting_failures(later(), false).is_some());
    for (begun, is_clear) in [(5_000, false), (33_000, false), (33_001, true)] {
        let both = in_flight(&waiting, "b", 40, at(begun));
        let both = settled(&both, "b", Outcome::Unknown, at(begun + 1_000));
        let counted = both.apply_waiting_failures(later(), false);
        assert_eq!(counted.is_some(), is_clear, "{begun}");
    }
}

#[test]
fn a_doubtful_failure_of_what_others_began_waits_until_they_have_stopped() {
    let begun = payment(&[(Authorization, Success, 100), (Charge, Initial, 40)]);
    let failed = |when| by(&begun, when, false, report(Charge, Failure, 40, "psp-1"));
    assert_eq!(state(&failed(359_999), "past-1"), Unknown);
    assert_eq!(state(&failed(360_000), "past-1"), Failure);
    // Nothing of ours is at work on an authorization.
    let begun = payment(&[(Authorization, Initial, 100)]);
    let failed = by(&begun, 1_000, false, report(Authorization, Failure, 100, "psp-0"));
    assert_eq!(state(&failed, "past-0"), Failure);
}

#[test]
fn a_failure_by_its_likely_name_settles_no_dispute() {
    let likely = told(&settled(&open(), "a", Outcome::Unknown, at(2_000)), {
        report(Charge, Success, 40, "X")
    });
    let disputed = told(&likely, report(Charge, Failure, 40, ""));
    assert_eq!(stopped(&disputed), (true, true));
    assert_eq!(told(&disputed, report(Charge, Failure, 40, "X")), disputed);
}

#[test]
fn a_failure_of_another_amount_is_no_contradiction() {
    let approved = settled(&open(), "a", Outcome::Approved, at(2_000));
    assert_eq!(told(&approved, report(Charge, Failure, 30, "a")), approved);
    let disputed = told(&approved, report(Charge, Pending, 30, "a"));
    assert_eq!(stopped(&disputed), (true, true));
    let author = disputed.transactions[&id("a")].reported.clone().unwrap();
    assert_eq!((author.by.as_deref(), author.at), (Some("operator"), later()));
    assert_eq!(told(&disputed, report(Charge, Pending, 30, "a")), disputed);
}

#[test]
fn what_is_told_again_is_no_news() {
    let unclear = settled(&open(), "a", Outcome::Unknown, at(2_000));
    for name in ["", "X", "a", "psp-0"] {
        for state in [Success, Pending, Failure] {
            let once = told(&unclear, report(Charge, state, 40, name));
            assert_eq!(once.version, unclear.version + 1, "{state:?} {name:?}");
            let again = told(&once, report(Charge, state, 40, name));
            assert_eq!(again, once, "{state:?} {name:?}");
        }
    }
    // What the answer said, too.
    let approved = settled(&open(), "a", Outcome::Approved, at(2_000));
    for name in ["", "a", "psp-0"] {
        let told = told(&approved, report(Charge, Success, 40, name));
        assert_eq!(told == approved, name != "psp-0", "{name:?}");
    }
}

#[test]
fn an_effect_elsewhere_is_counted_as_far_as_it_has_come() {
    let ends = [(Initial, Unknown, 60), (Pending, Pending, 60), (Success, Success, 60)];
    for (told_state, expected, capturable) in ends.into_iter().chain([(Failure, Failure, 100)]) {
        let next = told(&payment(AUTHORIZED), report(Charge, told_state, 40, "X"));
        assert_eq!(states(&next), [(Charge, expected, 40)], "{told_state:?}");
        assert_eq!(next.balances.capturable, eur(capturable), "{told_state:?}");
        assert_eq!(stopped(&next), (false, false), "{told_state:?}");
    }
}

#[test]
fn only_what_happened_claims_an_effect_that_was_added_because_of_a_rejection() {
    let rejected = settled(&open(), "a", Outcome::Rejected, at(2_000));
    let added = told(&rejected, report(Charge, Success, 40, ""));
    assert_eq!(added.transactions.len(), 3);
    let begun = told(&added, report(Charge, Pending, 40, "a"));
    assert_eq!((begun.transactions.len(), begun.balances.capturable), (3, eur(20)));
    let known = told(&added, report(Charge, Success, 40, "a"));
    assert_eq!((known.transactions.len(), known.balances.capturable), (2, eur(60)));
}

#[test]
fn a_doubtful_failure_of_what_happened_does_not_count_while_its_connector_may_be_at_work() {
    let unclear = settled(&open(), "a", Outcome::Unknown, at(2_000));
    let happened = by(&unclear, 3_000, true, report(Charge, Success, 40, "a"));
    let failed = by(&happened, 4_000, false, report(Charge, Failure, 40, "a"));
    assert_eq!((stopped(&failed), failed.balances.capturable), ((true, true), eur(60)));
    let late = by(&happened, 2_000 + 360_000, false, report(Charge, Failure, 40, "a"));
    assert_eq!((state(&late, "a"), late.balances.capturable), (Failure, eur(100)));
}

#[test]
fn recovery_looks_a_minute_after_what_was_heard_last() {
    let taken_on = settled(&open(), "a", Outcome::Received, at(2_000));
    assert_eq!(taken_on.recover_at(), Some(at(62_000)));
    let unclear = settled(&open(), "a", Outcome::Unknown, at(3_000));
    assert_eq!(unclear.recover_at(), Some(at(63_000)));
    let begun = told(&unclear, report(Charge, Pending, 40, "a"));
    assert_eq!(begun.recover_at(), Some(later().plus_ms(60_000)));
    assert_eq!(told(&begun, report(Charge, Success, 40, "a")).recover_at(), None);
}

#[test]
fn recovery_looks_at_a_failure_that_waits_as_soon_as_it_may_count() {
    let unclear = settled(&open(), "a", Outcome::Unknown, at(2_000));
    let planned = unclear.look_again(&id("a"), at(300_000), at(2_000_000));
    assert_eq!(planned.recover_at(), Some(at(2_000_000)));
    let waiting = by(&planned, 310_000, false, report(Charge, Failure, 40, "a"));
    assert_eq!(waiting.recover_at(), Some(at(362_000)));
}

#[test]
fn a_failure_that_came_in_flight_counts_in_time_where_an_id_says_the_same() {
    let likely = by(&open(), 1_500, false, report(Charge, Failure, 40, "X"));
    let known = by(&likely, 1_600, false, report(Charge, Failure, 40, "a"));
    for (failed, capturable) in [(likely, 60), (known, 100)] {
        let unclear = settled(&failed, "a", Outcome::Unknown, at(2_000));
        let counted = unclear.apply_waiting_failures(at(362_000), false);
        let next = counted.unwrap_or(unclear);
        assert_eq!(next.balances.capturable, eur(capturable));
    }
}

#[test]
fn a_doubtful_failure_counts_at_once_where_no_attempt_was_unclear() {
    let taken_on = settled(&open(), "a", Outcome::Received, at(2_000));
    let failed = by(&taken_on, 3_000, false, report(Charge, Failure, 40, "a"));
    assert_eq!((state(&failed, "a"), failed.balances.capturable), (Failure, eur(100)));
}

#[test]
fn a_failure_is_shown_as_open_until_the_balances_allow_it() {
    let rejected = settled(&open(), "a", Outcome::Rejected, at(2_000));
    assert_eq!(rejected.transactions[&id("a")].state_to_show(), Failure);
    let past = &[(Authorization, Success, 100), (Charge, Success, 40), (Refund, Success, 40)];
    let failed = told(&payment(past), report(Charge, Failure, 40, "psp-1"));
    let charge = &failed.transactions[&id("past-1")];
    assert_eq!((charge.state, charge.state_awaiting_balances), (Success, Some(Failure)));
    assert_eq!((charge.state_to_show(), charge.state_for_caller()), (Unknown, Unknown));
    // More than there is was captured all the same.
    let exceeded = told(&payment(AUTHORIZED), report(Charge, Success, 120, "X"));
    let charge = exceeded.discrepancies().next().unwrap();
    assert_eq!((charge.state_to_show(), charge.state_for_caller()), (Success, Unknown));
}
