//! One action, in order: reserve, call, settle. No other module knows that order.
//!
//! Two things always hold. Nothing is sent that is not durably reserved. No
//! reservation is released without proof that nothing was sent, or that the PSP
//! rejected it.

mod attempt;
mod measure;
mod reserve;
mod update;
mod webhook;

pub use update::{Change, UpdateError};
pub use webhook::{NotNoticed, Noticed};

use crate::payment::{
    Action, Nonce, Payment, PaymentKey, ProjectKey, Refusal, Reservation, State, Timestamp,
    TransactionId,
};
use crate::ports::{Clock, Connector, Name, NotActed, Policy, Rest, Store, StoreError, Verdict};
use crate::secret::Secret;
use futures_util::future::{Either, select};
use measure::Times;
use reserve::Reserved;
use std::future::Future;
use std::pin::{Pin, pin};

/// The time that a lease runs on after the deadline of its invocation: the process is
/// killed at the deadline, and clocks differ a little.
pub const LEASE_MARGIN_MS: u64 = 5_000;

/// The part of an invocation's time that is kept for writing the outcome down.
pub const SETTLE_RESERVE_MS: u64 = 4_000;

/// With less time than this, a connector is not called at all.
pub const CALL_MIN_MS: u64 = 1_000;

/// The part of that time that is kept for answering.
pub const ANSWER_RESERVE_MS: u64 = 300;

/// The number of tries of a write that other writers were faster than.
const CONTENTION_MAX: usize = 8;

/// The pause before a settling write that failed is tried again.
const SETTLE_PAUSE_MS: u64 = 100;

/// One action, as it was asked.
#[derive(Clone, Debug)]
pub struct Request {
    /// The Payment.
    pub key: PaymentKey,
    /// The transaction it becomes.
    pub transaction: TransactionId,
    /// The action that the caller asks for.
    pub action: Action,
    /// The caller's reference.
    pub merchant_reference: Option<String>,
    /// The caller, and the time that is left.
    pub invocation: Invocation,
}

/// The context of one run of this code.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// Random, and never used before.
    pub nonce: Nonce,
    /// When it ends, finished or not.
    pub deadline: Timestamp,
    /// Goes with every message about this request.
    pub correlation_id: String,
    /// The caller's bearer token, for connectors that want it forwarded.
    pub bearer: Option<Secret>,
}

/// A result that is durably recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// The answer of the PSP.
    pub verdict: Verdict,
    /// It was recorded for an earlier request with the same key.
    pub replayed: bool,
}

impl Done {
    /// The result by the state in the ledger. That may differ from the connector's
    /// answer where a report came first.
    fn of(state: State, replayed: bool) -> Result<Self, ActError> {
        let verdict = match state {
            State::Success => Verdict::Approved,
            State::Pending => Verdict::Received,
            State::Failure => Verdict::Rejected,
            State::Unknown | State::Initial => return Err(ActError::OutcomeUnknown { replayed }),
        };
        Ok(Self { verdict, replayed })
    }
}

