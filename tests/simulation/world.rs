//! One Payment, its store, its PSP and its callers, as a model: every call to a
//! port waits here until the scheduler says what becomes of it.

use payment_intents::money::{Currency, Money};
use payment_intents::payment::{
    Action, Details, Nonce, Payment, PaymentId, PaymentKey, ProjectKey, Registration,
    RegistrationTransaction, Reservation, State, Timestamp, TransactionId, TransactionKind,
};
use payment_intents::ports::{Absence, Call, Lookup, Policy, Rejections, Resend, Seen, Verdict};
use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

/// How long a connector may work after we gave up.
pub const CONNECTOR_WORKS_MS: u64 = 300_000;

/// How long the connector that honours keys says that it does so.
pub const RESEND_WINDOW_MS: u64 = 72_000_000;

/// How long it really does.
const KEYS_KEPT_MS: u64 = 86_400_000;

/// What a connector can and cannot do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tier {
    /// Honours keys.
    SameKey,
    /// Does not, but records every transaction before it answers.
    Queryable,
    /// The same, but records late, and calls a failure what may have happened.
    LateRecorder,
    /// Neither honours keys nor can be asked.
    Opaque,
    /// Opaque, and answers `rejected` after it acted.
    Liar,
}

impl Tier {
    pub const ALL: [Self; 5] =
        [Self::SameKey, Self::Queryable, Self::LateRecorder, Self::Opaque, Self::Liar];

    pub fn policy(self) -> Policy {
        let cautious = Policy { rejected: Rejections::Unproven, ..Policy::default() };
        match self {
            Self::SameKey => Policy {
                resend: Resend::SameKey { window_ms: RESEND_WINDOW_MS },
                ..Policy::default()
            },
            Self::Queryable => {
                Policy { lookup: Lookup::Payment, absence: Absence::Proof, ..Policy::default() }
            }
            Self::LateRecorder => Policy { lookup: Lookup::Payment, ..cautious },
            Self::Opaque => Policy::default(),
            Self::Liar => cautious,
        }
    }
}

/// A call to a port.
#[derive(Clone, Debug)]
pub enum Op {
    Get,
    Open,
    Reserve(Reservation),
    Replace(Box<Payment>, Box<Payment>),
    Call(Box<Call>),
    LookUp,
}

/// What became of it.
#[derive(Clone, Debug)]
pub enum Answer {
    Payment(Option<Box<Payment>>),
    Keys(Vec<PaymentKey>),
    /// A refused one with the word whether a copy of it may yet arrive.
    Reserved(Result<Box<Payment>, Box<Payment>>, bool),
    Replaced(Result<(), Box<Payment>>),
    Verdict(Verdict),
    Seen(Vec<Seen>),
    /// The store did not answer.
    Unavailable,
    /// The connector provably never got it.
    NeverExecuted,
    /// The connector got it, or not.
    Unclear,
}

/// What the PSP decides when it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    Approve,
    Receive,
    Reject,
    /// Acts, and says that it did not (the liar).
    ActAndReject,
}

/// What happened before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Past {
    Authorized,
    Captured,
    /// Somebody else began to capture a part, and nobody knows what came of it.
    BegunElsewhere,
}

/// Money that moved.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Effect {
    pub transaction: TransactionId,
    pub kind: TransactionKind,
    pub amount: Money,
}

/// What the platform shows, and from when on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Shown {
    kind: TransactionKind,
    state: State,
    amount: Money,
    at: Timestamp,
    visible_at: Timestamp,
}

/// Something that left and has not arrived.
#[derive(Clone, Debug)]
pub struct Late {
    pub op: Op,
    pub until: Timestamp,
    id: u64,
}

pub struct World {
    pub tier: Tier,
    pub now: Timestamp,
    pub payment: Payment,
    /// The key of the recovery index, as the table keeps it.
    pub recover_at: Option<Timestamp>,
    pub effects: Vec<Effect>,
    answers: BTreeMap<TransactionId, (Verdict, Timestamp)>,
    shown: Vec<Shown>,
    pub late: Vec<Late>,
    pub processes: Vec<Process>,
    pub violation: Option<String>,
    pub trace: Option<Vec<String>>,
    late_count: u64,
}

