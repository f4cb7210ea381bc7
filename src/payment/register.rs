//! Registration of a Payment, with the transactions that happened before.

#![warn(clippy::wildcard_enum_match_arm)]

use super::balances::Sums;
use super::{
    Details, Inconsistent, Payment, PaymentKey, Report, State, Timestamp, Transaction,
    TransactionId, TransactionKind,
};
use crate::money::{Money, MoneyError};
use std::collections::BTreeMap;

/// A Payment to be registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Where it will live.
    pub key: PaymentKey,
    /// The amount that it intends to receive; its currency is the Payment's.
    pub amount_planned: Money,
    /// Digits after the decimal point of that currency.
    pub fraction_digits: u8,
    /// What is known of the transactions so far, by ids that are unique and in order.
    pub transactions: Vec<(TransactionId, Report)>,
    /// The rest of it. The planned amount is filled in.
    pub details: Details,
}

impl Payment {
    /// Builds the ledger of a new Payment from what is known of its past.
    ///
    /// A Chargeback counts as refunded: the payer has it.
    pub fn register(
        registration: Registration,
        at: Timestamp,
    ) -> Result<Self, RegistrationRefusal> {
        let Registration { key, amount_planned, fraction_digits, transactions, mut details } =
            registration;
        if transactions.len() >= Self::TRANSACTIONS_MAX {
            return Err(RegistrationRefusal::TooManyTransactions);
        }
        for (_, report) in &transactions {
            amount_planned.take(Money::zero(report.amount.currency()))?;
        }
        let past = transactions.iter().map(|(_, past)| (past.kind, past.state, past.amount));
        let sums = Sums::of(amount_planned.currency(), past)?;
        if !sums.excess_placed()?.is_zero() {
            return Err(RegistrationRefusal::MorePlacedThanAuthorized);
        }
        if !sums.excess_refunded()?.is_zero() {
            return Err(RegistrationRefusal::MoreRefundedThanCaptured);
        }
        let balances = sums.balances()?;
        details.amount_planned = Some(amount_planned);
        let transactions: BTreeMap<_, _> = transactions
            .into_iter()
            .map(|(id, report)| (id.clone(), registered(id, report, at)))
            .collect();
        let payment = Self {
            key,
            version: 1,
            created_at: at,
            modified_at: at,
            fraction_digits,
            balances,
            transactions,
            in_flight: None,
            withdrawn_at: None,
            details,
        };
        payment.check()?;
        payment.check_size().map_err(|_| RegistrationRefusal::TooLarge)?;
        Ok(payment)
    }
}

fn registered(id: TransactionId, report: Report, at: Timestamp) -> Transaction {
    let is_captured = report.kind == TransactionKind::Charge && report.state == State::Success;
    let refundable = is_captured.then_some(report.amount);
    Transaction { refundable, ..Transaction::external(id, report, at) }
}

/// Why a Payment cannot be registered as it was described.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistrationRefusal {
    /// No room would be left for an action.
    #[error("it has {max} transactions or more, and no room for an action", max = Payment::TRANSACTIONS_MAX)]
    TooManyTransactions,
    /// Its texts take too much room.
    #[error("it has more than {max} bytes of text", max = Payment::TEXT_BYTES_MAX)]
    TooLarge,
    /// Charges and cancellations exceed what is authorized.
    #[error("the Charges and cancellations are more than what is authorized")]
    MorePlacedThanAuthorized,
    /// Refunds and Chargebacks exceed what was captured.
    #[error("the Refunds and Chargebacks are more than what was captured")]
    MoreRefundedThanCaptured,
    /// Amounts that do not fit together.
    #[error(transparent)]
    Money(#[from] MoneyError),
    /// Transactions that do not fit together.
    #[error(transparent)]
    Inconsistent(#[from] Inconsistent),
}
