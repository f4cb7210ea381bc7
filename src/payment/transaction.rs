use super::ids::Timestamp;
use super::{Action, RejectionReason, Report, TransactionId};
use crate::money::Money;

/// One ledger entry of a Payment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Transaction {
    /// Its id, unique within the Payment, and the same for every attempt.
    pub id: TransactionId,
    /// The kind of transaction.
    pub kind: TransactionKind,
    /// The state it has reached.
    pub state: State,
    /// The amount it moves. Never changes.
    pub amount: Money,
    /// When it was reserved; or when it happened, if it was not reserved here.
    pub timestamp: Timestamp,
    /// True if the caller asked for a reversal.
    pub is_reversal: bool,
    /// The Charge that a Refund belongs to, if the caller named one.
    pub charge: Option<TransactionId>,
    /// The amount of a successful Charge that is left for refunds which name it.
    pub refundable: Option<Money>,
    /// The caller's reference.
    pub merchant_reference: Option<String>,
    /// The PSP's id of this transaction.
    pub interaction_id: Option<String>,
    /// The connector's id of this transaction.
    pub interface_id: Option<String>,
    /// When it happened, if that was reported to differ from `timestamp`.
    pub happened_at: Option<Timestamp>,
    /// The state of the last report, while the balances do not allow that state.
    pub state_awaiting_balances: Option<State>,
    /// True if a report and the connector's answer contradict each other. Until that is
    /// resolved, the transaction is Unknown and holds its amount.
    pub is_disputed: bool,
    /// The report that was matched to this transaction by likeness alone. It is taken
    /// back when an answer, an id or a look-up contradicts it.
    pub likeness: Option<Likeness>,
    /// The transaction that this effect duplicates, if an answer or report was untrue.
    /// Set on a Failure that likeness matched to that transaction until its answer came,
    /// and on an effect without an id that was added because that transaction was
    /// rejected.
    pub possible_duplicate_of: Option<TransactionId>,
    /// A reported Failure that does not count yet, because the connector may still be
    /// working on the transaction.
    pub waiting_failure: Option<Reported>,
    /// The reason that the connector gave when it rejected the transaction.
    pub rejection: Option<RejectionReason>,
    /// The author and the time of the last report about its state, if there was one.
    pub reported: Option<Reported>,
    /// The operator who accepted that it exceeds the available amount, and when.
    pub acknowledged: Option<Reported>,
    /// True if it was registered or reported, and not sent by this service.
    pub is_external: bool,
    /// The account at a PSP that it was sent to directly. `None` if it was sent to a connector
    /// over HTTP, or not by this service.
    pub psp: Option<String>,
    /// The progress of its recovery.
    pub recovery: RecoveryProgress,
}

/// A report without our transaction id that was matched to a transaction because its
/// type and amount are the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Likeness {
    /// The state of the transaction by answers, ids and look-ups, without this report.
    pub known: State,
    /// The state that was reported.
    pub reported_state: State,
    /// True if the PSP's id of the transaction came from the report.
    pub gave_interaction_id: bool,
    /// True if the connector's id of the transaction came from the report.
    pub gave_interface_id: bool,
    /// When it happened, if that was reported.
    pub timestamp: Option<Timestamp>,
    /// True if it was reported while the transaction was at its connector. The report
    /// may then be about another transaction, and a Failure gives nothing back until it
    /// is reported again.
    pub came_in_flight: bool,
    /// The author and the time of the report.
    pub by: Reported,
}

/// The author and the time of a report.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reported {
    /// The name of the caller, if it has one.
    pub by: Option<String>,
    /// The time of the report.
    pub at: Timestamp,
}

/// The progress of the recovery of an open transaction. Empty while no attempt was
/// unclear, and again once the transaction is final.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RecoveryProgress {
    /// The number of times it was sent again.
    pub resends: u32,
    /// When the last attempt ended without a trusted answer. Nothing was sent after
    /// this time.
    pub unclear_since: Option<Timestamp>,
    /// The number of recovery runs that looked at it without finding its outcome.
    pub looks: u32,
    /// When recovery looks at it next.
    pub look_at: Option<Timestamp>,
}

