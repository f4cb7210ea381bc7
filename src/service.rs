//! One action, in order: reserve, call, settle. The only file that knows it.
//!
//! Whatever happens in between, two things hold: nothing is sent that is not
//! durably reserved, and nothing reserved is given back without proof that
//! nothing was sent, or that the PSP said no.

use crate::payment::{
    Nonce, Outcome, Payment, PaymentKey, Refusal, Reservation, Settlement, State, Timestamp,
    Transaction, TransactionId,
};
use crate::ports::{
    BoxError, Call, Clock, Connector, ConnectorError, CreateError, ReplaceError, ReserveError,
    Secret, Store, StoreError, Verdict,
};

/// After the deadline of an invocation, how long its lease still runs: the
/// process is killed hard at the deadline, and clocks differ a little.
pub const LEASE_MARGIN_MS: u64 = 5_000;

/// What is kept of an invocation's time for writing the outcome down.
pub const SETTLE_RESERVE_MS: u64 = 4_000;

/// With less than this a connector is not called at all.
pub const CALL_MIN_MS: u64 = 1_000;

/// How often a write that somebody else got ahead of is tried anew.
const CONTENTION_MAX: usize = 8;

/// How long to wait before a settling write that failed is tried again.
const SETTLE_PAUSE_MS: u64 = 100;

/// One action, as it was asked.
#[derive(Clone, Debug)]
pub struct Request {
    /// What to reserve; its `at` and `lease` are filled in here.
    pub asked: Asked,
    /// When this invocation ends, finished or not.
    pub deadline: Timestamp,
    /// Goes with every message about this request.
    pub correlation_id: String,
    /// The caller's bearer token, for connectors that want it forwarded.
    pub bearer: Option<Secret>,
}

