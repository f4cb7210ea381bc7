//! Look-ups: an open transaction is settled by what the platform shows, as far as that
//! proves anything.

use super::*;

const NO_PROOF: PlatformProof =
    PlatformProof { failures_count: false, absence_counts: false, psp: None };

/// One capture of 40 that is Unknown.
fn one() -> Payment {
    unclear_at(&payment(AUTHORIZED), "a", 40, 1_000)
}

fn effect(state: State, name: Option<&str>) -> Report {
    shown(state, name, at(600_000))
}

/// The state of the transaction after a look-up that is shown this.
fn comes_to(payment: &Payment, name: &str, shown: &[Report]) -> State {
    looked_up(payment, name, shown).transactions[&id(name)].state
}

#[test]
fn a_look_up_settles_only_what_is_open_and_at_rest() {
    let look_up = |payment: &Payment, name: &str, state| {
        payment.look_up(&id(name), &[effect(state, Some("a"))], &PROOF, later())
    };
    let approved =
        settled(&in_flight(&payment(AUTHORIZED), "a", 40, at(1)), "a", Outcome::Approved, at(2));
    assert_eq!(look_up(&approved, "a", Failure), Ok(Settlement::Unchanged(Success)));
    let again = one().resume(&id("a"), Nonce::new(7), at(70_000), later()).unwrap();
    assert_eq!(look_up(&again, "a", Success), Ok(Settlement::Unchanged(Unknown)));
    assert_eq!(look_up(&one(), "b", Success), Ok(Settlement::Gone));
    assert_eq!(comes_to(&one(), "a", &[effect(Success, Some("a"))]), Success);
    assert_eq!(look_up(&one(), "a", Initial), Ok(Settlement::Unchanged(Unknown)));
}

#[test]
fn a_shown_failure_by_a_likely_name_proves_nothing_while_another_effect_may_be_ours() {
    let likely = told(&one(), report(Charge, Pending, 40, "X"));
    let known = named(&one(), "a", "X");
    let (failed, other) = (effect(Failure, Some("X")), effect(Success, Some("Y")));
    assert_eq!(comes_to(&likely, "a", std::slice::from_ref(&failed)), Failure);
    assert_eq!(comes_to(&likely, "a", &[failed.clone(), other.clone()]), Pending);
    assert_eq!(comes_to(&known, "a", &[failed.clone(), other.clone()]), Failure);
    assert_eq!(comes_to(&likely, "a", &[effect(Success, Some("X")), other]), Success);
    assert_eq!(comes_to(&likely, "a", &[failed, effect(Failure, Some("Y"))]), Failure);
}

#[test]
fn what_is_not_shown_never_happened_unless_something_shown_may_be_it() {
    for (shown, expected) in [
        (vec![], Failure),
        (vec![effect(Failure, None)], Failure),
        (vec![effect(Initial, None)], Unknown),
        (vec![effect(Pending, None)], Pending),
        (vec![effect(Success, None)], Success),
        (vec![Report { amount: eur(30), ..effect(Success, None) }], Failure),
        (vec![Report { kind: Refund, ..effect(Success, None) }], Failure),
        // Nobody knows when that was.
        (vec![Report { timestamp: None, ..effect(Success, None) }], Unknown),
        // Before ours began, by more than clocks differ; times prove nothing else.
        (vec![Report { timestamp: Some(at(0)), ..effect(Success, None) }], Success),
    ] {
        assert_eq!(comes_to(&one(), "a", &shown), expected, "{shown:?}");
    }
    let late = unclear_at(&payment(AUTHORIZED), "a", 40, 1_000_000);
    assert_eq!(comes_to(&late, "a", &[effect(Success, None)]), Unknown);
    assert_eq!(comes_to(&late, "a", &[effect(Failure, None)]), Failure, "absent");
}

#[test]
fn absence_says_nothing_of_what_began_elsewhere_or_was_taken_on() {
    let begun = payment(&[(Authorization, Success, 100), (Charge, Initial, 40)]);
    assert_eq!(comes_to(&begun, "past-1", &[]), Unknown);
    let taken_on = told(&one(), report(Charge, Pending, 40, "a"));
    assert_eq!(comes_to(&taken_on, "a", &[]), Pending);
}

#[test]
fn a_platform_that_proves_less_settles_less() {
    let absent = PlatformProof { absence_counts: true, ..NO_PROOF };
    for (shown, proof, expected) in [
        (vec![], &NO_PROOF, Unknown),
        (vec![], &absent, Failure),
        (vec![effect(Failure, None)], &NO_PROOF, Unknown),
        (vec![effect(Failure, None)], &absent, Unknown),
        (vec![effect(Failure, Some("a"))], &absent, Unknown),
        (vec![effect(Success, Some("a"))], &NO_PROOF, Success),
        (vec![effect(Success, None)], &NO_PROOF, Success),
        (vec![effect(Pending, None)], &NO_PROOF, Pending),
    ] {
        let looked = match one().look_up(&id("a"), &shown, proof, later()).unwrap() {
            Settlement::Changed(next) => next.transactions[&id("a")].state,
            Settlement::Unchanged(state) => state,
            Settlement::Gone => unreachable!("it is there"),
        };
        assert_eq!(looked, expected, "{shown:?} {proof:?}");
    }
}

