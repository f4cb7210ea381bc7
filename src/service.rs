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
pub use webhook::{WebhookError, WebhookOutcome};

use crate::payment::{
    Action, Nonce, Payment, PaymentKey, ProjectKey, Refusal, RejectionReason, Reservation, State,
    Timestamp, Transaction, TransactionId,
};
use crate::ports::{Clock, Connector, Name, NotActed, Rest, Store, StoreError, Verdict};
use crate::secret::Secret;
use futures_util::future::{Either, select};
use measure::Times;
use reserve::Reserved;
use std::future::Future;
use std::pin::{Pin, pin};

/// The time from the deadline of an invocation to the end of its lease. The process is
/// killed at the deadline; the margin covers the difference of clocks.
pub const LEASE_MARGIN_MS: u64 = 5_000;

/// The part of an invocation's time that is kept for writing the outcome.
pub const SETTLE_RESERVE_MS: u64 = 4_000;

/// The shortest time for a call: with less, the connector is not called.
pub const CALL_MIN_MS: u64 = 1_000;

/// The part of [`SETTLE_RESERVE_MS`] that is kept for answering the caller.
pub const ANSWER_RESERVE_MS: u64 = 300;

/// The number of tries of a write that meets other writers.
const CONTENTION_MAX: usize = 8;

/// The pause before a failed write of an outcome is repeated.
const SETTLE_PAUSE_MS: u64 = 100;

/// A request for one action.
#[derive(Clone, Debug)]
pub struct Request {
    /// The Payment.
    pub key: PaymentKey,
    /// The id of its transaction.
    pub transaction: TransactionId,
    /// The requested action.
    pub action: Action,
    /// The caller's reference.
    pub merchant_reference: Option<String>,
    /// The invocation that carries it out.
    pub invocation: Invocation,
}

/// The context of one invocation: its time, and the data of its caller.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// A random number, new for each attempt.
    pub nonce: Nonce,
    /// When the process is killed.
    pub deadline: Timestamp,
    /// The correlation id, for log lines and the connector.
    pub correlation_id: String,
    /// The caller's bearer token, for connectors to which it is forwarded.
    pub bearer: Option<Secret>,
}

/// A result that is durably recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// The answer of the PSP.
    pub verdict: Verdict,
    /// True if it was recorded for an earlier request with the same key.
    pub replayed: bool,
}

impl Done {
    /// The result by what the ledger has of the transaction. That may differ from the
    /// connector's answer if a report came first.
    fn of(recorded: Recorded, replayed: bool) -> Result<Self, ActError> {
        let verdict = match recorded.state {
            State::Success => Verdict::Approved,
            State::Pending => Verdict::Received(None),
            State::Failure => Verdict::Rejected(recorded.reason),
            State::Unknown | State::Initial => return Err(ActError::OutcomeUnknown { replayed }),
        };
        Ok(Self { verdict, replayed })
    }
}

/// The part of a transaction from which its caller is answered, now and when the request is
/// repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recorded {
    state: State,
    reason: Option<RejectionReason>,
}

impl Recorded {
    fn of(transaction: &Transaction) -> Self {
        Self { state: transaction.state_for_caller(), reason: transaction.rejection.clone() }
    }
}

/// The reasons why an action has no result.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// No such Payment in this project.
    #[error("no such Payment")]
    NotFound,
    /// The action was refused; nothing was sent.
    #[error("refused: {0:?}")]
    Refused(Refusal),
    /// The connector did not act. Nothing moved, and the hold was released. Holds the
    /// answer, if the connector was reached. The cause is in the log line of the call.
    #[error("the connector did not act")]
    ConnectorFailed(Option<NotActed>),
    /// The action may have happened. The hold is kept.
    #[error("the outcome is not known yet")]
    OutcomeUnknown {
        /// True if an earlier request with the same key has this result.
        replayed: bool,
    },
    /// The store failed before the connector was called; nothing was sent.
    #[error("the store failed before anything was sent")]
    Unavailable(#[source] StoreError),
    /// The stored Payment cannot be read; nothing was sent.
    #[error("the stored Payment cannot be read")]
    Corrupt(#[source] StoreError),
}

/// The operations on Payments, with a store, a connector and a clock.
#[derive(Debug)]
pub struct Service<S, C, K> {
    pub(crate) store: S,
    pub(crate) connector: C,
    pub(crate) clock: K,
}

impl<S: Store, C: Connector, K: Clock> Service<S, C, K> {
    /// A service with this store, connector and clock.
    pub fn new(store: S, connector: C, clock: K) -> Self {
        Self { store, connector, clock }
    }

    /// The time by the clock of this service.
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

    /// Carries out one action exactly once, also if requests are repeated or parallel.
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
            Ok(Reserved::New(payment)) => *payment,
            Ok(Reserved::Earlier(recorded)) => return Done::of(recorded, true),
            Err(error) => {
                return Err(self.withdraw_after_error(&reservation, deadline, error).await);
            }
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
            psps: self.connector.psps(),
        }
    }

    /// The result of `work`, or `None` if it is not complete [`ANSWER_RESERVE_MS`] before
    /// `deadline`. A write that is dropped then may still happen.
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
    /// The time from which it can no longer send anything.
    pub(crate) fn lease(&self) -> Timestamp {
        self.deadline.plus_ms(LEASE_MARGIN_MS)
    }
}

/// Adds to `next`, which is to be written over `before`, the effects of a PSP that captures
/// once and releases the rest of the authorization with the capture: a reported capture of the
/// same amount is ours, and the rest is released. One write books all.
pub(crate) fn with_rest_released(
    before: &Payment,
    next: Payment,
    rest: Rest,
    at: Timestamp,
) -> Payment {
    match rest {
        Rest::Kept => next,
        Rest::Released => {
            let next = next.merge_single_capture(before, at).unwrap_or(next);
            next.release_rest(at).unwrap_or(next)
        }
    }
}

/// The error for an invocation with too little time left.
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
