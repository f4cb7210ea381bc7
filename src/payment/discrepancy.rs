//! Where the ledger and the world do not agree. Until that is over, nothing is
//! taken from the side that it concerns, and what is in dispute stays held.

#![warn(clippy::wildcard_enum_match_arm)]

use super::recover::FIRST_LOOK_MS;
use super::{
    Inconsistent, Payment, RecoveryProgress, Reporter, Side, State, Timestamp, Transaction,
    TransactionId, UpdateRefusal,
};

impl Payment {
    /// The transactions that report and balances, or report and answer, do not
    /// agree about: somebody has to look.
    pub fn discrepancies(&self) -> impl Iterator<Item = &Transaction> {
        self.transactions.values().filter(|transaction| transaction.is_discrepant())
    }

    /// The discrepancies because of which nothing may be taken from this side.
    pub fn discrepancies_of(&self, side: Side) -> impl Iterator<Item = &Transaction> {
        self.discrepancies().filter(move |discrepant| discrepant.kind.concerns(side))
    }

    /// Notes that report and answer contradict each other. The transaction is
    /// Unknown from now on, and holds its amount, even where that was given away.
    /// Returns whether that is new.
    pub(super) fn dispute(&mut self, id: &TransactionId, at: Timestamp) -> bool {
        let Some(ours) = self.transactions.get_mut(id).filter(|ours| !ours.is_disputed) else {
            return false;
        };
        ours.is_disputed = true;
        ours.state = State::Unknown;
        ours.state_awaiting_balances = None;
        let unclear_since = if ours.is_external { None } else { Some(at) };
        let look_at = Some(at.plus_ms(FIRST_LOOK_MS));
        ours.recovery = RecoveryProgress { unclear_since, look_at, ..ours.recovery };
        self.rebook_as_it_is();
        true
    }

    /// True if this exceeds what there is nowhere more than `other` does.
    pub(super) fn exceeds_no_more_than(&self, other: &Self) -> bool {
        match (other.excess(), self.excess()) {
            (Ok(before), Ok(after)) => after.is_within(before),
            (Err(_), _) | (_, Err(_)) => false,
        }
    }

    /// Where updates left more than there is, and nothing says why, what they changed
    /// waits for the balances, one after the other until it fits.
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
            if let Some(ours) = self.transactions.get_mut(&id) {
                ours.state_awaiting_balances = Some(ours.state);
                ours.state = earlier;
            }
            self.rebook_as_it_is();
        }
        if self.check() != Err(Inconsistent::Excess) {
            return;
        }
        // What said why there is more does no longer: the newest of the others does.
        for side in [Side::Captures, Side::Refunds] {
            self.doubt_newest_of(side);
        }
    }

    /// Where there is more on this side than there can be, the newest transaction of
    /// it says so until there is room for it, or somebody accepts that.
    fn doubt_newest_of(&mut self, side: Side) {
        let is_exceeded = self.excess().is_ok_and(|excess| match side {
            Side::Captures => !excess.placed.is_zero(),
            Side::Refunds => !excess.refunded.is_zero() || !excess.of_charges.is_zero(),
        });
        // One at its connector was admitted when there was room for it.
        let takes = |ours: &&mut Transaction| {
            let is_counted = !matches!(ours.state, State::Failure | State::Initial);
            ours.kind.takes_from() == Some(side) && is_counted
        };
        let taking = self.transactions.values_mut().filter(takes);
        if let Some(newest) = taking.max_by_key(|ours| ours.timestamp).filter(|_| is_exceeded) {
            newest.state_awaiting_balances = Some(newest.state);
        }
    }

    /// Accepts that a transaction exceeds what there is: it is booked as it was
    /// reported, and what makes room later fills the excess first.
    pub(super) fn acknowledge(
        &mut self,
        id: &TransactionId,
        reporter: &Reporter,
    ) -> Result<bool, UpdateRefusal> {
        let Some(ours) = self.transactions.get_mut(id) else {
            return Err(UpdateRefusal::NoSuchTransaction(id.clone()));
        };
        let Some(state) = ours.state_awaiting_balances.take() else {
            if ours.acknowledged.is_some() && !ours.is_disputed {
                return Ok(false);
            }
            return Err(UpdateRefusal::NothingToAcknowledge(id.clone()));
        };
        ours.acknowledged = Some(reporter.signature());
        ours.become_state(state, reporter.at);
        self.rebook().map_err(|_| UpdateRefusal::TooMuch(id.clone()))?;
        self.book_waiting(reporter.at);
        Ok(true)
    }

    /// Books a transaction in this state, or notes that the balances do not allow
    /// it.
    pub(super) fn book(&mut self, id: &TransactionId, state: State, at: Timestamp) {
        if let Some(next) = self.booked(&[(id.clone(), state)], at) {
            *self = next;
        } else if let Some(ours) = self.transactions.get_mut(id) {
            ours.state_awaiting_balances = Some(state);
        }
    }

    /// Books that a transaction happened whose hold may have been given back: where
    /// the balances do not allow it any more, it holds its amount all the same.
    pub(super) fn book_or_hold(&mut self, id: &TransactionId, state: State, at: Timestamp) {
        self.book(id, state, at);
        if let Some(ours) = self.transactions.get_mut(id)
            && ours.state_awaiting_balances.is_some()
            && !ours.state.is_open()
        {
            ours.state = State::Unknown;
            ours.recovery.look_at = Some(at.plus_ms(FIRST_LOOK_MS));
            self.rebook_as_it_is();
        }
    }

    /// The Payment with all of these booked, if that exceeds nothing that it did
    /// not exceed before.
    fn booked(&self, reported: &[(TransactionId, State)], at: Timestamp) -> Option<Self> {
        let mut next = self.clone();
        for (id, state) in reported {
            let Some(ours) = next.transactions.get_mut(id) else { continue };
            ours.is_disputed = false;
            ours.become_state(*state, at);
        }
        next.rebook().ok()?;
        let (before, after) = (self.excess().ok()?, next.excess().ok()?);
        // One that says itself why there is more goes on to say so, unless somebody
        // accepted that.
        let is_explanation = reported
            .iter()
            .any(|(id, _)| self.transactions.get(id).is_some_and(Transaction::is_discrepant));
        let is_accepted = next.transactions.values().any(|one| one.acknowledged.is_some());
        let is_explained = next.may_exceed() && (!is_explanation || is_accepted);
        let is_allowed = after.is_zero() || after.is_within(before) && is_explained;
        is_allowed.then_some(next)
    }

    /// Books what the balances did not allow when it was reported, and now do.
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

    /// The transactions that are still to be booked, the oldest first.
    fn awaiting_balances(&self) -> Vec<(TransactionId, State)> {
        let mut waiting: Vec<_> = self
            .transactions
            .values()
            .filter_map(|ours| Some((ours.timestamp, &ours.id, ours.state_awaiting_balances?)))
            .collect();
        waiting.sort();
        waiting.into_iter().map(|(_, id, state)| (id.clone(), state)).collect()
    }

    /// Computes the balances though something may exceed what there is. Amounts
    /// that cannot be added at all leave them as they are, so that the check of the
    /// next reader refuses them.
    pub(super) fn rebook_as_it_is(&mut self) {
        let before = self.balances;
        if self.rebook().is_err() {
            self.balances = before;
        }
    }
}

impl Transaction {
    /// Puts it into this state, and its recovery where that state needs it.
    fn become_state(&mut self, state: State, at: Timestamp) {
        self.state = state;
        self.state_awaiting_balances = None;
        self.recovery = match state {
            State::Failure => RecoveryProgress::default(),
            // Its connector may still be at work.
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
