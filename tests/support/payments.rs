//! Payments for the suites, built from given transactions or from random steps, always
//! through the public functions of the core.

use payment_intents::money::{Currency, Money};
use payment_intents::payment::{
    Action, Details, DirectPsps, Nonce, Outcome, Payment, PaymentId, PaymentKey, ProjectKey,
    Registration, RegistrationRefusal, RejectionReason, Report, Reporter, Reservation, Settlement,
    State, Timestamp, TransactionId, TransactionKind, Update,
};
use payment_intents::service::{Invocation, Request};
use proptest::prelude::*;

/// The past of a Payment of which 1.00 EUR is authorized.
pub const AUTHORIZED: &[(TransactionKind, State, u64)] =
    &[(TransactionKind::Authorization, State::Success, 100)];

/// The past of a Payment of which 1.00 EUR is authorized, and all of it captured.
pub const CAPTURED_IN_FULL: &[(TransactionKind, State, u64)] =
    &[AUTHORIZED[0], (TransactionKind::Charge, State::Success, 100)];

pub fn at(ms: u64) -> Timestamp {
    Timestamp::from_ms(1_700_000_000_000).plus_ms(ms)
}

pub fn money(minor_units: u64, code: &str) -> Money {
    Money::new(minor_units, Currency::parse(code).unwrap()).unwrap()
}

pub fn eur(minor_units: u64) -> Money {
    money(minor_units, "EUR")
}

pub fn key(id: &str) -> PaymentKey {
    PaymentKey { project: ProjectKey::parse("demo").unwrap(), id: PaymentId::parse(id).unwrap() }
}

pub fn id(text: &str) -> TransactionId {
    TransactionId::parse(text).unwrap()
}

/// A Payment in EUR with these transactions before its registration, named `past-0`,
/// `past-1`, …
pub fn payment(past: &[(TransactionKind, State, u64)]) -> Payment {
    registered("p", past)
}

pub fn registered(payment: &str, past: &[(TransactionKind, State, u64)]) -> Payment {
    register(payment, past, eur(100)).unwrap()
}

/// Registers a Payment with these transactions, whose amounts may not add up.
pub fn register(
    payment: &str,
    past: &[(TransactionKind, State, u64)],
    amount_planned: Money,
) -> Result<Payment, RegistrationRefusal> {
    let transactions = past.iter().enumerate().map(|(index, (kind, state, amount))| {
        let report = Report {
            kind: *kind,
            state: *state,
            amount: eur(*amount),
            timestamp: Some(at(0)),
            interaction_id: Some(format!("psp-{index}")),
            interface_id: None,
        };
        (id(&format!("past-{index}")), report)
    });
    let registration = Registration {
        key: key(payment),
        amount_planned,
        fraction_digits: 2,
        transactions: transactions.collect(),
        details: Details::default(),
    };
    Payment::register(registration, at(0))
}

/// A reservation at `now` whose lease runs for 33 s.
pub fn reservation(transaction: &str, nonce: u128, action: Action, now: Timestamp) -> Reservation {
    Reservation {
        key: key("p"),
        transaction: id(transaction),
        nonce: Nonce::new(nonce),
        action,
        merchant_reference: None,
        at: now,
        lease: now.plus_ms(33_000),
        psps: DirectPsps::default(),
    }
}

/// A request at `now` that has 20 s.
pub fn request_for(payment: &str, transaction: &str, action: Action, now: Timestamp) -> Request {
    Request {
        key: key(payment),
        transaction: id(transaction),
        action,
        merchant_reference: None,
        invocation: Invocation {
            nonce: nonce(),
            deadline: now.plus_ms(20_000),
            correlation_id: "test".to_owned(),
            bearer: None,
        },
    }
}

/// A nonce that no other attempt has.
pub fn nonce() -> Nonce {
    Nonce::new(uuid::Uuid::new_v4().as_u128())
}

pub fn capture(amount: u64) -> Action {
    Action::Capture { amount: eur(amount) }
}

pub fn refund(amount: u64) -> Action {
    Action::Refund { amount: eur(amount), charge: None }
}

pub fn refund_of(charge: &str, amount: u64) -> Action {
    Action::Refund { amount: eur(amount), charge: Some(id(charge)) }
}

/// A step in the life of a Payment.
#[derive(Clone, Debug)]
pub enum Step {
    /// An action is requested, with one of a few keys.
    Ask(u8, Action),
    /// The attempt in flight settles.
    End(Outcome),
    /// An attempt that lost its lease settles.
    LateEnd(u8, Outcome),
    /// The lease runs out, and another process records that.
    Expire,
    /// A reservation that was not sent is withdrawn.
    Withdraw(u8),
    /// An Unknown transaction is sent again.
    Resume(u8),
    /// Recovery looked, and found no outcome.
    LookAgain(u8),
    /// A reporter, trusted or not, reports an effect.
    Tell(Update, bool),
    /// Reports that were waiting are counted, if their time has come.
    CountWaiting,
}

