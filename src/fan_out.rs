//! Copies of the recovery function, each of which works on a part of the recovery index.
//!
//! The function invokes itself, asynchronously. A queue between the two would have to be
//! polled and watched, and would gain nothing: a part that is lost on the way is handed
//! out again a minute later.

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

/// The event that a copy is invoked with.
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

/// The part of the index that an event asks for. `None` for an event of the schedule.
pub fn requested_part(event: &str) -> Option<IndexPart> {
    let Event { index_part: PartBody { part, of } } = serde_json::from_str(event).ok()?;
    IndexPart::new(part, of)
}

/// Invokes copies of a function.
#[derive(Clone, Debug)]
pub struct Copies {
    client: Client,
}

impl Copies {
    /// Connects when the first copy is invoked.
    pub fn new(connection: Connection) -> Self {
        let config = connection.sdk_config(ATTEMPT_TIMEOUT, OPERATION_TIMEOUT);
        Self { client: Client::new(&config) }
    }

    /// Hands all parts but the first to copies of `function`, a name or an ARN. Returns
    /// what is left for the caller: the first part, or the whole index where a copy could
    /// not be invoked. Work that is done twice does no harm.
    pub async fn hand_out(&self, function: &str, parts: &[IndexPart]) -> IndexPart {
        let Some((own, others)) = parts.split_first() else { return IndexPart::WHOLE };
        let invoked = join_all(others.iter().map(|part| self.invoke(function, *part))).await;
        match invoked.into_iter().collect::<Result<Vec<()>, _>>() {
            Ok(_) => *own,
            Err(error) => {
                observe::not_handed_out(&error);
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
    fn an_event_of_the_schedule_asks_for_no_part() {
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
