//! Applying the reported state of a transaction. A Failure releases a hold, so it waits
//! until the connector has stopped working on the transaction. Then it counts, unless an
//! approval came in the meantime.

#![warn(clippy::wildcard_enum_match_arm)]

use super::recover::FIRST_LOOK_MS;
use super::reports::Certainty;
use super::{Payment, Reported, Reporter, State, Timestamp, Transaction, TransactionId};

impl Payment {
    /// Records the reported state of a transaction. Returns true if that changed anything.
    pub(super) fn report_state(
        &mut self,
        id: &TransactionId,
        state: State,
        reporter: &Reporter,
        certainty: Certainty,
    ) -> bool {
        let Some(transaction) = self.transactions.get(id) else { return false };
        let before = (transaction.clone(), self.balances);
        match state {
            State::Success => self.report_success(id, reporter.at),
            State::Failure => self.report_failure(id, reporter, certainty),
            State::Pending => self.report_pending(id, reporter.at),
            State::Initial | State::Unknown => {}
        }
        let Some(transaction) = self.transactions.get_mut(id) else { return false };
        let is_effective = (&*transaction, self.balances) != (&before.0, before.1);
        if is_effective {
            transaction.reported = Some(reporter.signature());
            self.book_waiting(reporter.at);
        }
        is_effective
    }

    fn report_success(&mut self, id: &TransactionId, at: Timestamp) {
        let Some(transaction) = self.transactions.get_mut(id) else { return };
        transaction.waiting_failure = None;
        if transaction.state == State::Success {
            transaction.state_awaiting_balances = None;
            transaction.is_disputed = false;
            return;
        }
        self.book(id, State::Success, at);
        if let Some(transaction) = self.transactions.get_mut(id) {
            transaction.is_disputed = false;
        }
    }

    fn report_pending(&mut self, id: &TransactionId, at: Timestamp) {
        let Some(transaction) = self.transactions.get(id) else { return };
        let is_unclear = matches!(transaction.state, State::Initial | State::Unknown);
        // Only after a Failure that the connector answered. A reported Failure may be
        // newer than this report.
        let is_refuted = transaction.state == State::Failure
            && transaction.state_awaiting_balances.is_none()
            && transaction.reported.is_none()
            && transaction.kind.is_action_kind();
        if is_unclear && !transaction.is_discrepant() || is_refuted {
            self.book(id, State::Pending, at);
        }
    }

    /// Records a reported Failure. It counts only when the connector has stopped working
    /// on the transaction. By likeness alone, it does not override an approval.
    fn report_failure(&mut self, id: &TransactionId, reporter: &Reporter, certainty: Certainty) {
        let is_in_flight = self.is_in_flight(id);
        let Some(transaction) = self.transactions.get_mut(id) else { return };
        if transaction.state == State::Failure {
            transaction.state_awaiting_balances = None;
            transaction.is_disputed = false;
            return;
        }
        let has_answer = transaction.known_state() == State::Success;
        let is_guess = certainty == Certainty::Likeness && has_answer;
        if is_guess && transaction.kind.is_action_kind() {
            self.dispute(id, reporter.at);
            return;
        }
        if !transaction.accepts_failure(is_in_flight, reporter) {
            return self.defer_failure(id, reporter, certainty);
        }
        transaction.waiting_failure = None;
        self.book(id, State::Failure, reporter.at);
        if let Some(transaction) = self.transactions.get_mut(id) {
            transaction.is_disputed = false;
        }
    }

    /// Keeps a Failure until the connector has stopped working on the transaction. A
    /// transaction that was reported as a Success is open again, or disputed.
    fn defer_failure(&mut self, id: &TransactionId, reporter: &Reporter, certainty: Certainty) {
        let is_in_flight = self.is_in_flight(id);
        let Some(transaction) = self.transactions.get_mut(id) else { return };
        // In a dispute, the Failure has to be reported again.
        if transaction.is_disputed {
            return;
        }
        transaction.waiting_failure.get_or_insert(reporter.signature());
        transaction.plan_look_at_window_end();
        if transaction.state != State::Success {
            return;
        }
        let mut open = self.clone();
        if let Some(transaction) = open.transactions.get_mut(id) {
            let is_first_attempt = is_in_flight && transaction.known_state() == State::Initial;
            transaction.state = if is_first_attempt { State::Initial } else { State::Unknown };
            transaction.recovery.look_at = Some(reporter.at.plus_ms(FIRST_LOOK_MS));
        }
        open.rebook_as_it_is();
        if certainty == Certainty::Likeness && open.exceeds_no_more_than(self) {
            *self = open;
        } else {
            self.dispute(id, reporter.at);
        }
    }

    /// Applies the waiting Failures that count by now. Returns the changed Payment, or
    /// `None` if nothing changes.
    pub fn apply_waiting_failures(&self, at: Timestamp, is_trusted: bool) -> Option<Self> {
        let mut next = self.changed(at);
        let waiting =
            self.transactions.values().filter(|transaction| transaction.waiting_failure.is_some());
        // A dispute is not resolved by time.
        let waiting = waiting.filter(|transaction| !transaction.is_disputed);
        for transaction in waiting {
            let Some(Reported { by, at: reported_at }) = transaction.waiting_failure.clone() else {
                continue;
            };
            let reporter = Reporter { by, at, is_trusted };
            let is_clear = transaction.likeness.as_ref().is_none_or(|likeness| {
                !likeness.came_in_flight && self.is_only_candidate(transaction, reported_at)
            });
            if is_clear
                && transaction.accepts_failure(self.is_in_flight(&transaction.id), &reporter)
            {
                next.count_waiting_failure(&transaction.id, at);
            }
        }
        (next.transactions != self.transactions).then_some(next)
    }

    fn count_waiting_failure(&mut self, id: &TransactionId, at: Timestamp) {
        let Some(transaction) = self.transactions.get_mut(id) else { return };
        transaction.reported = transaction.waiting_failure.take().or(transaction.reported.take());
        transaction.is_disputed = false;
        self.book(id, State::Failure, at);
        self.book_waiting(at);
    }
}

impl State {
    /// The state after another report about the same effect.
    pub(super) fn after_report(self, reported: Self) -> Self {
        match (self, reported) {
            (_, Self::Success) => Self::Success,
            (_, Self::Failure) => Self::Failure,
            (Self::Initial | Self::Unknown, Self::Pending) => Self::Pending,
            (_, Self::Pending | Self::Initial | Self::Unknown) => self,
        }
    }
}

impl Transaction {
    /// True if a reported Failure counts now. It does not count while the transaction is in
    /// flight. From a connector whose rejections are not trusted, it does not count while
    /// that connector may still be working on the transaction.
    fn accepts_failure(&self, is_in_flight: bool, reporter: &Reporter) -> bool {
        let is_unclear =
            matches!(self.state, State::Initial | State::Unknown) || self.was_sent_by_us();
        let may_be_at_work = is_unclear && reporter.at < self.window_ends();
        !is_in_flight && (reporter.is_trusted || !may_be_at_work || !self.kind.is_action_kind())
    }

    /// Plans the next look of recovery for when a waiting Failure counts, at the latest.
    fn plan_look_at_window_end(&mut self) {
        let window_ends = self.window_ends();
        let planned = self.recovery.look_at;
        self.recovery.look_at = planned.map(|planned| planned.min(window_ends));
    }
}
