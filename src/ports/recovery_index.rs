//! The types of the recovery index, which lists the Payments with an open transaction.

use crate::payment::{PaymentKey, Timestamp};

/// The part of the recovery index that one process reads: the shards whose number modulo
/// `of` is `part`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexPart {
    part: usize,
    of: usize,
}

impl IndexPart {
    /// All shards.
    pub const WHOLE: Self = Self { part: 0, of: 1 };

    /// Part `part`, counted from 0, of `of` parts. `None` if `part` is not less than `of`.
    pub fn new(part: usize, of: usize) -> Option<Self> {
        (part < of).then_some(Self { part, of })
    }

    /// The number of this part, counted from 0.
    pub fn part(self) -> usize {
        self.part
    }

    /// The number of parts.
    pub fn of(self) -> usize {
        self.of
    }

    /// True if this shard belongs to the part.
    pub fn includes(self, shard: usize) -> bool {
        shard.checked_rem(self.of) == Some(self.part)
    }
}

/// An entry of the recovery index that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DuePayment {
    /// The Payment.
    pub key: PaymentKey,
    /// The time at which the entry became due.
    pub due_at: Timestamp,
}

/// A page of due entries of the recovery index, ordered by the time at which they are due.
#[derive(Debug)]
pub struct DuePage<P> {
    /// The entries. All entries of later pages are due later.
    pub payments: Vec<DuePayment>,
    /// The position of the next page; `None` after the last page.
    pub next: Option<P>,
}

/// The numbers of entries of the recovery index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenCount {
    /// The number of Payments with an open transaction.
    pub open: u64,
    /// The number of Payments that are due.
    pub due: u64,
}
