//! Recording reports of connectors, webhooks and operators about effects at the PSP. A
//! report about a transaction of this Payment settles that transaction, in any order of
//! the connector's answer, the report and recovery. An effect that was not requested
//! here changes the balances, too.

#![warn(clippy::wildcard_enum_match_arm)]

use super::likeness::TakenBack;
use super::matching::Match;
use super::{
    Payment, Reported, State, Timestamp, Transaction, TransactionId, TransactionKind, UpdateRefusal,
};
use crate::money::Money;

/// An effect at the PSP, as an update or the platform's Payment describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The kind of effect.
    pub kind: TransactionKind,
    /// The state it has reached.
    pub state: State,
    /// The amount it moves.
    pub amount: Money,
    /// When it happened, if that is reported.
    pub timestamp: Option<Timestamp>,
    /// The PSP's id of it, or our id of the transaction.
    pub interaction_id: Option<String>,
    /// The connector's id of it, or our id of the transaction.
    pub interface_id: Option<String>,
}

/// The author of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reporter {
    /// The name of the caller, if it has one.
    pub by: Option<String>,
    /// When the report was received.
    pub at: Timestamp,
    /// True if a rejection by the Payment's connector proves that nothing moved. A report
    /// that comes during a call proves no more than the connector's answer.
    pub is_trusted: bool,
}

/// The way in which a report was matched to a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Certainty {
    /// By an id.
    Id,
    /// By the same type and amount.
    Likeness,
}

impl Payment {
    /// Records a report.
    pub(super) fn record_report(
        &mut self,
        new: &TransactionId,
        report: &Report,
        reporter: &Reporter,
    ) -> Result<(), UpdateRefusal> {
        self.check_currency(report)?;
        let found = self.match_report(report, None);
        self.record_as(found, new, report, reporter)?;
        // The new balances may allow a report that did not fit before.
        self.book_waiting(reporter.at);
        Ok(())
    }

    /// Records what a PSP reports that it did, as [`super::Update::RecordEffect`].
    pub(super) fn record_effect(
        &mut self,
        report: &Report,
        reporter: &Reporter,
    ) -> Result<(), UpdateRefusal> {
        self.check_currency(report)?;
        if !self.can_have_effect(report) {
            return Ok(());
        }
        self.record_effect_as(self.match_effect(report), report, reporter)
    }

    /// Records what a PSP reports that it did, as the given match.
    pub(super) fn record_effect_as(
        &mut self,
        found: Match,
        report: &Report,
        reporter: &Reporter,
    ) -> Result<(), UpdateRefusal> {
        self.check_currency(report)?;
        let name = report.interaction_id.as_deref().unwrap_or_default();
        let new = self.new_effect_id(&[&self.key.to_string(), name]);
        self.record_as(found, &new, report, reporter)?;
        self.book_waiting(reporter.at);
        Ok(())
    }

    /// True if the effect that a PSP reports can be one of this Payment. A PSP has one
    /// authorization for it: its report confirms one that is expected here, and adds none.
    /// Nothing is released if nothing was authorized.
    fn can_have_effect(&self, report: &Report) -> bool {
        let is_expected = |transaction: &Transaction| {
            transaction.kind == TransactionKind::Authorization
                && transaction.amount == report.amount
                && transaction.state != State::Success
        };
        match report.kind {
            TransactionKind::Authorization => self.transactions.values().any(is_expected),
            TransactionKind::CancelAuthorization => !self.balances.authorized.is_zero(),
            TransactionKind::Charge | TransactionKind::Refund | TransactionKind::Chargeback => true,
        }
    }

    fn check_currency(&self, report: &Report) -> Result<(), UpdateRefusal> {
        let (expected, found) = (self.currency(), report.amount.currency());
        if found == expected {
            return Ok(());
        }
        Err(UpdateRefusal::OtherCurrency { expected, found })
    }

    fn record_as(
        &mut self,
        found: Match,
        new: &TransactionId,
        report: &Report,
        reporter: &Reporter,
    ) -> Result<(), UpdateRefusal> {
        match found {
            Match::ById(id) => match self.refuted_failure(&id, report) {
                Some(transaction) => self.record_in_place_of(&id, &transaction, report, reporter),
                None => self.record_by_id(&id, report, reporter),
            },
            Match::ByLikeness(id) => self.record_by_likeness(&id, report, reporter),
            Match::OtherAmount(id) => self.record_other_amount(&id, report, reporter),
            Match::New if self.transactions.len() >= Self::TRANSACTIONS_MAX_REPORTED => {
                return Err(UpdateRefusal::TooManyTransactions);
            }
            Match::New => {
                let possible_duplicate_of = self.rejected_candidate(report);
                self.add_effect(new, report, &reporter.signature(), possible_duplicate_of);
            }
        }
        Ok(())
    }

