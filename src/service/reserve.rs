//! Write 1: the reservation, and its withdrawal where nothing was sent.

use super::{ActError, CONTENTION_MAX, OutOfTime, Service};
use crate::error::BoxError;
use crate::observe;
use crate::payment::{Payment, Refusal, Reservation, State, Timestamp, TransactionId};
use crate::ports::{
    Clock, Connector, ConnectorKey, ReplaceError, Resend, ReserveError, Store, StoreError,
};
use std::pin::pin;

impl<S: Store, C: Connector, K: Clock> Service<S, C, K> {
    /// Write 1. The condition of the write decides nearly always. Three cases need the
    /// Payment that failed the condition, and one write more: a reversal that becomes a
    /// refund, a lease that ran out, and a repeat that may be sent again.
    pub(super) async fn reserve(&self, reservation: &Reservation) -> Result<Reserved, ActError> {
        let (found, late_copy_possible) = match self.store.reserve(reservation).await {
            Ok(payment) => return Ok(Reserved::Now(payment.into())),
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
                Err(Refusal::Repeated(state)) => return Ok(Reserved::Before(state)),
                Err(refusal) => return Err(ActError::Refused(refusal)),
            };
            found = match self.store.replace(&found, &next).await {
                Ok(()) => {
                    observe::lease_ran_out(&found, &next);
                    Box::new(next)
                }
                Err(ReplaceError::Changed(payment)) => payment,
                Err(ReplaceError::Gone) => return Err(ActError::NotFound),
                Err(ReplaceError::Store(error)) => return Err(error.into()),
            };
            if found.is_held_by(&reservation.nonce) {
                return Ok(Reserved::Now(found));
            }
        }
        Err(ActError::Refused(Refusal::OtherInFlight))
    }

    /// The Payment after the one step that brings the reservation forward.
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

    /// Says whether this transaction can be sent once more without moving money twice.
    /// A transaction that began elsewhere cannot: its connector does not know it by
    /// our key.
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

    /// Answers a reservation that failed. A write that got no answer may have happened
    /// all the same. Nothing was sent, so it is withdrawn before the caller is
    /// answered. Where that fails too, its lease runs out and recovery finds it. If
    /// recovery may send it then, the outcome is unknown.
    pub(super) async fn not_reserved(
        &self,
        reservation: &Reservation,
        deadline: Timestamp,
        why: ActError,
    ) -> ActError {
        if !matches!(why, ActError::Unavailable(_)) {
            return why;
        }
        let withdrawn = self.in_time(deadline, pin!(self.withdraw(reservation))).await;
        if let Err(error) = withdrawn.unwrap_or_else(|| Err(OutOfTime.into())) {
            observe::not_withdrawn(reservation, &error);
            if self.connector.resends() {
                return ActError::OutcomeUnknown { replayed: false };
            }
        }
        why
    }

    /// Removes a reservation that was not sent, if it is there.
    async fn withdraw(&self, reservation: &Reservation) -> Result<(), BoxError> {
        let found = self.store.get(&reservation.key).await?;
        let Some(mut payment) = found.map(Box::new) else { return Ok(()) };
        for _ in 0..CONTENTION_MAX {
            let next = payment.withdraw(reservation, self.clock.now())?;
            // By a clock that is ahead of ours its lease has run out, so that others may
            // send it, or did.
            let is_left = next.transactions.get(&reservation.transaction).is_some_and(|left| {
                left.state_for_caller() != State::Failure && left.timestamp == reservation.at
            });
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

/// A reservation that is in the ledger.
pub(super) enum Reserved {
    /// Made by this request: it is to be sent.
    Now(Box<Payment>),
    /// Made by an earlier request with the same key, and now in this state.
    Before(State),
}
