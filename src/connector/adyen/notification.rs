//! The standard webhooks of Adyen, and the reports that their events come to:
//! <https://docs.adyen.com/development-resources/webhooks/webhook-types>
//!
//! | event | report |
//! |---|---|
//! | [`AUTHORISATION`] | the Authorization that is expected |
//! | [`CAPTURE`] | a Charge |
//! | [`CAPTURE_FAILED`] | a Charge that is Pending: Adyen may capture it again |
//! | [`CANCELLATION`], [`TECHNICAL_CANCEL`] | a CancelAuthorization |
//! | [`REFUND`] | a Refund |
//! | [`REFUND_FAILED`] | a Refund that is Pending: Adyen may refund it again |
//! | [`REFUNDED_REVERSED`] | a Refund that happened and was taken back |
//! | [`CANCEL_OR_REFUND`] | a CancelAuthorization or a Refund, as `modification.action` says |
//! | [`CHARGEBACK`], [`SECOND_CHARGEBACK`], [`PREARBITRATION_LOST`], [`SCHEME_ARBITRATION_LOST`] | a Chargeback |
//! | [`CHARGEBACK_REVERSED`] | a Chargeback that happened and was taken back |
//!
//! After a failure at the card scheme, [Adyen tries again], for up to 10 days. A second capture
//! or refund beside the first would move the money twice, so that the amount stays held, until
//! a later event or an operator says how it ended.
//!
//! An arbitration that is lost takes the money that a reversed chargeback had returned. One
//! that is won returns nothing: Adyen reports that with `CHARGEBACK_REVERSED`.
//!
//! `success` `false` is a Failure. The `pspReference` is Adyen's id of the effect, and the
//! `merchantReference` is our id of the transaction, if we asked for it. Events come in
//! [any order]: the one with the latest `eventDate` holds.
//!
//! `eventDate` and `modification.action` are not signed. A date in the future is refused.
//!
//! [`AUTHORISATION`]: https://docs.adyen.com/api-explorer/Webhooks/1/post/AUTHORISATION
//! [`CAPTURE`]: https://docs.adyen.com/api-explorer/Webhooks/1/post/CAPTURE
//! [`CAPTURE_FAILED`]: https://docs.adyen.com/online-payments/capture/failure-reasons
//! [`CANCELLATION`]: https://docs.adyen.com/api-explorer/Webhooks/1/post/CANCELLATION
//! [`TECHNICAL_CANCEL`]: https://docs.adyen.com/api-explorer/Webhooks/1/post/TECHNICAL_CANCEL
//! [`REFUND`]: https://docs.adyen.com/api-explorer/Webhooks/1/post/REFUND
//! [`REFUND_FAILED`]: https://docs.adyen.com/online-payments/capture/failure-reasons
//! [`REFUNDED_REVERSED`]: https://docs.adyen.com/api-explorer/Webhooks/1/post/REFUNDED_REVERSED
//! [`CANCEL_OR_REFUND`]: https://docs.adyen.com/online-payments/classic-integrations/modify-payments/cancel-or-refund
//! [`CHARGEBACK`]: https://docs.adyen.com/risk-management/disputes-api/dispute-notifications
//! [`SECOND_CHARGEBACK`]: https://docs.adyen.com/risk-management/disputes-api/dispute-notifications
//! [`CHARGEBACK_REVERSED`]: https://docs.adyen.com/risk-management/disputes-api/dispute-notifications
//! [`PREARBITRATION_LOST`]: https://docs.adyen.com/api-explorer/Webhooks/1/post/PREARBITRATION_LOST
//! [`SCHEME_ARBITRATION_LOST`]: https://docs.adyen.com/api-explorer/Webhooks/1/post/SCHEME_ARBITRATION_LOST
//! [Adyen tries again]: https://docs.adyen.com/online-payments/capture/failure-reasons
//! [any order]: https://docs.adyen.com/development-resources/webhooks/handle-webhook-events

