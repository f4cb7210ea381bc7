//! Discrepancies between the ledger and reports or answers. Until one is resolved,
//! nothing is taken from the side that it concerns, and disputed amounts stay held.

#![warn(clippy::wildcard_enum_match_arm)]

use super::recover::FIRST_LOOK_MS;
use super::{
    Inconsistent, Payment, RecoveryProgress, Reporter, Side, State, Timestamp, Transaction,
    TransactionId, UpdateRefusal,
};

impl Payment {
    /// The transactions for which a report contradicts the balances or the connector's
    /// answer. They need a further report or an operator.
    pub fn discrepancies(&self) -> impl Iterator<Item = &Transaction> {
        self.transactions.values().filter(|transaction| transaction.is_discrepant())
    }

    /// The discrepancies that stop this side.
    pub fn discrepancies_of(&self, side: Side) -> impl Iterator<Item = &Transaction> {
        self.discrepancies().filter(move |discrepant| discrepant.kind.concerns(side))
    }

    /// Marks the transaction as disputed: a report and an answer contradict each other. It
    /// is Unknown from now on and holds its amount, even if that exceeds the available
    /// amount. Returns true if it was not disputed before.
    pub(super) fn dispute(&mut self, id: &TransactionId, at: Timestamp) -> bool {
        let Some(transaction) =
            self.transactions.get_mut(id).filter(|transaction| !transaction.is_disputed)
        else {
            return false;
        };
        transaction.is_disputed = true;
        transaction.state = State::Unknown;
        transaction.state_awaiting_balances = None;
        let unclear_since = if transaction.is_external { None } else { Some(at) };
        let look_at = Some(at.plus_ms(FIRST_LOOK_MS));
        transaction.recovery = RecoveryProgress { unclear_since, look_at, ..transaction.recovery };
        self.rebook_as_it_is();
        true
    }

    /// True if the excess of this Payment is within that of `other`.
    pub(super) fn exceeds_no_more_than(&self, other: &Self) -> bool {
        match (other.excess(), self.excess()) {
            (Ok(before), Ok(after)) => after.is_within(before),
            (Err(_), _) | (_, Err(_)) => false,
        }
    }

    /// Resolves an excess that the changes since `before` left and that no discrepancy or
    /// acknowledgement allows: the changed transactions wait for the balances, one after
    /// the other, until the rest fits.
    pub(super) fn explain_excess(&mut self, before: &Self) {
        if self.check() != Err(Inconsistent::Excess) {
            return;
        }
        let state = |id| before.transactions.get(id).map_or(State::Failure, |one| one.state);
        let changed = self.transactions.values().filter(|one| state(&one.id) != one.state);
        let changed: Vec<_> = changed.map(|one| (one.id.clone(), state(&one.id))).collect();
        for (id, earlier) in changed {
            if self.may_exceed() && self.exceeds_no_more_than(before) {
                break;
            }
            if let Some(transaction) = self.transactions.get_mut(&id) {
                transaction.state_awaiting_balances = Some(transaction.state);
                transaction.state = earlier;
            }
            self.rebook_as_it_is();
        }
        if self.check() != Err(Inconsistent::Excess) {
            return;
        }
        // The discrepancy that allowed the excess is resolved: the newest of the other
        // transactions takes its place.
        for side in [Side::Captures, Side::Refunds] {
            self.defer_newest_of(side);
        }
    }

    /// If this side has an excess, marks its newest transaction as waiting for the
    /// balances, until they allow it or an operator accepts it.
    fn defer_newest_of(&mut self, side: Side) {
        let is_exceeded = self.excess().is_ok_and(|excess| match side {
            Side::Captures => !excess.placed.is_zero(),
            Side::Refunds => !excess.refunded.is_zero() || !excess.of_charges.is_zero(),
        });
        // The one in flight was admitted while its amount was available.
        let takes = |transaction: &&mut Transaction| {
            let is_counted = !matches!(transaction.state, State::Failure | State::Initial);
            transaction.kind.takes_from() == Some(side) && is_counted
        };
        let taking = self.transactions.values_mut().filter(takes);
        if let Some(newest) =
            taking.max_by_key(|transaction| transaction.timestamp).filter(|_| is_exceeded)
        {
            newest.state_awaiting_balances = Some(newest.state);
        }
    }

