//! The Payment: its authorized amount, its transactions, and the actions that it allows.
//!
//! This module is pure and total: no IO, no clock, no randomness. Time and identifiers
//! are arguments.
//!
//! `impl Payment` is spread over these files, in reading order:
//!
//! | file | holds |
//! |---|---|
//! | `transaction` | [`Transaction`], one ledger entry: its kind and [`State`] |
//! | `rejection` | [`RejectionReason`]: why a connector rejected a transaction |
//! | `balances` | [`Balances`]: every rule that moves an amount, and [`Payment::check`] |
//! | `psps` | [`DirectPsps`]: the PSPs that are called without a connector |
//! | `action`, `admit` | [`Action`], [`Payment::admit`]: the rules for reserving it, and the reasons to refuse it |
//! | `room` | the number and the size of the transactions that a ledger takes |
//! | `state_machine` | [`Outcome`], and the step that it leads to from each state |
//! | `settle` | [`Payment::settle`]: applying an outcome to the ledger |
//! | `release` | [`Payment::release_rest`]: the rest that a PSP releases with a capture |
//! | `recover` | [`Payment::expire`], [`Payment::resume`]: an attempt that ended without an outcome |
//! | `register` | [`Payment::register`]: the transactions that happened before |
//! | `update` | [`Payment::update`]: reports, and fields that the ledger does not interpret |
//! | `reports` | recording a report: by id, or as a separate effect |
//! | `answered` | the PSP's id of a transaction, as the answer to our request gives it |
//! | `dated` | recording a report by its date, for a PSP whose events come in any order |
//! | `identity` | the ids by which a report is about one transaction |
//! | `matching` | the transaction that a report is about |
//! | `reported_state` | applying a reported state, and reported Failures that do not count yet |
//! | `likeness` | recording a report by likeness, and undoing that |
//! | `merge` | two transactions that turn out to be the same effect |
//! | `lookup` | [`Payment::look_up`]: settling by a platform's Payment |
//! | `discrepancy` | disputes and excess: how they stop a side, and how they are resolved |
//! | `ids` | identifiers and [`Timestamp`] |

mod action;
mod admit;
mod answered;
mod balances;
mod dated;
mod discrepancy;
mod identity;
mod ids;
mod likeness;
mod lookup;
mod matching;
mod merge;
mod psps;
mod recover;
mod register;
mod rejection;
mod release;
mod reported_state;
mod reports;
mod room;
mod settle;
mod state_machine;
mod transaction;
mod update;

pub use action::{Action, Reservation};
pub use admit::{Admission, Refusal};
pub use balances::{Balances, Inconsistent};
pub use dated::DatedReport;
pub use ids::{InvalidId, Nonce, PaymentId, PaymentKey, ProjectKey, Timestamp, TransactionId};
pub use lookup::PlatformProof;
pub use psps::DirectPsps;
pub use recover::SETTLE_WINDOW_MS;
pub use register::{Registration, RegistrationRefusal};
pub use rejection::RejectionReason;
pub use reports::{Report, Reporter};
pub use settle::Settlement;
pub use state_machine::Outcome;
pub use transaction::{
    Likeness, RecoveryProgress, Reported, Side, State, Transaction, TransactionKind,
};
pub use update::{Update, UpdateRefusal};

use crate::money::{Currency, Money};
use std::collections::BTreeMap;

/// One Payment with its whole ledger: the unit of consistency, one item in
/// storage, changed by one conditional write at a time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Payment {
    /// Its project and id.
    pub key: PaymentKey,
    /// Raised by one with every write.
    pub version: u64,
    /// When it was registered here.
    pub created_at: Timestamp,
    /// When it was last written.
    pub modified_at: Timestamp,
    /// The number of digits after the decimal point of its currency, as of its
    /// registration: a later edition of ISO 4217 does not change old amounts.
    pub fraction_digits: u8,
    /// The authorized, captured, refunded and cancelled amounts.
    pub balances: Balances,
    /// The ledger, by transaction id.
    pub transactions: BTreeMap<TransactionId, Transaction>,
    /// The one action that may be at its connector now.
    pub in_flight: Option<InFlight>,
    /// The time of the latest reservation that was withdrawn because nothing was sent.
    /// Only later reservations are accepted, so that a delayed copy of a withdrawn
    /// write does not reserve again.
    pub withdrawn_at: Option<Timestamp>,
    /// Fields that the ledger does not interpret.
    pub details: Details,
}

