//! The client of EventBridge.

use crate::aws::Connection;
use crate::error::BoxError;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use std::time::Duration;

/// The highest number of events that EventBridge accepts in one call.
pub(super) const CALL_MAX: usize = 10;

/// The highest number of bytes of the events in one call. EventBridge accepts 256 KiB,
/// which include the names around the events.
pub(super) const CALL_BYTES_MAX: usize = 200 * 1024;

const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
const OPERATION_TIMEOUT: Duration = Duration::from_secs(6);

/// The `source` of the events.
const SOURCE: &str = "payment-intents";

/// The event bus.
#[derive(Clone, Debug)]
pub struct EventBus {
    client: aws_sdk_eventbridge::Client,
    name: String,
}

impl EventBus {
    /// The bus of that name. It connects when it is first used.
    pub fn new(connection: Connection, name: String) -> Self {
        let config = connection.sdk_config(ATTEMPT_TIMEOUT, OPERATION_TIMEOUT);
        Self { client: aws_sdk_eventbridge::Client::new(&config), name }
    }

    /// Sends up to [`CALL_MAX`] events, given as type and JSON. Returns for each event the
    /// error with which it was refused, or an error if the whole call failed.
    pub(super) async fn put(
        &self,
        events: Vec<(&str, &str)>,
    ) -> Result<Vec<Option<BoxError>>, BoxError> {
        let count = events.len();
        let entries = events.into_iter().map(|(r#type, detail)| {
            PutEventsRequestEntry::builder()
                .event_bus_name(&self.name)
                .source(SOURCE)
                .detail_type(r#type)
                .detail(detail)
                .build()
        });
        let entries = Some(entries.collect());
        let answer = self.client.put_events().set_entries(entries).send().await?;
        let results = answer.entries();
        let error = |index: usize| {
            let result = results.get(index);
            if result.is_some_and(|result| result.event_id().is_some()) {
                return None;
            }
            let code = result.and_then(|result| result.error_code()).unwrap_or("no result");
            Some(format!("EventBridge refused an event: {code}").into())
        };
        Ok((0..count).map(error).collect())
    }
}
