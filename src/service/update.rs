//! What others say of a Payment, written over the version that they saw.

use super::Service;
use crate::observe;
use crate::payment::{Payment, PaymentKey, Reporter, Timestamp, Update, UpdateRefusal};
use crate::ports::{
    ClaimError, Clock, Connector, CreateError, Rejections, ReplaceError, Served, Store, StoreError,
};

/// Changes to a Payment: all of them or none.
#[derive(Clone, Debug)]
pub struct Change {
    /// The Payment.
    pub key: PaymentKey,
    /// The version that the caller saw.
    pub version: u64,
    /// What to change, in order.
    pub updates: Vec<Update>,
    /// Who says so, where callers have a name.
    pub by: Option<String>,
}

/// Why a Payment is not changed.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// No such Payment in this project.
    #[error("no such Payment")]
    NotFound,
    /// The caller saw another version.
    #[error("the Payment is at version {current}")]
    Stale {
        /// The version that is there now.
        current: u64,
    },
    /// One of the changes cannot be made.
    #[error(transparent)]
    Refused(UpdateRefusal),
    /// Another Payment has the key.
    #[error("another Payment has this key")]
    KeyTaken(String),
    /// The store failed; the change may have been written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<S: Store, C: Connector, K: Clock> Service<S, C, K> {
    /// Writes a new Payment.
    pub async fn create(&self, payment: &Payment) -> Result<(), CreateError> {
        if let Some(key) = &payment.details.key {
            match self.store.claim(&payment.key, key, payment.created_at).await {
                Ok(()) => {}
                Err(ClaimError::Taken) => return Err(CreateError::KeyTaken),
                Err(ClaimError::Store(error)) => return Err(error.into()),
            }
        }
        self.store.create(payment).await
    }

    /// Changes a Payment, and answers it as it is then. A change that changes
    /// nothing writes nothing.
    pub async fn update(&self, change: Change) -> Result<Payment, UpdateError> {
        let Some(found) = self.store.get(&change.key).await? else {
            return Err(UpdateError::NotFound);
        };
        if found.version != change.version {
            return Err(UpdateError::Stale { current: found.version });
        }
        let rejected = self.connector.policy(&Served::of(&found)).rejected;
        let is_trusted = rejected == Rejections::Final;
        let reporter = Reporter { by: change.by, at: self.clock.now(), is_trusted };
        let next = found.update(&change.updates, &reporter).map_err(UpdateError::Refused)?;
        if next == found {
            return Ok(found);
        }
        let (old, new) = (found.details.key.as_deref(), next.details.key.as_deref());
        if let Some(key) = new.filter(|_| new != old) {
            match self.store.claim(&next.key, key, reporter.at).await {
                Ok(()) => {}
                Err(ClaimError::Taken) => return Err(UpdateError::KeyTaken(key.to_owned())),
                Err(ClaimError::Store(error)) => return Err(error.into()),
            }
        }
        match self.store.replace(&found, &next).await {
            Ok(()) => {
                observe::updated(&found, &next, reporter.at);
                if let Some(key) = old.filter(|_| new != old) {
                    self.release(&next.key, key).await;
                }
                Ok(next)
            }
            Err(ReplaceError::Changed(now)) => Err(UpdateError::Stale { current: now.version }),
            Err(ReplaceError::Gone) => Err(UpdateError::NotFound),
            Err(ReplaceError::Store(error)) => Err(error.into()),
        }
    }

    /// Lets others have a key at once that this Payment has no more: as if it had
    /// been claimed long ago. Where that fails, they have it after a while.
    async fn release(&self, payment: &PaymentKey, key: &str) {
        let long_ago = Timestamp::from_ms(0);
        if let Err(error) = self.store.claim(payment, key, long_ago).await {
            tracing::warn!(%error, "a key that is no longer used could not be released");
        }
    }
}
