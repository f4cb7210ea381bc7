//! The scheduled Lambda: runs recovery.

use lambda_runtime::{LambdaEvent, service_fn};
use payment_intents::assemble::RealService;
use payment_intents::clock::SystemClock;
use payment_intents::config::RecoveryConfig;
use payment_intents::error::BoxError;
use payment_intents::fan_out::{Copies, requested_part};
use payment_intents::invocation::deadline;
use payment_intents::observe::{log_failed_count, log_json};
use payment_intents::payment::Nonce;
use payment_intents::ports::{Clock, IndexPart};
use payment_intents::secrets_manager::{Renewed, Secrets};
use payment_intents::transport::Transport;
use serde_json::value::RawValue;
use uuid::Uuid;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    #[expect(clippy::disallowed_methods, reason = "only a binary reads the environment")]
    let variable = |name: &str| std::env::var(name).ok();
    let transport = &Transport::new()?;
    let secrets = Secrets::at_start(variable, transport).await;
    let config = RecoveryConfig::read(variable, &secrets);
    log_json(config.as_ref().map(|config| config.backend.logging.clone()).unwrap_or_default())?;
    let config = config.inspect_err(|error| tracing::error!("{error}"))?;
    let copies = &Copies::new(config.lambda);
    let build = |secrets: &Secrets| {
        let config = RecoveryConfig::read(variable, secrets)?;
        Ok(config.backend.service(transport.clone()))
    };
    let renewed = &Renewed::new(variable, transport.clone(), build);
    if !secrets.are_pending() {
        let service = config.backend.service(transport.clone());
        renewed.set(service, secrets, SystemClock.now()).await;
    }
    // A run that fails is an error of the function; the next run is a minute later.
    let handler = service_fn(|event: LambdaEvent<Box<RawValue>>| {
        Box::pin(async move {
            let deadline = deadline(&event.context, SystemClock.now());
            let service = &*renewed.get(SystemClock.now(), RealService::is_secret_refused).await?;
            let part = match requested_part(event.payload.get()) {
                Some(part) => part,
                None => {
                    part_of_this_process(service, copies, &event.context.invoked_function_arn).await
                }
            };
            let nonce = || Nonce::new(Uuid::new_v4().as_u128());
            let run = service.recover_part(part, deadline, nonce).await?;
            run.log(SystemClock.now());
            Ok::<_, BoxError>(run)
        })
    });
    lambda_runtime::run(handler).await
}

/// The part of the index for this process. Copies of the function are invoked for the
/// other parts.
async fn part_of_this_process(service: &RealService, copies: &Copies, function: &str) -> IndexPart {
    match service.plan_recovery().await {
        Ok(parts) => copies.invoke_copies(function, &parts).await,
        Err(error) => {
            log_failed_count(&error.into());
            IndexPart::WHOLE
        }
    }
}
