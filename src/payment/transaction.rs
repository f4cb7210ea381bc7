use super::ids::Timestamp;
use super::{Action, Report, TransactionId};
use crate::money::Money;

/// One ledger entry of a Payment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Transaction {
    /// Unique within the Payment, and the same for every attempt.
    pub id: TransactionId,
    /// The kind of transaction.
    pub kind: TransactionKind,
    /// The state it has reached.
    pub state: State,
    /// The amount it moves. Never changes.
    pub amount: Money,
    /// When it was reserved; where it was not, when it happened.
    pub timestamp: Timestamp,
    /// The caller asked to reverse, and this is what it came to.
    pub reverses: bool,
    /// The Charge that a Refund belongs to, where the caller named one.
    pub charge: Option<TransactionId>,
    /// The amount of a successful Charge that refunds may still name it for.
    pub refundable: Option<Money>,
    /// The caller's reference.
    pub merchant_reference: Option<String>,
    /// The PSP's id of this transaction.
    pub interaction_id: Option<String>,
    /// The connector's id of this transaction.
    pub interface_id: Option<String>,
    /// When it happened, where somebody says otherwise.
    pub happened_at: Option<Timestamp>,
    /// The state by the last report, where the balances do not allow it (yet).
    pub state_awaiting_balances: Option<State>,
    /// A report and the connector's answer contradict each other. Until that is
    /// clear the transaction is Unknown, and holds its amount.
    pub is_disputed: bool,
    /// The report that was taken to be about this transaction by likeness alone. It
    /// is taken back when an answer, an id or a look-up says otherwise.
    pub likeness: Option<Likeness>,
    /// The transaction of ours that this effect is, should one of two answers or
    /// reports be untrue: a Failure that likeness took for that one until its answer
    /// came, or an effect without an id that was added because that one was rejected.
    pub may_be: Option<TransactionId>,
    /// A reported Failure that does not count yet, because the connector may still
    /// be at work.
    pub waiting_failure: Option<Reported>,
    /// The author of the last report about its state, if there was one.
    pub reported: Option<Reported>,
    /// An operator accepted that it exceeds what there is.
    pub acknowledged: Option<Reported>,
    /// It was registered or reported, and not sent by this service.
    pub is_external: bool,
    /// The progress in finding out what came of it.
    pub recovery: RecoveryProgress,
}

/// A report that has no id of ours, and was taken to be about a transaction because
/// that is alike.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Likeness {
    /// The state of the transaction by answers, ids and look-ups, without the report.
    pub known: State,
    /// The state that was reported.
    pub told: State,
    /// True if the PSP's id of the transaction came from the report.
    pub gave_interaction_id: bool,
    /// True if the connector's id of the transaction came from the report.
    pub gave_interface_id: bool,
    /// When it happened, where that was said.
    pub timestamp: Option<Timestamp>,
    /// True if it was reported while the transaction was at its connector: then it may
    /// rather be about another, and a Failure gives nothing back until it is said again.
    pub came_in_flight: bool,
    /// The author and the time of the report.
    pub by: Reported,
}

/// The author and the time of a report.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reported {
    /// The caller, where callers have a name.
    pub by: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// The progress in finding out what came of an open transaction. Empty before
/// anything was unclear, and again once the transaction is final.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RecoveryProgress {
    /// The number of times it was sent again.
    pub resends: u32,
    /// When the last attempt at it ended without an answer that we may believe:
    /// nothing of ours was sent after this.
    pub unclear_since: Option<Timestamp>,
    /// The number of times recovery looked at it in vain.
    pub looks: u32,
    /// When recovery looks at it next.
    pub look_at: Option<Timestamp>,
}

impl Transaction {
    /// A transaction that this service did not send, as reported at `at`. One that has
    /// only begun is Unknown: somebody else may be at the PSP with it.
    pub(super) fn external(id: TransactionId, report: Report, at: Timestamp) -> Self {
        Self {
            id,
            kind: report.kind,
            state: if report.state == State::Initial { State::Unknown } else { report.state },
            amount: report.amount,
            timestamp: report.timestamp.unwrap_or(at),
            reverses: false,
            charge: None,
            refundable: None,
            merchant_reference: None,
            interaction_id: report.interaction_id,
            interface_id: report.interface_id,
            happened_at: None,
            state_awaiting_balances: None,
            is_disputed: false,
            likeness: None,
            may_be: None,
            waiting_failure: None,
            reported: None,
            acknowledged: None,
            is_external: true,
            recovery: RecoveryProgress::default(),
        }
    }

