//! Payments about which a connector or an operator reports something, for the suites of the core.

pub use super::payments::AUTHORIZED;
use super::payments::{at, capture, eur, id, refund, reservation};
use State::Success;
use TransactionKind::{Authorization, Charge};
use payment_intents::payment::{
    Action, Nonce, Outcome, Payment, Refusal, Report, Reporter, Settlement, State, Timestamp,
    TransactionKind, Update,
};

pub const CAPTURED: &[(TransactionKind, State, u64)] =
    &[(Authorization, Success, 100), (Charge, Success, 40)];

/// An hour after the Payment was registered.
pub fn later() -> Timestamp {
    at(3_600_000)
}

pub fn reporter(at: Timestamp, is_trusted: bool) -> Reporter {
    Reporter { by: Some("operator".to_owned()), at, is_trusted }
}

pub fn report(kind: TransactionKind, state: State, amount: u64, name: &str) -> Report {
    let interaction_id = (!name.is_empty()).then(|| name.to_owned());
    Report { kind, state, amount: eur(amount), timestamp: None, interaction_id, interface_id: None }
}

/// A report of a trusted reporter.
pub fn told(payment: &Payment, report: Report) -> Payment {
    told_by(payment, report, &reporter(later(), true))
}

pub fn told_by(payment: &Payment, report: Report, reporter: &Reporter) -> Payment {
    let new = id(&format!("new-{}", payment.version));
    let update = Update::AddTransaction { id: new, report };
    let next = payment.update(&[update], reporter).unwrap();
    assert_eq!(next.check(), Ok(()));
    next
}

/// A capture in flight with this transaction name and the nonce 1.
pub fn in_flight(payment: &Payment, name: &str, amount: u64, when: Timestamp) -> Payment {
    payment.reserve(&reservation(name, 1, capture(amount), when)).unwrap()
}

pub fn settled(payment: &Payment, name: &str, outcome: Outcome, when: Timestamp) -> Payment {
    match payment.settle(&id(name), &Nonce::new(1), outcome, when).unwrap() {
        Settlement::Changed(next) => *next,
        unchanged => panic_with(&unchanged),
    }
}

pub fn panic_with(settlement: &Settlement) -> ! {
    panic!("{settlement:?}")
}

pub fn states(payment: &Payment) -> Vec<(TransactionKind, State, u64)> {
    let all = payment.transactions.values().filter(|ours| ours.kind != Authorization);
    let mut all: Vec<_> = all.collect();
    all.sort_by_key(|ours| (ours.timestamp, ours.id.clone()));
    all.iter().map(|ours| (ours.kind, ours.state, ours.amount.minor_units())).collect()
}

/// A reservation of this action by a new request.
pub fn admitted(payment: &Payment, action: Action) -> Result<(), Refusal> {
    payment.admit(&reservation("next", 9, action, later().plus_ms(9_000))).map(drop)
}

/// A pair: a discrepancy stops captures and cancels; it stops refunds.
pub fn stopped(payment: &Payment) -> (bool, bool) {
    let is_stopped = |action| matches!(admitted(payment, action), Err(Refusal::Discrepancy { .. }));
    assert_eq!(is_stopped(capture(1)), is_stopped(Action::Cancel));
    assert_eq!(is_stopped(Action::Reverse), is_stopped(capture(1)) || is_stopped(refund(1)));
    (is_stopped(capture(1)), is_stopped(refund(1)))
}

pub fn acknowledged(payment: &Payment, name: &str) -> Payment {
    let update = Update::AcknowledgeDiscrepancy { id: id(name) };
    let next = payment.update(&[update], &reporter(later(), true)).unwrap();
    assert_eq!(next.check(), Ok(()));
    next
}

/// A capture of this amount whose outcome is Unknown.
pub fn unclear(payment: &Payment, name: &str, amount: u64) -> Payment {
    unclear_at(payment, name, amount, 1_000)
}

/// A capture of this amount, sent at this time, whose outcome is Unknown a second later.
pub fn unclear_at(payment: &Payment, name: &str, amount: u64, when: u64) -> Payment {
    let open = in_flight(payment, name, amount, at(when));
    settled(&open, name, Outcome::Unknown, at(when + 1_000))
}

/// The Payment after a caller gave the PSP's id of a transaction.
pub fn named(payment: &Payment, name: &str, interaction_id: &str) -> Payment {
    let interaction_id = interaction_id.to_owned();
    let update = Update::ChangeTransactionInteractionId { id: id(name), interaction_id };
    let next = payment.update(&[update], &reporter(later(), true)).unwrap();
    assert_eq!(next.check(), Ok(()));
    next
}
