//! True reports that can be understood in two ways. The reading that leaves less to send
//! counts, until an answer or an id decides. Each comment says what happened at the PSP.

use super::*;
use payment_intents::payment::PlatformProof;

const PROOF: PlatformProof =
    PlatformProof { failures_count: true, absence_counts: true, psp: None };

/// A capture that was sent at this time and settled half a second later.
fn sent(payment: &Payment, name: &str, amount: u64, when: u64, outcome: Outcome) -> Payment {
    settled(&in_flight(payment, name, amount, at(when)), name, outcome, at(when + 500))
}

/// Two captures of 40 that are Unknown: `b` is the older one.
fn two_unclear(payment: &Payment) -> Payment {
    sent(&sent(payment, "b", 40, 1_000, Outcome::Unknown), "a", 40, 3_000, Outcome::Unknown)
}

fn told_at(payment: &Payment, report: Report, when: u64) -> Payment {
    told_by(payment, report, &reporter(at(when), true))
}

fn shown(name: &str, when: u64) -> Report {
    Report { timestamp: Some(at(when)), ..report(Charge, Success, 40, name) }
}

fn looked_up(payment: &Payment, name: &str, shown: &[Report], when: u64) -> Payment {
    match payment.look_up(&id(name), shown, &PROOF, at(when)).unwrap() {
        Settlement::Changed(next) => *next,
        Settlement::Unchanged(_) | Settlement::Gone => payment.clone(),
    }
}

fn amounts(payment: &Payment) -> (u64, u64) {
    (captured(payment), capturable(payment))
}

/// Our capture happened as A, and E was captured in the dashboard: 80.
#[test]
fn a_state_by_our_id_makes_no_likely_name_ours() {
    let open = in_flight(&payment(AUTHORIZED), "a", 40, at(8_000));
    let likely = told_at(&open, report(Charge, Success, 40, "E"), 11_000);
    let stated = said(&likely, "a", Success);
    let mut known = settled(&stated, "a", Outcome::Approved, at(12_000));
    for _ in 0..2 {
        known = told(&known, by_own_id(report(Charge, Success, 40, "A"), "a"));
        known = told(&known, report(Charge, Success, 40, "E"));
    }
    assert_eq!(amounts(&known), (80, 20));
}

/// Our capture failed, and another was captured in the dashboard: 40.
#[test]
fn a_failure_by_our_id_after_a_success_by_likeness_is_disputed_until_it_is_said_again() {
    for name in ["", "X"] {
        let likely =
            told(&unclear(&payment(AUTHORIZED), "a", 40), report(Charge, Success, 40, name));
        let disputed = said(&likely, "a", Failure);
        assert_eq!((capturable(&disputed), stopped(&disputed)), (60, (true, true)));
        let again = said(&disputed, "a", Failure);
        assert_eq!((capturable(&again), stopped(&again)), (100, (false, false)));
        // A report by our id says at once that the other effect is another.
        let known = told(&likely, by_own_id(report(Charge, Failure, 40, ""), "a"));
        assert_eq!(amounts(&known), (40, 60));
        // So does the connector's answer.
        let open = in_flight(&payment(AUTHORIZED), "a", 40, at(1_000));
        let likely = told_at(&open, report(Charge, Success, 40, name), 1_500);
        let rejected = settled(&said(&likely, "a", Failure), "a", Outcome::Rejected, at(2_000));
        assert_eq!(amounts(&rejected), (40, 60));
    }
}

/// Our capture happened, and F failed in the dashboard. F is reported twice: 40.
#[test]
fn a_success_by_our_id_outlives_a_repeated_failure_of_another_effect() {
    let ours = unclear(&payment(AUTHORIZED), "a", 40);
    let likely = told(&ours, report(Charge, Failure, 40, "F"));
    let known = said(&likely, "a", Success);
    let again = told(&known, report(Charge, Failure, 40, "F"));
    assert_eq!((amounts(&again), stopped(&again)), ((40, 60), (false, false)));
    // What had happened by likeness is disputed then.
    let known = said(&told(&ours, report(Charge, Success, 40, "X")), "a", Success);
    let failed = told(&known, report(Charge, Failure, 40, "X"));
    assert_eq!((capturable(&failed), stopped(&failed)), (60, (true, true)));
}

