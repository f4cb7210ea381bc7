//! The rest of an authorization, which some PSPs release with the first capture.

#![warn(clippy::wildcard_enum_match_arm)]

use super::TransactionKind::{CancelAuthorization, Charge};
use super::{Payment, Report, Reported, State, Timestamp, Transaction, TransactionId};
use crate::digest::id_of;

impl Payment {
    /// True if more may be captured of the authorization than this capture takes: what
    /// is left, and what other open captures hold.
    pub fn has_rest_beside(&self, capture: &TransactionId) -> bool {
        let is_other = |open: &Transaction| open.kind == Charge && open.id != *capture;
        !self.balances.capturable.is_zero() || self.open_transactions().any(is_other)
    }

    /// Books that the PSP has released what is left to capture, because something is
    /// captured. Returns the Payment, where that changes it.
    ///
    /// What an open capture holds stays held: whether that is released follows from its
    /// outcome. It is released by the write that says that the capture failed.
    pub fn release_rest(&self, at: Timestamp) -> Option<Self> {
        let mut next = self.changed(at);
        next.book_release(at).then_some(next)
    }

    /// Books the release of what is left to capture, if something is captured. Returns
    /// whether that changed anything.
    pub(super) fn book_release(&mut self, at: Timestamp) -> bool {
        let rest = self.balances.capturable;
        let is_captured = |one: &Transaction| one.kind == Charge && one.state == State::Success;
        if rest.is_zero() || !self.transactions.values().any(is_captured) {
            return false;
        }
        let version = self.version.to_string();
        let id = TransactionId::from(id_of(&["release", &self.key.to_string(), &version]));
        let release = Report {
            kind: CancelAuthorization,
            state: State::Success,
            amount: rest,
            timestamp: Some(at),
            interaction_id: None,
            interface_id: None,
        };
        self.add_effect(&id, &release, &Reported { by: None, at }, None);
        true
    }
}
