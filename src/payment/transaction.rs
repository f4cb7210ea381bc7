use super::ids::Timestamp;
use super::{Action, TransactionId};
use crate::money::Money;

/// One ledger entry of a Payment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Transaction {
    /// Unique within the Payment, and the same for every attempt.
    pub id: TransactionId,
    /// What it does.
    pub kind: TransactionKind,
    /// How far it is.
    pub state: State,
    /// How much it moves. Never changes.
    pub amount: Money,
    /// When it was reserved; where it was not, when it happened.
    pub timestamp: Timestamp,
    /// The caller asked to reverse, and this is what it came to.
    pub reverses: bool,
    /// The Charge that a Refund belongs to, where the caller named one.
    pub charge: Option<TransactionId>,
    /// What is left of a successful Charge for refunds that name it.
    pub refundable: Option<Money>,
    /// The caller's reference.
    pub merchant_reference: Option<String>,
    /// The PSP's id of this transaction.
    pub interaction_id: Option<String>,
    /// The connector's id of this transaction.
    pub interface_id: Option<String>,
    /// When it happened, where somebody says otherwise.
    pub happened_at: Option<Timestamp>,
    /// How far it is by the facts, where the balances do not allow it (yet).
    pub unbooked: Option<State>,
    /// Its connector's answer contradicts a fact.
    pub is_disputed: bool,
    /// Who last said how far it is, if it was a fact.
    pub reported: Option<Reported>,
    /// How far we are in finding out what came of it.
    pub pursuit: Pursuit,
}

/// Whose word a state is, and since when.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reported {
    /// The caller, where callers have a name.
    pub by: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// What was done so far to find out what came of an open transaction. Empty
/// before anything was unclear, and again once the transaction is final.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Pursuit {
    /// How often it was sent again.
    pub resends: u32,
    /// When the last attempt at it ended without an answer that we may believe:
    /// nothing of ours was sent after this.
    pub unclear_since: Option<Timestamp>,
    /// How often recovery looked at it in vain.
    pub looks: u32,
    /// When recovery looks at it next.
    pub look_at: Option<Timestamp>,
}

impl Transaction {
    /// Whether we sent it ourselves, as far as it is Unknown: what was registered
    /// as begun elsewhere has no time from which on it was unclear to us.
    pub fn was_ours(&self) -> bool {
        self.pursuit.unclear_since.is_some()
    }

    /// The action that this is the transaction of; `None` for one that no action
    /// makes.
    pub fn action(&self) -> Option<Action> {
        match self.kind {
            TransactionKind::Refund | TransactionKind::CancelAuthorization if self.reverses => {
                Some(Action::Reverse)
            }
            TransactionKind::Charge => Some(Action::Capture { amount: self.amount }),
            TransactionKind::Refund => {
                Some(Action::Refund { amount: self.amount, charge: self.charge.clone() })
            }
            TransactionKind::CancelAuthorization => Some(Action::Cancel),
            TransactionKind::Authorization | TransactionKind::Chargeback => None,
        }
    }

    /// Whether its outcome is still to come, and its amount held. An
    /// Authorization holds nothing of ours.
    pub fn is_open(&self) -> bool {
        self.moves() && self.state.is_open()
    }

    /// Whether it is what an action makes.
    pub(super) fn moves(&self) -> bool {
        match self.kind {
            TransactionKind::Charge
            | TransactionKind::Refund
            | TransactionKind::CancelAuthorization => true,
            TransactionKind::Authorization | TransactionKind::Chargeback => false,
        }
    }
}

/// What a transaction does. The names are the platform's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TransactionKind {
    /// The PSP holds funds of the payer.
    Authorization,
    /// A capture.
    Charge,
    /// Captured funds go back.
    Refund,
    /// The hold is released.
    CancelAuthorization,
    /// The payer's bank took captured funds back.
    Chargeback,
}

/// How far a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Reserved; its connector may be acting now.
    Initial,
    /// The PSP took it on and will report.
    Pending,
    /// It happened.
    Success,
    /// It provably did not happen.
    Failure,
    /// It may have happened: no answer that we may believe came back.
    Unknown,
}

impl State {
    /// Whether the outcome is still to come.
    pub fn is_open(self) -> bool {
        match self {
            Self::Initial | Self::Pending | Self::Unknown => true,
            Self::Success | Self::Failure => false,
        }
    }
}
