//! What the service needs of the world: a store, a connector, a clock. No
//! method has a default: a forgotten one must not compile.

use crate::money::Money;
use crate::payment::{
    Action, Payment, PaymentKey, PlatformProof, ProjectKey, Report, Reservation, Timestamp,
    TransactionId,
};
use std::future::Future;

/// A cause, for the log; what a caller sees is decided elsewhere.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Where Payments live. Every write is conditional and durable when it answers.
pub trait Store: Send + Sync {
    /// Writes a Payment that is not there yet.
    fn create(&self, payment: &Payment) -> impl Future<Output = Result<(), CreateError>> + Send;

    /// Reads a Payment, consistently.
    fn get(
        &self,
        key: &PaymentKey,
    ) -> impl Future<Output = Result<Option<Payment>, StoreError>> + Send;

    /// Reads the Payment of `project` that has this name, consistently.
    fn find(
        &self,
        project: &ProjectKey,
        name: &Name,
    ) -> impl Future<Output = Result<Option<Payment>, StoreError>> + Send;

    /// Makes sure that no other Payment of its project has this name or gets it,
    /// before the Payment is written with it. Where it never is, the name is free
    /// again after a minute.
    fn claim(
        &self,
        payment: &PaymentKey,
        name: &Name,
        at: Timestamp,
    ) -> impl Future<Output = Result<(), ClaimError>> + Send;

    /// Reserves unseen, in one write and without a read: succeeds exactly where
    /// [`Payment::admit`] would say yes to it, except that a reversal is only
    /// tried as a cancel. Answers the Payment as it then is.
    ///
    /// A reservation that is already there with this nonce is our own lost
    /// answer, and a success.
    fn reserve(
        &self,
        reservation: &Reservation,
    ) -> impl Future<Output = Result<Payment, ReserveError>> + Send;

    /// The Payments with something open, those to look at first first: up to
    /// `most` of them.
    fn open(&self, most: usize)
    -> impl Future<Output = Result<Vec<PaymentKey>, StoreError>> + Send;

    /// Writes `to` over `from`, on condition that `from` is what is there. That
    /// `to` is there already is our own lost answer, and a success.
    fn replace(
        &self,
        from: &Payment,
        to: &Payment,
    ) -> impl Future<Output = Result<(), ReplaceError>> + Send;
}

/// Speaks to a PSP for us.
pub trait Connector: Send + Sync {
    /// Whether any connector may be sent a transaction again.
    fn resends(&self) -> bool;

    /// What may be assumed of the connector that serves this Payment.
    fn policy(&self, served: &Served) -> Policy;

    /// Reads what the platform shows of this Payment's transactions; only where
    /// the policy says that this tells anything.
    fn look_up(
        &self,
        served: &Served,
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

/// Tells the time. The core gets time as an argument; this is where it comes
/// from.
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> Timestamp;

    /// Waits that long.
    fn sleep_ms(&self, ms: u64) -> impl Future<Output = ()> + Send;
}

/// A Payment, as far as it decides which connector serves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// The Payment.
    pub key: PaymentKey,
    /// Its payment interface, which names the connector.
    pub payment_interface: Option<String>,
}

impl Served {
    /// What decides it for `payment`.
    pub fn of(payment: &Payment) -> Self {
        let payment_interface = payment.details.payment_interface.clone();
        Self { key: payment.key.clone(), payment_interface }
    }
}

/// What may be assumed of a connector. The default is for one of which nothing
/// was said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Whether a transaction may be sent again.
    pub resend: Resend,
    /// Whether its `rejected` proves that nothing moved.
    pub rejected: Rejections,
    /// Where an outcome can be looked up.
    pub lookup: Lookup,
    /// Whether a transaction that is not shown never happened.
    pub absence: Absence,
}

impl Policy {
    /// Whether the connector's word counts that nothing moved.
    pub fn is_trusted(&self) -> bool {
        self.rejected == Rejections::Final
    }

    /// What may be concluded from a look-up.
    pub fn proof(&self) -> PlatformProof {
        PlatformProof {
            failures_count: self.is_trusted(),
            absence_counts: self.absence == Absence::Proof,
        }
    }
}

/// Whether a transaction may be sent to a connector again.
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

/// Whether a connector's `rejected` can be trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rejections {
    /// It proves that nothing moved.
    #[default]
    Final,
    /// It may hide a time-out, and an error of the connector may come after it
    /// acted.
    Unproven,
}

/// Where the outcome of a transaction can be looked up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lookup {
    /// Nowhere.
    #[default]
    None,
    /// The platform's Payment shows the connector's transactions.
    Payment,
}

/// What it means that a transaction is not shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Absence {
    /// Nothing.
    #[default]
    Unproven,
    /// The connector records every transaction before it answers: it never
    /// happened.
    Proof,
}

/// One request to a connector.
#[derive(Clone, Debug)]
pub struct Call {
    /// The Payment, and who serves it.
    pub served: Served,
    /// The transaction: sent as `Idempotency-Key`, the same for every attempt.
    pub transaction: TransactionId,
    /// 1 for the first call with this transaction.
    pub attempt: u32,
    /// What the caller asked.
    pub action: Action,
    /// The reserved amount.
    pub amount: Money,
    /// Digits after the decimal point of that amount.
    pub fraction_digits: u8,
    /// The caller's reference.
    pub merchant_reference: Option<String>,
    /// Goes with every message about this request.
    pub correlation_id: String,
    /// The caller's bearer token, for connectors that want it forwarded.
    pub bearer: Option<Secret>,
}

/// Text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The secret itself: for the one place that sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// What a connector answered.
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

/// How a call to a connector can fail. The variants answer one question: may
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

/// The store could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It did not answer, or not with an answer; a write may have happened.
    #[error("the store is unavailable")]
    Unavailable(#[source] BoxError),
    /// What it holds is not a Payment that adds up.
    #[error("the stored Payment cannot be read")]
    Corrupt(#[source] BoxError),
}

/// What a Payment can be found by besides its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// The key that a caller gave it.
    Key(String),
    /// The PSP's id of it.
    InterfaceId(String),
}

impl Name {
    /// Whether it is this Payment's.
    pub fn is_of(&self, payment: &Payment) -> bool {
        match self {
            Self::Key(key) => payment.details.key.as_ref() == Some(key),
            Self::InterfaceId(id) => payment.details.interface_id.as_ref() == Some(id),
        }
    }
}

/// Why a Payment does not get a name.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// Another one has it, or is about to.
    #[error("another Payment has this name")]
    Taken,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a Payment was not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// Another one has its key.
    #[error("a Payment with this id exists")]
    Exists,
    /// Another one of the project has its own key.
    #[error("another Payment has this key")]
    KeyTaken,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why nothing was reserved.
#[derive(Debug, thiserror::Error)]
pub enum ReserveError {
    /// No such Payment.
    #[error("no such Payment")]
    NotFound,
    /// The condition said no.
    #[error("the condition refused the reservation")]
    Refused {
        /// The Payment that it said no to.
        found: Box<Payment>,
        /// An earlier copy of this write brought no answer, so it may yet arrive,
        /// and find the Payment more willing.
        late_copy_possible: bool,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a Payment was not replaced.
#[derive(Debug, thiserror::Error)]
pub enum ReplaceError {
    /// Somebody else wrote; this is what is there now.
    #[error("the Payment has changed")]
    Changed(Box<Payment>),
    /// The Payment is not there any more.
    #[error("the Payment is gone")]
    Gone,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
