//! Which transaction a fact comes to be: as exactly as what it says allows.

use crate::psp::Style;
use crate::world::{World, eur};
use payment_intents::money::Money;
use payment_intents::payment::{
    Payment, Report, Reporter, State, Transaction, TransactionId, TransactionKind, Update,
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
    pub fn fact(&self) -> Option<&Report> {
        match &self.update {
            Update::AddTransaction { report: fact, .. } => Some(fact),
            _ => None,
        }
    }

    /// What it says.
    pub fn state(&self) -> State {
        match &self.update {
            Update::AddTransaction { report: fact, .. } => fact.state,
            Update::ChangeTransactionState { state, .. } => *state,
            // It says that what was reported is so.
            Update::AcknowledgeDiscrepancy { .. } => State::Unknown,
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
        let Some(landed) = self.landed_by_name(before, fact).or_else(|| self.landed(before)) else {
            return;
        };
        let alike = || Self::alike(before, fact.kind, fact.amount);
        let is_unique = self.style != Style::Shared || telling.transaction.is_none();
        let same_id = |one: &&Transaction| {
            fact.interaction_id.is_some() && one.interaction_id == fact.interaction_id
        };
        let known = alike().find(same_id).filter(|_| is_unique);
        let own = telling.transaction.clone().filter(|id| {
            fact.interface_id.as_deref() == Some(id.as_str())
                && before.transactions.contains_key(id)
        });
        if let Some(own) = own {
            // A write that only takes a name back or away tells nothing of where it landed.
            let has_it = self.payment.transactions.contains_key(&own);
            if !has_it {
                self.violated(format!("a fact about {own} took it away"));
            }
            return;
        }
        let expected = match known {
            Some(known) => Some(Some(known.id.clone())),
            None if alike().next().is_none() => Some(None),
            None => None,
        };
        // A Failure that another of its name took over is that one's.
        let is_moved = known
            .is_some_and(|known| known.likeness.is_some() || known.possible_duplicate_of.is_some());
        if let Some(expected) = expected
            && expected != landed
            && !is_moved
        {
            let what = format!("a fact about {expected:?} was taken for one about {landed:?}");
            self.violated(what);
        }
        let is_right = landed == telling.transaction
            || (landed.is_none() && !before_has(before, telling.transaction.as_ref()));
        if !is_right {
            self.mistaken.insert(group(fact.kind, fact.amount));
        }
    }

    /// The same by the name of the fact, where only one has it.
    fn landed_by_name(&self, before: &Payment, fact: &Report) -> Option<Option<TransactionId>> {
        let name = fact.interaction_id.as_ref()?;
        let has_name = |one: &&Transaction| one.interaction_id.as_ref() == Some(name);
        let mut named = self.payment.transactions.values().filter(has_name);
        let landed = named.next().filter(|_| named.next().is_none())?;
        Some(before.transactions.contains_key(&landed.id).then(|| landed.id.clone()))
    }

    /// The transaction that the write made of the fact; `Some(None)`: a new one.
    fn landed(&self, before: &Payment) -> Option<Option<TransactionId>> {
        for after in self.payment.transactions.values() {
            match before.transactions.get(&after.id) {
                None => return Some(None),
                // One that waited counts with whatever is written next.
                Some(same) if same.waiting_failure.is_some() && !after.state.is_open() => {}
                Some(same)
                    if same.reported != after.reported
                        || same.waiting_failure != after.waiting_failure =>
                {
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
        let reporter = Reporter { by: None, at: told.modified_at, is_trusted };
        let again = told.update(std::slice::from_ref(&telling.update), &reporter);
        let fact = telling.fact();
        let is_clear = fact.is_none_or(|fact| {
            fact.interaction_id.is_some()
                || fact.interface_id.is_some()
                || Self::alike(told, fact.kind, fact.amount).count() == 1
        });
        // It may confirm whose a name is; nothing moves.
        let moved = |payment: &Payment| {
            let all = payment.transactions.values();
            let all = all.map(|one| (one.id.clone(), one.state, one.is_discrepant()));
            (payment.balances, all.collect::<Vec<_>>())
        };
        // What is said once more about a dispute resolves it.
        let is_disputed = told.discrepancies().next().is_some();
        // What waits for its time may have waited long enough by another clock.
        let is_waiting = told.transactions.values().any(|one| one.waiting_failure.is_some());
        if is_clear && !is_disputed && !is_waiting && again.as_ref().map(moved) != Ok(moved(told)) {
            self.violated("what was told again changed something");
        }
        // Without a name, it looks like any other.
        if let Some(fact) = fact
            && telling.transaction.is_none()
            && fact.interaction_id.is_none()
        {
            self.mistaken.insert(group(fact.kind, fact.amount));
        }
        // Another may have been that far already.
        let mine = telling.transaction.as_ref().and_then(|id| told.transactions.get(id));
        if let Some((fact, mine)) = fact.zip(mine)
            && mine.state_awaiting_balances.unwrap_or(mine.state) != fact.state
            && Self::alike(told, fact.kind, fact.amount).count() > 1
        {
            self.mistaken.insert(group(fact.kind, fact.amount));
        }
        let Some(reference) = fact.and_then(|fact| fact.interaction_id.as_ref()) else { return };
        if self.style == Style::Shared && telling.transaction.is_some() {
            return;
        }
        // Somebody called it otherwise by our own id before.
        let is_renamed = mine.is_some_and(|mine| {
            mine.interaction_id.is_some() && mine.interaction_id.as_ref() != Some(reference)
        });
        if is_renamed && fact.is_some_and(|fact| fact.interface_id.is_some()) {
            return;
        }
        let named = told.transactions.values();
        let named = named.filter(|one| one.interaction_id.as_ref() == Some(reference));
        let named: Vec<_> = named.collect();
        let Some(one) = named.first() else {
            return self.violated(format!("{reference} was told, and is not in the ledger"));
        };
        // Somebody may have confirmed it as another's before, by that one's own id.
        let is_confirmed = named.iter().all(|one| self.told_of.contains_key(&one.id));
        let is_by_both_ids = fact.is_some_and(|fact| fact.interface_id.is_some());
        if named.len() > 1 && !is_by_both_ids && !is_confirmed {
            self.violated(format!("{reference} is in the ledger twice"));
        }
        let state = telling.state();
        let is_believed = is_trusted || state == State::Success;
        let is_waiting =
            state == State::Failure && named.iter().any(|one| one.waiting_failure.is_some());
        let is_there = named.iter().any(|one| one.state == state)
            || one.state_awaiting_balances == Some(state)
            || is_waiting
            || one.is_disputed;
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
