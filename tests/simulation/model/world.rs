//! The model of one Payment, its store, its PSP and its callers. Each call to a port waits
//! here for the scheduler's decision.

use crate::landing::{SentReport, group};
use crate::psp::{Decision, Effect, Shown, Style, Tier};
use payment_intents::money::{Currency, Money};
use payment_intents::payment::{
    Action, Details, Nonce, Payment, PaymentId, PaymentKey, ProjectKey, Registration, Report,
    Reservation, State, Timestamp, Transaction, TransactionId, TransactionKind,
};
use payment_intents::ports::{Call, Verdict};
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};

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

/// The result of a call.
#[derive(Clone, Debug)]
pub enum Answer {
    Payment(Option<Box<Payment>>),
    Keys(Vec<PaymentKey>),
    /// A refusal also says whether a copy of it may still arrive.
    Reserved(Result<Box<Payment>, Box<Payment>>, bool),
    Replaced(Result<(), Box<Payment>>),
    Verdict(Verdict),
    Shown(Vec<Report>),
    /// The store did not answer.
    Unavailable,
    /// The connector provably did not receive it.
    NeverExecuted,
    /// The connector may have received it.
    Unclear,
}

/// The transactions before registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Past {
    Authorized,
    Captured,
    /// Another system began to capture a part, with an unknown outcome.
    BegunElsewhere,
    /// The authorization is not yet successful.
    Authorizing,
    /// Captured at once, without an authorization.
    Sale,
}

/// The largest difference between the clocks of two processes.
pub const SKEW_MS: u64 = 30_000;

/// A message that was sent and has not arrived.
#[derive(Clone, Debug)]
pub struct Late {
    pub op: Op,
    pub until: Timestamp,
    /// The report in the message, if it has one.
    pub sent_report: Option<SentReport>,
    id: u64,
}

pub struct World {
    pub tier: Tier,
    pub now: Timestamp,
    pub payment: Payment,
    /// The key of the recovery index, as the table keeps it.
    pub recover_at: Option<Timestamp>,
    pub style: Style,
    pub effects: Vec<Effect>,
    pub answers: BTreeMap<TransactionId, (Verdict, Timestamp)>,
    pub shown: Vec<Shown>,
    /// True after an effect that we did not send, or an untrue report: then the PSP may
    /// decline an action that the ledger allows.
    pub is_surprised: bool,
    /// True after an untrue report.
    pub is_contradicted: bool,
    /// True if a connector reported a failure while it was still at work.
    pub is_doubted: bool,
    /// True if reservations are sent, so that the oracle checks them.
    pub is_played: bool,
    /// True after an untrue report. From then on the oracle compares no amounts, which
    /// untrue reports have changed.
    pub is_misled: bool,
    /// True if the processes' clocks differ.
    pub is_skewed: bool,
    /// True if reports have the effect's timestamp.
    pub is_timed: bool,
    /// Transactions with reports that were matched to one with the same kind and amount.
    pub mistaken: BTreeSet<(TransactionKind, u64)>,
    /// The last reported state of a transaction, by our id or the PSP's.
    pub reported_states: BTreeMap<TransactionId, State>,
    /// The version of the reservation of each of our transactions.
    pub reserved_at: BTreeMap<TransactionId, u64>,
    /// Transactions that failed by likeness, because no other could have failed.
    pub failed_alone: BTreeSet<TransactionId>,
    /// The report that is being written.
    pub sent_report: Option<SentReport>,
    pub late: Vec<Late>,
    pub processes: Vec<Process>,
    pub violation: Option<String>,
    pub trace: Option<Vec<String>>,
    late_count: u64,
}

/// The scheduler's view of one run of the real code.
#[derive(Default)]
pub struct Process {
    pub pending: Option<Op>,
    pub answer: Option<Answer>,
    pub wake_at: Option<Timestamp>,
    pub deadline: Option<Timestamp>,
    pub doing: Doing,
    /// The difference of its clock from the true time, which is in the middle of the scale.
    pub clock_ms: u64,
    /// The PSP's decision that is not answered yet.
    pub decided: Option<Verdict>,
    /// A hash of all calls and answers so far: equal histories continue equally.
    pub history: u64,
}

