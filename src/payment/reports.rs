//! Reports: what connectors, webhooks and operators say happened at the PSP. A
//! report about a transaction of ours *is* that transaction, in whatever order the
//! connector's answer, the report and recovery come. An effect that nobody asked
//! for here moves the balances all the same.

#![warn(clippy::wildcard_enum_match_arm)]

use super::discrepancy::event_id;
use super::matching::Match;
use super::{
    Payment, RecoveryProgress, Reported, State, Timestamp, Transaction, TransactionId,
    TransactionKind, UpdateRefusal,
};
use crate::money::Money;

/// An effect at the PSP, as somebody else saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What it does.
    pub kind: TransactionKind,
    /// How far it is.
    pub state: State,
    /// How much it moves: at least one minor unit.
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
    /// Whether the connector's word counts that nothing moved. A report that it
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
        match self.match_report(report, None) {
            Match::ById(id) => Ok(self.record_by_id(&id, report, reporter)),
            Match::ByLikeness(id) => Ok(self.record_by_likeness(&id, report, reporter)),
            Match::New if self.transactions.len() >= Self::TRANSACTIONS_MAX_REPORTED => {
                Err(UpdateRefusal::TooManyTransactions)
            }
            Match::New => {
                self.add_effect(new, report, &reporter.signature());
                Ok(true)
            }
        }
    }

    /// Records a report that an id identifies with this transaction.
    pub(super) fn record_by_id(
        &mut self,
        id: &TransactionId,
        report: &Report,
        reporter: &Reporter,
    ) -> bool {
        let before = self.transactions.clone();
        let is_by_own_id = [&report.interaction_id, &report.interface_id]
            .into_iter()
            .any(|name| name.as_deref() == Some(id.as_str()));
        let displaced = if is_by_own_id { self.displace_other_effect(id, report) } else { None };
        self.name(id, report);
        if is_by_own_id {
            self.remove_duplicate_effect(id, report);
        }
        let has_likely_name =
            self.transactions.get(id).is_some_and(|ours| ours.state_without_likeness.is_some());
        if has_likely_name && !is_by_own_id {
            self.record_by_likely_name(id, report, reporter);
        } else {
            self.report_state(id, report.state, reporter, Certainty::Id);
        }
        self.place(id, displaced);
        self.transactions != before
    }

    /// Records a report by the name that likeness gave to this transaction. That it
    /// failed gives back nothing while the effect of that name may be another's.
    fn record_by_likely_name(&mut self, id: &TransactionId, report: &Report, reporter: &Reporter) {
        let is_ambiguous = self.transactions.get(id).is_some_and(|ours| {
            ours.known_state().is_open()
                && ours.state != State::Failure
                && ours.waiting_failure.is_none()
                && !ours.is_disputed
                && !self.is_only_candidate(ours, reporter.at)
        });
        let is_in_dispute = self.transactions.get(id).is_some_and(|ours| ours.is_disputed);
        if report.state == State::Failure && is_in_dispute {
            return;
        }
        if report.state == State::Failure && is_ambiguous {
            return self.leave_failure_open(id, reporter);
        }
        self.report_state(id, report.state, reporter, Certainty::Likeness);
    }

    /// An effect that was taken for this transaction failed, and nobody knows whether
    /// that was this one. It is open again; or in dispute, where what was captured by
    /// it was refunded already.
    fn leave_failure_open(&mut self, id: &TransactionId, reporter: &Reporter) {
        let mut next = self.clone();
        let Some(taken_back) = next.take_back_likeness(id) else { return };
        let is_covered = match (self.excess(), next.excess()) {
            (Ok(before), Ok(after)) => after.is_within(before),
            (Err(_), _) | (_, Err(_)) => false,
        };
        if !is_covered {
            return self.dispute(id, reporter.at);
        }
        *self = next;
        let failed = Report { state: State::Failure, ..taken_back.report };
        let new = event_id(id, self.version);
        self.add_effect(&new, &failed, &reporter.signature());
    }

    /// Records a report whose effect is taken to be this transaction, because it is
    /// alike.
    pub(super) fn record_by_likeness(
        &mut self,
        id: &TransactionId,
        report: &Report,
        reporter: &Reporter,
    ) -> bool {
        let before = self.transactions.clone();
        let displaced = match self.transactions.get(id) {
            Some(ours) if report.state != State::Failure && ours.has_failure_by_likeness() => {
                self.take_back_likeness(id)
            }
            Some(_) | None => None,
        };
        // One that was reported as failed by its id takes the name, and stays known.
        if let Some(ours) = self.transactions.get_mut(id)
            && ours.state_without_likeness.is_none()
            && ours.waiting_failure.is_none()
        {
            ours.state_without_likeness = Some(ours.state);
        }
        let is_named = self.name(id, report);
        let is_news = self.report_state(id, report.state, reporter, Certainty::Likeness);
        if !is_named && !is_news && displaced.is_none() {
            self.transactions = before;
            return false;
        }
        self.place(id, displaced);
        self.transactions != before
    }

    /// Notes what the report calls the transaction. Returns whether that is new.
    fn name(&mut self, id: &TransactionId, report: &Report) -> bool {
        let Some(ours) = self.transactions.get_mut(id) else { return false };
        // Our own id is what it is shown by until somebody else calls it something.
        let foreign = |name: &Option<String>| name.clone().filter(|name| name != id.as_str());
        let names = (ours.interaction_id.clone(), ours.interface_id.clone());
        ours.interaction_id =
            ours.interaction_id.take().or_else(|| foreign(&report.interaction_id));
        ours.interface_id = ours.interface_id.take().or_else(|| foreign(&report.interface_id));
        (&ours.interaction_id, &ours.interface_id) != (&names.0, &names.1)
    }

    /// Adds an effect that is none of the transactions here.
    pub(super) fn add_effect(&mut self, id: &TransactionId, report: &Report, by: &Reported) {
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
            state_without_likeness: None,
            waiting_failure: None,
            reported: Some(by.clone()),
            acknowledged: None,
            is_external: true,
            recovery: RecoveryProgress::default(),
        };
        self.transactions.insert(id.clone(), added);
        // Somebody else may be at the PSP with one that has only begun.
        let state = if report.state == State::Initial { State::Unknown } else { report.state };
        self.book(id, state, by.at);
        self.book_waiting(by.at);
    }

    /// A report by our own id may say that another effect was taken for this
    /// transaction: one that the PSP calls otherwise, or that happened where this
    /// one did not. Takes that effect's report back.
    fn displace_other_effect(&mut self, id: &TransactionId, report: &Report) -> Option<Placed> {
        let ours = self.transactions.get(id)?;
        ours.state_without_likeness?;
        let theirs = report.interaction_id.as_ref().filter(|name| name.as_str() != id.as_str());
        let is_same = theirs.is_some() && theirs == ours.interaction_id.as_ref();
        let is_contrary = (report.state == State::Failure) != ours.has_failure_by_likeness();
        let is_other = theirs.is_some() && ours.interaction_id.is_some();
        if is_same {
            let ours = self.transactions.get_mut(id)?;
            ours.state_without_likeness = None;
            return None;
        }
        if is_other || is_contrary { self.take_back_likeness(id) } else { None }
    }

    /// An effect that was added because no transaction was known to be it is one
    /// with the transaction that the report names by both ids.
    fn remove_duplicate_effect(&mut self, id: &TransactionId, report: &Report) {
        let Some(ours) = self.transactions.get(id) else { return };
        let (kind, amount) = (ours.kind, ours.amount);
        let Some(name) = report.interaction_id.as_ref() else { return };
        let is_duplicate = |other: &&Transaction| {
            other.id != *id
                && other.is_external
                && (other.kind, other.amount) == (kind, amount)
                && other.interaction_id.as_ref() == Some(name)
        };
        let duplicate = self.transactions.values().find(is_duplicate).map(|one| one.id.clone());
        if let Some(duplicate) = duplicate {
            self.transactions.remove(&duplicate);
            self.rebook_as_it_is();
        }
    }

    /// Takes back what likeness decided about the transaction. Returns the report
    /// that was taken for it.
    pub(super) fn take_back_likeness(&mut self, id: &TransactionId) -> Option<Placed> {
        let ours = self.transactions.get_mut(id)?;
        let known = ours.state_without_likeness.take()?;
        let failed = ours.waiting_failure.take();
        let is_contradicted = std::mem::take(&mut ours.is_disputed);
        let is_failure = failed.is_some() || is_contradicted;
        let state = if is_failure { State::Failure } else { ours.state };
        let by = ours.reported.take();
        let report = Report {
            kind: ours.kind,
            state,
            amount: ours.amount,
            timestamp: None,
            interaction_id: ours.interaction_id.take(),
            interface_id: ours.interface_id.take(),
        };
        ours.state = known;
        ours.state_awaiting_balances = None;
        self.rebook_as_it_is();
        Some(Placed { report, by: failed.or(by)? })
    }

    /// Finds another place for a report that was taken back from `from`.
    pub(super) fn place(&mut self, from: &TransactionId, placed: Option<Placed>) {
        let Some(Placed { report, by }) = placed else { return };
        match self.match_report(&report, Some(from)) {
            Match::ById(id) | Match::ByLikeness(id) => {
                let reporter = Reporter { by: by.by, at: by.at, is_trusted: false };
                self.record_by_likeness(&id, &report, &reporter);
            }
            Match::New => {
                let id = event_id(from, self.version);
                self.add_effect(&id, &report, &by);
            }
        }
    }

    /// Records that a transaction is reported to be in this state. Returns whether
    /// that changed anything.
    pub(super) fn report_state(
        &mut self,
        id: &TransactionId,
        state: State,
        reporter: &Reporter,
        certainty: Certainty,
    ) -> bool {
        let Some(ours) = self.transactions.get(id) else { return false };
        let before = (ours.clone(), self.balances);
        match state {
            State::Success => self.report_success(id, reporter.at),
            State::Failure => self.report_failure(id, reporter, certainty),
            State::Pending => self.report_pending(id, reporter.at),
            State::Initial | State::Unknown => {}
        }
        let Some(ours) = self.transactions.get_mut(id) else { return false };
        let is_effective = (&*ours, self.balances) != (&before.0, before.1);
        if is_effective {
            ours.reported = Some(reporter.signature());
            self.book_waiting(reporter.at);
        }
        is_effective
    }

    fn report_success(&mut self, id: &TransactionId, at: Timestamp) {
        let Some(ours) = self.transactions.get_mut(id) else { return };
        ours.waiting_failure = None;
        if ours.state == State::Success {
            ours.state_awaiting_balances = None;
            ours.is_disputed = false;
            return;
        }
        self.book(id, State::Success, at);
        if let Some(ours) = self.transactions.get_mut(id) {
            ours.is_disputed = false;
        }
    }

    fn report_pending(&mut self, id: &TransactionId, at: Timestamp) {
        let Some(ours) = self.transactions.get(id) else { return };
        let is_unclear = matches!(ours.state, State::Initial | State::Unknown);
        if is_unclear && !ours.is_discrepant() {
            self.book(id, State::Pending, at);
        }
    }

    /// A Failure gives money back, so it counts only when its connector has
    /// stopped working on it, and not against an answer by likeness alone.
    fn report_failure(&mut self, id: &TransactionId, reporter: &Reporter, certainty: Certainty) {
        let is_in_flight = self.is_in_flight(id);
        let Some(ours) = self.transactions.get_mut(id) else { return };
        if ours.state == State::Failure {
            ours.state_awaiting_balances = None;
            ours.is_disputed = false;
            return;
        }
        let has_answer = ours.known_state() == State::Success;
        let is_guess = certainty == Certainty::Likeness && has_answer;
        if is_guess && ours.kind.is_action_kind() {
            return self.dispute(id, reporter.at);
        }
        if !ours.accepts_failure(is_in_flight, reporter) {
            let signature = reporter.signature();
            ours.waiting_failure.get_or_insert(signature);
            ours.look_when_window_ends();
            if ours.state == State::Success {
                self.dispute(id, reporter.at);
            }
            return;
        }
        ours.waiting_failure = None;
        self.book(id, State::Failure, reporter.at);
        if let Some(ours) = self.transactions.get_mut(id) {
            ours.is_disputed = false;
        }
    }

    /// Counts the reported Failures whose time has come, unless something positive
    /// came meanwhile. Returns the Payment, where that changes it.
    pub fn apply_waiting_failures(&self, at: Timestamp, is_trusted: bool) -> Option<Self> {
        let mut next = self.changed(at);
        let waiting = self.transactions.values().filter(|ours| ours.waiting_failure.is_some());
        for ours in waiting {
            let Some(Reported { by, at: reported_at }) = ours.waiting_failure.clone() else {
                continue;
            };
            let reporter = Reporter { by, at, is_trusted };
            let is_by_likeness = ours.state_without_likeness.is_some();
            let is_clear = !is_by_likeness || self.is_only_candidate(ours, reported_at);
            if is_clear && ours.accepts_failure(self.is_in_flight(&ours.id), &reporter) {
                next.count_waiting_failure(&ours.id, at);
            }
        }
        (next.transactions != self.transactions).then_some(next)
    }

    fn count_waiting_failure(&mut self, id: &TransactionId, at: Timestamp) {
        let Some(ours) = self.transactions.get_mut(id) else { return };
        ours.reported = ours.waiting_failure.take().or(ours.reported.take());
        ours.is_disputed = false;
        self.book(id, State::Failure, at);
        self.book_waiting(at);
    }
}

/// A report, with its author, that is to find its transaction.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    report: Report,
    by: Reported,
}

impl Reporter {
    pub(super) fn signature(&self) -> Reported {
        const BY_MAX: usize = 256;
        let by = self.by.as_deref().map(|by| by.chars().take(BY_MAX).collect());
        Reported { by, at: self.at }
    }
}

impl Transaction {
    /// Whether a reported Failure counts now. It never does while the transaction
    /// is at its connector; nor, of a connector whose word is not trusted, while it
    /// may still be the word of the one that is at work.
    fn accepts_failure(&self, is_in_flight: bool, reporter: &Reporter) -> bool {
        let is_unclear =
            matches!(self.state, State::Initial | State::Unknown) || self.was_sent_by_us();
        let may_be_at_work = is_unclear && reporter.at < self.window_ends();
        !is_in_flight && (reporter.is_trusted || !may_be_at_work || !self.kind.is_action_kind())
    }

    /// Sees to it that recovery counts a waiting Failure as soon as it may.
    fn look_when_window_ends(&mut self) {
        let window_ends = self.window_ends();
        let planned = self.recovery.look_at;
        self.recovery.look_at = planned.map(|planned| planned.min(window_ends));
    }
}
