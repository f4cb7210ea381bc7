//! The port of the store of Payments, and the errors of its operations.

use crate::error::BoxError;
use crate::payment::{Payment, PaymentKey, ProjectKey, Reservation, Timestamp};
use std::future::Future;

/// The store of Payments. Every write is conditional, and durable when it returns.
pub trait Store: Send + Sync {
    /// Writes a new Payment.
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

    /// Claims this name before the Payment is written with it, so that no other Payment of
    /// the project gets it. If the Payment is then not written, the name is free again
    /// after a minute.
    fn claim(
        &self,
        payment: &PaymentKey,
        name: &Name,
        at: Timestamp,
    ) -> impl Future<Output = Result<(), ClaimError>> + Send;

    /// Frees a name that this Payment no longer has, for any Payment of its project.
    fn release(
        &self,
        payment: &PaymentKey,
        name: &Name,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Reserves in one write and without a read. Succeeds exactly where
    /// [`Payment::admit`] accepts the action, except that a reversal is only tried as a
    /// cancel. Returns the Payment after the write.
    ///
    /// If the Payment is already reserved with this nonce, it is our own write whose
    /// answer was lost: a success.
    fn reserve(
        &self,
        reservation: &Reservation,
    ) -> impl Future<Output = Result<Payment, ReserveError>> + Send;

    /// Up to `limit` Payments with an open transaction, ordered by the time at which
    /// recovery is due.
    fn due(&self, limit: usize)
    -> impl Future<Output = Result<Vec<PaymentKey>, StoreError>> + Send;

    /// Writes `to` over `from`, on condition that `from` is stored. If `to` is stored
    /// already, it is our own write whose answer was lost: a success.
    fn replace(
        &self,
        from: &Payment,
        to: &Payment,
    ) -> impl Future<Output = Result<(), ReplaceError>> + Send;
}

/// The failures of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It gave no usable answer. A write may have happened.
    #[error("the store is unavailable")]
    Unavailable(#[source] BoxError),
    /// The stored Payment is damaged, or its balances do not add up.
    #[error("the stored Payment cannot be read")]
    Corrupt(#[source] BoxError),
}

/// A unique name of a Payment besides its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// The key that a caller gave it.
    Key(String),
    /// The PSP's id of it.
    InterfaceId(String),
}

impl Name {
    /// True if this Payment has the name.
    pub fn is_of(&self, payment: &Payment) -> bool {
        match self {
            Self::Key(key) => payment.details.key.as_ref() == Some(key),
            Self::InterfaceId(id) => payment.details.interface_id.as_ref() == Some(id),
        }
    }
}

/// The reasons why a name cannot be claimed.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// Another Payment has it, or has claimed it.
    #[error("another Payment has this name")]
    Taken,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The reasons why a Payment was not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// Another Payment has its id.
    #[error("a Payment with this id exists")]
    Exists,
    /// Another Payment of the project has its key.
    #[error("another Payment has this key")]
    KeyTaken,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The reasons why nothing was reserved.
#[derive(Debug, thiserror::Error)]
pub enum ReserveError {
    /// No such Payment.
    #[error("no such Payment")]
    NotFound,
    /// The condition of the write failed.
    #[error("the condition refused the reservation")]
    Refused {
        /// The Payment that failed it.
        found: Box<Payment>,
        /// An earlier copy of this write brought no answer. It may still arrive, and
        /// succeed on a later state of the Payment.
        late_copy_possible: bool,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The reasons why a Payment was not replaced.
#[derive(Debug, thiserror::Error)]
pub enum ReplaceError {
    /// Another writer was first. Holds the current Payment.
    #[error("the Payment has changed")]
    Changed(Box<Payment>),
    /// The Payment does not exist any more.
    #[error("the Payment does not exist any more")]
    Gone,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
