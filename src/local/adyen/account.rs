//! The merchant account at the sandbox Adyen: payments, their captures, cancels and
//! refunds, and the events about them.

use super::events::{Events, Subject};
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

/// A capture, cancel or refund that Adyen received.
#[derive(Debug)]
pub(super) struct Requested<'a> {
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

    /// Receives a capture, cancel or refund. Returns its `pspReference`, and the amount that
    /// it moves; no amount if the earlier ones leave too little for it.
    pub(super) fn modify(&mut self, requested: &Requested<'_>) -> (String, Option<u64>) {
        let psp_reference = self.new_id("M");
        let (moved, reason) = match self.outcome(requested) {
            Ok(moved) => (Some(moved), ""),
            Err(reason) => (None, reason),
        };
        let authorized = self.payments.get(requested.payment).map_or(0, |found| found.authorized);
        let amount = match requested.kind {
            Kind::Cancel => authorized,
            Kind::Capture | Kind::Refund => requested.amount,
        };
        if moved.is_some() {
            if let (Kind::Cancel, Some(payment)) =
                (requested.kind, self.payments.get_mut(requested.payment))
            {
                payment.is_cancelled = true;
            }
            self.modifications.push(Modification {
                payment: requested.payment.to_owned(),
                psp_reference: psp_reference.clone(),
                reference: requested.reference.to_owned(),
                kind: requested.kind,
                amount,
                has_failed: false,
            });
        }
        self.add_event(
            requested.kind.event_code(),
            requested,
            &psp_reference,
            amount,
            moved.is_some(),
            reason,
        );
        (psp_reference, moved)
    }

    /// The amount that moves, or the reason why Adyen refuses it.
    fn outcome(&self, requested: &Requested<'_>) -> Result<u64, &'static str> {
        let payment = self.payments.get(requested.payment).ok_or("Payment not found")?;
        let captured = self.sum(requested.payment, Kind::Capture);
        match requested.kind {
            Kind::Cancel if payment.is_cancelled => Err("Transaction already cancelled"),
            Kind::Cancel if self.was_captured(requested.payment) => Err("Transaction was captured"),
            Kind::Cancel => Ok(payment.authorized),
            Kind::Capture if payment.is_cancelled => Err("Transaction cancelled"),
            Kind::Capture if !payment.multicapture && self.was_captured(requested.payment) => {
                Err("Insufficient balance on payment")
            }
            Kind::Capture if captured.saturating_add(requested.amount) > payment.authorized => {
                Err("Insufficient balance on payment")
            }
            Kind::Capture => Ok(requested.amount),
            Kind::Refund => {
                let refunded = self.sum(requested.payment, Kind::Refund);
                match refunded.saturating_add(requested.amount) > captured {
                    true => Err("Insufficient balance on payment"),
                    false => Ok(requested.amount),
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

    /// Adyen captures or refunds again what failed at the card scheme.
    pub(super) fn try_again(&mut self, psp_reference: &str) {
        self.change(psp_reference, false, |kind| kind.event_code().to_owned());
    }

    fn change(&mut self, id: &str, has_failed: bool, code: impl Fn(Kind) -> String) {
        let found = self.modifications.iter_mut().find(|one| one.psp_reference == id);
        let Some(found) = found.filter(|one| one.has_failed != has_failed) else { return };
        found.has_failed = has_failed;
        let (payment, reference) = (found.payment.clone(), found.reference.clone());
        let (kind, amount) = (found.kind, found.amount);
        let requested = Requested { payment: &payment, kind, amount, reference: &reference };
        let reason = if has_failed { "Rejected by the scheme" } else { "Auto-recaptured" };
        self.add_event(&code(kind), &requested, id, amount, true, reason);
    }

    /// Adds an event about a payment, or about the dispute with the id `dispute`.
    pub(super) fn add_payment_event(
        &mut self,
        event_code: &str,
        payment: &str,
        dispute: Option<&str>,
        amount: u64,
        is_success: bool,
    ) {
        let currency = self.currency(payment).unwrap_or_default().to_owned();
        self.events.add(&Subject {
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

    fn add_event(
        &mut self,
        event_code: &str,
        requested: &Requested<'_>,
        psp_reference: &str,
        amount: u64,
        is_success: bool,
        reason: &str,
    ) {
        let currency = self.currency(requested.payment).unwrap_or_default().to_owned();
        self.events.add(&Subject {
            event_code,
            psp_reference,
            original_reference: Some(requested.payment),
            merchant_reference: requested.reference,
            amount,
            currency: &currency,
            is_success,
            reason,
        });
    }

    /// The amounts of a payment: open to capture, captured, refunded.
    pub(super) fn balances(&self, id: &str) -> [u64; 3] {
        let Some(payment) = self.payments.get(id) else { return [0; 3] };
        let captured = self.sum(id, Kind::Capture);
        let is_closed = payment.is_cancelled || !payment.multicapture && self.was_captured(id);
        let open = if is_closed {
            // Adyen may capture again what failed at the scheme.
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

    /// A new id of sixteen letters and digits, as those of Adyen.
    pub(super) fn new_id(&mut self, prefix: &str) -> String {
        self.count = self.count.saturating_add(1);
        format!("{prefix}SANDBOX{:08}", self.count)
    }
}