    /// True if this service sent it, as far as it is Unknown. A transaction that was
    /// registered as begun elsewhere never became unclear here.
    pub fn was_sent_by_us(&self) -> bool {
        !self.is_external && self.recovery.unclear_since.is_some()
    }

    /// The action to send for this transaction; `None` for a kind that no action
    /// makes. A reversal is sent as the cancel or refund that it was decided to be:
    /// a connector would decide anew, by what it knows, and for another amount.
    pub fn action(&self) -> Option<Action> {
        match self.kind {
            TransactionKind::Charge => Some(Action::Capture { amount: self.amount }),
            TransactionKind::Refund => {
                Some(Action::Refund { amount: self.amount, charge: self.charge.clone() })
            }
            TransactionKind::CancelAuthorization => Some(Action::Cancel),
            TransactionKind::Authorization | TransactionKind::Chargeback => None,
        }
    }

    /// True if its outcome is still to come, and its amount held. An
    /// Authorization holds nothing of ours.
    pub fn is_open(&self) -> bool {
        self.kind.is_action_kind() && self.state.is_open()
    }

    /// True if report and balances, or report and answer, do not agree about it.
    pub fn is_discrepant(&self) -> bool {
        self.state_awaiting_balances.is_some() || self.is_disputed
    }

    /// The state by what was reported or answered last.
    pub fn last_reported_state(&self) -> State {
        self.state_awaiting_balances.unwrap_or(self.state)
    }

    /// The state to show: a Failure that does not fit is open until it is clear.
    pub fn state_to_show(&self) -> State {
        match self.last_reported_state() {
            State::Failure if self.is_discrepant() => State::Unknown,
            state => state,
        }
    }

    /// The state to answer a caller by. What nobody can be sure of is Unknown.
    pub fn state_for_caller(&self) -> State {
        if self.is_discrepant() { State::Unknown } else { self.state }
    }

    /// The state by answers, ids and look-ups, without what likeness decided.
    pub(super) fn known_state(&self) -> State {
        self.likeness.as_ref().map_or(self.state, |likeness| likeness.known)
    }
}

/// The kind of a transaction. The names are the platform's.
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

impl TransactionKind {
    /// True if an action makes transactions of this kind.
    pub(super) fn is_action_kind(self) -> bool {
        match self {
            Self::Charge | Self::Refund | Self::CancelAuthorization => true,
            Self::Authorization | Self::Chargeback => false,
        }
    }

    /// The side that a transaction of this kind takes money from.
    pub(super) fn takes_from(self) -> Option<Side> {
        match self {
            Self::Charge | Self::CancelAuthorization => Some(Side::Captures),
            Self::Refund | Self::Chargeback => Some(Side::Refunds),
            Self::Authorization => None,
        }
    }

    /// True if a discrepancy about this kind makes it unsafe to take money from
    /// that side. A capture concerns both: it takes from one and gives to the other.
    pub(super) fn concerns(self, side: Side) -> bool {
        match (self, side) {
            (Self::Charge, Side::Captures | Side::Refunds)
            | (Self::Authorization | Self::CancelAuthorization, Side::Captures)
            | (Self::Refund | Self::Chargeback, Side::Refunds) => true,
            (Self::Authorization | Self::CancelAuthorization, Side::Refunds)
            | (Self::Refund | Self::Chargeback, Side::Captures) => false,
        }
    }
}

/// One of the two amounts that actions take from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The authorized amount: captures and cancels take from it.
    Captures,
    /// The captured amount: refunds take from it.
    Refunds,
}

/// The state that a transaction has reached.
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
    /// True if the outcome is still to come.
    pub fn is_open(self) -> bool {
        match self {
            Self::Initial | Self::Pending | Self::Unknown => true,
            Self::Success | Self::Failure => false,
        }
    }
}
