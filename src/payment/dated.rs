//! Recording a report by its date. Some PSPs report an effect by several events, which come
//! in any order, and have no read of the current state. The report with the latest date
//! holds.
//!
//! A dated report of Pending is about an effect that failed after it had happened, and that
//! the PSP may carry out again: its amount is held.

#![warn(clippy::wildcard_enum_match_arm)]

use super::TransactionKind::{Authorization, CancelAuthorization, Charge, Chargeback, Refund};
use super::matching::Match;
use super::{Payment, Report, Reporter, State, Transaction, TransactionId, UpdateRefusal};
use crate::money::Money;

/// A report of the state that an effect had at its timestamp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatedReport {
    /// The report.
    pub report: Report,
    /// True for a Failure of an effect that had happened before.
    pub is_undone: bool,
}

impl Payment {
    /// Records a dated report, as [`super::Update::RecordDatedReport`]. A report that is
    /// older than the last one about the same effect changes nothing.
    pub(super) fn record_dated_report(
        &mut self,
        dated: &DatedReport,
        reporter: &Reporter,
    ) -> Result<(), UpdateRefusal> {
        // A Payment has one authorization at its PSP, so there is no order to keep.
        if dated.report.kind == Authorization {
            return self.record_effect(&dated.report, reporter);
        }
        let is_in_our_currency = self.is_in_our_currency(&dated.report);
        let report = self.with_known_amount(&dated.report);
        let latest = self.latest_of_same_name(&report);
        let is_refusal = report.state == State::Failure && !dated.is_undone && latest.is_none();
        let report = self.without_our_id_if_other(latest.unwrap_or(report));
        let known = self.matched_effect(&report).and_then(|id| self.transactions.get(&id));
        match known {
            Some(known) if known.is_later_than(&report) => return Ok(()),
            // What happened was not refused.
            Some(known) if is_refusal && known.has_happened() => return Ok(()),
            // The PSP refused what was not requested here. Nothing moved.
            None if is_refusal => return Ok(()),
            Some(_) | None => {}
        }
        self.drop_other_name(&report);
        self.record_effect_as(self.match_named_effect(&report), &report, reporter)?;
        let Some(id) = self.matched_effect(&report).filter(|_| !is_refusal) else { return Ok(()) };
        if report.state == State::Pending {
            self.hold_again(&id, reporter);
        }
        if let Some(known) = self.transactions.get_mut(&id) {
            known.happened_at = report.timestamp;
        }
        if !is_in_our_currency && report.state == State::Success {
            self.dispute(&id, reporter.at);
        }
        Ok(())
    }

    /// Holds the amount of an effect that the PSP may carry out again.
    fn hold_again(&mut self, id: &TransactionId, reporter: &Reporter) {
        let Some(known) = self.transactions.get_mut(id) else { return };
        known.waiting_failure = None;
        known.reported = Some(reporter.signature());
        self.book(id, State::Pending, reporter.at);
        self.book_waiting(reporter.at);
    }

    /// The report with the later state that is known of the same effect, if it is kept under
    /// the PSP's id alone: the report that came first had no id of ours.
    fn latest_of_same_name(&self, report: &Report) -> Option<Report> {
        let name = report.interaction_id.as_ref()?;
        let is_it = |known: &&Transaction| {
            known.is_external && known.kind == report.kind && known.is_later_than(report)
        };
        let mut named =
            self.transactions.values().filter(|known| known.interaction_id.as_ref() == Some(name));
        let known = named.find(is_it)?;
        let (state, timestamp) = (known.last_reported_state(), known.happened_at);
        Some(Report { state, timestamp, ..report.clone() })
    }

    /// True if the amount of the report is one of this Payment. A chargeback may be in the
    /// currency of the payer's bank, so that its amount here is unknown. Then it is disputed
    /// until an operator says what it is.
    fn is_in_our_currency(&self, report: &Report) -> bool {
        report.kind != Chargeback
            || report.amount.currency() == self.currency() && !report.amount.is_zero()
    }

    /// The report, with the amount that is known of its effect. A cancel of ours releases the
    /// whole authorization, which may have been adjusted at the PSP. A dispute is one
    /// chargeback, to whose amount the PSP may add fees later.
    fn with_known_amount(&self, report: &Report) -> Report {
        let is_it = |known: &&Transaction| match report.kind {
            CancelAuthorization => {
                known.is_named_by_own_id(report) && report.amount.currency() == self.currency()
            }
            Chargeback => {
                known.kind == Chargeback
                    && report.interaction_id.is_some()
                    && known.interaction_id == report.interaction_id
            }
            Authorization | Charge | Refund => false,
        };
        let known = self.transactions.values().find(is_it).map(|known| known.amount);
        let unknown = Money::zero(self.currency());
        let amount = match known {
            Some(amount) => amount,
            None if self.is_in_our_currency(report) => report.amount,
            None => unknown,
        };
        Report { amount, ..report.clone() }
    }

    /// The report, without our id if it is about another effect than ours. A PSP that acted
    /// twice on one request has an id for each effect, and ours for both. Of a cancel there is
    /// no second effect.
    fn without_our_id_if_other(&self, report: Report) -> Report {
        let is_other = |ours: &&Transaction| {
            let is_second = ours.kind != CancelAuthorization && ours.has_happened();
            self.has_other_name(ours, &report) && (is_second || report.state == State::Failure)
        };
        match self.transactions.values().find(is_other) {
            Some(_) => Report { interface_id: None, ..report },
            None => report,
        }
    }

    /// Drops the PSP's id of our transaction that the report names by our id and another one:
    /// the effect that happened has the id that holds.
    fn drop_other_name(&mut self, report: &Report) {
        let ours = self.transactions.values().find(|ours| self.has_other_name(ours, report));
        if let Some(id) = ours.map(|ours| ours.id.clone())
            && let Some(ours) = self.transactions.get_mut(&id)
        {
            ours.interaction_id = None;
        }
    }

    /// True if the report has our id of this transaction, and another id of the PSP.
    fn has_other_name(&self, ours: &Transaction, report: &Report) -> bool {
        ours.is_named_by_own_id(report)
            && report.interaction_id.is_some()
            && report.interaction_id != ours.interaction_id
            && self.has_unique_interaction_id(ours)
    }

    /// The transaction that the report is about, if it is here.
    fn matched_effect(&self, report: &Report) -> Option<TransactionId> {
        match self.match_named_effect(report) {
            Match::ById(id) | Match::ByLikeness(id) | Match::OtherAmount(id) => Some(id),
            Match::New => None,
        }
    }
}

impl Transaction {
    /// True if the last dated report says that it happened.
    fn has_happened(&self) -> bool {
        self.last_reported_state() == State::Success && self.happened_at.is_some()
    }

    /// True if a later state than that of the report is known. Of two states with one date
    /// the Failure is the later one, and the Success the earlier one.
    fn is_later_than(&self, report: &Report) -> bool {
        let (Some(last), Some(date)) = (self.happened_at, report.timestamp) else { return false };
        let known = self.last_reported_state();
        let is_known = known == report.state
            || self.state == State::Failure
            || known == State::Pending && report.state == State::Success;
        date < last || date == last && is_known
    }
}
