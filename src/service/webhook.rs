//! Webhooks: after a message of a PSP, the current state of its object is read at the PSP,
//! and recorded if the Payment has not changed since. So the order and the number of the
//! messages make no difference.

use super::{Change, SETTLE_RESERVE_MS, Service, UpdateError};
use crate::error::BoxError;
use crate::observe;
use crate::payment::{PaymentKey, Timestamp};
use crate::ports::{
    Acknowledgement, Clock, Connector, ConnectorKey, Name, Notice, Store, Webhook, WebhookRefusal,
    Webhooks,
};
use std::error::Error;

/// The highest number of reads at the PSP for one message. Another read is needed if the
/// Payment was changed after the last one.
const TRIES_MAX: usize = 4;

/// The result of a message that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebhookOutcome {
    /// The state at the PSP is recorded in this Payment.
    Recorded(PaymentKey),
    /// It is about nothing that this service records.
    NotForUs,
}

/// The reasons why a message is not recorded.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// It is refused.
    #[error(transparent)]
    Refused(#[from] WebhookRefusal),
    /// No Payment of the project has this id at this PSP, perhaps not yet.
    #[error("no Payment of the project has this id at the PSP")]
    NoSuchPayment,
    /// The Payment was changed after each read at the PSP.
    #[error("the Payment was changed after each read at the PSP")]
    Contended,
    /// The PSP or the store failed.
    #[error("the message could not be recorded")]
    Failed(#[source] BoxError),
}

impl<S: Store, C: Connector + Webhooks, K: Clock> Service<S, C, K> {
    /// Records the change that a message of a PSP is about. Nothing is read or written for a
    /// message without a valid signature.
    pub async fn handle_webhook(
        &self,
        webhook: &Webhook<'_>,
        deadline: Timestamp,
    ) -> Result<WebhookOutcome, WebhookError> {
        let result = match self.connector.read(webhook, self.clock.now()) {
            Ok(notices) => self.record_notices(webhook, &notices, deadline).await,
            Err(error) => Err(error.into()),
        };
        let error: Option<&(dyn Error + 'static)> = match &result {
            Ok(_) => None,
            Err(error) => Some(error),
        };
        observe::log_webhook(webhook, metric_of(&result), error, self.clock.now());
        result
    }

    /// The answer that tells the PSP of `connector` that its message is recorded.
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
    ) -> Result<WebhookOutcome, WebhookError> {
        let mut taken = WebhookOutcome::NotForUs;
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
    ) -> Result<WebhookOutcome, WebhookError> {
        let deadline = deadline.minus_ms(SETTLE_RESERVE_MS);
        let name = Name::InterfaceId(notice.interface_id.clone());
        for _ in 0..TRIES_MAX {
            let found = self.store.find(webhook.project, &name).await.map_err(failed)?;
            let payment = found.ok_or(WebhookError::NoSuchPayment)?;
            let key = ConnectorKey::of(&payment);
            let looked =
                self.connector.read_subject(webhook.connector, &key, &notice.subject, deadline);
            let looked = looked.await.map_err(WebhookError::Failed)?;
            let change = Change {
                key: payment.key,
                version: payment.version,
                updates: looked.ok_or(WebhookError::NoSuchPayment)?,
                by: Some(webhook.connector.to_owned()),
            };
            match self.update(change).await {
                Ok(payment) => return Ok(WebhookOutcome::Recorded(payment.key)),
                Err(UpdateError::Stale { .. }) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Err(WebhookError::Contended)
    }
}

fn failed(error: impl Into<BoxError>) -> WebhookError {
    WebhookError::Failed(error.into())
}

/// The name of the metric that counts a message with this result.
fn metric_of(result: &Result<WebhookOutcome, WebhookError>) -> &'static str {
    match result {
        Ok(WebhookOutcome::Recorded(_)) => "WebhooksRecorded",
        Ok(WebhookOutcome::NotForUs) => "WebhooksNotForUs",
        Err(WebhookError::Refused(WebhookRefusal::NotSigned)) => "WebhooksNotSigned",
        Err(WebhookError::NoSuchPayment) => "WebhooksWithoutPayment",
        Err(
            WebhookError::Refused(WebhookRefusal::NoSuchConnector | WebhookRefusal::Unreadable)
            | WebhookError::Contended
            | WebhookError::Failed(_),
        ) => "WebhooksFailed",
    }
}
