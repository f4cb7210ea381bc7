//! The balances of a Payment, and their computation from its transactions.

#![warn(clippy::wildcard_enum_match_arm)]

use super::{Payment, State, Transaction, TransactionId, TransactionKind};
use crate::money::{Currency, Money, MoneyError};
use std::collections::BTreeMap;

/// The balances of a Payment. The *available* amounts are stored, so that subtracting
/// from them is the check. The sums below hold after every write.
///
/// If more was captured or refunded than is available, because an operator acknowledged
/// it or because of a dispute, the available amount is zero. An amount that becomes
/// available later covers that excess first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Balances {
    /// The amount that the PSP authorized in all: `capturable + captured + cancelled`
    /// plus the amounts held by open captures and cancels.
    pub authorized: Money,
    /// The amount that may still be reserved for capture.
    pub capturable: Money,
    /// The sum of the successful Charges: `refundable + refunded` plus the amounts held
    /// by open refunds and chargebacks.
    pub captured: Money,
    /// The amount that may still be reserved for refund.
    pub refundable: Money,
    /// The sum of the successful Refunds and Chargebacks.
    pub refunded: Money,
    /// The sum of the successful cancels.
    pub cancelled: Money,
}

impl Balances {
    /// Balances that are all zero.
    pub fn zero(currency: Currency) -> Self {
        let zero = Money::zero(currency);
        Self {
            authorized: zero,
            capturable: zero,
            captured: zero,
            refundable: zero,
            refunded: zero,
            cancelled: zero,
        }
    }
}

/// The sums of a Payment's transactions, by kind and state.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sums {
    authorized: Money,
    is_authorized: bool,
    captured: Money,
    capturing: Money,
    cancelled: Money,
    cancelling: Money,
    refunded: Money,
    refunding: Money,
}

/// The amounts by which transactions exceed what is available for them. All are zero
/// unless an operator acknowledged an excess or a transaction is a discrepancy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Excess {
    /// The captures and cancels above the authorized amount.
    pub(super) placed: Money,
    /// The refunds and chargebacks above the captured amount.
    pub(super) refunded: Money,
    /// The refunds that name a Charge above the amounts of those Charges.
    pub(super) of_charges: Money,
}

impl Excess {
    pub(super) fn is_zero(self) -> bool {
        self.placed.is_zero() && self.refunded.is_zero() && self.of_charges.is_zero()
    }

    /// True if no amount is larger than the same one of `other`.
    pub(super) fn is_within(self, other: Self) -> bool {
        let is_within = |amount: Money, limit: Money| limit.take(amount).is_ok();
        is_within(self.placed, other.placed)
            && is_within(self.refunded, other.refunded)
            && is_within(self.of_charges, other.of_charges)
    }
}

impl Sums {
    /// Adds up the kinds, states and amounts of transactions.
    pub(super) fn of(
        currency: Currency,
        transactions: impl Iterator<Item = (TransactionKind, State, Money)>,
    ) -> Result<Self, MoneyError> {
        let zero = Money::zero(currency);
        let mut sums = Self {
            authorized: zero,
            is_authorized: false,
            captured: zero,
            capturing: zero,
            cancelled: zero,
            cancelling: zero,
            refunded: zero,
            refunding: zero,
        };
        for (kind, state, amount) in transactions {
            sums.add(kind, state, amount)?;
        }
        Ok(sums)
    }

    fn add(
        &mut self,
        kind: TransactionKind,
        state: State,
        amount: Money,
    ) -> Result<(), MoneyError> {
        let is_done = state == State::Success;
        let sum = match kind {
            TransactionKind::Authorization if is_done => {
                self.is_authorized = true;
                &mut self.authorized
            }
            TransactionKind::Charge if is_done => &mut self.captured,
            TransactionKind::Charge if state.is_open() => &mut self.capturing,
            TransactionKind::CancelAuthorization if is_done => &mut self.cancelled,
            TransactionKind::CancelAuthorization if state.is_open() => &mut self.cancelling,
            TransactionKind::Refund | TransactionKind::Chargeback if is_done => &mut self.refunded,
            // A bank that has begun a chargeback may have the money already.
            TransactionKind::Refund | TransactionKind::Chargeback if state.is_open() => {
                &mut self.refunding
            }
            TransactionKind::Authorization
            | TransactionKind::Charge
            | TransactionKind::CancelAuthorization
            | TransactionKind::Refund
            | TransactionKind::Chargeback => return Ok(()),
        };
        *sum = sum.give(amount)?;
        Ok(())
    }

    /// The authorized amount. A Payment with Charges but no successful Authorization is a
    /// sale: authorized and captured at once.
    fn authorized(&self) -> Result<Money, MoneyError> {
        if self.is_authorized { Ok(self.authorized) } else { self.captured.give(self.capturing) }
    }

    fn placed(&self) -> Result<Money, MoneyError> {
        let captures = self.captured.give(self.capturing)?;
        captures.give(self.cancelled)?.give(self.cancelling)
    }

    /// The balances of these sums. An available amount is never below zero.
    pub(super) fn balances(&self) -> Result<Balances, MoneyError> {
        let authorized = self.authorized()?;
        Ok(Balances {
            authorized,
            capturable: authorized.take_at_most(self.placed()?)?,
            captured: self.captured,
            refundable: self.captured.take_at_most(self.refunded.give(self.refunding)?)?,
            refunded: self.refunded,
            cancelled: self.cancelled,
        })
    }

    /// The captures and cancels above the authorized amount.
    pub(super) fn excess_placed(&self) -> Result<Money, MoneyError> {
        self.placed()?.take_at_most(self.authorized()?)
    }

