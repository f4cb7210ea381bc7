//! The dead-letter queue, for records that can never be read.

use super::record::{self, ReadError};
use crate::aws::Connection;
use crate::error::{BoxError, causes};
use crate::payment::PaymentKey;
use serde::Serialize;
use serde_json::value::RawValue;
use std::time::Duration;

const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
const OPERATION_TIMEOUT: Duration = Duration::from_secs(6);

/// The dead-letter queue.
#[derive(Clone, Debug)]
pub struct DeadLetters {
    client: aws_sdk_sqs::Client,
    url: String,
}

/// A message about a record that can never be read. It has the record's place in the stream
/// and its Payment, but not its content.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeadLetter<'a> {
    reason: &'static str,
    error: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_arn: Option<String>,
    sequence_number: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    project_key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_id: Option<&'a str>,
}

impl DeadLetters {
    /// The queue with this URL. It connects when it is first used.
    pub fn new(connection: Connection, url: String) -> Self {
        let config = connection.sdk_config(ATTEMPT_TIMEOUT, OPERATION_TIMEOUT);
        Self { client: aws_sdk_sqs::Client::new(&config), url }
    }

    /// Puts the message on the queue.
    pub(super) async fn put(&self, letter: &DeadLetter<'_>) -> Result<(), BoxError> {
        let message = serde_json::to_string(letter)?;
        self.client.send_message().queue_url(&self.url).message_body(message).send().await?;
        Ok(())
    }
}

impl<'a> DeadLetter<'a> {
    pub(super) fn new(
        record: &RawValue,
        sequence_number: &'a str,
        payment: Option<&'a PaymentKey>,
        error: &ReadError,
    ) -> Self {
        Self {
            reason: "unreadableRecord",
            error: causes(error),
            stream_arn: record::stream_arn(record),
            sequence_number,
            project_key: payment.map(|payment| payment.project.as_str()),
            payment_id: payment.map(|payment| payment.id.as_str()),
        }
    }
}
