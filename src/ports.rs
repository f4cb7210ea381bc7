//! The interfaces to the outside: a store, a connector, a clock. No method has a
//! default: an implementation that lacks one must not compile.

mod connector;
mod store;

pub use connector::{
    Absence, Call, Connector, ConnectorError, ConnectorKey, Lookup, NotActed, Policy, Rejections,
    Resend, Verdict,
};
pub use store::{ClaimError, CreateError, Name, ReplaceError, ReserveError, Store, StoreError};

use crate::payment::Timestamp;
use std::future::Future;

/// Tells the time. The core gets time as an argument; this is where it comes
/// from.
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> Timestamp;

    /// Waits that long.
    fn sleep_ms(&self, ms: u64) -> impl Future<Output = ()> + Send;
}
