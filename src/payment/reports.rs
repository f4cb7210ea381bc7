//! Reports: what connectors, webhooks and operators say happened at the PSP. A
//! report about a transaction of ours *is* that transaction, in whatever order the
//! connector's answer, the report and recovery come. An effect that nobody asked
//! for here moves the balances all the same.

#![warn(clippy::wildcard_enum_match_arm)]

use super::likeness::TakenBack;
use super::matching::Match;
use super::{
    Payment, RecoveryProgress, Reported, State, Timestamp, Transaction, TransactionId,
    TransactionKind, UpdateRefusal,
};
use crate::money::Money;

/// An effect at the PSP, as somebody else saw it: as an update tells of it, or as
/// the platform shows it in a look-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The kind of effect.
    pub kind: TransactionKind,
    /// The state it has reached.
    pub state: State,
    /// The amount it moves.
    pub amount: Money,
    /// When, where that is said.
    pub timestamp: Option<Timestamp>,
    /// The PSP's id of it, or our own id of the transaction.
    pub interaction_id: Option<String>,
    /// The connector's id of it, or our own id of the transaction.
    pub interface_id: Option<String>,
}

/// The author of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reporter {
    /// The name, where callers have one.
    pub by: Option<String>,
    /// When the report came.
    pub at: Timestamp,
    /// True if the connector's word proves that nothing moved. A report that it
    /// makes while it is called is worth no more than its answer.
    pub is_trusted: bool,
}

/// The way in which it is known which transaction a report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Certainty {
    /// An id says so.
    Id,
    /// It has the same type and amount.
    Likeness,
}

impl Payment {
    /// Records a report. Returns whether it changed anything.
    pub(super) fn record_report(
        &mut self,
        new: &TransactionId,
        report: &Report,
        reporter: &Reporter,
    ) -> Result<bool, UpdateRefusal> {
        let (expected, found) = (self.currency(), report.amount.currency());
        if found != expected {
            return Err(UpdateRefusal::OtherCurrency { expected, found });
        }
        let is_news = self.record_matched(new, report, reporter)?;
        // What moved may have made room for another report.
        self.book_waiting(reporter.at);
        Ok(is_news)
    }

    fn record_matched(
        &mut self,
        new: &TransactionId,
        report: &Report,
        reporter: &Reporter,
    ) -> Result<bool, UpdateRefusal> {
        let found = self.match_report(report, None);
        self.record_as(found, new, report, reporter)
    }

    /// Records what a PSP says it did, as [`super::Update::RecordEffect`].
    pub(super) fn record_effect(
        &mut self,
        report: &Report,
        reporter: &Reporter,
    ) -> Result<bool, UpdateRefusal> {
        self.record_effect_as(self.match_effect(report), report, reporter)
    }

    /// Records what a PSP says it did, as what it was found to be.
    pub(super) fn record_effect_as(
        &mut self,
        found: Match,
        report: &Report,
        reporter: &Reporter,
    ) -> Result<bool, UpdateRefusal> {
        let (expected, other) = (self.currency(), report.amount.currency());
        if other != expected {
            return Err(UpdateRefusal::OtherCurrency { expected, found: other });
        }
        if !self.is_of_interest(report) {
            return Ok(false);
        }
        let name = report.interaction_id.as_deref().unwrap_or_default();
        let new = self.new_effect_id(&[&self.key.to_string(), name]);
        let is_news = self.record_as(found, &new, report, reporter)?;
        self.book_waiting(reporter.at);
        Ok(is_news)
    }

    /// True if an effect that a PSP tells of can be one of this Payment. A PSP has one
    /// authorization for it, so that one confirms what is expected here, and is never
    /// another one; and nothing is released of what was not authorized.
    fn is_of_interest(&self, report: &Report) -> bool {
        let is_expected = |ours: &Transaction| {
            ours.kind == TransactionKind::Authorization
                && ours.amount == report.amount
                && ours.state != State::Success
        };
        match report.kind {
            TransactionKind::Authorization => self.transactions.values().any(is_expected),
            TransactionKind::CancelAuthorization => !self.balances.authorized.is_zero(),
            TransactionKind::Charge | TransactionKind::Refund | TransactionKind::Chargeback => true,
        }
    }

