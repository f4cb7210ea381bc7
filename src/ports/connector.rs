//! The port of the connectors to PSPs: calls, answers, and the policy of each connector.

use crate::error::BoxError;
use crate::money::Money;
use crate::payment::{
    Action, DirectPsps, Payment, PaymentKey, PlatformProof, RejectionReason, Report, Timestamp,
    Transaction, TransactionId,
};
use crate::secret::Secret;
use std::future::Future;

/// A client of the services that speak to the PSPs.
pub trait Connector: Send + Sync {
    /// True if at least one connector may be sent a transaction again.
    fn resends(&self) -> bool;

    /// The PSPs that are called directly.
    fn psps(&self) -> DirectPsps;

    /// The name under which this connector is configured: its payment interface, or `*` if
    /// the interface has no entry.
    fn name<'a>(&self, connector: &'a ConnectorKey) -> &'a str;

    /// The assumptions that hold for this connector.
    fn policy(&self, connector: &ConnectorKey) -> Policy;

    /// Reads the transactions of this Payment on the platform, or of a PSP that is called
    /// directly those that may be `open`. Only for connectors with [`Lookup::Payment`].
    fn look_up(
        &self,
        connector: &ConnectorKey,
        open: &Transaction,
        deadline: Timestamp,
    ) -> impl Future<Output = Result<Vec<Report>, BoxError>> + Send;

    /// Sends one request to the connector, and waits for the answer until `deadline`.
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// The conditions under which a transaction may be sent again.
    pub resend: Resend,
    /// The meaning of its `rejected`.
    pub rejected: Rejections,
    /// The place where an outcome can be looked up.
    pub lookup: Lookup,
    /// The meaning of a transaction that the look-up does not show.
    pub absence: Absence,
    /// The effect of a capture on the rest of the authorization.
    pub rest: Rest,
    /// The account at a PSP that is called directly; `None` if it is a connector over HTTP.
    /// Accounts with the same name share idempotency keys and records.
    pub psp: Option<String>,
}

impl Policy {
    /// True if the connector's `rejected` proves that nothing moved.
    pub fn is_trusted(&self) -> bool {
        self.rejected == Rejections::Final
    }

    /// The conclusions that a look-up allows.
    pub fn proof(&self) -> PlatformProof {
        PlatformProof {
            failures_count: self.is_trusted(),
            absence_counts: self.absence == Absence::Proof,
            psp: self.psp.clone(),
        }
    }
}

/// The conditions under which a transaction may be sent to a connector again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resend {
    /// Never: it may act a second time.
    #[default]
    Never,
    /// With the same key: the connector repeats the answer that it recorded for the key.
    SameKey {
        /// The time after the beginning of the transaction for which it does so.
        window_ms: u64,
    },
}

/// The meaning of a connector's `rejected`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rejections {
    /// It proves that nothing moved.
    #[default]
    Final,
    /// It may hide a time-out, and an error may be answered after the connector acted.
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

/// The meaning of a transaction that a look-up does not show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Absence {
    /// It proves nothing.
    #[default]
    Unproven,
    /// It never happened: the connector records every transaction before it answers.
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
    /// The transaction, sent as `Idempotency-Key`. The same for every attempt.
    pub transaction: TransactionId,
    /// 1 for the first call with this transaction.
    pub attempt: u32,
    /// The requested action.
    pub action: Action,
    /// The reserved amount.
    pub amount: Money,
    /// True if more of the authorization may be captured after this.
    pub has_rest: bool,
    /// The number of digits after the decimal point of that amount.
    pub fraction_digits: u8,
    /// The caller's reference.
    pub merchant_reference: Option<String>,
    /// The correlation id, for log lines and the connector.
    pub correlation_id: String,
    /// The caller's bearer token, for connectors to which it is forwarded.
    pub bearer: Option<Secret>,
}

/// The answer of a connector.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The PSP carried out the action.
    Approved,
    /// The PSP accepted the action and will report its outcome, perhaps by this id of its own.
    Received(Option<String>),
    /// The PSP rejected the action, perhaps with a reason.
    Rejected(Option<RejectionReason>),
}

/// An answer which proves that the connector did not act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotActed {
    /// The HTTP status.
    pub status: u16,
    /// The error codes in it that the contract defines.
    pub codes: Vec<String>,
}

/// The failures of a call to a connector. The variants answer one question: may
/// money have moved?
#[derive(Debug, thiserror::Error)]
pub enum ConnectorError {
    /// No: the request was not sent.
    #[error("the connector was not reached; nothing was moved")]
    NotReached(#[source] BoxError),
    /// No: the connector answered that it did not act.
    #[error("the connector did not act; nothing was moved")]
    NotActed {
        /// Its answer.
        answer: NotActed,
        /// The answer as an error, for the log.
        #[source]
        cause: BoxError,
    },
    /// Perhaps: the request was sent, and no trusted answer came back.
    #[error("the outcome is unknown")]
    OutcomeUnknown(#[source] BoxError),
}
