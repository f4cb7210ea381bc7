//! Dated reports: of a PSP that tells of an effect by several events, which come in any
//! order, and that cannot be asked for the current state. The report with the latest date
//! holds.

#![warn(clippy::wildcard_enum_match_arm)]

use super::TransactionKind::Authorization;
use super::matching::Match;
use super::{Payment, Report, Reporter, State, Transaction, TransactionId, UpdateRefusal};

/// A report of an effect, as of its timestamp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatedReport {
    /// The report.
    pub report: Report,
    /// True if the effect had happened before it failed.
    pub is_undone: bool,
}

impl Payment {
    /// Records a dated report, as [`super::Update::RecordDatedReport`]. One that is older
    /// than the last about the same effect changes nothing.
    pub(super) fn record_dated_report(
        &mut self,
        dated: &DatedReport,
        reporter: &Reporter,
    ) -> Result<bool, UpdateRefusal> {
        let report = &dated.report;
        // A Payment has one authorization at its PSP, so there is no order to keep.
        if report.kind == Authorization {
            return self.record_effect(report, reporter);
        }
        let known = self.matched_effect(report).and_then(|id| self.transactions.get(&id));
        let is_failure = report.state == State::Failure && !dated.is_undone;
        match known {
            Some(known) if known.is_later_than(report) => return Ok(false),
            // It moved nothing, and was not asked for here.
            None if is_failure => return Ok(false),
            Some(_) | None => {}
        }
        let before = self.transactions.clone();
        self.record_effect_as(self.match_named_effect(report), report, reporter)?;
        if let Some(id) = self.matched_effect(report).filter(|_| !is_failure)
            && let Some(known) = self.transactions.get_mut(&id)
        {
            known.happened_at = report.timestamp;
        }
        Ok(self.transactions != before)
    }

    /// The transaction that an effect which a PSP tells of is.
    fn matched_effect(&self, report: &Report) -> Option<TransactionId> {
        match self.match_named_effect(report) {
            Match::ById(id) | Match::ByLikeness(id) | Match::Other(id) => Some(id),
            Match::New => None,
        }
    }
}

impl Transaction {
    /// True if something later than the report is known of it. Of two reports of one
    /// moment the one that it failed holds.
    fn is_later_than(&self, report: &Report) -> bool {
        let (Some(last), Some(date)) = (self.happened_at, report.timestamp) else { return false };
        let is_known = self.last_reported_state() == report.state || self.state == State::Failure;
        date < last || date == last && is_known
    }
}
