//! The merchant account at the sandbox Adyen: payments, what is done to them, and the
//! events that tell of it.

use super::events::{Events, Subject};
use serde_json::Value;
use std::collections::BTreeMap;

/// The payments, and the events so far.
#[derive(Debug, Default)]
pub(super) struct Account {
    payments: BTreeMap<String, Payment>,
    modifications: Vec<Modification>,
    pub(super) events: Events,
    count: u64,
}

#[derive(Debug)]
struct Payment {
    currency: String,
    authorized: u64,
    is_cancelled: bool,
    multicapture: bool,
}

/// A capture or a refund that Adyen carried out.
#[derive(Debug)]
struct Modification {
    payment: String,
    psp_reference: String,
    reference: String,
    kind: Kind,
    amount: u64,
    has_failed: bool,
}

/// The kind of modification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Capture,
    Cancel,
    Refund,
}

/// A modification that was accepted.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    pub(super) payment: &'a str,
    pub(super) kind: Kind,
    /// The amount; a cancel has none.
    pub(super) amount: u64,
    pub(super) reference: &'a str,
}

impl Kind {
    pub(super) fn of_path(path: &str) -> Option<Self> {
        match path {
            "captures" => Some(Self::Capture),
            "cancels" => Some(Self::Cancel),
            "refunds" => Some(Self::Refund),
            _ => None,
        }
    }

    /// The name of the action, as this service calls it.
    pub(super) fn action(self) -> &'static str {
        match self {
            Self::Capture => "capturePayment",
            Self::Cancel => "cancelPayment",
            Self::Refund => "refundPayment",
        }
    }

    fn event_code(self) -> &'static str {
        match self {
            Self::Capture => "CAPTURE",
            Self::Cancel => "CANCELLATION",
            Self::Refund => "REFUND",
        }
    }

    fn failed_code(self) -> &'static str {
        match self {
            Self::Refund => "REFUND_FAILED",
            Self::Capture | Self::Cancel => "CAPTURE_FAILED",
        }
    }
}

impl Account {
    /// Adds a payment that is authorized.
    pub(super) fn authorize(
        &mut self,
        id: &str,
        authorized: u64,
        currency: &str,
        multicapture: bool,
    ) {
        let currency = currency.to_owned();
        let payment = Payment { currency, authorized, is_cancelled: false, multicapture };
        self.payments.insert(id.to_owned(), payment);
    }

    pub(super) fn currency(&self, payment: &str) -> Option<&str> {
        self.payments.get(payment).map(|payment| payment.currency.as_str())
    }

    /// Takes a modification on. Returns its `pspReference`, and the amount that it moved
    /// if Adyen carried it out: whether it does follows from what was done before.
    pub(super) fn modify(&mut self, asked: &Asked<'_>) -> (String, Option<u64>) {
        let psp_reference = self.new_id("M");
        let (moved, reason) = match self.outcome(asked) {
            Ok(moved) => (Some(moved), ""),
            Err(reason) => (None, reason),
        };
        let authorized = self.payments.get(asked.payment).map_or(0, |found| found.authorized);
        let amount = match asked.kind {
            Kind::Cancel => authorized,
            Kind::Capture | Kind::Refund => asked.amount,
        };
        if moved.is_some() {
            if let (Kind::Cancel, Some(payment)) =
                (asked.kind, self.payments.get_mut(asked.payment))
            {
                payment.is_cancelled = true;
            }
            self.modifications.push(Modification {
                payment: asked.payment.to_owned(),
                psp_reference: psp_reference.clone(),
                reference: asked.reference.to_owned(),
                kind: asked.kind,
                amount,
                has_failed: false,
            });
        }
        self.tell(asked.kind.event_code(), asked, &psp_reference, amount, moved.is_some(), reason);
        (psp_reference, moved)
    }

