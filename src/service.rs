//! One action, in order: reserve, call, settle. Nothing else knows it.
//!
//! Whatever happens in between, two things hold: nothing is sent that is not
//! durably reserved, and nothing reserved is given back without proof that
//! nothing was sent, or that the PSP said no.

mod attempt;
mod measure;
mod update;

pub(crate) use attempt::Settled;
pub use update::{Change, UpdateError};

use crate::error::BoxError;
use crate::observe;
use crate::payment::{
    Action, Nonce, Payment, PaymentKey, ProjectKey, Refusal, Reservation, State, Timestamp,
    TransactionId,
};
use crate::ports::{
    Clock, Connector, ConnectorKey, Name, NotActed, ReplaceError, Resend, ReserveError, Store,
    StoreError, Verdict,
};
use crate::secret::Secret;
use futures_util::future::{Either, select};
use measure::Times;
use std::future::Future;
use std::pin::{Pin, pin};

/// After the deadline of an invocation, how long its lease still runs: the
/// process is killed hard at the deadline, and clocks differ a little.
pub const LEASE_MARGIN_MS: u64 = 5_000;

/// What is kept of an invocation's time for writing the outcome down.
pub const SETTLE_RESERVE_MS: u64 = 4_000;

/// With less than this a connector is not called at all.
pub const CALL_MIN_MS: u64 = 1_000;

/// And of that, for answering.
pub const ANSWER_RESERVE_MS: u64 = 300;

/// How often a write that somebody else got ahead of is tried anew.
const CONTENTION_MAX: usize = 8;

/// How long to wait before a settling write that failed is tried again.
const SETTLE_PAUSE_MS: u64 = 100;

/// One action, as it was asked.
#[derive(Clone, Debug)]
pub struct Request {
    /// The Payment.
    pub key: PaymentKey,
    /// The transaction it becomes.
    pub transaction: TransactionId,
    /// What is asked.
    pub action: Action,
    /// The caller's reference.
    pub merchant_reference: Option<String>,
    /// Who asks, and until when.
    pub invocation: Invocation,
}

/// What one run of this code brings with it.
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

/// The result is durably recorded, and this is it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// What the PSP said.
    pub verdict: Verdict,
    /// It was said to an earlier request with the same key.
    pub replayed: bool,
}

/// Why an action has no result.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// No such Payment in this project.
    #[error("no such Payment")]
    NotFound,
    /// Our rules say no; nothing was sent.
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
    /// What is stored cannot be acted upon; nothing was sent.
    #[error("the stored Payment cannot be read")]
    Corrupt(#[source] StoreError),
}

/// Payments and what can be done to them, over a store and a connector.
#[derive(Debug)]
pub struct Service<S, C, K> {
    pub(crate) store: S,
    pub(crate) connector: C,
    pub(crate) clock: K,
}