/// The PSP took the capture on after its connector had reported a Failure, and does it.
#[test]
fn an_early_failure_waits_although_the_connector_answered_received() {
    let untrusted = reporter(at(1_500), false);
    let failure = Update::ChangeTransactionState { id: id("a"), state: Failure };
    let open = in_flight(&payment(AUTHORIZED), "a", 40, at(1_000));
    let early = open.update(&[failure], &untrusted).unwrap();
    let received = settled(&early, "a", Outcome::Received, at(2_000));
    assert_eq!(received.apply_waiting_failures(at(2_000), false), None);
    assert_eq!(received.apply_waiting_failures(at(361_999), false), None);
    let counted = received.apply_waiting_failures(at(362_000), false).unwrap();
    assert_eq!(capturable(&counted), 100);
    // The attempt that was answered counts, and not the first one.
    let unproven = settled(&early, "a", Outcome::RejectedWithoutProof, at(2_000));
    let again = unproven.resume(&id("a"), Nonce::new(1), at(70_000), at(100_000)).unwrap();
    let received = settled(&again, "a", Outcome::Received, at(71_000));
    assert_eq!(received.apply_waiting_failures(at(362_000), false), None);
}

/// `a` happened as A, and `b` happens while `a` is looked up: 80.
#[test]
fn nothing_is_absent_while_another_one_is_at_its_connector_or_was_just_there() {
    let unclear = sent(&payment(AUTHORIZED), "a", 40, 1_000, Outcome::Unknown);
    let open = in_flight(&unclear, "b", 40, at(350_000));
    let likely = told_at(&open, report(Charge, Success, 40, "A"), 355_000);
    let looked = looked_up(&likely, "a", &[shown("A", 2_000)], 363_000);
    assert_eq!(amounts(&settled(&looked, "b", Outcome::Approved, at(364_000))), (40, 20));
    // Nor while the other one may still be shown.
    let both = settled(&likely, "b", Outcome::Unknown, at(356_000));
    let looked = looked_up(&both, "a", &[shown("A", 2_000)], 400_000);
    assert_eq!(amounts(&looked), (40, 20));
    // When both windows are over, one of the two happened.
    let looked = looked_up(&looked, "a", &[shown("A", 2_000)], 716_000);
    assert_eq!(amounts(&looked), (40, 60));
}

/// D was captured in the dashboard, and `a` happened as A: 80.
#[test]
fn an_effect_that_is_shown_with_a_name_is_not_one_with_another_name() {
    let likely =
        told_at(&two_unclear(&payment(AUTHORIZED)), report(Charge, Success, 40, "D"), 10_000);
    let looked = looked_up(&likely, "a", &[shown("A", 3_200)], 400_000);
    assert_eq!(amounts(&looked), (80, 20));
    assert_eq!(looked.transactions[&id("a")].interaction_id.as_deref(), Some("A"));
}

/// E was captured in the dashboard before `b` began, `b` happened, and `a` did not: 80.
#[test]
fn a_report_is_about_nothing_that_began_after_it() {
    let unclear = sent(&payment(AUTHORIZED), "a", 40, 1_000, Outcome::Unknown);
    let likely = told_at(&unclear, report(Charge, Success, 40, "E"), 400_000);
    let both = sent(&likely, "b", 40, 500_000, Outcome::Approved);
    assert_eq!(amounts(&both), (80, 20));
    // An effect that is taken back goes to none that began later either.
    for state in [Failure, Success] {
        let start =
            sent(&payment(&[(Authorization, Success, 120)]), "a", 40, 1_000, Outcome::Unknown);
        let likely = told_at(&start, report(Charge, state, 40, "F"), 400_000);
        let both = sent(&likely, "b", 40, 500_000, Outcome::Unknown);
        let known = told(&both, by_own_id(report(Charge, Success, 40, "Y"), "a"));
        let b = &known.transactions[&id("b")];
        assert_eq!((b.state, b.interaction_id.as_deref()), (Unknown, None), "{state:?}");
        let (elsewhere, left) = if state == Success { (80, 0) } else { (40, 40) };
        assert_eq!(amounts(&known), (elsewhere, left), "{state:?}");
    }
}