    /// The refunds and chargebacks above the captured amount.
    pub(super) fn excess_refunded(&self) -> Result<Money, MoneyError> {
        self.refunded.give(self.refunding)?.take_at_most(self.captured)
    }
}

impl Payment {
    /// Checks that the balances are the sums of the transactions. Checks that no
    /// transactions exceed the available amount, unless one of them is a discrepancy or
    /// acknowledged. Checks that only the transaction in flight is Initial.
    pub fn check(&self) -> Result<(), Inconsistent> {
        let sums = self.sums()?;
        let expected = sums.balances()?;
        for (name, stored, expected) in [
            ("authorized", self.balances.authorized, expected.authorized),
            ("capturable", self.balances.capturable, expected.capturable),
            ("captured", self.balances.captured, expected.captured),
            ("refundable", self.balances.refundable, expected.refundable),
            ("refunded", self.balances.refunded, expected.refunded),
            ("cancelled", self.balances.cancelled, expected.cancelled),
        ] {
            if stored != expected {
                return Err(Inconsistent::Sum(name));
            }
        }
        let taken = self.taken_by_charge()?;
        for charge in self.transactions.values() {
            if charge.refundable != charge.left(&taken)? {
                return Err(Inconsistent::Sum("refundable of a Charge"));
            }
        }
        if !self.excess()?.is_zero() && !self.may_exceed() {
            return Err(Inconsistent::Excess);
        }
        self.check_slot()
    }

    /// Computes the balances, and what is left of each Charge, from the
    /// transactions.
    pub(super) fn rebook(&mut self) -> Result<(), MoneyError> {
        self.balances = self.sums()?.balances()?;
        let taken = self.taken_by_charge()?;
        for charge in self.transactions.values_mut() {
            charge.refundable = charge.left(&taken)?;
        }
        Ok(())
    }

    /// The amounts by which the transactions exceed what is available.
    pub(super) fn excess(&self) -> Result<Excess, MoneyError> {
        let sums = self.sums()?;
        let mut of_charges = Money::zero(self.currency());
        for (charge, taken) in self.taken_by_charge()? {
            let charge = self.transactions.get(&charge).filter(|charge| charge.is_captured());
            let amount = charge.map_or(Money::zero(self.currency()), |charge| charge.amount);
            of_charges = of_charges.give(taken.take_at_most(amount)?)?;
        }
        Ok(Excess { placed: sums.excess_placed()?, refunded: sums.excess_refunded()?, of_charges })
    }

    /// True if transactions may exceed the available amount: one of them is a
    /// discrepancy, or an operator acknowledged it.
    pub(super) fn may_exceed(&self) -> bool {
        let explains = |one: &Transaction| one.is_discrepant() || one.acknowledged.is_some();
        self.transactions.values().any(explains)
    }

    fn sums(&self) -> Result<Sums, MoneyError> {
        let transactions = self.transactions.values();
        let transactions = transactions.map(|one| (one.kind, one.state, one.amount));
        Sums::of(self.currency(), transactions)
    }

    /// The sum of the refunds that name a Charge, for each such Charge.
    fn taken_by_charge(&self) -> Result<BTreeMap<TransactionId, Money>, MoneyError> {
        let mut taken: BTreeMap<TransactionId, Money> = BTreeMap::new();
        for refund in self.transactions.values() {
            let named = refund.charge.as_ref().filter(|_| refund.state != State::Failure);
            if let Some(charge) = named {
                let sum = taken.get(charge).copied().unwrap_or(Money::zero(self.currency()));
                taken.insert(charge.clone(), sum.give(refund.amount)?);
            }
        }
        Ok(taken)
    }

    /// Checks that only the transaction in flight is Initial, and that it exists: a slot
    /// without a transaction would block the Payment.
    fn check_slot(&self) -> Result<(), Inconsistent> {
        let held = self.in_flight.as_ref().map(|slot| &slot.transaction);
        let mut initial = self.open_transactions().filter(|open| open.state == State::Initial);
        let known = held.is_none_or(|id| self.transactions.contains_key(id));
        if known && initial.all(|transaction| Some(&transaction.id) == held) {
            Ok(())
        } else {
            Err(Inconsistent::Slot)
        }
    }
}

impl Transaction {
    fn is_captured(&self) -> bool {
        self.kind == TransactionKind::Charge && self.state == State::Success
    }

    /// The amount that is left of a successful Charge for the refunds that name it.
    fn left(&self, taken: &BTreeMap<TransactionId, Money>) -> Result<Option<Money>, MoneyError> {
        match taken.get(&self.id) {
            _ if !self.is_captured() => Ok(None),
            Some(taken) => self.amount.take_at_most(*taken).map(Some),
            None => Ok(Some(self.amount)),
        }
    }
}

/// The ways in which a ledger does not add up. This service never writes such a ledger,
/// and takes no action on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Inconsistent {
    /// A balance is not the sum of its transactions.
    #[error("the ledger does not add up: {0}")]
    Sum(&'static str),
    /// More was captured, cancelled or refunded than is available, and no discrepancy or
    /// acknowledgement allows that.
    #[error(
        "more was captured, cancelled or refunded than is available, and no discrepancy or \
         acknowledgement allows that"
    )]
    Excess,
    /// A transaction is Initial but not in flight, or a slot has no transaction.
    #[error("the in-flight slot and the transactions disagree")]
    Slot,
    /// Amounts cannot be added.
    #[error(transparent)]
    Money(#[from] MoneyError),
}
