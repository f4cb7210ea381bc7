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

/// The error of a call in which not all events arrived.
pub(super) struct NotSent {
    /// For each event, true if it arrived.
    pub(super) arrived: Vec<bool>,
    /// The error of the first event that did not arrive.
    pub(super) error: BoxError,
}

impl EventBus {
    /// The bus of that name. It connects when it is first used.
    pub fn new(connection: Connection, name: String) -> Self {
        let config = connection.sdk_config(ATTEMPT_TIMEOUT, OPERATION_TIMEOUT);
        Self { client: aws_sdk_eventbridge::Client::new(&config), name }
    }

    /// Sends up to [`CALL_MAX`] events, given as type and JSON. `None` if all of them
    /// arrived.
    pub(super) async fn put(&self, events: Vec<(&str, &str)>) -> Option<NotSent> {
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
        let answer = match self.client.put_events().set_entries(entries).send().await {
            Ok(answer) => answer,
            Err(error) => {
                return Some(NotSent { arrived: vec![false; count], error: error.into() });
            }
        };
        let results = answer.entries();
        let arrived =
            |index: usize| results.get(index).is_some_and(|result| result.event_id().is_some());
        let arrived: Vec<_> = (0..count).map(arrived).collect();
        let first = arrived.iter().position(|arrived| !arrived)?;
        let code = results.get(first).and_then(|result| result.error_code()).unwrap_or("no result");
        Some(NotSent { arrived, error: format!("EventBridge refused an event: {code}").into() })
    }
}
