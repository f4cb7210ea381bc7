//! The webhooks of the PSPs that are called directly.

use super::stripe::{Event, Subject, is_signed};
use super::{ConnectorSettings, HttpConnector, Psp};
use crate::error::BoxError;
use crate::payment::{ProjectKey, Report, Timestamp};
use crate::ports::{Clock, ConnectorKey, Notice, Webhook, WebhookRefusal, Webhooks};

/// The object of a notice, at the PSP that sent it.
#[derive(Clone, Debug)]
pub struct PspSubject(Subject);

impl<K: Clock> Webhooks for HttpConnector<K> {
    type Subject = PspSubject;

    fn read(
        &self,
        webhook: &Webhook<'_>,
        now: Timestamp,
    ) -> Result<Option<Notice<PspSubject>>, WebhookRefusal> {
        let settings = self.webhook_settings(webhook.connector, webhook.project)?;
        match &settings.psp {
            Some(Psp::Stripe(account)) if !account.webhook_secrets.is_empty() => {
                let signature =
                    (webhook.header)("stripe-signature").ok_or(WebhookRefusal::NotSigned)?;
                if !is_signed(&account.webhook_secrets, signature, webhook.body, now) {
                    return Err(WebhookRefusal::NotSigned);
                }
                let event: Event =
                    serde_json::from_slice(webhook.body).map_err(|_| WebhookRefusal::Unreadable)?;
                let notice =
                    |(interface_id, subject)| Notice { interface_id, subject: PspSubject(subject) };
                Ok(event.subject().map(notice))
            }
            Some(Psp::Stripe(_)) | None => Err(WebhookRefusal::NoSuchConnector),
        }
    }

    async fn read_subject(
        &self,
        connector: &str,
        key: &ConnectorKey,
        subject: &PspSubject,
        deadline: Timestamp,
    ) -> Result<Option<Vec<Report>>, BoxError> {
        let (Some(sender), Ok(settings)) = (self.connectors.get(connector), self.settings(key))
        else {
            return Ok(None);
        };
        if !std::ptr::eq(sender, settings) {
            return Ok(None);
        }
        let deadline = deadline.min(self.clock.now().plus_ms(settings.timeout_ms));
        match &settings.psp {
            Some(Psp::Stripe(account)) => {
                self.read_at_stripe(settings, account, key, &subject.0, deadline).await.map(Some)
            }
            None => Ok(None),
        }
    }
}

impl<K> HttpConnector<K> {
    fn webhook_settings(
        &self,
        connector: &str,
        project: &ProjectKey,
    ) -> Result<&ConnectorSettings, WebhookRefusal> {
        let settings = self.connectors.get(connector).ok_or(WebhookRefusal::NoSuchConnector)?;
        let projects = settings.projects.as_deref();
        let is_open = projects.is_none_or(|projects| projects.contains(project));
        if is_open { Ok(settings) } else { Err(WebhookRefusal::NoSuchConnector) }
    }
}