/// The part of a [`Request`] that becomes the reservation.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The Payment.
    pub key: PaymentKey,
    /// The transaction it becomes.
    pub transaction: TransactionId,
    /// Random for this attempt.
    pub nonce: Nonce,
    /// What is asked.
    pub action: crate::payment::Action,
    /// The caller's reference.
    pub merchant_reference: Option<String>,
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
    store: S,
    connector: C,
    clock: K,
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
        let payment = match self.reserve(&reservation).await {
            Ok(payment) => payment,
            Err(NotReserved::Refused(Refusal::Repeated(state))) => return repeated(state),
            Err(not_reserved) => return Err(self.not_reserved(&reservation, not_reserved).await),
        };
        let Some(transaction) = payment.transactions.get(&reservation.transaction) else {
            return Err(ActError::Refused(Refusal::Inconsistent));
        };
        let called = self.call(&request, &payment, transaction).await;
        let state = self.settle(&request, &reservation, payment, called.outcome).await?;
        answer(state)
    }

    fn reservation(&self, request: &Request) -> Reservation {
        let asked = request.asked.clone();
        Reservation {
            key: asked.key,
            transaction: asked.transaction,
            nonce: asked.nonce,
            action: asked.action,
            merchant_reference: asked.merchant_reference,
            at: self.clock.now(),
            lease: request.deadline.plus_ms(LEASE_MARGIN_MS),
        }
    }

    /// Write 1. The unseen reservation decides nearly always; only a reversal
    /// that comes to a refund, and a lease that ran out, need the Payment that
    /// the condition said no to, and one write more.
    async fn reserve(&self, reservation: &Reservation) -> Result<Payment, NotReserved> {
        let mut found = match self.store.reserve(reservation).await {
            Ok(payment) => return Ok(payment),
            Err(ReserveError::NotFound) => return Err(NotReserved::NotFound),
            Err(ReserveError::Store(error)) => return Err(error.into()),
            Err(ReserveError::Refused(payment)) => payment,
        };
        for _ in 0..CONTENTION_MAX {
            let next = match found.reserve(reservation) {
                Ok(next) => next,
                Err(Refusal::LeaseExpired) => match found.expire(reservation.at) {
                    Some(next) => next,
                    None => break,
                },
                Err(refusal) => return Err(NotReserved::Refused(refusal)),
            };
            found = match self.store.replace(&found, &next).await {
                Ok(()) => {
                    log_takeover(&found, &next);
                    Box::new(next)
                }
                Err(ReplaceError::Changed(payment)) => payment,
                Err(ReplaceError::Gone) => return Err(NotReserved::NotFound),
                Err(ReplaceError::Store(error)) => return Err(error.into()),
            };
            if found.is_held_by(&reservation.nonce) {
                return Ok(*found);
            }
        }
        Err(NotReserved::Refused(Refusal::InFlight))
    }

    /// A write that got no answer may have happened all the same. Nothing was
    /// sent, so what it may have reserved is given back before the caller hears
    /// of it; where that fails too, the lease runs out and recovery finds it.
    async fn not_reserved(&self, reservation: &Reservation, why: NotReserved) -> ActError {
        let error = match why {
            NotReserved::NotFound => return ActError::NotFound,
            NotReserved::Refused(refusal) => return ActError::Refused(refusal),
            NotReserved::Corrupt(error) => return ActError::Corrupt(error),
            NotReserved::Unavailable(error) => error,
        };
        if let Err(error) = self.withdraw(reservation).await {
            tracing::warn!(
                error = logged(&error),
                transaction = reservation.transaction.as_str(),
                "a reservation that may have been written could not be withdrawn"
            );
        }
        ActError::Unavailable(error)
    }

    async fn withdraw(&self, reservation: &Reservation) -> Result<(), BoxError> {
        let Reservation { key, transaction, nonce, at, .. } = reservation;
        let Some(mut payment) = self.store.get(key).await?.map(Box::new) else { return Ok(()) };
        for _ in 0..CONTENTION_MAX {
            let next = payment.withdraw(transaction, nonce, *at)?;
            match self.store.replace(&payment, &next).await {
                Ok(()) | Err(ReplaceError::Gone) => return Ok(()),
                Err(ReplaceError::Changed(found)) => payment = found,
                Err(ReplaceError::Store(error)) => return Err(error.into()),
            }
        }
        Err("other writers were always first".into())
    }

    /// Calls the connector, if there is time for it, and logs how that ended.
    async fn call(&self, request: &Request, payment: &Payment, of: &Transaction) -> Called {
        let deadline = request.deadline.minus_ms(SETTLE_RESERVE_MS);
        let started = self.clock.now();
        let call = Call {
            key: payment.key.clone(),
            payment_interface: payment.details.payment_interface.clone(),
            transaction: of.id.clone(),
            attempt: payment.in_flight.as_ref().map_or(1, |slot| slot.attempt),
            action: request.asked.action.clone(),
            kind: of.kind,
            amount: of.amount,
            fraction_digits: payment.fraction_digits,
            merchant_reference: of.merchant_reference.clone(),
            correlation_id: request.correlation_id.clone(),
            bearer: request.bearer.clone(),
        };
        let called = if deadline.ms_since(started) < CALL_MIN_MS {
            Called::never("too little time was left to call the connector".into())
        } else {
            Called::from(self.connector.call(&call, deadline).await)
        };
        log_called(&call, &called, self.clock.now().ms_since(started));
        called
    }

    /// Write 2, tried until it is written or the time is up.
    async fn settle(
        &self,
        request: &Request,
        reservation: &Reservation,
        mut payment: Payment,
        outcome: Outcome,
    ) -> Result<Settled, ActError> {
        let Reservation { transaction, nonce, .. } = reservation;
        loop {
            let settled = payment.settle(transaction, nonce, outcome, self.clock.now());
            let next = match settled {
                Ok(Settlement::Changed(next)) => next,
                Ok(Settlement::Unchanged(state)) => return Ok(Settled::In(state)),
                Ok(Settlement::Gone) => return Ok(Settled::Withdrawn),
                Err(error) => {
                    log_unsettled(reservation, outcome, &error);
                    return Err(ActError::OutcomeUnknown { replayed: false });
                }
            };
            match self.store.replace(&payment, &next).await {
                Ok(()) => {
                    return Ok(next
                        .transactions
                        .get(transaction)
                        .map_or(Settled::Withdrawn, |settled| Settled::In(settled.state)));
                }
                Err(ReplaceError::Changed(found)) if self.has_time(request) => payment = *found,
                Err(ReplaceError::Store(StoreError::Unavailable(_))) if self.has_time(request) => {
                    self.clock.sleep_ms(SETTLE_PAUSE_MS).await;
                }
                Err(error) => {
                    log_unsettled(reservation, outcome, &error);
                    return Err(ActError::OutcomeUnknown { replayed: false });
                }
            }
        }
    }

    fn has_time(&self, request: &Request) -> bool {
        self.clock.now().plus_ms(SETTLE_PAUSE_MS) < request.deadline
    }
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

