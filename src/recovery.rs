//! Recovery of open transactions. It frees slots whose lease has expired, and then finds
//! the outcome of each transaction by the means that its connector offers: never by a
//! guess, and never by time alone.
//!
//! Any number of recoveries may run at once. Each write is conditional on the version of
//! the Payment that was read, so that the second of two writers changes nothing.

pub use crate::payment::SETTLE_WINDOW_MS;

use crate::error::BoxError;
use crate::observe::{self, Metric};
use crate::payment::{
    Nonce, Payment, PaymentKey, Settlement, State, Timestamp, Transaction, TransactionId,
};
use crate::ports::{
    Clock, Connector, ConnectorKey, Lookup, Policy, ReplaceError, Store, StoreError,
};
use crate::service::{CALL_MIN_MS, Invocation, SETTLE_RESERVE_MS, Service, with_rest_released};
use serde::Serialize;

/// The highest number of Payments in one run.
pub const PAYMENTS_MAX: usize = 1_000;

/// The result of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RecoveryRun {
    /// The number of Payments with an open transaction that were looked at.
    pub payments: u64,
    /// The number of transactions that are still open.
    pub open: u64,
    /// The number of open transactions that we sent and that are Unknown.
    pub unknown: u64,
    /// The number of transactions that are no longer open.
    pub resolved: u64,
    /// The age of the oldest open transaction.
    pub oldest_ms: u64,
    /// The age of the oldest Unknown transaction.
    pub oldest_unknown_ms: u64,
    /// The number of Payments that could not be read or written.
    pub failed: u64,
    /// True if the time ran out before all were looked at. The next run continues.
    pub is_cut_short: bool,
}

impl<S: Store, C: Connector, K: Clock> Service<S, C, K> {
    /// Runs recovery over the Payments that are due, until `deadline`. `nonce` generates a
    /// new nonce for each attempt.
    pub async fn recover(
        &self,
        deadline: Timestamp,
        mut nonce: impl FnMut() -> Nonce + Send,
    ) -> Result<RecoveryRun, StoreError> {
        let mut run = RecoveryRun::default();
        for key in self.store.due(PAYMENTS_MAX).await? {
            if !self.has_time(deadline) {
                run.is_cut_short = true;
                break;
            }
            match self.recover_payment(&key, deadline, &mut nonce).await {
                Ok(Some((before, after))) => run.count(&before, &after, self.clock.now()),
                Ok(None) => {}
                Err(error) => {
                    run.failed = run.failed.saturating_add(1);
                    observe::log_failed_recovery(&key, &error);
                }
            }
        }
        Ok(run)
    }

    /// Recovers one Payment. Returns it before and after.
    async fn recover_payment(
        &self,
        key: &PaymentKey,
        deadline: Timestamp,
        nonce: &mut (impl FnMut() -> Nonce + Send),
    ) -> Result<Option<(Payment, Payment)>, BoxError> {
        let Some(before) = self.store.get(key).await? else { return Ok(None) };
        let mut payment = before.clone();
        if let Some(next) = payment.expire(self.clock.now()) {
            observe::log_expired_lease(&payment, &next);
            payment = self.replace(&payment, next).await?;
        }
        let policy = self.connector.policy(&ConnectorKey::of(&payment));
        let now = self.clock.now();
        if let Some(next) = payment.apply_waiting_failures(now, policy.is_trusted()) {
            let next = with_rest_released(next, policy, now);
            let replaced = self.replace(&payment, next).await?;
            observe::log_update(&payment, &replaced, self.clock.now());
            payment = replaced;
        }
        // The latest first: a transaction on the platform is most likely the latest of ours.
        let due = payment.due(self.clock.now());
        for id in due.into_iter().rev().map(|open| open.id.clone()).collect::<Vec<_>>() {
            // Without time for an attempt, the transaction stays due.
            if self.has_time(deadline) {
                payment = self.resolve(payment, &id, deadline, nonce).await?;
            }
        }
        Ok(Some((before, payment)))
    }

    /// True if there is time for one more call and the write of its outcome.
    fn has_time(&self, deadline: Timestamp) -> bool {
        let needed_ms = SETTLE_RESERVE_MS.saturating_add(CALL_MIN_MS);
        deadline.ms_since(self.clock.now()) >= needed_ms
    }

    /// Tries to find the outcome of one transaction: sends it again, or looks it up.
    async fn resolve(
        &self,
        payment: Payment,
        id: &TransactionId,
        deadline: Timestamp,
        nonce: &mut (impl FnMut() -> Nonce + Send),
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
            payment = self.resend(payment, id, deadline, nonce()).await?;
        } else if policy.lookup == Lookup::Payment {
            let window_ends = open.window_ends();
            if window_ends <= now {
                payment = self.look_up(payment, id, policy, deadline).await?;
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
        let _ = self.attempt(held, id, &invocation).await;
        Ok(self.store.get(&key).await?.ok_or("the Payment does not exist any more")?)
    }

    /// Settles the transaction by the platform's Payment. The result is written only over
    /// the version that was compared with it.
    async fn look_up(
        &self,
        payment: Payment,
        id: &TransactionId,
        policy: Policy,
        deadline: Timestamp,
    ) -> Result<Payment, BoxError> {
        let deadline = deadline.minus_ms(SETTLE_RESERVE_MS);
        let looked_up = self.connector.look_up(&ConnectorKey::of(&payment), deadline).await;
        let reports = match looked_up {
            Ok(reports) => reports,
            Err(error) => {
                observe::log_failed_look_up(&payment.key, id, &error);
                return Ok(payment);
            }
        };
        match payment.look_up(id, &reports, policy.proof(), self.clock.now())? {
            Settlement::Changed(next) => {
                let next = with_rest_released(*next, policy, self.clock.now());
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

impl RecoveryRun {
    /// Writes the metrics and the log line of a run, also if nothing was open: without a
    /// line, recovery does not run.
    pub fn log(&self, at: Timestamp) {
        let metrics = [
            Metric::count("OpenTransactions", self.open),
            Metric::count("UnknownTransactions", self.unknown),
            Metric::milliseconds("OldestOpenTransaction", self.oldest_ms),
            Metric::milliseconds("OldestUnknownTransaction", self.oldest_unknown_ms),
            Metric::count("ResolvedTransactions", self.resolved),
            Metric::count("UnreadablePayments", self.failed),
        ];
        observe::measure(&metrics, at);
        tracing::info!(
            payments = self.payments,
            open = self.open,
            unknown = self.unknown,
            resolved = self.resolved,
            oldest_ms = self.oldest_ms,
            failed = self.failed,
            is_cut_short = self.is_cut_short,
            "recovery looked at the open transactions"
        );
    }

    fn count(&mut self, before: &Payment, after: &Payment, now: Timestamp) {
        self.payments = self.payments.saturating_add(1);
        for open in after.open_transactions() {
            self.open = self.open.saturating_add(1);
            let age_ms = now.ms_since(open.timestamp);
            self.oldest_ms = self.oldest_ms.max(age_ms);
            // A transaction that began elsewhere is resolved by reports, perhaps never.
            if open.state == State::Unknown && open.was_sent_by_us() {
                self.oldest_unknown_ms = self.oldest_unknown_ms.max(age_ms);
                self.unknown = self.unknown.saturating_add(1);
            }
        }
        let still_open = |open: &&Transaction| {
            after.transactions.get(&open.id).is_some_and(Transaction::is_open)
        };
        let resolved = before.open_transactions().filter(|open| !still_open(open)).count();
        self.resolved = self.resolved.saturating_add(u64::try_from(resolved).unwrap_or(u64::MAX));
    }
}