pub fn any_action() -> impl Strategy<Value = Action> {
    let amount = prop_oneof![3 => 1_u64..=120, 1 => Just(100_u64)];
    let money = (amount, prop_oneof![9 => Just("EUR"), 1 => Just("USD")])
        .prop_map(|(amount, code)| money(amount, code));
    let charge = prop_oneof![
        3 => Just(None),
        1 => (0_u8..4).prop_map(|n| Some(id(&format!("past-{n}")))),
        2 => (0_u8..6).prop_map(|n| Some(id(&format!("key-{n}")))),
    ];
    prop_oneof![
        4 => money.clone().prop_map(|amount| Action::Capture { amount }),
        4 => (money, charge).prop_map(|(amount, charge)| Action::Refund { amount, charge }),
        1 => Just(Action::Cancel),
        1 => Just(Action::Reverse),
    ]
}

pub fn any_outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        5 => Just(Outcome::Approved),
        1 => Just(Outcome::Received),
        1 => Just(Outcome::Rejected),
        1 => Just(Outcome::NeverExecuted),
        1 => Just(Outcome::Unknown),
        1 => Just(Outcome::Disproved),
    ]
}

pub fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_u8..6, any_action()).prop_map(|(key, action)| Step::Ask(key, action)),
        4 => any_outcome().prop_map(Step::End),
        1 => (0_u8..6, any_outcome()).prop_map(|(key, outcome)| Step::LateEnd(key, outcome)),
        1 => Just(Step::Expire),
        1 => (0_u8..6).prop_map(Step::Withdraw),
        1 => (0_u8..6).prop_map(Step::Resume),
        1 => (0_u8..6).prop_map(Step::LookAgain),
    ]
}

/// A report with an id of the PSP, an id of ours, an id of several transactions, or none.
pub fn any_report() -> impl Strategy<Value = Update> {
    use TransactionKind::{Authorization, CancelAuthorization, Charge, Chargeback, Refund};
    let kind = prop_oneof![
        4 => Just(Charge),
        3 => Just(Refund),
        1 => Just(Chargeback),
        1 => Just(CancelAuthorization),
        1 => Just(Authorization),
    ];
    let state = prop_oneof![
        3 => Just(State::Success),
        2 => Just(State::Failure),
        1 => Just(State::Pending),
        1 => Just(State::Initial),
    ];
    let amount = prop_oneof![1 => 1_u64..=120, 3 => Just(100_u64), 3 => Just(40_u64)];
    let ours = || (0_u8..6).prop_map(|n| format!("key-{n}"));
    let name = || {
        prop::option::of(prop_oneof![
            3 => (0_u8..4).prop_map(|n| format!("psp-{n}")),
            1 => ours(),
        ])
    };
    let timestamp = prop::option::of((0_u64..40_000).prop_map(at));
    let report = (kind, state.clone(), amount, timestamp, name(), name(), any::<u64>());
    let added = report.prop_map(|(kind, state, amount, timestamp, psp, connector, new)| {
        let report = Report {
            kind,
            state,
            amount: eur(amount),
            timestamp,
            interaction_id: psp,
            interface_id: connector,
        };
        Update::AddTransaction { id: id(&format!("new-{new}")), report }
    });
    let said = (ours(), state)
        .prop_map(|(name, state)| Update::ChangeTransactionState { id: id(&name), state });
    let renamed = (ours(), 0_u8..4).prop_map(|(name, n)| Update::ChangeTransactionInteractionId {
        id: id(&name),
        interaction_id: format!("psp-{n}"),
    });
    let accepted = ours().prop_map(|name| Update::AcknowledgeDiscrepancy { id: id(&name) });
    prop_oneof![8 => added, 3 => said, 1 => renamed, 1 => accepted]
}

/// A step, or a report.
pub fn any_step_or_report() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => any_step(),
        2 => (any_report(), any::<bool>()).prop_map(|(update, is_trusted)| {
            Step::Tell(update, is_trusted)
        }),
        1 => Just(Step::CountWaiting),
    ]
}