/// The task of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Doing {
    /// No task.
    #[default]
    NeverHappened,
    /// An action.
    Acting(TransactionId),
    Recovering,
    SentReport(SentReport),
}

impl Process {
    /// True if the process may have the answer to an attempt at this transaction.
    pub fn may_settle(&self, id: &TransactionId) -> bool {
        match &self.doing {
            Doing::Acting(transaction) => transaction == id,
            Doing::Recovering => true,
            Doing::NeverHappened | Doing::SentReport(_) => false,
        }
    }

    pub fn sent_report(&self) -> Option<SentReport> {
        match &self.doing {
            Doing::SentReport(sent_report) => Some(sent_report.clone()),
            Doing::NeverHappened | Doing::Acting(_) | Doing::Recovering => None,
        }
    }
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
    /// A Payment of 100 with this past.
    pub fn new(tier: Tier, past: Past, style: Style) -> Self {
        let begun = match past {
            Past::Authorized | Past::Authorizing => None,
            Past::Captured | Past::Sale => Some((TransactionKind::Charge, State::Success, 100)),
            Past::BegunElsewhere => Some((TransactionKind::Charge, State::Initial, 40)),
        };
        let is_pending = past == Past::Authorizing;
        let authorized = if is_pending { State::Pending } else { State::Success };
        let authorized = (TransactionKind::Authorization, authorized, 100);
        let authorized = Some(authorized).filter(|_| past != Past::Sale);
        let transactions = [authorized, begun].into_iter().enumerate();
        let transactions = transactions.filter_map(|(index, one)| Some((index, one?)));
        let transactions = transactions.map(|(index, (kind, state, amount))| {
            let id = TransactionId::parse(&format!("past-{index}")).unwrap();
            let report = Report {
                kind,
                state,
                amount: eur(amount),
                timestamp: Some(start()),
                // A transaction that has only begun has no id at the PSP yet.
                interaction_id: style.reference(&id).filter(|_| state != State::Initial),
                interface_id: None,
            };
            (id, report)
        });
        let registration = Registration {
            key: key(),
            amount_planned: eur(100),
            fraction_digits: 2,
            transactions: transactions.collect(),
            details: Details::default(),
        };
        let payment = Payment::register(registration, start()).unwrap();
        let mut world = Self {
            tier,
            now: start().plus_ms(3_600_000),
            recover_at: payment.recover_at(),
            payment,
            style,
            effects: Vec::new(),
            answers: BTreeMap::new(),
            shown: Vec::new(),
            is_surprised: false,
            is_contradicted: false,
            is_doubted: false,
            is_played: false,
            is_misled: false,
            is_skewed: false,
            is_timed: false,
            mistaken: BTreeSet::new(),
            reported_states: BTreeMap::new(),
            reserved_at: BTreeMap::new(),
            failed_alone: BTreeSet::new(),
            sent_report: None,
            late: Vec::new(),
            processes: Vec::new(),
            violation: None,
            trace: None,
            late_count: 0,
        };
        world.add_past_effects();
        world
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
        let ledger: Vec<_> = self.payment.transactions.values().cloned().collect();
        for entry in ledger {
            self.note(|| format!("  {entry:?}"));
        }
        self.violation.get_or_insert(what);
    }

    /// Executes the call of the process `run`.
    pub fn carry_out(&mut self, run: usize, op: &Op) -> Answer {
        let process = &mut self.processes[run];
        if let Some(verdict) = process.decided.take() {
            return Answer::Verdict(verdict);
        }
        let sent_report = process.sent_report();
        self.execute_as(sent_report, op)
    }