/// The reasons why an action has no result.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// No such Payment in this project.
    #[error("no such Payment")]
    NotFound,
    /// Our rules refuse it; nothing was sent.
    #[error("refused: {0:?}")]
    Refused(Refusal),
    /// The connector never acted; nothing moved, and the hold was given back. Holds
    /// its answer, if it was reached. The cause is in the log line of the call.
    #[error("the connector did not act")]
    ConnectorFailed(Option<NotActed>),
    /// It may have happened. The hold is kept.
    #[error("the outcome is not known yet")]
    OutcomeUnknown {
        /// It was so for an earlier request with the same key.
        replayed: bool,
    },
    /// The store failed before the connector was called; nothing was sent.
    #[error("the store failed before anything was sent")]
    Unavailable(#[source] StoreError),
    /// The stored Payment cannot be read; nothing was sent.
    #[error("the stored Payment cannot be read")]
    Corrupt(#[source] StoreError),
}

/// The operations on Payments, over a store and a connector.
#[derive(Debug)]
pub struct Service<S, C, K> {
    pub(crate) store: S,
    pub(crate) connector: C,
    pub(crate) clock: K,
}

impl<S: Store, C: Connector, K: Clock> Service<S, C, K> {
    /// A service over these three.
    pub fn new(store: S, connector: C, clock: K) -> Self {
        Self { store, connector, clock }
    }

    /// The time, as this service sees it.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Reads a Payment.
    pub async fn get(&self, key: &PaymentKey) -> Result<Option<Payment>, StoreError> {
        self.store.get(key).await
    }

    /// Reads the Payment of `project` that has this name.
    pub async fn find(
        &self,
        project: &ProjectKey,
        name: &Name,
    ) -> Result<Option<Payment>, StoreError> {
        self.store.find(project, name).await
    }

    /// Carries out one action: exactly once, whatever repeats or races.
    pub async fn act(&self, request: Request) -> Result<Done, ActError> {
        let started = self.clock.now();
        let mut times = Times::default();
        let acted = self.act_timed(request, &mut times).await;
        let now = self.clock.now();
        times.total_ms = now.ms_since(started);
        measure::measure(&acted, times, now);
        acted
    }

    async fn act_timed(&self, request: Request, times: &mut Times) -> Result<Done, ActError> {
        let reservation = self.reservation(&request);
        let deadline = request.invocation.deadline;
        let last_call = deadline.minus_ms(SETTLE_RESERVE_MS);
        if last_call.ms_since(reservation.at) < CALL_MIN_MS {
            return Err(OutOfTime.into());
        }
        let reserved = self.in_time(last_call, pin!(self.reserve(&reservation))).await;
        times.reserve_ms = self.clock.now().ms_since(reservation.at);
        let payment = match reserved.unwrap_or_else(|| Err(OutOfTime.into())) {
            Ok(Reserved::Now(payment)) => *payment,
            Ok(Reserved::Before(state)) => return Done::of(state, true),
            Err(why) => return Err(self.not_reserved(&reservation, deadline, why).await),
        };
        let attempt = self.attempt(payment, &reservation.transaction, &request.invocation).await;
        times.settle_ms = Some(attempt.settle_ms);
        Done::of(attempt.settled?, false)
    }

    fn reservation(&self, request: &Request) -> Reservation {
        Reservation {
            key: request.key.clone(),
            transaction: request.transaction.clone(),
            nonce: request.invocation.nonce,
            action: request.action.clone(),
            merchant_reference: request.merchant_reference.clone(),
            at: self.clock.now(),
            lease: request.invocation.lease(),
        }
    }

    /// The result of `work`, if it is there before the last moment in which an answer
    /// can still be given. Work that is dropped then may be done all the same.
    async fn in_time<T>(
        &self,
        deadline: Timestamp,
        work: Pin<&mut impl Future<Output = T>>,
    ) -> Option<T> {
        let left_ms = deadline.minus_ms(ANSWER_RESERVE_MS).ms_since(self.clock.now());
        match select(work, pin!(self.clock.sleep_ms(left_ms))).await {
            Either::Left((done, _)) => Some(done),
            Either::Right(((), _)) => None,
        }
    }
}

impl Invocation {
    /// The moment from which it can no longer send anything.
    pub(crate) fn lease(&self) -> Timestamp {
        self.deadline.plus_ms(LEASE_MARGIN_MS)
    }
}

/// `next`, with the rest of the authorization released where something is captured and
/// the PSP releases it then: one write books both.
pub(crate) fn with_rest_released(next: Payment, policy: Policy, at: Timestamp) -> Payment {
    match policy.rest {
        Rest::Kept => next,
        Rest::Released => next.release_rest(at).unwrap_or(next),
    }
}

/// The invocation ends too soon.
#[derive(Debug, thiserror::Error)]
#[error("the time of the invocation is up")]
struct OutOfTime;

impl From<StoreError> for ActError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => Self::Unavailable(error),
            StoreError::Corrupt(_) => Self::Corrupt(error),
        }
    }
}

impl From<OutOfTime> for ActError {
    fn from(error: OutOfTime) -> Self {
        Self::Unavailable(error.into())
    }
}

impl From<OutOfTime> for StoreError {
    fn from(error: OutOfTime) -> Self {
        Self::Unavailable(error.into())
    }
}
