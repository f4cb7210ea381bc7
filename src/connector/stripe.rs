//! Direct calls to Stripe: API v1, form-encoded, with one idempotency key for each
//! transaction.
//!
//! * The transaction id is the idempotency key. A capture adds it to the `metadata` of the
//!   PaymentIntent, and a refund has it in its own, so that both are identified by our id.
//! * Calls: <https://docs.stripe.com/api/payment_intents/capture>,
//!   <https://docs.stripe.com/api/payment_intents/cancel>,
//!   <https://docs.stripe.com/api/refunds/create>
//! * Keys: <https://docs.stripe.com/api/idempotent_requests>. A result is saved once the
//!   endpoint began to execute, errors included, and is given again for at least 24 hours.

mod answer;
mod mark;
mod objects;
mod outcome;
mod request;
mod signature;

pub(super) use objects::{Event, Subject};
pub(super) use signature::is_signed;

use super::HttpConnector;
use super::settings::ConnectorSettings;
use crate::error::BoxError;
use crate::payment::{Report, Timestamp, Transaction, TransactionKind};
use crate::ports::{
    Absence, Call, Clock, ConnectorError, ConnectorKey, Lookup, Policy, Rejections, Resend, Rest,
    Verdict,
};
use crate::secret::Secret;
use crate::transport::{NotAnswered, Response};
use answer::Meaning;
use http::{Request, StatusCode};
use http_body_util::Full;
use hyper::body::Bytes;
use objects::{Dispute, List, PaymentIntent, Refund};
use outcome::{Effects, Sought};
use serde::de::DeserializeOwned;

/// An account at Stripe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StripeAccount {
    /// The secret or restricted key.
    pub api_key: Secret,
    /// The signing secrets of the webhook endpoint; several while one is rotated.
    pub webhook_secrets: Vec<Secret>,
    /// The version of the API, as `Stripe-Version` names it.
    pub api_version: String,
    /// True if the account may capture a PaymentIntent several times:
    /// <https://docs.stripe.com/payments/multicapture>
    pub multicapture: bool,
}

/// The highest number of bytes in an answer. A page of 100 refunds has fewer.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// The number of pages of refunds that are read: 1,000 refunds.
const PAGES_MAX: usize = 10;

impl StripeAccount {
    /// The address of the API.
    pub const URL: &str = "https://api.stripe.com";

    /// The version of the API for which this module is written.
    pub const API_VERSION: &str = "2026-10-28.endive";

    /// The policy that Stripe's documentation allows. It keeps keys for at least 24 hours;
    /// they are used for 20.
    pub fn policy(&self) -> Policy {
        const RESEND_WINDOW_MS: u64 = 20 * 60 * 60 * 1_000;
        Policy {
            resend: Resend::SameKey { window_ms: RESEND_WINDOW_MS },
            rejected: Rejections::Final,
            lookup: Lookup::Payment,
            absence: Absence::Proof,
            rest: if self.multicapture { Rest::Kept } else { Rest::Released },
            psp: Some("stripe".to_owned()),
        }
    }
}

impl<K: Clock> HttpConnector<K> {
    /// Sends an action to Stripe. If its answer proves nothing, and Stripe would repeat that
    /// answer, the outcome is looked up.
    ///
    /// A rejection of a later attempt counts only if Stripe has saved it for the key:
    /// otherwise an earlier request, still on its way, could be carried out. A rejection that
    /// is not saved yet is therefore requested once more.
    pub(super) async fn call_stripe(
        &self,
        settings: &ConnectorSettings,
        account: &StripeAccount,
        call: &Call,
        deadline: Timestamp,
    ) -> Result<Verdict, ConnectorError> {
        let (meaning, is_saved) = self.send_to_stripe(settings, account, call, deadline).await;
        let is_first_no = matches!(meaning, Meaning::Is(Ok(Verdict::Rejected(_)))) && !is_saved;
        let meaning = if call.attempt > 1 && is_first_no {
            match self.send_to_stripe(settings, account, call, deadline).await {
                (again, true) => again,
                (_, false) => Meaning::unknown("a rejection that is not saved for the key"),
            }
        } else {
            meaning
        };
        let cause = match meaning {
            Meaning::Is(result) => return result,
            Meaning::Refund(id) => {
                let refund = self.refund(settings, account, &call.connector, &id, deadline).await;
                let outcome = refund.and_then(|refund| answer::refund_outcome(call, &refund));
                return outcome.map_err(ConnectorError::OutcomeUnknown);
            }
            Meaning::LookUp(cause) => cause,
        };
        let Some(sought) = Sought::of_call(call) else {
            return Err(ConnectorError::OutcomeUnknown(cause));
        };
        let effects = self.effects(settings, account, &call.connector, &sought, deadline).await;
        let outcome = effects.ok().and_then(|effects| effects.outcome_of(&sought));
        outcome.ok_or(ConnectorError::OutcomeUnknown(cause))
    }

    /// Sends an action once. Returns the meaning of the answer, and true if Stripe had saved
    /// it for the key.
    async fn send_to_stripe(
        &self,
        settings: &ConnectorSettings,
        account: &StripeAccount,
        call: &Call,
        deadline: Timestamp,
    ) -> (Meaning, bool) {
        let request = match request::act(settings, account, call) {
            Ok(request) => request,
            Err(error) => return (Meaning::Is(Err(ConnectorError::NotReached(error))), false),
        };
        let result = match self.exchange_with_stripe(request, deadline).await {
            Ok(answer) => {
                let is_saved = answer::is_saved(&answer);
                return (answer::read(account, call, &answer), is_saved);
            }
            Err(NotAnswered::NeverSent(error)) => ConnectorError::NotReached(error),
            Err(NotAnswered::Lost(error)) => ConnectorError::OutcomeUnknown(error),
        };
        (Meaning::Is(Err(result)), false)
    }

