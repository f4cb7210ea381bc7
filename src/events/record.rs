//! Records of the table's stream:
//! <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_Record.html>

use crate::dynamodb::{self, Item};
use crate::payment::Payment;
use crate::ports::BoxError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::HashMap;

/// A Payment before and after a write.
pub(super) struct Change {
    pub(super) before: Option<Payment>,
    pub(super) after: Payment,
}

#[derive(Deserialize)]
struct Record<T> {
    dynamodb: T,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Place {
    sequence_number: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Images {
    old_image: Option<HashMap<String, Attribute>>,
    new_image: HashMap<String, Attribute>,
}

/// Where in the stream the record is.
pub(super) fn sequence(record: &RawValue) -> Result<String, BoxError> {
    Ok(serde_json::from_str::<Record<Place>>(record.get())?.dynamodb.sequence_number)
}

/// What it says.
pub(super) fn change(record: &RawValue) -> Result<Change, BoxError> {
    let images = serde_json::from_str::<Record<Images>>(record.get())?.dynamodb;
    let before = images.old_image.map(payment).transpose()?;
    Ok(Change { before, after: payment(images.new_image)? })
}

fn payment(image: HashMap<String, Attribute>) -> Result<Payment, BoxError> {
    let item = image.into_iter().map(|(name, value)| Ok((name, value.read()?)));
    Ok(dynamodb::stored_payment(&item.collect::<Result<Item, BoxError>>()?)?)
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
            Self::M(map) => {
                let read = map.into_iter().map(|(name, value)| Ok((name, value.read()?)));
                AttributeValue::M(read.collect::<Result<_, BoxError>>()?)
            }
            Self::L(list) => {
                let read = list.into_iter().map(Self::read);
                AttributeValue::L(read.collect::<Result<_, BoxError>>()?)
            }
        })
    }
}
