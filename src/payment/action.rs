use super::{Nonce, PaymentKey, Side, Timestamp, Transaction, TransactionId, TransactionKind};
use crate::money::Money;

/// An action that a caller asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Take authorized funds.
    Capture {
        /// The amount.
        amount: Money,
    },
    /// Give captured funds back.
    Refund {
        /// The amount.
        amount: Money,
        /// The Charge that it belongs to, where the caller names one.
        charge: Option<TransactionId>,
    },
    /// Release the authorization; only while nothing was captured.
    Cancel,
    /// Cancel, or else refund all that is refundable: whichever is open.
    Reverse,
}

impl Action {
    /// The name that callers and connectors know it by.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Capture { .. } => "capturePayment",
            Self::Refund { .. } => "refundPayment",
            Self::Cancel => "cancelPayment",
            Self::Reverse => "reversePayment",
        }
    }

    /// The amounts that it takes from.
    pub fn sides(&self) -> &'static [Side] {
        match self {
            Self::Capture { .. } | Self::Cancel => &[Side::Captures],
            Self::Refund { .. } => &[Side::Refunds],
            Self::Reverse => &[Side::Captures, Side::Refunds],
        }
    }

    /// The Charge that a refund belongs to, where the caller named one.
    pub fn charge(&self) -> Option<&TransactionId> {
        match self {
            Self::Refund { charge, .. } => charge.as_ref(),
            Self::Capture { .. } | Self::Cancel | Self::Reverse => None,
        }
    }
}

/// The wish to let one action of a Payment go to its connector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// The Payment.
    pub key: PaymentKey,
    /// The transaction it becomes. The same for every attempt.
    pub transaction: TransactionId,
    /// Random for this attempt.
    pub nonce: Nonce,
    /// The action.
    pub action: Action,
    /// The caller's reference.
    pub merchant_reference: Option<String>,
    /// When it is asked.
    pub at: Timestamp,
    /// From when on this attempt can no longer send anything.
    pub lease: Timestamp,
}

impl Reservation {
    /// True if `transaction` was reserved by a request with the same content.
    /// An amount that follows from the Payment (cancel, reverse) is not content.
    pub(super) fn has_same_content(&self, transaction: &Transaction) -> bool {
        use TransactionKind::{CancelAuthorization, Charge, Refund};
        let (kinds, amount): (&[_], _) = match &self.action {
            Action::Capture { amount } => (&[Charge], Some(*amount)),
            Action::Refund { amount, .. } => (&[Refund], Some(*amount)),
            Action::Cancel => (&[CancelAuthorization], None),
            Action::Reverse => (&[CancelAuthorization, Refund], None),
        };
        kinds.contains(&transaction.kind)
            && amount.is_none_or(|amount| amount == transaction.amount)
            && self.action.charge() == transaction.charge.as_ref()
            && (self.action == Action::Reverse) == transaction.reverses
            && self.merchant_reference == transaction.merchant_reference
    }
}
