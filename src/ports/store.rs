//! The store of Payments, and how each of its operations can fail.

use crate::error::BoxError;
use crate::payment::{Payment, PaymentKey, ProjectKey, Reservation, Timestamp};
use std::future::Future;

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

    /// Makes a name that this Payment no longer has free at once, for any Payment of
    /// its project.
    fn release(
        &self,
        payment: &PaymentKey,
        name: &Name,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

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

    /// Up to `limit` Payments with an open transaction, ordered by the time at which
    /// recovery is due.
    fn due(&self, limit: usize)
    -> impl Future<Output = Result<Vec<PaymentKey>, StoreError>> + Send;

    /// Writes `to` over `from`, on condition that `from` is what is there. That
    /// `to` is there already is our own lost answer, and a success.
    fn replace(
        &self,
        from: &Payment,
        to: &Payment,
    ) -> impl Future<Output = Result<(), ReplaceError>> + Send;
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
