//! One schedule: callers, recoveries and facts, and at each step a choice of what
//! happens next to which of them.

use crate::ports::{Port, locked};
use crate::world::{
    Answer, CONNECTOR_WORKS_MS, Decision, Op, Past, Process, Tier, World, key, nonce,
};
use payment_intents::payment::{
    Action, Nonce, Outcome, Refusal, Settlement, State, Timestamp, TransactionId,
};
use payment_intents::ports::{Clock, ReplaceError, Store, Verdict};
use payment_intents::service::{ActError, Done, Invocation, Request, Service};
use std::collections::hash_map::DefaultHasher;
use std::future::Future;
use std::hash::{Hash, Hasher};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

/// How long an invocation may run.
const INVOCATION_MS: u64 = 28_000;

/// How often recovery is scheduled.
pub const MINUTE_MS: u64 = 60_000;

/// What happens in a schedule, and how much may go wrong.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Plan {
    pub tier: Tier,
    pub past: Past,
    pub clients: Vec<Client>,
    pub crashes: u8,
    pub faults: u8,
    pub recoveries: u8,
    pub facts: u8,
    pub jumps: u8,
    /// What the PSP may decide besides approving.
    pub decisions: bool,
}

/// Somebody who wants one thing done, once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Client {
    pub action: Action,
    /// A key, with which it repeats after anything but a result.
    pub key: Option<&'static str>,
    pub repeats: u8,
}

/// Where the choices come from.
pub trait Chooser {
    /// One of `options`, all of them possible; the first is the ordinary one.
    fn choose(&mut self, options: usize) -> usize;
}

/// What an attempt was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Answered {
    Result(u8),
    Refused,
    Busy,
    KeyReused,
    NothingSent,
    Unknown,
}

enum Role {
    Client { client: usize, transaction: TransactionId },
    Recovery,
    Fact,
}

pub struct Run {
    role: Role,
    future: Pin<Box<dyn Future<Output = Option<Answered>>>>,
}

/// What may happen next.
#[derive(Clone, Copy, Debug)]
pub enum Choice {
    Start(usize),
    Deliver(usize),
    Decide(usize, Decision),
    FailBefore(usize),
    LoseBefore(usize),
    LoseAnswer(usize),
    Delay(usize),
    Duplicate(usize),
    CrashBefore(usize),
    CrashAfter(usize),
    DeliverLate(usize),
    Recover,
    Report(usize),
    WaitForTimer,
    TimeOut(usize),
    JumpPastLease,
    JumpPastWindow,
    JumpADay,
}

pub struct Schedule {
    pub plan: Plan,
    pub world: Arc<Mutex<World>>,
    pub runs: Vec<Option<Run>>,
    /// Attempts begun, by client; and how the last one ended.
    attempts: Vec<(u8, Option<Answered>, bool)>,
    nonces: u128,
    /// Transactions without a key of which a caller was told that nothing was sent.
    pub not_sent: Vec<TransactionId>,
}

impl Schedule {
    pub fn new(plan: &Plan, trace: bool) -> Self {
        let mut world = World::new(plan.tier, plan.past);
        world.trace = trace.then(Vec::new);
        Self {
            plan: plan.clone(),
            world: Arc::new(Mutex::new(world)),
            runs: Vec::new(),
            attempts: vec![(0, None, false); plan.clients.len()],
            nonces: 0,
            not_sent: Vec::new(),
        }
    }

    /// Takes one step; false where nothing is left to happen.
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

    /// Equal states go on equally.
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