    fn record_as(
        &mut self,
        found: Match,
        new: &TransactionId,
        report: &Report,
        reporter: &Reporter,
    ) -> Result<bool, UpdateRefusal> {
        match found {
            Match::ById(id) => match self.refuted_failure(&id, report) {
                Some(ours) => Ok(self.record_in_place_of(&id, &ours, report, reporter)),
                None => Ok(self.record_by_id(&id, report, reporter)),
            },
            Match::ByLikeness(id) => Ok(self.record_by_likeness(&id, report, reporter)),
            Match::Other(id) => Ok(self.record_other_amount(&id, report, reporter)),
            Match::New if self.transactions.len() >= Self::TRANSACTIONS_MAX_REPORTED => {
                Err(UpdateRefusal::TooManyTransactions)
            }
            Match::New => {
                let may_be = self.rejected_alike(report);
                self.add_effect(new, report, &reporter.signature(), may_be);
                Ok(true)
            }
        }
    }

    /// Records that an effect happened by the id of a Failure, which was not true.
    fn record_in_place_of(
        &mut self,
        failed: &TransactionId,
        ours: &TransactionId,
        report: &Report,
        reporter: &Reporter,
    ) -> bool {
        let Some(failed) = self.transactions.remove(failed) else { return false };
        let report = Report {
            interaction_id: report.interaction_id.clone().or(failed.interaction_id),
            interface_id: report.interface_id.clone().or(failed.interface_id),
            ..report.clone()
        };
        self.record_by_likeness(ours, &report, reporter);
        true
    }

    /// Records a report that an id identifies with this transaction.
    pub(super) fn record_by_id(
        &mut self,
        id: &TransactionId,
        report: &Report,
        reporter: &Reporter,
    ) -> bool {
        let before = self.transactions.clone();
        let is_by_own_id =
            self.transactions.get(id).is_some_and(|ours| ours.is_named_by_own_id(report));
        if !is_by_own_id {
            self.name(id, report);
            self.record_by_name(id, report, reporter);
            return self.transactions != before;
        }
        let displaced = self.displace_other_effect(id, report);
        if let Some(name) = report.interaction_id.as_deref().filter(|name| *name != id.as_str()) {
            self.claim_name(id, name, reporter.at);
        }
        self.name(id, report);
        if let Some(ours) = self.transactions.get_mut(id) {
            match &mut ours.likeness {
                // What likeness decided is known now.
                Some(_) if report.state == State::Failure => ours.likeness = None,
                Some(likeness) => likeness.known = likeness.known.on_hearing(report.state),
                None => {}
            }
        }
        self.report_known_state(id, report.state, displaced, reporter);
        self.transactions != before
    }

    /// Records the state of a transaction that is known by our own id, and claims the
    /// effect that is rather its. `displaced` was taken for it before.
    pub(super) fn report_known_state(
        &mut self,
        id: &TransactionId,
        state: State,
        displaced: Option<TakenBack>,
        reporter: &Reporter,
    ) {
        // Its id says which transaction this is: it is no other.
        if let Some(ours) = self.transactions.get_mut(id) {
            ours.may_be = None;
        }
        let is_news = self.report_state(id, state, reporter, Certainty::Id);
        self.place(id, displaced);
        if is_news && state == State::Success && !self.claim_added_effect(id, reporter.at) {
            self.claim_effect_of_open_one(id);
        }
    }

