//! Facts: what somebody who can know says that happened. A fact that concerns a
//! transaction of ours *is* that transaction, in whatever order the answer of its
//! connector, the fact and recovery come. What nobody asked for moves the balances
//! all the same; where they do not allow it, it is kept until they do.

#![warn(clippy::wildcard_enum_match_arm)]

use super::recover::FIRST_LOOK_MS;
use super::{
    Balances, Inconsistent, Payment, Pursuit, Reported, State, Timestamp, Transaction,
    TransactionId, TransactionKind, UpdateRefusal,
};
use crate::money::Money;
use crate::mutants::Mutant;
use std::collections::BTreeMap;

/// A transaction, as somebody else saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// What it does.
    pub kind: TransactionKind,
    /// How far it is.
    pub state: State,
    /// How much it moves: at least one minor unit.
    pub amount: Money,
    /// When, where that is said.
    pub timestamp: Option<Timestamp>,
    /// The PSP's id of it.
    pub interaction_id: Option<String>,
    /// The connector's id of it.
    pub interface_id: Option<String>,
}

/// Who says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reporter {
    /// By which name, where callers have one.
    pub by: Option<String>,
    /// When.
    pub at: Timestamp,
    /// Whether the connector's word counts that nothing moved: what it reports
    /// while it is called is worth what its answer is worth.
    pub is_trusted: bool,
}

impl Payment {
    /// The transactions that facts and balances, or facts and answers, do not
    /// agree about: somebody has to look.
    pub fn discrepancies(&self) -> impl Iterator<Item = &Transaction> {
        self.transactions.values().filter(|transaction| transaction.is_discrepant())
    }

    /// Takes up a fact. Says whether it changed anything.
    pub(super) fn learn(
        &mut self,
        new: &TransactionId,
        fact: &Fact,
        reporter: &Reporter,
    ) -> Result<bool, UpdateRefusal> {
        let (expected, found) = (self.currency(), fact.amount.currency());
        if found != expected {
            return Err(UpdateRefusal::OtherCurrency { expected, found });
        }
        let Some(id) = self.meant(fact) else {
            self.add(new, fact, reporter)?;
            return Ok(true);
        };
        let is_named = !Mutant::ForgetNames.is_on() && self.name(&id, fact);
        let is_news = self.hear(&id, fact.state, reporter);
        Ok(is_news || is_named || Mutant::CountRepeatedFacts.is_on())
    }

    /// Notes what the fact calls the transaction.
    fn name(&mut self, id: &TransactionId, fact: &Fact) -> bool {
        let Some(ours) = self.transactions.get_mut(id) else { return false };
        let before = ours.clone();
        // Our own id is what it is shown by until somebody else calls it something.
        let foreign = |name: &Option<String>| name.clone().filter(|name| name != id.as_str());
        ours.interaction_id = ours.interaction_id.take().or_else(|| foreign(&fact.interaction_id));
        ours.interface_id = ours.interface_id.take().or_else(|| foreign(&fact.interface_id));
        *ours != before
    }

    /// What nobody here asked for.
    fn add(
        &mut self,
        id: &TransactionId,
        fact: &Fact,
        reporter: &Reporter,
    ) -> Result<(), UpdateRefusal> {
        if self.transactions.len() >= Self::FACTS_MAX {
            return Err(UpdateRefusal::TooManyTransactions);
        }
        // As one that moved nothing, until it is booked.
        let added = Transaction {
            id: id.clone(),
            kind: fact.kind,
            state: State::Failure,
            amount: fact.amount,
            timestamp: fact.timestamp.unwrap_or(reporter.at),
            reverses: false,
            charge: None,
            refundable: None,
            merchant_reference: None,
            interaction_id: fact.interaction_id.clone(),
            interface_id: fact.interface_id.clone(),
            happened_at: None,
            unbooked: None,
            is_disputed: false,
            reported: Some(reporter.signature()),
            pursuit: Pursuit::default(),
        };
        self.transactions.insert(id.clone(), added);
        // Somebody else may be at the PSP with one that has only begun.
        let state = if fact.state == State::Initial { State::Unknown } else { fact.state };
        self.book(id, state, reporter.at);
        self.book_waiting(reporter.at);
        Ok(())
    }

