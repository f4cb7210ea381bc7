//! The state that a report gives a transaction. A Failure gives money back, so it
//! waits until its connector cannot be at work any more, and then counts unless
//! something positive came meanwhile.

#![warn(clippy::wildcard_enum_match_arm)]

use super::recover::FIRST_LOOK_MS;
use super::reports::Certainty;
use super::{Payment, Reported, Reporter, State, Timestamp, Transaction, TransactionId};

impl Payment {
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

impl State {
    /// The state after another report about the same effect.
    pub(super) fn on_hearing(self, heard: Self) -> Self {
        match (self, heard) {
            (_, Self::Success) => Self::Success,
            (_, Self::Failure) => Self::Failure,
            (Self::Initial | Self::Unknown, Self::Pending) => Self::Pending,
            (_, Self::Pending | Self::Initial | Self::Unknown) => self,
        }
    }
}

impl Transaction {
    /// True if a reported Failure counts now. It never does while the transaction
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
