//! The scheduled Lambda: finds out what came of what was left open.

use lambda_runtime::{LambdaEvent, service_fn};
use payment_intents::clock::SystemClock;
use payment_intents::config::Backend;
use payment_intents::http::gateway;
use payment_intents::observe::{log_json, recovered};
use payment_intents::payment::Nonce;
use payment_intents::ports::{BoxError, Clock};
use serde_json::value::RawValue;
use tracing::level_filters::LevelFilter;
use uuid::Uuid;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    #[expect(clippy::disallowed_methods, reason = "only a binary reads the environment")]
    let backend = Backend::read(|name| std::env::var(name).ok());
    log_json(backend.as_ref().map_or(LevelFilter::INFO, |backend| backend.log_level))?;
    let service = backend.inspect_err(|error| tracing::error!("{error}"))?.service()?;
    let service = &service;
    // The schedule has nothing to say but that it is time. A run that fails is an
    // error of the function; the next one is a minute away.
    let handler = service_fn(|event: LambdaEvent<Box<RawValue>>| {
        Box::pin(async move {
            let deadline = gateway::deadline(event.context.deadline, SystemClock.now());
            let nonce = || Nonce::new(Uuid::new_v4().as_u128());
            let report = service.recover(deadline, nonce).await?;
            recovered(&report, SystemClock.now());
            Ok::<_, BoxError>(report)
        })
    });
    lambda_runtime::run(handler).await
}