/// Where the transaction is after settling.
#[derive(Clone, Copy)]
enum Settled {
    In(State),
    Withdrawn,
}

struct Called {
    outcome: Outcome,
    error: Option<BoxError>,
}

impl Called {
    fn never(error: BoxError) -> Self {
        Self { outcome: Outcome::NeverExecuted, error: Some(error) }
    }
}

impl From<Result<Verdict, ConnectorError>> for Called {
    fn from(answer: Result<Verdict, ConnectorError>) -> Self {
        match answer {
            Ok(Verdict::Approved) => Self { outcome: Outcome::Approved, error: None },
            Ok(Verdict::Received) => Self { outcome: Outcome::Received, error: None },
            Ok(Verdict::Rejected) => Self { outcome: Outcome::Rejected, error: None },
            Err(ConnectorError::NeverExecuted(error)) => Self::never(error),
            Err(ConnectorError::OutcomeUnknown(error)) => {
                Self { outcome: Outcome::Unknown, error: Some(error) }
            }
        }
    }
}

/// What the ledger says counts, not what the call said: a fact may have come
/// first.
fn answer(settled: Settled) -> Result<Done, ActError> {
    let verdict = match settled {
        Settled::In(State::Success) => Verdict::Approved,
        Settled::In(State::Pending) => Verdict::Received,
        Settled::In(State::Failure) => Verdict::Rejected,
        Settled::In(State::Unknown | State::Initial) => {
            return Err(ActError::OutcomeUnknown { replayed: false });
        }
        Settled::Withdrawn => return Err(ActError::ConnectorFailed),
    };
    Ok(Done { verdict, replayed: false })
}

/// The recorded answer of a request that was reserved before.
fn repeated(state: State) -> Result<Done, ActError> {
    let verdict = match state {
        State::Success => Verdict::Approved,
        State::Pending => Verdict::Received,
        State::Failure => Verdict::Rejected,
        State::Unknown | State::Initial => return Err(ActError::OutcomeUnknown { replayed: true }),
    };
    Ok(Done { verdict, replayed: true })
}

fn logged(error: &BoxError) -> &(dyn std::error::Error + 'static) {
    error.as_ref()
}

fn log_called(call: &Call, called: &Called, duration_ms: u64) {
    tracing::info!(
        project = call.key.project.as_str(),
        payment = call.key.id.as_str(),
        transaction = call.transaction.as_str(),
        action = call.action.name(),
        amount = call.amount.minor_units(),
        currency = call.amount.currency().code(),
        attempt = call.attempt,
        outcome = ?called.outcome,
        duration_ms,
        correlation_id = call.correlation_id,
        error = called.error.as_ref().map(logged),
        "a call to the connector ended"
    );
}

fn log_takeover(found: &Payment, next: &Payment) {
    let Some(expired) = found.in_flight.as_ref().filter(|_| next.in_flight.is_none()) else {
        return;
    };
    tracing::warn!(
        project = found.key.project.as_str(),
        payment = found.key.id.as_str(),
        transaction = expired.transaction.as_str(),
        state = "Unknown",
        "a lease ran out before its transaction was settled"
    );
}

/// The one line from which an outcome can be told that could not be written.
fn log_unsettled(
    reservation: &Reservation,
    outcome: Outcome,
    error: &(dyn std::error::Error + 'static),
) {
    tracing::error!(
        project = reservation.key.project.as_str(),
        payment = reservation.key.id.as_str(),
        transaction = reservation.transaction.as_str(),
        action = reservation.action.name(),
        ?outcome,
        error,
        "an outcome could not be written; recovery has to find it"
    );
}
