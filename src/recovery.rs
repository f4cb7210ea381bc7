//! Recovery of open transactions. It frees slots whose lease has expired, and then finds
//! the outcome of each transaction by the means that its connector offers: never by a
//! guess, and never by time alone.
//!
//! Any number of recoveries may run at once. Each write is conditional on the version of
//! the Payment that was read, so that the second of two writers changes nothing.

mod report;
mod run;

pub use crate::payment::SETTLE_WINDOW_MS;
pub use report::{ConnectorRun, RecoveryRun};
pub use run::{CALLS_AT_ONCE, CALLS_PER_CONNECTOR, UNANSWERED_MAX};

use crate::error::BoxError;
use crate::observe;
use crate::payment::{Nonce, Payment, PaymentKey, Settlement, State, Timestamp, TransactionId};
use crate::ports::{
    Clock, Connector, ConnectorKey, IndexPart, Lookup, Policy, ReplaceError, Store, StoreError,
};
use crate::service::{Invocation, SETTLE_RESERVE_MS, Service, with_rest_released};
use run::Run;
use std::sync::{Mutex, PoisonError};

/// The number of due Payments that one process settles within its minute. At 200 a second
/// they take 25 s.
pub const PAYMENTS_PER_PROCESS: u64 = 5_000;

/// The highest number of processes that share the work of one minute.
pub const PROCESSES_MAX: usize = 16;

/// A Payment with an open transaction that recovery has loaded.
struct OpenPayment {
    payment: Payment,
    /// The transactions that were open when the Payment was loaded.
    open_before: Vec<TransactionId>,
}

/// The calls to a connector for one Payment.
#[derive(Default)]
struct Calls {
    /// For each call, in order, true if it was answered.
    answered: Vec<bool>,
    /// True if the time ran out before a call for each due transaction.
    is_cut_short: bool,
}

impl<S: Store, C: Connector, K: Clock> Service<S, C, K> {
    /// Runs recovery over the Payments that are due, until `deadline`. `nonce` generates a
    /// new nonce for each attempt.
    pub async fn recover(
        &self,
        deadline: Timestamp,
        nonce: impl FnMut() -> Nonce + Send,
    ) -> Result<RecoveryRun, StoreError> {
        self.recover_part(IndexPart::WHOLE, deadline, nonce).await
    }

    /// Runs recovery over the due Payments in a part of the index.
    pub async fn recover_part(
        &self,
        part: IndexPart,
        deadline: Timestamp,
        nonce: impl FnMut() -> Nonce + Send,
    ) -> Result<RecoveryRun, StoreError> {
        let nonce = Mutex::new(nonce);
        let nonce = || {
            let mut next = nonce.lock().unwrap_or_else(PoisonError::into_inner);
            (*next)()
        };
        Run::new(self, part, deadline, &nonce).run_to_end().await
    }

    /// Counts and measures the open Payments. Returns the parts of the index for this
    /// minute's run, one for each process.
    pub async fn plan_recovery(&self) -> Result<Vec<IndexPart>, StoreError> {
        let now = self.clock.now();
        let count = self.store.count_open(now).await?;
        report::log_open(count, now);
        let processes = count.due.div_ceil(PAYMENTS_PER_PROCESS).max(1);
        let processes = usize::try_from(processes).unwrap_or(PROCESSES_MAX).min(PROCESSES_MAX);
        Ok((0..processes).filter_map(|part| IndexPart::new(part, processes)).collect())
    }

    /// Loads a Payment, and does the work that needs no connector: frees a slot whose lease
    /// has expired, and applies the Failures that waited long enough.
    async fn load(&self, key: &PaymentKey) -> Result<Option<OpenPayment>, BoxError> {
        let Some(mut payment) = self.store.get(key).await? else { return Ok(None) };
        let open_before = payment.open_transactions().map(|open| open.id.clone()).collect();
        if let Some(next) = payment.expire(self.clock.now()) {
            observe::log_expired_lease(&payment, &next);
            payment = self.replace(&payment, next).await?;
        }
        let policy = self.connector.policy(&ConnectorKey::of(&payment));
        let now = self.clock.now();
        if let Some(next) = payment.apply_waiting_failures(now, policy.is_trusted()) {
            let next = with_rest_released(&payment, next, policy.rest, now);
            let replaced = self.replace(&payment, next).await?;
            observe::log_update(&payment, &replaced, self.clock.now());
            payment = replaced;
        }
        Ok(Some(OpenPayment { payment, open_before }))
    }

