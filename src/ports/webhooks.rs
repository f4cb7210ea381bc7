//! The port of webhooks: signed messages that a PSP sends on its own initiative.

use super::ConnectorKey;
use crate::error::BoxError;
use crate::payment::{ProjectKey, Timestamp, Update};
use std::future::Future;

/// A reader of the webhooks of the PSPs.
pub trait Webhooks: Send + Sync {
    /// The object of a notice, at the PSP.
    type Subject: Send + Sync;

    /// Verifies that the PSP of `webhook.connector` signed the message, and reads it. Empty if
    /// it is not about a capture, a refund, a cancel or a dispute.
    fn read(
        &self,
        webhook: &Webhook<'_>,
        now: Timestamp,
    ) -> Result<Vec<Notice<Self::Subject>>, WebhookRefusal>;

    /// The updates that record what a notice is about: its current state at the PSP of
    /// `connector`, or the event of the notice if the PSP has no such read. `None` if the
    /// Payment belongs to another connector.
    fn read_subject(
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

/// A message as it was received.
#[derive(Clone, Copy)]
pub struct Webhook<'a> {
    /// The project in its path.
    pub project: &'a ProjectKey,
    /// The name of the connector in its path.
    pub connector: &'a str,
    /// The value of a header that occurs once.
    pub header: &'a (dyn Fn(&str) -> Option<&'a str> + Send + Sync),
    /// The body, byte for byte.
    pub body: &'a [u8],
}

/// A verified message: an object at the PSP has changed.
#[derive(Clone, Debug)]
pub struct Notice<S> {
    /// The PSP's id of the Payment.
    pub interface_id: String,
    /// The object that has changed.
    pub subject: S,
}

/// The reasons to refuse a message.
#[derive(Debug, thiserror::Error)]
pub enum WebhookRefusal {
    /// No PSP account with a signing secret has this name and is open to this project.
    #[error("no PSP that sends webhooks is configured by this name for the project")]
    NoSuchConnector,
    /// The signature is missing, wrong or too old.
    #[error("the message is not signed by the PSP")]
    NotSigned,
    /// It is signed, but cannot be parsed.
    #[error("the message cannot be read")]
    Unreadable,
}
