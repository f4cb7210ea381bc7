//! One schedule: callers, recovery runs and reporters, and at each step a choice of the
//! next event.

use crate::answers::{Answered, failed};
use crate::ports::locked;
use crate::psp::{CONNECTOR_WORKS_MS, Decision, Event, Style, Tier};
use crate::reports::PossibleReport;
use crate::runs::Run;
use crate::world::{Answer, Op, Past, World};
use payment_intents::payment::{Action, Transaction, TransactionId, TransactionKind};
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex};

/// The interval of recovery.
pub const MINUTE_MS: u64 = 60_000;

/// The participants of a schedule, and the number of faults.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Plan {
    pub tier: Tier,
    pub past: Past,
    pub style: Style,
    /// True if reports have a timestamp.
    pub is_timed: bool,
    pub clients: Vec<Client>,
    pub crashes: u8,
    pub faults: u8,
    pub recoveries: u8,
    /// The number of reports.
    pub reports: u8,
    /// The number of effects that we did not send.
    pub events: u8,
    /// The number of untrue reports and answers.
    pub untrue_reports: u8,
    pub jumps: u8,
    /// The PSP's decisions besides approval.
    pub decisions: bool,
    /// True if the clocks of processes differ.
    pub is_skewed: bool,
}

/// A client that wants one action done, once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Client {
    pub action: Action,
    /// A key, with which it repeats the request until it gets an outcome.
    pub key: Option<&'static str>,
    pub repeats: u8,
    /// Its own reference, which is part of the request.
    pub reference: Option<&'static str>,
}

impl Client {
    /// True if this transaction is the client's action.
    pub fn is_wanted(&self, made: &Transaction) -> bool {
        let is_same = match (&self.action, made.action()) {
            (Action::Reverse, Some(Action::Cancel | Action::Refund { .. })) => made.is_reversal,
            (wanted, Some(made_of)) => !made.is_reversal && *wanted == made_of,
            (_, None) => false,
        };
        is_same && self.reference == made.merchant_reference.as_deref()
    }
}

/// The source of the choices.
pub trait Chooser {
    /// Chooses one of `options` possible ones. The first is the ordinary one.
    fn choose(&mut self, options: usize) -> usize;
}

/// A possible next event.
#[derive(Clone, Copy, Debug)]
pub enum Choice {
    Start(usize),
    Deliver(usize),
    Decide(usize, Decision),
    /// The PSP decides, and does not answer yet.
    ActFirst(usize, Decision),
    FailBefore(usize),
    LoseBefore(usize),
    LoseAnswer(usize),
    Delay(usize),
    Duplicate(usize),
    CrashBefore(usize),
    CrashAfter(usize),
    DeliverLate(usize),
    Recover,
    Tell(PossibleReport),
    Happen(Event),
    WaitForTimer,
    TimeOut(usize),
    JumpToDeadline,
    JumpPastLease,
    JumpPastWindow,
    JumpADay,
}

pub struct Schedule {
    pub plan: Plan,
    pub world: Arc<Mutex<World>>,
    pub runs: Vec<Option<Run>>,
    /// The started attempts of each client, and the end of the last one.
    pub attempts: Vec<(u8, Option<Answered>, bool)>,
    pub nonces: u128,
    /// The number of reports so far.
    pub words: u32,
    /// Transactions without a key whose caller got the answer that nothing was sent.
    pub not_sent: Vec<TransactionId>,
}

impl Schedule {
    pub fn new(plan: &Plan, trace: bool) -> Self {
        let mut world = World::new(plan.tier, plan.past, plan.style);
        world.trace = trace.then(Vec::new);
        (world.is_played, world.is_skewed, world.is_timed) = (true, plan.is_skewed, plan.is_timed);
        Self {
            plan: plan.clone(),
            world: Arc::new(Mutex::new(world)),
            runs: Vec::new(),
            attempts: vec![(0, None, false); plan.clients.len()],
            nonces: 0,
            words: 0,
            not_sent: Vec::new(),
        }
    }

    /// Takes one step; false if no event is left.
    pub fn step(&mut self, chooser: &mut dyn Chooser) -> bool {
        let choices = self.choices();
        if choices.is_empty() {
            return false;
        }
        let chosen = if choices.len() == 1 { 0 } else { chooser.choose(choices.len()) };
        self.take(choices[chosen]);
        true
    }

    pub fn violation(&self) -> Option<String> {
        locked(&self.world).violation.clone()
    }

    pub fn trace(&self) -> Vec<String> {
        locked(&self.world).trace.clone().unwrap_or_default()
    }

