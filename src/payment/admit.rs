//! The rules for reserving an action, and the reasons to refuse it.
//!
//! The store's conditions accept exactly what [`Payment::admit`] accepts. A property
//! test compares the two.

#![warn(clippy::wildcard_enum_match_arm)]

use super::{
    Action, InFlight, Payment, Reservation, State, Timestamp, Transaction, TransactionId,
    TransactionKind,
};
use crate::money::{Currency, Money};

/// The kind and amount of the transaction that a reservation makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admission {
    /// The kind of transaction.
    pub kind: TransactionKind,
    /// The amount that it holds until its outcome is final.
    pub amount: Money,
}

impl Payment {
    /// Decides if `reservation` may be made, and returns the kind and amount of its
    /// transaction. A repeated request is recognised before any other check.
    pub fn admit(&self, reservation: &Reservation) -> Result<Admission, Refusal> {
        self.admit_identity(reservation)?;
        if !self.has_room_for(&reservation.action) {
            return Err(Refusal::TooManyTransactions);
        }
        self.admit_discrepancies(&reservation.action)?;
        match &reservation.action {
            Action::Capture { amount } => self.admit_capture(*amount),
            Action::Refund { amount, charge } => self.admit_refund(*amount, charge.as_ref()),
            Action::Cancel => self.admit_cancel(),
            Action::Reverse => self.admit_reverse(),
        }
    }

    /// The Payment after `reservation`: the transaction is Initial and in flight, and its
    /// amount is held.
    pub fn reserve(&self, reservation: &Reservation) -> Result<Self, Refusal> {
        let Admission { kind, amount } = self.admit(reservation)?;
        let mut next = self.changed(reservation.at);
        next.hold(reservation, kind, amount).map_err(|_| Refusal::Inconsistent)?;
        next.in_flight = Some(InFlight::first(reservation));
        let mut transaction = Transaction::reserved(reservation, kind, amount);
        let interface = self.details.payment_interface.as_deref();
        transaction.psp = reservation.psps.psp_of(interface).map(str::to_owned);
        next.transactions.insert(transaction.id.clone(), transaction);
        Ok(next)
    }

    fn admit_identity(&self, reservation: &Reservation) -> Result<(), Refusal> {
        let repeated = self.transactions.get(&reservation.transaction);
        if repeated.is_some_and(|transaction| !reservation.has_same_content(transaction)) {
            return Err(Refusal::KeyReused);
        }
        match (&self.in_flight, repeated) {
            (Some(slot), Some(known)) if slot.transaction != known.id => {
                Err(Refusal::Repeated(known.state_for_caller()))
            }
            (Some(slot), _) if slot.is_expired(reservation.at) => Err(Refusal::LeaseExpired),
            (Some(slot), _) => Err(slot.refusal(&reservation.transaction, reservation.at)),
            (None, Some(known)) => Err(Refusal::Repeated(known.state_for_caller())),
            (None, None) if self.withdrawn_at.is_some_and(|at| at >= reservation.at) => {
                Err(Refusal::PossiblyStaleCopy)
            }
            (None, None) => Ok(()),
        }
    }

    /// Refuses an action on a side that a discrepancy stops.
    fn admit_discrepancies(&self, action: &Action) -> Result<(), Refusal> {
        let concerned = action.sides().iter().flat_map(|side| self.discrepancies_of(*side));
        let mut transactions: Vec<_> = concerned.map(|discrepant| discrepant.id.clone()).collect();
        transactions.sort();
        transactions.dedup();
        if transactions.is_empty() { Ok(()) } else { Err(Refusal::Discrepancy { transactions }) }
    }

    fn admit_capture(&self, amount: Money) -> Result<Admission, Refusal> {
        self.admit_currency(amount)?;
        let balances = &self.balances;
        if balances.capturable.take(amount).is_ok() {
            return Ok(Admission { kind: TransactionKind::Charge, amount });
        }
        Err(if balances.authorized.is_zero() {
            Refusal::NothingAuthorized
        } else if balances.cancelled == balances.authorized {
            Refusal::AlreadyCancelled
        } else {
            Refusal::ExceedsCapturable { asked: amount, available: balances.capturable }
        })
    }

    fn admit_refund(
        &self,
        amount: Money,
        charge: Option<&TransactionId>,
    ) -> Result<Admission, Refusal> {
        self.admit_currency(amount)?;
        if self.balances.captured.is_zero() {
            return Err(Refusal::NothingCaptured);
        }
        if let Some(charge) = charge {
            let left = self.transactions.get(charge).and_then(|charge| charge.refundable);
            let available = left.ok_or(Refusal::NoSuchCharge)?;
            if available.take(amount).is_err() {
                return Err(Refusal::ExceedsCharge { asked: amount, available });
            }
        }
        match self.balances.refundable.take(amount) {
            Ok(_) => Ok(Admission { kind: TransactionKind::Refund, amount }),
            Err(_) => Err(Refusal::ExceedsRefundable {
                asked: amount,
                available: self.balances.refundable,
            }),
        }
    }

    /// Admits a cancel if `capturable = authorized > 0`. By the sums of the balances,
    /// nothing is then captured, cancelled or held.
    fn admit_cancel(&self) -> Result<Admission, Refusal> {
        let balances = &self.balances;
        if balances.authorized.is_zero() {
            Err(Refusal::NothingAuthorized)
        } else if balances.capturable == balances.authorized {
            Ok(Admission {
                kind: TransactionKind::CancelAuthorization,
                amount: balances.authorized,
            })
        } else if !balances.captured.is_zero() {
            Err(Refusal::AlreadyCaptured)
        } else if !balances.cancelled.is_zero() {
            Err(Refusal::AlreadyCancelled)
        } else {
            Err(Refusal::TransactionOpen)
        }
    }

