//! The objects of Stripe, with the fields that are read, and the reports made of them.

use super::mark::Mark;
use super::request::payment_intent_id;
use crate::connector::minor_units::from_stripe;
use crate::error::BoxError;
use crate::money::Money;
use crate::payment::{RejectionReason, Report, State, Timestamp, TransactionId, TransactionKind};
use crate::ports::ConnectorKey;
use serde::Deserialize;
use std::collections::BTreeMap;

/// A PaymentIntent: <https://docs.stripe.com/api/payment_intents/object>
#[derive(Deserialize)]
pub(super) struct PaymentIntent {
    id: String,
    pub(super) status: String,
    amount: u64,
    amount_capturable: u64,
    pub(super) amount_received: u64,
    currency: String,
    latest_charge: Option<String>,
    canceled_at: Option<u64>,
    #[serde(default)]
    metadata: Option<BTreeMap<String, String>>,
}

/// A refund: <https://docs.stripe.com/api/refunds/object>
#[derive(Deserialize)]
pub(super) struct Refund {
    pub(super) id: String,
    pub(super) amount: u64,
    currency: String,
    created: u64,
    payment_intent: Option<String>,
    pub(super) status: Option<String>,
    /// One of Stripe's codes, for a refund that failed.
    failure_reason: Option<String>,
    #[serde(default)]
    metadata: Option<BTreeMap<String, String>>,
}

/// A dispute: <https://docs.stripe.com/api/disputes/object>
#[derive(Deserialize)]
pub(super) struct Dispute {
    id: String,
    amount: u64,
    currency: String,
    created: u64,
    payment_intent: Option<String>,
    status: String,
    #[serde(default)]
    balance_transactions: Vec<BalanceTransaction>,
}

#[derive(Deserialize)]
struct BalanceTransaction {
    /// Negative if Stripe takes it from the merchant.
    amount: i64,
}

/// A page of a list: <https://docs.stripe.com/api/pagination>
#[derive(Deserialize)]
pub(super) struct List<T> {
    pub(super) data: Vec<T>,
    pub(super) has_more: bool,
}

impl PaymentIntent {
    pub(super) fn check_id(&self, id: &str) -> Result<(), BoxError> {
        if self.id == id {
            Ok(())
        } else {
            Err("Stripe answered with another PaymentIntent".into())
        }
    }

    /// The captures and the release. An error if the marks do not allow to tell the captures
    /// apart. Without multicapture, the ledger itself books the release of a capture, because
    /// an open transaction there may still hold a part of the amount.
    pub(super) fn captures_and_release(
        &self,
        digits: u8,
        multicapture: bool,
    ) -> Result<Vec<Report>, BoxError> {
        let mut reports = self.captures(digits, multicapture)?;
        if multicapture || self.status != "succeeded" {
            reports.extend(self.released(digits)?);
        }
        Ok(reports)
    }

    /// An error while the outcome of a capture or a cancel is not certain.
    pub(super) fn check_settled(&self) -> Result<(), BoxError> {
        match self.status.as_str() {
            "requires_capture" | "succeeded" | "canceled" => Ok(()),
            _ => Err("the PaymentIntent is in a state that proves nothing".into()),
        }
    }

    /// True if nothing more can be captured.
    pub(super) fn is_final(&self) -> bool {
        matches!(self.status.as_str(), "succeeded" | "canceled")
    }

    /// An error if a part of the received amount is not marked, and more may be captured: it
    /// is unknown how many captures that part is.
    pub(super) fn check_all_marked(&self, multicapture: bool) -> Result<(), BoxError> {
        match self.unmarked(multicapture)? {
            0 => Ok(()),
            _ if self.is_final() || !multicapture => Ok(()),
            _ => Err("a capture is not marked, and more may be captured".into()),
        }
    }

    /// The part of the received amount that is not marked as ours. It is an error if the marks
    /// exceed the received amount, because it is unknown which of them are true.
    fn unmarked(&self, multicapture: bool) -> Result<u64, BoxError> {
        let marked = self.marked_captures(multicapture).into_iter().map(|(_, amount)| amount);
        let rest = self.amount_received.checked_sub(marked.fold(0, u64::saturating_add));
        Ok(rest.ok_or("more captures are marked than was received")?)
    }