/// One effect, first reported with an id that several share, then with its own.
#[test]
fn a_shared_id_is_no_name_that_tells_two_effects_apart() {
    let update = Update::SetInterfaceId(Some("psp-0".to_owned()));
    let shared = payment(AUTHORIZED).update(&[update], &reporter(later(), true)).unwrap();
    let known = told(&shared, report(Authorization, Success, 100, "A"));
    assert_eq!((known.balances.authorized, capturable(&known)), (eur(100), 100));
    let ours = answered(&payment(AUTHORIZED), "a", 40, Outcome::Approved);
    let shared = told(&ours, report(Charge, Success, 40, "psp-0"));
    let known = told(&shared, report(Charge, Success, 40, "X"));
    assert_eq!(amounts(&known), (40, 60));
    assert_eq!(known.transactions[&id("a")].interaction_id.as_deref(), Some("X"));
}

/// `a` was approved and then undone at the PSP; X was captured in the dashboard: 40.
#[test]
fn a_name_resolves_no_dispute_about_the_state() {
    let ours = answered(&payment(AUTHORIZED), "a", 40, Outcome::Approved);
    let likely = told(&ours, report(Charge, Success, 40, "X"));
    let disputed = told(&likely, report(Charge, Failure, 40, ""));
    let known = named(&disputed, "a", "Y");
    assert_eq!((amounts(&known), stopped(&known)), ((40, 20), (true, true)));
}

/// `a` happened as A and `b` as B: 80.
#[test]
fn an_effect_that_was_added_beside_a_wrong_name_is_merged_when_the_name_is_corrected() {
    for state in [Success, Pending] {
        let start =
            sent(&payment(&[(Authorization, Success, 160)]), "a", 40, 1_000, Outcome::Approved);
        let both = sent(&start, "b", 40, 457_500, Outcome::Unknown);
        let wrong = told_at(&both, shown("B", 457_700), 537_500);
        let beside = Report { state, ..shown("A", 1_200) };
        let added = told_at(&wrong, beside, 538_000);
        let known = told_at(&added, by_own_id(shown("B", 457_700), "b"), 540_000);
        assert_eq!((amounts(&known), known.balances.refundable), ((80, 80), eur(80)));
        assert_eq!(known.transactions[&id("a")].interaction_id.as_deref(), Some("A"));
    }
}

/// `a` happened as A, and `b` did not: 40.
#[test]
fn a_success_with_a_name_goes_to_the_one_that_happened() {
    let start = sent(&payment(&[(Authorization, Success, 160)]), "a", 40, 1_000, Outcome::Unknown);
    let open = in_flight(&start, "b", 40, at(3_000));
    let begun = told_at(&open, report(Charge, Pending, 40, "A"), 4_000);
    let unclear = settled(&begun, "b", Outcome::Unknown, at(5_000));
    let known = told_at(&unclear, by_own_id(report(Charge, Success, 40, ""), "a"), 6_000);
    let named = told_at(&known, report(Charge, Success, 40, "A"), 7_000);
    assert_eq!((amounts(&named), named.balances.refundable), ((40, 80), eur(40)));
}

/// Two authorizations. Ours was cancelled, then the PSP released the other one.
#[test]
fn the_release_of_another_authorization_is_not_our_cancel() {
    let planned = told(&payment(&[]), report(Authorization, Success, 60, "A1"));
    let cancel = planned.reserve(&reservation("c", 1, Action::Cancel, later())).unwrap();
    let cancelled = settled(&cancel, "c", Outcome::Approved, later());
    let both = told(&cancelled, report(Authorization, Success, 100, "A2"));
    let released = told(&both, report(CancelAuthorization, Success, 100, "V2"));
    assert_eq!(capturable(&released), 0);
}

