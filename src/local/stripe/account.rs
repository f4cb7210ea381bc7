//! The account at the Stripe on localhost: PaymentIntents, refunds and disputes, and the
//! effects of each call.

use super::form::Form;
use crate::clock::SystemClock;
use crate::ports::Clock;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The objects and their events.
#[derive(Debug, Default)]
pub(super) struct Account {
    intents: BTreeMap<String, Intent>,
    refunds: Vec<Refund>,
    disputes: Vec<Dispute>,
    pub(super) events: Vec<Value>,
    count: u64,
}

#[derive(Debug)]
struct Intent {
    id: String,
    charge: String,
    amount: u64,
    capturable: u64,
    received: u64,
    currency: String,
    status: &'static str,
    created: u64,
    canceled_at: Option<u64>,
    metadata: BTreeMap<String, String>,
    multicapture: bool,
}

#[derive(Debug)]
struct Refund {
    id: String,
    intent: String,
    amount: u64,
    status: &'static str,
    created: u64,
    metadata: BTreeMap<String, String>,
}

#[derive(Debug)]
struct Dispute {
    id: String,
    intent: String,
    amount: u64,
    status: String,
    created: u64,
}

/// The answer of a call: the object, or the error.
pub(super) type Called = Result<Value, Refused>;

/// An error of the API.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) status: u16,
    pub(super) error: Value,
}

