//! The conversion of a Payment to an item; `read` converts it back. Attribute names inside
//! a transaction are short, because the size of an item determines the cost of a write.

mod read;

pub(super) use read::{claim, index_entry, payment_key, to_payment};

use super::Item;
use crate::money::Money;
use crate::payment::{
    Balances, Details, DirectPsps, InFlight, Likeness, Nonce, Payment, PaymentKey,
    RecoveryProgress, RejectionReason, Reported, Reservation, Side, State, Transaction,
    TransactionKind,
};
use crate::ports::IndexPart;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use sha2::{Digest, Sha256};

/// The attribute with the amount of a cancel that was reserved without a read.
pub(super) const CANCELLING: &str = "cancelling";

/// The format in which items are written. Nothing is reserved without a read on an item of
/// another format, whose attributes do not show which sides are stopped.
pub(super) const FORMAT: u64 = 2;

/// The format of items without the attributes of `STOPS`. Items of this format are read,
/// and the next change writes them in `FORMAT`.
pub(super) const FORMAT_WITHOUT_STOPS: u64 = 1;

/// The attributes that exist while a discrepancy stops a side.
pub(super) const STOPS: [(&str, Side); 2] =
    [("captures_stopped", Side::Captures), ("refunds_stopped", Side::Refunds)];

/// The sort key of a Payment's item.
pub(super) const SORT_KEY: &str = "payment";

/// The attribute names inside a transaction.
pub(super) struct Tag;

impl Tag {
    pub(super) const KIND: &str = "k";
    pub(super) const STATE: &str = "s";
    pub(super) const AMOUNT: &str = "a";
    pub(super) const TIMESTAMP: &str = "t";
    pub(super) const IS_REVERSAL: &str = "v";
    pub(super) const CHARGE: &str = "c";
    pub(super) const REFUNDABLE: &str = "l";
    pub(super) const MERCHANT_REFERENCE: &str = "m";
    pub(super) const INTERACTION_ID: &str = "i";
    pub(super) const INTERFACE_ID: &str = "f";
    pub(super) const HAPPENED_AT: &str = "h";
    pub(super) const AWAITING_BALANCES: &str = "x";
    pub(super) const DISPUTED: &str = "d";
    pub(super) const REPORTED_BY: &str = "b";
    pub(super) const REPORTED_AT: &str = "e";
    pub(super) const RESENDS: &str = "n";
    pub(super) const UNCLEAR_SINCE: &str = "u";
    pub(super) const LOOKS: &str = "o";
    pub(super) const LOOK_AT: &str = "w";
    pub(super) const LIKENESS: &str = "g";
    pub(super) const POSSIBLE_DUPLICATE_OF: &str = "z";
    pub(super) const FAILURE_BY: &str = "j";
    pub(super) const FAILURE_AT: &str = "q";
    pub(super) const EXTERNAL: &str = "y";
    pub(super) const ACKNOWLEDGED_BY: &str = "p";
    pub(super) const ACKNOWLEDGED_AT: &str = "r";
    // An item from before these two were added has no reasons. An earlier version of this
    // service does not read them, and may drop them when it writes the transaction again.
    // Neither changes a balance or a state, so the format of items stays the same.
    pub(super) const REJECTION_CODE: &str = "C";
    pub(super) const REJECTION_TEXT: &str = "T";
    // A transaction without these two was sent to a connector over HTTP.
    pub(super) const PSP: &str = "P";
    pub(super) const PSPS: &str = "D";
}

pub(super) fn primary_key(key: &PaymentKey) -> Item {
    Item::from([("pk".to_owned(), text(&key.to_string())), ("sk".to_owned(), text(SORT_KEY))])
}

/// The number of partitions of the recovery index. Open Payments are distributed over them.
/// Earlier versions used the first four: an item stays in its partition until it is next
/// written.
const SHARDS: u8 = 64;

/// The partition of a Payment in the recovery index.
pub(super) fn shard(key: &PaymentKey) -> AttributeValue {
    let digest = Sha256::digest(key.to_string().as_bytes());
    let shard = digest.first().and_then(|byte| byte.checked_rem(SHARDS)).unwrap_or_default();
    text(&shard.to_string())
}

/// The partitions in a part of the index.
pub(super) fn shards(part: IndexPart) -> impl Iterator<Item = String> {
    (0..SHARDS).filter(move |shard| part.includes((*shard).into())).map(|shard| shard.to_string())
}

pub(super) fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

