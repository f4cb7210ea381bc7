//! The Lambda behind API Gateway: reads its environment, and hands each event
//! to the API.

use lambda_runtime::{LambdaEvent, service_fn};
use payment_intents::clock::SystemClock;
use payment_intents::config::Config;
use payment_intents::http::{Api, gateway};
use payment_intents::observe::log_json;
use payment_intents::ports::{BoxError, Clock};
use serde_json::value::RawValue;
use std::convert::Infallible;
use tracing::level_filters::LevelFilter;

/// Everything slow happens here, before the first event.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    #[expect(clippy::disallowed_methods, reason = "only a binary reads the environment")]
    let config = Config::read(|name| std::env::var(name).ok());
    log_json(config.as_ref().map_or(LevelFilter::INFO, |config| config.backend.log_level))?;
    let config = config.inspect_err(|error| tracing::error!("{error}"))?;
    let api = Api::new(config.backend.service()?, config.api);
    let api = &api;
    // Boxed, because the compiler gives up on laying out what is nested deeper.
    let handler = service_fn(|event: LambdaEvent<Box<RawValue>>| {
        Box::pin(async move {
            let deadline = gateway::deadline(event.context.deadline, SystemClock.now());
            Ok::<_, Infallible>(gateway::handle(api, event.payload.get(), deadline).await)
        })
    });
    lambda_runtime::run(handler).await
}
