//! Reports: what connectors, webhooks and operators say happened at the PSP. A
//! report about a transaction of ours *is* that transaction, in whatever order the
//! connector's answer, the report and recovery come. An effect that nobody asked
//! for here moves the balances all the same.

#![warn(clippy::wildcard_enum_match_arm)]

use super::likeness::TakenBack;
use super::matching::Match;
use super::recover::FIRST_LOOK_MS;
use super::{
    Likeness, Payment, RecoveryProgress, Reported, State, Timestamp, Transaction, TransactionId,
    TransactionKind, UpdateRefusal,
};
use crate::money::Money;

/// An effect at the PSP, as somebody else saw it: as an update tells of it, or as
/// the platform shows it in a look-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What it does.
    pub kind: TransactionKind,
    /// How far it is.
    pub state: State,
    /// How much it moves.
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
        self.forget_refuted_failure(report);
        match self.match_report(report, None) {
            Match::ById(id) => Ok(self.record_by_id(&id, report, reporter)),
            Match::ByLikeness(id) => Ok(self.record_by_likeness(&id, report, reporter)),
            Match::Other(id) => Ok(self.record_other_amount(&id, report, reporter)),
            Match::New if self.transactions.len() >= Self::TRANSACTIONS_MAX_REPORTED => {
                Err(UpdateRefusal::TooManyTransactions)
            }
            Match::New => {
                self.add_effect(new, report, &reporter.signature());
                Ok(true)
            }
        }
    }

    /// What happened by the id of a Failure that was first taken for a transaction of
    /// ours is that transaction: the Failure was not true.
    fn forget_refuted_failure(&mut self, report: &Report) {
        if report.state == State::Failure {
            return;
        }
        let Match::ById(id) = self.match_report(report, None) else { return };
        let failed = self.transactions.get(&id).filter(|effect| effect.state == State::Failure);
        let Some(ours) = failed.and_then(|effect| effect.taken_for.as_ref()) else { return };
        if self.match_report(report, Some(&id)) == Match::ByLikeness(ours.clone()) {
            self.transactions.remove(&id);
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
    /// effect that is rather its. `displaced` was taken for it before. Returns whether
    /// its state is news.
    pub(super) fn report_known_state(
        &mut self,
        id: &TransactionId,
        state: State,
        displaced: Option<TakenBack>,
        reporter: &Reporter,
    ) -> bool {
        let had_failed =
            self.transactions.get(id).is_some_and(|ours| ours.known_state() == State::Failure);
        let is_news = self.report_state(id, state, reporter, Certainty::Id);
        self.place(id, displaced);
        if is_news && state == State::Success {
            self.claim_effect_of_open_one(id);
            if had_failed {
                self.claim_added_effect(id, reporter.at);
            }
        }
        is_news
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

    /// Records a report whose effect is taken to be this transaction, because it is
    /// alike.
    pub(super) fn record_by_likeness(
        &mut self,
        id: &TransactionId,
        report: &Report,
        reporter: &Reporter,
    ) -> bool {
        let before = self.transactions.clone();
        let is_failure = report.state == State::Failure;
        let displaced = match self.transactions.get(id) {
            Some(ours) if ours.gives_way_to(report) => {
                self.take_back_likeness(id)
            }
            Some(_) | None => None,
        };
        let is_in_flight = self.is_in_flight(id);
        let Some(ours) = self.transactions.get_mut(id) else { return false };
        // A Failure that does not identify what was reported to have happened may be
        // another's.
        let is_contrary = is_failure && (ours.state == State::Success || ours.is_disputed);
        let (known, had_likeness) = (ours.known_state(), ours.likeness.is_some());
        let gave_interaction_id = ours.interaction_id.is_none();
        let gave_interface_id = ours.interface_id.is_none();
        // One that was reported as failed by its id takes the name, and stays known.
        let is_known_to_fail = ours.waiting_failure.is_some();
        let is_named = self.name(id, report);
        if let Some(ours) = self.transactions.get_mut(id)
            && !had_likeness
            && !is_known_to_fail
        {
            ours.likeness = Some(Likeness {
                known,
                told: report.state,
                gave_interaction_id: gave_interaction_id && ours.interaction_id.is_some(),
                gave_interface_id: gave_interface_id && ours.interface_id.is_some(),
                timestamp: report.timestamp,
                came_in_flight: is_in_flight,
                by: reporter.signature(),
            });
        } else if let Some(likeness) =
            self.transactions.get_mut(id).and_then(|ours| ours.likeness.as_mut())
            && !is_contrary
        {
            likeness.told = likeness.told.on_hearing(report.state);
            likeness.came_in_flight &= is_in_flight;
            likeness.gave_interaction_id |= gave_interaction_id && report.interaction_id.is_some();
            likeness.gave_interface_id |= gave_interface_id && report.interface_id.is_some();
        }
        let is_news = if is_contrary {
            self.dispute(id, reporter.at)
        } else {
            self.report_state(id, report.state, reporter, Certainty::Likeness)
        };
        if !is_named && !is_news && displaced.is_none() {
            self.transactions = before;
            return false;
        }
        self.place(id, displaced);
        self.transactions != before
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
            likeness: None,
            taken_for: None,
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
        // After a Failure that was answered, and not after one that was reported: that
        // report may have come first.
        let is_refuted = ours.state == State::Failure
            && ours.state_awaiting_balances.is_none()
            && ours.reported.is_none()
            && ours.kind.is_action_kind();
        if is_unclear && !ours.is_discrepant() || is_refuted {
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
            self.dispute(id, reporter.at);
            return;
        }
        if !ours.accepts_failure(is_in_flight, reporter) {
            return self.let_failure_wait(id, reporter, certainty);
        }
        ours.waiting_failure = None;
        self.book(id, State::Failure, reporter.at);
        if let Some(ours) = self.transactions.get_mut(id) {
            ours.is_disputed = false;
        }
    }

    /// Keeps a Failure until its connector cannot be at work any more. What was
    /// reported to have happened is open again, or in dispute.
    fn let_failure_wait(&mut self, id: &TransactionId, reporter: &Reporter, certainty: Certainty) {
        let is_in_flight = self.is_in_flight(id);
        let Some(ours) = self.transactions.get_mut(id) else { return };
        // One that is in dispute waits for somebody to say it again.
        if ours.is_disputed {
            return;
        }
        ours.waiting_failure.get_or_insert(reporter.signature());
        ours.look_when_window_ends();
        if ours.state != State::Success {
            return;
        }
        let mut open = self.clone();
        if let Some(ours) = open.transactions.get_mut(id) {
            ours.state = if is_in_flight { State::Initial } else { State::Unknown };
            ours.recovery.look_at = Some(reporter.at.plus_ms(FIRST_LOOK_MS));
        }
        open.rebook_as_it_is();
        if certainty == Certainty::Likeness && open.exceeds_no_more_than(self) {
            *self = open;
        } else {
            self.dispute(id, reporter.at);
        }
    }

    /// Counts the reported Failures whose time has come, unless something positive
    /// came meanwhile. Returns the Payment, where that changes it.
    pub fn apply_waiting_failures(&self, at: Timestamp, is_trusted: bool) -> Option<Self> {
        let mut next = self.changed(at);
        let waiting = self.transactions.values().filter(|ours| ours.waiting_failure.is_some());
        // Time does not settle a contradiction.
        let waiting = waiting.filter(|ours| !ours.is_disputed);
        for ours in waiting {
            let Some(Reported { by, at: reported_at }) = ours.waiting_failure.clone() else {
                continue;
            };
            let reporter = Reporter { by, at, is_trusted };
            let is_clear = ours.likeness.as_ref().is_none_or(|likeness| {
                !likeness.came_in_flight && self.is_only_candidate(ours, reported_at)
            });
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

impl Reporter {
    pub(super) fn signature(&self) -> Reported {
        const BY_MAX: usize = 256;
        let by = self.by.as_deref().map(|by| by.chars().take(BY_MAX).collect());
        Reported { by, at: self.at }
    }
}

impl State {
    /// The state after another report about the same effect.
    fn on_hearing(self, heard: Self) -> Self {
        match (self, heard) {
            (_, Self::Success) => Self::Success,
            (_, Self::Failure) => Self::Failure,
            (Self::Initial | Self::Unknown, Self::Pending) => Self::Pending,
            (_, Self::Pending | Self::Initial | Self::Unknown) => self,
        }
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