/// X is a capture of years ago.
#[test]
fn a_capture_right_after_the_registration_is_not_an_older_effect() {
    let ours = sent(&payment(AUTHORIZED), "a", 40, 0, Outcome::Approved);
    let older = Report { timestamp: Some(Timestamp::from_ms(1)), ..shown("X", 0) };
    assert_eq!(amounts(&told(&ours, older)), (80, 20));
}

/// X happened, and is `b`.
#[test]
fn a_success_moves_with_its_name() {
    let likely = told(&two_unclear(&payment(AUTHORIZED)), report(Charge, Success, 40, "X"));
    let named = named(&likely, "a", "X");
    assert_eq!(
        (named.transactions[&id("a")].state, named.transactions[&id("b")].state),
        (Success, Unknown)
    );
    assert_eq!(amounts(&named), (40, 20));
}

/// An attempt that is repeated fails as X, after X was reported to have happened.
#[test]
fn a_repeated_attempt_whose_effect_is_said_to_have_failed_can_be_settled() {
    let start = unclear(&payment(AUTHORIZED), "a", 40);
    let again = start.resume(&id("a"), Nonce::new(1), at(70_000), at(100_000)).unwrap();
    let likely = told_at(&again, report(Charge, Success, 40, "X"), 71_000);
    let failed = told_at(&likely, report(Charge, Failure, 40, "X"), 72_000);
    for outcome in [Outcome::Unknown, Outcome::NeverExecuted] {
        let unclear = settled(&failed, "a", outcome, at(73_000));
        assert_eq!((unclear.check(), capturable(&unclear)), (Ok(()), 60), "{outcome:?}");
    }
}

/// `a` happened, and X failed in the dashboard: 40.
#[test]
fn an_id_that_replaces_a_shared_one_is_given_back_with_its_report() {
    let ours = unclear(&payment(AUTHORIZED), "a", 40);
    let begun = told(&ours, by_own_id(report(Charge, Pending, 40, "psp-0"), "a"));
    let likely = told(&begun, report(Charge, Failure, 40, "X"));
    let known = told(&likely, by_own_id(report(Charge, Success, 40, ""), "a"));
    assert_ne!(known.transactions[&id("a")].interaction_id.as_deref(), Some("X"));
    let again = told(&known, report(Charge, Failure, 40, "X"));
    assert_eq!(amounts(&again), (40, 60));
    // X happened as well: 80.
    let known = told(&ours, by_own_id(report(Charge, Success, 40, "psp-0"), "a"));
    let likely = told(&known, report(Charge, Success, 40, "X"));
    let named = told(&likely, by_own_id(report(Charge, Success, 40, "A"), "a"));
    assert_eq!(amounts(&named), (80, 20));
    assert_eq!(named.transactions[&id("a")].interaction_id.as_deref(), Some("A"));
}

/// D was captured in the dashboard, and both of ours happened: 120.
#[test]
fn an_effect_is_merged_only_if_it_was_added_because_of_the_wrong_id() {
    let start =
        told_at(&payment(&[(Authorization, Success, 200)]), report(Charge, Success, 40, "D"), 0);
    let start = sent(&start, "a", 40, 10_000, Outcome::Approved);
    let both = sent(&start, "b", 40, 12_000, Outcome::Unknown);
    let wrong = told_at(&both, report(Charge, Success, 40, "B"), 20_000);
    let known = told_at(&wrong, by_own_id(report(Charge, Success, 40, "B"), "b"), 21_000);
    assert_eq!(amounts(&known), (120, 80));
    // One that was added because of it, and is another effect all the same.
    let start =
        sent(&payment(&[(Authorization, Success, 160)]), "a", 40, 10_000, Outcome::Approved);
    let both = sent(&start, "b", 40, 12_000, Outcome::Unknown);
    let wrong = told_at(&both, report(Charge, Success, 40, "B"), 20_000);
    let added = told_at(&wrong, report(Charge, Success, 40, "D"), 20_500);
    let merged = told_at(&added, by_own_id(report(Charge, Success, 40, "B"), "b"), 21_000);
    assert_eq!(amounts(&merged), (80, 80));
    let corrected = told_at(&merged, by_own_id(report(Charge, Success, 40, "A"), "a"), 22_000);
    assert_eq!(amounts(&corrected), (120, 40));
    assert_eq!(corrected.transactions[&id("a")].interaction_id.as_deref(), Some("A"));
}

