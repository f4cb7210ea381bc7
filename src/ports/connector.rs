//! The connectors to PSPs: calls, answers, and what may be assumed of each connector.

use crate::error::BoxError;
use crate::money::Money;
use crate::payment::{
    Action, Payment, PaymentKey, PlatformProof, Report, Timestamp, TransactionId,
};
use crate::secret::Secret;
use std::future::Future;

/// A client of the services that speak to the PSPs.
pub trait Connector: Send + Sync {
    /// True where at least one connector may be sent a transaction again.
    fn resends(&self) -> bool;

    /// The assumptions that hold for this connector.
    fn policy(&self, connector: &ConnectorKey) -> Policy;

    /// Reads what the platform shows of this Payment's transactions; only where
    /// the policy says that this tells anything.
    fn look_up(
        &self,
        connector: &ConnectorKey,
        deadline: Timestamp,
    ) -> impl Future<Output = Result<Vec<Report>, BoxError>> + Send;

    /// Asks the connector to act, once, and waits for its answer until
    /// `deadline` at the longest.
    fn call(
        &self,
        call: &Call,
        deadline: Timestamp,
    ) -> impl Future<Output = Result<Verdict, ConnectorError>> + Send;
}

/// The part of a Payment that selects the connector, and that the PSP knows it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectorKey {
    /// The Payment.
    pub payment: PaymentKey,
    /// Its payment interface, which names the connector.
    pub payment_interface: Option<String>,
    /// The PSP's id of it.
    pub interface_id: Option<String>,
    /// Digits after the decimal point of its amounts.
    pub fraction_digits: u8,
}

impl ConnectorKey {
    /// The key of the connector of `payment`.
    pub fn of(payment: &Payment) -> Self {
        let details = &payment.details;
        Self {
            payment: payment.key.clone(),
            payment_interface: details.payment_interface.clone(),
            interface_id: details.interface_id.clone(),
            fraction_digits: payment.fraction_digits,
        }
    }
}

/// The assumptions that hold for a connector. The default applies where the operator
/// configured none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// The conditions under which a transaction may be sent again.
    pub resend: Resend,
    /// The meaning of its `rejected`.
    pub rejected: Rejections,
    /// The place where an outcome can be looked up.
    pub lookup: Lookup,
    /// The meaning of a transaction that is not shown.
    pub absence: Absence,
    /// The effect of a capture on the rest of the authorization.
    pub rest: Rest,
}

impl Policy {
    /// True where the connector's `rejected` proves that nothing moved.
    pub fn is_trusted(&self) -> bool {
        self.rejected == Rejections::Final
    }

    /// The conclusions that a look-up allows.
    pub fn proof(&self) -> PlatformProof {
        PlatformProof {
            failures_count: self.is_trusted(),
            absence_counts: self.absence == Absence::Proof,
        }
    }
}

/// The conditions under which a transaction may be sent to a connector again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resend {
    /// It may act once more.
    #[default]
    Never,
    /// It honours our key: the answer is the one recorded for the key.
    SameKey {
        /// For this long after the transaction began.
        window_ms: u64,
    },
}

/// The meaning of a connector's `rejected`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rejections {
    /// It proves that nothing moved.
    #[default]
    Final,
    /// It may hide a time-out, and an error of the connector may come after it
    /// acted.
    Unproven,
}

/// The place where the outcome of a transaction can be looked up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lookup {
    /// Nowhere.
    #[default]
    None,
    /// The platform's Payment shows the connector's transactions.
    Payment,
}

/// The meaning of a transaction that is not shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Absence {
    /// Nothing.
    #[default]
    Unproven,
    /// The connector records every transaction before it answers: it never
    /// happened.
    Proof,
}

/// The effect of a capture on the rest of the authorization.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rest {
    /// It stays authorized, and may be captured later.
    #[default]
    Kept,
    /// The PSP releases it with the capture.
    Released,
}

/// One request to a connector.
#[derive(Clone, Debug)]
pub struct Call {
    /// The Payment, and its payment interface.
    pub connector: ConnectorKey,
    /// The transaction: sent as `Idempotency-Key`, the same for every attempt.
    pub transaction: TransactionId,
    /// 1 for the first call with this transaction.
    pub attempt: u32,
    /// The action that the caller asked for.
    pub action: Action,
    /// The reserved amount.
    pub amount: Money,
    /// True if more of the authorization may be captured after this.
    pub has_rest: bool,
    /// Digits after the decimal point of that amount.
    pub fraction_digits: u8,
    /// The caller's reference.
    pub merchant_reference: Option<String>,
    /// Goes with every message about this request.
    pub correlation_id: String,
    /// The caller's bearer token, for connectors that want it forwarded.
    pub bearer: Option<Secret>,
}

/// The answer of a connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The PSP did it.
    Approved,
    /// The PSP took it on and will report.
    Received,
    /// The PSP says no.
    Rejected,
}

/// An answer of a connector which proves that it did not act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotActed {
    /// The HTTP status.
    pub status: u16,
    /// The codes of the contract that it gave as reasons.
    pub codes: Vec<String>,
}

/// The failures of a call to a connector. The variants answer one question: may
/// money have moved?
#[derive(Debug, thiserror::Error)]
pub enum ConnectorError {
    /// No: the request never left.
    #[error("the connector was not reached; nothing was moved")]
    NotReached(#[source] BoxError),
    /// No: the connector answered that it did not act.
    #[error("the connector did not act; nothing was moved")]
    NotActed {
        /// Its answer.
        answer: NotActed,
        /// The same for the log.
        #[source]
        cause: BoxError,
    },
    /// Perhaps: it left, and no answer we may believe came back.
    #[error("the outcome is unknown")]
    OutcomeUnknown(#[source] BoxError),
}
