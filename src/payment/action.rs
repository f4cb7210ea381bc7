use super::{
    DirectPsps, Nonce, PaymentKey, Side, Timestamp, Transaction, TransactionId, TransactionKind,
};
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
        /// The Charge that it belongs to, if the caller names one.
        charge: Option<TransactionId>,
    },
    /// Release the authorization; only while nothing was captured.
    Cancel,
    /// Cancel if that is possible, otherwise refund all that is refundable.
    Reverse,
}

impl Action {
    /// The name of the action in requests of callers and to connectors.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Capture { .. } => "capturePayment",
            Self::Refund { .. } => "refundPayment",
            Self::Cancel => "cancelPayment",
            Self::Reverse => "reversePayment",
        }
    }

    /// The sides that it takes money from.
    pub fn sides(&self) -> &'static [Side] {
        match self {
            Self::Capture { .. } | Self::Cancel => &[Side::Captures],
            Self::Refund { .. } => &[Side::Refunds],
            Self::Reverse => &[Side::Captures, Side::Refunds],
        }
    }

    /// The Charge that a refund belongs to, if the caller named one.
    pub fn charge(&self) -> Option<&TransactionId> {
        match self {
            Self::Refund { charge, .. } => charge.as_ref(),
            Self::Capture { .. } | Self::Cancel | Self::Reverse => None,
        }
    }
}

/// A request to reserve one action of a Payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// The Payment.
    pub key: PaymentKey,
    /// The id of the transaction that is reserved. The same for every attempt.
    pub transaction: TransactionId,
    /// Random for this attempt.
    pub nonce: Nonce,
    /// The action.
    pub action: Action,
    /// The caller's reference.
    pub merchant_reference: Option<String>,
    /// The time of the reservation.
    pub at: Timestamp,
    /// The time from which this attempt can no longer send anything.
    pub lease: Timestamp,
    /// The PSPs that are called directly at that time.
    pub psps: DirectPsps,
}

impl Reservation {
    /// True if `transaction` was reserved by a request with the same content.
    /// The amount of a cancel or reversal follows from the Payment and is not compared.
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
            && (self.action == Action::Reverse) == transaction.is_reversal
            && self.merchant_reference == transaction.merchant_reference
    }
}
