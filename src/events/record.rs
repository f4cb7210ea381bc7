//! Records of the table's stream:
//! <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_Record.html>

use crate::dynamodb::{self, Item};
use crate::error::BoxError;
use crate::payment::Payment;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::HashMap;

/// A Payment before and after a write.
#[derive(Debug)]
pub struct Change {
    /// As it was; `None` where this write registered it.
    pub before: Option<Payment>,
    /// As it is then.
    pub after: Payment,
}

#[derive(Deserialize)]
struct Record<T> {
    dynamodb: T,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Named<T> {
    event_name: EventName,
    dynamodb: T,
}

#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum EventName {
    Insert,
    Modify,
    Remove,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Place {
    sequence_number: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Keys {
    keys: HashMap<String, Attribute>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Images {
    old_image: Option<HashMap<String, Attribute>>,
    new_image: Option<HashMap<String, Attribute>>,
}

/// Where in the stream the record is.
pub(super) fn sequence(record: &RawValue) -> Result<String, BoxError> {
    Ok(serde_json::from_str::<Record<Place>>(record.get())?.dynamodb.sequence_number)
}

/// What it says of a Payment; `None` where it is about another item, or about a
/// Payment that is no more.
pub fn change(record: &RawValue) -> Result<Option<Change>, BoxError> {
    let Named { event_name, dynamodb } = serde_json::from_str::<Named<Keys>>(record.get())?;
    if !dynamodb::is_payment(&item(dynamodb.keys)?) {
        return Ok(None);
    }
    let images = serde_json::from_str::<Record<Images>>(record.get())?.dynamodb;
    let before = match (event_name, images.old_image) {
        (EventName::Remove, _) => return Ok(None),
        (EventName::Insert, _) => None,
        (EventName::Modify, Some(image)) => Some(payment(image)?),
        // Without it, nobody could tell what changed.
        (EventName::Modify, None) => return Err("the record has no old image".into()),
    };
    let after = payment(images.new_image.ok_or("the record has no new image")?)?;
    Ok(Some(Change { before, after }))
}

fn payment(image: HashMap<String, Attribute>) -> Result<Payment, BoxError> {
    Ok(dynamodb::stored_payment(&item(image)?)?)
}

fn item(image: HashMap<String, Attribute>) -> Result<Item, BoxError> {
    image.into_iter().map(|(name, value)| Ok((name, value.read()?))).collect()
}

/// A value in DynamoDB's JSON, as far as a Payment has such values.
#[derive(Deserialize)]
enum Attribute {
    S(String),
    N(String),
    B(String),
    #[serde(rename = "BOOL")]
    Bool(bool),
    M(HashMap<String, Attribute>),
    L(Vec<Attribute>),
}

impl Attribute {
    fn read(self) -> Result<AttributeValue, BoxError> {
        Ok(match self {
            Self::S(text) => AttributeValue::S(text),
            Self::N(number) => AttributeValue::N(number),
            Self::B(bytes) => AttributeValue::B(Blob::new(BASE64.decode(bytes)?)),
            Self::Bool(flag) => AttributeValue::Bool(flag),
            Self::M(map) => AttributeValue::M(item(map)?),
            Self::L(list) => {
                let read = list.into_iter().map(Self::read);
                AttributeValue::L(read.collect::<Result<_, BoxError>>()?)
            }
        })
    }
}