/// Transactions that add up, since others cannot be registered.
pub fn any_past() -> impl Strategy<Value = Payment> {
    use TransactionKind::{Authorization, CancelAuthorization, Charge, Chargeback, Refund};
    let kind = prop_oneof![
        Just(Authorization),
        Just(Charge),
        Just(Refund),
        Just(CancelAuthorization),
        Just(Chargeback)
    ];
    let state = prop_oneof![
        5 => Just(State::Success),
        1 => Just(State::Pending),
        1 => Just(State::Initial),
        1 => Just(State::Failure),
    ];
    let rest = prop::collection::vec((kind, state, 1_u64..=60), 0..4);
    (prop_oneof![4 => Just(State::Success), 1 => Just(State::Pending)], rest).prop_map(
        |(authorized, rest)| {
            let mut past = vec![(Authorization, authorized, 100)];
            for transaction in rest {
                past.push(transaction);
                if register("p", &past, eur(100)).is_err() {
                    past.pop();
                }
            }
            payment(&past)
        },
    )
}

/// Carries out the steps, one second apart, and calls `seen` with each Payment before and
/// after a change.
pub fn walk(
    mut payment: Payment,
    steps: &[Step],
    mut seen: impl FnMut(&Payment, &Payment),
) -> Payment {
    for (index, step) in steps.iter().enumerate() {
        let now = at(1_000 * (u64::try_from(index).unwrap() + 1));
        if let Some(next) = step.take(&payment, u128::try_from(index).unwrap(), now) {
            seen(&payment, &next);
            payment = next;
        }
    }
    payment
}

/// The connector's reason for this outcome: none, a code, or also a text.
fn reason(outcome: Outcome) -> Option<RejectionReason> {
    match outcome {
        Outcome::Rejected => RejectionReason::new(Some("51"), Some("No money on the card")),
        Outcome::Disproved => RejectionReason::new(Some("do_not_honor"), None),
        _ => None,
    }
}

impl Step {
    /// The Payment after the step, if the step changes it.
    fn take(&self, payment: &Payment, nonce: u128, now: Timestamp) -> Option<Payment> {
        let settled = |transaction: &TransactionId, nonce: &Nonce, outcome| match payment
            .settle(transaction, nonce, outcome, now)
            .unwrap()
            .with_reason(transaction, reason(outcome).as_ref())
        {
            Settlement::Changed(next) => Some(*next),
            Settlement::Unchanged(_) | Settlement::Gone => None,
        };
        match self {
            Self::Ask(key, action) => {
                let key = format!("key-{key}");
                payment.reserve(&reservation(&key, nonce, action.clone(), now)).ok()
            }
            Self::End(outcome) => {
                let slot = payment.in_flight.as_ref()?;
                settled(&slot.transaction, &slot.nonce, *outcome)
            }
            Self::LateEnd(key, outcome) => {
                settled(&id(&format!("key-{key}")), &Nonce::new(u128::MAX), *outcome)
            }
            Self::Resume(key) => {
                let transaction = id(&format!("key-{key}"));
                let lease = now.plus_ms(33_000);
                payment.resume(&transaction, Nonce::new(nonce), now, lease).ok()
            }
            Self::LookAgain(key) => {
                let transaction = id(&format!("key-{key}"));
                let open = payment.transactions.get(&transaction).filter(|open| open.is_open())?;
                Some(payment.look_again(&open.id, now, now.plus_ms(90_000)))
            }
            Self::Tell(update, is_trusted) => {
                let reporter = Reporter { by: None, at: now, is_trusted: *is_trusted };
                let told = payment.update(std::slice::from_ref(update), &reporter).ok();
                told.filter(|told| told != payment)
            }
            Self::CountWaiting => payment.apply_waiting_failures(now.plus_ms(400_000), false),
            Self::Expire => payment.expire(now.plus_ms(60_000)),
            Self::Withdraw(key) => {
                let asked = reservation(&format!("key-{key}"), nonce, capture(1), now);
                payment.withdraw(&asked, now).ok()
            }
        }
    }
}

/// A Payment after random steps.
pub fn any_payment() -> impl Strategy<Value = Payment> {
    (any_past(), prop::collection::vec(any_step_or_report(), 0..12))
        .prop_map(|(past, steps)| walk(past, &steps, |_, _| {}))
}

/// Details of a Payment, with every field that may be set.
pub fn any_details() -> impl Strategy<Value = Details> {
    let text = || prop::option::of("[a-zA-Z0-9 äß€😀]{1,20}");
    let document = || prop::option::of(Just(r#"{"b": 1.50, "a": [null, "x"]}"#.to_owned()));
    let texts = (text(), text(), text(), text(), text(), text(), text());
    (texts, document(), document(), document()).prop_map(
        |(
            (key, interface_id, method, code, status, anonymous_id, interface),
            name,
            custom,
            note,
        )| {
            Details {
                amount_planned: Some(eur(100)),
                key,
                interface_id,
                payment_interface: interface,
                method,
                method_name: name.clone(),
                status_code: code,
                status_text: status,
                customer: name,
                anonymous_id,
                order: custom.clone(),
                cart: None,
                custom,
                interface_interactions: note.into_iter().collect(),
            }
        },
    )
}
