//! The transaction to which a report is matched, checked as exactly as its ids allow.

use crate::psp::Style;
use crate::world::{World, eur};
use payment_intents::money::Money;
use payment_intents::payment::{
    Payment, Report, Reporter, State, Transaction, TransactionId, TransactionKind, Update,
};
use std::hash::{Hash, Hasher};

/// A report on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentReport {
    /// The effect that it is about, if there was one.
    pub effect: Option<usize>,
    /// The transaction that this effect belongs to.
    pub transaction: Option<TransactionId>,
    pub update: Update,
}

impl Hash for SentReport {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.effect, &self.transaction, self.state()).hash(state);
        matches!(self.update, Update::AddTransaction { .. }).hash(state);
    }
}

impl SentReport {
    /// The report, where it does not name a transaction by our id.
    pub fn fact(&self) -> Option<&Report> {
        match &self.update {
            Update::AddTransaction { report: fact, .. } => Some(fact),
            _ => None,
        }
    }

    /// The reported state.
    pub fn state(&self) -> State {
        match &self.update {
            Update::AddTransaction { report: fact, .. } => fact.state,
            Update::ChangeTransactionState { state, .. } => *state,
            // An operator's confirmation of what was reported.
            Update::AcknowledgeDiscrepancy { .. } => State::Unknown,
            other => panic!("{other:?} is no report"),
        }
    }
}

/// The group of transactions that only ids can tell apart: one kind and one amount.
/// Connectors report a cancel with any amount.
pub fn group(kind: TransactionKind, amount: Money) -> (TransactionKind, u64) {
    let is_cancel = kind == TransactionKind::CancelAuthorization;
    (kind, if is_cancel { 0 } else { amount.minor_units() })
}

impl World {
    /// True if a report of this kind and amount was matched to another transaction.
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

    /// Records that a report was written. It must be matched to its own transaction: by its
    /// id, because that one is in flight, or because there is no other. An effect that was
    /// not requested here is a new transaction, unless it has the same kind and amount as
    /// one of ours.
    pub fn check_match(&mut self, before: &Payment) {
        let Some(sent_report) = self.sent_report.clone() else { return };
        let Some(fact) = sent_report.fact() else { return };
        let Some(matched) = self.matched_by_psp_id(before, fact).or_else(|| self.matched(before))
        else {
            return;
        };
        let alike = || Self::alike(before, fact.kind, fact.amount);
        let is_unique = self.style != Style::Shared || sent_report.transaction.is_none();
        let same_id = |one: &&Transaction| {
            fact.interaction_id.is_some() && one.interaction_id == fact.interaction_id
        };
        let known = alike().find(same_id).filter(|_| is_unique);
        let own = sent_report.transaction.clone().filter(|id| {
            fact.interface_id.as_deref() == Some(id.as_str())
                && before.transactions.contains_key(id)
        });
        if let Some(own) = own {
            // A write that only moves or removes an id is no match.
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
        // The ledger moved this Failure to another transaction with the same id.
        let is_moved = known
            .is_some_and(|known| known.likeness.is_some() || known.possible_duplicate_of.is_some());
        if let Some(expected) = expected
            && expected != matched
            && !is_moved
        {
            let what = format!("a fact about {expected:?} was taken for one about {matched:?}");
            self.violated(what);
        }
        let is_right = matched == sent_report.transaction
            || (matched.is_none() && !before_has(before, sent_report.transaction.as_ref()));
        if !is_right {
            self.mistaken.insert(group(fact.kind, fact.amount));
        }
    }

    /// The match by the PSP's id, if only one transaction has it.
    fn matched_by_psp_id(&self, before: &Payment, fact: &Report) -> Option<Option<TransactionId>> {
        let name = fact.interaction_id.as_ref()?;
        let has_name = |one: &&Transaction| one.interaction_id.as_ref() == Some(name);
        let mut named = self.payment.transactions.values().filter(has_name);
        let matched = named.next().filter(|_| named.next().is_none())?;
        Some(before.transactions.contains_key(&matched.id).then(|| matched.id.clone()))
    }

    /// The transaction that the write matched the report to; `Some(None)` is a new one.
    fn matched(&self, before: &Payment) -> Option<Option<TransactionId>> {
        for after in self.payment.transactions.values() {
            match before.transactions.get(&after.id) {
                None => return Some(None),
                // A waiting report is counted with the next write.
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

    /// A written report is in the ledger once, and the same report again changes nothing.
    pub fn check_applied_report(&mut self, told: &Payment, sent_report: &SentReport) {
        let is_trusted = self.tier.is_trusted();
        let reporter = Reporter { by: None, at: told.modified_at, is_trusted };
        let again = told.update(std::slice::from_ref(&sent_report.update), &reporter);
        let fact = sent_report.fact();
        let is_clear = fact.is_none_or(|fact| {
            fact.interaction_id.is_some()
                || fact.interface_id.is_some()
                || Self::alike(told, fact.kind, fact.amount).count() == 1
        });
        // It may confirm the owner of an id; no amounts move.
        let moved = |payment: &Payment| {
            let all = payment.transactions.values();
            let all = all.map(|one| (one.id.clone(), one.state, one.is_discrepant()));
            (payment.balances, all.collect::<Vec<_>>())
        };
        // Repeating a report about a dispute resolves it.
        let is_disputed = told.discrepancies().next().is_some();
        // A waiting report may be due by another process's clock.
        let is_waiting = told.transactions.values().any(|one| one.waiting_failure.is_some());
        // The Failure of the effect that likeness had matched to it was recorded by itself. A
        // caller that reads the Payment again finds it there.
        let is_open_again = match &sent_report.update {
            Update::ChangeTransactionState { id, state: State::Failure } => {
                told.transactions.get(id).is_some_and(|one| one.state.is_open())
            }
            _ => false,
        };
        let is_stable = !is_disputed && !is_waiting && !is_open_again;
        if is_clear && is_stable && again.as_ref().map(moved) != Ok(moved(told)) {
            self.violated("what was told again changed something");
        }
        // Without an id, a report may be about any transaction of its kind and amount.
        if let Some(fact) = fact
            && sent_report.transaction.is_none()
            && fact.interaction_id.is_none()
        {
            self.mistaken.insert(group(fact.kind, fact.amount));
        }
        // Another transaction may have had this state already.
        let mine = sent_report.transaction.as_ref().and_then(|id| told.transactions.get(id));
        if let Some((fact, mine)) = fact.zip(mine)
            && mine.state_awaiting_balances.unwrap_or(mine.state) != fact.state
            && Self::alike(told, fact.kind, fact.amount).count() > 1
        {
            self.mistaken.insert(group(fact.kind, fact.amount));
        }
        let Some(reference) = fact.and_then(|fact| fact.interaction_id.as_ref()) else { return };
        if self.style == Style::Shared && sent_report.transaction.is_some() {
            return;
        }
        // An earlier report gave it another PSP's id, by our own id.
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
        // The other transaction may have been confirmed by its own id.
        let is_confirmed = named.iter().all(|one| self.reported_states.contains_key(&one.id));
        let is_by_both_ids = fact.is_some_and(|fact| fact.interface_id.is_some());
        if named.len() > 1 && !is_by_both_ids && !is_confirmed {
            self.violated(format!("{reference} is in the ledger twice"));
        }
        let state = sent_report.state();
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

/// The amount with which connectors report a cancel.
pub fn reported_amount(kind: TransactionKind, amount: Money, is_ours: bool) -> Money {
    let is_cancel = kind == TransactionKind::CancelAuthorization && is_ours;
    if is_cancel { eur(100) } else { amount }
}
