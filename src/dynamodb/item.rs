//! Item ⇄ Payment, without loss. Names inside a transaction are short, because
//! they are paid for with every write.

use super::Item;
use crate::money::{Currency, Money};
use crate::payment::{
    Balances, Details, InFlight, Nonce, Payment, PaymentId, PaymentKey, ProjectKey, Pursuit,
    Reported, Reservation, State, Timestamp, Transaction, TransactionId, TransactionKind,
};
use crate::ports::StoreError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Where the amount of a cancel waits that was reserved unseen.
pub(super) const CANCELLING: &str = "cancelling";

/// How items are written now. Nothing is reserved on one that is written
/// otherwise: this code would not understand what it then holds.
pub(super) const FORMAT: u64 = 1;

/// The sort key of a Payment's item.
pub(super) const SORT_KEY: &str = "payment";

/// The names inside a transaction.
pub(super) struct Tag;

impl Tag {
    pub(super) const KIND: &str = "k";
    pub(super) const STATE: &str = "s";
    pub(super) const AMOUNT: &str = "a";
    pub(super) const TIMESTAMP: &str = "t";
    pub(super) const REVERSES: &str = "v";
    pub(super) const CHARGE: &str = "c";
    pub(super) const REFUNDABLE: &str = "l";
    pub(super) const MERCHANT_REFERENCE: &str = "m";
    pub(super) const INTERACTION_ID: &str = "i";
    pub(super) const INTERFACE_ID: &str = "f";
    pub(super) const HAPPENED_AT: &str = "h";
    pub(super) const UNBOOKED: &str = "x";
    pub(super) const DISPUTED: &str = "d";
    pub(super) const REPORTED_BY: &str = "b";
    pub(super) const REPORTED_AT: &str = "e";
    pub(super) const RESENDS: &str = "n";
    pub(super) const UNCLEAR_SINCE: &str = "u";
    pub(super) const LOOKS: &str = "o";
    pub(super) const LOOK_AT: &str = "w";
}

pub(super) fn primary_key(key: &PaymentKey) -> Item {
    Item::from([("pk".to_owned(), text(&key.to_string())), ("sk".to_owned(), text(SORT_KEY))])
}

/// What is open is spread over these partitions of the recovery index.
pub(super) const SHARDS: [&str; 4] = ["0", "1", "2", "3"];

/// The partition of a Payment.
pub(super) fn shard(key: &PaymentKey) -> AttributeValue {
    let digest = Sha256::digest(key.to_string().as_bytes());
    let spread = digest.first().map_or(0, |byte| usize::from(byte & 3));
    text(SHARDS.get(spread).unwrap_or(&SHARDS[0]))
}

/// Whose entry of the recovery index it is, and when to look.
pub(super) fn index_entry(entry: &Item) -> Result<(u64, PaymentKey), StoreError> {
    let recover_at = Reader(entry).number("recover_at");
    Ok((recover_at.map_err(|error| StoreError::Corrupt(error.into()))?, payment_key(entry)?))
}

/// Whose item it is.
pub(super) fn payment_key(item: &Item) -> Result<PaymentKey, StoreError> {
    let read = || {
        let invalid = || Unreadable::Invalid("pk");
        let (project, id) = Reader(item).text("pk")?.split_once('#').ok_or_else(invalid)?;
        let project = ProjectKey::parse(project).map_err(|_| invalid())?;
        let id = PaymentId::parse(id).map_err(|_| invalid())?;
        Ok(PaymentKey { project, id })
    };
    read().map_err(|error: Unreadable| StoreError::Corrupt(error.into()))
}

/// Which Payment a key names, and since when.
pub(super) fn claim(claim: &Item) -> Result<(PaymentId, Timestamp), StoreError> {
    let read = || {
        let id = PaymentId::parse(Reader(claim).text("payment_id")?);
        let id = id.map_err(|_| Unreadable::Invalid("payment_id"))?;
        Ok((id, Reader(claim).timestamp("claimed_at")?))
    };
    read().map_err(|error: Unreadable| StoreError::Corrupt(error.into()))
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

/// The balances by the name of their attribute.
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
    put("details", map(from_details(&payment.details)));
    item
}

