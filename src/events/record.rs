//! Records of the table's stream:
//! <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_Record.html>

use crate::dynamodb;
use crate::error::BoxError;
use crate::payment::Payment;
use aws_lambda_events::dynamodb::EventRecord;
use serde::Deserialize;
use serde_json::value::RawValue;

/// A Payment before and after a write.
#[derive(Debug)]
pub struct Change {
    /// The Payment before the write; `None` if the write registered it.
    pub before: Option<Payment>,
    /// The Payment after the write.
    pub after: Payment,
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

/// The change of a Payment; `None` if the record is about another item or a removed
/// Payment.
pub fn read_change(record: &RawValue) -> Result<Option<Change>, BoxError> {
    let EventRecord { event_name, change, .. } = serde_json::from_str(record.get())?;
    if change.keys.is_empty() {
        return Err("the record has no keys".into());
    }
    if !dynamodb::is_payment(&change.keys.into()) {
        return Ok(None);
    }
    let before = match (event_name.as_str(), change.old_image) {
        ("REMOVE", _) => return Ok(None),
        ("INSERT", _) => None,
        // Without the old image, the change is not known.
        ("MODIFY", image) if image.is_empty() => return Err("the record has no old image".into()),
        ("MODIFY", image) => Some(dynamodb::stored_payment(&image.into())?),
        (name, _) => return Err(format!("a record of the unknown kind {name:?}").into()),
    };
    if change.new_image.is_empty() {
        return Err("the record has no new image".into());
    }
    let after = dynamodb::stored_payment(&change.new_image.into())?;
    Ok(Some(Change { before, after }))
}