    /// Our captures with their amounts. None if nothing was received.
    ///
    /// It is not documented if a refused call leaves its mark. Without multicapture there is
    /// one capture, so that of several marks the one with the received amount is true.
    fn marked_captures(&self, multicapture: bool) -> Vec<(TransactionId, u64)> {
        let marks = Mark::of(self.metadata.as_ref()).into_iter();
        let capture = |(id, mark)| match mark {
            Mark::Capture(amount) if self.amount_received > 0 => Some((id, amount)),
            Mark::Capture(_) | Mark::Refund(_) => None,
        };
        let captures: Vec<_> = marks.filter_map(capture).collect();
        let is_it = |(_, amount): &&(TransactionId, u64)| *amount == self.amount_received;
        let mut exact = captures.iter().filter(is_it);
        match (multicapture, exact.next(), exact.next()) {
            (false, Some(only), None) => vec![only.clone()],
            _ => captures,
        }
    }

    /// The captures: ours by their marks, and one of others for the rest of the received
    /// amount, if nothing more can be captured. Without multicapture there is one, so that it
    /// has the same id with and without its mark.
    pub(super) fn captures(&self, digits: u8, multicapture: bool) -> Result<Vec<Report>, BoxError> {
        let mut reports = Vec::new();
        let rest = self.unmarked(multicapture)?;
        for (id, amount) in self.marked_captures(multicapture) {
            let is_only_one = !multicapture && amount == self.amount_received;
            let amount = self.money(amount, digits)?;
            reports.push(Report {
                interaction_id: self.latest_charge.clone().filter(|_| is_only_one),
                ..report(TransactionKind::Charge, State::Success, amount, Some(id))
            });
        }
        if rest > 0 && self.is_final() {
            let name = self.latest_charge.clone().ok_or("a capture without a charge")?;
            let amount = self.money(rest, digits)?;
            reports.push(Report {
                interaction_id: Some(name),
                ..report(TransactionKind::Charge, State::Success, amount, None)
            });
        }
        Ok(reports)
    }

    /// The cancel with this id, if it was carried out. The amount that it released may be
    /// another than the ledger's, because Stripe can raise an authorization. An error if a
    /// part was captured: then it released only the rest.
    pub(super) fn cancel_of(
        &self,
        id: &TransactionId,
        amount: Money,
    ) -> Result<Option<Report>, BoxError> {
        match (self.status.as_str(), self.amount_received) {
            ("canceled", 0) => {
                let kind = TransactionKind::CancelAuthorization;
                Ok(Some(report(kind, State::Success, amount, Some(id.clone()))))
            }
            ("canceled", _) => Err("the PaymentIntent was captured in part".into()),
            _ => Ok(None),
        }
    }

    /// The release of the amount that was not captured, by a cancel or by the last capture.
    fn released(&self, digits: u8) -> Result<Option<Report>, BoxError> {
        let released = self.amount.saturating_sub(self.amount_received);
        if !self.is_final() || released == 0 {
            return Ok(None);
        }
        let amount = self.money(released, digits)?;
        Ok(Some(Report {
            timestamp: self.canceled_at.map(seconds),
            ..report(TransactionKind::CancelAuthorization, State::Success, amount, None)
        }))
    }

    /// The authorization, if it can be captured or was captured. Its report has no id, because
    /// it may have been registered with the id of the charge or of the PaymentIntent.
    pub(super) fn authorized(&self, digits: u8) -> Result<Option<Report>, BoxError> {
        let amount = match self.status.as_str() {
            "requires_capture" => self.amount_capturable.checked_add(self.amount_received),
            "succeeded" => Some(self.amount),
            _ => return Ok(None),
        };
        let amount = self.money(amount.ok_or("an amount that is too large")?, digits)?;
        Ok(Some(report(TransactionKind::Authorization, State::Success, amount, None)))
    }

    fn money(&self, amount: u64, digits: u8) -> Result<Money, BoxError> {
        from_stripe(amount, &self.currency, digits)
    }
}

impl Refund {
    /// The reason why it failed.
    pub(super) fn reason(&self) -> Option<RejectionReason> {
        RejectionReason::new(self.failure_reason.as_deref(), None)
    }

    pub(super) fn check_payment_intent(&self, key: &ConnectorKey) -> Result<(), BoxError> {
        check_payment_intent(self.payment_intent.as_deref(), key)
    }