#[test]
fn a_dispute_is_settled_only_by_an_id_that_is_shown_once() {
    let approved =
        settled(&in_flight(&payment(AUTHORIZED), "a", 40, at(1)), "a", Outcome::Approved, at(2));
    let disputed = told(&approved, report(Charge, Failure, 40, ""));
    let interface_id = Some("F".to_owned());
    let update = Update::SetTransactionInterfaceId { id: id("a"), interface_id };
    let disputed = named(&disputed, "a", "X").update(&[update], &reporter(later(), true)).unwrap();
    let by_interface =
        |report: Report, name: &str| Report { interface_id: Some(name.to_owned()), ..report };
    let (by_x, nameless) = (effect(Success, Some("X")), effect(Success, None));
    let by_own = effect(Success, Some("a"));
    let other = Report { amount: eur(1), ..effect(Success, Some("Y")) };
    let another = Report { interaction_id: None, ..other.clone() };
    for (shown, expected) in [
        (vec![nameless.clone()], Unknown),
        (vec![], Unknown),
        (vec![by_x.clone()], Success),
        (vec![by_x.clone(), other], Success),
        (vec![by_x.clone(), by_x.clone()], Unknown),
        (vec![by_interface(by_x.clone(), "a"), by_x], Success),
        (vec![by_own.clone(), by_own], Success),
        (vec![by_interface(nameless, "F"), another], Success),
    ] {
        assert_eq!(comes_to(&disputed, "a", &shown), expected, "{shown:?}");
    }
}

#[test]
fn an_effect_is_the_latest_of_its_kind_and_amount_that_had_begun_and_can_have_happened() {
    let start = payment(&[(Authorization, Success, 200), (Charge, Success, 90)]);
    let first = unclear_at(&start, "a", 40, 1_000);
    // Later ones of another amount, of another kind, and one that was rejected.
    let other = unclear_at(&first, "b", 30, 3_000);
    let refunding = other.reserve(&reservation("r", 1, refund(40), at(5_000))).unwrap();
    let refunding = settled(&refunding, "r", Outcome::Unknown, at(6_000));
    let rejected =
        settled(&in_flight(&refunding, "x", 40, at(7_000)), "x", Outcome::Rejected, at(8_000));
    let success = [effect(Success, None)];
    assert_eq!(comes_to(&rejected, "a", &success), Success);
    // Of two that it can be, it is the later one.
    let both = unclear_at(&rejected, "c", 40, 9_000);
    assert_eq!(comes_to(&both, "c", &success), Success);
    assert_eq!(comes_to(&both, "a", &success), Unknown);
    // Each is one of two.
    let two = [effect(Success, None), effect(Success, None)];
    assert_eq!((comes_to(&both, "a", &two), comes_to(&both, "c", &two)), (Success, Success));
    // One that began after it is not meant.
    let after = unclear_at(&rejected, "c", 40, 700_000);
    assert_eq!(comes_to(&after, "a", &success), Success);
    assert_eq!(comes_to(&after, "c", &success), Unknown);
}

#[test]
fn an_effect_is_rather_one_that_was_answered() {
    let answered =
        settled(&in_flight(&payment(AUTHORIZED), "b", 40, at(10)), "b", Outcome::Approved, at(20));
    let both = unclear_at(&answered, "a", 40, 1_000);
    for (shown, expected) in [
        (vec![], Failure),
        (vec![effect(Success, None)], Failure),
        (vec![effect(Pending, None)], Failure),
        (vec![effect(Success, None), effect(Success, None)], Success),
        (vec![shown(Pending, None, at(500_000)), effect(Success, None)], Pending),
        (vec![effect(Success, Some("X")), effect(Success, Some("Y"))], Success),
    ] {
        assert_eq!(comes_to(&both, "a", &shown), expected, "{shown:?}");
    }
    // As many have failed as are shown to have.
    let rejected =
        settled(&in_flight(&payment(AUTHORIZED), "b", 40, at(10)), "b", Outcome::Rejected, at(20));
    let both = unclear_at(&rejected, "a", 40, 1_000);
    let (failed, begun) = (effect(Failure, None), effect(Initial, None));
    assert_eq!(comes_to(&both, "a", &[failed.clone(), begun.clone()]), Unknown);
    assert_eq!(comes_to(&both, "a", &[failed.clone(), failed, begun]), Failure);
}

#[test]
fn an_effect_of_another_name_is_not_ours_unless_likeness_gave_ours() {
    let known = named(&one(), "a", "X");
    let likely = told(&one(), report(Charge, Pending, 40, "X"));
    let other = [effect(Success, Some("Y"))];
    assert_eq!(comes_to(&known, "a", &other), Failure, "ours is absent");
    assert_eq!(comes_to(&known, "a", &[effect(Success, None)]), Success);
    assert_eq!(comes_to(&likely, "a", &other), Success);
    // A name that several have is none.
    let shared = named(&one(), "a", "psp-0");
    assert_eq!(comes_to(&shared, "a", &other), Success);
}
