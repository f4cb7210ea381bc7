//! Runs of the real code: started, answered call by call, killed.

use crate::answers::{Answered, described};
use crate::ports::{Port, locked};
use crate::schedule::Schedule;
use crate::world::{Answer, Doing, Op, Process, SKEW_MS, World, key, nonce};
use payment_intents::payment::{Timestamp, TransactionId};
use payment_intents::ports::Clock;
use payment_intents::service::{Invocation, Request, Service};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// The time of an invocation.
pub const INVOCATION_MS: u64 = 28_000;

pub struct Run {
    /// The number of the client whose attempt it is.
    client: Option<usize>,
    future: Pin<Box<dyn Future<Output = Option<Answered>>>>,
}

impl Schedule {
    /// Answers the call of `run`, and continues it.
    pub fn answer(&mut self, run: usize, with: impl FnOnce(&mut World, &Op) -> Answer) {
        {
            let mut world = locked(&self.world);
            let Some(op) = world.processes[run].pending.take() else { return };
            let answer = with(&mut world, &op);
            world.processes[run].decided = None;
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
                self.ended(run, ended.client, answered);
            }
        }
    }

    pub fn crash(&mut self, run: usize, after: bool) {
        self.plan.crashes -= 1;
        {
            let mut world = locked(&self.world);
            if let Some(op) = world.processes[run].pending.take()
                && after
            {
                world.carry_out(run, &op);
            }
        }
        self.kill(run);
    }

    /// Ends the process. Its sent messages may still arrive.
    pub fn kill(&mut self, run: usize) {
        let Some(killed) = self.runs[run].take() else { return };
        let client = killed.client;
        drop(killed.future);
        self.ended(run, client, None);
    }

    /// Advances time: processes past their deadline are killed, old messages are lost, and
    /// sleepers wake.
    pub fn pass_until(&mut self, then: Timestamp) {
        let then = then.max(locked(&self.world).now);
        locked(&self.world).now = then;
        for run in 0..self.runs.len() {
            let deadline = locked(&self.world).processes[run].deadline;
            if self.runs[run].is_some() && deadline.is_some_and(|deadline| deadline <= then) {
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

    /// Starts a run of the real code.
    pub fn begin<F>(
        &mut self,
        doing: Doing,
        client: Option<usize>,
        deadline: Timestamp,
        code: impl FnOnce(Port) -> F,
    ) where
        F: Future<Output = Option<Answered>> + 'static,
    {
        let process = {
            let mut world = locked(&self.world);
            let deadline = Some(deadline);
            let clock_ms = match (world.is_skewed, world.processes.len() % 3) {
                (false, _) | (true, 2) => SKEW_MS / 2,
                (true, 0) => 0,
                (true, _) => SKEW_MS,
            };
            world.processes.push(Process { deadline, doing, clock_ms, ..Process::default() });
            world.processes.len() - 1
        };
        let port = Port { world: Arc::clone(&self.world), process };
        self.runs.push(Some(Run { client, future: Box::pin(code(port)) }));
        self.poll(process);
    }

    pub fn start(&mut self, client: usize) {
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
        let nonce = nonce(&mut self.nonces);
        let doing = Doing::Acting(transaction.clone());
        self.begin(doing, Some(client), deadline, |port| async move {
            let invocation = Invocation {
                nonce,
                deadline: port.now().plus_ms(INVOCATION_MS),
                correlation_id: String::new(),
                bearer: None,
            };
            let request = Request {
                key: key(),
                transaction,
                action: spec.action,
                merchant_reference: spec.reference.map(str::to_owned),
                invocation,
            };
            let service = Service::new(port.clone(), port.clone(), port);
            Some(Answered::of(&service.act(request).await))
        });
    }

    pub fn recover(&mut self) {
        let began = locked(&self.world).now;
        let deadline = began.plus_ms(INVOCATION_MS);
        let first = self.nonces;
        self.nonces += 1_000;
        self.begin(Doing::Recovering, None, deadline, |port| async move {
            let deadline = port.now().plus_ms(INVOCATION_MS);
            let service = Service::new(port.clone(), port.clone(), port);
            let mut count = first;
            let _ = service.recover(deadline, move || nonce(&mut count)).await;
            None
        });
    }

    /// Ends a run, with or without an answer.
    fn ended(&mut self, run: usize, client: Option<usize>, answered: Option<Answered>) {
        let doing = {
            let mut world = locked(&self.world);
            world.processes[run].wake_at = None;
            std::mem::take(&mut world.processes[run].doing)
        };
        if let Some(client) = client {
            self.attempts[client].1 = answered;
            self.attempts[client].2 = false;
        }
        match (doing, client, answered) {
            (Doing::Acting(transaction), Some(client), Some(answered)) => {
                self.check_answer(client, &transaction, answered);
            }
            (Doing::SentReport(sent_report), _, answered) => {
                self.record_applied(&sent_report, answered == Some(Answered::Told));
            }
            (Doing::NeverHappened | Doing::Recovering | Doing::Acting(_), _, _) => {}
        }
    }
}
