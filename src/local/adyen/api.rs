//! The API of the sandbox Adyen: the checks of a request, its key, and its answer.

use super::account::{Kind, Requested};
use super::{AdyenSandbox, State};
use crate::clock::SystemClock;
use crate::local::sandbox::Effect;
use crate::platform::format_time;
use crate::ports::Clock;
use http::HeaderMap;
use serde::Deserialize;
use serde_json::{Value, json};

/// An answer, with the headers that depend on it.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
    /// `transient-error`: it may be sent again.
    pub(super) is_transient: bool,
    /// `idempotency-key`: it was processed by its key.
    pub(super) is_by_key: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Body {
    merchant_account: String,
    amount: Option<AmountBody>,
    reference: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AmountBody {
    currency: String,
    value: u64,
}

impl State {
    /// Checks a request and takes its key, before anything is carried out. Returns the
    /// answer on record, or an error that is not recorded.
    pub(super) fn begin(
        &mut self,
        headers: &HeaderMap,
        key: &str,
    ) -> Result<Option<Answer>, Answer> {
        const KEY_MAX: usize = 64;
        if header(headers, "x-api-key") != AdyenSandbox::API_KEY {
            return Err(refused(401, "security", "000"));
        }
        let is_json = header(headers, "content-type").starts_with("application/json");
        if !is_json || key.is_empty() || key.len() > KEY_MAX {
            return Err(refused(400, "validation", "702"));
        }
        match self.keys.get(key) {
            Some(Some(answer)) => Ok(Some(answer.clone())),
            Some(None) => Err(Answer { is_transient: true, ..refused(422, "validation", "704") }),
            None => {
                self.keys.insert(key.to_owned(), None);
                Ok(None)
            }
        }
    }

    pub(super) fn call(&mut self, path: &str, body: &str, key: &str) -> Answer {
        let segments: Vec<_> = path.split('/').collect();
        let ["", "checkout", "v71", "payments", payment, kind] = segments.as_slice() else {
            return refused(404, "validation", "000");
        };
        let Some(kind) = Kind::of_path(kind) else { return refused(404, "validation", "000") };
        let Ok(read) = serde_json::from_str::<Body>(body) else {
            return refused(400, "validation", "702");
        };
        if read.merchant_account != AdyenSandbox::MERCHANT_ACCOUNT {
            return refused(403, "security", "901");
        }
        let Some(currency) = self.account.currency(payment).map(str::to_owned) else {
            return refused(422, "validation", "167");
        };
        let amount = match (kind, &read.amount) {
            (Kind::Cancel, None) => 0,
            (Kind::Capture | Kind::Refund, Some(amount)) if amount.currency != currency => {
                return refused(422, "validation", "138");
            }
            (Kind::Capture | Kind::Refund, Some(amount)) if amount.value > 0 => amount.value,
            _ => return refused(422, "validation", "137"),
        };
        let requested = Requested { payment, kind, amount, reference: &read.reference };
        let psp_reference = self.carry_out(&requested, Some(key));
        let mut answer = json!({
            "merchantAccount": AdyenSandbox::MERCHANT_ACCOUNT, "paymentPspReference": payment,
            "pspReference": psp_reference, "reference": read.reference, "status": "received",
        });
        if let (Some(amount), Some(fields)) = (read.amount, answer.as_object_mut()) {
            let amount = json!({"currency": amount.currency, "value": amount.value});
            fields.insert("amount".to_owned(), amount);
        }
        Answer { status: 201, body: answer.to_string(), is_transient: false, is_by_key: true }
    }

    /// The account does not allow the action.
    pub(super) fn not_configured(&mut self) -> Answer {
        let answer = refused(422, "configuration", "905");
        let mut body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        if let Some(fields) = body.as_object_mut() {
            fields.insert("pspReference".to_owned(), json!(self.account.new_id("E")));
        }
        Answer { body: body.to_string(), ..answer }
    }

    pub(super) fn carry_out(&mut self, requested: &Requested<'_>, key: Option<&str>) -> String {
        let (psp_reference, moved) = self.account.modify(requested);
        if let Some(cent_amount) = moved {
            self.effects.push(Effect {
                payment_id: requested.payment.to_owned(),
                action: requested.kind.action().to_owned(),
                cent_amount,
                currency_code: self
                    .account
                    .currency(requested.payment)
                    .unwrap_or_default()
                    .to_owned(),
                idempotency_key: key.map(str::to_owned),
                at: format_time(SystemClock.now()),
            });
        }
        psp_reference
    }
}

pub(super) fn refused(status: u16, kind: &str, code: &str) -> Answer {
    let body = json!({
        "status": status, "errorCode": code, "errorType": kind,
        "message": "The sandbox refuses it.",
    });
    Answer { status, body: body.to_string(), is_transient: false, is_by_key: false }
}

pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
