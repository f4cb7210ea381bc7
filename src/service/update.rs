//! Updates of a Payment by connectors and operators, written over the version that they
//! have read.

use super::{Service, with_rest_released};
use crate::observe;
use crate::payment::{Payment, PaymentKey, Reporter, Timestamp, Update, UpdateRefusal};
use crate::ports::{
    ClaimError, Clock, Connector, ConnectorKey, CreateError, Name, ReplaceError, Store, StoreError,
};

/// Changes to a Payment: all of them or none.
#[derive(Clone, Debug)]
pub struct Change {
    /// The Payment.
    pub key: PaymentKey,
    /// The version that the caller has read.
    pub version: u64,
    /// The changes, in order.
    pub updates: Vec<Update>,
    /// The name of the caller, if it has one.
    pub by: Option<String>,
}

/// The reasons why a Payment is not changed.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// No such Payment in this project.
    #[error("no such Payment")]
    NotFound,
    /// The caller has read another version.
    #[error("the Payment is at version {current}")]
    Stale {
        /// The current version.
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
        match self.claim(None, payment, payment.created_at).await {
            Ok(()) => self.store.create(payment).await,
            Err(ClaimError::Taken) => Err(CreateError::KeyTaken),
            Err(ClaimError::Store(error)) => Err(error.into()),
        }
    }

    /// Applies a change, and returns the changed Payment. Nothing is written if nothing
    /// changes.
    pub async fn update(&self, change: Change) -> Result<Payment, UpdateError> {
        let Some(found) = self.store.get(&change.key).await? else {
            return Err(UpdateError::NotFound);
        };
        if found.version != change.version {
            return Err(UpdateError::Stale { current: found.version });
        }
        let policy = self.connector.policy(&ConnectorKey::of(&found));
        let is_trusted = policy.is_trusted();
        let reporter = Reporter { by: change.by, at: self.clock.now(), is_trusted };
        let next = found.update(&change.updates, &reporter).map_err(UpdateError::Refused)?;
        let next = next.apply_waiting_failures(reporter.at, is_trusted).unwrap_or(next);
        let next = with_rest_released(&found, next, policy.rest, reporter.at);
        if next == found {
            return Ok(found);
        }
        match self.claim(Some(&found), &next, reporter.at).await {
            Ok(()) => {}
            Err(ClaimError::Taken) => {
                return Err(UpdateError::KeyTaken(next.details.key.unwrap_or_default()));
            }
            Err(ClaimError::Store(error)) => return Err(error.into()),
        }
        match self.store.replace(&found, &next).await {
            Ok(()) => {
                observe::log_update(&found, &next, reporter.at);
                self.release(&found, &next).await;
                Ok(next)
            }
            Err(ReplaceError::Changed(now)) => Err(UpdateError::Stale { current: now.version }),
            Err(ReplaceError::Gone) => Err(UpdateError::NotFound),
            Err(ReplaceError::Store(error)) => Err(error.into()),
        }
    }

    /// Claims the names that `to` has and `from` does not have.
    async fn claim(
        &self,
        from: Option<&Payment>,
        to: &Payment,
        at: Timestamp,
    ) -> Result<(), ClaimError> {
        let is_new = |name: &Name| !from.is_some_and(|from| name.is_of(from));
        for name in names(to).filter(is_new) {
            match (self.store.claim(&to.key, &name, at).await, name) {
                (Err(ClaimError::Taken), Name::InterfaceId(_)) => {
                    // A PSP may give two Payments the same id. The first one is found by it.
                }
                (claimed, _) => claimed?,
            }
        }
        Ok(())
    }

    /// Frees the names that `from` has and `to` does not have. If that fails, they are free
    /// after a minute.
    async fn release(&self, from: &Payment, to: &Payment) {
        for name in names(from).filter(|name| !name.is_of(to)) {
            if let Err(error) = self.store.release(&to.key, &name).await {
                tracing::warn!(%error, "a name that is no longer used could not be released");
            }
        }
    }
}

/// The names by which a Payment can be found.
fn names(payment: &Payment) -> impl Iterator<Item = Name> {
    let key = payment.details.key.clone().map(Name::Key);
    let interface_id = payment.details.interface_id.clone().map(Name::InterfaceId);
    key.into_iter().chain(interface_id)
}
