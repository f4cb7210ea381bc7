//! The conversion of an item to a Payment. The error for an invalid item names the
//! attribute.

use super::{CANCELLING, FORMAT, FORMAT_WITHOUT_STOPS, Tag, kind, state};
use crate::dynamodb::Item;
use crate::money::{Currency, Money};
use crate::payment::{
    Balances, Details, DirectPsps, InFlight, Likeness, Nonce, Payment, PaymentId, PaymentKey,
    ProjectKey, RecoveryProgress, RejectionReason, Reported, State, Timestamp, Transaction,
    TransactionId,
};
use crate::ports::{DuePayment, StoreError};
use aws_sdk_dynamodb::types::AttributeValue;
use std::collections::BTreeMap;

pub(in crate::dynamodb) fn to_payment(
    item: &Item,
    key: &PaymentKey,
) -> Result<Payment, StoreError> {
    Reader::of(item)
        .payment(key)
        .and_then(|payment| match payment.check() {
            Ok(()) => Ok(payment),
            Err(error) => Err(Unreadable::Inconsistent(error)),
        })
        .map_err(|error| StoreError::Corrupt(error.into()))
}

/// The Payment of an entry of the recovery index, and the time at which it is due.
pub(in crate::dynamodb) fn index_entry(entry: &Item) -> Result<DuePayment, StoreError> {
    let due_at = Reader::of(entry).timestamp("recover_at");
    let due_at = due_at.map_err(|error| StoreError::Corrupt(error.into()))?;
    Ok(DuePayment { key: payment_key(entry)?, due_at })
}

/// The Payment of an item.
pub(in crate::dynamodb) fn payment_key(item: &Item) -> Result<PaymentKey, StoreError> {
    let read = || {
        let invalid = || Unreadable::Invalid("pk");
        let (project, id) = Reader::of(item).text("pk")?.split_once('#').ok_or_else(invalid)?;
        let project = ProjectKey::parse(project).map_err(|_| invalid())?;
        let id = PaymentId::parse(id).map_err(|_| invalid())?;
        Ok(PaymentKey { project, id })
    };
    read().map_err(|error: Unreadable| StoreError::Corrupt(error.into()))
}

/// The Payment that a name points to, and the time of the claim.
pub(in crate::dynamodb) fn claim(claim: &Item) -> Result<(PaymentId, Timestamp), StoreError> {
    let read = || {
        let claim = Reader::of(claim);
        let id = claim.required("payment_id", |id| PaymentId::parse(text(id)?).ok())?;
        Ok((id, claim.timestamp("claimed_at")?))
    };
    read().map_err(|error: Unreadable| StoreError::Corrupt(error.into()))
}

/// The attributes of an item, or of a map in it. They are few, so that a linear search is
/// faster than hashing each name.
struct Reader<'a>(Vec<(&'a str, &'a AttributeValue)>);

impl<'a> Reader<'a> {
    fn of(item: &'a Item) -> Self {
        Self(item.iter().map(|(name, value)| (name.as_str(), value)).collect())
    }