    /// The report of the refund, with our id if it is one of ours.
    pub(super) fn report(&self, digits: u8) -> Result<Report, BoxError> {
        let state = match self.status.as_deref() {
            Some("succeeded") => State::Success,
            Some("pending" | "requires_action") => State::Pending,
            Some("failed" | "canceled") => State::Failure,
            _ => return Err("a refund in a state that is not documented".into()),
        };
        let marks = Mark::of(self.metadata.as_ref());
        let mut ours = marks.into_iter().filter(|(_, mark)| *mark == Mark::Refund(self.amount));
        let amount = from_stripe(self.amount, &self.currency, digits)?;
        Ok(Report {
            timestamp: Some(seconds(self.created)),
            interaction_id: Some(self.id.clone()),
            ..report(TransactionKind::Refund, state, amount, ours.next().map(|(id, _)| id))
        })
    }
}

impl Dispute {
    pub(super) fn check_payment_intent(&self, key: &ConnectorKey) -> Result<(), BoxError> {
        check_payment_intent(self.payment_intent.as_deref(), key)
    }

    /// The report of the chargeback. An inquiry moves no money, so it has none.
    /// <https://docs.stripe.com/disputes/how-disputes-work>
    pub(super) fn report(&self, digits: u8) -> Result<Option<Report>, BoxError> {
        let moved = self.balance_transactions.iter().map(|one| one.amount);
        let is_withdrawn = moved.fold(0, i64::saturating_add) < 0;
        let state = match self.status.as_str() {
            "warning_needs_response" | "warning_under_review" => return Ok(None),
            "needs_response" | "under_review" | "appeal_needs_response" | "appeal_under_review"
                if !is_withdrawn =>
            {
                State::Pending
            }
            "needs_response"
            | "under_review"
            | "appeal_needs_response"
            | "appeal_under_review"
            | "lost" => State::Success,
            "won" | "prevented" | "warning_closed" => State::Failure,
            _ => return Err("a dispute in a state that is not documented".into()),
        };
        let amount = from_stripe(self.amount, &self.currency, digits)?;
        Ok(Some(Report {
            timestamp: Some(seconds(self.created)),
            interaction_id: Some(self.id.clone()),
            ..report(TransactionKind::Chargeback, state, amount, None)
        }))
    }
}

/// An event: <https://docs.stripe.com/api/events/object>
#[derive(Deserialize)]
pub(in crate::connector) struct Event {
    r#type: String,
    data: EventData,
}

#[derive(Deserialize)]
struct EventData {
    object: EventObject,
}

#[derive(Deserialize)]
struct EventObject {
    id: Option<String>,
    payment_intent: Option<String>,
}

/// The object of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::connector) enum Subject {
    /// The PaymentIntent: its captures, and its cancel.
    PaymentIntent,
    /// All refunds of the PaymentIntent.
    Refunds,
    /// One refund.
    Refund(String),
    /// One dispute.
    Dispute(String),
}

impl Event {
    /// The PaymentIntent and the object of the event; `None` for a type of event that is not
    /// about a capture, a cancel, a refund or a dispute. <https://docs.stripe.com/api/events/types>
    pub(in crate::connector) fn subject(self) -> Option<(String, Subject)> {
        let EventObject { id, payment_intent } = self.data.object;
        match self.r#type.as_str() {
            "payment_intent.amount_capturable_updated"
            | "payment_intent.succeeded"
            | "payment_intent.canceled" => Some((id?, Subject::PaymentIntent)),
            "charge.captured" => Some((payment_intent?, Subject::PaymentIntent)),
            "charge.refunded" => Some((payment_intent?, Subject::Refunds)),
            // Until version 2024-10-28.acacia, the event of the refunds of a charge was
            // `charge.refund.updated`.
            "refund.created" | "refund.updated" | "refund.failed" | "charge.refund.updated" => {
                Some((payment_intent?, Subject::Refund(id?)))
            }
            "charge.dispute.created"
            | "charge.dispute.closed"
            | "charge.dispute.funds_withdrawn"
            | "charge.dispute.funds_reinstated" => Some((payment_intent?, Subject::Dispute(id?))),
            _ => None,
        }
    }
}

fn check_payment_intent(found: Option<&str>, key: &ConnectorKey) -> Result<(), BoxError> {
    if found == Some(payment_intent_id(key)?) {
        Ok(())
    } else {
        Err("Stripe answered with an object of another PaymentIntent".into())
    }
}

