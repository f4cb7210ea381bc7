//! One action, in order: reserve, call, settle. The only file that knows it.
//!
//! Whatever happens in between, two things hold: nothing is sent that is not
//! durably reserved, and nothing reserved is given back without proof that
//! nothing was sent, or that the PSP said no.

use crate::mutants::Mutant;
use crate::observe;
use crate::payment::{
    Action, Nonce, Outcome, Payment, PaymentKey, Refusal, Reservation, Settlement, State,
    Timestamp, Transaction, TransactionId,
};
use crate::ports::{
    BoxError, Call, Clock, Connector, ConnectorError, CreateError, Policy, Rejections,
    ReplaceError, Resend, ReserveError, Secret, Served, Store, StoreError, Verdict,
};
use futures_util::future::{Either, select};
use std::future::Future;
use std::pin::pin;

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
    /// The connector never acted; nothing moved, and the hold was given back.
    /// Why is in the log line of the call.
    #[error("the connector did not act")]
    ConnectorFailed,
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

    /// Writes a new Payment.
    pub async fn create(&self, payment: &Payment) -> Result<(), CreateError> {
        self.store.create(payment).await
    }

    /// Carries out one action: exactly once, whatever repeats or races.
    pub async fn act(&self, request: Request) -> Result<Done, ActError> {
        let reservation = self.reservation(&request);
        let deadline = request.invocation.deadline;
        let last_call = deadline.minus_ms(SETTLE_RESERVE_MS);
        if last_call.ms_since(reservation.at) < CALL_MIN_MS {
            return Err(ActError::Unavailable(OutOfTime.into()));
        }
        let reserved = self.in_time(last_call, self.reserve(&reservation)).await;
        let payment = match reserved.unwrap_or_else(|| Err(OutOfTime.into())) {
            Ok(payment) => payment,
            Err(why) => return Err(self.not_reserved(&reservation, deadline, why).await),
        };
        let settled = match payment {
            Reserved::Now(payment) => {
                self.attempt(*payment, &reservation.transaction, &request.invocation).await
            }
            Reserved::Before(state) => return Settled::In(state).answer(true),
        };
        settled.answer(false)
    }

    fn reservation(&self, request: &Request) -> Reservation {
        Reservation {
            key: request.key.clone(),
            transaction: repeated_as(request),
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
        let (found, may_arrive) = match self.store.reserve(reservation).await {
            Ok(payment) => return Ok(Reserved::Now(payment.into())),
            Err(ReserveError::NotFound) => return Err(NotReserved::NotFound),
            Err(ReserveError::Store(error)) => return Err(error.into()),
            Err(ReserveError::Refused { found, may_arrive }) => (found, may_arrive),
        };
        let reserved = self.reserve_over(found, reservation).await;
        if let Err(NotReserved::Refused(_)) = &reserved
            && may_arrive
            && !Mutant::ForgetCopies.is_on()
            && let Err(error) = self.withdraw(reservation).await
        {
            return Err(NotReserved::Unavailable(StoreError::Unavailable(error)));
        }
        reserved
    }

    /// The same over the Payment that the condition said no to.
    async fn reserve_over(
        &self,
        mut found: Box<Payment>,
        reservation: &Reservation,
    ) -> Result<Reserved, NotReserved> {
        if Mutant::FailedConditionIsPermission.is_on()
            && let Ok(next) = (Payment { in_flight: None, ..*found.clone() }).reserve(reservation)
        {
            return Ok(Reserved::Now(next.into()));
        }
        for _ in 0..CONTENTION_MAX {
            let next = match self.reserve_seen(&found, reservation) {
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
        Err(NotReserved::Refused(Refusal::InFlight))
    }

    /// The one step that brings the reservation forward on a Payment that was
    /// seen.
    fn reserve_seen(&self, found: &Payment, reservation: &Reservation) -> Result<Payment, Refusal> {
        let Reservation { transaction, nonce, at, lease, .. } = reservation;
        match found.reserve(reservation) {
            Err(Refusal::LeaseExpired) => found.expire(*at).ok_or(Refusal::InFlight),
            Err(Refusal::Repeated(State::Unknown)) if self.may_resend(found, transaction) => {
                found.resume(transaction, *nonce, *at, *lease)
            }
            reserved => reserved,
        }
    }

    /// Whether sending this transaction once more cannot move money twice.
    pub(crate) fn may_resend(&self, payment: &Payment, id: &TransactionId) -> bool {
        let Some(transaction) = payment.transactions.get(id) else { return false };
        match self.connector.policy(&Served::of(payment)).resend {
            Resend::Never => Mutant::ResendWhateverIsUnclear.is_on(),
            Resend::SameKey { window_ms } => {
                transaction.timestamp.plus_ms(window_ms) > self.clock.now()
                    || Mutant::ResendForgottenKeys.is_on()
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
        let withdrawn = self.in_time(deadline, self.withdraw(reservation)).await;
        if let Err(error) = withdrawn.unwrap_or_else(|| Err(OutOfTime.into())) {
            observe::not_withdrawn(reservation, &error);
            if self.connector.resends() && !Mutant::AnswerNothingSentTooSoon.is_on() {
                return ActError::OutcomeUnknown { replayed: false };
            }
        }
        ActError::Unavailable(error)
    }

    /// What `work` comes to, if it does so before the last moment in which an
    /// answer can still be given. What is dropped then may be done all the same.
    async fn in_time<T>(&self, deadline: Timestamp, work: impl Future<Output = T>) -> Option<T> {
        let left_ms = deadline.minus_ms(ANSWER_RESERVE_MS).ms_since(self.clock.now());
        match select(pin!(work), pin!(self.clock.sleep_ms(left_ms))).await {
            Either::Left((done, _)) => Some(done),
            Either::Right(((), _)) => None,
        }
    }

    async fn withdraw(&self, reservation: &Reservation) -> Result<(), BoxError> {
        let found = self.store.get(&reservation.key).await?;
        let Some(mut payment) = found.map(Box::new) else { return Ok(()) };
        for _ in 0..CONTENTION_MAX {
            let next = payment.withdraw(reservation, self.clock.now())?;
            match self.store.replace(&payment, &next).await {
                Ok(()) | Err(ReplaceError::Gone) => return Ok(()),
                Err(ReplaceError::Changed(found)) => payment = found,
                Err(ReplaceError::Store(error)) => return Err(error.into()),
            }
        }
        Err("other writers were always first".into())
    }

    /// Calls the connector for a transaction that holds the slot, and settles
    /// what comes of it.
    pub(crate) async fn attempt(
        &self,
        payment: Payment,
        id: &TransactionId,
        invocation: &Invocation,
    ) -> Settled {
        let Some(transaction) = payment.transactions.get(id) else { return Settled::Withdrawn };
        let outcome = self.call(&payment, transaction, invocation).await;
        if Mutant::AnswerBeforeSettle.is_on() && outcome == Outcome::Approved {
            return Settled::In(State::Success);
        }
        self.settle(payment, id, invocation, outcome).await
    }

    /// Calls the connector, if there is time for it, and logs how that ended.
    async fn call(&self, payment: &Payment, of: &Transaction, invocation: &Invocation) -> Outcome {
        let deadline = invocation.deadline.minus_ms(SETTLE_RESERVE_MS);
        let started = self.clock.now();
        let Some(action) = of.action() else { return Outcome::NeverExecuted };
        let call = Call {
            served: Served::of(payment),
            transaction: of.id.clone(),
            attempt: payment.in_flight.as_ref().map_or(1, |slot| slot.attempt),
            action,
            amount: of.amount,
            fraction_digits: payment.fraction_digits,
            merchant_reference: of.merchant_reference.clone(),
            correlation_id: invocation.correlation_id.clone(),
            bearer: invocation.bearer.clone(),
        };
        let answer = if deadline.ms_since(started) < CALL_MIN_MS {
            let why = "too little time was left to call the connector";
            Err(ConnectorError::NeverExecuted(why.into()))
        } else {
            self.connector.call(&call, deadline).await
        };
        let outcome = proven(&answer, call.attempt, self.connector.policy(&call.served));
        let duration_ms = self.clock.now().ms_since(started);
        observe::called(&call, outcome, answer.as_ref().err(), duration_ms, self.clock.now());
        outcome
    }

    /// Write 2, tried until it is written or the time is up.
    async fn settle(
        &self,
        mut payment: Payment,
        id: &TransactionId,
        invocation: &Invocation,
        outcome: Outcome,
    ) -> Settled {
        let began = |payment: &Payment| payment.transactions.get(id).map(|found| found.timestamp);
        let reserved_at = began(&payment);
        loop {
            let now = self.clock.now();
            let next = match payment.settle(id, &invocation.nonce, outcome, now) {
                Ok(Settlement::Changed(next)) => next,
                Ok(Settlement::Unchanged(State::Failure)) if outcome.is_positive() => {
                    return unsettled(&payment, id, outcome, &Contradicted);
                }
                Ok(Settlement::Gone) if outcome != Outcome::NeverExecuted => {
                    return unsettled(&payment, id, outcome, &Contradicted);
                }
                // Withdrawn before, in a write whose answer was lost, and reserved
                // anew by somebody with the same key: what came of that is not ours.
                Ok(Settlement::Unchanged(_))
                    if outcome == Outcome::NeverExecuted && began(&payment) != reserved_at =>
                {
                    return Settled::Withdrawn;
                }
                Ok(Settlement::Unchanged(state)) => return Settled::In(state),
                Ok(Settlement::Gone) => return Settled::Withdrawn,
                Err(error) => return unsettled(&payment, id, outcome, &error),
            };
            let deadline = invocation.deadline;
            let has_time =
                now.plus_ms(SETTLE_PAUSE_MS.saturating_add(ANSWER_RESERVE_MS)) < deadline;
            let replaced = self.in_time(deadline, self.store.replace(&payment, &next)).await;
            match replaced.unwrap_or_else(|| Err(StoreError::from(OutOfTime).into())) {
                Ok(()) => {
                    observe::transition(&payment, &next, id);
                    let state = next.transactions.get(id).map(|settled| settled.state);
                    return state.map_or(Settled::Withdrawn, Settled::In);
                }
                Err(ReplaceError::Changed(_)) if Mutant::TakeChangedForDone.is_on() => {
                    let state = next.transactions.get(id).map(|settled| settled.state);
                    return state.map_or(Settled::Withdrawn, Settled::In);
                }
                Err(ReplaceError::Changed(found)) if has_time => payment = *found,
                Err(ReplaceError::Store(StoreError::Unavailable(_))) if has_time => {
                    self.clock.sleep_ms(SETTLE_PAUSE_MS).await;
                }
                Err(error) => return unsettled(&payment, id, outcome, &error),
            }
        }
    }
}

impl Invocation {
    /// From then on it can no longer send anything.
    pub(crate) fn lease(&self) -> Timestamp {
        if Mutant::LeaseEndsEarly.is_on() {
            return self.deadline.minus_ms(20_000);
        }
        self.deadline.plus_ms(LEASE_MARGIN_MS)
    }
}

/// The transaction that the request is, whoever sends it how often.
fn repeated_as(request: &Request) -> TransactionId {
    if Mutant::NewTransactionPerRepeat.is_on() {
        let id = format!("{}-{:x}", request.transaction, request.invocation.nonce.bits());
        return TransactionId::parse(&id).unwrap_or_else(|_| request.transaction.clone());
    }
    request.transaction.clone()
}

/// What an answer proves of the transaction, as far as its connector is trusted.
fn proven(answer: &Result<Verdict, ConnectorError>, attempt: u32, policy: Policy) -> Outcome {
    match (answer, policy.rejected) {
        (Ok(Verdict::Approved), _) => Outcome::Approved,
        (Ok(Verdict::Received), _) => Outcome::Received,
        (Ok(Verdict::Rejected), Rejections::Unproven) if !Mutant::TrustEveryRejection.is_on() => {
            Outcome::Unknown
        }
        // Only a connector that honours our key is asked again, and what it
        // answers then is what it recorded for the key.
        (Ok(Verdict::Rejected), _) if attempt > 1 => Outcome::Disproved,
        (Ok(Verdict::Rejected), _) => Outcome::Rejected,
        (Err(ConnectorError::NeverExecuted(_)), _)
            if attempt > 1 && Mutant::SecondAttemptProvesTheFirst.is_on() =>
        {
            Outcome::Disproved
        }
        (Err(ConnectorError::NeverExecuted(_)), _) => Outcome::NeverExecuted,
        (Err(ConnectorError::OutcomeUnknown(_)), _) if Mutant::ReleaseOnTimeout.is_on() => {
            Outcome::NeverExecuted
        }
        (Err(ConnectorError::OutcomeUnknown(_)), _) if Mutant::RejectOnError.is_on() => {
            Outcome::Rejected
        }
        (Err(ConnectorError::OutcomeUnknown(_)), _) => Outcome::Unknown,
    }
}

fn unsettled(
    payment: &Payment,
    id: &TransactionId,
    outcome: Outcome,
    error: &(dyn std::error::Error + 'static),
) -> Settled {
    observe::unsettled(payment, id, outcome, error);
    Settled::Unwritten
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

/// The connector did what the ledger holds for undone.
#[derive(Debug, thiserror::Error)]
#[error("the ledger says the opposite")]
struct Contradicted;

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

/// Where a transaction is after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    /// Durably in this state.
    In(State),
    /// Nowhere: nothing was sent, and nothing is held.
    Withdrawn,
    /// The outcome could not be written; recovery has to find it.
    Unwritten,
}

impl Settled {
    /// What the ledger says counts, not what the call said: a fact may have come
    /// first.
    fn answer(self, replayed: bool) -> Result<Done, ActError> {
        let verdict = match self {
            Self::In(State::Success) => Verdict::Approved,
            Self::In(State::Pending) => Verdict::Received,
            Self::In(State::Failure) => Verdict::Rejected,
            Self::In(State::Unknown | State::Initial) | Self::Unwritten => {
                return Err(ActError::OutcomeUnknown { replayed });
            }
            Self::Withdrawn => return Err(ActError::ConnectorFailed),
        };
        Ok(Done { verdict, replayed })
    }
}