use super::AdyenAccount;
use super::signature::SignedValues;
use crate::connector::minor_units::from_adyen;
use crate::error::BoxError;
use crate::money::{Currency, Money};
use crate::payment::{DatedReport, Report, State, Timestamp, TransactionKind};
use crate::platform::parse_time;
use crate::ports::WebhookRefusal;
use serde::Deserialize;

/// The most items of one message. Adyen sends one.
const ITEMS_MAX: usize = 32;

/// By how much Adyen's clock may be ahead of ours.
const CLOCKS_DIFFER_MS: u64 = 300_000;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Notification {
    notification_items: Vec<Wrapper>,
}

#[derive(Deserialize)]
struct Wrapper {
    #[serde(rename = "NotificationRequestItem")]
    item: Item,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    #[serde(default)]
    additional_data: Option<AdditionalData>,
    amount: Amount,
    event_code: String,
    #[serde(default)]
    event_date: Option<String>,
    merchant_account_code: String,
    #[serde(default)]
    merchant_reference: Option<String>,
    #[serde(default)]
    original_reference: Option<String>,
    psp_reference: String,
    success: String,
}

#[derive(Default, Deserialize)]
struct AdditionalData {
    #[serde(default, rename = "hmacSignature")]
    hmac_signature: Option<String>,
    #[serde(default, rename = "modification.action")]
    action: Option<String>,
}

#[derive(Deserialize)]
struct Amount {
    currency: String,
    value: i64,
}

/// An event about a capture, refund, cancel, chargeback or authorization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::connector) struct Event {
    kind: TransactionKind,
    state: State,
    /// True for a Failure of an effect that had happened before.
    is_undone: bool,
    value: u64,
    currency: String,
    at: Timestamp,
    /// Adyen's id of the effect.
    psp_reference: Option<String>,
    /// The reference of the request, which is our id if we made it.
    reference: Option<String>,
}

/// Reads a message, if each of its items is signed. Returns the `pspReference` of the
/// payment for each event, without those that say nothing of money or are about another
/// merchant account.
pub(in crate::connector) fn read_notification(
    account: &AdyenAccount,
    body: &[u8],
    now: Timestamp,
) -> Result<Vec<(String, Event)>, WebhookRefusal> {
    // What is no message of Adyen has no signature either.
    let read: Notification = serde_json::from_slice(body).map_err(|_| WebhookRefusal::NotSigned)?;
    let items: Vec<_> = read.notification_items.into_iter().map(|wrapper| wrapper.item).collect();
    let is_signed = |item: &Item| item.is_signed(account);
    if items.is_empty() || items.len() > ITEMS_MAX || !items.iter().all(is_signed) {
        return Err(WebhookRefusal::NotSigned);
    }
    let ours = items.iter().filter(|item| item.merchant_account_code == account.merchant_account);
    ours.filter_map(|item| item.event(now).transpose()).collect()
}

impl Item {
    fn is_signed(&self, account: &AdyenAccount) -> bool {
        let signature = self.additional_data.as_ref().and_then(|data| data.hmac_signature.as_ref());
        let values = SignedValues {
            psp_reference: &self.psp_reference,
            original_reference: self.original_reference.as_deref().unwrap_or_default(),
            merchant_account: &self.merchant_account_code,
            merchant_reference: self.merchant_reference.as_deref().unwrap_or_default(),
            value: self.amount.value,
            currency: &self.amount.currency,
            event_code: &self.event_code,
            success: &self.success,
        };
        signature.is_some_and(|signature| values.are_signed(&account.hmac_keys, signature))
    }

