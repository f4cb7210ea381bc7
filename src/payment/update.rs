//! Updates of a Payment: reports of connectors and operators, and details that the
//! ledger does not interpret.

#![warn(clippy::wildcard_enum_match_arm)]

use super::reports::{Report, Reporter};
use super::{DatedReport, Inconsistent, Payment, State, Timestamp, TransactionId};
use crate::money::Currency;

/// One change to a Payment, by its name on the platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Update {
    /// Reports an effect.
    AddTransaction {
        /// The id of the transaction that is added if the report matches none.
        id: TransactionId,
        /// The report.
        report: Report,
    },
    /// Reports what a PSP did. It reports what we sent with our own id, so an effect without
    /// one is none of our captures and refunds. No caller can ask for this.
    RecordEffect(Report),
    /// Reports what a PSP did, and when. The report of an effect with the latest date holds.
    /// No caller can ask for this.
    RecordDatedReport(DatedReport),
    /// Reports the state of a transaction.
    ChangeTransactionState {
        /// The transaction.
        id: TransactionId,
        /// The state it has reached.
        state: State,
    },
    /// Accepts that a transaction exceeds the available amount. The platform has no such
    /// action.
    AcknowledgeDiscrepancy {
        /// The transaction.
        id: TransactionId,
    },
    /// Changes the PSP's id of a transaction.
    ChangeTransactionInteractionId {
        /// The transaction.
        id: TransactionId,
        /// The PSP's id.
        interaction_id: String,
    },
    /// Changes the time of a transaction.
    ChangeTransactionTimestamp {
        /// The transaction.
        id: TransactionId,
        /// The time.
        timestamp: Timestamp,
    },
    /// Sets the connector's id of a transaction.
    SetTransactionInterfaceId {
        /// The transaction.
        id: TransactionId,
        /// The connector's id; `None` removes it.
        interface_id: Option<String>,
    },
    /// Sets the PSP's id of the Payment, once.
    SetInterfaceId(Option<String>),
    /// Adds a note of the connector: a JSON object.
    AddInterfaceInteraction(String),
    /// Sets the PSP's status code.
    SetStatusInterfaceCode(Option<String>),
    /// Sets the PSP's status in words.
    SetStatusInterfaceText(Option<String>),
    /// Sets the payment method.
    SetMethodInfoMethod(Option<String>),
    /// Sets the localized names of the method: a JSON object.
    SetMethodInfoName(Option<String>),
    /// Sets the connector of the Payment, once.
    SetMethodInfoInterface(String),
    /// Sets the caller's key of the Payment. It is not checked here that no other
    /// Payment of the project has it.
    SetKey(Option<String>),
}

impl Payment {
    /// The highest number of bytes of text in a Payment: half of the limit of an item.
    pub const TEXT_BYTES_MAX: usize = 200 * 1024;

