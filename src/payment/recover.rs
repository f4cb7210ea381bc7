//! Recovery of an attempt that ended without an outcome. Its slot is freed, it is looked
//! at again later, and it is sent again only if that cannot move money twice.

#![warn(clippy::wildcard_enum_match_arm)]

use super::{
    InFlight, Inconsistent, Nonce, Outcome, Payment, Refusal, Reservation, Settlement, State,
    Timestamp, Transaction, TransactionId,
};

/// The time from when an open transaction became unclear to the first look at it.
pub(super) const FIRST_LOOK_MS: u64 = 60_000;

/// The time after the last attempt at which the connector has stopped working on a
/// transaction. A connector may work for 5 minutes after its caller has timed out.
pub const SETTLE_WINDOW_MS: u64 = 360_000;

/// The pauses between looks that did not find an outcome. The last pause repeats.
const NEXT_LOOKS_MS: [u64; 4] = [120_000, 300_000, 900_000, 3_600_000];

impl Payment {
    /// The Payment without this reservation, of which nothing was sent. A delayed copy of
    /// the reservation will be refused.
    pub fn withdraw(&self, reservation: &Reservation, at: Timestamp) -> Result<Self, Inconsistent> {
        let Reservation { transaction, nonce, .. } = reservation;
        if self.is_held_by(nonce)
            && let Settlement::Changed(next) =
                self.settle(transaction, nonce, Outcome::NeverExecuted, at)?
        {
            return Ok(*next);
        }
        let mut next = self.changed(at);
        next.fence(reservation.at);
        Ok(next)
    }

    /// Refuses from now on delayed copies of reservations that were made at `at` or before.
    pub(super) fn fence(&mut self, at: Timestamp) {
        self.withdrawn_at = self.withdrawn_at.max(Some(at));
    }

    /// The Payment with its slot freed, if the lease has expired. The holder can send
    /// nothing more, but may have sent something.
    pub fn expire(&self, now: Timestamp) -> Option<Self> {
        let slot = self.in_flight.as_ref().filter(|slot| slot.is_expired(now))?;
        let mut next = self.changed(now);
        next.in_flight = None;
        if let Some(transaction) = next.transactions.get_mut(&slot.transaction) {
            if matches!(transaction.state, State::Initial | State::Unknown) {
                transaction.state = State::Unknown;
                transaction.recovery.look_at = Some(now);
            }
            if let Some(likeness) = &mut transaction.likeness
                && likeness.known == State::Initial
            {
                likeness.known = State::Unknown;
            }
            transaction.recovery.unclear_since = Some(slot.lease);
        }
        Some(next)
    }

    /// Takes the slot for another attempt at a transaction that is Unknown. Only for
    /// connectors that honour the transaction's key: others would act a second time.
    pub fn resume(
        &self,
        id: &TransactionId,
        nonce: Nonce,
        at: Timestamp,
        lease: Timestamp,
    ) -> Result<Self, Refusal> {
        match &self.in_flight {
            Some(slot) if slot.is_expired(at) => return Err(Refusal::LeaseExpired),
            Some(slot) => return Err(slot.refusal(id, at)),
            None => {}
        }
        let mut next = self.changed(at);
        let transaction = next.transactions.get_mut(id).ok_or(Refusal::PossiblyStaleCopy)?;
        if transaction.state != State::Unknown || transaction.is_discrepant() {
            return Err(Refusal::Repeated(transaction.state_for_caller()));
        }
        transaction.recovery.resends = transaction.recovery.resends.saturating_add(1);
        let attempt = transaction.recovery.resends.saturating_add(1);
        next.in_flight = Some(InFlight { transaction: id.clone(), nonce, attempt, lease });
        Ok(next)
    }

    /// Counts a look that did not find an outcome, and plans the next one: after a longer
    /// pause each time, and not before `earliest`.
    pub fn look_again(&self, id: &TransactionId, at: Timestamp, earliest: Timestamp) -> Self {
        let mut next = self.changed(at);
        if let Some(transaction) = next.transactions.get_mut(id) {
            let progress = &mut transaction.recovery;
            let looks = usize::try_from(progress.looks).unwrap_or(usize::MAX);
            let pause_ms = NEXT_LOOKS_MS.get(looks).or(NEXT_LOOKS_MS.last());
            progress.look_at =
                Some(at.plus_ms(pause_ms.copied().unwrap_or_default()).max(earliest));
            progress.looks = progress.looks.saturating_add(1);
        }
        next
    }

    /// The open transactions whose recovery is due, oldest first, without the one in
    /// flight.
    pub fn due(&self, now: Timestamp) -> Vec<&Transaction> {
        let mut due: Vec<_> = self
            .open_transactions()
            .filter(|open| !self.is_in_flight(&open.id) && self.next_look_at(open) <= now)
            .collect();
        due.sort_by_key(|open| open.timestamp);
        due
    }

    /// Notes that an attempt ended at `at` without a trusted answer.
    pub(super) fn note_unclear(&mut self, id: &TransactionId, at: Timestamp) {
        if let Some(transaction) = self.transactions.get_mut(id) {
            transaction.recovery.unclear_since = Some(at);
        }
    }
}

impl Transaction {
    /// The time from which its connector has stopped working on it.
    pub(crate) fn window_ends(&self) -> Timestamp {
        let unclear_since = self.recovery.unclear_since.unwrap_or(self.timestamp);
        unclear_since.plus_ms(SETTLE_WINDOW_MS)
    }
}