    /// Tries to find the outcome of each due transaction, and notes its calls in `calls`.
    async fn resolve_due(
        &self,
        mut open: OpenPayment,
        deadline: Timestamp,
        nonce: &(dyn Fn() -> Nonce + Sync),
        calls: &mut Calls,
    ) -> Result<OpenPayment, BoxError> {
        // The latest first: a transaction on the platform is most likely the latest of ours.
        let due = open.payment.due(self.clock.now());
        for id in due.into_iter().rev().map(|open| open.id.clone()).collect::<Vec<_>>() {
            // Without time for an attempt, the transaction stays due.
            if !self.has_time(deadline) {
                calls.is_cut_short = true;
                break;
            }
            open.payment = self.resolve(open.payment, &id, deadline, nonce, calls).await?;
        }
        Ok(open)
    }

    /// Tries to find the outcome of one transaction: sends it again, or looks it up.
    async fn resolve(
        &self,
        payment: Payment,
        id: &TransactionId,
        deadline: Timestamp,
        nonce: &(dyn Fn() -> Nonce + Sync),
        calls: &mut Calls,
    ) -> Result<Payment, BoxError> {
        let now = self.clock.now();
        let Some(open) = payment.transactions.get(id) else { return Ok(payment) };
        let policy = self.connector.policy(&ConnectorKey::of(&payment));
        let mut earliest = now;
        let mut payment = payment.clone();
        if open.waiting_failure.is_some() {
            earliest = open.window_ends();
        }
        if open.state == State::Unknown && self.may_resend(&payment, id) {
            payment = self.resend(payment, id, deadline, nonce(), calls).await?;
        } else if policy.lookup == Lookup::Payment {
            let window_ends = open.window_ends();
            if window_ends <= now {
                payment = self.look_up(payment, id, &policy, deadline, calls).await?;
            }
            earliest = window_ends;
        }
        match payment.transactions.get(id) {
            Some(open) if open.is_open() && payment.in_flight.is_none() => {
                let next = payment.look_again(id, self.clock.now(), earliest);
                self.replace(&payment, next).await
            }
            Some(_) | None => Ok(payment),
        }
    }

    /// Sends the transaction again, with the same key.
    async fn resend(
        &self,
        payment: Payment,
        id: &TransactionId,
        deadline: Timestamp,
        nonce: Nonce,
        calls: &mut Calls,
    ) -> Result<Payment, BoxError> {
        let correlation_id = format!("recovery-{id}");
        let invocation = Invocation { nonce, deadline, correlation_id, bearer: None };
        let Ok(next) = payment.resume(id, nonce, self.clock.now(), invocation.lease()) else {
            return Ok(payment);
        };
        let held = self.replace(&payment, next).await?;
        if !held.is_held_by(&nonce) {
            return Ok(held);
        }
        let key = held.key.clone();
        // The outcome is in the store, or the next run looks for it.
        let attempt = self.attempt(held, id, &invocation).await;
        calls.answered.push(attempt.is_answered);
        Ok(self.store.get(&key).await?.ok_or("the Payment does not exist any more")?)
    }

    /// Settles the transaction by the platform's Payment. The result is written only over
    /// the version that was compared with it.
    async fn look_up(
        &self,
        payment: Payment,
        id: &TransactionId,
        policy: &Policy,
        deadline: Timestamp,
        calls: &mut Calls,
    ) -> Result<Payment, BoxError> {
        let deadline = deadline.minus_ms(SETTLE_RESERVE_MS);
        let Some(open) = payment.transactions.get(id) else { return Ok(payment) };
        let looked_up = self.connector.look_up(&ConnectorKey::of(&payment), open, deadline).await;
        calls.answered.push(looked_up.is_ok());
        let reports = match looked_up {
            Ok(reports) => reports,
            Err(error) => {
                observe::log_failed_look_up(&payment.key, id, &error);
                return Ok(payment);
            }
        };
        match payment.look_up(id, &reports, &policy.proof(), self.clock.now())? {
            Settlement::Changed(next) => {
                let next = with_rest_released(&payment, *next, policy.rest, self.clock.now());
                let replaced = self.replace(&payment, next).await?;
                observe::log_transition(&payment, &replaced, id);
                observe::log_release(&payment, &replaced);
                Ok(replaced)
            }
            Settlement::Unchanged(_) | Settlement::Gone => Ok(payment),
        }
    }

    /// Writes `next` over `from`. Returns `next`, or the version that another writer wrote
    /// first.
    async fn replace(&self, from: &Payment, next: Payment) -> Result<Payment, BoxError> {
        match self.store.replace(from, &next).await {
            Ok(()) => Ok(next),
            Err(ReplaceError::Changed(found)) => Ok(*found),
            Err(error @ (ReplaceError::Gone | ReplaceError::Store(_))) => Err(error.into()),
        }
    }
}
