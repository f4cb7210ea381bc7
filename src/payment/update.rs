//! What others say of a Payment: connectors what the PSP did, operators what no
//! machine can find out, and both what the ledger does not interpret.

#![warn(clippy::wildcard_enum_match_arm)]

use super::facts::{Fact, Reporter};
use super::{Payment, State, Timestamp, TransactionId};
use crate::money::Currency;

/// One change to a Payment. The names are the platform's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Update {
    /// A transaction happened, or began.
    AddTransaction {
        /// Its id, if it is none that is there.
        id: TransactionId,
        /// What happened.
        fact: Fact,
    },
    /// A transaction is now that far.
    ChangeTransactionState {
        /// Which.
        id: TransactionId,
        /// How far.
        state: State,
    },
    /// The PSP's id of a transaction.
    ChangeTransactionInteractionId {
        /// Which.
        id: TransactionId,
        /// The PSP's id.
        interaction_id: String,
    },
    /// When a transaction happened.
    ChangeTransactionTimestamp {
        /// Which.
        id: TransactionId,
        /// When.
        timestamp: Timestamp,
    },
    /// The connector's id of a transaction.
    SetTransactionInterfaceId {
        /// Which.
        id: TransactionId,
        /// The connector's id; `None` takes it away.
        interface_id: Option<String>,
    },
    /// The PSP's id of the Payment. It is set once.
    SetInterfaceId(Option<String>),
    /// A note of the connector: a JSON object.
    AddInterfaceInteraction(String),
    /// The PSP's status code.
    SetStatusInterfaceCode(Option<String>),
    /// The PSP's status in words.
    SetStatusInterfaceText(Option<String>),
    /// The payment method.
    SetMethodInfoMethod(Option<String>),
    /// The localized names of the method: a JSON object.
    SetMethodInfoName(Option<String>),
    /// Which connector serves the Payment. It is set once.
    SetMethodInfoInterface(String),
    /// A key given by the caller. Whoever applies it sees to it that no other
    /// Payment of the project has it.
    SetKey(Option<String>),
}

impl Payment {
    /// How many transactions a Payment may have in all: facts are recorded where
    /// actions have no room any more.
    pub const FACTS_MAX: usize = 100;

    /// How many bytes of notes a Payment keeps: a third of what an item may hold.
    pub const NOTES_BYTES_MAX: usize = 128 * 1024;

    /// Applies `updates` in order, all of them or none. Each that changes
    /// something raises the version by one.
    pub fn update(&self, updates: &[Update], reporter: &Reporter) -> Result<Self, UpdateRefusal> {
        let mut next = self.clone();
        for update in updates {
            if next.apply(update, reporter)? {
                next.version = next.version.saturating_add(1);
                next.modified_at = reporter.at;
            }
        }
        Ok(next)
    }

    /// Says whether it changed anything.
    fn apply(&mut self, update: &Update, reporter: &Reporter) -> Result<bool, UpdateRefusal> {
        let details = &mut self.details;
        Ok(match update {
            Update::AddTransaction { id, fact } => return self.learn(id, fact, reporter),
            Update::ChangeTransactionState { id, state } => {
                self.exists(id)?;
                self.hear(id, *state, reporter)
            }
            Update::ChangeTransactionInteractionId { id, interaction_id } => {
                set(&mut self.named(id)?.interaction_id, Some(interaction_id.clone()))
            }
            Update::ChangeTransactionTimestamp { id, timestamp } => {
                let named = self.named(id)?;
                let shown = named.happened_at.unwrap_or(named.timestamp);
                shown != *timestamp && set(&mut named.happened_at, Some(*timestamp))
            }
            Update::SetTransactionInterfaceId { id, interface_id } => {
                set(&mut self.named(id)?.interface_id, interface_id.clone())
            }
            Update::SetInterfaceId(id) => {
                if details.interface_id.is_some() && details.interface_id != *id {
                    return Err(UpdateRefusal::AlreadySet("interfaceId"));
                }
                set(&mut details.interface_id, id.clone())
            }
            Update::AddInterfaceInteraction(note) => {
                let kept: usize = details.interface_interactions.iter().map(String::len).sum();
                if kept.saturating_add(note.len()) > Self::NOTES_BYTES_MAX {
                    return Err(UpdateRefusal::TooManyNotes);
                }
                details.interface_interactions.push(note.clone());
                true
            }
            Update::SetStatusInterfaceCode(code) => set(&mut details.status_code, code.clone()),
            Update::SetStatusInterfaceText(text) => set(&mut details.status_text, text.clone()),
            Update::SetMethodInfoMethod(method) => set(&mut details.method, method.clone()),
            Update::SetMethodInfoName(name) => set(&mut details.method_name, name.clone()),
            Update::SetMethodInfoInterface(name) => {
                // It decides who is sent the money.
                if details.payment_interface.as_ref().is_some_and(|known| known != name) {
                    return Err(UpdateRefusal::AlreadySet("paymentMethodInfo.paymentInterface"));
                }
                set(&mut details.payment_interface, Some(name.clone()))
            }
            Update::SetKey(key) => set(&mut details.key, key.clone()),
        })
    }

    fn exists(&self, id: &TransactionId) -> Result<(), UpdateRefusal> {
        let is_there = self.transactions.contains_key(id);
        is_there.then_some(()).ok_or_else(|| UpdateRefusal::NoSuchTransaction(id.clone()))
    }

    fn named(&mut self, id: &TransactionId) -> Result<&mut super::Transaction, UpdateRefusal> {
        let named = self.transactions.get_mut(id);
        named.ok_or_else(|| UpdateRefusal::NoSuchTransaction(id.clone()))
    }
}

/// Says whether that changed anything.
fn set<T: PartialEq>(place: &mut T, value: T) -> bool {
    let is_other = *place != value;
    *place = value;
    is_other
}

/// Why an update cannot be applied. Nothing of the request is, then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpdateRefusal {
    /// The Payment has no such transaction.
    #[error("the Payment has no transaction with ID {0}")]
    NoSuchTransaction(TransactionId),
    /// A field that is set once is set to something else.
    #[error("{0} is set, and cannot be changed")]
    AlreadySet(&'static str),
    /// The Payment is in another currency.
    #[error("the transaction is in {found}, but the Payment is in {expected}")]
    OtherCurrency {
        /// The Payment's.
        expected: Currency,
        /// The transaction's.
        found: Currency,
    },
    /// The Payment is full.
    #[error("a Payment cannot have more than {max} transactions", max = Payment::FACTS_MAX)]
    TooManyTransactions,
    /// The Payment's notes are too long.
    #[error("a Payment keeps no more than {max} bytes of notes", max = Payment::NOTES_BYTES_MAX)]
    TooManyNotes,
}
