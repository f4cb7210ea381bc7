//! The reservation of an action (write 1), and its withdrawal if nothing was sent.

use super::{ActError, CONTENTION_MAX, OutOfTime, Recorded, Service};
use crate::error::BoxError;
use crate::observe;
use crate::payment::{Payment, Refusal, Reservation, State, Timestamp, TransactionId};
use crate::ports::{
    Clock, Connector, ConnectorKey, ReplaceError, Resend, ReserveError, Store, StoreError,
};
use std::pin::pin;

impl<S: Store, C: Connector, K: Clock> Service<S, C, K> {
    /// Reserves an action (write 1). Usually the condition of the write decides. Four
    /// cases need the Payment that failed the condition, and a further write: a reversal
    /// that becomes a refund, a lease that has expired, a repeated request whose
    /// transaction may be sent again, and a Payment with many transactions that failed.
    pub(super) async fn reserve(&self, reservation: &Reservation) -> Result<Reserved, ActError> {
        let (found, late_copy_possible) = match self.store.reserve(reservation).await {
            Ok(payment) => return Ok(Reserved::New(payment.into())),
            Err(ReserveError::NotFound) => return Err(ActError::NotFound),
            Err(ReserveError::Store(error)) => return Err(error.into()),
            Err(ReserveError::Refused { found, late_copy_possible }) => (found, late_copy_possible),
        };
        let reserved = self.reserve_on_loaded(found, reservation).await;
        if let Err(ActError::Refused(_)) = &reserved
            && late_copy_possible
            && let Err(error) = self.withdraw(reservation).await
        {
            return Err(ActError::Unavailable(StoreError::Unavailable(error)));
        }
        reserved
    }

    /// Reserves on the Payment that failed the condition.
    async fn reserve_on_loaded(
        &self,
        mut found: Box<Payment>,
        reservation: &Reservation,
    ) -> Result<Reserved, ActError> {
        for _ in 0..CONTENTION_MAX {
            let next = match self.next_step(&found, reservation) {
                Ok(next) => next,
                Err(refusal) => {
                    let earlier = found.transactions.get(&reservation.transaction);
                    return match (&refusal, earlier) {
                        (Refusal::Repeated(_), Some(earlier)) => {
                            Ok(Reserved::Earlier(Recorded::of(earlier)))
                        }
                        _ => Err(ActError::Refused(refusal)),
                    };
                }
            };
            found = match self.store.replace(&found, &next).await {
                Ok(()) => {
                    observe::log_expired_lease(&found, &next);
                    Box::new(next)
                }
                Err(ReplaceError::Changed(payment)) => payment,
                Err(ReplaceError::Gone) => return Err(ActError::NotFound),
                Err(ReplaceError::Store(error)) => return Err(error.into()),
            };
            if found.is_held_by(&reservation.nonce) {
                return Ok(Reserved::New(found));
            }
        }
        Err(ActError::Refused(Refusal::OtherInFlight))
    }

    /// The Payment after the next write that the reservation needs.
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

    /// True if this transaction can be sent again without moving money twice. False for a
    /// transaction that began elsewhere, and for one that was sent to another PSP or
    /// connector before the settings changed: this one does not know our key.
    pub(crate) fn may_resend(&self, payment: &Payment, id: &TransactionId) -> bool {
        let Some(transaction) = payment.transactions.get(id) else { return false };
        if !transaction.was_sent_by_us() || transaction.is_discrepant() {
            return false;
        }
        let policy = self.connector.policy(&ConnectorKey::of(payment));
        match policy.resend {
            Resend::SameKey { .. } if !transaction.was_sent_to(policy.psp.as_deref()) => false,
            Resend::Never => false,
            Resend::SameKey { window_ms } => {
                transaction.timestamp.plus_ms(window_ms) > self.clock.now()
            }
        }
    }

    /// Withdraws a reservation whose write failed without an answer, because it may have
    /// been written. Returns the error for the caller. If the withdrawal fails, too, the
    /// lease expires and recovery finds the reservation. If recovery may then send it, the
    /// outcome is unknown.
    pub(super) async fn withdraw_after_error(
        &self,
        reservation: &Reservation,
        deadline: Timestamp,
        error: ActError,
    ) -> ActError {
        if !matches!(error, ActError::Unavailable(_)) {
            return error;
        }
        let withdrawn = self.in_time(deadline, pin!(self.withdraw(reservation))).await;
        if let Err(cause) = withdrawn.unwrap_or_else(|| Err(OutOfTime.into())) {
            observe::log_failed_withdrawal(reservation, &cause);
            if self.connector.resends() {
                return ActError::OutcomeUnknown { replayed: false };
            }
        }
        error
    }

    /// Removes a reservation of which nothing was sent, if it exists.
    async fn withdraw(&self, reservation: &Reservation) -> Result<(), BoxError> {
        let found = self.store.get(&reservation.key).await?;
        let Some(mut payment) = found.map(Box::new) else { return Ok(()) };
        for _ in 0..CONTENTION_MAX {
            let next = payment.withdraw(reservation, self.clock.now())?;
            // By the clock of another process the lease has expired, so that the other process
            // may have sent the transaction, or may send it later.
            let is_left = next.transactions.get(&reservation.transaction).is_some_and(|left| {
                left.state_for_caller() != State::Failure && left.timestamp == reservation.at
            });
            match self.store.replace(&payment, &next).await {
                Ok(()) if is_left => return Err("its lease had expired already".into()),
                Ok(()) | Err(ReplaceError::Gone) => return Ok(()),
                Err(ReplaceError::Changed(found)) => payment = found,
                Err(ReplaceError::Store(error)) => return Err(error.into()),
            }
        }
        Err("every try met another writer".into())
    }
}

/// A reservation in the ledger.
pub(super) enum Reserved {
    /// It was made by this request, and is to be sent.
    New(Box<Payment>),
    /// It was made by an earlier request with the same key. Holds what was recorded.
    Earlier(Recorded),
}
