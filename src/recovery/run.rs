//! The scheduling of one run: the Payments that are worked on at the same time, and those
//! that are left for a later run.
//!
//! ```text
//! index, page by page ─► load, expire leases ─► queue of the connector ─► calls
//! ```
//!
//! Reading the index, loading Payments and expiring leases wait for no connector. Each
//! connector has a queue, so that a slow connector does not delay the others.

use super::report::{ConnectorRun, RecoveryRun};
use super::{Calls, OpenPayment};
use crate::error::BoxError;
use crate::observe;
use crate::payment::{Nonce, Timestamp};
use crate::ports::{
    Clock, Connector, ConnectorKey, DuePage, DuePayment, IndexPart, Store, StoreError,
};
use crate::service::Service;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::collections::{BTreeMap, VecDeque};

/// The highest number of Payments for which one run calls connectors at the same time.
pub const CALLS_AT_ONCE: usize = 64;

/// The highest number of Payments for which one run calls the same connector at the same
/// time.
pub const CALLS_PER_CONNECTOR: usize = 8;

/// The number of consecutive calls without an answer after which a connector is not called
/// again in the run.
pub const UNANSWERED_MAX: u32 = 3;

/// The highest number of Payments that are loaded at the same time.
const LOADS_AT_ONCE: usize = 16;

/// The highest number of loaded Payments in the queue of one connector. Of further ones,
/// only the key is kept.
const LOADED_MAX: usize = 64;

/// The number of queued Payments above which the index is not read further.
const WAITING_MAX: usize = 50_000;

/// A step that has ended.
enum Done<P> {
    Read(Result<DuePage<P>, StoreError>),
    Loaded(DuePayment, LoadResult),
    Called { connector: String, due: DuePayment, calls: Calls, result: LoadResult },
}

/// A Payment, `None` if it does not exist any more.
type LoadResult = Result<Option<OpenPayment>, BoxError>;

type Work<'a, P> = FuturesUnordered<BoxFuture<'a, Done<P>>>;

/// A Payment in the queue of its connector.
enum Waiting {
    Loaded(DuePayment, Box<OpenPayment>),
    Unloaded(DuePayment),
}

/// The queue of one connector.
#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    /// The number of loaded Payments in `waiting`.
    loaded: usize,
    /// The number of Payments for which the connector is being called.
    calling: usize,
    /// The number of consecutive calls without an answer.
    unanswered: u32,
    figures: ConnectorRun,
}

impl Queue {
    fn is_left_out(&self) -> bool {
        self.unanswered >= UNANSWERED_MAX
    }

    fn can_start(&self) -> bool {
        !self.waiting.is_empty() && self.calling < CALLS_PER_CONNECTOR
    }

    fn push(&mut self, due: DuePayment, payment: OpenPayment) {
        if self.loaded < LOADED_MAX {
            self.loaded = self.loaded.saturating_add(1);
            self.waiting.push_back(Waiting::Loaded(due, Box::new(payment)));
        } else {
            self.waiting.push_back(Waiting::Unloaded(due));
        }
    }

    fn pop(&mut self) -> Option<Waiting> {
        let first = self.waiting.pop_front()?;
        if matches!(first, Waiting::Loaded(..)) {
            self.loaded = self.loaded.saturating_sub(1);
        }
        Some(first)
    }
}

/// One run over a part of the index.
pub(super) struct Run<'a, S: Store, C, K> {
    service: &'a Service<S, C, K>,
    part: IndexPart,
    started: Timestamp,
    deadline: Timestamp,
    nonce: &'a (dyn Fn() -> Nonce + Sync),
    index: Index<S::IndexPosition>,
    /// Entries that were read, and whose Payments are not loaded yet.
    entries: VecDeque<DuePayment>,
    loading: usize,
    queues: BTreeMap<String, Queue>,
    report: RecoveryRun,
}

/// The progress of reading the index.
enum Index<P> {
    Next(Option<P>),
    Reading,
    Read,
}

impl<'a, S: Store, C: Connector, K: Clock> Run<'a, S, C, K> {
    pub(super) fn new(
        service: &'a Service<S, C, K>,
        part: IndexPart,
        deadline: Timestamp,
        nonce: &'a (dyn Fn() -> Nonce + Sync),
    ) -> Self {
        Self {
            service,
            part,
            started: service.clock.now(),
            deadline,
            nonce,
            index: Index::Next(None),
            entries: VecDeque::new(),
            loading: 0,
            queues: BTreeMap::new(),
            report: RecoveryRun::default(),
        }
    }

    /// Works until no due Payment is left, or until the time is up. It waits for the calls
    /// that it started.
    pub(super) async fn run_to_end(mut self) -> Result<RecoveryRun, StoreError> {
        let mut work = Work::new();
        let mut failure = None;
        loop {
            if self.service.has_time(self.deadline) {
                self.start_read(&work);
                self.start_loads(&work);
                self.start_calls(&work);
            }
            match work.next().await {
                Some(Done::Read(page)) => failure = self.add_page(page).err().or(failure),
                Some(Done::Loaded(due, loaded)) => self.add_loaded(due, loaded),
                Some(Done::Called { connector, due, calls, result }) => {
                    self.end_calls(&connector, &due, calls, result);
                }
                None => break,
            }
        }
        let is_waiting = self.queues.values().any(|queue| !queue.waiting.is_empty());
        let is_read = matches!(self.index, Index::Read) && failure.is_none();
        self.report.is_cut_short |= !is_read || is_waiting || !self.entries.is_empty();
        self.report.connectors =
            self.queues.into_iter().map(|(name, queue)| (name, queue.figures)).collect();
        match failure {
            // No Payment was loaded, so that the run failed as a whole.
            Some(error) if self.report.payments == 0 => Err(error),
            Some(_) | None => Ok(self.report),
        }
    }

