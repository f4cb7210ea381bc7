//! Recording a report by its date. Some PSPs report an effect by several events, which come
//! in any order, and have no read of the current state. Of the reports about one effect, the
//! one with the latest date holds. A refusal does not undo what happened: the PSP has other
//! events for that.
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
        let report = self.with_known_amount(&dated.report);
        let latest = self.latest_of_same_psp_id(&report);
        let is_refusal = report.state == State::Failure && !dated.is_undone && latest.is_none();
        let report = self.without_our_id_if_other(latest.unwrap_or(report));
        let found = self.match_named_effect(&report);
        let is_known = match self.matched(&found) {
            Some(known) => {
                known.is_later_than(&report) || is_refusal && known.happened_at.is_some()
            }
            None => is_refusal && !self.may_be_unanswered(&report),
        };
        if is_known {
            return Ok(());
        }
        let is_of_other_amount = matches!(found, Match::OtherAmount(_));
        self.drop_refused_psp_id(&report);
        self.record_effect_as(found, &report, reporter)?;
        let found = self.match_named_effect(&report);
        let known = self.matched(&found).filter(|_| !is_refusal).map(|known| known.id.clone());
        let Some(id) = known else { return Ok(()) };
        if report.state == State::Pending && !is_of_other_amount {
            self.hold_again(&id, reporter);
        }
        if let Some(known) = self.transactions.get_mut(&id) {
            known.happened_at = report.timestamp;
        }
        let is_of_unknown_amount = report.kind == Chargeback && report.amount.is_zero();
        if is_of_unknown_amount && report.state == State::Success {
            self.dispute(&id, reporter.at);
        }
        Ok(())
    }

    /// True if the refusal may be of an open transaction of ours whose PSP id is not known
    /// yet. It is kept until the PSP's answer says which id that transaction has.
    fn may_be_unanswered(&self, refusal: &Report) -> bool {
        refusal.interaction_id.is_some()
            && self.open_transactions().any(|ours| {
                !ours.is_external && ours.interaction_id.is_none() && self.is_alike(ours, refusal)
            })
    }

    /// Holds the amount of an effect that the PSP may carry out again.
    pub(super) fn hold_again(&mut self, id: &TransactionId, reporter: &Reporter) {
        let Some(known) = self.transactions.get_mut(id) else { return };
        known.waiting_failure = None;
        known.reported = Some(reporter.signature());
        self.book(id, State::Pending, reporter.at);
        self.book_waiting(reporter.at);
    }

    /// The report with the later state that is known of the same effect, if it is kept under
    /// the PSP's id alone: the report that came first had no id of ours.
    fn latest_of_same_psp_id(&self, report: &Report) -> Option<Report> {
        let psp_id = report.interaction_id.as_ref()?;
        let is_it = |known: &&Transaction| {
            known.is_external && known.kind == report.kind && known.is_later_than(report)
        };
        let mut same = self
            .transactions
            .values()
            .filter(|known| known.interaction_id.as_ref() == Some(psp_id));
        let known = same.find(is_it)?;
        let (state, timestamp) = (known.last_reported_state(), known.happened_at);
        Some(Report { state, timestamp, ..report.clone() })
    }

    /// The report, with the amount that is known of its effect.
    ///
    /// A cancel releases the whole authorization, which may have been adjusted at the PSP. A
    /// dispute is one chargeback, to whose amount the PSP may add fees later. A chargeback may
    /// be in the currency of the payer's bank: then its amount here is unknown, and 0 until an
    /// operator says what it is.
    fn with_known_amount(&self, report: &Report) -> Report {
        let is_ours = report.amount.currency() == self.currency();
        let has_same_psp_id = |known: &Transaction| {
            report.interaction_id.is_some() && known.interaction_id == report.interaction_id
        };
        let is_same = |known: &&Transaction| {
            known.kind == report.kind
                && match report.kind {
                    CancelAuthorization => {
                        is_ours && (known.is_named_by_own_id(report) || has_same_psp_id(known))
                    }
                    Chargeback => has_same_psp_id(known),
                    Authorization | Charge | Refund => false,
                }
        };
        let known = self.transactions.values().find(is_same).map(|known| known.amount);
        let amount = match known {
            Some(amount) => amount,
            None if report.kind == Chargeback && !is_ours => Money::zero(self.currency()),
            None => report.amount,
        };
        Report { amount, ..report.clone() }
    }

    /// The report, without our id if it is about another effect than ours. A PSP that acted
    /// twice on one request has an id for each effect, and ours for both. It is ours only if
    /// ours was refused, and nothing but that is known of it. Of a cancel there is no second
    /// effect, so that only a refusal is about another one.
    fn without_our_id_if_other(&self, report: Report) -> Report {
        let is_other = |ours: &&Transaction| {
            let is_second = ours.kind != CancelAuthorization && !ours.was_only_refused();
            self.has_other_psp_id(ours, &report) && (is_second || report.state == State::Failure)
        };
        match self.transactions.values().find(is_other) {
            Some(_) => Report { interface_id: None, ..report },
            None => report,
        }
    }

    /// Drops the PSP's id of our transaction that the report names by our id and another one:
    /// the effect that happened has the id that holds.
    fn drop_refused_psp_id(&mut self, report: &Report) {
        let ours = self.transactions.values().find(|ours| self.has_other_psp_id(ours, report));
        if let Some(id) = ours.map(|ours| ours.id.clone())
            && let Some(ours) = self.transactions.get_mut(&id)
        {
            ours.interaction_id = None;
        }
    }

    /// True if the report has our id of this transaction, and another id of the PSP.
    fn has_other_psp_id(&self, ours: &Transaction, report: &Report) -> bool {
        ours.is_named_by_own_id(report)
            && report.interaction_id.is_some()
            && report.interaction_id != ours.interaction_id
            && self.has_unique_interaction_id(ours)
    }

    /// The transaction of a match, if it is here.
    fn matched(&self, found: &Match) -> Option<&Transaction> {
        match found {
            Match::ById(id) | Match::ByLikeness(id) | Match::OtherAmount(id) => {
                self.transactions.get(id)
            }
            Match::New => None,
        }
    }
}

impl Transaction {
    /// True if a refusal is all that is known of it.
    fn was_only_refused(&self) -> bool {
        self.last_reported_state() == State::Failure && self.happened_at.is_none()
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
