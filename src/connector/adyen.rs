//! Adyen, called directly: Checkout API v71, JSON, one idempotency key for each
//! transaction.
//!
//! * The transaction id is the idempotency key, and it is the `reference` of the capture,
//!   cancel or refund: webhooks name it by our id.
//! * Calls: <https://docs.adyen.com/api-explorer/Checkout/71/post/payments/(paymentPspReference)/captures>,
//!   `…/cancels` and `…/refunds`. Each is answered `received`. Its outcome comes by webhook.
//! * Keys: <https://docs.adyen.com/development-resources/api-idempotency>. A key is kept for
//!   at least 7 days, and a request that comes again is answered as it was the first time.
//! * Adyen has no look-up of captures, cancels and refunds. That one never happened is
//!   proven by nothing that can be read. An Unknown is sent again with its key: Adyen
//!   answers what it answered before, or carries it out now.

mod answer;
mod notification;
mod request;
mod signature;

pub(super) use notification::{Event, read_notification};

use super::HttpConnector;
use super::settings::ConnectorSettings;
use crate::digest::id_of;
use crate::payment::Timestamp;
use crate::ports::{
    Absence, Call, Clock, ConnectorError, Lookup, Policy, Rejections, Resend, Rest, Verdict,
};
use crate::secret::Secret;
use crate::transport::{NotAnswered, Response};
use http::uri::Authority;
use http::{StatusCode, Uri};

/// A merchant account at Adyen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdyenAccount {
    /// The name of the merchant account.
    pub merchant_account: String,
    /// The API key.
    pub api_key: Secret,
    /// The HMAC keys of the webhook, in hexadecimal digits; several while one is rotated.
    pub hmac_keys: Vec<Secret>,
    /// True if the account may capture a payment several times. Without it Adyen cancels
    /// what the first capture leaves:
    /// <https://docs.adyen.com/online-payments/capture#partial-capture>
    pub multicapture: bool,
}

/// The answer to an action has less.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

impl AdyenAccount {
    /// The policy that follows from Adyen's documentation, for the API at `url`. Keys are kept
    /// for at least 7 days, and used for 6.
    pub fn policy(&self, url: &Uri) -> Policy {
        const RESEND_WINDOW_MS: u64 = 6 * 24 * 60 * 60 * 1_000;
        Policy {
            resend: Resend::SameKey { window_ms: RESEND_WINDOW_MS },
            rejected: Rejections::Final,
            lookup: Lookup::None,
            absence: Absence::Unproven,
            rest: if self.multicapture { Rest::Kept } else { Rest::Released },
            psp: Some(self.name(url)),
        }
    }

    /// The name by which the ledger records that a transaction was sent to this account. Adyen
    /// keeps the keys of a company account in each region apart, and the address of the API
    /// names the region: all of it but the version at its end. The name is short, because each
    /// reservation has it.
    fn name(&self, url: &Uri) -> String {
        let host = url.authority().map_or("", Authority::as_str);
        let path = url.path().trim_end_matches('/').rsplit_once('/').map_or("", |(path, _)| path);
        let id = id_of(&["adyen", host, path, &self.merchant_account]).simple().to_string();
        format!("adyen-{}", id.get(..8).unwrap_or_default())
    }
}

impl<K: Clock> HttpConnector<K> {
    /// Sends an action to Adyen. A rejection of a later attempt counts only if Adyen has it on
    /// record for the key: a check that comes before the key is looked up says nothing about
    /// the earlier attempts. So it is requested once more.
    pub(super) async fn call_adyen(
        &self,
        settings: &ConnectorSettings,
        account: &AdyenAccount,
        call: &Call,
        deadline: Timestamp,
    ) -> Result<Verdict, ConnectorError> {
        let first = self.send_to_adyen(settings, account, call, deadline).await?;
        let verdict = answer::read(account, call, &first);
        if call.attempt == 1 || !matches!(verdict, Ok(Verdict::Rejected(_))) {
            return verdict;
        }
        match self.send_to_adyen(settings, account, call, deadline).await {
            Ok(again) if answer::is_on_record(account, call, [&first, &again]) => verdict,
            Ok(again) if again.status == StatusCode::CREATED => answer::read(account, call, &again),
            Ok(_) | Err(_) => {
                let why = "Adyen does not show that the rejection is on record for the key";
                Err(ConnectorError::OutcomeUnknown(why.into()))
            }
        }
    }

    /// Sends an action once.
    async fn send_to_adyen(
        &self,
        settings: &ConnectorSettings,
        account: &AdyenAccount,
        call: &Call,
        deadline: Timestamp,
    ) -> Result<Response, ConnectorError> {
        let request = request::act(settings, account, call).map_err(ConnectorError::NotReached)?;
        let time = self.time_until(deadline);
        let sent = self.transport.exchange(request, time, ANSWER_BYTES_MAX, self.clock.now());
        sent.await.map_err(|error| match error {
            NotAnswered::NeverSent(error) => ConnectorError::NotReached(error),
            NotAnswered::Lost(error) => ConnectorError::OutcomeUnknown(error),
        })
    }
}
