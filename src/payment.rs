//! The Payment: what is authorized, what happened to it, what may still happen.
//!
//! Everything in here is pure and total: no IO, no clock, no randomness. Time
//! and identifiers are arguments.
//!
//! `impl Payment` is spread over these files, in reading order:
//!
//! | file | holds |
//! |---|---|
//! | `transaction` | [`Transaction`], one ledger entry: its kind and [`State`] |
//! | `balances` | [`Balances`]: every rule that moves an amount, and [`Payment::check`] |
//! | `action`, `admit` | [`Action`], [`Payment::admit`]: may it be reserved, and if not, exactly why |
//! | `settle` | [`Payment::settle`]: the state machine of a connector's outcome |
//! | `release` | [`Payment::release_rest`]: the rest that a PSP releases with a capture |
//! | `recover` | [`Payment::expire`], [`Payment::resume`]: an attempt that ended without an outcome |
//! | `register` | [`Payment::register`]: the transactions that happened before |
//! | `update` | [`Payment::update`]: reports, and fields that the ledger does not interpret |
//! | `reports` | recording a report: by id, or as an effect of its own |
//! | `dated` | recording the reports of a PSP whose events come in any order |
//! | `matching` | the transaction that a report is about |
//! | `reported_state` | the state that a report gives, and Failures that wait |
//! | `likeness` | recording a report by likeness, and undoing that |
//! | `lookup` | [`Payment::look_up`]: settling by a platform's Payment |
//! | `discrepancy` | disputes and excess: what stops a side, and what resolves it |
//! | `ids` | identifiers and [`Timestamp`] |

mod action;
mod admit;
mod balances;
mod dated;
mod discrepancy;
mod ids;
mod likeness;
mod lookup;
mod matching;
mod recover;
mod register;
mod release;
mod reported_state;
mod reports;
mod settle;
mod transaction;
mod update;

pub use action::{Action, Reservation};
pub use admit::{Admission, Refusal};
pub use balances::{Balances, Inconsistent};
pub use dated::DatedReport;
pub use ids::{InvalidId, Nonce, PaymentId, PaymentKey, ProjectKey, Timestamp, TransactionId};
pub use lookup::PlatformProof;
pub use recover::SETTLE_WINDOW_MS;
pub use register::{Registration, RegistrationRefusal, RegistrationTransaction};
pub use reports::{Report, Reporter};
pub use settle::{Outcome, Settlement};
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
    /// Where it lives: project and id.
    pub key: PaymentKey,
    /// Raised by one with every write.
    pub version: u64,
    /// When it was registered here.
    pub created_at: Timestamp,
    /// When it was last written.
    pub modified_at: Timestamp,
    /// Digits after the decimal point of its currency, as they were when it was
    /// registered: a later edition of ISO 4217 does not change old amounts.
    pub fraction_digits: u8,
    /// The amount authorized, and where it has gone.
    pub balances: Balances,
    /// The ledger, by transaction id. At most [`Self::TRANSACTIONS_MAX`] when
    /// an action is reserved.
    pub transactions: BTreeMap<TransactionId, Transaction>,
    /// The one action that may be at its connector now.
    pub in_flight: Option<InFlight>,
    /// When the latest of the reservations was made that were withdrawn because
    /// nothing was sent. Delayed copies of those writes must not come to life
    /// again, so no reservation is made that is not later.
    pub withdrawn_at: Option<Timestamp>,
    /// Fields that the ledger does not interpret.
    pub details: Details,
}

/// The slot that lets one action of a Payment go to its connector, and no other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InFlight {
    /// The transaction that was reserved.
    pub transaction: TransactionId,
    /// Random for each attempt, so that a holder knows its own write again.
    pub nonce: Nonce,
    /// 1 for the first call to the connector with this transaction.
    pub attempt: u32,
    /// From this moment on the holder can no longer send anything.
    pub lease: Timestamp,
}

/// The fields of a Payment besides its ledger. JSON documents are kept as the
/// text they came in, unread.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Details {
    /// The amount that the Payment intends to receive.
    pub amount_planned: Option<Money>,
    /// A key given by the caller.
    pub key: Option<String>,
    /// The PSP's id of the Payment.
    pub interface_id: Option<String>,
    /// Names the connector: the key into the configured connectors.
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
    /// Identifies an anonymous session.
    pub anonymous_id: Option<String>,
    /// The order that it pays for: a JSON reference.
    pub order: Option<String>,
    /// The cart that it pays for: a JSON reference.
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
    /// The number of transactions from which actions are refused:
    /// what one item can hold with room to spare.
    pub const TRANSACTIONS_MAX: usize = 50;

    /// The one currency of all its amounts.
    pub fn currency(&self) -> Currency {
        self.balances.authorized.currency()
    }

    /// The transactions whose outcome is still to come. What they hold stays
    /// held. An Authorization is the PSP's business and never counts.
    pub fn open_transactions(&self) -> impl Iterator<Item = &Transaction> {
        self.transactions.values().filter(|transaction| transaction.is_open())
    }

    /// True if this transaction holds the slot.
    pub fn is_in_flight(&self, id: &TransactionId) -> bool {
        self.in_flight.as_ref().is_some_and(|slot| slot.transaction == *id)
    }

    /// True if this very reservation is the one in flight: how a holder knows
    /// its own write again when the answer to it was lost.
    pub fn is_held_by(&self, nonce: &Nonce) -> bool {
        self.in_flight.as_ref().is_some_and(|slot| slot.nonce == *nonce)
    }

    /// When recovery should look at what is open, the earliest first; `None`
    /// where nothing is open. A slot is looked at even where a fact has settled
    /// its transaction meanwhile: its holder may be gone.
    pub fn recover_at(&self) -> Option<Timestamp> {
        let lease = self.in_flight.as_ref().map(|slot| slot.lease);
        let open = self.open_transactions().map(|open| self.look_at(open));
        open.chain(lease).min()
    }

    /// When recovery should look at this open transaction: not before its holder
    /// can no longer send.
    pub fn look_at(&self, open: &Transaction) -> Timestamp {
        match &self.in_flight {
            Some(slot) if slot.transaction == open.id => slot.lease,
            Some(_) | None => {
                let planned = open.recovery.look_at;
                planned.unwrap_or_else(|| open.timestamp.plus_ms(recover::FIRST_LOOK_MS))
            }
        }
    }

    /// The same Payment, one version on.
    fn changed(&self, at: Timestamp) -> Self {
        Self { version: self.version.saturating_add(1), modified_at: at, ..self.clone() }
    }
}