impl Transaction {
    /// A transaction of this service about which nothing else is known.
    pub(super) fn new(
        id: TransactionId,
        kind: TransactionKind,
        state: State,
        amount: Money,
        timestamp: Timestamp,
    ) -> Self {
        Self {
            id,
            kind,
            state,
            amount,
            timestamp,
            is_reversal: false,
            charge: None,
            refundable: None,
            merchant_reference: None,
            interaction_id: None,
            interface_id: None,
            happened_at: None,
            state_awaiting_balances: None,
            is_disputed: false,
            likeness: None,
            possible_duplicate_of: None,
            waiting_failure: None,
            rejection: None,
            reported: None,
            acknowledged: None,
            is_external: false,
            psp: None,
            recovery: RecoveryProgress::default(),
        }
    }

    /// A transaction that this service did not send, as reported at `at`. One that has
    /// only begun is Unknown: another system may be carrying it out.
    pub(super) fn external(id: TransactionId, report: Report, at: Timestamp) -> Self {
        let state = if report.state == State::Initial { State::Unknown } else { report.state };
        let timestamp = report.timestamp.unwrap_or(at);
        Self {
            interaction_id: report.interaction_id,
            interface_id: report.interface_id,
            is_external: true,
            ..Self::new(id, report.kind, state, report.amount, timestamp)
        }
    }

    /// True if its type and amount are those of `other`.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        (self.kind, self.amount) == (other.kind, other.amount)
    }

    /// True if this service sent it and its outcome was unclear. A transaction that began
    /// elsewhere never became unclear here.
    pub fn was_sent_by_us(&self) -> bool {
        !self.is_external && self.recovery.unclear_since.is_some()
    }

    /// True if `psp`, or else a connector over HTTP, is where it was sent. Any other one does
    /// not know its key, and has no record of it.
    pub fn was_sent_to(&self, psp: Option<&str>) -> bool {
        self.psp.as_deref() == psp
    }

    /// True if a dated report said that it happened, whatever became of it since.
    pub(super) fn has_happened(&self) -> bool {
        self.happened_at.is_some() && self.reported.is_some()
    }

    /// The action to send for this transaction; `None` for a kind that no action
    /// makes. A reversal is sent as the cancel or refund that was reserved: a connector
    /// that gets a reversal would choose again, and perhaps for another amount.
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

    /// True if it has no final outcome and its amount is held. False for an
    /// Authorization, which holds nothing.
    pub fn is_open(&self) -> bool {
        self.kind.is_action_kind() && self.state.is_open()
    }

    /// True if a report contradicts the balances or the connector's answer.
    pub fn is_discrepant(&self) -> bool {
        self.state_awaiting_balances.is_some() || self.is_disputed
    }

    /// The state by the last report or answer.
    pub fn last_reported_state(&self) -> State {
        self.state_awaiting_balances.unwrap_or(self.state)
    }

    /// The state in a representation of the Payment. A Failure that is a discrepancy is
    /// shown as Unknown.
    pub fn state_to_show(&self) -> State {
        match self.last_reported_state() {
            State::Failure if self.is_discrepant() => State::Unknown,
            state => state,
        }
    }

    /// The state that decides the answer to a caller. A discrepancy is Unknown.
    pub fn state_for_caller(&self) -> State {
        if self.is_discrepant() { State::Unknown } else { self.state }
    }

    /// The state by answers, ids and look-ups, without a report that was matched by
    /// likeness.
    pub(super) fn known_state(&self) -> State {
        self.likeness.as_ref().map_or(self.state, |likeness| likeness.known)
    }
}

/// The kind of a transaction, by its name on the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TransactionKind {
    /// The PSP's hold on the payer's funds.
    Authorization,
    /// A capture.
    Charge,
    /// A refund of captured funds.
    Refund,
    /// A release of the hold.
    CancelAuthorization,
    /// A return of captured funds that the payer's bank enforced.
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
    /// that side. A capture concerns both sides: it takes from one and adds to the other.
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
    /// Reserved; the connector may be acting on it.
    Initial,
    /// Accepted by the PSP, which will report the outcome.
    Pending,
    /// It happened.
    Success,
    /// It provably did not happen.
    Failure,
    /// It may have happened: no trusted answer came back.
    Unknown,
}

impl State {
    /// True if there is no final outcome yet.
    pub fn is_open(self) -> bool {
        match self {
            Self::Initial | Self::Pending | Self::Unknown => true,
            Self::Success | Self::Failure => false,
        }
    }
}