/// What a reservation writes. The amount of a cancel waits elsewhere.
pub(super) fn reserved(
    reservation: &Reservation,
    kind: TransactionKind,
    amount: Option<Money>,
) -> Item {
    let mut item = Fields::default();
    item.put(Tag::KIND, Some(text(kind_code(kind))));
    item.put(Tag::STATE, Some(text(state_code(State::Initial))));
    item.put(Tag::AMOUNT, amount.map(|amount| number(amount.minor_units())));
    item.put(Tag::TIMESTAMP, Some(number(reservation.at.ms())));
    item.put(Tag::REVERSES, flag(reservation.action == crate::payment::Action::Reverse));
    item.put(Tag::CHARGE, reservation.action.charge().map(|charge| text(charge.as_str())));
    item.put(Tag::MERCHANT_REFERENCE, reservation.merchant_reference.as_deref().map(text));
    item.0
}

pub(super) fn from_transaction(transaction: &Transaction) -> Item {
    let mut item = Fields::default();
    item.put(Tag::KIND, Some(text(kind_code(transaction.kind))));
    item.put(Tag::STATE, Some(text(state_code(transaction.state))));
    item.put(Tag::AMOUNT, Some(number(transaction.amount.minor_units())));
    item.put(Tag::TIMESTAMP, Some(number(transaction.timestamp.ms())));
    item.put(Tag::REVERSES, flag(transaction.reverses));
    item.put(Tag::CHARGE, transaction.charge.as_ref().map(|charge| text(charge.as_str())));
    item.put(Tag::REFUNDABLE, transaction.refundable.map(|left| number(left.minor_units())));
    item.put(Tag::MERCHANT_REFERENCE, transaction.merchant_reference.as_deref().map(text));
    item.put(Tag::INTERACTION_ID, transaction.interaction_id.as_deref().map(text));
    item.put(Tag::INTERFACE_ID, transaction.interface_id.as_deref().map(text));
    item.put(Tag::HAPPENED_AT, transaction.happened_at.map(|at| number(at.ms())));
    item.put(Tag::UNBOOKED, transaction.unbooked.map(|state| text(state_code(state))));
    item.put(Tag::DISPUTED, flag(transaction.is_disputed));
    if let Some(Reported { by, at }) = &transaction.reported {
        item.put(Tag::REPORTED_BY, by.as_deref().map(text));
        item.put(Tag::REPORTED_AT, Some(number(at.ms())));
    }
    let Pursuit { resends, unclear_since, looks, look_at } = transaction.pursuit;
    item.put(Tag::RESENDS, (resends > 0).then(|| number(resends.into())));
    item.put(Tag::UNCLEAR_SINCE, unclear_since.map(|at| number(at.ms())));
    item.put(Tag::LOOKS, (looks > 0).then(|| number(looks.into())));
    item.put(Tag::LOOK_AT, look_at.map(|at| number(at.ms())));
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
    let mut item = Fields::default();
    item.put("planned", details.amount_planned.map(|amount| number(amount.minor_units())));
    for (name, value) in details.texts() {
        item.put(name, value.as_deref().map(text));
    }
    let notes = details.interface_interactions.iter().map(|note| text(note)).collect::<Vec<_>>();
    item.put("notes", (!notes.is_empty()).then_some(AttributeValue::L(notes)));
    item.0
}

pub(super) fn to_payment(item: &Item, key: &PaymentKey) -> Result<Payment, StoreError> {
    Reader(item)
        .payment(key)
        .and_then(|payment| match payment.check() {
            Ok(()) => Ok(payment),
            Err(error) => Err(Unreadable::Inconsistent(error)),
        })
        .map_err(|error| StoreError::Corrupt(error.into()))
}

/// The attributes that are there; those that are not take no room.
#[derive(Default)]
struct Fields(Item);

impl Fields {
    fn put(&mut self, name: &str, value: Option<AttributeValue>) {
        if let Some(value) = value {
            self.0.insert(name.to_owned(), value);
        }
    }
}

fn flag(set: bool) -> Option<AttributeValue> {
    set.then_some(AttributeValue::Bool(true))
}

struct Reader<'a>(&'a Item);