    /// A hash of the state: equal states continue equally.
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.plan.hash(&mut hasher);
        locked(&self.world).hash(&mut hasher);
        self.attempts.hash(&mut hasher);
        for run in &self.runs {
            run.is_some().hash(&mut hasher);
        }
        hasher.finish()
    }

    /// All possible next events, the ordinary one first.
    fn choices(&self) -> Vec<Choice> {
        let world = locked(&self.world);
        let mut choices = Vec::new();
        let waiting = |run: &usize| world.processes[*run].pending.is_some();
        let live: Vec<usize> =
            (0..self.runs.len()).filter(|run| self.runs[*run].is_some()).collect();
        let pending: Vec<usize> = live.iter().copied().filter(waiting).collect();
        choices.extend(pending.iter().map(|run| Choice::Deliver(*run)));
        let startable = (0..self.plan.clients.len()).filter(|client| self.may_start(*client));
        choices.extend(startable.map(Choice::Start));
        if pending.is_empty() && live.iter().any(|run| world.processes[*run].wake_at.is_some()) {
            choices.push(Choice::WaitForTimer);
        }
        if self.plan.recoveries > 0 && world.recover_at.is_some() {
            choices.push(Choice::Recover);
        }
        for run in pending {
            self.possible_faults(&world, run, &mut choices);
        }
        choices.extend((0..world.late.len()).map(Choice::DeliverLate));
        if self.plan.reports > 0 {
            choices.extend(self.possible_reports(&world).into_iter().map(Choice::Tell));
        }
        if self.plan.events > 0 {
            choices.extend(world.possible_events().into_iter().map(Choice::Happen));
        }
        if self.plan.jumps > 0 {
            if world.payment.in_flight.is_some() {
                choices.push(Choice::JumpPastLease);
                choices.push(Choice::JumpToDeadline);
            } else if world.payment.open_transactions().next().is_some() {
                choices.push(Choice::JumpPastWindow);
                choices.push(Choice::JumpADay);
            }
        }
        choices
    }

    /// The possible faults of one call.
    fn possible_faults(&self, world: &World, run: usize, choices: &mut Vec<Choice>) {
        let Some(op) = &world.processes[run].pending else { return };
        let is_call = matches!(op, Op::Call(_));
        let is_decided = world.processes[run].decided.is_some();
        if is_call && !is_decided {
            choices.extend(self.decisions().map(|decision| Choice::Decide(run, decision)));
            if self.plan.reports > 0 {
                choices.push(Choice::ActFirst(run, Decision::Approve));
                choices.extend(self.decisions().map(|decision| Choice::ActFirst(run, decision)));
            }
        }
        if self.plan.faults > 0 {
            if !is_decided {
                choices.push(Choice::FailBefore(run));
            }
            if world.processes[run].wake_at.is_some() {
                choices.push(Choice::TimeOut(run));
            }
            if matches!(op, Op::Reserve(_) | Op::Replace(..) | Op::Call(_)) {
                choices.push(Choice::LoseAnswer(run));
                choices.push(Choice::Delay(run));
            }
            if matches!(op, Op::Reserve(_) | Op::Replace(..)) {
                choices.push(Choice::Duplicate(run));
            }
            if is_call {
                choices.push(Choice::LoseBefore(run));
            }
        }
        if self.plan.crashes > 0 {
            choices.push(Choice::CrashBefore(run));
            choices.push(Choice::CrashAfter(run));
        }
    }

    /// The PSP's decisions besides approval.
    fn decisions(&self) -> impl Iterator<Item = Decision> {
        let is_liar = matches!(self.plan.tier, Tier::Untrusted | Tier::LateRecorder);
        [
            (Decision::Reject, self.plan.decisions),
            (Decision::Receive, self.plan.decisions),
            (
                Decision::ActAndReject,
                self.plan.decisions && is_liar || self.plan.untrue_reports > 0,
            ),
            (Decision::ApproveWithoutActing, self.plan.untrue_reports > 0),
        ]
        .into_iter()
        .filter_map(|(decision, is_possible)| is_possible.then_some(decision))
    }

    /// A client starts, or repeats a request without an outcome: with its key after any
    /// answer, without a key only if nothing was sent.
    fn may_start(&self, client: usize) -> bool {
        let (attempts, last, running) = self.attempts[client];
        let spec = &self.plan.clients[client];
        if attempts == 0 {
            return true;
        }
        if running || attempts > spec.repeats {
            return false;
        }
        match last {
            Some(Answered::Busy | Answered::NothingSent) => true,
            Some(Answered::Unknown) | None => spec.key.is_some(),
            Some(
                Answered::Result(_) | Answered::Refused | Answered::KeyReused | Answered::Told,
            ) => false,
        }
    }

    pub fn take(&mut self, choice: Choice) {
        locked(&self.world).note(|| format!("{choice:?}"));
        match choice {
            Choice::Start(client) => self.start(client),
            Choice::Deliver(run) => self.answer(run, |world, op| world.carry_out(run, op)),
            Choice::Decide(run, decision) => {
                self.decided(run, decision);
                self.answer(run, |world, op| match op {
                    Op::Call(call) => Answer::Verdict(world.act(call, decision)),
                    other => world.carry_out(run, other),
                });
            }
            Choice::ActFirst(run, decision) => {
                self.decided(run, decision);
                let mut world = locked(&self.world);
                if let Some(Op::Call(call)) = world.processes[run].pending.clone() {
                    let verdict = world.act(&call, decision);
                    world.processes[run].decided = Some(verdict);
                }
            }
            Choice::FailBefore(run) => {
                self.plan.faults -= 1;
                self.answer(run, |_, op| failed(op, Answer::NeverExecuted));
            }
            Choice::LoseBefore(run) => {
                self.plan.faults -= 1;
                self.answer(run, |_, op| failed(op, Answer::Unclear));
            }
            Choice::LoseAnswer(run) => {
                self.plan.faults -= 1;
                self.answer(run, |world, op| {
                    world.carry_out(run, op);
                    failed(op, Answer::Unclear)
                });
            }
            Choice::Delay(run) => {
                self.plan.faults -= 1;
                self.answer(run, |world, op| {
                    world.keep_late(run, op.clone(), CONNECTOR_WORKS_MS);
                    failed(op, Answer::Unclear)
                });
            }
            Choice::Duplicate(run) => {
                self.plan.faults -= 1;
                self.answer(run, |world, op| {
                    world.keep_late(run, op.clone(), CONNECTOR_WORKS_MS);
                    match world.carry_out(run, op) {
                        Answer::Reserved(reserved, _) => Answer::Reserved(reserved, true),
                        other => other,
                    }
                });
            }
            Choice::CrashBefore(run) => self.crash(run, false),
            Choice::CrashAfter(run) => self.crash(run, true),
            Choice::DeliverLate(index) => {
                let (answer, sent_report) = {
                    let mut world = locked(&self.world);
                    let late = world.late.remove(index);
                    world.note(|| format!("late: {}", late.op.name()));
                    (world.execute_as(late.sent_report.clone(), &late.op), late.sent_report)
                };
                if let (Answer::Replaced(Ok(())), Some(sent_report)) = (answer, sent_report) {
                    self.record_applied(&sent_report, true);
                }
            }
            Choice::Recover => {
                self.plan.recoveries -= 1;
                self.recover();
            }
            Choice::Tell(word) => {
                self.plan.reports -= 1;
                self.plan.untrue_reports -=
                    u8::from(matches!(word, PossibleReport::UntrueState(_)));
                self.report_until_applied(word);
            }
            Choice::Happen(event) => {
                self.plan.events -= 1;
                locked(&self.world).happen(event);
            }
            Choice::WaitForTimer => {
                let wake_at = locked(&self.world)
                    .processes
                    .iter()
                    .filter_map(|process| process.wake_at)
                    .min();
                if let Some(wake_at) = wake_at {
                    self.pass_until(wake_at);
                }
            }
            Choice::TimeOut(run) => {
                self.plan.faults -= 1;
                let wake_at = locked(&self.world).processes[run].wake_at;
                if let Some(wake_at) = wake_at {
                    self.pass_until(wake_at);
                }
            }
            Choice::JumpToDeadline => {
                self.plan.jumps -= 1;
                let deadline =
                    locked(&self.world).processes.iter().filter_map(|one| one.deadline).max();
                if let Some(deadline) = deadline {
                    self.pass_until(deadline);
                }
            }
            Choice::JumpPastLease => {
                self.plan.jumps -= 1;
                let lease = locked(&self.world).payment.in_flight.as_ref().map(|slot| slot.lease);
                if let Some(lease) = lease {
                    self.pass_until(lease.plus_ms(1));
                }
            }
            Choice::JumpPastWindow => self.jump(400_000),
            Choice::JumpADay => self.jump(90_000_000),
        }
    }

    /// Records the PSP's decision. An answer that contradicts it is untrue, except from an
    /// untrusted connector.
    fn decided(&mut self, run: usize, decision: Decision) {
        let mut world = locked(&self.world);
        let is_lie = match decision {
            Decision::ActAndReject => world.tier.is_trusted(),
            Decision::ApproveWithoutActing => true,
            Decision::Approve | Decision::Receive | Decision::Reject => false,
        };
        if is_lie {
            self.plan.untrue_reports -= 1;
            if let Some(Op::Call(call)) = world.processes[run].pending.clone() {
                let reserved = world.payment.transactions.get(&call.transaction);
                let kind = reserved.map_or(TransactionKind::Charge, |reserved| reserved.kind);
                world.contradicted(kind, call.amount);
            }
        }
    }

    fn jump(&mut self, ms: u64) {
        self.plan.jumps -= 1;
        let later = locked(&self.world).now.plus_ms(ms);
        self.pass_until(later);
    }
}