    /// Records a report by the name that the PSP gave to this transaction, or to an
    /// effect that likeness took for it. That such an effect failed gives nothing back
    /// while it may be another's.
    fn record_by_name(&mut self, id: &TransactionId, report: &Report, reporter: &Reporter) {
        let Some(ours) = self.transactions.get_mut(id) else { return };
        let Some(likeness) = &mut ours.likeness else {
            self.report_state(id, report.state, reporter, Certainty::Id);
            return;
        };
        if report.state != State::Failure {
            likeness.told = likeness.told.on_hearing(report.state);
            self.report_state(id, report.state, reporter, Certainty::Likeness);
            return;
        }
        if ours.is_disputed || ours.state == State::Failure {
            return;
        }
        let is_open = ours.known_state().is_open();
        let is_waiting = ours.waiting_failure.is_some();
        let is_only =
            self.transactions.get(id).is_some_and(|ours| self.is_only_candidate(ours, reporter.at));
        if is_open && !is_only {
            if !is_waiting {
                self.leave_failure_open(id, reporter);
            }
            return;
        }
        let is_in_flight = self.is_in_flight(id);
        if let Some(likeness) =
            self.transactions.get_mut(id).and_then(|ours| ours.likeness.as_mut())
        {
            likeness.told = State::Failure;
            likeness.came_in_flight = is_in_flight;
        }
        self.report_state(id, State::Failure, reporter, Certainty::Likeness);
    }

    /// Records a report by our own id that tells of another amount. Nobody knows how
    /// much happened.
    fn record_other_amount(
        &mut self,
        id: &TransactionId,
        report: &Report,
        reporter: &Reporter,
    ) -> bool {
        let is_positive = matches!(report.state, State::Success | State::Pending);
        let is_news = is_positive && self.dispute(id, reporter.at);
        if let Some(ours) = self.transactions.get_mut(id).filter(|_| is_news) {
            ours.reported = Some(reporter.signature());
        }
        is_news
    }

    /// Notes what the report calls the transaction. Returns whether that is new.
    pub(super) fn name(&mut self, id: &TransactionId, report: &Report) -> bool {
        let Some(ours) = self.transactions.get_mut(id) else { return false };
        // Our own id is what it is shown by until somebody else calls it something.
        let foreign = |name: &Option<String>| name.clone().filter(|name| name != id.as_str());
        let names = (ours.interaction_id.clone(), ours.interface_id.clone());
        ours.interaction_id =
            ours.interaction_id.take().or_else(|| foreign(&report.interaction_id));
        ours.interface_id = ours.interface_id.take().or_else(|| foreign(&report.interface_id));
        (&ours.interaction_id, &ours.interface_id) != (&names.0, &names.1)
    }

    /// Adds an effect that is none of the transactions here, except perhaps `may_be`.
    pub(super) fn add_effect(
        &mut self,
        id: &TransactionId,
        report: &Report,
        by: &Reported,
        may_be: Option<TransactionId>,
    ) {
        // As one that moved nothing, until it is booked.
        let added = Transaction {
            id: id.clone(),
            kind: report.kind,
            state: State::Failure,
            amount: report.amount,
            timestamp: report.timestamp.unwrap_or(by.at),
            reverses: false,
            charge: None,
            refundable: None,
            merchant_reference: None,
            interaction_id: report.interaction_id.clone(),
            interface_id: report.interface_id.clone(),
            happened_at: None,
            state_awaiting_balances: None,
            is_disputed: false,
            likeness: None,
            may_be,
            waiting_failure: None,
            reported: Some(by.clone()),
            acknowledged: None,
            is_external: true,
            recovery: RecoveryProgress::default(),
        };
        self.transactions.insert(id.clone(), added);
        // Somebody else may be at the PSP with one that has only begun.
        let state = if report.state == State::Initial { State::Unknown } else { report.state };
        if state != State::Failure {
            self.book(id, state, by.at);
            self.book_waiting(by.at);
        }
    }
}

impl Reporter {
    pub(super) fn signature(&self) -> Reported {
        const BY_MAX: usize = 256;
        let by = self.by.as_deref().map(|by| by.chars().take(BY_MAX).collect());
        Reported { by, at: self.at }
    }
}