fn report(
    kind: TransactionKind,
    state: State,
    amount: Money,
    ours: Option<TransactionId>,
) -> Report {
    let interface_id = ours.map(|id| id.as_str().to_owned());
    Report { kind, state, amount, timestamp: None, interaction_id: None, interface_id }
}

fn seconds(since_epoch: u64) -> Timestamp {
    Timestamp::from_ms(since_epoch.saturating_mul(1_000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn intent(status: &str, received: u64, marks: &[(&str, &str)]) -> PaymentIntent {
        let metadata: BTreeMap<_, _> = marks.iter().copied().collect();
        let intent = json!({
            "id": "pi_1", "status": status, "amount": 100, "amount_capturable": 0,
            "amount_received": received, "currency": "eur", "latest_charge": "ch_1",
            "canceled_at": 7, "metadata": metadata,
        });
        serde_json::from_value(intent).unwrap()
    }

    /// The kinds and amounts of reports, with our id or the PSP's.
    fn shown(reports: Result<Vec<Report>, BoxError>) -> Option<Vec<String>> {
        let one = |report: Report| {
            let name = report.interface_id.or(report.interaction_id).unwrap_or_default();
            format!("{:?} {} {name}", report.kind, report.amount.minor_units())
        };
        Some(reports.ok()?.into_iter().map(one).collect())
    }

    #[test]
    fn captures_are_known_by_their_marks_and_the_rest_is_of_somebody_else() {
        const A: (&str, &str) = ("a", "capture 40");
        const B: (&str, &str) = ("b", "capture 30");
        for (status, received, marks, multicapture, expected) in [
            ("succeeded", 40, &[A][..], false, Some(&["Charge 40 a"][..])),
            ("succeeded", 40, &[A], true, Some(&["Charge 40 a", "CancelAuthorization 60 "])),
            ("succeeded", 40, &[], false, Some(&["Charge 40 ch_1"])),
            ("succeeded", 50, &[A], false, Some(&["Charge 40 a", "Charge 10 ch_1"])),
            ("succeeded", 70, &[A, B], false, Some(&["Charge 40 a", "Charge 30 b"])),
            // One of the two was refused, and left its mark.
            ("succeeded", 40, &[A, B], false, Some(&["Charge 40 a"])),
            ("succeeded", 30, &[A, B], false, Some(&["Charge 30 b"])),
            ("succeeded", 40, &[A, B], true, None),
            ("succeeded", 40, &[A, ("c", "capture 40")], false, None),
            ("succeeded", 50, &[A, B], false, None),
            ("requires_capture", 0, &[A], false, Some(&[])),
            ("requires_capture", 70, &[A, B], true, Some(&["Charge 40 a", "Charge 30 b"])),
            // More may be captured: only the sum is known.
            ("requires_capture", 60, &[A], true, Some(&["Charge 40 a"])),
            ("canceled", 0, &[], false, Some(&["CancelAuthorization 100 "])),
            ("canceled", 40, &[A], true, Some(&["Charge 40 a", "CancelAuthorization 60 "])),
            ("processing", 0, &[A], false, Some(&[])),
            // Entries of others.
            (
                "succeeded",
                40,
                &[A, ("order", "7"), ("b", "refund 5")],
                false,
                Some(&["Charge 40 a"]),
            ),
        ] {
            let reports =
                shown(intent(status, received, marks).captures_and_release(2, multicapture));
            let expected =
                expected.map(|all| all.iter().map(|&one| one.to_owned()).collect::<Vec<_>>());
            assert_eq!(reports, expected, "{status} {received} {marks:?}");
        }
    }

    #[test]
    fn a_refund_is_ours_only_with_its_own_amount() {
        for (mark, ours) in [("refund 40", Some("t")), ("refund 41", None), ("capture 40", None)] {
            let refund = json!({
                "id": "re_1", "amount": 40, "currency": "eur", "created": 7, "status": "succeeded",
                "payment_intent": "pi_1", "metadata": {"t": mark},
            });
            let refund: Refund = serde_json::from_value(refund).unwrap();
            let report = refund.report(2).unwrap();
            assert_eq!(report.interface_id.as_deref(), ours, "{mark}");
            assert_eq!(report.interaction_id.as_deref(), Some("re_1"));
        }
    }
}