/// X is pending in the dashboard, `b` failed as A, and `a` may have happened.
#[test]
fn a_shown_failure_of_another_one_releases_nothing() {
    let start = sent(&payment(AUTHORIZED), "a", 40, 1_000, Outcome::Unknown);
    let both = sent(&start, "b", 40, 100_000, Outcome::Unknown);
    let pending = Report { state: Pending, ..shown("X", 101_000) };
    let likely = told_at(&both, pending, 101_500);
    let failed = Report { state: Failure, ..shown("A", 100_200) };
    let proof = PlatformProof { absence_counts: false, ..PROOF };
    let looked = likely.look_up(&id("a"), &[failed], &proof, at(500_000));
    assert_eq!(looked, Ok(Settlement::Unchanged(Unknown)));
}

/// X is `b`, and `a` fails: 40.
#[test]
fn a_later_report_of_the_same_effect_may_be_about_a_later_transaction() {
    let start = sent(&payment(AUTHORIZED), "a", 40, 1_000, Outcome::Unknown);
    let begun = told_at(&start, report(Charge, Pending, 40, ""), 10_000);
    let open = in_flight(&begun, "b", 40, at(100_000));
    let unclear = settled(&open, "b", Outcome::Unknown, at(100_500));
    let likely = told_at(&unclear, report(Charge, Success, 40, "X"), 200_000);
    let Ok(Settlement::Changed(known)) =
        likely.settle(&id("b"), &Nonce::new(1), Outcome::Approved, at(201_000))
    else {
        unreachable!("an approval settles")
    };
    assert_eq!(captured(&known), 40);
}

/// A capture of the dashboard is reported with an id that all effects have, and ours
/// failed: 40.
#[test]
fn a_failure_with_a_shared_id_is_about_ours_alone() {
    let likely =
        told(&unclear(&payment(AUTHORIZED), "a", 40), report(Charge, Success, 40, "psp-0"));
    let known = told(&likely, by_own_id(report(Charge, Failure, 40, "psp-0"), "a"));
    assert_eq!(amounts(&known), (40, 60));
}

/// Both of ours happened, and another failed in the dashboard before `b` began: 80.
#[test]
fn a_failure_that_is_taken_back_releases_no_other_hold() {
    let start = sent(&payment(AUTHORIZED), "a", 40, 1_000, Outcome::Unknown);
    let failed = told_at(&start, report(Charge, Failure, 40, ""), 5_000);
    let both = sent(&failed, "b", 40, 10_000, Outcome::Unknown);
    let known = told_at(&both, by_own_id(report(Charge, Success, 40, "A"), "a"), 12_000);
    let known = known.apply_waiting_failures(at(900_000), true).unwrap_or(known);
    assert_eq!(amounts(&known), (40, 20));
}

/// `a` happened as X, and `c` as well: 80.
#[test]
fn a_report_stays_with_the_transaction_whose_id_was_confirmed() {
    let start = sent(&payment(AUTHORIZED), "a", 40, 1_000, Outcome::Unknown);
    let both = sent(&start, "c", 40, 50_000, Outcome::Unknown);
    let likely = told_at(&both, report(Charge, Success, 40, "X"), 60_000);
    let named = named(&likely, "a", "X");
    let known = late(&named, "c", Outcome::Approved);
    assert_eq!(amounts(&known), (80, 20));
}

/// The connector approved ours as X, and X failed later, as the platform's library says it.
#[test]
fn a_state_by_our_id_counts_at_once_where_answer_and_report_agree() {
    let ours = answered(&payment(AUTHORIZED), "a", 40, Outcome::Approved);
    let likely = told(&ours, report(Charge, Success, 40, "X"));
    let failed = said(&likely, "a", Failure);
    assert_eq!((amounts(&failed), stopped(&failed)), ((0, 100), (false, false)));
    let again = said(&failed, "a", Success);
    assert_eq!((amounts(&again), again.transactions.len()), ((40, 60), 2));
}
