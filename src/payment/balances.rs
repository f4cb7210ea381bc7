use super::{Payment, State, Transaction, TransactionKind};
use crate::money::{Currency, Money, MoneyError};

/// Where the authorized money is. What is *available* is stored, so that taking
/// it is the check; the sums below hold after every write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Balances {
    /// What the PSP holds for us in all:
    /// `capturable + captured + cancelled +` what open captures and cancels hold.
    pub authorized: Money,
    /// What may still be reserved for capture.
    pub capturable: Money,
    /// Captured for good, the sum of the successful Charges: `refundable + refunded +` what open refunds hold.
    pub captured: Money,
    /// What may still be reserved for refund.
    pub refundable: Money,
    /// Refunded for good: the sum of the successful Refunds and Chargebacks.
    pub refunded: Money,
    /// Released for good.
    pub cancelled: Money,
}

impl Balances {
    /// Nothing anywhere.
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

impl Payment {
    /// Checks that no money is lost or invented between the balances and the
    /// transactions (the sums are those on [`Balances`]), and that nothing is
    /// Initial but what holds the slot.
    pub fn check(&self) -> Result<(), Inconsistent> {
        let balances = &self.balances;
        let held =
            self.held_of(&[TransactionKind::Charge, TransactionKind::CancelAuthorization])?;
        let placed = balances.capturable.give(balances.captured)?.give(balances.cancelled)?;
        if balances.authorized != placed.give(held)? {
            return Err(Inconsistent::Sum("authorized"));
        }
        let held = self.held_of(&[TransactionKind::Refund])?;
        if balances.captured != balances.refundable.give(balances.refunded)?.give(held)? {
            return Err(Inconsistent::Sum("captured"));
        }
        let done = [
            ("captured", balances.captured, &[TransactionKind::Charge][..]),
            ("cancelled", balances.cancelled, &[TransactionKind::CancelAuthorization]),
            (
                "refunded",
                balances.refunded,
                &[TransactionKind::Refund, TransactionKind::Chargeback],
            ),
        ];
        for (name, balance, kinds) in done {
            if balance != self.done_of(kinds)? {
                return Err(Inconsistent::Sum(name));
            }
        }
        self.transactions.values().try_for_each(|transaction| self.check_charge(transaction))?;
        self.check_slot()
    }

    fn held_of(&self, kinds: &[TransactionKind]) -> Result<Money, MoneyError> {
        self.open_transactions()
            .filter(|open| kinds.contains(&open.kind))
            .try_fold(Money::zero(self.currency()), |sum, open| sum.give(open.amount))
    }

    fn done_of(&self, kinds: &[TransactionKind]) -> Result<Money, MoneyError> {
        self.transactions
            .values()
            .filter(|done| kinds.contains(&done.kind) && done.state == State::Success)
            .try_fold(Money::zero(self.currency()), |sum, done| sum.give(done.amount))
    }

    /// A successful Charge, and only that, says what is left of it; that and
    /// the refunds that name it make up its amount.
    fn check_charge(&self, charge: &Transaction) -> Result<(), Inconsistent> {
        let captured = charge.kind == TransactionKind::Charge && charge.state == State::Success;
        let Some(left) = charge.refundable.filter(|_| captured) else {
            let consistent = captured == charge.refundable.is_some();
            return if consistent {
                Ok(())
            } else {
                Err(Inconsistent::Sum("refundable of a Charge"))
            };
        };
        let taken = self
            .transactions
            .values()
            .filter(|refund| refund.kind == TransactionKind::Refund)
            .filter(|refund| refund.charge.as_ref() == Some(&charge.id))
            .filter(|refund| refund.state != State::Failure)
            .try_fold(left, |sum, refund| sum.give(refund.amount))?;
        if taken == charge.amount { Ok(()) } else { Err(Inconsistent::Sum("refunds of a Charge")) }
    }

    /// Only the holder of the slot may be Initial; a slot without its
    /// transaction would hold up the Payment for nothing.
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

/// A ledger that does not add up: never written by this service, and never
/// acted upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Inconsistent {
    /// One of the sums does not hold.
    #[error("the ledger does not add up: {0}")]
    Sum(&'static str),
    /// An Initial transaction without the slot, or a slot without a transaction.
    #[error("the in-flight slot and the transactions disagree")]
    Slot,
    /// Amounts that cannot be added at all.
    #[error(transparent)]
    Money(#[from] MoneyError),
}