    fn admit_reverse(&self) -> Result<Admission, Refusal> {
        let balances = &self.balances;
        match self.admit_cancel() {
            Err(Refusal::AlreadyCaptured) if self.open_transactions().next().is_some() => {
                Err(Refusal::TransactionOpen)
            }
            Err(Refusal::AlreadyCaptured) if balances.refundable.is_zero() => {
                Err(Refusal::NothingToReverse)
            }
            Err(Refusal::AlreadyCaptured) => {
                Ok(Admission { kind: TransactionKind::Refund, amount: balances.refundable })
            }
            cancel => cancel,
        }
    }

    fn admit_currency(&self, amount: Money) -> Result<(), Refusal> {
        if amount.currency() == self.currency() {
            return Ok(());
        }
        Err(Refusal::OtherCurrency { expected: self.currency(), found: amount.currency() })
    }

    /// Subtracts the amount of the transaction from the available amounts.
    fn hold(
        &mut self,
        reservation: &Reservation,
        kind: TransactionKind,
        amount: Money,
    ) -> Result<(), crate::money::MoneyError> {
        let balances = &mut self.balances;
        match kind {
            TransactionKind::Charge | TransactionKind::CancelAuthorization => {
                balances.capturable = balances.capturable.take(amount)?;
            }
            TransactionKind::Refund => {
                balances.refundable = balances.refundable.take(amount)?;
                let charge = reservation.action.charge();
                if let Some(charge) = charge.and_then(|id| self.transactions.get_mut(id)) {
                    charge.refundable =
                        charge.refundable.map(|left| left.take(amount)).transpose()?;
                }
            }
            // No action makes these.
            TransactionKind::Authorization | TransactionKind::Chargeback => {}
        }
        Ok(())
    }
}

impl Transaction {
    /// The transaction that `reservation` makes.
    fn reserved(reservation: &Reservation, kind: TransactionKind, amount: Money) -> Self {
        let id = reservation.transaction.clone();
        Self {
            is_reversal: reservation.action == Action::Reverse,
            charge: reservation.action.charge().cloned(),
            merchant_reference: reservation.merchant_reference.clone(),
            ..Self::new(id, kind, State::Initial, amount, reservation.at)
        }
    }
}

impl InFlight {
    /// The slot of a transaction's first attempt.
    pub fn first(reservation: &Reservation) -> Self {
        Self {
            transaction: reservation.transaction.clone(),
            nonce: reservation.nonce,
            attempt: 1,
            lease: reservation.lease,
        }
    }

    /// True if the holder can no longer send anything at `now`.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.lease < now
    }

    /// The refusal of a request for the transaction `id` while this slot is taken.
    pub(super) fn refusal(&self, id: &TransactionId, now: Timestamp) -> Refusal {
        let lease_ms = self.lease.ms_since(now);
        if self.transaction == *id {
            Refusal::SameInFlight { lease_ms }
        } else {
            Refusal::OtherInFlight
        }
    }
}

/// The reasons to refuse an action. Nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The same request was reserved before. Holds the state of its transaction.
    Repeated(State),
    /// A transaction with this id has other content.
    KeyReused,
    /// Another action is in flight.
    OtherInFlight,
    /// The same request is in flight.
    SameInFlight {
        /// Milliseconds until the lease of that request ends.
        lease_ms: u64,
    },
    /// The lease of the action in flight has expired. Its slot has to be freed first.
    LeaseExpired,
    /// The reservation is not later than one that was withdrawn, and may be a delayed copy
    /// of it.
    PossiblyStaleCopy,
    /// These transactions are discrepancies and stop the side that the action takes from.
    Discrepancy {
        /// Their ids, in order.
        transactions: Vec<TransactionId>,
    },
    /// The ledger has no room for another transaction.
    TooManyTransactions,
    /// The Payment is in another currency.
    OtherCurrency {
        /// The currency of the Payment.
        expected: Currency,
        /// The currency of the action.
        found: Currency,
    },
    /// Nothing is authorized.
    NothingAuthorized,
    /// The amount is more than is left to capture.
    ExceedsCapturable {
        /// The amount of the action.
        asked: Money,
        /// The amount that is left.
        available: Money,
    },
    /// The authorization was released.
    AlreadyCancelled,
    /// Nothing was captured.
    NothingCaptured,
    /// The amount is more than is left to refund.
    ExceedsRefundable {
        /// The amount of the action.
        asked: Money,
        /// The amount that is left.
        available: Money,
    },
    /// The named transaction is not a successful Charge of this Payment.
    NoSuchCharge,
    /// The amount is more than is left of the named Charge.
    ExceedsCharge {
        /// The amount of the action.
        asked: Money,
        /// The amount that is left of the Charge.
        available: Money,
    },
    /// Something was captured, so that a cancel is not possible.
    AlreadyCaptured,
    /// A transaction without a final outcome prevents a cancel or reversal.
    TransactionOpen,
    /// All that was captured has been refunded.
    NothingToReverse,
    /// The ledger does not add up; see [`Payment::check`].
    Inconsistent,
}