    /// Removes a Failure whose id is now reported as happened, and records the report on
    /// the transaction that this effect is.
    fn record_in_place_of(
        &mut self,
        failed: &TransactionId,
        transaction: &TransactionId,
        report: &Report,
        reporter: &Reporter,
    ) {
        let Some(failed) = self.transactions.remove(failed) else { return };
        let report = Report {
            interaction_id: report.interaction_id.clone().or(failed.interaction_id),
            interface_id: report.interface_id.clone().or(failed.interface_id),
            ..report.clone()
        };
        self.record_by_likeness(transaction, &report, reporter);
    }

    /// Records a report that an id matches to this transaction.
    pub(super) fn record_by_id(
        &mut self,
        id: &TransactionId,
        report: &Report,
        reporter: &Reporter,
    ) {
        let is_by_own_id = self
            .transactions
            .get(id)
            .is_some_and(|transaction| transaction.is_named_by_own_id(report));
        if !is_by_own_id {
            self.record_ids(id, report);
            self.record_by_external_id(id, report, reporter);
            return;
        }
        let displaced = self.displace_other_effect(id, report);
        if let Some(name) = report.interaction_id.as_deref().filter(|name| *name != id.as_str()) {
            self.absorb_effect_named(id, name, reporter.at);
        }
        self.record_ids(id, report);
        if let Some(transaction) = self.transactions.get_mut(id) {
            match &mut transaction.likeness {
                // The id confirms what was matched by likeness.
                Some(_) if report.state == State::Failure => transaction.likeness = None,
                Some(likeness) => likeness.known = likeness.known.after_report(report.state),
                None => {}
            }
        }
        self.report_known_state(id, report.state, displaced, reporter);
    }

    /// Records the reported state of a transaction that our id names. Then records
    /// `displaced`, which was matched to it before, elsewhere. After a Success, an effect
    /// that was added separately, or matched to an open transaction, may be this one.
    fn report_known_state(
        &mut self,
        id: &TransactionId,
        state: State,
        displaced: Option<TakenBack>,
        reporter: &Reporter,
    ) {
        // Our id names this transaction, so it duplicates no other.
        if let Some(transaction) = self.transactions.get_mut(id) {
            transaction.possible_duplicate_of = None;
        }
        let is_changed = self.report_state(id, state, reporter, Certainty::Id);
        self.reassign_report(id, displaced);
        if is_changed && state == State::Success && !self.absorb_added_effect(id, reporter.at) {
            self.move_report_from_open_one(id);
        }
    }

    /// Records the state of a transaction that a caller names by our id.
    ///
    /// If likeness matched a report to the transaction, and no answer agrees with it, the
    /// caller may mean the effect of that report. A Failure after a Success is then
    /// disputed until it is reported again. A Failure after a Pending with an id is about
    /// the effect with that id.
    pub(super) fn record_state(&mut self, id: &TransactionId, state: State, reporter: &Reporter) {
        let Some(transaction) = self.transactions.get_mut(id) else { return };
        let report = Report {
            kind: transaction.kind,
            state,
            amount: transaction.amount,
            timestamp: None,
            interaction_id: None,
            interface_id: Some(id.as_str().to_owned()),
        };
        // The answer and the report agree, so they are about the same effect.
        transaction.likeness.take_if(|likeness| likeness.known == likeness.reported_state);
        let likeness = transaction
            .likeness
            .as_ref()
            .filter(|_| state == State::Failure && !transaction.is_disputed);
        let has_name = likeness.is_some_and(|likeness| likeness.gave_interaction_id);
        match likeness.map(|likeness| likeness.reported_state) {
            Some(State::Success) => {
                self.dispute(id, reporter.at);
            }
            Some(State::Initial | State::Pending | State::Unknown) if has_name => {
                self.record_by_external_id(id, &report, reporter);
            }
            Some(State::Initial | State::Pending | State::Unknown | State::Failure) | None => {
                if state == State::Failure {
                    transaction.likeness = None;
                }
                self.record_by_id(id, &report, reporter);
            }
        }
        self.book_waiting(reporter.at);
    }

