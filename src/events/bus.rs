//! EventBridge.

use super::Event;
use crate::aws::Connection;
use crate::ports::BoxError;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use std::time::Duration;

/// EventBridge takes no more in one call.
pub(super) const CALL_MAX: usize = 10;

const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
const OPERATION_TIMEOUT: Duration = Duration::from_secs(6);

/// What the events say of where they come from.
const SOURCE: &str = "payment-intents";

/// The bus on which events are sent.
#[derive(Clone, Debug)]
pub struct EventBus {
    client: aws_sdk_eventbridge::Client,
    name: String,
}

/// The first event of a call that did not arrive; those behind it may have.
pub(super) struct NotSent {
    pub(super) first: usize,
    pub(super) error: BoxError,
}

impl EventBus {
    /// The bus of that name. Connects when it is first used.
    pub fn new(connection: Connection, name: String) -> Self {
        let config = connection.sdk_config(ATTEMPT_TIMEOUT, OPERATION_TIMEOUT);
        Self { client: aws_sdk_eventbridge::Client::new(&config), name }
    }

    /// Sends up to [`CALL_MAX`] events. `None` says that all of them arrived.
    pub(super) async fn put(&self, events: &[&Event]) -> Option<NotSent> {
        let mut put = self.client.put_events();
        for (index, event) in events.iter().enumerate() {
            match self.entry(event) {
                Ok(entry) => put = put.entries(entry),
                Err(error) => return Some(NotSent { first: index, error }),
            }
        }
        let answer = match put.send().await {
            Ok(answer) => answer,
            Err(error) => return Some(NotSent { first: 0, error: error.into() }),
        };
        let results = answer.entries();
        let first = results.iter().position(|result| result.event_id().is_none());
        let missing = (results.len() < events.len()).then_some(results.len());
        let first = first.or(missing)?;
        let code = results.get(first).and_then(|result| result.error_code()).unwrap_or("no result");
        Some(NotSent { first, error: format!("EventBridge refused an event: {code}").into() })
    }

    fn entry(&self, event: &Event) -> Result<PutEventsRequestEntry, BoxError> {
        Ok(PutEventsRequestEntry::builder()
            .event_bus_name(&self.name)
            .source(SOURCE)
            .detail_type(event.r#type)
            .detail(serde_json::to_string(event)?)
            .build())
    }
}
