//! The Lambda behind the table's stream: sends the events of a batch of records.

use lambda_runtime::{LambdaEvent, service_fn};
use payment_intents::clock::SystemClock;
use payment_intents::config::EventsConfig;
use payment_intents::error::BoxError;
use payment_intents::events::{EventBus, deliver};
use payment_intents::invocation::deadline;
use payment_intents::observe::log_json;
use payment_intents::ports::Clock;
use serde_json::value::RawValue;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    #[expect(clippy::disallowed_methods, reason = "only a binary reads the environment")]
    let config = EventsConfig::read(|name| std::env::var(name).ok());
    log_json(config.as_ref().map(|config| config.logging.clone()).unwrap_or_default())?;
    let config = config.inspect_err(|error| tracing::error!("{error}"))?;
    let bus = &EventBus::new(config.eventbridge, config.bus);
    // An event that is not a batch of stream records is an error of the function.
    let handler = service_fn(|event: LambdaEvent<Box<RawValue>>| {
        Box::pin(async move {
            let deadline = deadline(&event.context, SystemClock.now());
            deliver(event.payload.get(), bus, &SystemClock, deadline).await
        })
    });
    lambda_runtime::run(handler).await
}
