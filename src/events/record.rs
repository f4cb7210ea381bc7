//! Records of the table's stream:
//! <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_Record.html>

use crate::dynamodb::{self, Item};
use crate::error::BoxError;
use crate::payment::{Payment, PaymentId, PaymentKey, ProjectKey};
use aws_lambda_events::dynamodb::EventRecord;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// A Payment before and after a write.
#[derive(Debug)]
pub struct Change {
    /// The Payment before the write; `None` if the write registered it.
    pub before: Option<Payment>,
    /// The Payment after the write.
    pub after: Payment,
}

/// The reasons why a record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A later version of the service wrote the item. The record can be read as soon as this
    /// function is of that version, too.
    #[error("a later version of the service wrote the item")]
    LaterVersion,
    /// The record can never be read.
    #[error("the record is damaged")]
    Damaged(#[source] BoxError),
}

impl ReadError {
    fn damaged(error: impl Into<BoxError>) -> Self {
        Self::Damaged(error.into())
    }

    /// True if the record may be read later.
    pub(super) fn is_temporary(&self) -> bool {
        match self {
            Self::LaterVersion => true,
            Self::Damaged(_) => false,
        }
    }
}

/// The position of the record in the stream. It is read separately, so that it is known
/// also for a record that cannot be read otherwise.
pub(super) fn sequence(record: &RawValue) -> Result<String, BoxError> {
    #[derive(Deserialize)]
    struct Record {
        dynamodb: Position,
    }
    #[derive(Deserialize)]
    struct Position {
        #[serde(rename = "SequenceNumber")]
        sequence_number: String,
    }
    Ok(serde_json::from_str::<Record>(record.get())?.dynamodb.sequence_number)
}

/// The Payment of a record, also of one that cannot be read otherwise.
pub(super) fn payment(record: &RawValue) -> Option<PaymentKey> {
    let (project, id) = text(record, "/dynamodb/Keys/pk/S")?
        .split_once('#')
        .map(|(project, id)| (project.to_owned(), id.to_owned()))?;
    Some(PaymentKey { project: ProjectKey::parse(&project).ok()?, id: PaymentId::parse(&id).ok()? })
}

/// The ARN of the record's stream.
pub(super) fn stream_arn(record: &RawValue) -> Option<String> {
    text(record, "/eventSourceARN")
}

fn text(record: &RawValue, pointer: &str) -> Option<String> {
    let record: Value = serde_json::from_str(record.get()).ok()?;
    record.pointer(pointer)?.as_str().map(str::to_owned)
}

/// The change of a Payment; `None` if the record is about another item or a removed
/// Payment.
pub fn read_change(record: &RawValue) -> Result<Option<Change>, ReadError> {
    let record: Result<EventRecord, _> = serde_json::from_str(record.get());
    let EventRecord { event_name, change, .. } = record.map_err(ReadError::damaged)?;
    if change.keys.is_empty() {
        return Err(ReadError::damaged("the record has no keys"));
    }
    if !dynamodb::is_payment(&change.keys.into()) {
        return Ok(None);
    }
    let before = match (event_name.as_str(), change.old_image) {
        ("REMOVE", _) => return Ok(None),
        ("INSERT", _) => None,
        // Without the old image, the change is not known.
        ("MODIFY", image) if image.is_empty() => {
            return Err(ReadError::damaged("the record has no old image"));
        }
        ("MODIFY", image) => Some(stored_payment(&image.into())?),
        (name, _) => {
            return Err(ReadError::damaged(format!("a record of the unknown kind {name:?}")));
        }
    };
    if change.new_image.is_empty() {
        return Err(ReadError::damaged("the record has no new image"));
    }
    let after = stored_payment(&change.new_image.into())?;
    Ok(Some(Change { before, after }))
}

fn stored_payment(image: &Item) -> Result<Payment, ReadError> {
    if dynamodb::is_of_later_version(image) {
        return Err(ReadError::LaterVersion);
    }
    dynamodb::stored_payment(image).map_err(ReadError::damaged)
}