pub(super) fn number(number: u64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

pub(super) fn count(count: usize) -> AttributeValue {
    AttributeValue::N(count.to_string())
}

pub(super) fn nonce(nonce: Nonce) -> AttributeValue {
    AttributeValue::B(Blob::new(nonce.bits().to_be_bytes()))
}

pub(super) fn map(item: Item) -> AttributeValue {
    AttributeValue::M(item)
}

/// The balances with the names of their attributes.
pub(super) fn balances(balances: &Balances) -> [(&'static str, Money); 6] {
    [
        ("authorized", balances.authorized),
        ("capturable", balances.capturable),
        ("captured", balances.captured),
        ("refundable", balances.refundable),
        ("refunded", balances.refunded),
        ("cancelled", balances.cancelled),
    ]
}

pub(super) fn from_payment(payment: &Payment) -> Item {
    let mut item = primary_key(&payment.key);
    let mut put = |name: &str, value| item.insert(name.to_owned(), value);
    put("item_format", number(FORMAT));
    put("version", number(payment.version));
    put("created_at", number(payment.created_at.ms()));
    put("modified_at", number(payment.modified_at.ms()));
    put("currency", text(payment.currency().code()));
    put("digits", number(payment.fraction_digits.into()));
    for (name, amount) in balances(&payment.balances) {
        put(name, number(amount.minor_units()));
    }
    let transactions = payment.transactions.values();
    let transactions = transactions
        .map(|transaction| (transaction.id.to_string(), map(from_transaction(transaction))));
    put("transactions", map(transactions.collect()));
    if let Some(slot) = &payment.in_flight {
        put("inflight", map(from_slot(slot)));
    }
    if let Some(at) = payment.withdrawn_at {
        put("withdrawn_at", number(at.ms()));
    }
    if let Some(at) = payment.recover_at() {
        put("recover_shard", shard(&payment.key));
        put("recover_at", number(at.ms()));
    }
    for (name, side) in STOPS {
        if payment.discrepancies_of(side).next().is_some() {
            put(name, AttributeValue::Bool(true));
        }
    }
    put("details", map(from_details(&payment.details)));
    item
}

/// The attributes of a reserved transaction. The amount of a cancel is stored outside of
/// it.
pub(super) fn reserved(
    reservation: &Reservation,
    kind: TransactionKind,
    amount: Option<Money>,
) -> Item {
    let mut item = Fields::new();
    item.put(Tag::KIND, Some(text(kind_code(kind))));
    item.put(Tag::STATE, Some(text(state_code(State::Initial))));
    item.put(Tag::AMOUNT, amount.map(|amount| number(amount.minor_units())));
    item.put(Tag::TIMESTAMP, Some(number(reservation.at.ms())));
    item.put(Tag::IS_REVERSAL, flag(reservation.action == crate::payment::Action::Reverse));
    item.put(Tag::CHARGE, reservation.action.charge().map(|charge| text(charge.as_str())));
    item.put(Tag::MERCHANT_REFERENCE, reservation.merchant_reference.as_deref().map(text));
    item.put(Tag::PSPS, from_psps(&reservation.psps));
    item.0
}

/// The PSPs that are called directly, if there are any. The payment interface, which selects
/// one, is not known at a reservation without a read.
fn from_psps(psps: &DirectPsps) -> Option<AttributeValue> {
    let entries = psps.by_interface().iter().map(|(name, psp)| (name.clone(), text(psp)));
    let entries: Item = entries.collect();
    (!entries.is_empty()).then_some(AttributeValue::M(entries))
}

pub(super) fn from_transaction(transaction: &Transaction) -> Item {
    let mut item = Fields::new();
    item.put(Tag::KIND, Some(text(kind_code(transaction.kind))));
    item.put(Tag::STATE, Some(text(state_code(transaction.state))));
    item.put(Tag::AMOUNT, Some(number(transaction.amount.minor_units())));
    item.put(Tag::TIMESTAMP, Some(number(transaction.timestamp.ms())));
    item.put(Tag::IS_REVERSAL, flag(transaction.is_reversal));
    item.put(Tag::CHARGE, transaction.charge.as_ref().map(|charge| text(charge.as_str())));
    item.put(Tag::REFUNDABLE, transaction.refundable.map(|left| number(left.minor_units())));
    item.put(Tag::MERCHANT_REFERENCE, transaction.merchant_reference.as_deref().map(text));
    item.put(Tag::INTERACTION_ID, transaction.interaction_id.as_deref().map(text));
    item.put(Tag::INTERFACE_ID, transaction.interface_id.as_deref().map(text));
    item.put(Tag::HAPPENED_AT, transaction.happened_at.map(|at| number(at.ms())));
    let state_text = |state: Option<State>| state.map(|state| text(state_code(state)));
    item.put(Tag::AWAITING_BALANCES, state_text(transaction.state_awaiting_balances));
    item.put(Tag::DISPUTED, flag(transaction.is_disputed));
    item.put(Tag::LIKENESS, transaction.likeness.as_ref().map(|one| map(from_likeness(one))));
    item.put(
        Tag::POSSIBLE_DUPLICATE_OF,
        transaction.possible_duplicate_of.as_ref().map(|ours| text(ours.as_str())),
    );
    item.put(Tag::EXTERNAL, flag(transaction.is_external));
    item.put(Tag::PSP, transaction.psp.as_deref().map(text));
    let reason = transaction.rejection.as_ref();
    item.put(Tag::REJECTION_CODE, reason.and_then(RejectionReason::code).map(text));
    item.put(Tag::REJECTION_TEXT, reason.and_then(RejectionReason::text).map(text));
    item.put_report((Tag::REPORTED_BY, Tag::REPORTED_AT), &transaction.reported);
    item.put_report((Tag::FAILURE_BY, Tag::FAILURE_AT), &transaction.waiting_failure);
    item.put_report((Tag::ACKNOWLEDGED_BY, Tag::ACKNOWLEDGED_AT), &transaction.acknowledged);
    let RecoveryProgress { resends, unclear_since, looks, look_at } = transaction.recovery;
    item.put(Tag::RESENDS, (resends > 0).then(|| number(resends.into())));
    item.put(Tag::UNCLEAR_SINCE, unclear_since.map(|at| number(at.ms())));
    item.put(Tag::LOOKS, (looks > 0).then(|| number(looks.into())));
    item.put(Tag::LOOK_AT, look_at.map(|at| number(at.ms())));
    item.0
}

fn from_likeness(likeness: &Likeness) -> Item {
    let mut item = Fields::new();
    item.put(Tag::STATE, Some(text(state_code(likeness.known))));
    item.put(Tag::AWAITING_BALANCES, Some(text(state_code(likeness.reported_state))));
    item.put(Tag::INTERACTION_ID, flag(likeness.gave_interaction_id));
    item.put(Tag::INTERFACE_ID, flag(likeness.gave_interface_id));
    item.put(Tag::HAPPENED_AT, likeness.timestamp.map(|at| number(at.ms())));
    item.put(Tag::RESENDS, flag(likeness.came_in_flight));
    item.put_report((Tag::REPORTED_BY, Tag::REPORTED_AT), &Some(likeness.by.clone()));
    item.0
}

pub(super) fn from_slot(slot: &InFlight) -> Item {
    Item::from([
        ("t".to_owned(), text(slot.transaction.as_str())),
        ("n".to_owned(), nonce(slot.nonce)),
        ("a".to_owned(), number(slot.attempt.into())),
        ("l".to_owned(), number(slot.lease.ms())),
    ])
}

pub(super) fn from_details(details: &Details) -> Item {
    let mut item = Fields::new();
    item.put("planned", details.amount_planned.map(|amount| number(amount.minor_units())));
    for (name, value) in details.texts() {
        item.put(name, value.as_deref().map(text));
    }
    let notes = details.interface_interactions.iter().map(|note| text(note)).collect::<Vec<_>>();
    item.put("notes", (!notes.is_empty()).then_some(AttributeValue::L(notes)));
    item.0
}

/// A map of attributes, without those that have no value.
struct Fields(Item);

impl Fields {
    fn new() -> Self {
        Self(Item::with_capacity(14))
    }

    fn put(&mut self, name: &str, value: Option<AttributeValue>) {
        if let Some(value) = value {
            self.0.insert(name.to_owned(), value);
        }
    }

    fn put_report(&mut self, (by_name, at_name): (&str, &str), reported: &Option<Reported>) {
        if let Some(Reported { by, at }) = reported {
            self.put(by_name, by.as_deref().map(text));
            self.put(at_name, Some(number(at.ms())));
        }
    }
}

fn flag(set: bool) -> Option<AttributeValue> {
    set.then_some(AttributeValue::Bool(true))
}

fn kind_code(kind: TransactionKind) -> &'static str {
    match kind {
        TransactionKind::Authorization => "A",
        TransactionKind::Charge => "C",
        TransactionKind::Refund => "R",
        TransactionKind::CancelAuthorization => "X",
        TransactionKind::Chargeback => "B",
    }
}

fn kind(code: &str) -> Option<TransactionKind> {
    Some(match code {
        "A" => TransactionKind::Authorization,
        "C" => TransactionKind::Charge,
        "R" => TransactionKind::Refund,
        "X" => TransactionKind::CancelAuthorization,
        "B" => TransactionKind::Chargeback,
        _ => return None,
    })
}

fn state_code(state: State) -> &'static str {
    match state {
        State::Initial => "I",
        State::Pending => "P",
        State::Success => "S",
        State::Failure => "F",
        State::Unknown => "U",
    }
}

fn state(code: &str) -> Option<State> {
    Some(match code {
        "I" => State::Initial,
        "P" => State::Pending,
        "S" => State::Success,
        "F" => State::Failure,
        "U" => State::Unknown,
        _ => return None,
    })
}