/// The slot of the one action of a Payment that may be at its connector.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InFlight {
    /// The transaction that was reserved.
    pub transaction: TransactionId,
    /// Random for each attempt, so that the holder recognises its own write.
    pub nonce: Nonce,
    /// 1 for the first call to the connector with this transaction.
    pub attempt: u32,
    /// The time from which the holder can no longer send anything.
    pub lease: Timestamp,
}

/// The fields of a Payment besides its ledger. JSON documents are stored as the text
/// that was received.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Details {
    /// The amount that the Payment intends to receive.
    pub amount_planned: Option<Money>,
    /// A key given by the caller.
    pub key: Option<String>,
    /// The PSP's id of the Payment.
    pub interface_id: Option<String>,
    /// The name of the connector: the key into the configured connectors.
    pub payment_interface: Option<String>,
    /// The payment method (`card`, `paypal`, …).
    pub method: Option<String>,
    /// Localized names of the method: a JSON object.
    pub method_name: Option<String>,
    /// The PSP's status code.
    pub status_code: Option<String>,
    /// The PSP's status in words.
    pub status_text: Option<String>,
    /// The customer: a JSON reference.
    pub customer: Option<String>,
    /// The id of an anonymous session.
    pub anonymous_id: Option<String>,
    /// The order that is paid: a JSON reference.
    pub order: Option<String>,
    /// The cart that is paid: a JSON reference.
    pub cart: Option<String>,
    /// Custom fields: a JSON object.
    pub custom: Option<String>,
    /// Notes of connectors: JSON objects.
    pub interface_interactions: Vec<String>,
}

impl Details {
    /// The optional texts by a name for each.
    pub(crate) fn texts(&self) -> [(&'static str, &Option<String>); 12] {
        [
            ("key", &self.key),
            ("interface_id", &self.interface_id),
            ("payment_interface", &self.payment_interface),
            ("method", &self.method),
            ("method_name", &self.method_name),
            ("status_code", &self.status_code),
            ("status_text", &self.status_text),
            ("customer", &self.customer),
            ("anonymous_id", &self.anonymous_id),
            ("order", &self.order),
            ("cart", &self.cart),
            ("custom", &self.custom),
        ]
    }
}

impl Payment {
    /// The currency of all its amounts.
    pub fn currency(&self) -> Currency {
        self.balances.authorized.currency()
    }

    /// The transactions without a final outcome. Their amounts are held. An
    /// Authorization is never one of them: this service does not send it.
    pub fn open_transactions(&self) -> impl Iterator<Item = &Transaction> {
        self.transactions.values().filter(|transaction| transaction.is_open())
    }

    /// True if this transaction has the slot.
    pub fn is_in_flight(&self, id: &TransactionId) -> bool {
        self.in_flight.as_ref().is_some_and(|slot| slot.transaction == *id)
    }

    /// True if the attempt with this nonce has the slot. By it, a holder recognises its
    /// own write when the answer to the write was lost.
    pub fn is_held_by(&self, nonce: &Nonce) -> bool {
        self.in_flight.as_ref().is_some_and(|slot| slot.nonce == *nonce)
    }

    /// The earliest time at which recovery is due; `None` if nothing is open. A slot is
    /// due when its lease ends, even if a report has settled its transaction: its holder
    /// may have been killed.
    pub fn recover_at(&self) -> Option<Timestamp> {
        let lease = self.in_flight.as_ref().map(|slot| slot.lease);
        let open = self.open_transactions().map(|open| self.next_look_at(open));
        open.chain(lease).min()
    }

    /// The time at which recovery of this open transaction is due. While it is in flight,
    /// that is the end of its lease.
    pub fn next_look_at(&self, open: &Transaction) -> Timestamp {
        match &self.in_flight {
            Some(slot) if slot.transaction == open.id => slot.lease,
            Some(_) | None => {
                let planned = open.recovery.look_at;
                planned.unwrap_or_else(|| open.timestamp.plus_ms(recover::FIRST_LOOK_MS))
            }
        }
    }

    /// A copy with the next version, modified at `at`.
    fn changed(&self, at: Timestamp) -> Self {
        Self { version: self.version.saturating_add(1), modified_at: at, ..self.clone() }
    }
}
