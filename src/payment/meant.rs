//! Which transaction a fact is about. It says no more than what happened, and
//! perhaps what the PSP calls it.

#![warn(clippy::wildcard_enum_match_arm)]

use super::{Fact, Payment, State, Transaction, TransactionId, TransactionKind};
use crate::mutants::Mutant;

/// By how much a PSP's clock may differ from ours, or its message be older than
/// what it is about.
const CLOCKS_DIFFER_MS: u64 = 60_000;

impl Payment {
    /// The transaction that the fact is about, if it is one of those here: the one
    /// with its id, or else the nearest that has none yet.
    pub(super) fn meant(&self, fact: &Fact) -> Option<TransactionId> {
        if Mutant::AddEveryFact.is_on() {
            return None;
        }
        let alike: Vec<_> =
            self.transactions.values().filter(|ours| self.is_alike(ours, fact)).collect();
        let named = alike.iter().filter(|ours| ours.is_named(fact));
        if let Some(named) = named.min_by_key(|ours| self.distance(ours, fact))
            && !self.is_shared(fact)
        {
            return Some(named.id.clone());
        }
        let free = alike.iter().filter(|ours| ours.interaction_id.is_none() || ours.is_named(fact));
        let free = free.filter(|ours| ours.state.is_open() || !Mutant::AddWhatIsSettled.is_on());
        // That something did not happen gives a hold back: not by what was over before
        // it was made.
        let possible = free.filter(|ours| {
            fact.state != State::Failure || !ours.is_open() || !fact.is_before(ours)
        });
        possible.min_by_key(|ours| self.distance(ours, fact)).map(|ours| ours.id.clone())
    }

    /// Connectors report a cancel with the planned amount, whatever is authorized.
    fn is_alike(&self, ours: &Transaction, fact: &Fact) -> bool {
        let is_whole = fact.kind == TransactionKind::CancelAuthorization
            && self.details.amount_planned == Some(fact.amount)
            && !Mutant::MatchCancelsByAmount.is_on();
        let is_any = is_whole || Mutant::MatchWhateverAmount.is_on();
        ours.kind == fact.kind && (ours.amount == fact.amount || is_any)
    }

    /// Whether the fact's id is no id of just that: some connectors report all that
    /// they do by the authorization's.
    fn is_shared(&self, fact: &Fact) -> bool {
        let is_same = |id: &Option<String>| id.is_some() && *id == fact.interaction_id;
        let mut others = self.transactions.values().filter(|ours| !self.is_alike(ours, fact));
        is_same(&self.details.interface_id) || others.any(|ours| is_same(&ours.interaction_id))
    }

    /// How far a transaction is from being the one that the fact is about: not one
    /// that began after it happened; rather one of which it is old news, so that it
    /// moves nothing; then the one in flight, whose connector is at work on just
    /// that; then an open one.
    fn distance(&self, ours: &Transaction, fact: &Fact) -> (bool, u8, bool, u64) {
        let is_in_flight = self.is_in_flight(&ours.id);
        let state = ours.shown();
        let rank = match (state.has_come_to(fact.state), state.is_open()) {
            (true, _) if !Mutant::MatchOpenFirst.is_on() => 0,
            (true, _) => 3,
            (false, _) if is_in_flight && !Mutant::MatchOldestFirst.is_on() => 1,
            (false, true) => 2,
            (false, false) => 3,
        };
        let is_nameless = ours.interaction_id.is_none();
        // With a time, the latest that began before it; without one, the oldest.
        let age = match fact.timestamp {
            Some(_) => u64::MAX.saturating_sub(ours.timestamp.ms()),
            None => ours.timestamp.ms(),
        };
        (fact.is_before(ours), rank, is_nameless, age)
    }
}

impl Fact {
    /// Whether it happened before that began, by whatever clock.
    fn is_before(&self, ours: &Transaction) -> bool {
        self.timestamp.is_some_and(|at| at.plus_ms(CLOCKS_DIFFER_MS) < ours.timestamp)
    }
}

impl Transaction {
    /// Whether the fact calls it by its name: the PSP's, or, while that is not known,
    /// the one by which it is shown here, which is our own.
    fn is_named(&self, fact: &Fact) -> bool {
        let own = fact.interaction_id.as_deref() == Some(self.id.as_str());
        match &self.interaction_id {
            Some(id) => fact.interaction_id.as_ref() == Some(id),
            None => own,
        }
    }
}

impl State {
    /// Whether hearing this is old news.
    fn has_come_to(self, told: Self) -> bool {
        !matches!(told, Self::Initial | Self::Unknown) && self.on_hearing(told) == self
    }
}
