//! An effect that likeness took for an open transaction is rather that of one like it
//! which is known to have happened.

use super::*;

fn interaction_id<'a>(payment: &'a Payment, name: &str) -> Option<&'a str> {
    payment.transactions[&id(name)].interaction_id.as_deref()
}

fn state(payment: &Payment, name: &str) -> State {
    payment.transactions[&id(name)].state
}

/// Two captures of 40 that are Unknown: `t` is the older one.
fn two() -> Payment {
    unclear_at(&unclear_at(&payment(AUTHORIZED), "t", 40, 1_000), "o", 40, 3_000)
}

#[test]
fn an_effect_goes_from_an_open_transaction_to_one_that_happened() {
    // Beside others, of which none has it.
    let start = unclear_at(&payment(&[(Authorization, Success, 200)]), "t", 40, 1_000);
    let start = unclear_at(&start, "o", 40, 3_000);
    let start = settled(&in_flight(&start, "0", 10, at(5_000)), "0", Outcome::Approved, at(6_000));
    let start = settled(&in_flight(&start, "1", 40, at(7_000)), "1", Outcome::Rejected, at(8_000));
    let start = unclear_at(&start, "2", 40, 9_000);
    let likely = told(&start, report(Charge, Success, 40, "X"));
    assert_eq!(interaction_id(&likely, "t"), Some("X"));
    for known in [late(&likely, "o", Outcome::Approved), said(&likely, "o", Success)] {
        assert_eq!((interaction_id(&known, "t"), interaction_id(&known, "o")), (None, Some("X")));
        assert_eq!((state(&known, "t"), state(&known, "o")), (Unknown, Success));
        assert_eq!((captured(&known), capturable(&known)), (50, 70));
    }
}

#[test]
fn an_effect_stays_where_the_other_has_a_name_of_its_own() {
    let update =
        Update::ChangeTransactionInteractionId { id: id("o"), interaction_id: "N".to_owned() };
    let named = two().update(&[update], &reporter(later(), true)).unwrap();
    let likely = told(&named, report(Charge, Success, 40, "X"));
    let known = late(&likely, "o", Outcome::Approved);
    assert_eq!((state(&known, "t"), interaction_id(&known, "t")), (Success, Some("X")));
    assert_eq!((captured(&known), capturable(&known)), (80, 20));
}

#[test]
fn an_effect_stays_with_one_that_was_answered() {
    let likely = told(&late(&two(), "t", Outcome::Approved), report(Charge, Success, 40, "X"));
    assert_eq!(interaction_id(&likely, "t"), Some("X"));
    let known = late(&likely, "o", Outcome::Approved);
    assert_eq!((interaction_id(&known, "t"), interaction_id(&known, "o")), (Some("X"), None));
    assert_eq!((captured(&known), capturable(&known)), (80, 20));
}

#[test]
fn an_effect_stays_where_it_has_only_begun_or_came_before_the_other() {
    let begun = told(&two(), report(Charge, Pending, 40, "X"));
    let before = unclear_at(&payment(AUTHORIZED), "t", 40, 1_000);
    let before = unclear_at(&before, "o", 40, 200_000);
    let early = Report { timestamp: Some(at(100_000)), ..report(Charge, Success, 40, "X") };
    for (likely, both) in [(begun, 40), (told(&before, early), 80)] {
        assert_eq!(interaction_id(&likely, "t"), Some("X"));
        let known = late(&likely, "o", Outcome::Approved);
        assert_eq!((interaction_id(&known, "t"), interaction_id(&known, "o")), (Some("X"), None));
        assert_eq!((captured(&known), capturable(&known)), (both, 20));
    }
}