    fn get(&self, name: &str) -> Option<&'a AttributeValue> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    fn payment(&self, key: &PaymentKey) -> Result<Payment, Unreadable> {
        if ![FORMAT, FORMAT_WITHOUT_STOPS].contains(&self.number("item_format")?) {
            return Err(Unreadable::Invalid("item_format"));
        }
        let currency = self.required("currency", |code| Currency::parse(text(code)?))?;
        let money = |name| self.money(name, currency);
        let balances = Balances {
            authorized: money("authorized")?,
            capturable: money("capturable")?,
            captured: money("captured")?,
            refundable: money("refundable")?,
            refunded: money("refunded")?,
            cancelled: money("cancelled")?,
        };
        Ok(Payment {
            key: key.clone(),
            version: self.number("version")?,
            created_at: self.timestamp("created_at")?,
            modified_at: self.timestamp("modified_at")?,
            fraction_digits: self.required("digits", |value| number(value)?.try_into().ok())?,
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
        let interface = self.map("details")?.optional("payment_interface", text)?;
        let transactions = self.map("transactions")?.0.into_iter();
        transactions
            .map(|(id, value)| {
                let id =
                    TransactionId::parse(id).map_err(|_| Unreadable::Invalid("transactions"))?;
                let item = value.as_m().map_err(|_| Unreadable::Invalid("transactions"))?;
                let item = Reader::of(item);
                let mut transaction = item.transaction(id.clone(), currency, cancelling)?;
                transaction.psp = item.psp(interface)?;
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
        Ok(Transaction {
            id,
            kind: self.required(Tag::KIND, |value| kind(text(value)?))?,
            state: self.required(Tag::STATE, |value| state(text(value)?))?,
            amount: amount.ok_or(Unreadable::Missing(Tag::AMOUNT))?,
            timestamp: self.timestamp(Tag::TIMESTAMP)?,
            is_reversal: self.has(Tag::IS_REVERSAL),
            charge: self.optional(Tag::CHARGE, |id| TransactionId::parse(text(id)?).ok())?,
            refundable: self.optional_money(Tag::REFUNDABLE, currency)?,
            merchant_reference: self.optional_text(Tag::MERCHANT_REFERENCE)?,
            interaction_id: self.optional_text(Tag::INTERACTION_ID)?,
            interface_id: self.optional_text(Tag::INTERFACE_ID)?,
            happened_at: self.optional_timestamp(Tag::HAPPENED_AT)?,
            state_awaiting_balances: self.optional_state(Tag::AWAITING_BALANCES)?,
            is_disputed: self.has(Tag::DISPUTED),
            likeness: self.optional_map(Tag::LIKENESS)?.map(|one| one.likeness()).transpose()?,
            possible_duplicate_of: self
                .optional(Tag::POSSIBLE_DUPLICATE_OF, |id| TransactionId::parse(text(id)?).ok())?,
            waiting_failure: self.reported(Tag::FAILURE_BY, Tag::FAILURE_AT)?,
            rejection: RejectionReason::new(
                self.optional(Tag::REJECTION_CODE, text)?,
                self.optional(Tag::REJECTION_TEXT, text)?,
            ),
            reported: self.reported(Tag::REPORTED_BY, Tag::REPORTED_AT)?,
            acknowledged: self.reported(Tag::ACKNOWLEDGED_BY, Tag::ACKNOWLEDGED_AT)?,
            is_external: self.has(Tag::EXTERNAL),
            psp: None,
            recovery: RecoveryProgress {
                resends: self.small_number(Tag::RESENDS)?.unwrap_or(0),
                unclear_since: self.optional_timestamp(Tag::UNCLEAR_SINCE)?,
                looks: self.small_number(Tag::LOOKS)?.unwrap_or(0),
                look_at: self.optional_timestamp(Tag::LOOK_AT)?,
            },
        })
    }

    /// The PSP that a transaction was sent to, if this service calls it directly.
    fn psp(&self, payment_interface: Option<&str>) -> Result<Option<String>, Unreadable> {
        if let Some(psps) = self.optional_map(Tag::PSPS)? {
            let entry = |(name, psp): (&str, &AttributeValue)| {
                Some((name.to_owned(), text(psp)?.to_owned()))
            };
            let psps: Option<_> = psps.0.into_iter().map(entry).collect();
            let psps = DirectPsps::new(psps.ok_or(Unreadable::Invalid(Tag::PSPS))?);
            return Ok(psps.psp_of(payment_interface).map(str::to_owned));
        }
        self.optional_text(Tag::PSP)
    }

    fn reported(&self, by: &'static str, at: &'static str) -> Result<Option<Reported>, Unreadable> {
        let Some(at) = self.optional_timestamp(at)? else { return Ok(None) };
        Ok(Some(Reported { by: self.optional_text(by)?, at }))
    }

    fn likeness(&self) -> Result<Likeness, Unreadable> {
        let required =
            |name: &'static str| self.optional_state(name)?.ok_or(Unreadable::Missing(name));
        let by = self.reported(Tag::REPORTED_BY, Tag::REPORTED_AT)?;
        Ok(Likeness {
            known: required(Tag::STATE)?,
            reported_state: required(Tag::AWAITING_BALANCES)?,
            gave_interaction_id: self.has(Tag::INTERACTION_ID),
            gave_interface_id: self.has(Tag::INTERFACE_ID),
            timestamp: self.optional_timestamp(Tag::HAPPENED_AT)?,
            came_in_flight: self.has(Tag::RESENDS),
            by: by.ok_or(Unreadable::Missing(Tag::REPORTED_AT))?,
        })
    }

    fn optional_state(&self, name: &'static str) -> Result<Option<State>, Unreadable> {
        self.optional(name, |value| state(text(value)?))
    }

    fn slot(&self) -> Result<InFlight, Unreadable> {
        Ok(InFlight {
            transaction: self.required("t", |id| TransactionId::parse(text(id)?).ok())?,
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

    /// The result of `read` for an attribute that may be missing.
    fn optional<T>(
        &self,
        name: &'static str,
        read: impl FnOnce(&'a AttributeValue) -> Option<T>,
    ) -> Result<Option<T>, Unreadable> {
        let Some(value) = self.get(name) else { return Ok(None) };
        read(value).map(Some).ok_or(Unreadable::Invalid(name))
    }

    /// The result of `read` for an attribute.
    fn required<T>(
        &self,
        name: &'static str,
        read: impl FnOnce(&'a AttributeValue) -> Option<T>,
    ) -> Result<T, Unreadable> {
        self.optional(name, read)?.ok_or(Unreadable::Missing(name))
    }

    fn text(&self, name: &'static str) -> Result<&'a str, Unreadable> {
        self.required(name, text)
    }

    fn optional_text(&self, name: &'static str) -> Result<Option<String>, Unreadable> {
        self.optional(name, |value| text(value).map(str::to_owned))
    }

    fn texts(&self, name: &'static str) -> Result<Vec<String>, Unreadable> {
        let texts = self.optional(name, |value| {
            let list = value.as_l().ok()?;
            list.iter().map(|value| text(value).map(str::to_owned)).collect()
        });
        Ok(texts?.unwrap_or_default())
    }

    fn number(&self, name: &'static str) -> Result<u64, Unreadable> {
        self.required(name, number)
    }

    fn small_number(&self, name: &'static str) -> Result<Option<u32>, Unreadable> {
        self.optional(name, |value| u32::try_from(number(value)?).ok())
    }

    fn timestamp(&self, name: &'static str) -> Result<Timestamp, Unreadable> {
        self.number(name).map(Timestamp::from_ms)
    }

    fn optional_timestamp(&self, name: &'static str) -> Result<Option<Timestamp>, Unreadable> {
        self.optional(name, |value| number(value).map(Timestamp::from_ms))
    }

    fn money(&self, name: &'static str, currency: Currency) -> Result<Money, Unreadable> {
        self.optional_money(name, currency)?.ok_or(Unreadable::Missing(name))
    }

    fn optional_money(
        &self,
        name: &'static str,
        currency: Currency,
    ) -> Result<Option<Money>, Unreadable> {
        self.optional(name, |value| Money::new(number(value)?, currency).ok())
    }

    fn nonce(&self, name: &'static str) -> Result<Nonce, Unreadable> {
        self.required(name, |value| {
            let bytes = value.as_b().ok()?.as_ref().try_into().ok()?;
            Some(Nonce::new(u128::from_be_bytes(bytes)))
        })
    }

    fn optional_map(&self, name: &'static str) -> Result<Option<Self>, Unreadable> {
        self.optional(name, |value| value.as_m().ok().map(Self::of))
    }

    fn map(&self, name: &'static str) -> Result<Self, Unreadable> {
        self.optional_map(name)?.ok_or(Unreadable::Missing(name))
    }
}

fn text(value: &AttributeValue) -> Option<&str> {
    value.as_s().ok().map(String::as_str)
}

fn number(value: &AttributeValue) -> Option<u64> {
    value.as_n().ok()?.parse().ok()
}

/// The errors of an item that this service did not write, or that was damaged.
#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error("the attribute {0} is missing")]
    Missing(&'static str),
    #[error("the attribute {0} has a value that cannot be read")]
    Invalid(&'static str),
    #[error(transparent)]
    Inconsistent(crate::payment::Inconsistent),
}