    /// Records a report by the PSP's or the connector's id. If likeness matched this id
    /// to the transaction, a Failure gives nothing back while it may be about another
    /// transaction.
    fn record_by_external_id(&mut self, id: &TransactionId, report: &Report, reporter: &Reporter) {
        let Some(transaction) = self.transactions.get_mut(id) else { return };
        let Some(likeness) = &mut transaction.likeness else {
            self.report_state(id, report.state, reporter, Certainty::Id);
            return;
        };
        if report.state != State::Failure {
            likeness.reported_state = likeness.reported_state.after_report(report.state);
            self.report_state(id, report.state, reporter, Certainty::Likeness);
            self.move_report_to_happened_one(id);
            return;
        }
        if transaction.is_disputed || transaction.state == State::Failure {
            return;
        }
        let is_open = transaction.known_state().is_open();
        let is_waiting = transaction.waiting_failure.is_some();
        let is_only = self
            .transactions
            .get(id)
            .is_some_and(|transaction| self.is_only_candidate(transaction, reporter.at));
        if is_open && !is_only {
            if !is_waiting {
                self.reopen_after_failed_effect(id, reporter);
            }
            return;
        }
        let is_in_flight = self.is_in_flight(id);
        if let Some(likeness) =
            self.transactions.get_mut(id).and_then(|transaction| transaction.likeness.as_mut())
        {
            likeness.reported_state = State::Failure;
            likeness.came_in_flight = is_in_flight;
        }
        self.report_state(id, State::Failure, reporter, Certainty::Likeness);
    }

    /// Records a report with our id but another amount. The transaction is disputed,
    /// because the effective amount is unknown.
    fn record_other_amount(&mut self, id: &TransactionId, report: &Report, reporter: &Reporter) {
        let is_positive = matches!(report.state, State::Success | State::Pending);
        let is_changed = is_positive && self.dispute(id, reporter.at);
        if let Some(transaction) = self.transactions.get_mut(id).filter(|_| is_changed) {
            transaction.reported = Some(reporter.signature());
        }
    }

    /// Records the ids that the report has for the transaction, where it has none yet, or
    /// a PSP id that identifies nothing. Returns for the PSP's and for the connector's id
    /// whether it is from this report.
    pub(super) fn record_ids(&mut self, id: &TransactionId, report: &Report) -> (bool, bool) {
        let is_identifying = self.identifying_ids(report).interaction.is_some();
        let is_identified =
            self.transactions.get(id).is_some_and(|known| self.has_unique_interaction_id(known));
        let gives_way = is_identifying
            && !is_identified
            && report.interaction_id.as_deref() != Some(id.as_str());
        let Some(transaction) = self.transactions.get_mut(id) else { return (false, false) };
        // A report that repeats our own id gives the transaction no other id.
        let foreign = |name: &Option<String>| name.clone().filter(|name| name != id.as_str());
        let names = (transaction.interaction_id.clone(), transaction.interface_id.clone());
        let known = transaction.interaction_id.take().filter(|_| !gives_way);
        transaction.interaction_id = known.or_else(|| foreign(&report.interaction_id));
        transaction.interface_id =
            transaction.interface_id.take().or_else(|| foreign(&report.interface_id));
        (transaction.interaction_id != names.0, transaction.interface_id != names.1)
    }

    /// Adds an effect that matches no transaction. It may duplicate `possible_duplicate_of`.
    pub(super) fn add_effect(
        &mut self,
        id: &TransactionId,
        report: &Report,
        by: &Reported,
        possible_duplicate_of: Option<TransactionId>,
    ) {
        let effect = Transaction::external(id.clone(), report.clone(), by.at);
        let state = effect.state;
        // A Failure moves nothing; the reported state is booked below.
        let added = Transaction {
            state: State::Failure,
            possible_duplicate_of,
            reported: Some(by.clone()),
            ..effect
        };
        self.transactions.insert(id.clone(), added);
        if state != State::Failure {
            self.book(id, state, by.at);
            self.book_waiting(by.at);
        }
    }
}

impl Reporter {
    /// The author and the time, as they are stored.
    pub(super) fn signature(&self) -> Reported {
        const BY_MAX: usize = 256;
        let by = self.by.as_deref().map(|by| by.chars().take(BY_MAX).collect());
        Reported { by, at: self.at }
    }
}
