//! The webhooks of the PSPs that are called directly.

use super::adyen::read_notification;
use super::stripe::{self, Subject, is_signed};
use super::{ConnectorSettings, HttpConnector, Psp, adyen};
use crate::error::BoxError;
use crate::payment::{ProjectKey, Timestamp, Update};
use crate::ports::{
    Acknowledgement, Clock, ConnectorKey, Notice, Webhook, WebhookRefusal, Webhooks,
};

/// The object of a notice, at the PSP that sent it.
#[derive(Clone, Debug)]
pub struct PspSubject(PspNotice);

#[derive(Clone, Debug)]
enum PspNotice {
    /// Something that is read at Stripe.
    Stripe(Subject),
    /// An event that says it all.
    Adyen(adyen::Event),
}

impl<K: Clock> Webhooks for HttpConnector<K> {
    type Subject = PspSubject;

    fn read(
        &self,
        webhook: &Webhook<'_>,
        now: Timestamp,
    ) -> Result<Vec<Notice<PspSubject>>, WebhookRefusal> {
        let settings = self.webhook_settings(webhook.connector, webhook.project)?;
        match &settings.psp {
            Some(Psp::Stripe(account)) if !account.webhook_secrets.is_empty() => {
                let signature =
                    (webhook.header)("stripe-signature").ok_or(WebhookRefusal::NotSigned)?;
                if !is_signed(&account.webhook_secrets, signature, webhook.body, now) {
                    return Err(WebhookRefusal::NotSigned);
                }
                let event: stripe::Event =
                    serde_json::from_slice(webhook.body).map_err(|_| WebhookRefusal::Unreadable)?;
                let notice = |(id, subject)| notice(id, PspNotice::Stripe(subject));
                Ok(event.subject().map(notice).into_iter().collect())
            }
            Some(Psp::Adyen(account)) if !account.hmac_keys.is_empty() => {
                let events = read_notification(account, webhook.body, now)?;
                let notice = |(id, event)| notice(id, PspNotice::Adyen(event));
                Ok(events.into_iter().map(notice).collect())
            }
            Some(Psp::Stripe(_) | Psp::Adyen(_)) | None => Err(WebhookRefusal::NoSuchConnector),
        }
    }

    async fn read_subject(
        &self,
        connector: &str,
        key: &ConnectorKey,
        subject: &PspSubject,
        deadline: Timestamp,
    ) -> Result<Option<Vec<Update>>, BoxError> {
        let (Some(sender), Ok(settings)) = (self.connectors.get(connector), self.settings(key))
        else {
            return Ok(None);
        };
        if !std::ptr::eq(sender, settings) {
            return Ok(None);
        }
        let deadline = deadline.min(self.clock.now().plus_ms(settings.timeout_ms));
        match (&settings.psp, &subject.0) {
            (Some(Psp::Stripe(account)), PspNotice::Stripe(subject)) => {
                let read = self.read_at_stripe(settings, account, key, subject, deadline);
                Ok(Some(read.await?.into_iter().map(Update::RecordEffect).collect()))
            }
            (Some(Psp::Adyen(_)), PspNotice::Adyen(event)) => {
                let dated = event.report(key.fraction_digits)?;
                Ok(Some(vec![Update::RecordDatedReport(dated)]))
            }
            (Some(Psp::Stripe(_) | Psp::Adyen(_)) | None, _) => Ok(None),
        }
    }

    fn acknowledgement(&self, connector: &str) -> Acknowledgement {
        match self.connectors.get(connector).and_then(|settings| settings.psp.as_ref()) {
            Some(Psp::Adyen(_)) => Acknowledgement::Text("[accepted]"),
            Some(Psp::Stripe(_)) | None => Acknowledgement::EmptyObject,
        }
    }
}

fn notice(interface_id: String, subject: PspNotice) -> Notice<PspSubject> {
    Notice { interface_id, subject: PspSubject(subject) }
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