    /// All that may happen next: the ordinary first.
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
            self.troubles(&world, run, &mut choices);
        }
        choices.extend((0..world.late.len()).map(Choice::DeliverLate));
        if self.plan.facts > 0 {
            let open: Vec<_> = world.payment.open_transactions().collect();
            let truths = open.iter().enumerate();
            choices.extend(
                truths
                    .filter(|(_, open)| world.effects_of(&open.id) > 0)
                    .filter(|(_, open)| self.alike(&world.payment, &open.id).len() == 1)
                    .map(|(index, _)| Choice::Report(index)),
            );
        }
        if self.plan.jumps > 0 {
            if world.payment.in_flight.is_some() {
                choices.push(Choice::JumpPastLease);
            } else if world.payment.open_transactions().next().is_some() {
                choices.push(Choice::JumpPastWindow);
                choices.push(Choice::JumpADay);
            }
        }
        choices
    }

    /// What may go wrong with one call.
    fn troubles(&self, world: &World, run: usize, choices: &mut Vec<Choice>) {
        let Some(op) = &world.processes[run].pending else { return };
        let is_call = matches!(op, Op::Call(_));
        if is_call && self.plan.decisions {
            choices.push(Choice::Decide(run, Decision::Reject));
            choices.push(Choice::Decide(run, Decision::Receive));
            if matches!(self.plan.tier, Tier::Liar | Tier::LateRecorder) {
                choices.push(Choice::Decide(run, Decision::ActAndReject));
            }
        }
        if self.plan.faults > 0 {
            choices.push(Choice::FailBefore(run));
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

    /// A client begins, or repeats what brought no result: with its key after
    /// anything, without one only where nothing was sent.
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
            Some(Answered::Result(_) | Answered::Refused | Answered::KeyReused) => false,
        }
    }

    pub fn take(&mut self, choice: Choice) {
        locked(&self.world).note(|| format!("{choice:?}"));
        match choice {
            Choice::Start(client) => self.start(client),
            Choice::Deliver(run) => self.answer(run, |world, op| world.execute(op)),
            Choice::Decide(run, decision) => self.answer(run, |world, op| match op {
                Op::Call(call) => Answer::Verdict(world.act(call, decision)),
                other => world.execute(other),
            }),
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
                    world.execute(op);
                    failed(op, Answer::Unclear)
                });
            }
            Choice::Delay(run) => {
                self.plan.faults -= 1;
                self.answer(run, |world, op| {
                    let until = world.now.plus_ms(CONNECTOR_WORKS_MS);
                    world.keep_late(op.clone(), until);
                    failed(op, Answer::Unclear)
                });
            }
            Choice::Duplicate(run) => {
                self.plan.faults -= 1;
                self.answer(run, |world, op| {
                    let until = world.now.plus_ms(CONNECTOR_WORKS_MS);
                    world.keep_late(op.clone(), until);
                    match world.execute(op) {
                        Answer::Reserved(reserved, _) => Answer::Reserved(reserved, true),
                        other => other,
                    }
                });
            }
            Choice::CrashBefore(run) => self.crash(run, false),
            Choice::CrashAfter(run) => self.crash(run, true),
            Choice::DeliverLate(index) => {
                let mut world = locked(&self.world);
                let late = world.late.remove(index);
                world.note(|| format!("late: {}", late.op.name()));
                world.execute(&late.op);
            }
            Choice::Recover => {
                self.plan.recoveries -= 1;
                self.recover();
            }
            Choice::Report(index) => {
                self.plan.facts -= 1;
                let id = locked(&self.world)
                    .payment
                    .open_transactions()
                    .nth(index)
                    .map(|open| open.id.clone());
                if let Some(id) = id {
                    self.report(id, Outcome::Approved);
                }
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

    /// Answers the call that `run` waits for, and lets it go on.
    fn answer(&mut self, run: usize, with: impl FnOnce(&mut World, &Op) -> Answer) {
        {
            let mut world = locked(&self.world);
            let Some(op) = world.processes[run].pending.take() else { return };
            let answer = with(&mut world, &op);
            world.note(|| format!("  {run}: {} -> {}", op.name(), described(&answer)));
            let process = &mut world.processes[run];
            process.remember(&described(&answer));
            process.answer = Some(answer);
        }
        self.poll(run);
    }

    fn poll(&mut self, run: usize) {
        locked(&self.world).processes[run].wake_at = None;
        let Some(running) = &mut self.runs[run] else { return };
        let mut context = Context::from_waker(Waker::noop());
        if let Poll::Ready(answered) = running.future.as_mut().poll(&mut context) {
            let ended = self.runs[run].take();
            if let Some(ended) = ended {
                self.ended(&ended.role, answered);
            }
        }
    }

    fn crash(&mut self, run: usize, after: bool) {
        self.plan.crashes -= 1;
        {
            let mut world = locked(&self.world);
            if let Some(op) = world.processes[run].pending.take()
                && after
            {
                world.execute(&op);
            }
        }
        self.kill(run);
    }

    /// The process is gone; what it had sent may still arrive.
    pub fn kill(&mut self, run: usize) {
        let Some(killed) = self.runs[run].take() else { return };
        let role = killed.role;
        drop(killed.future);
        let mut world = locked(&self.world);
        world.processes[run].wake_at = None;
        drop(world);
        if let Role::Client { client, .. } = role {
            self.attempts[client].1 = None;
            self.attempts[client].2 = false;
        }
    }

    fn jump(&mut self, ms: u64) {
        self.plan.jumps -= 1;
        let later = locked(&self.world).now.plus_ms(ms);
        self.pass_until(later);
    }

    /// Lets time pass: whoever is past his deadline is killed, what was too long
    /// under way is lost, and whoever slept wakes.
    pub fn pass_until(&mut self, then: Timestamp) {
        let then = then.max(locked(&self.world).now);
        locked(&self.world).now = then;
        for run in 0..self.runs.len() {
            let deadline = locked(&self.world).processes[run].deadline;
            if self.runs[run].is_some() && deadline.is_some_and(|deadline| deadline < then) {
                self.kill(run);
            }
        }
        locked(&self.world).late.retain(|late| late.until >= then);
        for run in 0..self.runs.len() {
            let wakes = locked(&self.world).processes[run].wake_at.is_some_and(|at| at <= then);
            if wakes {
                self.poll(run);
            }
        }
    }

    /// Begins a run of the real code.
    fn begin<F>(&mut self, role: Role, deadline: Timestamp, code: impl FnOnce(Port) -> F)
    where
        F: Future<Output = Option<Answered>> + 'static,
    {
        let process = {
            let mut world = locked(&self.world);
            let deadline = Some(deadline);
            world.processes.push(Process { deadline, ..Process::default() });
            world.processes.len() - 1
        };
        let port = Port { world: Arc::clone(&self.world), process };
        self.runs.push(Some(Run { role, future: Box::pin(code(port)) }));
        self.poll(process);
    }

    fn start(&mut self, client: usize) {
        let spec = self.plan.clients[client].clone();
        let attempt = self.attempts[client].0;
        self.attempts[client].0 += 1;
        self.attempts[client].2 = true;
        let id = match spec.key {
            Some(key) => key.to_owned(),
            None => format!("c{client}a{attempt}"),
        };
        let transaction = TransactionId::parse(&id).unwrap();
        let deadline = locked(&self.world).now.plus_ms(INVOCATION_MS);
        let invocation = Invocation {
            nonce: nonce(&mut self.nonces),
            deadline,
            correlation_id: String::new(),
            bearer: None,
        };
        let request = Request {
            key: key(),
            transaction: transaction.clone(),
            action: spec.action,
            merchant_reference: None,
            invocation,
        };
        self.begin(Role::Client { client, transaction }, deadline, |port| async move {
            let service = Service::new(port.clone(), port.clone(), port);
            Some(Answered::of(&service.act(request).await))
        });
    }

    pub fn recover(&mut self) {
        let began = locked(&self.world).now;
        let deadline = began.plus_ms(INVOCATION_MS);
        let first = self.nonces;
        self.nonces += 1_000;
        self.begin(Role::Recovery, deadline, |port| async move {
            let service = Service::new(port.clone(), port.clone(), port);
            let mut count = first;
            let _ = service.recover(deadline, move || nonce(&mut count)).await;
            None
        });
    }

    /// Somebody who knows says what came of a transaction.
    pub fn report(&mut self, id: TransactionId, outcome: Outcome) {
        let deadline = locked(&self.world).now.plus_ms(INVOCATION_MS);
        self.begin(Role::Fact, deadline, |port| async move {
            for _ in 0..4 {
                let payment = port.get(&key()).await.ok()??;
                let settled = payment.settle(&id, &Nonce::new(0), outcome, port.now()).ok()?;
                let Settlement::Changed(next) = settled else { return None };
                match port.replace(&payment, &next).await {
                    Err(ReplaceError::Changed(_)) => {}
                    Ok(()) | Err(ReplaceError::Gone | ReplaceError::Store(_)) => return None,
                }
            }
            None
        });
    }

    /// Checks what an answer promises.
    fn ended(&mut self, role: &Role, answered: Option<Answered>) {
        match (role, answered) {
            (Role::Client { client, transaction }, Some(answered)) => {
                self.attempts[*client].1 = Some(answered);
                self.attempts[*client].2 = false;
                self.check_answer(*client, transaction, answered);
            }
            (Role::Recovery | Role::Fact | Role::Client { .. }, _) => {}
        }
    }

    fn check_answer(&mut self, client: usize, id: &TransactionId, answered: Answered) {
        let says_not_sent = match answered {
            Answered::Refused | Answered::Busy | Answered::NothingSent => true,
            Answered::Result(_) | Answered::KeyReused | Answered::Unknown => false,
        };
        if says_not_sent && self.plan.clients[client].key.is_none() {
            self.not_sent.push(id.clone());
        }
        let mut world = locked(&self.world);
        world.note(|| format!("client {client} is answered {answered:?}"));
        let found = world.payment.transactions.get(id).cloned();
        let state = found.as_ref().map(|found| found.state);
        let action = &self.plan.clients[client].action;
        match answered {
            Answered::Result(verdict) => {
                let expected = match verdict {
                    0 => &[State::Success][..],
                    1 => &[State::Pending, State::Success, State::Failure],
                    _ => &[State::Failure],
                };
                if !state.is_some_and(|state| expected.contains(&state)) {
                    world.violated(format!("{id} was answered {verdict}, but is {state:?}"));
                }
                let same =
                    found.and_then(|found| found.action()).is_some_and(|made| made == *action);
                if !same {
                    world.violated(format!("{id} was answered for an action with other content"));
                }
            }
            Answered::NothingSent
            | Answered::Refused
            | Answered::Busy
            | Answered::KeyReused
            | Answered::Unknown => {}
        }
        drop(world);
        self.check_client(client);
    }

    /// One wish, one effect, however often it was asked.
    pub fn check_client(&self, client: usize) {
        if self.plan.clients[client].key.is_some() {
            return;
        }
        let mut world = locked(&self.world);
        let prefix = format!("c{client}a");
        let mine = |id: &TransactionId| id.as_str().starts_with(&prefix);
        let count = world.effects.iter().filter(|effect| mine(&effect.transaction)).count();
        if count > 1 {
            world.violated(format!("client {client} wanted it once and got it {count} times"));
        }
    }
}

