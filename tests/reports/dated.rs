//! Reports by their date: of a PSP whose events come in any order.

use super::*;
use payment_intents::payment::DatedReport;
use proptest::prelude::*;

/// An event about the effect that the PSP calls `name`, at a second.
fn event(kind: TransactionKind, state: State, amount: u64, name: &str, second: u64) -> DatedReport {
    let at = at(second * 1_000);
    let report = Report { timestamp: Some(at), ..report(kind, state, amount, name) };
    DatedReport { report, is_undone: false }
}

/// An event that the effect happened and failed afterwards.
fn undone(kind: TransactionKind, amount: u64, name: &str, second: u64) -> DatedReport {
    DatedReport { is_undone: true, ..event(kind, Failure, amount, name, second) }
}

/// An event that the effect failed after it had happened, and may happen again.
fn failed(kind: TransactionKind, amount: u64, name: &str, second: u64) -> DatedReport {
    event(kind, Pending, amount, name, second)
}

/// The same event about our transaction.
fn ours(dated: DatedReport, transaction: &str) -> DatedReport {
    let interface_id = Some(transaction.to_owned());
    DatedReport { report: Report { interface_id, ..dated.report }, ..dated }
}

fn recorded(payment: &Payment, events: &[DatedReport]) -> Payment {
    let mut recorded = payment.clone();
    for event in events {
        let update = Update::RecordDatedReport(event.clone());
        recorded = recorded.update(&[update], &reporter(later(), true)).unwrap();
        assert_eq!(recorded.check(), Ok(()));
    }
    recorded
}

/// A registered Success is reported as a Success once more, and then as refused.
#[test]
fn a_refusal_frees_nothing_of_what_was_registered_as_happened() {
    let registered = payment(CAPTURED);
    let name = registered.transactions[&id("past-1")].interaction_id.clone().unwrap();
    let happened = event(Charge, Success, 40, &name, 10);
    let refused = event(Charge, Failure, 40, &name, 20);
    let told = recorded(&registered, &[happened.clone(), refused, happened]);
    let balances = [told.balances.captured, told.balances.capturable];
    assert_eq!(balances, [eur(40), eur(60)]);
}

#[test]
fn the_latest_report_holds_and_a_repeated_one_changes_nothing() {
    let pending = in_flight(&payment(AUTHORIZED), "a", 40, at(1_000));
    let pending = settled(&pending, "a", Outcome::Received, at(2_000));
    let happened = ours(event(Charge, Success, 40, "X", 10), "a");
    let failed = ours(undone(Charge, 40, "X", 20), "a");
    let again = ours(event(Charge, Success, 40, "X", 30), "a");
    for (events, state, second) in [
        (vec![&happened], Success, 10),
        (vec![&happened, &failed], Failure, 20),
        (vec![&failed, &happened], Failure, 20),
        (vec![&happened, &failed, &again], Success, 30),
        (vec![&again, &failed, &happened], Success, 30),
        (vec![&failed, &again, &failed, &happened], Success, 30),
    ] {
        let events: Vec<_> = events.into_iter().cloned().collect();
        let once = recorded(&pending, &events);
        let ours = &once.transactions[&id("a")];
        assert_eq!((ours.state, ours.happened_at), (state, Some(at(second * 1_000))));
        assert_eq!(once.transactions.len(), 2);
        assert_eq!(recorded(&once, &events), once, "it says nothing new");
    }
}

/// A capture that failed and that the PSP may make again keeps its hold. Otherwise a second
/// one could be sent beside it.
#[test]
fn what_failed_and_may_happen_again_is_held() {
    let captured = in_flight(&payment(AUTHORIZED), "a", 40, at(1_000));
    let captured = settled(&captured, "a", Outcome::Received, at(2_000));
    let happened = ours(event(Charge, Success, 40, "X", 10), "a");
    let failed_since = ours(failed(Charge, 40, "X", 20), "a");
    for events in [[&happened, &failed_since], [&failed_since, &happened]] {
        let held = recorded(&captured, &events.map(Clone::clone));
        assert_eq!((held.balances.captured, held.balances.capturable), (eur(0), eur(60)));
        assert_eq!(held.transactions[&id("a")].state, Pending);
        let again = recorded(&held, &[ours(event(Charge, Success, 40, "X", 30), "a")]);
        assert_eq!((again.balances.captured, again.balances.capturable), (eur(40), eur(60)));
    }
}

/// The first event did not have our id.
#[test]
fn a_later_event_under_the_psps_id_counts_before_an_older_one_with_ours() {
    let open = in_flight(&payment(AUTHORIZED), "a", 40, at(1_000));
    let open = settled(&open, "a", Outcome::Received, at(2_000));
    for (since, state) in
        [(undone(Charge, 40, "X", 20), Failure), (failed(Charge, 40, "X", 20), Pending)]
    {
        let told = recorded(&open, &[since, ours(event(Charge, Success, 40, "X", 10), "a")]);
        assert_eq!(states(&told), [(Charge, state, 40)]);
        assert_eq!(told.transactions[&id("a")].happened_at, Some(at(20_000)));
        assert_eq!(told.discrepancies().count(), 0);
    }
}

