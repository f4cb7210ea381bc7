//! The room of a ledger: how many transactions it takes, and how large they are in the
//! store.
//!
//! A Failure moved nothing, and makes room for another action. It stays in the ledger as it
//! is: a repeat of its key is answered from it, and a late report finds it. So the number of
//! Failures is limited by their size alone.

#![warn(clippy::wildcard_enum_match_arm)]

use super::{Action, Payment, RejectionReason, State, Transaction, TransactionId};

/// The bytes of a transaction in the store without its texts. Some have more, most have
/// fewer.
const TRANSACTION_BYTES: usize = 36;

/// The size of the ledger from which on it takes no more Failures. With the other fields of
/// a usual Payment, the item stays within 16 KiB.
const LEDGER_BYTES_MAX: usize = 14 * 1024;

/// The part of that size which captures leave for refunds and cancels. So captures that are
/// rejected again and again never prevent a refund or a cancel.
const BYTES_LEFT_BY_CAPTURES: usize = 2 * 1024;

/// The number of transactions beside [`Payment::TRANSACTIONS_MAX`] that captures leave for
/// refunds and cancels if the references of a Payment are so long that its ledger has that
/// size with fewer transactions.
const TRANSACTIONS_LEFT_BY_CAPTURES: usize = 10;

/// The highest number of bytes of all reasons of a Payment. A further reason is not kept,
/// and its rejection is answered without one, from the first answer on.
const REASON_BYTES_MAX: usize = 4 * 1024;

impl Payment {
    /// The number of transactions, without Failures, from which on actions are refused.
    pub const TRANSACTIONS_MAX: usize = 50;

    /// The highest number of transactions of a Payment, with Failures. It is above the
    /// number to which actions lead, so that reports are recorded when actions are refused.
    pub const TRANSACTIONS_MAX_REPORTED: usize = 250;

    /// True if the ledger has room for one more transaction of this action. The condition of
    /// the store knows only the number of transactions, Failures included: beyond
    /// [`Self::TRANSACTIONS_MAX`] this decides on the Payment that failed the condition.
    pub(super) fn has_room_for(&self, action: &Action) -> bool {
        let all = self.transactions.len();
        if all < Self::TRANSACTIONS_MAX {
            return true;
        }
        let counted = self.transactions.values().filter(|one| !one.makes_room()).count();
        let bytes = self.transactions.values().map(Transaction::stored_bytes);
        let bytes = bytes.fold(0, usize::saturating_add);
        let few = Self::TRANSACTIONS_MAX.saturating_add(TRANSACTIONS_LEFT_BY_CAPTURES);
        let is_small = match action {
            Action::Capture { .. } => {
                bytes < LEDGER_BYTES_MAX.saturating_sub(BYTES_LEFT_BY_CAPTURES)
            }
            Action::Refund { .. } | Action::Cancel | Action::Reverse => {
                bytes < LEDGER_BYTES_MAX || all < few
            }
        };
        counted < Self::TRANSACTIONS_MAX && is_small
    }

    /// True if this reason for the rejection of the transaction `id` can be kept.
    pub(super) fn has_room_for_reason(&self, id: &TransactionId, reason: &RejectionReason) -> bool {
        let others = self.transactions.values().filter(|one| one.id != *id);
        let others = others.filter_map(|one| one.rejection.as_ref());
        let bytes = others.chain([reason]).map(RejectionReason::bytes);
        bytes.fold(0, usize::saturating_add) <= REASON_BYTES_MAX
    }
}

impl Transaction {
    /// True if it is final, moved nothing, and nothing contradicts that.
    fn makes_room(&self) -> bool {
        self.state == State::Failure && !self.is_discrepant()
    }

    fn stored_bytes(&self) -> usize {
        let charge = self.charge.as_ref().map_or(0, |charge| charge.as_str().len());
        let psp = self.psp.as_ref().map_or(0, String::len);
        let bytes = TRANSACTION_BYTES.saturating_add(charge).saturating_add(psp);
        bytes.saturating_add(self.text_bytes())
    }

    /// The number of bytes of its texts that callers and connectors provide.
    pub(super) fn text_bytes(&self) -> usize {
        let reporter = self.reported.as_ref().and_then(|reported| reported.by.as_deref());
        let names = [&self.interaction_id, &self.interface_id, &self.merchant_reference];
        let names = names.into_iter().filter_map(|name| name.as_deref());
        let texts = names.chain(reporter).chain([self.id.as_str()]).map(str::len);
        let reason = self.rejection.as_ref().map_or(0, RejectionReason::bytes);
        texts.fold(reason, usize::saturating_add)
    }
}
