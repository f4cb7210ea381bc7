//! What to do with what was left open: free the slot of a holder that can no
//! longer send, then find out what came of each transaction, by the means that
//! its connector leaves us. Never by a guess, and never by time alone.
//!
//! Any number of recoveries may run at once: each write is made over the Payment
//! that was seen, so whoever comes second changes nothing.

pub use crate::payment::SETTLE_WINDOW_MS;

use crate::mutants::Mutant;
use crate::observe;
use crate::payment::{
    Nonce, Outcome, Payment, PaymentKey, Settlement, State, Timestamp, Transaction, TransactionId,
};
use crate::ports::{
    Absence, BoxError, Clock, Connector, Lookup, Policy, Rejections, ReplaceError, Seen, Served,
    Store, StoreError,
};
use crate::service::{CALL_MIN_MS, Invocation, SETTLE_RESERVE_MS, Service, Settled};
use serde::Serialize;

/// By how much the platform's clock may be behind ours.
const CLOCKS_DIFFER_MS: u64 = 5_000;

/// How many open Payments one run looks at.
pub const PAYMENTS_MAX: usize = 1_000;

/// What one run found, after what it did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Payments with something open that were looked at.
    pub payments: u64,
    /// Transactions that are still open.
    pub open: u64,
    /// Those of them that we sent, and whose outcome is Unknown.
    pub unknown: u64,
    /// Transactions that are no longer open.
    pub resolved: u64,
    /// How long the oldest open transaction has been open.
    pub oldest_ms: u64,
    /// How long the oldest Unknown one has been.
    pub oldest_unknown_ms: u64,
    /// Payments that could not be read or written.
    pub failed: u64,
    /// Whether the time ran out before all was looked at. The next run goes on.
    pub is_cut_short: bool,
}

impl<S: Store, C: Connector, K: Clock> Service<S, C, K> {
    /// One run over what is open, until `deadline`. `nonce` makes a new one for
    /// each attempt.
    pub async fn recover(
        &self,
        deadline: Timestamp,
        mut nonce: impl FnMut() -> Nonce + Send,
    ) -> Result<Report, StoreError> {
        let mut report = Report::default();
        for key in self.store.open(PAYMENTS_MAX).await? {
            if !self.has_time(deadline) {
                report.is_cut_short = true;
                break;
            }
            match self.visit(&key, deadline, &mut nonce).await {
                Ok(Some((before, after))) => report.count(&before, &after, self.clock.now()),
                Ok(None) => {}
                Err(error) => {
                    report.failed = report.failed.saturating_add(1);
                    observe::not_recovered(&key, &error);
                }
            }
        }
        Ok(report)
    }

    /// Brings one Payment as far as it goes; answers it as it was and as it is.
    async fn visit(
        &self,
        key: &PaymentKey,
        deadline: Timestamp,
        nonce: &mut (impl FnMut() -> Nonce + Send),
    ) -> Result<Option<(Payment, Payment)>, BoxError> {
        let Some(before) = self.store.get(key).await? else { return Ok(None) };
        let mut payment = before.clone();
        if let Some(next) = payment.expire(self.clock.now()) {
            observe::lease_ran_out(&payment, &next);
            payment = self.replaced(&payment, next).await?;
        }
        // The latest first: what is shown is rather its than an older one's.
        let due = payment.due(self.clock.now());
        for id in due.into_iter().rev().map(|open| open.id.clone()).collect::<Vec<_>>() {
            // Without time for an attempt, what is due stays due.
            if self.has_time(deadline) {
                payment = self.pursue(payment, &id, deadline, nonce).await?;
            }
        }
        Ok(Some((before, payment)))
    }

    /// Whether there is time for one more call, and to write down what comes of
    /// it.
    fn has_time(&self, deadline: Timestamp) -> bool {
        let needed_ms = SETTLE_RESERVE_MS.saturating_add(CALL_MIN_MS);
        deadline.ms_since(self.clock.now()) >= needed_ms
    }