    fn start_read(&mut self, work: &Work<'a, S::IndexPosition>) {
        let waiting = self.queues.values().map(|queue| queue.waiting.len()).sum::<usize>();
        if self.entries.len() >= LOADS_AT_ONCE || waiting >= WAITING_MAX {
            return;
        }
        if let Index::Next(position) = &mut self.index {
            let (service, part, at) = (self.service, self.part, self.started);
            let position = position.take();
            self.index = Index::Reading;
            work.push(Box::pin(
                async move { Done::Read(service.store.due(part, at, position).await) },
            ));
        }
    }

    fn start_loads(&mut self, work: &Work<'a, S::IndexPosition>) {
        while self.loading < LOADS_AT_ONCE
            && let Some(due) = self.entries.pop_front()
        {
            self.loading = self.loading.saturating_add(1);
            let service = self.service;
            work.push(Box::pin(async move {
                let loaded = service.load(&due.key).await;
                Done::Loaded(due, loaded)
            }));
        }
    }

    /// Starts calls, first for the connector with the fewest running calls.
    fn start_calls(&mut self, work: &Work<'a, S::IndexPosition>) {
        let calling = |run: &Self| run.queues.values().map(|queue| queue.calling).sum::<usize>();
        while calling(self) < CALLS_AT_ONCE {
            let startable = self.queues.iter_mut().filter(|(_, queue)| queue.can_start());
            let Some((name, queue)) = startable.min_by_key(|(_, queue)| queue.calling) else {
                return;
            };
            let Some(next) = queue.pop() else { return };
            queue.calling = queue.calling.saturating_add(1);
            let (service, connector) = (self.service, name.clone());
            let (deadline, nonce) = (self.deadline, self.nonce);
            work.push(Box::pin(async move {
                let mut calls = Calls::default();
                let (due, loaded) = match next {
                    Waiting::Loaded(due, payment) => (due, Ok(Some(*payment))),
                    Waiting::Unloaded(due) => {
                        let loaded = service.load(&due.key).await;
                        (due, loaded)
                    }
                };
                let result = match loaded {
                    Ok(Some(open)) => {
                        service.resolve_due(open, deadline, nonce, &mut calls).await.map(Some)
                    }
                    Ok(None) | Err(_) => loaded,
                };
                Done::Called { connector, due, calls, result }
            }));
        }
    }

    fn add_page(
        &mut self,
        page: Result<DuePage<S::IndexPosition>, StoreError>,
    ) -> Result<(), StoreError> {
        self.index = Index::Read;
        let page = page?;
        if let Some(position) = page.next {
            self.index = Index::Next(Some(position));
        }
        if let Some(first) = page.payments.first() {
            let due_ms = self.started.ms_since(first.due_at);
            self.report.oldest_due_ms = self.report.oldest_due_ms.max(due_ms);
        }
        self.entries.extend(page.payments);
        Ok(())
    }

    fn add_loaded(&mut self, due: DuePayment, loaded: LoadResult) {
        self.loading = self.loading.saturating_sub(1);
        let Some(open) = self.take_payment(&due, loaded) else { return };
        let now = self.service.clock.now();
        if open.payment.due(now).is_empty() {
            self.report.count(&open.open_before, &open.payment, now);
            return;
        }
        let connector = ConnectorKey::of(&open.payment);
        let name = self.service.connector.name(&connector);
        let queue = self.queues.entry(name.to_owned()).or_default();
        let due_ms = self.started.ms_since(due.due_at);
        queue.figures.due = queue.figures.due.saturating_add(1);
        queue.figures.oldest_due_ms = queue.figures.oldest_due_ms.max(due_ms);
        if queue.is_left_out() {
            queue.figures.left_out = queue.figures.left_out.saturating_add(1);
            self.report.left_out = self.report.left_out.saturating_add(1);
            self.report.count(&open.open_before, &open.payment, now);
        } else {
            queue.push(due, open);
        }
    }

    fn end_calls(&mut self, connector: &str, due: &DuePayment, calls: Calls, result: LoadResult) {
        self.report.is_cut_short |= calls.is_cut_short;
        let open = self.take_payment(due, result);
        let now = self.service.clock.now();
        let count = |open: OpenPayment| self.report.count(&open.open_before, &open.payment, now);
        let resolved = open.map_or(0, count);
        let Some(queue) = self.queues.get_mut(connector) else { return };
        queue.figures.resolved = queue.figures.resolved.saturating_add(resolved);
        queue.calling = queue.calling.saturating_sub(1);
        if queue.is_left_out() {
            return;
        }
        for is_answered in calls.answered {
            queue.unanswered = if is_answered { 0 } else { queue.unanswered.saturating_add(1) };
        }
        if queue.is_left_out() {
            observe::log_left_out_connector(connector);
            let waiting = std::mem::take(&mut queue.waiting);
            let left_out = u64::try_from(waiting.len()).unwrap_or(u64::MAX);
            queue.figures.left_out = queue.figures.left_out.saturating_add(left_out);
            self.report.left_out = self.report.left_out.saturating_add(left_out);
            for waiting in waiting {
                if let Waiting::Loaded(_, open) = waiting {
                    self.report.count(&open.open_before, &open.payment, now);
                }
            }
        }
    }

    /// The Payment in a result, if it exists. Logs and counts a failure.
    fn take_payment(&mut self, due: &DuePayment, result: LoadResult) -> Option<OpenPayment> {
        result.unwrap_or_else(|error| {
            self.report.failed = self.report.failed.saturating_add(1);
            observe::log_failed_recovery(&due.key, &error);
            None
        })
    }
}
