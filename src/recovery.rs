//! Recovery of open transactions: frees the slot of a holder that can no longer send,
//! then finds the outcome of each transaction by the means that its connector offers.
//! Never by a guess, and never by time alone.
//!
//! Any number of recoveries may run at once: each write is made over the Payment that
//! was read, so the second of two writers changes nothing.

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
use crate::service::{Invocation, SETTLE_RESERVE_MS, Service};
use run::Run;
use std::sync::{Mutex, PoisonError};

/// The number of due Payments for which one process is enough: it settles them within its
/// minute, at 200 a second, with time to spare.
pub const PAYMENTS_PER_PROCESS: u64 = 5_000;

/// The number of processes that share the work of one minute at most.
pub const PROCESSES_MAX: usize = 16;

/// A Payment with something open, as recovery works on it.
struct OpenPayment {
    payment: Payment,
    /// The transactions that were open when it was read.
    open_before: Vec<TransactionId>,
}

/// The calls that were made for one Payment.
#[derive(Default)]
struct Calls {
    /// True for each that was answered, in order.
    answered: Vec<bool>,
    /// True where the time ran out before all that were due.
    is_cut_short: bool,
}

impl<S: Store, C: Connector, K: Clock> Service<S, C, K> {
    /// One run over all that is due, until `deadline`. `nonce` makes a new one for
    /// each attempt.
    pub async fn recover(
        &self,
        deadline: Timestamp,
        nonce: impl FnMut() -> Nonce + Send,
    ) -> Result<RecoveryRun, StoreError> {
        self.recover_part(IndexPart::WHOLE, deadline, nonce).await
    }

    /// One run over what is due in a part of the index.
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
        Run::new(self, part, deadline, &nonce).finished().await
    }

    /// Counts what is open, measures it, and returns the parts into which the index is
    /// to be divided for this minute's run: one for each process.
    pub async fn plan_recovery(&self) -> Result<Vec<IndexPart>, StoreError> {
        let now = self.clock.now();
        let count = self.store.count_open(now).await?;
        report::log_open(count, now);
        let processes = count.due.div_ceil(PAYMENTS_PER_PROCESS).max(1);
        let processes = usize::try_from(processes).unwrap_or(PROCESSES_MAX).min(PROCESSES_MAX);
        Ok((0..processes).filter_map(|part| IndexPart::new(part, processes)).collect())
    }

    /// Reads a Payment, and does what needs no connector: frees the slot of a holder that
    /// can no longer send, and applies the Failures that waited long enough.
    async fn load(&self, key: &PaymentKey) -> Result<Option<OpenPayment>, BoxError> {
        let Some(mut payment) = self.store.get(key).await? else { return Ok(None) };
        let open_before = payment.open_transactions().map(|open| open.id.clone()).collect();
        if let Some(next) = payment.expire(self.clock.now()) {
            observe::lease_ran_out(&payment, &next);
            payment = self.replaced(&payment, next).await?;
        }
        let is_trusted = self.connector.policy(&ConnectorKey::of(&payment)).is_trusted();
        if let Some(next) = payment.apply_waiting_failures(self.clock.now(), is_trusted) {
            let replaced = self.replaced(&payment, next).await?;
            observe::updated(&payment, &replaced, self.clock.now());
            payment = replaced;
        }
        Ok(Some(OpenPayment { payment, open_before }))
    }

    /// Tries to find the outcome of each transaction that is due.
    async fn pursue_due(
        &self,
        mut open: OpenPayment,
        deadline: Timestamp,
        nonce: &(dyn Fn() -> Nonce + Sync),
        calls: &mut Calls,
    ) -> Result<OpenPayment, BoxError> {
        // The latest first: a shown transaction is more likely to be the latest of ours.
        let due = open.payment.due(self.clock.now());
        for id in due.into_iter().rev().map(|open| open.id.clone()).collect::<Vec<_>>() {
            // Without time for an attempt, what is due stays due.
            if !self.has_time(deadline) {
                calls.is_cut_short = true;
                break;
            }
            open.payment = self.pursue(open.payment, &id, deadline, nonce, calls).await?;
        }
        Ok(open)
    }

    /// Tries to find the outcome of one transaction.
    async fn pursue(
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
                payment = self.look_up(payment, id, policy, deadline, calls).await?;
            }
            earliest = window_ends;
        }
        match payment.transactions.get(id) {
            Some(open) if open.is_open() && payment.in_flight.is_none() => {
                let next = payment.look_again(id, self.clock.now(), earliest);
                self.replaced(&payment, next).await
            }
            Some(_) | None => Ok(payment),
        }
    }

    /// Sends the transaction once more, with the same key.
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
        let held = self.replaced(&payment, next).await?;
        if !held.is_held_by(&nonce) {
            return Ok(held);
        }
        let key = held.key.clone();
        // The outcome is in the store, or will be looked for again.
        let attempt = self.attempt(held, id, &invocation).await;
        calls.answered.push(attempt.is_answered);
        Ok(self.store.get(&key).await?.ok_or("the Payment is gone")?)
    }

    /// Settles the transaction by what the platform shows. That counts for the Payment
    /// that it was compared with, and for no later version.
    async fn look_up(
        &self,
        payment: Payment,
        id: &TransactionId,
        policy: Policy,
        deadline: Timestamp,
        calls: &mut Calls,
    ) -> Result<Payment, BoxError> {
        let deadline = deadline.minus_ms(SETTLE_RESERVE_MS);
        let shown = self.connector.look_up(&ConnectorKey::of(&payment), deadline).await;
        calls.answered.push(shown.is_ok());
        let shown = match shown {
            Ok(shown) => shown,
            Err(error) => {
                observe::not_looked_up(&payment.key, id, &error);
                return Ok(payment);
            }
        };
        match payment.look_up(id, &shown, policy.proof(), self.clock.now())? {
            Settlement::Changed(next) => {
                let replaced = self.replaced(&payment, *next).await?;
                observe::transition(&payment, &replaced, id);
                Ok(replaced)
            }
            Settlement::Unchanged(_) | Settlement::Gone => Ok(payment),
        }
    }

    /// The Payment after trying to write `next` over `from`: `next`, or the version that
    /// another writer wrote first.
    async fn replaced(&self, from: &Payment, next: Payment) -> Result<Payment, BoxError> {
        match self.store.replace(from, &next).await {
            Ok(()) => Ok(next),
            Err(ReplaceError::Changed(found)) => Ok(*found),
            Err(error @ (ReplaceError::Gone | ReplaceError::Store(_))) => Err(error.into()),
        }
    }
}
