//! The Lambda behind API Gateway: reads its environment, and hands each event
//! to the API.

use lambda_runtime::{LambdaEvent, service_fn};
use payment_intents::clock::SystemClock;
use payment_intents::config::{Config, log_json};
use payment_intents::connector::HttpConnector;
use payment_intents::dynamodb::DynamoStore;
use payment_intents::http::{Api, gateway};
use payment_intents::ports::{BoxError, Clock};
use payment_intents::service::Service;
use serde_json::value::RawValue;
use std::convert::Infallible;
use tracing::level_filters::LevelFilter;

/// Everything slow happens here, before the first event.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    let config = Config::read(|name| std::env::var(name).ok());
    log_json(config.as_ref().map_or(LevelFilter::INFO, |config| config.log_level))?;
    let config = config.inspect_err(|error| tracing::error!("{error}"))?;
    let store = DynamoStore::new(config.dynamodb.client(), config.table);
    let connector = HttpConnector::new(config.connectors, SystemClock)?;
    let service = Service::new(store, connector, SystemClock);
    let api = Api::new(service, config.auth, config.response);
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