/// What the scheduler knows of one run of the real code.
#[derive(Default)]
pub struct Process {
    pub pending: Option<Op>,
    pub answer: Option<Answer>,
    pub wake_at: Option<Timestamp>,
    pub deadline: Option<Timestamp>,
    /// All that was done and answered so far: equal histories, equal positions.
    pub history: u64,
}

pub fn eur(amount: u64) -> Money {
    Money::new(amount, Currency::parse("EUR").unwrap()).unwrap()
}

pub fn key() -> PaymentKey {
    let (project, id) = (ProjectKey::parse("demo").unwrap(), PaymentId::parse("p").unwrap());
    PaymentKey { project, id }
}

fn start() -> Timestamp {
    Timestamp::from_ms(1_700_000_000_000)
}

impl World {
    /// 100 authorized, and what became of them before.
    pub fn new(tier: Tier, past: Past) -> Self {
        let begun = match past {
            Past::Authorized => None,
            Past::Captured => Some((TransactionKind::Charge, State::Success, 100)),
            Past::BegunElsewhere => Some((TransactionKind::Charge, State::Initial, 40)),
        };
        let authorized = (TransactionKind::Authorization, State::Success, 100);
        let transactions = [Some(authorized), begun].into_iter().flatten().enumerate();
        let transactions =
            transactions.map(|(index, (kind, state, amount))| RegistrationTransaction {
                id: TransactionId::parse(&format!("past-{index}")).unwrap(),
                kind,
                state,
                amount: eur(amount),
                timestamp: start(),
                interaction_id: None,
                interface_id: None,
            });
        let registration = Registration {
            key: key(),
            amount_planned: eur(100),
            fraction_digits: 2,
            transactions: transactions.collect(),
            details: Details::default(),
        };
        let payment = Payment::register(registration, start()).unwrap();
        let shown = (past == Past::Captured).then(|| Shown {
            kind: TransactionKind::Charge,
            state: State::Success,
            amount: eur(100),
            at: start(),
            visible_at: start(),
        });
        Self {
            tier,
            now: start().plus_ms(3_600_000),
            recover_at: payment.recover_at(),
            payment,
            effects: Vec::new(),
            answers: BTreeMap::new(),
            shown: shown.into_iter().collect(),
            late: Vec::new(),
            processes: Vec::new(),
            violation: None,
            trace: None,
            late_count: 0,
        }
    }