    /// Applies `updates` in order, all of them or none. Each update that changes
    /// something raises the version by one.
    pub fn update(&self, updates: &[Update], reporter: &Reporter) -> Result<Self, UpdateRefusal> {
        let mut next = self.clone();
        for update in updates {
            let before = next.clone();
            next.apply(update, reporter)?;
            if next != before {
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

    fn apply(&mut self, update: &Update, reporter: &Reporter) -> Result<(), UpdateRefusal> {
        let details = &mut self.details;
        match update {
            Update::AddTransaction { id, report } => self.record_report(id, report, reporter)?,
            Update::RecordEffect(report) => self.record_effect(report, reporter)?,
            Update::RecordDatedReport(dated) => self.record_dated_report(dated, reporter)?,
            Update::ChangeTransactionState { id, state } => {
                self.transaction_mut(id)?;
                self.record_state(id, *state, reporter);
            }
            Update::AcknowledgeDiscrepancy { id } => self.acknowledge(id, reporter)?,
            Update::ChangeTransactionInteractionId { id, interaction_id } => {
                self.change_interaction_id(id, interaction_id, reporter.at)?;
            }
            Update::ChangeTransactionTimestamp { id, timestamp } => {
                let changed = self.transaction_mut(id)?;
                // Its date says that it happened, and which of the PSP's events is the last.
                if changed.psp.is_some() {
                    return Err(UpdateRefusal::TimeOfPsp(id.clone()));
                }
                if changed.happened_at.unwrap_or(changed.timestamp) != *timestamp {
                    changed.happened_at = Some(*timestamp);
                }
            }
            Update::SetTransactionInterfaceId { id, interface_id } => {
                self.transaction_mut(id)?.interface_id.clone_from(interface_id);
            }
            Update::SetInterfaceId(id) => {
                if details.interface_id.is_some() && details.interface_id != *id {
                    return Err(UpdateRefusal::AlreadySet("interfaceId"));
                }
                details.interface_id.clone_from(id);
            }
            Update::AddInterfaceInteraction(note) => {
                details.interface_interactions.push(note.clone());
            }
            Update::SetStatusInterfaceCode(code) => details.status_code.clone_from(code),
            Update::SetStatusInterfaceText(text) => details.status_text.clone_from(text),
            Update::SetMethodInfoMethod(method) => details.method.clone_from(method),
            Update::SetMethodInfoName(name) => details.method_name.clone_from(name),
            Update::SetMethodInfoInterface(name) => {
                // It selects the connector that is called, and whether its answers are trusted.
                let known = details.payment_interface.as_ref();
                if known.is_some_and(|known| known != name) {
                    return Err(UpdateRefusal::AlreadySet("paymentMethodInfo.paymentInterface"));
                }
                if known.is_none() && self.recover_at().is_some() {
                    return Err(UpdateRefusal::TransactionOpen);
                }
                self.details.payment_interface = Some(name.clone());
            }
            Update::SetKey(key) => details.key.clone_from(key),
        }
        Ok(())
    }

    /// Sets the PSP's id of a transaction. A report that likeness matched to it and that
    /// has another id is about another transaction.
    fn change_interaction_id(
        &mut self,
        id: &TransactionId,
        name: &str,
        at: Timestamp,
    ) -> Result<(), UpdateRefusal> {
        let transaction = self.transaction_mut(id)?;
        let is_other = transaction.interaction_id.as_deref() != Some(name);
        let was_disputed = transaction.is_disputed;
        let has_id_by_likeness =
            transaction.likeness.as_ref().is_some_and(|one| one.gave_interaction_id);
        let taken_back =
            if is_other && has_id_by_likeness { self.take_back_likeness(id) } else { None };
        self.merge_effect_under(id, name, at);
        let transaction = self.transaction_mut(id)?;
        transaction.interaction_id = Some(name.to_owned());
        let is_confirmed = has_id_by_likeness && !is_other && !was_disputed;
        if is_confirmed {
            transaction.likeness = None;
        } else if let Some(likeness) = &mut transaction.likeness {
            likeness.gave_interaction_id = false;
        }
        // The new id resolves the dispute only if the Failure has another id.
        let is_failure_moved =
            taken_back.as_ref().is_some_and(|taken| taken.report.state == State::Failure);
        if was_disputed && !is_failure_moved {
            self.dispute(id, at);
        }
        self.reassign_report(id, taken_back);
        Ok(())
    }

    /// The number of bytes of all texts that callers provide.
    fn text_bytes(&self) -> usize {
        let details = &self.details;
        let texts = details.texts().into_iter().filter_map(|(_, text)| text.as_deref());
        let notes = details.interface_interactions.iter().map(String::as_str);
        let of_details = texts.chain(notes).map(str::len);
        let of_transactions = self.transactions.values().map(super::Transaction::text_bytes);
        of_details.chain(of_transactions).fold(0, usize::saturating_add)
    }

    /// Refuses more text than [`Self::TEXT_BYTES_MAX`], so that an action always fits
    /// into the item.
    pub(super) fn check_size(&self) -> Result<(), UpdateRefusal> {
        if self.text_bytes() > Self::TEXT_BYTES_MAX {
            return Err(UpdateRefusal::TooLarge);
        }
        Ok(())
    }

    fn transaction_mut(
        &mut self,
        id: &TransactionId,
    ) -> Result<&mut super::Transaction, UpdateRefusal> {
        let named = self.transactions.get_mut(id);
        named.ok_or_else(|| UpdateRefusal::NoSuchTransaction(id.clone()))
    }
}

/// The reasons to refuse an update. Nothing of the request is applied then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpdateRefusal {
    /// The Payment has no such transaction.
    #[error("the Payment has no transaction with ID {0}")]
    NoSuchTransaction(TransactionId),
    /// A field that can be set only once has another value.
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
    /// The Payment has the highest number of transactions.
    #[error("a Payment cannot have more than {max} transactions", max = Payment::TRANSACTIONS_MAX_REPORTED)]
    TooManyTransactions,
    /// The Payment's texts are too long.
    #[error("a Payment keeps no more than {max} bytes of text", max = Payment::TEXT_BYTES_MAX)]
    TooLarge,
    /// The transaction does not exceed the available amount.
    #[error(
        "transaction {0} does not exceed the available amount, so there is nothing to acknowledge; \
         to resolve a contradiction, change its state to the one that it has at the PSP"
    )]
    NothingToAcknowledge(TransactionId),
    /// With it, a sum exceeds the largest amount.
    #[error("with transaction {0}, a balance exceeds the largest amount that is supported")]
    TooMuch(TransactionId),
    /// The ledger would not add up.
    #[error(transparent)]
    Inconsistent(Inconsistent),
    /// The transaction was sent to a PSP directly, which reports when it happened.
    #[error("the PSP itself reports when transaction {0} happened")]
    TimeOfPsp(TransactionId),
    /// A transaction is open, so the connector of the Payment cannot be set.
    #[error("the interface cannot be set while a transaction is open")]
    TransactionOpen,
}
