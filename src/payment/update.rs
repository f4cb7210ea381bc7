//! Updates of a Payment: reports of connectors and operators, and details that the
//! ledger does not interpret.

#![warn(clippy::wildcard_enum_match_arm)]

use super::reports::{Report, Reporter};
use super::{DatedReport, Inconsistent, Payment, State, Timestamp, TransactionId};
use crate::money::Currency;

/// One change to a Payment. The names are the platform's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Update {
    /// A transaction happened, or began.
    AddTransaction {
        /// Its id, if it is none that is there.
        id: TransactionId,
        /// The report.
        report: Report,
    },
    /// A PSP says what it did. It names what we sent by our own id, so an effect
    /// without one is none of ours. No caller can ask for this.
    RecordEffect(Report),
    /// A PSP says what it did, and when. The latest report of an effect holds. No caller
    /// can ask for this.
    RecordDatedReport(DatedReport),
    /// A transaction is now that far.
    ChangeTransactionState {
        /// The transaction.
        id: TransactionId,
        /// The state it has reached.
        state: State,
    },
    /// A transaction exceeds what there is, and that is so. The platform has no such
    /// action.
    AcknowledgeDiscrepancy {
        /// The transaction.
        id: TransactionId,
    },
    /// The PSP's id of a transaction.
    ChangeTransactionInteractionId {
        /// The transaction.
        id: TransactionId,
        /// The PSP's id.
        interaction_id: String,
    },
    /// When a transaction happened.
    ChangeTransactionTimestamp {
        /// The transaction.
        id: TransactionId,
        /// The time.
        timestamp: Timestamp,
    },
    /// The connector's id of a transaction.
    SetTransactionInterfaceId {
        /// The transaction.
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
    /// The most transactions that a Payment may have in all: reports are recorded where
    /// actions have no room any more.
    pub const TRANSACTIONS_MAX_REPORTED: usize = 100;

    /// The most bytes of text that a Payment keeps: half of what an item may hold.
    pub const TEXT_BYTES_MAX: usize = 200 * 1024;

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
        if next != *self {
            next.explain_excess(self);
            next.check().map_err(UpdateRefusal::Inconsistent)?;
            next.check_size()?;
        }
        Ok(next)
    }

    /// Applies one update. Returns whether it changed anything.
    fn apply(&mut self, update: &Update, reporter: &Reporter) -> Result<bool, UpdateRefusal> {
        let details = &mut self.details;
        Ok(match update {
            Update::AddTransaction { id, report } => {
                return self.record_report(id, report, reporter);
            }
            Update::RecordEffect(report) => return self.record_effect(report, reporter),
            Update::RecordDatedReport(dated) => {
                return self.record_dated_report(dated, reporter);
            }
            Update::ChangeTransactionState { id, state } => {
                let before = self.transactions.clone();
                self.confirm_name(id)?;
                self.report_known_state(id, *state, None, reporter);
                self.transactions != before
            }
            Update::AcknowledgeDiscrepancy { id } => return self.acknowledge(id, reporter),
            Update::ChangeTransactionInteractionId { id, interaction_id } => {
                return self.change_interaction_id(id, interaction_id, reporter.at);
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
                details.interface_interactions.push(note.clone());
                true
            }
            Update::SetStatusInterfaceCode(code) => set(&mut details.status_code, code.clone()),
            Update::SetStatusInterfaceText(text) => set(&mut details.status_text, text.clone()),
            Update::SetMethodInfoMethod(method) => set(&mut details.method, method.clone()),
            Update::SetMethodInfoName(name) => set(&mut details.method_name, name.clone()),
            Update::SetMethodInfoInterface(name) => {
                // It decides who is asked to move money, and whose word counts.
                let known = details.payment_interface.as_ref();
                if known.is_some_and(|known| known != name) {
                    return Err(UpdateRefusal::AlreadySet("paymentMethodInfo.paymentInterface"));
                }
                if known.is_none() && self.recover_at().is_some() {
                    return Err(UpdateRefusal::TransactionOpen);
                }
                set(&mut self.details.payment_interface, Some(name.clone()))
            }
            Update::SetKey(key) => set(&mut details.key, key.clone()),
        })
    }

    /// A caller who changes a transaction by its id saw it with the ids that it
    /// has, so they are its own from now on, even where likeness gave them to it.
    fn confirm_name(&mut self, id: &TransactionId) -> Result<(), UpdateRefusal> {
        self.named(id)?.likeness = None;
        Ok(())
    }

    /// Names a transaction. An effect of another name that likeness took for it is
    /// another's.
    fn change_interaction_id(
        &mut self,
        id: &TransactionId,
        name: &str,
        at: Timestamp,
    ) -> Result<bool, UpdateRefusal> {
        let before = self.transactions.clone();
        let ours = self.named(id)?;
        let is_other = ours.interaction_id.as_deref() != Some(name);
        let is_likely = ours.likeness.as_ref().is_some_and(|one| one.gave_interaction_id);
        let taken_back = if is_other && is_likely { self.take_back_likeness(id) } else { None };
        self.claim_name(id, name, at);
        self.named(id)?.interaction_id = Some(name.to_owned());
        self.place(id, taken_back);
        Ok(self.transactions != before)
    }

    /// The bytes of all texts that callers can make grow.
    fn text_bytes(&self) -> usize {
        let details = &self.details;
        let texts = details.texts().into_iter().filter_map(|(_, text)| text.as_deref());
        let notes = details.interface_interactions.iter().map(String::as_str);
        let of_transactions = self.transactions.values().flat_map(|ours| {
            let reporter = ours.reported.as_ref().and_then(|reported| reported.by.as_deref());
            let names = [&ours.interaction_id, &ours.interface_id, &ours.merchant_reference];
            let names = names.into_iter().filter_map(|name| name.as_deref());
            names.chain(reporter).chain([ours.id.as_str()])
        });
        texts.chain(notes).chain(of_transactions).map(str::len).fold(0, usize::saturating_add)
    }

    /// Keeps an item so small that what an action adds always fits.
    pub(super) fn check_size(&self) -> Result<(), UpdateRefusal> {
        if self.text_bytes() > Self::TEXT_BYTES_MAX {
            return Err(UpdateRefusal::TooLarge);
        }
        Ok(())
    }

    fn named(&mut self, id: &TransactionId) -> Result<&mut super::Transaction, UpdateRefusal> {
        let named = self.transactions.get_mut(id);
        named.ok_or_else(|| UpdateRefusal::NoSuchTransaction(id.clone()))
    }
}

/// Sets `place`. Returns whether that changed it.
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
    #[error("a Payment cannot have more than {max} transactions", max = Payment::TRANSACTIONS_MAX_REPORTED)]
    TooManyTransactions,
    /// The Payment's texts are too long.
    #[error("a Payment keeps no more than {max} bytes of text", max = Payment::TEXT_BYTES_MAX)]
    TooLarge,
    /// It does not exceed what there is.
    #[error(
        "transaction {0} does not exceed what there is, so there is nothing to acknowledge; \
         to resolve a contradiction, change its state to how far it really is"
    )]
    NothingToAcknowledge(TransactionId),
    /// Its amount is more than a ledger can hold.
    #[error("the amount of transaction {0} is more than a ledger can hold")]
    TooMuch(TransactionId),
    /// The ledger would not add up.
    #[error(transparent)]
    Inconsistent(Inconsistent),
    /// The connector of a Payment is not changed while something of it is open.
    #[error("the interface cannot be set while a transaction is open")]
    TransactionOpen,
}