fn failed(op: &Op, call: Answer) -> Answer {
    if matches!(op, Op::Call(_)) { call } else { Answer::Unavailable }
}

/// What of an answer makes a difference to who gets it.
fn described(answer: &Answer) -> String {
    match answer {
        Answer::Payment(payment) => {
            format!("payment {:?}", payment.as_ref().map(|payment| payment.version))
        }
        Answer::Keys(keys) => format!("{} keys", keys.len()),
        Answer::Reserved(Ok(payment), _) => format!("reserved, version {}", payment.version),
        Answer::Reserved(Err(payment), may_arrive) => {
            format!("refused, version {}, copy under way: {may_arrive}", payment.version)
        }
        Answer::Replaced(Ok(())) => "replaced".to_owned(),
        Answer::Replaced(Err(payment)) => format!("changed, version {}", payment.version),
        Answer::Verdict(verdict) => format!("{verdict:?}"),
        Answer::Seen(seen) => format!("{seen:?}"),
        Answer::Unavailable => "unavailable".to_owned(),
        Answer::NeverExecuted => "never executed".to_owned(),
        Answer::Unclear => "unclear".to_owned(),
    }
}

impl Answered {
    fn of(acted: &Result<Done, ActError>) -> Self {
        match acted {
            Ok(done) => Self::Result(match done.verdict {
                Verdict::Approved => 0,
                Verdict::Received => 1,
                Verdict::Rejected => 2,
            }),
            Err(ActError::Refused(Refusal::InFlight | Refusal::LeaseExpired)) => Self::Busy,
            Err(ActError::Refused(Refusal::KeyReused)) => Self::KeyReused,
            Err(ActError::Refused(Refusal::Withdrawn)) => Self::NothingSent,
            Err(ActError::Refused(_) | ActError::NotFound | ActError::Corrupt(_)) => Self::Refused,
            Err(ActError::ConnectorFailed | ActError::Unavailable(_)) => Self::NothingSent,
            Err(ActError::OutcomeUnknown { .. }) => Self::Unknown,
        }
    }
}