impl<'a> Reader<'a> {
    fn payment(&self, key: &PaymentKey) -> Result<Payment, Unreadable> {
        if self.number("item_format")? != FORMAT {
            return Err(Unreadable::Invalid("item_format"));
        }
        let currency = self.text("currency")?;
        let currency = Currency::parse(currency).ok_or(Unreadable::Invalid("currency"))?;
        let money = |name| self.money(name, currency);
        let balances = Balances {
            authorized: money("authorized")?,
            capturable: money("capturable")?,
            captured: money("captured")?,
            refundable: money("refundable")?,
            refunded: money("refunded")?,
            cancelled: money("cancelled")?,
        };
        let digits = self.number("digits")?;
        Ok(Payment {
            key: key.clone(),
            version: self.number("version")?,
            created_at: self.timestamp("created_at")?,
            modified_at: self.timestamp("modified_at")?,
            fraction_digits: u8::try_from(digits).map_err(|_| Unreadable::Invalid("digits"))?,
            balances,
            transactions: self.transactions(currency)?,
            in_flight: self.optional_map("inflight")?.map(|slot| slot.slot()).transpose()?,
            withdrawn_at: self.optional_timestamp("withdrawn_at")?,
            details: self.map("details")?.details(currency)?,
        })
    }

    fn transactions(
        &self,
        currency: Currency,
    ) -> Result<BTreeMap<TransactionId, Transaction>, Unreadable> {
        let cancelling = self.optional_money(CANCELLING, currency)?;
        let transactions = self.map("transactions")?.0;
        transactions
            .iter()
            .map(|(id, value)| {
                let id =
                    TransactionId::parse(id).map_err(|_| Unreadable::Invalid("transactions"))?;
                let item = value.as_m().map_err(|_| Unreadable::Invalid("transactions"))?;
                let transaction = Reader(item).transaction(id.clone(), currency, cancelling)?;
                Ok((id, transaction))
            })
            .collect()
    }

    fn transaction(
        &self,
        id: TransactionId,
        currency: Currency,
        cancelling: Option<Money>,
    ) -> Result<Transaction, Unreadable> {
        let amount = self.optional_money(Tag::AMOUNT, currency)?.or(cancelling);
        let charge = self.optional_text(Tag::CHARGE)?.map(|id| TransactionId::parse(&id));
        Ok(Transaction {
            id,
            kind: kind(self.text(Tag::KIND)?)?,
            state: state(self.text(Tag::STATE)?)?,
            amount: amount.ok_or(Unreadable::Missing(Tag::AMOUNT))?,
            timestamp: self.timestamp(Tag::TIMESTAMP)?,
            reverses: self.0.contains_key(Tag::REVERSES),
            charge: charge.transpose().map_err(|_| Unreadable::Invalid(Tag::CHARGE))?,
            refundable: self.optional_money(Tag::REFUNDABLE, currency)?,
            merchant_reference: self.optional_text(Tag::MERCHANT_REFERENCE)?,
            interaction_id: self.optional_text(Tag::INTERACTION_ID)?,
            interface_id: self.optional_text(Tag::INTERFACE_ID)?,
            happened_at: self.optional_timestamp(Tag::HAPPENED_AT)?,
            unbooked: self.optional_text(Tag::UNBOOKED)?.map(|code| state(&code)).transpose()?,
            is_disputed: self.0.contains_key(Tag::DISPUTED),
            reported: self.reported()?,
            pursuit: Pursuit {
                resends: self.small_number(Tag::RESENDS)?.unwrap_or(0),
                unclear_since: self.optional_timestamp(Tag::UNCLEAR_SINCE)?,
                looks: self.small_number(Tag::LOOKS)?.unwrap_or(0),
                look_at: self.optional_timestamp(Tag::LOOK_AT)?,
            },
        })
    }

    fn reported(&self) -> Result<Option<Reported>, Unreadable> {
        let Some(at) = self.optional_timestamp(Tag::REPORTED_AT)? else { return Ok(None) };
        Ok(Some(Reported { by: self.optional_text(Tag::REPORTED_BY)?, at }))
    }

    fn slot(&self) -> Result<InFlight, Unreadable> {
        Ok(InFlight {
            transaction: TransactionId::parse(self.text("t")?)
                .map_err(|_| Unreadable::Invalid("inflight"))?,
            nonce: self.nonce("n")?,
            attempt: self.small_number("a")?.ok_or(Unreadable::Missing("inflight"))?,
            lease: self.timestamp("l")?,
        })
    }

    fn details(&self, currency: Currency) -> Result<Details, Unreadable> {
        Ok(Details {
            amount_planned: self.optional_money("planned", currency)?,
            key: self.optional_text("key")?,
            interface_id: self.optional_text("interface_id")?,
            payment_interface: self.optional_text("payment_interface")?,
            method: self.optional_text("method")?,
            method_name: self.optional_text("method_name")?,
            status_code: self.optional_text("status_code")?,
            status_text: self.optional_text("status_text")?,
            customer: self.optional_text("customer")?,
            anonymous_id: self.optional_text("anonymous_id")?,
            order: self.optional_text("order")?,
            cart: self.optional_text("cart")?,
            custom: self.optional_text("custom")?,
            interface_interactions: self.texts("notes")?,
        })
    }