/// The effect of a call: the PaymentIntent, the name of the action, and the amount.
pub(super) type Movement = (String, &'static str, u64);

impl Refused {
    pub(super) fn new(status: u16, kind: &str, code: Option<&str>, message: &str) -> Self {
        Self { status, error: json!({"type": kind, "code": code, "message": message}) }
    }

    fn invalid(code: Option<&str>, message: &str) -> Self {
        Self::new(400, "invalid_request_error", code, message)
    }

    fn missing(id: &str) -> Self {
        let message = format!("No such object: '{id}'");
        Self::new(404, "invalid_request_error", Some("resource_missing"), &message)
    }
}

impl Account {
    /// `POST /v1/payment_intents`: it is authorized at once, and captured later.
    pub(super) fn create(&mut self, form: &Form) -> Called {
        let id = self.new_id("pi");
        let intent = Intent {
            charge: self.new_id("ch"),
            amount: form.amount("amount")?.unwrap_or_default(),
            capturable: form.amount("amount")?.unwrap_or_default(),
            received: 0,
            currency: form.text("currency").unwrap_or("eur").to_owned(),
            status: "requires_capture",
            created: now_s(),
            canceled_at: None,
            metadata: form.metadata(),
            multicapture: form.text("payment_method_options[card][request_multicapture]")
                == Some("if_available"),
            id: id.clone(),
        };
        let shown = intent.shown();
        self.intents.insert(id, intent);
        self.add_event("payment_intent.amount_capturable_updated", shown.clone());
        Ok(shown)
    }

    /// Adds an authorized PaymentIntent with this id.
    pub(super) fn authorize(&mut self, id: &str, amount: u64, currency: &str, multicapture: bool) {
        let intent = Intent {
            id: id.to_owned(),
            charge: self.new_id("ch"),
            amount,
            capturable: amount,
            received: 0,
            currency: currency.to_owned(),
            status: "requires_capture",
            created: now_s(),
            canceled_at: None,
            metadata: BTreeMap::new(),
            multicapture,
        };
        self.intents.insert(id.to_owned(), intent);
    }

    pub(super) fn set_status(&mut self, id: &str, status: &'static str) {
        if let Some(intent) = self.intents.get_mut(id) {
            intent.status = status;
        }
    }

    pub(super) fn add_metadata(&mut self, id: &str, metadata: BTreeMap<String, String>) {
        if let Some(intent) = self.intents.get_mut(id) {
            intent.metadata.extend(metadata);
        }
    }

    pub(super) fn increment(&mut self, id: &str, amount: u64) {
        if let Some(intent) = self.intents.get_mut(id) {
            let more = amount.saturating_sub(intent.amount);
            intent.capturable = intent.capturable.saturating_add(more);
            intent.amount = amount;
        }
    }

    pub(super) fn intent(&self, id: &str) -> Called {
        self.intents.get(id).map(Intent::shown).ok_or_else(|| Refused::missing(id))
    }

    pub(super) fn refund_of(&self, id: &str) -> Called {
        let found = self.refunds.iter().find(|refund| refund.id == id);
        found.map(|refund| self.refund_shown(refund)).ok_or_else(|| Refused::missing(id))
    }

    pub(super) fn dispute_of(&self, id: &str) -> Called {
        let found = self.disputes.iter().find(|dispute| dispute.id == id);
        found.map(|dispute| self.dispute_shown(dispute)).ok_or_else(|| Refused::missing(id))
    }

    /// `GET /v1/refunds`: a page, with the latest first.
    pub(super) fn refunds(&self, query: &Form) -> Called {
        let intent = query.text("payment_intent").unwrap_or_default();
        let limit = query.amount("limit")?.unwrap_or(10);
        let of_intent = self.refunds.iter().rev().filter(|refund| refund.intent == intent);
        let mut left: Vec<_> = of_intent.collect();
        if let Some(after) = query.text("starting_after") {
            let at = left.iter().position(|refund| refund.id == after);
            left = left.split_off(at.ok_or_else(|| Refused::missing(after))?.saturating_add(1));
        }
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let page: Vec<_> =
            left.iter().take(limit).map(|refund| self.refund_shown(refund)).collect();
        Ok(json!({"object": "list", "data": page, "has_more": left.len() > limit}))
    }

    pub(super) fn capture(&mut self, id: &str, form: &Form) -> Result<(Value, Movement), Refused> {
        let asked = form.amount("amount_to_capture")?;
        let is_final = form.text("final_capture") != Some("false");
        let intent = self.intents.get_mut(id).ok_or_else(|| Refused::missing(id))?;
        if intent.status != "requires_capture" {
            return Err(intent.unexpected("captured"));
        }
        if !is_final && !intent.multicapture {
            return Err(Refused::invalid(None, "This PaymentIntent has no multicapture."));
        }
        let amount = asked.unwrap_or(intent.capturable);
        let Some(rest) = intent.capturable.checked_sub(amount) else {
            return Err(Refused::invalid(Some("amount_too_large"), "More than is capturable."));
        };
        intent.received = intent.received.saturating_add(amount);
        intent.capturable = if is_final { 0 } else { rest };
        intent.status = if is_final { "succeeded" } else { "requires_capture" };
        intent.metadata.extend(form.metadata());
        let (shown, charge) = (intent.shown(), intent.charge_shown());
        let event = match is_final {
            true => "payment_intent.succeeded",
            false => "payment_intent.amount_capturable_updated",
        };
        self.add_event("charge.captured", charge);
        self.add_event(event, shown.clone());
        Ok((shown, (id.to_owned(), "capturePayment", amount)))
    }

    pub(super) fn cancel(&mut self, id: &str) -> Result<(Value, Movement), Refused> {
        let intent = self.intents.get_mut(id).ok_or_else(|| Refused::missing(id))?;
        if intent.status != "requires_capture" {
            return Err(intent.unexpected("canceled"));
        }
        let released = std::mem::take(&mut intent.capturable);
        intent.status = "canceled";
        intent.canceled_at = Some(now_s());
        let shown = intent.shown();
        self.add_event("payment_intent.canceled", shown.clone());
        Ok((shown, (id.to_owned(), "cancelPayment", released)))
    }

    pub(super) fn refund(
        &mut self,
        form: &Form,
        status: &'static str,
    ) -> Result<(Value, Movement), Refused> {
        let id = form.text("payment_intent").unwrap_or_default();
        let intent = self.intents.get(id).ok_or_else(|| Refused::missing(id))?;
        let moved = |refund: &&Refund| refund.intent == id && refund.status != "failed";
        let refunded = self.refunds.iter().filter(moved).map(|refund| refund.amount);
        let left = intent.received.saturating_sub(refunded.fold(0, u64::saturating_add));
        if left == 0 {
            let code = (intent.received > 0).then_some("charge_already_refunded");
            return Err(Refused::invalid(code, "There is nothing to refund."));
        }
        let amount = form.amount("amount")?.unwrap_or(left);
        if amount > left {
            // Stripe's error has no code either.
            return Err(Refused::invalid(None, "Greater than the unrefunded amount."));
        }
        let refund = Refund {
            intent: id.to_owned(),
            amount,
            status,
            created: now_s(),
            metadata: form.metadata(),
            id: self.new_id("re"),
        };
        let (shown, moved) =
            (self.refund_shown(&refund), (refund.intent.clone(), "refundPayment", amount));
        self.refunds.push(refund);
        self.add_event("refund.created", shown.clone());
        Ok((shown, moved))
    }

    /// Sets the last status of a refund.
    pub(super) fn end_refund(&mut self, id: &str, status: &'static str) {
        let Some(refund) = self.refunds.iter_mut().find(|refund| refund.id == id) else { return };
        refund.status = status;
        let event = if status == "failed" { "refund.failed" } else { "refund.updated" };
        if let Ok(shown) = self.refund_of(id) {
            self.add_event(event, shown);
        }
    }

    /// Opens a dispute about a PaymentIntent, or changes its status. Returns its id.
    pub(super) fn dispute(&mut self, intent: &str, amount: u64, status: &str) -> String {
        let known = self.disputes.iter_mut().find(|dispute| dispute.intent == intent);
        let (id, event) = match known {
            Some(dispute) => {
                status.clone_into(&mut dispute.status);
                (dispute.id.clone(), "charge.dispute.closed")
            }
            None => {
                let (id, intent) = (self.new_id("du"), intent.to_owned());
                let (status, created) = (status.to_owned(), now_s());
                self.disputes.push(Dispute { id: id.clone(), intent, amount, status, created });
                (id, "charge.dispute.created")
            }
        };
        if let Ok(shown) = self.dispute_of(&id) {
            self.add_event(event, shown);
        }
        id
    }

    fn add_event(&mut self, r#type: &str, object: Value) {
        let id = self.new_id("evt");
        self.events.push(json!({
            "id": id, "object": "event", "type": r#type, "created": now_s(),
            "data": {"object": object},
        }));
    }

    fn refund_shown(&self, refund: &Refund) -> Value {
        let intent = self.intents.get(&refund.intent);
        json!({
            "id": refund.id, "object": "refund", "amount": refund.amount, "status": refund.status,
            "currency": intent.map(|intent| &intent.currency), "created": refund.created,
            "charge": intent.map(|intent| &intent.charge), "payment_intent": refund.intent,
            "metadata": refund.metadata,
        })
    }

    fn dispute_shown(&self, dispute: &Dispute) -> Value {
        let intent = self.intents.get(&dispute.intent);
        let withdrawn =
            json!([{"amount": i64::try_from(dispute.amount).unwrap_or(0).saturating_neg()}]);
        let is_inquiry = dispute.status.starts_with("warning");
        json!({
            "id": dispute.id, "object": "dispute", "amount": dispute.amount,
            "currency": intent.map(|intent| &intent.currency), "created": dispute.created,
            "charge": intent.map(|intent| &intent.charge), "payment_intent": dispute.intent,
            "status": dispute.status,
            "balance_transactions": if is_inquiry { json!([]) } else { withdrawn },
        })
    }

    fn new_id(&mut self, prefix: &str) -> String {
        self.count = self.count.saturating_add(1);
        format!("{prefix}_sandbox{:06}", self.count)
    }
}

impl Intent {
    fn shown(&self) -> Value {
        json!({
            "id": self.id, "object": "payment_intent", "amount": self.amount,
            "amount_capturable": self.capturable, "amount_received": self.received,
            "canceled_at": self.canceled_at, "capture_method": "manual", "created": self.created,
            "currency": self.currency, "latest_charge": self.charge, "livemode": false,
            "metadata": self.metadata, "status": self.status,
        })
    }

    fn charge_shown(&self) -> Value {
        json!({
            "id": self.charge, "object": "charge", "amount": self.amount,
            "amount_captured": self.received, "captured": true, "currency": self.currency,
            "payment_intent": self.id, "metadata": {},
        })
    }

    fn unexpected(&self, action: &str) -> Refused {
        let message = format!("This PaymentIntent is {} and cannot be {action}.", self.status);
        Refused::invalid(Some("payment_intent_unexpected_state"), &message)
    }
}

fn now_s() -> u64 {
    SystemClock.now().ms() / 1_000
}
