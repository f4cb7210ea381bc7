//! The scheduled Lambda: runs recovery.

use lambda_runtime::{LambdaEvent, service_fn};
use payment_intents::clock::SystemClock;
use payment_intents::config::Backend;
use payment_intents::error::BoxError;
use payment_intents::invocation::deadline;
use payment_intents::observe::log_json;
use payment_intents::payment::Nonce;
use payment_intents::ports::Clock;
use payment_intents::secrets_manager::Secrets;
use payment_intents::transport::Transport;
use serde_json::value::RawValue;
use tokio::sync::OnceCell;
use uuid::Uuid;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    #[expect(clippy::disallowed_methods, reason = "only a binary reads the environment")]
    let variable = |name: &str| std::env::var(name).ok();
    let transport = &Transport::new()?;
    let secrets = Secrets::at_start(variable, transport).await;
    let backend = Backend::read(variable, &secrets);
    log_json(backend.as_ref().map(|backend| backend.logging.clone()).unwrap_or_default())?;
    let backend = backend.inspect_err(|error| tracing::error!("{error}"))?;
    let ready = (!secrets.are_pending()).then(|| backend.service(transport.clone()));
    let ready = &OnceCell::new_with(ready);
    // The content of the scheduled event is not used. A run that fails is an error of the
    // function; the next run is a minute later.
    let handler = service_fn(|event: LambdaEvent<Box<RawValue>>| {
        Box::pin(async move {
            let deadline = deadline(&event.context, SystemClock.now());
            let started = ready.get_or_try_init(async || {
                let secrets = Secrets::with_event(variable, transport).await;
                Ok::<_, BoxError>(Backend::read(variable, &secrets)?.service(transport.clone()))
            });
            let nonce = || Nonce::new(Uuid::new_v4().as_u128());
            let run = started.await?.recover(deadline, nonce).await?;
            run.log(SystemClock.now());
            Ok::<_, BoxError>(run)
        })
    });
    lambda_runtime::run(handler).await
}
