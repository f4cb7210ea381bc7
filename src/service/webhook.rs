//! Webhooks: a message of a PSP says that something happened; what it is now is read at
//! the PSP, and recorded over the version of the Payment that it was read for. So the
//! order of the messages, and their number, make no difference.

use super::{Change, SETTLE_RESERVE_MS, Service, UpdateError};
use crate::error::BoxError;
use crate::observe;
use crate::payment::{PaymentKey, Timestamp};
use crate::ports::{
    Acknowledgement, Clock, Connector, ConnectorKey, Name, NotRead, Notice, Store, Webhook,
    Webhooks,
};
use std::error::Error;

/// The number of times that a message is read again at the PSP, because another writer
/// changed the Payment meanwhile.
const TRIES_MAX: usize = 4;

/// A message that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Noticed {
    /// The Payment says what the PSP does.
    Recorded(PaymentKey),
    /// It says nothing that this service records.
    NotForUs,
}

/// The reasons why a message is not taken.
#[derive(Debug, thiserror::Error)]
pub enum NotNoticed {
    /// It is not read.
    #[error(transparent)]
    NotRead(#[from] NotRead),
    /// No Payment of the project has this id at this PSP, perhaps not yet.
    #[error("no Payment of the project has this id at the PSP")]
    NoSuchPayment,
    /// Other writers were always first.
    #[error("the Payment was changed meanwhile, each time")]
    Contended,
    /// The PSP or the store failed.
    #[error("the message could not be recorded")]
    Failed(#[source] BoxError),
}

impl<S: Store, C: Connector + Webhooks, K: Clock> Service<S, C, K> {
    /// Takes a message of a PSP. Nothing is read or written for one that the PSP did not
    /// sign.
    pub async fn take_webhook(
        &self,
        webhook: &Webhook<'_>,
        deadline: Timestamp,
    ) -> Result<Noticed, NotNoticed> {
        let taken = match self.connector.read(webhook, self.clock.now()) {
            Ok(notices) => self.record_notices(webhook, &notices, deadline).await,
            Err(error) => Err(error.into()),
        };
        let error: Option<&(dyn Error + 'static)> = match &taken {
            Ok(_) => None,
            Err(error) => Some(error),
        };
        observe::webhook_ended(webhook, taken_as(&taken), error, self.clock.now());
        taken
    }

    /// The answer that tells the PSP of `connector` that its message was taken.
    pub fn acknowledgement(&self, connector: &str) -> Acknowledgement {
        self.connector.acknowledgement(connector)
    }

    /// Records all notices of a message, in order, or fails with the first that cannot be
    /// recorded. The PSP repeats the message then, with those that are recorded already.
    async fn record_notices(
        &self,
        webhook: &Webhook<'_>,
        notices: &[Notice<C::Subject>],
        deadline: Timestamp,
    ) -> Result<Noticed, NotNoticed> {
        let mut taken = Noticed::NotForUs;
        for notice in notices {
            taken = self.record_notice(webhook, notice, deadline).await?;
        }
        Ok(taken)
    }

    async fn record_notice(
        &self,
        webhook: &Webhook<'_>,
        notice: &Notice<C::Subject>,
        deadline: Timestamp,
    ) -> Result<Noticed, NotNoticed> {
        let deadline = deadline.minus_ms(SETTLE_RESERVE_MS);
        let name = Name::InterfaceId(notice.interface_id.clone());
        for _ in 0..TRIES_MAX {
            let found = self.store.find(webhook.project, &name).await.map_err(failed)?;
            let payment = found.ok_or(NotNoticed::NoSuchPayment)?;
            let key = ConnectorKey::of(&payment);
            let looked = self.connector.look_at(webhook.connector, &key, &notice.subject, deadline);
            let looked = looked.await.map_err(NotNoticed::Failed)?;
            let change = Change {
                key: payment.key,
                version: payment.version,
                updates: looked.ok_or(NotNoticed::NoSuchPayment)?,
                by: Some(webhook.connector.to_owned()),
            };
            match self.update(change).await {
                Ok(payment) => return Ok(Noticed::Recorded(payment.key)),
                Err(UpdateError::Stale { .. }) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Err(NotNoticed::Contended)
    }
}

fn failed(error: impl Into<BoxError>) -> NotNoticed {
    NotNoticed::Failed(error.into())
}

/// The name of what became of a message, for the metrics.
fn taken_as(taken: &Result<Noticed, NotNoticed>) -> &'static str {
    match taken {
        Ok(Noticed::Recorded(_)) => "WebhooksRecorded",
        Ok(Noticed::NotForUs) => "WebhooksNotForUs",
        Err(NotNoticed::NotRead(NotRead::NotSigned)) => "WebhooksNotSigned",
        Err(NotNoticed::NoSuchPayment) => "WebhooksWithoutPayment",
        Err(
            NotNoticed::NotRead(NotRead::NoSuchConnector | NotRead::Unreadable)
            | NotNoticed::Contended
            | NotNoticed::Failed(_),
        ) => "WebhooksFailed",
    }
}