    /// Hears that a transaction is that far. Says whether it changed anything.
    pub(super) fn hear(&mut self, id: &TransactionId, state: State, reporter: &Reporter) -> bool {
        let is_in_flight = self.is_in_flight(id);
        let Some(ours) = self.transactions.get_mut(id) else { return false };
        let before = ours.clone();
        let is_believed = ours.believes(state, is_in_flight, reporter);
        let to = if is_believed { ours.state.on_hearing(state) } else { ours.state };
        ours.is_disputed |= !is_believed && ours.state == State::Success;
        if to == state && !state.is_open() {
            ours.unbooked = None;
            ours.is_disputed = false;
        }
        let from = ours.state;
        if to != from {
            self.book(id, to, reporter.at);
        }
        let Some(ours) = self.transactions.get_mut(id) else { return false };
        let is_effective = *ours != before;
        if is_effective {
            ours.reported = Some(reporter.signature());
            self.book_waiting(reporter.at);
            if Mutant::FactFreesSlot.is_on() && is_in_flight {
                self.in_flight = None;
            }
        }
        is_effective
    }

    /// An answer of the connector that contradicts what was final before. The fact
    /// stands, whichever came first, and somebody has to look. Says whether that is
    /// news.
    pub(super) fn dispute(&mut self, id: &TransactionId) -> bool {
        let Some(ours) = self.transactions.get_mut(id) else { return false };
        !std::mem::replace(&mut ours.is_disputed, true)
    }

    /// Books a transaction in this state, or notes that the balances do not allow
    /// it.
    fn book(&mut self, id: &TransactionId, state: State, at: Timestamp) {
        if let Some(next) = self.booked(&[(id.clone(), state)], at) {
            *self = next;
        } else if let Some(ours) = self.transactions.get_mut(id) {
            ours.unbooked = Some(state).filter(|_| !Mutant::DropWhatDoesNotFit.is_on());
        }
    }

    /// The Payment with all of these booked, if the balances allow it.
    fn booked(&self, facts: &[(TransactionId, State)], at: Timestamp) -> Option<Self> {
        let mut next = self.clone();
        for (id, state) in facts {
            let Some(ours) = next.transactions.get_mut(id) else { continue };
            ours.state = *state;
            ours.unbooked = None;
            ours.pursuit = match state {
                State::Failure => Pursuit::default(),
                // Its connector may still be at work.
                State::Success => {
                    let unclear_since = ours.pursuit.unclear_since;
                    Pursuit { unclear_since, ..Pursuit::default() }
                }
                State::Initial | State::Pending | State::Unknown => {
                    Pursuit { look_at: Some(at.plus_ms(FIRST_LOOK_MS)), ..ours.pursuit }
                }
            };
        }
        let before = self.balances;
        let is_allowed = next.rebook().is_ok() || Mutant::BookWhatDoesNotFit.is_on();
        if Mutant::FlipWithoutBalances.is_on() {
            next.balances = before;
        }
        is_allowed.then_some(next)
    }

    /// Books what the balances did not allow when it was reported, and now do.
    pub(super) fn book_waiting(&mut self, at: Timestamp) {
        // Each booking may allow another, and some are allowed only together.
        for _ in 0..self.transactions.len() {
            let waiting = self.waiting();
            if waiting.is_empty() || Mutant::ForgetWaiting.is_on() {
                return;
            }
            let together = self.booked(&waiting, at).filter(|_| !Mutant::BookOneByOne.is_on());
            if let Some(next) = together {
                *self = next;
                return;
            }
            for (id, state) in &waiting {
                self.book(id, *state, at);
            }
            if self.waiting().len() == waiting.len() {
                return;
            }
        }
    }

