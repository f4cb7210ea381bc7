//! Messages that a PSP sends by itself, and what they are about.

use super::ConnectorKey;
use crate::error::BoxError;
use crate::payment::{ProjectKey, Timestamp, Update};
use std::future::Future;

/// A reader of the messages that PSPs send by themselves.
pub trait Webhooks: Send + Sync {
    /// The object at the PSP that a notice is about.
    type Subject: Send + Sync;

    /// Verifies that the PSP of `webhook.connector` sent the message, and reads it.
    /// Empty for one that says nothing of captures, refunds, cancels and disputes.
    fn read(
        &self,
        webhook: &Webhook<'_>,
        now: Timestamp,
    ) -> Result<Vec<Notice<Self::Subject>>, NotRead>;

    /// Reads at the PSP of `connector` what a notice is about, as it is now; or takes it
    /// from the notice, if the PSP cannot be asked. `None` for a Payment that another
    /// connector serves.
    fn look_at(
        &self,
        connector: &str,
        key: &ConnectorKey,
        subject: &Self::Subject,
        deadline: Timestamp,
    ) -> impl Future<Output = Result<Option<Vec<Update>>, BoxError>> + Send;

    /// The answer that tells the PSP of `connector` that its message was taken.
    fn acknowledgement(&self, connector: &str) -> Acknowledgement;
}

/// The body of the answer to a message that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledgement {
    /// `{}`: the status says it all.
    EmptyObject,
    /// This text.
    Text(&'static str),
}

/// A message as it came.
#[derive(Clone, Copy)]
pub struct Webhook<'a> {
    /// The project of its path.
    pub project: &'a ProjectKey,
    /// The connector of its path.
    pub connector: &'a str,
    /// The value of a header that came once.
    pub header: &'a (dyn Fn(&str) -> Option<&'a str> + Send + Sync),
    /// The body, byte for byte.
    pub body: &'a [u8],
}

/// A message that the PSP sent: something happened.
#[derive(Clone, Debug)]
pub struct Notice<S> {
    /// The PSP's id of the Payment that it is about.
    pub interface_id: String,
    /// The object that it is about.
    pub subject: S,
}

/// The reasons why a message is not read.
#[derive(Debug, thiserror::Error)]
pub enum NotRead {
    /// No PSP with webhooks has this name, or not for this project.
    #[error("no PSP that sends webhooks is configured by this name for the project")]
    NoSuchConnector,
    /// The signature is missing, wrong or too old.
    #[error("the message is not signed by the PSP")]
    NotSigned,
    /// It is signed, but no message of the PSP.
    #[error("the message cannot be read")]
    Unreadable,
}