    /// The amount that moves, or the reason why Adyen refuses it.
    fn outcome(&self, asked: &Asked<'_>) -> Result<u64, &'static str> {
        let payment = self.payments.get(asked.payment).ok_or("Payment not found")?;
        let captured = self.sum(asked.payment, Kind::Capture);
        match asked.kind {
            Kind::Cancel if payment.is_cancelled => Err("Transaction already cancelled"),
            Kind::Cancel if self.was_captured(asked.payment) => Err("Transaction was captured"),
            Kind::Cancel => Ok(payment.authorized),
            Kind::Capture if payment.is_cancelled => Err("Transaction cancelled"),
            Kind::Capture if !payment.multicapture && self.was_captured(asked.payment) => {
                Err("Insufficient balance on payment")
            }
            Kind::Capture if captured.saturating_add(asked.amount) > payment.authorized => {
                Err("Insufficient balance on payment")
            }
            Kind::Capture => Ok(asked.amount),
            Kind::Refund => {
                let refunded = self.sum(asked.payment, Kind::Refund);
                match refunded.saturating_add(asked.amount) > captured {
                    true => Err("Insufficient balance on payment"),
                    false => Ok(asked.amount),
                }
            }
        }
    }

    /// A capture or a refund fails at the card scheme, days after it was carried out.
    pub(super) fn fail(&mut self, psp_reference: &str, event_code: Option<&str>) {
        self.change(psp_reference, true, |kind| {
            event_code.unwrap_or(kind.failed_code()).to_owned()
        });
    }

    /// Adyen captures again what failed at the card scheme.
    pub(super) fn recapture(&mut self, psp_reference: &str) {
        self.change(psp_reference, false, |kind| kind.event_code().to_owned());
    }

    fn change(&mut self, id: &str, has_failed: bool, code: impl Fn(Kind) -> String) {
        let found = self.modifications.iter_mut().find(|one| one.psp_reference == id);
        let Some(found) = found.filter(|one| one.has_failed != has_failed) else { return };
        found.has_failed = has_failed;
        let (payment, reference) = (found.payment.clone(), found.reference.clone());
        let (kind, amount) = (found.kind, found.amount);
        let asked = Asked { payment: &payment, kind, amount, reference: &reference };
        let reason = if has_failed { "Rejected by the scheme" } else { "Transaction Recaptured" };
        self.tell(&code(kind), &asked, id, amount, true, reason);
    }

    /// An event about a payment itself, or about a dispute. `dispute` is its id.
    pub(super) fn tell_of_payment(
        &mut self,
        event_code: &str,
        payment: &str,
        dispute: Option<&str>,
        amount: u64,
        is_success: bool,
    ) {
        let currency = self.currency(payment).unwrap_or_default().to_owned();
        self.events.tell(&Subject {
            event_code,
            psp_reference: dispute.unwrap_or(payment),
            original_reference: dispute.map(|_| payment),
            merchant_reference: payment,
            amount,
            currency: &currency,
            is_success,
            reason: "",
        });
    }

    fn tell(
        &mut self,
        event_code: &str,
        asked: &Asked<'_>,
        psp_reference: &str,
        amount: u64,
        is_success: bool,
        reason: &str,
    ) {
        let currency = self.currency(asked.payment).unwrap_or_default().to_owned();
        self.events.tell(&Subject {
            event_code,
            psp_reference,
            original_reference: Some(asked.payment),
            merchant_reference: asked.reference,
            amount,
            currency: &currency,
            is_success,
            reason,
        });
    }

    /// What is authorized and neither captured nor cancelled; captured; and refunded.
    pub(super) fn balances(&self, id: &str) -> [u64; 3] {
        let Some(payment) = self.payments.get(id) else { return [0; 3] };
        let captured = self.sum(id, Kind::Capture);
        let is_closed = payment.is_cancelled || !payment.multicapture && self.was_captured(id);
        let open = if is_closed {
            // What failed at the scheme may be captured again.
            self.failed(id)
        } else {
            payment.authorized.saturating_sub(captured)
        };
        [open, captured, self.sum(id, Kind::Refund)]
    }

    fn sum(&self, payment: &str, kind: Kind) -> u64 {
        let counts =
            |one: &&Modification| one.payment == payment && one.kind == kind && !one.has_failed;
        let amounts = self.modifications.iter().filter(counts).map(|one| one.amount);
        amounts.fold(0, u64::saturating_add)
    }

    fn failed(&self, payment: &str) -> u64 {
        let counts = |one: &&Modification| {
            one.payment == payment && one.kind == Kind::Capture && one.has_failed
        };
        let amounts = self.modifications.iter().filter(counts).map(|one| one.amount);
        amounts.fold(0, u64::saturating_add)
    }

    fn was_captured(&self, payment: &str) -> bool {
        let is_capture = |one: &Modification| one.payment == payment && one.kind == Kind::Capture;
        self.modifications.iter().any(is_capture)
    }

    /// Sixteen letters and digits, as Adyen's ids are.
    pub(super) fn new_id(&mut self, prefix: &str) -> String {
        self.count = self.count.saturating_add(1);
        format!("{prefix}SANDBOX{:08}", self.count)
    }

    pub(super) fn told(&self) -> Vec<Value> {
        self.events.all.clone()
    }
}