    /// Executes a call that may write a report.
    pub fn execute_as(&mut self, sent_report: Option<SentReport>, op: &Op) -> Answer {
        self.sent_report = sent_report;
        let answer = self.execute(op);
        self.sent_report = None;
        answer
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
            Op::LookUp => Answer::Shown(self.platform_transactions()),
            Op::Call(call) => Answer::Verdict(self.act(call, Decision::Approve)),
        }
    }

    /// Evaluates the table's condition, without a read: a reversal is tried as a cancel.
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

    /// Checks that every open transaction is in the index, and due within an hour.
    fn check_index(&mut self) {
        let is_open = self.payment.open_transactions().next().is_some();
        let is_expected = is_open || self.payment.in_flight.is_some();
        if self.recover_at.is_some() != is_expected {
            self.violated("the index does not list what is open, or lists what is not");
        }
        let hour_ms = 3_600_000 + u64::from(self.is_skewed) * SKEW_MS;
        if self.recover_at.is_some_and(|at| at.ms_since(self.now) > hour_ms) {
            self.violated("something open is not looked at within the hour");
        }
    }

    fn written(&mut self, next: Payment) {
        for before in self.payment.transactions.values() {
            // The write took a match by likeness back: its owner is open again.
            let after = next.transactions.get(&before.id);
            let is_same = |after: &Transaction| {
                after.interaction_id == before.interaction_id && after.state == before.state
            };
            if before.likeness.is_some() && !after.is_some_and(is_same) {
                self.mistaken.insert(group(before.kind, before.amount));
            }
            let Some(after) = next.transactions.get(&before.id) else {
                let known = before.likeness.as_ref().map_or(before.state, |one| one.known);
                if known != State::Initial && !before.is_external {
                    let what = format!("{} was {:?} and is gone", before.id, before.state);
                    self.violation.get_or_insert(what);
                }
                continue;
            };
            // By this report, or by one that waited for the balances.
            let is_told = after.reported != before.reported && after.reported.is_some();
            let has_waited = before.state_awaiting_balances == Some(after.state);
            let is_open_to_doubt =
                before.likeness.is_some() || after.is_disputed || before.is_disputed;
            let is_firm = !before.state.is_open() && !is_open_to_doubt;
            if is_firm && after.state != before.state && !is_told && !has_waited {
                let what =
                    format!("{} went from {:?} to {:?}", before.id, before.state, after.state);
                self.violation.get_or_insert(what);
            }
            if (after.kind, after.amount) != (before.kind, before.amount) {
                self.violation.get_or_insert(format!("{} is not what it was", before.id));
            }
        }
        if let Err(error) = next.check() {
            self.violation.get_or_insert(error.to_string());
        }
        if next.version <= self.payment.version {
            self.violation.get_or_insert("a write did not raise the version".to_owned());
        }
        let version = next.version;
        let begun =
            next.transactions.keys().filter(|id| !self.payment.transactions.contains_key(id));
        let begun: Vec<_> = begun.cloned().collect();
        self.reserved_at.extend(begun.into_iter().map(|id| (id, version)));
        let before = std::mem::replace(&mut self.payment, next);
        self.record_reports();
        self.check_match(&before);
        self.record_only_failure(&before);
        self.check_send(&before);
    }

    /// Keeps the message of the process `run`, which may still arrive.
    pub fn keep_late(&mut self, run: usize, op: Op, within_ms: u64) {
        let process = &self.processes[run];
        if process.decided.is_none() && matches!(op, Op::Reserve(_) | Op::Replace(..) | Op::Call(_))
        {
            self.late_count += 1;
            let (until, sent_report) = (self.now.plus_ms(within_ms), process.sent_report());
            self.late.push(Late { op, until, sent_report, id: self.late_count });
        }
    }

    /// A hash of everything that can make a difference from here on.
    pub fn hash(&self, state: &mut DefaultHasher) {
        (self.tier, self.now, &self.payment, self.recover_at).hash(state);
        (&self.effects, &self.shown, &self.mistaken).hash(state);
        (&self.reported_states, &self.failed_alone).hash(state);
        (self.is_surprised, self.is_contradicted, self.is_doubted).hash(state);
        for (id, (verdict, at)) in &self.answers {
            (id, *verdict as u8, at).hash(state);
        }
        for late in &self.late {
            (late.id, late.until).hash(state);
        }
        for process in &self.processes {
            let waits = process.pending.is_some();
            (process.history, waits, process.wake_at, process.deadline).hash(state);
            (&process.doing, process.decided.map(|verdict| verdict as u8)).hash(state);
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

/// A new nonce.
pub fn nonce(count: &mut u128) -> Nonce {
    *count += 1;
    Nonce::new(*count)
}