impl<S: Store, C: Connector, K: Clock> Service<S, C, K> {
    /// Brings the three together.
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
            return Err(ActError::Unavailable(OutOfTime.into()));
        }
        let reserved = self.in_time(last_call, pin!(self.reserve(&reservation))).await;
        times.reserve_ms = self.clock.now().ms_since(reservation.at);
        let payment = match reserved.unwrap_or_else(|| Err(OutOfTime.into())) {
            Ok(payment) => payment,
            Err(why) => return Err(self.not_reserved(&reservation, deadline, why).await),
        };
        let payment = match payment {
            Reserved::Now(payment) => *payment,
            Reserved::Before(state) => return Settled::In(state).answer(true, None),
        };
        let id = &reservation.transaction;
        let called = self.called(payment, id, &request.invocation).await;
        let answered = self.clock.now();
        let not_acted = called.not_acted.clone();
        let settled = self.settle_called(called, id, &request.invocation).await;
        times.settle_ms = Some(self.clock.now().ms_since(answered));
        settled.answer(false, not_acted)
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

    /// Write 1. The unseen reservation decides nearly always; only a reversal
    /// that comes to a refund, a lease that ran out, and a repeat that may be
    /// sent again, need the Payment that the condition said no to, and one write
    /// more.
    async fn reserve(&self, reservation: &Reservation) -> Result<Reserved, NotReserved> {
        let (found, late_copy_possible) = match self.store.reserve(reservation).await {
            Ok(payment) => return Ok(Reserved::Now(payment.into())),
            Err(ReserveError::NotFound) => return Err(NotReserved::NotFound),
            Err(ReserveError::Store(error)) => return Err(error.into()),
            Err(ReserveError::Refused { found, late_copy_possible }) => (found, late_copy_possible),
        };
        let reserved = self.reserve_on_loaded(found, reservation).await;
        if let Err(NotReserved::Refused(_)) = &reserved
            && late_copy_possible
            && let Err(error) = self.withdraw(reservation).await
        {
            return Err(NotReserved::Unavailable(StoreError::Unavailable(error)));
        }
        reserved
    }

    /// The same over the Payment that the condition said no to.
    async fn reserve_on_loaded(
        &self,
        mut found: Box<Payment>,
        reservation: &Reservation,
    ) -> Result<Reserved, NotReserved> {
        for _ in 0..CONTENTION_MAX {
            let next = match self.next_step(&found, reservation) {
                Ok(next) => next,
                Err(Refusal::Repeated(state)) => return Ok(Reserved::Before(state)),
                Err(refusal) => return Err(NotReserved::Refused(refusal)),
            };
            found = match self.store.replace(&found, &next).await {
                Ok(()) => {
                    observe::lease_ran_out(&found, &next);
                    Box::new(next)
                }
                Err(ReplaceError::Changed(payment)) => payment,
                Err(ReplaceError::Gone) => return Err(NotReserved::NotFound),
                Err(ReplaceError::Store(error)) => return Err(error.into()),
            };
            if found.is_held_by(&reservation.nonce) {
                return Ok(Reserved::Now(found));
            }
        }
        Err(NotReserved::Refused(Refusal::OtherInFlight))
    }

    /// The one step that brings the reservation forward on a Payment that was
    /// seen.
    fn next_step(&self, found: &Payment, reservation: &Reservation) -> Result<Payment, Refusal> {
        let Reservation { transaction, nonce, at, lease, .. } = reservation;
        match found.reserve(reservation) {
            Err(Refusal::LeaseExpired) => found.expire(*at).ok_or(Refusal::OtherInFlight),
            Err(Refusal::Repeated(State::Unknown)) if self.may_resend(found, transaction) => {
                found.resume(transaction, *nonce, *at, *lease)
            }
            reserved => reserved,
        }
    }

    /// Whether sending this transaction once more cannot move money twice. What
    /// was registered as begun elsewhere was never sent by us: its connector does
    /// not know it by our key.
    pub(crate) fn may_resend(&self, payment: &Payment, id: &TransactionId) -> bool {
        let Some(transaction) = payment.transactions.get(id) else { return false };
        if !transaction.was_sent_by_us() || transaction.is_discrepant() {
            return false;
        }
        match self.connector.policy(&ConnectorKey::of(payment)).resend {
            Resend::Never => false,
            Resend::SameKey { window_ms } => {
                transaction.timestamp.plus_ms(window_ms) > self.clock.now()
            }
        }
    }

    /// A write that got no answer may have happened all the same. Nothing was
    /// sent, so what it may have reserved is given back before the caller hears
    /// of it. Where that fails too, its lease runs out, and recovery finds it: if
    /// that may send it then, nobody can say that nothing will move.
    async fn not_reserved(
        &self,
        reservation: &Reservation,
        deadline: Timestamp,
        why: NotReserved,
    ) -> ActError {
        let error = match why {
            NotReserved::NotFound => return ActError::NotFound,
            NotReserved::Refused(refusal) => return ActError::Refused(refusal),
            NotReserved::Corrupt(error) => return ActError::Corrupt(error),
            NotReserved::Unavailable(error) => error,
        };
        let withdrawn = self.in_time(deadline, pin!(self.withdraw(reservation))).await;
        if let Err(error) = withdrawn.unwrap_or_else(|| Err(OutOfTime.into())) {
            observe::not_withdrawn(reservation, &error);
            if self.connector.resends() {
                return ActError::OutcomeUnknown { replayed: false };
            }
        }
        ActError::Unavailable(error)
    }

    /// What `work` comes to, if it does so before the last moment in which an
    /// answer can still be given. What is dropped then may be done all the same.
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

    async fn withdraw(&self, reservation: &Reservation) -> Result<(), BoxError> {
        let found = self.store.get(&reservation.key).await?;
        let Some(mut payment) = found.map(Box::new) else { return Ok(()) };
        for _ in 0..CONTENTION_MAX {
            let next = payment.withdraw(reservation, self.clock.now())?;
            // By a clock that is ahead of ours its lease has run out, so that others may
            // send it.
            let is_left = next
                .transactions
                .get(&reservation.transaction)
                .is_some_and(|left| left.is_open() && left.timestamp == reservation.at);
            match self.store.replace(&payment, &next).await {
                Ok(()) if is_left => return Err("its lease had run out already".into()),
                Ok(()) | Err(ReplaceError::Gone) => return Ok(()),
                Err(ReplaceError::Changed(found)) => payment = found,
                Err(ReplaceError::Store(error)) => return Err(error.into()),
            }
        }
        Err("other writers were always first".into())
    }
}

impl Invocation {
    /// From then on it can no longer send anything.
    pub(crate) fn lease(&self) -> Timestamp {
        self.deadline.plus_ms(LEASE_MARGIN_MS)
    }
}

/// The invocation ends too soon.
#[derive(Debug, thiserror::Error)]
#[error("the time of the invocation is up")]
struct OutOfTime;

impl From<OutOfTime> for StoreError {
    fn from(error: OutOfTime) -> Self {
        Self::Unavailable(error.into())
    }
}

impl From<OutOfTime> for NotReserved {
    fn from(error: OutOfTime) -> Self {
        Self::Unavailable(error.into())
    }
}

enum Reserved {
    /// By this request: it is to be sent.
    Now(Box<Payment>),
    /// By an earlier one with the same key, which came this far.
    Before(State),
}

enum NotReserved {
    NotFound,
    Refused(Refusal),
    Unavailable(StoreError),
    Corrupt(StoreError),
}

impl From<StoreError> for NotReserved {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => Self::Unavailable(error),
            StoreError::Corrupt(_) => Self::Corrupt(error),
        }
    }
}
