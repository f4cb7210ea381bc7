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
        let report = latest.unwrap_or(report);
        let ours = self.ours_of_other_psp_id(&report);
        let report = match &ours {
            Some(_) => Report { interface_id: None, ..report },
            None => report,
        };
        let found = self.match_named_effect(&report);
        let known = self.matched(&found);
        let changes_nothing = known.is_some_and(|known| known.is_later_than(&report))
            || is_refusal && self.is_of_what_happened(&report, known)
            || is_refusal && known.is_none() && !self.may_be_unanswered(&report);
        if changes_nothing {
            return Ok(());
        }
        let is_new = known.is_none();
        self.drop_other_psp_id(&report);
        self.record_effect_as(found, &report, reporter)?;
        if is_refusal {
            return Ok(());
        }
        self.note_what_happened(&report, reporter);
        // A second effect of our request failed after it had happened, or ours did, under a
        // new id.
        let is_of_ours = |id: &TransactionId| {
            self.transactions.get(id).is_some_and(|ours| !ours.was_only_refused())
        };
        if let Some(ours) = ours.filter(|id| is_new && is_of_ours(id))
            && report.state != State::Success
        {
            self.dispute(&ours, reporter.at);
        }
        Ok(())
    }

    /// Notes the date of what happened, after its report was recorded, and holds what may come
    /// again or is of an unknown amount.
    fn note_what_happened(&mut self, report: &Report, reporter: &Reporter) {
        let found = self.match_named_effect(report);
        let is_of_other_amount = matches!(found, Match::OtherAmount(_));
        let Some(known) = self.matched(&found) else { return };
        let id = known.id.clone();
        // An id of two effects would identify neither.
        let psp_id = report.interaction_id.clone().filter(|_| {
            is_of_other_amount
                && known.is_disputed
                && !self.has_unique_interaction_id(known)
                && !self.transactions.values().any(|one| one.has_psp_id_of(report))
        });
        if report.state == State::Pending && !is_of_other_amount {
            self.hold_again(&id, reporter);
        }
        if let Some(known) = self.transactions.get_mut(&id) {
            known.happened_at = report.timestamp;
            known.reported.get_or_insert_with(|| reporter.signature());
            known.interaction_id = psp_id.or(known.interaction_id.take());
        }
        let is_of_unknown_amount = report.kind == Chargeback && report.amount.is_zero();
        if is_of_unknown_amount && report.state == State::Success {
            self.dispute(&id, reporter.at);
        }
    }

    /// True if the refusal is of something that was reported to have happened.
    fn is_of_what_happened(&self, refusal: &Report, known: Option<&Transaction>) -> bool {
        let is_same =
            |other: &&Transaction| other.kind == refusal.kind && other.has_psp_id_of(refusal);
        let same = self.transactions.values().filter(is_same);
        same.chain(known).any(Transaction::has_happened)
    }

    /// True if the refusal may be of an open transaction of ours whose PSP id is not known
    /// yet. It is kept until the PSP's answer says which id that transaction has.
    fn may_be_unanswered(&self, refusal: &Report) -> bool {
        let is_unnamed = |ours: &Transaction| {
            let is_identified = self.has_unique_interaction_id(ours);
            !ours.is_external && (!is_identified || ours.waiting_failure.is_some())
        };
        let mut open = self.open_transactions();
        refusal.interaction_id.is_some()
            && open.any(|ours| is_unnamed(ours) && self.is_alike(ours, refusal))
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
        let is_later = |known: &&Transaction| {
            known.is_external && known.kind == report.kind && known.is_later_than(report)
        };
        let mut same = self.transactions.values().filter(|known| known.has_psp_id_of(report));
        let known = same.find(is_later)?;
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
        let is_in_our_currency = report.amount.currency() == self.currency();
        let is_same = |known: &&Transaction| {
            known.kind == report.kind
                && match report.kind {
                    CancelAuthorization => {
                        is_in_our_currency
                            && (known.is_named_by_own_id(report) || known.has_psp_id_of(report))
                    }
                    Chargeback => known.has_psp_id_of(report),
                    Authorization | Charge | Refund => false,
                }
        };
        let known = self.transactions.values().find(is_same).map(|known| known.amount);
        let amount = match known {
            Some(amount) => amount,
            None if report.kind == Chargeback && !is_in_our_currency => {
                Money::zero(self.currency())
            }
            None => report.amount,
        };
        Report { amount, ..report.clone() }
    }

    /// The transaction that the report names by our id, if it is about another effect. A PSP
    /// that acted twice on one request has an id for each effect, and ours for both. The report
    /// is about ours only if ours was refused and never happened. Of a cancel there is no
    /// second effect, so that only a refusal is about another one.
    fn ours_of_other_psp_id(&self, report: &Report) -> Option<TransactionId> {
        let is_other = |ours: &&Transaction| {
            let is_second = ours.kind != CancelAuthorization && !ours.was_only_refused();
            self.has_other_psp_id(ours, report) && (is_second || report.state == State::Failure)
        };
        self.transactions.values().find(is_other).map(|ours| ours.id.clone())
    }

    /// Drops the PSP's id of our transaction that the report names by our id and another one:
    /// the effect that happened has the id that holds.
    fn drop_other_psp_id(&mut self, report: &Report) {
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
    /// True if the report has its id at the PSP.
    fn has_psp_id_of(&self, report: &Report) -> bool {
        report.interaction_id.is_some() && self.interaction_id == report.interaction_id
    }

    /// True if a refusal is all that is known of it.
    fn was_only_refused(&self) -> bool {
        self.last_reported_state() == State::Failure && !self.has_happened()
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
