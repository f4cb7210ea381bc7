//! The marks by which our captures and refunds are known at Stripe.

use crate::error::BoxError;
use crate::payment::TransactionId;
use std::collections::BTreeMap;

/// The value of an entry of `metadata`. Its key is the id of one of our transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// A capture of this amount, in Stripe's units.
    Capture(u64),
    /// A refund of this amount, in Stripe's units.
    Refund(u64),
}

impl Mark {
    /// The parameter that sets the entry. A key of `metadata` has at most 40 characters:
    /// <https://docs.stripe.com/api/metadata>
    pub(super) fn field(self, id: &str) -> Result<(String, String), BoxError> {
        const KEY_MAX: usize = 40;
        if id.chars().count() > KEY_MAX || id.contains(['[', ']']) {
            return Err("the transaction id cannot be a key of Stripe's metadata".into());
        }
        let value = match self {
            Self::Capture(amount) => format!("capture {amount}"),
            Self::Refund(amount) => format!("refund {amount}"),
        };
        Ok((format!("metadata[{id}]"), value))
    }

    fn parse(value: &str) -> Option<Self> {
        let (kind, amount) = value.split_once(' ')?;
        let amount = amount.parse().ok()?;
        match kind {
            "capture" => Some(Self::Capture(amount)),
            "refund" => Some(Self::Refund(amount)),
            _ => None,
        }
    }

    /// The marks of `metadata`, with the ids of their transactions.
    pub(super) fn of(metadata: Option<&BTreeMap<String, String>>) -> Vec<(TransactionId, Self)> {
        let entries = metadata.into_iter().flatten();
        let read = entries
            .filter_map(|(id, value)| Some((TransactionId::parse(id).ok()?, Self::parse(value)?)));
        read.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_fits_into_stripes_metadata() {
        assert!(Mark::Refund(1).field(&"x".repeat(40)).is_ok());
        assert!(Mark::Refund(1).field(&"x".repeat(41)).is_err());
        assert!(Mark::Refund(1).field("a]b").is_err());
    }
}