#[test]
fn of_two_reports_of_one_moment_the_failure_holds() {
    let events = [event(Charge, Success, 40, "X", 10), undone(Charge, 40, "X", 10)];
    let reversed = [events[1].clone(), events[0].clone()];
    for events in [events, reversed] {
        assert_eq!(recorded(&payment(AUTHORIZED), &events).balances.capturable, eur(100));
    }
}

#[test]
fn what_the_psp_refused_elsewhere_is_not_kept() {
    let before = payment(AUTHORIZED);
    assert_eq!(recorded(&before, &[event(Charge, Failure, 40, "X", 10)]), before);
    // What failed after it had happened is: its older report may still come.
    let kept = recorded(&before, &[undone(Charge, 40, "X", 10)]);
    assert_eq!(states(&kept), [(Charge, Failure, 40)]);
    assert_eq!(recorded(&kept, &[event(Charge, Success, 40, "X", 5)]), kept);
}

#[test]
fn an_effect_with_another_name_is_not_taken_for_one_of_ours() {
    for (past, kind, amount) in
        [(AUTHORIZED, CancelAuthorization, 100), (CAPTURED, Refund, 40), (AUTHORIZED, Charge, 40)]
    {
        let action = match kind {
            CancelAuthorization => payment_intents::payment::Action::Cancel,
            Refund => refund(amount),
            _ => capture(amount),
        };
        let open = payment(past).reserve(&reservation("a", 1, action, at(1_000))).unwrap();
        let open = settled(&open, "a", Outcome::Unknown, at(2_000));
        let told = recorded(&open, &[event(kind, Success, amount, "X", 10)]);
        assert_eq!(told.transactions[&id("a")].state, Unknown, "{kind:?}");
        assert_eq!(told.transactions.len(), open.transactions.len() + 1, "{kind:?}");
        let failed = recorded(&told, &[ours(event(kind, Failure, amount, "Y", 11), "a")]);
        assert_eq!(failed.transactions[&id("a")].state, Failure, "{kind:?}");
        assert_eq!(failed.discrepancies().count(), 0, "{kind:?}");
    }
}

/// The authorization may have been adjusted at the PSP.
#[test]
fn our_cancel_is_known_by_its_id_whatever_amount_is_reported() {
    let cancel = payment_intents::payment::Action::Cancel;
    let open = payment(AUTHORIZED).reserve(&reservation("a", 1, cancel, at(1_000))).unwrap();
    let open = settled(&open, "a", Outcome::Received, at(2_000));
    for (state, capturable) in [(Success, 0), (Failure, 100)] {
        let event = ours(event(CancelAuthorization, state, 120, "X", 10), "a");
        let told = recorded(&open, &[event]);
        assert_eq!(states(&told), [(CancelAuthorization, state, 100)]);
        assert_eq!(told.balances.capturable, eur(capturable));
        assert_eq!(told.discrepancies().count(), 0);
    }
}

/// One effect: its events, each later than the one before.
fn any_history(
    kind: TransactionKind,
    name: &'static str,
) -> impl Strategy<Value = Vec<DatedReport>> {
    (1_u64..=30, prop::collection::vec(0..3, 1..5)).prop_map(move |(amount, states)| {
        let event = |(second, state): (u64, i32)| match state {
            0 => event(kind, Success, amount, name, second),
            // The PSP does not try a chargeback again.
            1 if kind != Chargeback => failed(kind, amount, name, second),
            _ => undone(kind, amount, name, second),
        };
        (10..).zip(states).map(event).collect()
    })
}

fn any_order(
    kinds: [TransactionKind; 3],
) -> impl Strategy<Value = (Vec<Vec<DatedReport>>, Vec<DatedReport>)> {
    let [a, b, c] = kinds;
    (any_history(a, "A"), any_history(b, "B"), any_history(c, "C"))
        .prop_map(|(a, b, c)| vec![a, b, c])
        .prop_flat_map(|histories| {
            let twice: Vec<_> = histories.iter().chain(&histories).flatten().cloned().collect();
            (Just(histories), Just(twice).prop_shuffle())
        })
}

fn comes_to_the_last_events(
    before: &Payment,
    histories: &[Vec<DatedReport>],
    order: &[DatedReport],
) -> Result<(), TestCaseError> {
    let end = recorded(before, order);
    prop_assert_eq!(end.discrepancies().count(), 0);
    for history in histories {
        let last = &history.last().unwrap().report;
        let name = last.interaction_id.as_ref();
        let named: Vec<_> =
            end.transactions.values().filter(|one| one.interaction_id.as_ref() == name).collect();
        prop_assert_eq!(named.len(), 1);
        prop_assert_eq!(named[0].state, last.state);
        prop_assert_eq!(named[0].happened_at, last.timestamp);
    }
    Ok(())
}

proptest! {
    #[test]
    fn captures_in_any_order_come_to_their_last_events(
        (histories, order) in any_order([Charge, Charge, Charge])
    ) {
        comes_to_the_last_events(&payment(AUTHORIZED), &histories, &order)?;
    }

    #[test]
    fn refunds_and_chargebacks_in_any_order_come_to_their_last_events(
        (histories, order) in any_order([Refund, Refund, Chargeback])
    ) {
        let captured = payment(&[(Authorization, Success, 100), (Charge, Success, 100)]);
        comes_to_the_last_events(&captured, &histories, &order)?;
    }
}
