//! Which transaction a fact comes to be: as exactly as what it says allows.

use crate::psp::Style;
use crate::world::{World, eur};
use payment_intents::money::Money;
use payment_intents::payment::{
    Fact, Payment, Reporter, State, Transaction, TransactionId, TransactionKind, Update,
};
use std::hash::{Hash, Hasher};

/// A word about what happened, as it is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telling {
    /// Which of the effects it is about, if there was one.
    pub effect: Option<usize>,
    /// Whose that is.
    pub transaction: Option<TransactionId>,
    pub update: Update,
}

impl Hash for Telling {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.effect, &self.transaction, self.state()).hash(state);
        matches!(self.update, Update::AddTransaction { .. }).hash(state);
    }
}

impl Telling {
    /// The fact, where it does not name a transaction of ours.
    pub fn fact(&self) -> Option<&Fact> {
        match &self.update {
            Update::AddTransaction { fact, .. } => Some(fact),
            _ => None,
        }
    }

    /// What it says.
    pub fn state(&self) -> State {
        match &self.update {
            Update::AddTransaction { fact, .. } => fact.state,
            Update::ChangeTransactionState { state, .. } => *state,
            other => panic!("no word is told by {other:?}"),
        }
    }
}

/// What cannot be told apart but by ids: one kind, one amount. Connectors report
/// a cancel with whatever amount.
pub fn group(kind: TransactionKind, amount: Money) -> (TransactionKind, u64) {
    let is_cancel = kind == TransactionKind::CancelAuthorization;
    (kind, if is_cancel { 0 } else { amount.minor_units() })
}

impl World {
    /// Whether a fact of this kind and amount was taken for another's.
    pub fn is_mistaken(&self, kind: TransactionKind, amount: Money) -> bool {
        self.mistaken.contains(&group(kind, amount))
    }

    fn alike(
        payment: &Payment,
        kind: TransactionKind,
        amount: Money,
    ) -> impl Iterator<Item = &Transaction> {
        let same = group(kind, amount);
        payment.transactions.values().filter(move |ours| group(ours.kind, ours.amount) == same)
    }

    /// A fact was written. It is its own transaction: by its id, by its being at
    /// the connector, or because there is no other; what nobody here asked for is
    /// a new one, unless it looks like one of ours.
    pub fn check_landing(&mut self, before: &Payment) {
        let Some(telling) = self.telling.clone() else { return };
        let Some(fact) = telling.fact() else { return };
        let Some(landed) = self.landed(before) else { return };
        let is_mine = |one: &&Transaction| Some(&one.id) == telling.transaction.as_ref();
        let alike = || Self::alike(before, fact.kind, fact.amount);
        let is_unique = self.style != Style::Shared || telling.transaction.is_none();
        let same_id = |one: &&Transaction| {
            fact.interaction_id.is_some() && one.interaction_id == fact.interaction_id
        };
        let expected = if let Some(known) = alike().find(same_id).filter(|_| is_unique) {
            Some(Some(known.id.clone()))
        } else {
            let is_free = |one: &&Transaction| one.interaction_id.is_none() || same_id(one);
            let free: Vec<_> = alike().filter(is_free).collect();
            let mine = free.iter().copied().find(is_mine);
            let in_flight = before.in_flight.as_ref().map(|slot| &slot.transaction);
            // One that is that far may be meant.
            let is_waiting = |one: &&&Transaction| {
                let is_that_far =
                    one.state == fact.state || fact.state == State::Pending && !one.state.is_open();
                is_that_far && !is_mine(one)
            };
            let waits = free.iter().any(|one| is_waiting(&one));
            match mine {
                Some(mine) if in_flight == Some(&mine.id) && !waits || free.len() == 1 => {
                    Some(Some(mine.id.clone()))
                }
                None if free.is_empty() => Some(None),
                Some(_) | None => None,
            }
        };
        if let Some(expected) = expected
            && expected != landed
        {
            let what = format!("a fact about {expected:?} was taken for one about {landed:?}");
            self.violated(what);
        }
        let is_right = landed == telling.transaction
            || (landed.is_none() && !before_has(before, telling.transaction.as_ref()));
        let known = alike().find(same_id).filter(|_| is_unique);
        if !is_right && known.is_none() {
            self.mistaken.insert(group(fact.kind, fact.amount));
        }
    }

    /// The transaction that the write made of the fact; `Some(None)`: a new one.
    fn landed(&self, before: &Payment) -> Option<Option<TransactionId>> {
        for after in self.payment.transactions.values() {
            match before.transactions.get(&after.id) {
                None => return Some(None),
                Some(same) if same.reported != after.reported => {
                    return Some(Some(after.id.clone()));
                }
                Some(same) if same.interaction_id != after.interaction_id => {
                    return Some(Some(after.id.clone()));
                }
                Some(_) => {}
            }
        }
        None
    }

    /// What was told is in the ledger, once, and telling it again changes nothing.
    pub fn check_told(&mut self, told: &Payment, telling: &Telling) {
        let is_trusted = self.tier.is_trusted();
        let reporter = Reporter { by: None, at: self.now, is_trusted };
        let again = told.update(std::slice::from_ref(&telling.update), &reporter);
        let fact = telling.fact();
        let is_clear = fact.is_none_or(|fact| {
            fact.interaction_id.is_some() || Self::alike(told, fact.kind, fact.amount).count() == 1
        });
        if is_clear && again.as_ref() != Ok(told) {
            self.violated("what was told again changed something");
        }
        // Another may have been that far already.
        let mine = telling.transaction.as_ref().and_then(|id| told.transactions.get(id));
        if let Some((fact, mine)) = fact.zip(mine)
            && mine.unbooked.unwrap_or(mine.state) != fact.state
            && Self::alike(told, fact.kind, fact.amount).count() > 1
        {
            self.mistaken.insert(group(fact.kind, fact.amount));
        }
        let Some(reference) = fact.and_then(|fact| fact.interaction_id.as_ref()) else { return };
        if self.style == Style::Shared && telling.transaction.is_some() {
            return;
        }
        let named = told.transactions.values();
        let mut named = named.filter(|one| one.interaction_id.as_ref() == Some(reference));
        let Some(one) = named.next() else {
            return self.violated(format!("{reference} was told, and is not in the ledger"));
        };
        if named.next().is_some() {
            self.violated(format!("{reference} is in the ledger twice"));
        }
        let state = telling.state();
        let is_believed = is_trusted || state == State::Success;
        let is_there = one.state == state || one.unbooked == Some(state);
        if is_believed && !state.is_open() && !is_there {
            self.violated(format!("{reference} was told as {state:?}, and is {:?}", one.state));
        }
    }
}

fn before_has(before: &Payment, id: Option<&TransactionId>) -> bool {
    id.is_some_and(|id| before.transactions.contains_key(id))
}

/// What connectors report a cancel with.
pub fn reported_amount(kind: TransactionKind, amount: Money, is_ours: bool) -> Money {
    let is_cancel = kind == TransactionKind::CancelAuthorization && is_ours;
    if is_cancel { eur(100) } else { amount }
}
