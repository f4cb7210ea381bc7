//! The index of Payments with an open transaction, as recovery reads it.

use crate::payment::{PaymentKey, Timestamp};

/// The shards of the recovery index that one process reads: those whose number leaves
/// the remainder `part` when it is divided by `of`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexPart {
    part: usize,
    of: usize,
}

impl IndexPart {
    /// All shards.
    pub const WHOLE: Self = Self { part: 0, of: 1 };

    /// Part `part`, counted from 0, of an index that is read in `of` parts. `None` where
    /// there is no such part.
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

    /// True where this shard belongs to the part.
    pub fn includes(self, shard: usize) -> bool {
        shard.checked_rem(self.of) == Some(self.part)
    }
}

/// An entry of the recovery index whose time has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DuePayment {
    /// The Payment.
    pub key: PaymentKey,
    /// The time from which recovery should look at it.
    pub due_at: Timestamp,
}

/// Some entries of the recovery index, ordered by the time at which they are due.
#[derive(Debug)]
pub struct DuePage<P> {
    /// The entries. They are due before those of every later page.
    pub payments: Vec<DuePayment>,
    /// The position after them; `None` where nothing more is due.
    pub next: Option<P>,
}

/// The numbers of entries of the recovery index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenCount {
    /// Payments with something open.
    pub open: u64,
    /// Those of them that are due.
    pub due: u64,
}
