//! The division of recovery's work among copies of its function. Each copy works on a part
//! of the recovery index.
//!
//! The function invokes itself asynchronously. A queue would need polling and an alarm
//! without an advantage: an invocation that is lost is repeated a minute later.

use crate::aws::Connection;
use crate::error::BoxError;
use crate::observe;
use crate::ports::IndexPart;
use aws_sdk_lambda::Client;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use std::time::Duration;

const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
const OPERATION_TIMEOUT: Duration = Duration::from_secs(6);

/// The event of a copy's invocation.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    index_part: PartBody,
}

#[derive(Deserialize, Serialize)]
struct PartBody {
    part: usize,
    of: usize,
}

/// The part of the index in an event. `None` for an event of the schedule.
pub fn requested_part(event: &str) -> Option<IndexPart> {
    let Event { index_part: PartBody { part, of } } = serde_json::from_str(event).ok()?;
    IndexPart::new(part, of)
}

/// A client of Lambda that invokes copies of a function.
#[derive(Clone, Debug)]
pub struct Copies {
    client: Client,
}

impl Copies {
    /// Creates the client. It connects at the first invocation.
    pub fn new(connection: Connection) -> Self {
        let config = connection.sdk_config(ATTEMPT_TIMEOUT, OPERATION_TIMEOUT);
        Self { client: Client::new(&config) }
    }

    /// Invokes a copy of `function`, a name or an ARN, for each part but the first. Returns
    /// the part for the caller: the first, or the whole index if a copy could not be
    /// invoked. A part that two processes work on does no harm.
    pub async fn invoke_copies(&self, function: &str, parts: &[IndexPart]) -> IndexPart {
        let Some((first, others)) = parts.split_first() else { return IndexPart::WHOLE };
        let invoked = join_all(others.iter().map(|part| self.invoke(function, *part))).await;
        match invoked.into_iter().collect::<Result<Vec<()>, _>>() {
            Ok(_) => *first,
            Err(error) => {
                observe::log_failed_copy(&error);
                IndexPart::WHOLE
            }
        }
    }

    async fn invoke(&self, function: &str, part: IndexPart) -> Result<(), BoxError> {
        let index_part = PartBody { part: part.part(), of: part.of() };
        let event = serde_json::to_vec(&Event { index_part })?;
        let invoke = self.client.invoke().function_name(function);
        let invoke = invoke.invocation_type(InvocationType::Event).payload(Blob::new(event));
        invoke.send().await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_of_the_schedule_names_no_part() {
        for (event, part) in [
            (r#"{"indexPart":{"part":1,"of":4}}"#, IndexPart::new(1, 4)),
            (r#"{"indexPart":{"part":4,"of":4}}"#, None),
            (r#"{"indexPart":{"part":0,"of":0}}"#, None),
            (r#"{"source":"aws.events","detail":{}}"#, None),
            ("{}", None),
            ("", None),
        ] {
            assert_eq!(requested_part(event), part, "{event}");
        }
    }
}
