//! The release of the rest of an authorization: some PSPs do it with the first capture.

#![warn(clippy::wildcard_enum_match_arm)]

use super::TransactionKind::{CancelAuthorization, Charge};
use super::{Payment, Report, Reported, State, Timestamp, Transaction, TransactionId};
use crate::digest::id_of;
use crate::money::Money;

impl Payment {
    /// True if more than this capture may be captured of the authorization: an amount is left,
    /// or held by other open captures.
    pub fn has_rest_beside(&self, capture: &TransactionId) -> bool {
        let is_other = |open: &Transaction| open.kind == Charge && open.id != *capture;
        !self.balances.capturable.is_zero() || self.open_transactions().any(is_other)
    }

    /// The Payment with the release of the amount that is left to capture; `None` if nothing
    /// is captured, or nothing is left.
    ///
    /// An open capture keeps its hold. If it fails, the same write releases its amount. The
    /// amount of a capture that happened and failed afterwards is not released: the PSP may
    /// capture it again.
    pub fn release_rest(&self, at: Timestamp) -> Option<Self> {
        let undone = self.undone_captures()?;
        let rest = self.balances.capturable.take_at_most(undone).ok()?;
        // A capture that failed and may come again is Pending.
        let has_happened = |one: &Transaction| {
            one.state == State::Success || one.state == State::Pending && one.has_happened()
        };
        let is_captured = |one: &Transaction| one.kind == Charge && has_happened(one);
        let was_captured = self.transactions.values().any(is_captured) || !undone.is_zero();
        if rest.is_zero() || !was_captured {
            return None;
        }
        let mut next = self.changed(at);
        let version = next.version.to_string();
        let id = TransactionId::from(id_of(&["release", &self.key.to_string(), &version]));
        let release = Report {
            kind: CancelAuthorization,
            state: State::Success,
            amount: rest,
            timestamp: Some(at),
            interaction_id: None,
            interface_id: None,
        };
        next.add_effect(&id, &release, &Reported { by: None, at }, None);
        Some(next)
    }

    /// The sum of the captures that failed after they had happened.
    fn undone_captures(&self) -> Option<Money> {
        let is_undone = |one: &&Transaction| {
            one.kind == Charge && one.state == State::Failure && one.has_happened()
        };
        let undone = self.transactions.values().filter(is_undone);
        undone
            .map(|one| one.amount)
            .try_fold(Money::zero(self.currency()), |sum, amount| sum.give(amount).ok())
    }
}
