//! Recording a report by its date. Some PSPs report an effect by several events, which come
//! in any order, and have no read of the current state. The report with the latest date
//! holds.
//!
//! A dated report of Pending is about an effect that failed after it had happened, and that
//! the PSP may carry out again: its amount is held.

#![warn(clippy::wildcard_enum_match_arm)]

use super::TransactionKind::{Authorization, CancelAuthorization};
use super::matching::Match;
use super::{Payment, Report, Reporter, State, Transaction, TransactionId, UpdateRefusal};

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
        let report = self.with_our_amount(&dated.report);
        // A Payment has one authorization at its PSP, so there is no order to keep.
        if report.kind == Authorization {
            return self.record_effect(&report, reporter);
        }
        let latest = self.latest_of_same_name(&report);
        let is_refusal = report.state == State::Failure && !dated.is_undone && latest.is_none();
        let report = &latest.unwrap_or(report);
        let known = self.matched_effect(report).and_then(|id| self.transactions.get(&id));
        match known {
            Some(known) if known.is_later_than(report) => return Ok(()),
            // The PSP refused what was not requested here. Nothing moved.
            None if is_refusal => return Ok(()),
            Some(_) | None => {}
        }
        self.record_effect_as(self.match_named_effect(report), report, reporter)?;
        let Some(id) = self.matched_effect(report).filter(|_| !is_refusal) else { return Ok(()) };
        if report.state == State::Pending {
            self.hold_again(&id, reporter);
        }
        if let Some(known) = self.transactions.get_mut(&id) {
            known.happened_at = report.timestamp;
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

    /// The report, with the amount of our cancel if it is about that. A cancel releases the
    /// whole authorization, which may have been adjusted at the PSP.
    fn with_our_amount(&self, report: &Report) -> Report {
        let is_it = |known: &&Transaction| {
            known.is_named_by_own_id(report) && report.amount.currency() == self.currency()
        };
        let cancel = Some(report).filter(|report| report.kind == CancelAuthorization);
        let own = cancel.and_then(|_| self.transactions.values().find(is_it));
        Report { amount: own.map_or(report.amount, |own| own.amount), ..report.clone() }
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
