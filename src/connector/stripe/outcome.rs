//! The outcome of a transaction, by the objects at Stripe.

use super::objects::PaymentIntent;
use crate::error::BoxError;
use crate::money::Money;
use crate::payment::{Report, State, Transaction, TransactionId, TransactionKind};
use crate::ports::{Call, Verdict};

/// The transaction whose outcome is looked for.
pub(super) struct Sought<'a> {
    pub(super) kind: TransactionKind,
    pub(super) amount: Money,
    pub(super) id: &'a TransactionId,
}

/// The effects at Stripe that have the kind of the transaction, without those that have the
/// mark of another one. They have no time, so that nothing but our id matches them to a
/// capture or a refund of ours.
pub(super) struct Effects {
    pub(super) reports: Vec<Report>,
    /// True if no further effect of this kind can happen.
    is_over: bool,
}

impl<'a> Sought<'a> {
    pub(super) fn of(transaction: &'a Transaction) -> Self {
        Self { kind: transaction.kind, amount: transaction.amount, id: &transaction.id }
    }

    /// `None` for a reversal, which is not sent as one.
    pub(super) fn of_call(call: &'a Call) -> Option<Self> {
        use crate::payment::Action::{Cancel, Capture, Refund, Reverse};
        let kind = match &call.action {
            Capture { .. } => TransactionKind::Charge,
            Refund { .. } => TransactionKind::Refund,
            Cancel => TransactionKind::CancelAuthorization,
            Reverse => return None,
        };
        Some(Self { kind, amount: call.amount, id: &call.transaction })
    }
}

impl Effects {
    /// The refunds, of which each may be followed by another.
    pub(super) fn of_refunds(sought: &Sought<'_>, refunds: Vec<Report>) -> Self {
        Self::new(sought, refunds, false)
    }

    /// The captures, or the cancel. An error if they cannot be told apart.
    pub(super) fn of_intent(
        sought: &Sought<'_>,
        intent: &PaymentIntent,
        digits: u8,
        multicapture: bool,
    ) -> Result<Self, BoxError> {
        intent.check_settled()?;
        if sought.kind == TransactionKind::CancelAuthorization {
            let cancel = intent.cancel_of(sought.id, sought.amount)?;
            return Ok(Self::new(sought, cancel.into_iter().collect(), intent.is_final()));
        }
        intent.check_all_marked(multicapture)?;
        let mut captures = intent.captures(digits, multicapture)?;
        // A single capture of another amount is another one. Of several, the amount is a sum.
        captures.retain(|one| {
            multicapture || one.interface_id.is_some() || one.amount == sought.amount
        });
        Ok(Self::new(sought, captures, intent.is_final()))
    }

    fn new(sought: &Sought<'_>, mut reports: Vec<Report>, is_over: bool) -> Self {
        let own = Some(sought.id.as_str());
        reports.retain(|one| one.interface_id.is_none() || one.interface_id.as_deref() == own);
        for report in &mut reports {
            report.timestamp = None;
        }
        Self { reports, is_over }
    }

    /// The outcome, if the effects prove it. An effect that is not shown may still happen:
    /// Stripe may be working on it, or repair it after an error. It cannot happen if it is a
    /// capture or a cancel and the PaymentIntent is final. Then an unmarked capture may still
    /// be it, or the sum of it and others.
    pub(super) fn outcome_of(&self, sought: &Sought<'_>) -> Option<Verdict> {
        let own = Some(sought.id.as_str());
        let is_named =
            |one: &&Report| one.amount == sought.amount && one.interface_id.as_deref() == own;
        let Some(found) = self.reports.iter().find(is_named) else {
            let may_include = |one: &Report| {
                one.interface_id.is_some()
                    || one.amount.minor_units() >= sought.amount.minor_units()
            };
            let may_be_it = self.reports.iter().any(may_include);
            return (self.is_over && !may_be_it).then_some(Verdict::Rejected(None));
        };
        match found.state {
            State::Success => Some(Verdict::Approved),
            State::Pending => Some(Verdict::Received(None)),
            State::Failure => Some(Verdict::Rejected(None)),
            State::Initial | State::Unknown => None,
        }
    }
}