    /// The event, and the `pspReference` of its payment. `None` for a code that is not in
    /// the table. An error for one that is, but whose meaning cannot be told.
    fn event(&self, now: Timestamp) -> Result<Option<(String, Event)>, WebhookRefusal> {
        let Some((kind, after)) = self.meaning()? else { return Ok(None) };
        let is_success = match self.success.as_str() {
            "true" => true,
            "false" => false,
            _ => return Err(WebhookRefusal::Unreadable),
        };
        let at =
            self.event_date.as_deref().and_then(parse_time).ok_or(WebhookRefusal::Unreadable)?;
        if at > now.plus_ms(CLOCKS_DIFFER_MS) {
            return Err(WebhookRefusal::Unreadable);
        }
        let present = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let original = present(&self.original_reference);
        let is_authorization = kind == TransactionKind::Authorization;
        // Dispute events have no `originalReference` unless that is set in the Customer
        // Area, and authorizations never have one: they are named by the payment's id.
        let payment = original.clone().unwrap_or_else(|| self.psp_reference.clone());
        let event = Event {
            kind,
            state: match after {
                Some(state) => state,
                None if is_success => State::Success,
                None => State::Failure,
            },
            is_undone: after == Some(State::Failure),
            value: u64::try_from(self.amount.value).map_err(|_| WebhookRefusal::Unreadable)?,
            currency: self.amount.currency.clone(),
            at,
            psp_reference: (original.is_some() || is_authorization)
                .then(|| self.psp_reference.clone()),
            reference: present(&self.merchant_reference).filter(|_| !is_authorization),
        };
        Ok(Some((payment, event)))
    }

    /// The kind of effect, and for an event after it had happened, its state since then.
    fn meaning(&self) -> Result<Option<(TransactionKind, Option<State>)>, WebhookRefusal> {
        let action = self.additional_data.as_ref().and_then(|data| data.action.as_deref());
        Ok(Some(match self.event_code.as_str() {
            "AUTHORISATION" => (TransactionKind::Authorization, None),
            "CAPTURE" => (TransactionKind::Charge, None),
            "CAPTURE_FAILED" => (TransactionKind::Charge, Some(State::Pending)),
            "CANCELLATION" | "TECHNICAL_CANCEL" => (TransactionKind::CancelAuthorization, None),
            "REFUND" => (TransactionKind::Refund, None),
            "REFUND_FAILED" => (TransactionKind::Refund, Some(State::Pending)),
            "REFUNDED_REVERSED" => (TransactionKind::Refund, Some(State::Failure)),
            "CANCEL_OR_REFUND" => match (action, self.success.as_str()) {
                (Some("cancel"), _) => (TransactionKind::CancelAuthorization, None),
                (Some("refund"), _) => (TransactionKind::Refund, None),
                // Nothing happened, and we asked for none.
                (_, "false") => return Ok(None),
                _ => return Err(WebhookRefusal::Unreadable),
            },
            "CHARGEBACK"
            | "SECOND_CHARGEBACK"
            | "PREARBITRATION_LOST"
            | "SCHEME_ARBITRATION_LOST" => (TransactionKind::Chargeback, None),
            "CHARGEBACK_REVERSED" => (TransactionKind::Chargeback, Some(State::Failure)),
            _ => return Ok(None),
        }))
    }
}

impl Event {
    /// The report of the event, for a Payment whose amounts have so many digits.
    pub(in crate::connector) fn report(
        &self,
        fraction_digits: u8,
    ) -> Result<DatedReport, BoxError> {
        let amount = from_adyen(self.value, &self.currency, fraction_digits);
        let report = Report {
            kind: self.kind,
            state: self.state,
            amount: match self.kind {
                // It may be in a currency that has other units than the Payment's.
                TransactionKind::Chargeback => amount.or_else(|_| self.no_amount())?,
                _ => amount?,
            },
            timestamp: Some(self.at),
            interaction_id: self.psp_reference.clone(),
            interface_id: self.reference.clone(),
        };
        Ok(DatedReport { report, is_undone: self.is_undone })
    }

    /// Zero in the currency of the event, for an amount that cannot be converted.
    fn no_amount(&self) -> Result<Money, BoxError> {
        let currency = Currency::parse(&self.currency).ok_or("no such currency")?;
        Ok(Money::zero(currency))
    }
}