    /// Reads the effects that may be this transaction.
    pub(super) async fn look_up_at_stripe(
        &self,
        settings: &ConnectorSettings,
        account: &StripeAccount,
        key: &ConnectorKey,
        open: &Transaction,
        deadline: Timestamp,
    ) -> Result<Vec<Report>, BoxError> {
        let sought = Sought::of(open);
        Ok(self.effects(settings, account, key, &sought, deadline).await?.reports)
    }

    /// Reads all refunds for a refund, and the PaymentIntent for a capture or a cancel.
    async fn effects(
        &self,
        settings: &ConnectorSettings,
        account: &StripeAccount,
        key: &ConnectorKey,
        sought: &Sought<'_>,
        deadline: Timestamp,
    ) -> Result<Effects, BoxError> {
        let digits = key.fraction_digits;
        if sought.kind == TransactionKind::Refund {
            let refunds = self.refunds(settings, account, key, deadline).await?;
            let reports = refunds.iter().map(|refund| refund.report(digits));
            return Ok(Effects::of_refunds(sought, reports.collect::<Result<_, _>>()?));
        }
        let intent = self.payment_intent(settings, account, key, deadline).await?;
        Effects::of_intent(sought, &intent, digits, account.multicapture)
    }

    /// Reads the current state of the object of an event. The state in the event may be an
    /// old one, because events come in any order.
    pub(super) async fn read_at_stripe(
        &self,
        settings: &ConnectorSettings,
        account: &StripeAccount,
        key: &ConnectorKey,
        subject: &Subject,
        deadline: Timestamp,
    ) -> Result<Vec<Report>, BoxError> {
        let digits = key.fraction_digits;
        match subject {
            Subject::PaymentIntent => {
                let intent = self.payment_intent(settings, account, key, deadline).await?;
                // First the authorization, which the captures need.
                let mut reports: Vec<_> = intent.authorized(digits)?.into_iter().collect();
                reports.extend(intent.captures_and_release(digits, account.multicapture)?);
                Ok(reports)
            }
            Subject::Refunds => {
                let refunds = self.refunds(settings, account, key, deadline).await?;
                refunds.iter().map(|refund| refund.report(digits)).collect()
            }
            Subject::Refund(id) => {
                let refund = self.refund(settings, account, key, id, deadline).await?;
                Ok(vec![refund.report(digits)?])
            }
            Subject::Dispute(id) => {
                let request = request::get(settings, account, "disputes", id, &[])?;
                let dispute: Dispute = self.read_from_stripe(request, deadline).await?;
                dispute.check_payment_intent(key)?;
                Ok(dispute.report(digits)?.into_iter().collect())
            }
        }
    }

    async fn payment_intent(
        &self,
        settings: &ConnectorSettings,
        account: &StripeAccount,
        key: &ConnectorKey,
        deadline: Timestamp,
    ) -> Result<PaymentIntent, BoxError> {
        let id = request::payment_intent_id(key)?;
        let request = request::get(settings, account, "payment_intents", id, &[])?;
        let intent: PaymentIntent = self.read_from_stripe(request, deadline).await?;
        intent.check_id(id)?;
        Ok(intent)
    }

    async fn refund(
        &self,
        settings: &ConnectorSettings,
        account: &StripeAccount,
        key: &ConnectorKey,
        id: &str,
        deadline: Timestamp,
    ) -> Result<Refund, BoxError> {
        let request = request::get(settings, account, "refunds", id, &[])?;
        let refund: Refund = self.read_from_stripe(request, deadline).await?;
        refund.check_payment_intent(key)?;
        Ok(refund)
    }

    /// Reads all refunds of the PaymentIntent. An error if there are more than can be read.
    async fn refunds(
        &self,
        settings: &ConnectorSettings,
        account: &StripeAccount,
        key: &ConnectorKey,
        deadline: Timestamp,
    ) -> Result<Vec<Refund>, BoxError> {
        let id = request::payment_intent_id(key)?;
        let mut refunds: Vec<Refund> = Vec::new();
        for _ in 0..PAGES_MAX {
            let after = refunds.last().map(|last| ("starting_after", last.id.as_str()));
            let query: Vec<_> =
                [("payment_intent", id), ("limit", "100")].into_iter().chain(after).collect();
            let request = request::get(settings, account, "refunds", "", &query)?;
            let page: List<Refund> = self.read_from_stripe(request, deadline).await?;
            let is_empty = page.data.is_empty();
            refunds.extend(page.data);
            if !page.has_more {
                return Ok(refunds);
            }
            if is_empty {
                return Err("Stripe answered an empty page of refunds that has more".into());
            }
        }
        Err("the PaymentIntent has more refunds than are read".into())
    }

    /// Reads an object.
    async fn read_from_stripe<T: DeserializeOwned>(
        &self,
        request: Request<Full<Bytes>>,
        deadline: Timestamp,
    ) -> Result<T, BoxError> {
        let exchanged = self.exchange_with_stripe(request, deadline).await;
        let answer = exchanged.map_err(NotAnswered::into_cause)?;
        if answer.status != StatusCode::OK {
            return Err(format!("Stripe answered {}", answer.status).into());
        }
        // The parser's message may repeat a part of the body.
        Ok(serde_json::from_slice(&answer.body)
            .map_err(|_| "Stripe answered something else than was asked for")?)
    }

    async fn exchange_with_stripe(
        &self,
        request: Request<Full<Bytes>>,
        deadline: Timestamp,
    ) -> Result<Response, NotAnswered> {
        let time = self.time_until(deadline);
        self.transport.exchange(request, time, ANSWER_BYTES_MAX, self.clock.now()).await
    }
}
