//! The interfaces to the outside: a store, a connector, a clock. No method has a
//! default: an implementation that lacks one must not compile.

mod connector;
mod recovery_index;
mod store;
mod webhooks;

pub use connector::{
    Absence, Call, Connector, ConnectorError, ConnectorKey, Lookup, NotActed, Policy, Rejections,
    Resend, Rest, Verdict,
};
pub use recovery_index::{DuePage, DuePayment, IndexPart, OpenCount};
pub use store::{ClaimError, CreateError, Name, ReplaceError, ReserveError, Store, StoreError};
pub use webhooks::{Acknowledgement, Notice, Webhook, WebhookRefusal, Webhooks};

use crate::payment::Timestamp;
use std::future::Future;

/// A source of the time. The core gets the time as an argument.
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> Timestamp;

    /// Waits for `ms` milliseconds.
    fn sleep_ms(&self, ms: u64) -> impl Future<Output = ()> + Send;
}