    /// Accepts that a transaction exceeds the available amount. Its reported state is
    /// booked, and an amount that becomes available later covers the excess first.
    pub(super) fn acknowledge(
        &mut self,
        id: &TransactionId,
        reporter: &Reporter,
    ) -> Result<(), UpdateRefusal> {
        let Some(transaction) = self.transactions.get_mut(id) else {
            return Err(UpdateRefusal::NoSuchTransaction(id.clone()));
        };
        let Some(state) = transaction.state_awaiting_balances.take() else {
            if transaction.acknowledged.is_some() && !transaction.is_disputed {
                return Ok(());
            }
            return Err(UpdateRefusal::NothingToAcknowledge(id.clone()));
        };
        transaction.acknowledged = Some(reporter.signature());
        transaction.become_state(state, reporter.at);
        self.rebook().map_err(|_| UpdateRefusal::TooMuch(id.clone()))?;
        self.book_waiting(reporter.at);
        Ok(())
    }

    /// Books a transaction in this state, or marks it as waiting for the balances.
    pub(super) fn book(&mut self, id: &TransactionId, state: State, at: Timestamp) {
        if let Some(next) = self.booked(&[(id.clone(), state)], at) {
            *self = next;
        } else if let Some(transaction) = self.transactions.get_mut(id) {
            transaction.state_awaiting_balances = Some(state);
        }
    }

    /// Books an approved transaction whose hold may have been released. If the balances no
    /// longer allow it, it is Unknown and holds its amount, even as an excess.
    pub(super) fn book_or_hold(&mut self, id: &TransactionId, state: State, at: Timestamp) {
        self.book(id, state, at);
        if let Some(transaction) = self.transactions.get_mut(id)
            && transaction.state_awaiting_balances.is_some()
            && !transaction.state.is_open()
        {
            transaction.state = State::Unknown;
            transaction.recovery.look_at = Some(at.plus_ms(FIRST_LOOK_MS));
            self.rebook_as_it_is();
        }
    }

    /// The Payment with all of these states booked, if that causes no new excess.
    fn booked(&self, reported: &[(TransactionId, State)], at: Timestamp) -> Option<Self> {
        let mut next = self.clone();
        for (id, state) in reported {
            let Some(transaction) = next.transactions.get_mut(id) else { continue };
            transaction.is_disputed = false;
            transaction.become_state(*state, at);
        }
        next.rebook().ok()?;
        let (before, after) = (self.excess().ok()?, next.excess().ok()?);
        // A discrepancy that allows an excess is not booked while the excess lasts, unless
        // an operator accepted it.
        let is_explanation = reported
            .iter()
            .any(|(id, _)| self.transactions.get(id).is_some_and(Transaction::is_discrepant));
        let is_accepted = next.transactions.values().any(|one| one.acknowledged.is_some());
        let is_explained = next.may_exceed() && (!is_explanation || is_accepted);
        let is_allowed = after.is_zero() || after.is_within(before) && is_explained;
        is_allowed.then_some(next)
    }

    /// Books the reported states that the balances did not allow before and now do.
    pub(super) fn book_waiting(&mut self, at: Timestamp) {
        // Each booking may allow another, and some are allowed only together.
        for _ in 0..self.transactions.len() {
            let waiting = self.awaiting_balances();
            if waiting.is_empty() {
                return;
            }
            if let Some(next) = self.booked(&waiting, at) {
                *self = next;
                return;
            }
            for (id, state) in &waiting {
                self.book(id, *state, at);
            }
            if self.awaiting_balances().len() == waiting.len() {
                return;
            }
        }
    }

    /// The transactions whose reported state waits for the balances, oldest first.
    fn awaiting_balances(&self) -> Vec<(TransactionId, State)> {
        let mut waiting: Vec<_> = self
            .transactions
            .values()
            .filter_map(|transaction| {
                Some((transaction.timestamp, &transaction.id, transaction.state_awaiting_balances?))
            })
            .collect();
        waiting.sort();
        waiting.into_iter().map(|(_, id, state)| (id.clone(), state)).collect()
    }

    /// Computes the balances also where there is an excess. If amounts cannot be added, the
    /// balances stay as they are, and the next [`Payment::check`] fails.
    pub(super) fn rebook_as_it_is(&mut self) {
        let before = self.balances;
        if self.rebook().is_err() {
            self.balances = before;
        }
    }
}

impl Transaction {
    /// Changes its state, and resets or plans its recovery accordingly.
    fn become_state(&mut self, state: State, at: Timestamp) {
        self.state = state;
        self.state_awaiting_balances = None;
        self.recovery = match state {
            State::Failure => RecoveryProgress::default(),
            // Its connector may still be working on it.
            State::Success => RecoveryProgress {
                unclear_since: self.recovery.unclear_since,
                ..RecoveryProgress::default()
            },
            State::Initial | State::Pending | State::Unknown => {
                RecoveryProgress { look_at: Some(at.plus_ms(FIRST_LOOK_MS)), ..self.recovery }
            }
        };
    }
}