    fn text(&self, name: &'static str) -> Result<&'a str, Unreadable> {
        let value = self.0.get(name).ok_or(Unreadable::Missing(name))?;
        value.as_s().map(String::as_str).map_err(|_| Unreadable::Invalid(name))
    }

    fn optional_text(&self, name: &'static str) -> Result<Option<String>, Unreadable> {
        self.0.contains_key(name).then(|| self.text(name).map(str::to_owned)).transpose()
    }

    fn texts(&self, name: &'static str) -> Result<Vec<String>, Unreadable> {
        let Some(value) = self.0.get(name) else { return Ok(Vec::new()) };
        let list = value.as_l().map_err(|_| Unreadable::Invalid(name))?;
        list.iter()
            .map(|value| value.as_s().cloned().map_err(|_| Unreadable::Invalid(name)))
            .collect()
    }

    fn number(&self, name: &'static str) -> Result<u64, Unreadable> {
        let value = self.0.get(name).ok_or(Unreadable::Missing(name))?;
        let digits = value.as_n().map_err(|_| Unreadable::Invalid(name))?;
        digits.parse().map_err(|_| Unreadable::Invalid(name))
    }

    fn small_number(&self, name: &'static str) -> Result<Option<u32>, Unreadable> {
        let number = self.0.contains_key(name).then(|| self.number(name)).transpose()?;
        number.map(u32::try_from).transpose().map_err(|_| Unreadable::Invalid(name))
    }

    fn optional_timestamp(&self, name: &'static str) -> Result<Option<Timestamp>, Unreadable> {
        self.0.contains_key(name).then(|| self.timestamp(name)).transpose()
    }

    fn timestamp(&self, name: &'static str) -> Result<Timestamp, Unreadable> {
        self.number(name).map(Timestamp::from_ms)
    }

    fn money(&self, name: &'static str, currency: Currency) -> Result<Money, Unreadable> {
        Money::new(self.number(name)?, currency).map_err(|_| Unreadable::Invalid(name))
    }

    fn optional_money(
        &self,
        name: &'static str,
        currency: Currency,
    ) -> Result<Option<Money>, Unreadable> {
        self.0.contains_key(name).then(|| self.money(name, currency)).transpose()
    }

    fn nonce(&self, name: &'static str) -> Result<Nonce, Unreadable> {
        let value = self.0.get(name).ok_or(Unreadable::Missing(name))?;
        let bytes = value.as_b().map_err(|_| Unreadable::Invalid(name))?;
        let bytes = bytes.as_ref().try_into().map_err(|_| Unreadable::Invalid(name))?;
        Ok(Nonce::new(u128::from_be_bytes(bytes)))
    }

    fn optional_map(&self, name: &'static str) -> Result<Option<Self>, Unreadable> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        value.as_m().map(|item| Some(Self(item))).map_err(|_| Unreadable::Invalid(name))
    }

    fn map(&self, name: &'static str) -> Result<Self, Unreadable> {
        self.optional_map(name)?.ok_or(Unreadable::Missing(name))
    }
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

fn kind(code: &str) -> Result<TransactionKind, Unreadable> {
    Ok(match code {
        "A" => TransactionKind::Authorization,
        "C" => TransactionKind::Charge,
        "R" => TransactionKind::Refund,
        "X" => TransactionKind::CancelAuthorization,
        "B" => TransactionKind::Chargeback,
        _ => return Err(Unreadable::Invalid(Tag::KIND)),
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

fn state(code: &str) -> Result<State, Unreadable> {
    Ok(match code {
        "I" => State::Initial,
        "P" => State::Pending,
        "S" => State::Success,
        "F" => State::Failure,
        "U" => State::Unknown,
        _ => return Err(Unreadable::Invalid(Tag::STATE)),
    })
}

/// An item that this service did not write, or that was damaged since.
#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error("the attribute {0} is missing")]
    Missing(&'static str),
    #[error("the attribute {0} has a value that cannot be read")]
    Invalid(&'static str),
    #[error(transparent)]
    Inconsistent(crate::payment::Inconsistent),
}