    /// Tries to find out what came of one transaction.
    async fn pursue(
        &self,
        payment: Payment,
        id: &TransactionId,
        deadline: Timestamp,
        nonce: &mut (impl FnMut() -> Nonce + Send),
    ) -> Result<Payment, BoxError> {
        let now = self.clock.now();
        let Some(open) = payment.transactions.get(id) else { return Ok(payment) };
        let policy = self.connector.policy(&Served::of(&payment));
        let mut earliest = now;
        let mut payment = payment.clone();
        if open.state == State::Unknown && Mutant::ExpireHoldsByTime.is_on() {
            let settled = payment.settle(id, &Nonce::new(0), Outcome::Disproved, now)?;
            if let Settlement::Changed(next) = settled {
                payment = self.replaced(&payment, *next).await?;
            }
        } else if open.state == State::Unknown && self.may_resend(&payment, id) {
            payment = self.resend(payment, id, deadline, nonce()).await?;
        } else if policy.lookup == Lookup::Payment {
            let window_ends = if Mutant::LookUpAtOnce.is_on() { now } else { open.window_ends() };
            if window_ends <= now {
                payment = self.look_up(payment, id, policy, deadline).await?;
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
        // What it came to is in the store, or will be looked for again.
        let _: Settled = self.attempt(held, id, &invocation).await;
        Ok(self.store.get(&key).await?.ok_or("the Payment is gone")?)
    }

    /// Settles the transaction by what the platform shows. What was seen counts
    /// for the Payment it was compared with, and for no later one.
    async fn look_up(
        &self,
        payment: Payment,
        id: &TransactionId,
        policy: Policy,
        deadline: Timestamp,
    ) -> Result<Payment, BoxError> {
        let deadline = deadline.minus_ms(SETTLE_RESERVE_MS);
        let seen = match self.connector.look_up(&Served::of(&payment), deadline).await {
            Ok(seen) => seen,
            Err(error) => {
                observe::not_looked_up(&payment.key, id, &error);
                return Ok(payment);
            }
        };
        let Some(outcome) = shown(&payment, id, &seen, policy) else { return Ok(payment) };
        let nobody = Nonce::new(0);
        match payment.settle(id, &nobody, outcome, self.clock.now())? {
            Settlement::Changed(next) => {
                let replaced = self.replaced(&payment, *next).await?;
                observe::transition(&payment, &replaced, id);
                Ok(replaced)
            }
            Settlement::Unchanged(_) | Settlement::Gone => Ok(payment),
        }
    }

    /// The Payment as it is after trying to write `next` over `from`: `next`, or
    /// what somebody else wrote first.
    async fn replaced(&self, from: &Payment, next: Payment) -> Result<Payment, BoxError> {
        match self.store.replace(from, &next).await {
            Ok(()) => Ok(next),
            Err(ReplaceError::Changed(found)) => Ok(*found),
            Err(error @ (ReplaceError::Gone | ReplaceError::Store(_))) => Err(error.into()),
        }
    }
}

/// What the platform's transactions prove of ours; `None` where they prove
/// nothing.
fn shown(payment: &Payment, id: &TransactionId, seen: &[Seen], policy: Policy) -> Option<Outcome> {
    let open = payment.transactions.get(id)?;
    let alike = |seen: &&Seen| seen.kind == open.kind && seen.amount == open.amount;
    // Nobody knows whose it is.
    if seen.iter().filter(alike).any(|seen| seen.timestamp.is_none()) {
        return None;
    }
    let happened = claimed(payment, open, seen, State::Success, &[State::Success, State::Pending]);
    if let Some(theirs) = happened {
        let is_done = theirs.state == State::Success;
        return Some(if is_done { Outcome::Approved } else { Outcome::Received });
    }
    let trusted = policy.rejected == Rejections::Final || Mutant::TrustShownFailures.is_on();
    // Where failures are not trusted, none of ours came to one that is shown.
    let settled = if trusted { State::Failure } else { State::Unknown };
    let failed = claimed(payment, open, seen, settled, &[State::Failure]).is_some();
    let begun = claimed(payment, open, seen, State::Initial, &[State::Initial]).is_some();
    let proof = policy.absence == Absence::Proof || Mutant::AbsenceIsProof.is_on();
    // One that none of ours accounts for may be this one, by a clock that differs
    // more than we think.
    let is_positive = |state: State| matches!(state, State::Success | State::Pending);
    let theirs = seen.iter().filter(alike).filter(|seen| is_positive(seen.state)).count();
    let accounted = payment
        .transactions
        .values()
        .filter(|ours| ours.kind == open.kind && ours.amount == open.amount)
        .filter(|ours| is_positive(ours.state));
    let is_left_over = theirs > accounted.count();
    let is_absent = !failed && !begun && !is_left_over;
    let absent = open.state == State::Unknown && open.was_ours() && proof && is_absent;
    ((failed && trusted) || absent).then_some(Outcome::Disproved)
}

/// The transaction among those shown in one of `states` that is `open`'s.
///
/// One is ours if it has the same type and amount. Where several of ours could
/// claim it, it is that which came to the end `settled` already, or else the
/// latest that began before it: a connector records what it does when it does it.
fn claimed<'a>(
    payment: &Payment,
    open: &Transaction,
    seen: &'a [Seen],
    settled: State,
    states: &[State],
) -> Option<&'a Seen> {
    let mut ours: Vec<_> = payment
        .transactions
        .values()
        .filter(|ours| ours.kind == open.kind && ours.amount == open.amount)
        .filter(|ours| ours.is_open() || ours.state == settled)
        .collect();
    ours.sort_by_key(|ours| (ours.state == settled, ours.timestamp));
    let mut theirs: Vec<_> = seen
        .iter()
        .filter(|theirs| theirs.kind == open.kind && theirs.amount == open.amount)
        .filter(|theirs| states.contains(&theirs.state))
        .collect();
    theirs.sort_by_key(|theirs| theirs.timestamp);
    // What was registered here happened elsewhere before, whenever that was.
    let began = |ours: &Transaction, theirs: &Seen| {
        let since = Some(ours.timestamp.minus_ms(CLOCKS_DIFFER_MS));
        (ours.timestamp <= payment.created_at || theirs.timestamp >= since)
            && (!Mutant::ClaimTwice.is_on() || ours.id == open.id)
    };
    theirs.retain(|theirs| {
        let claims = |ours: &&Transaction| ours.state == settled && began(ours, theirs);
        let claimed = (theirs.state == settled).then(|| ours.iter().rposition(claims)).flatten();
        claimed.map(|at| ours.remove(at)).is_none()
    });
    for theirs in theirs {
        if let Some(claims) = ours.iter().rposition(|ours| began(ours, theirs))
            && ours.remove(claims).id == open.id
        {
            return Some(theirs);
        }
    }
    None
}

impl Report {
    fn count(&mut self, before: &Payment, after: &Payment, now: Timestamp) {
        self.payments = self.payments.saturating_add(1);
        for open in after.open_transactions() {
            self.open = self.open.saturating_add(1);
            let age_ms = now.ms_since(open.timestamp);
            self.oldest_ms = self.oldest_ms.max(age_ms);
            // What others began is theirs to find out about, and may never end.
            if open.state == State::Unknown && open.was_ours() {
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
