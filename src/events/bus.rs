//! EventBridge.

use crate::aws::Connection;
use crate::error::BoxError;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use std::time::Duration;

/// EventBridge takes no more in one call.
pub(super) const CALL_MAX: usize = 10;

/// Nor more than 256 KiB, the names around the events included.
pub(super) const CALL_BYTES_MAX: usize = 200 * 1024;

const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
const OPERATION_TIMEOUT: Duration = Duration::from_secs(6);

/// The source that the events name.
const SOURCE: &str = "payment-intents";

/// The bus on which events are sent.
#[derive(Clone, Debug)]
pub struct EventBus {
    client: aws_sdk_eventbridge::Client,
    name: String,
}

/// Not all events of a call arrived, as far as we were told.
pub(super) struct NotSent {
    /// One flag for each event.
    pub(super) arrived: Vec<bool>,
    /// The cause for the first event that did not arrive.
    pub(super) error: BoxError,
}

impl EventBus {
    /// The bus of that name. Connects when it is first used.
    pub fn new(connection: Connection, name: String) -> Self {
        let config = connection.sdk_config(ATTEMPT_TIMEOUT, OPERATION_TIMEOUT);
        Self { client: aws_sdk_eventbridge::Client::new(&config), name }
    }

    /// Sends up to [`CALL_MAX`] events, each by its type. `None` says that all of
    /// them arrived.
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