    pub fn note(&mut self, line: impl FnOnce() -> String) {
        let now = self.now.ms_since(start());
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>9} ms  {}", now, line()));
        }
    }

    pub fn violated(&mut self, what: impl Into<String>) {
        let what = what.into();
        self.note(|| format!("VIOLATION: {what}"));
        self.violation.get_or_insert(what);
    }

    /// Carries out a call to the store or a look-up.
    pub fn execute(&mut self, op: &Op) -> Answer {
        match op {
            Op::Get => Answer::Payment(Some(self.payment.clone().into())),
            Op::Open => Answer::Keys(
                self.recover_at.is_some().then(|| self.payment.key.clone()).into_iter().collect(),
            ),
            Op::Reserve(reservation) => Answer::Reserved(self.reserve(reservation), false),
            Op::Replace(from, to) => Answer::Replaced(self.replace(from, to)),
            Op::LookUp => Answer::Seen(self.seen()),
            Op::Call(call) => Answer::Verdict(self.act(call, Decision::Approve)),
        }
    }

    /// What the table's condition does: decided unseen, a reversal as a cancel.
    fn reserve(&mut self, reservation: &Reservation) -> Result<Box<Payment>, Box<Payment>> {
        let cancel = Reservation { action: Action::Cancel, ..reservation.clone() };
        let found = &self.payment;
        let admitted = match reservation.action {
            Action::Reverse => found.admit(&cancel).is_ok() && found.admit(reservation).is_ok(),
            _ => true,
        };
        match found.reserve(reservation).ok().filter(|_| admitted) {
            Some(next) => {
                self.written(next);
                self.recover_at = Some(reservation.lease);
                self.check_index();
                Ok(self.payment.clone().into())
            }
            None if self.payment.is_held_by(&reservation.nonce) => Ok(self.payment.clone().into()),
            None => Err(self.payment.clone().into()),
        }
    }

    fn replace(&mut self, from: &Payment, to: &Payment) -> Result<(), Box<Payment>> {
        if self.payment.version == from.version {
            self.written(to.clone());
            self.recover_at = to.recover_at();
            self.check_index();
            return Ok(());
        }
        if self.payment == *to { Ok(()) } else { Err(self.payment.clone().into()) }
    }

    /// Whatever is open is listed, and will be looked at within the hour.
    fn check_index(&mut self) {
        let is_open = self.payment.open_transactions().next().is_some();
        let is_expected = is_open || self.payment.in_flight.is_some();
        if self.recover_at.is_some() != is_expected {
            self.violated("the index does not list what is open, or lists what is not");
        }
        if self.recover_at.is_some_and(|at| at.ms_since(self.now) > 3_600_000) {
            self.violated("something open is not looked at within the hour");
        }
    }

    fn written(&mut self, next: Payment) {
        for before in self.payment.transactions.values() {
            let after = next.transactions.get(&before.id).map(|after| after.state);
            if !before.state.is_open() && after != Some(before.state) {
                let what = format!("{} went from {:?} to {after:?}", before.id, before.state);
                self.violation.get_or_insert(what);
            }
        }
        if let Err(error) = next.check() {
            self.violation.get_or_insert(error.to_string());
        }
        self.payment = next;
    }

    /// The PSP is asked. What it did once for a key it does not do again, if it
    /// honours keys and has not forgotten this one.
    pub fn act(&mut self, call: &Call, decision: Decision) -> Verdict {
        let id = &call.transaction;
        if self.tier == Tier::SameKey
            && let Some((verdict, at)) = self.answers.get(id)
            && self.now.ms_since(*at) < KEYS_KEPT_MS
        {
            return *verdict;
        }
        let kind = match (&call.action, self.payment.transactions.get(id)) {
            (Action::Capture { .. }, _) => TransactionKind::Charge,
            (Action::Refund { .. }, _) => TransactionKind::Refund,
            (Action::Cancel, _) => TransactionKind::CancelAuthorization,
            (Action::Reverse, Some(reserved)) => reserved.kind,
            (Action::Reverse, None) => TransactionKind::CancelAuthorization,
        };
        let (acts, verdict) = match decision {
            Decision::Approve => (true, Verdict::Approved),
            Decision::Receive => (true, Verdict::Received),
            Decision::Reject => (false, Verdict::Rejected),
            Decision::ActAndReject => (true, Verdict::Rejected),
        };
        if acts {
            self.moved(Effect { transaction: id.clone(), kind, amount: call.amount });
        }
        self.show(kind, call.amount, acts, decision);
        self.answers.insert(id.clone(), (verdict, self.now));
        verdict
    }

    /// Money moves. It may do so once for a transaction, and only for one that is
    /// durably reserved and not settled as undone.
    fn moved(&mut self, effect: Effect) {
        let id = effect.transaction.clone();
        if id.as_str().starts_with("past-") {
            self.violated(format!("{id} was begun elsewhere, and sent by us"));
        }
        match self.payment.transactions.get(&id).map(|found| found.state) {
            Some(State::Initial | State::Unknown | State::Pending) => {}
            Some(State::Success) => {}
            Some(State::Failure) => self.violated(format!("{id} moved money after its Failure")),
            None => self.violated(format!("{id} moved money without a reservation")),
        }
        self.effects.push(effect);
        if self.effects_of(&id) > 1 {
            self.violated(format!("{id} moved money twice"));
        }
        self.check_limits();
    }

    pub fn effects_of(&self, id: &TransactionId) -> usize {
        self.effects.iter().filter(|effect| effect.transaction == *id).count()
    }

    /// The PSP never gives more than it holds.
    fn check_limits(&mut self) {
        let sum = |kind| {
            let of_kind = self.effects.iter().filter(|effect| effect.kind == kind);
            of_kind.map(|effect| effect.amount.minor_units()).sum::<u64>()
        };
        let past = self.payment.transactions.get(&TransactionId::parse("past-1").unwrap());
        let before = past.map_or(0, |past| if past.amount == eur(100) { 100 } else { 0 });
        let captured = before + sum(TransactionKind::Charge);
        let cancelled = sum(TransactionKind::CancelAuthorization);
        let refunded = sum(TransactionKind::Refund);
        // A cancel voids the authorization whole.
        if captured + cancelled > 100 || (captured > 0 && cancelled > 0) {
            self.violated("more was captured and cancelled than was authorized");
        }
        if refunded > captured {
            self.violated("more was refunded than was captured");
        }
    }

    fn show(&mut self, kind: TransactionKind, amount: Money, acts: bool, decision: Decision) {
        let (state, visible_at) = match (self.tier, acts, decision) {
            (Tier::Queryable, false, _) => (State::Failure, self.now),
            (Tier::Queryable, true, Decision::Receive) => (State::Pending, self.now),
            (Tier::Queryable, true, _) => (State::Success, self.now),
            // Shows what it thought at first, and corrects itself much later.
            (Tier::LateRecorder, true, Decision::ActAndReject) => (State::Failure, self.now),
            (Tier::LateRecorder, true, _) => (State::Success, self.now.plus_ms(1_200_000)),
            (Tier::LateRecorder, false, _) => (State::Failure, self.now),
            (Tier::SameKey | Tier::Opaque | Tier::Liar, _, _) => return,
        };
        self.shown.push(Shown { kind, state, amount, at: self.now, visible_at });
    }

    fn seen(&self) -> Vec<Seen> {
        let visible = self.shown.iter().filter(|shown| shown.visible_at <= self.now);
        visible
            .map(|shown| Seen {
                kind: shown.kind,
                state: shown.state,
                amount: shown.amount,
                timestamp: Some(shown.at),
            })
            .collect()
    }

    /// Something is still under way, and may arrive.
    pub fn keep_late(&mut self, op: Op, until: Timestamp) {
        if matches!(op, Op::Reserve(_) | Op::Replace(..) | Op::Call(_)) {
            self.late_count += 1;
            self.late.push(Late { op, until, id: self.late_count });
        }
    }

    /// Equal where nothing that can happen from here on differs.
    pub fn hash(&self, state: &mut DefaultHasher) {
        (self.tier, self.now, &self.payment, self.recover_at).hash(state);
        (&self.effects, &self.shown).hash(state);
        for (id, (verdict, at)) in &self.answers {
            (id, *verdict as u8, at).hash(state);
        }
        for late in &self.late {
            (late.id, late.until).hash(state);
        }
        for process in &self.processes {
            let waits = process.pending.is_some();
            (process.history, waits, process.wake_at, process.deadline).hash(state);
        }
    }
}

impl Op {
    pub fn name(&self) -> String {
        match self {
            Self::Get => "get".to_owned(),
            Self::Open => "open".to_owned(),
            Self::Reserve(reservation) => format!("reserve {}", reservation.transaction),
            Self::Replace(from, to) => format!("replace {} by {}", from.version, to.version),
            Self::Call(call) => format!("call {} attempt {}", call.transaction, call.attempt),
            Self::LookUp => "look up".to_owned(),
        }
    }
}

impl Process {
    pub fn remember(&mut self, what: &impl Hash) {
        let mut hasher = DefaultHasher::new();
        (self.history, what).hash(&mut hasher);
        self.history = hasher.finish();
    }
}

/// A nonce that nobody had before.
pub fn nonce(count: &mut u128) -> Nonce {
    *count += 1;
    Nonce::new(*count)
}