    /// What is still to be booked, the oldest first.
    fn waiting(&self) -> Vec<(TransactionId, State)> {
        let waiting = self.transactions.values().filter(|ours| ours.unbooked.is_some());
        let mut waiting: Vec<_> = waiting.collect();
        waiting.sort_by_key(|ours| ours.timestamp);
        let booked = |ours: &Transaction| ours.unbooked.map(|state| (ours.id.clone(), state));
        waiting.into_iter().filter_map(booked).collect()
    }

    /// The balances, and what is left of each Charge, from the transactions.
    pub(super) fn rebook(&mut self) -> Result<(), Inconsistent> {
        let booked = self.transactions.values();
        let booked = booked.map(|booked| (booked.kind, booked.state, booked.amount));
        self.balances = Balances::of(self.currency(), booked)
            .map_err(|_| Inconsistent::Sum("facts and balances"))?;
        let mut taken: BTreeMap<TransactionId, Money> = BTreeMap::new();
        for refund in self.transactions.values() {
            let named = refund.charge.as_ref().filter(|_| refund.state != State::Failure);
            if let Some(charge) = named {
                let sum = taken.get(charge).copied().unwrap_or(Money::zero(self.currency()));
                taken.insert(charge.clone(), sum.give(refund.amount)?);
            }
        }
        for ours in self.transactions.values_mut() {
            let is_captured = ours.kind == TransactionKind::Charge && ours.state == State::Success;
            let taken = taken.get(&ours.id);
            ours.refundable = match (is_captured, taken) {
                (true, Some(taken)) => Some(ours.amount.take(*taken)?),
                (true, None) => Some(ours.amount),
                (false, Some(_)) => return Err(Inconsistent::Sum("refunds of a Charge")),
                (false, None) => None,
            };
        }
        self.check()
    }
}

impl Reporter {
    fn signature(&self) -> Reported {
        const BY_MAX: usize = 256;
        let by = self.by.as_deref().map(|by| by.chars().take(BY_MAX).collect());
        Reported { by, at: self.at }
    }
}

impl Transaction {
    /// Whether facts and balances, or facts and answers, do not agree about it.
    pub fn is_discrepant(&self) -> bool {
        self.unbooked.is_some() || self.is_disputed
    }

    /// How far it is, by whatever was heard last.
    pub fn shown(&self) -> State {
        self.unbooked.unwrap_or(self.state)
    }

    /// Where it stands, for whoever asks what became of it: what nobody can be
    /// sure of is Unknown.
    pub fn standing(&self) -> State {
        let is_doubtful = self.is_disputed && self.state == State::Failure;
        if self.unbooked.is_some() || is_doubtful { State::Unknown } else { self.state }
    }

    /// That nothing happened is believed of nobody whose word is not trusted,
    /// while it may still be the word of the connector that is at work.
    pub(super) fn believes(&self, state: State, is_in_flight: bool, reporter: &Reporter) -> bool {
        let is_unclear = matches!(self.state, State::Initial | State::Unknown) || self.was_ours();
        let is_its_own_word = is_in_flight || is_unclear && reporter.at < self.window_ends();
        let is_doubtful = self.moves() && self.state != State::Failure && is_its_own_word;
        let is_doubtful = is_doubtful && !Mutant::BelieveEveryFailure.is_on();
        state != State::Failure || reporter.is_trusted || !is_doubtful
    }
}

impl State {
    /// The state machine of facts: what is final can be contradicted, and what is
    /// old news changes nothing.
    pub(super) fn on_hearing(self, heard: Self) -> Self {
        match (self, heard) {
            (_, Self::Initial | Self::Unknown) => self,
            (Self::Initial | Self::Unknown, Self::Pending) => Self::Pending,
            (Self::Pending | Self::Success | Self::Failure, Self::Pending) => self,
            (_, Self::Success) => Self::Success,
            (_, Self::Failure) => Self::Failure,
        }
    }
}
