//! The Lambda behind API Gateway: reads its environment, and passes each event to the API.

use lambda_http::{LambdaEvent, Request, Service, service_fn};
use payment_intents::auth::Auth;
use payment_intents::clock::SystemClock;
use payment_intents::config::Config;
use payment_intents::error::BoxError;
use payment_intents::http::{Api, lambda, not_started};
use payment_intents::observe::{log_json, log_started};
use payment_intents::ports::Clock;
use payment_intents::secrets_manager::Secrets;
use payment_intents::transport::Transport;
use serde_json::value::RawValue;
use std::time::Duration;
use tokio::sync::OnceCell;

/// The time limit for opening connections before the first event. The first event opens
/// those that are missing.
const CONNECT_TIME: Duration = Duration::from_secs(1);

/// Does everything slow before the first event, except reading secrets that are pending.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    #[expect(clippy::disallowed_methods, reason = "only a binary reads the environment")]
    let variable = |name: &str| std::env::var(name).ok();
    let transport = &Transport::new()?;
    let secrets = Secrets::at_start(variable, transport).await;
    let config = Config::read(variable, &secrets);
    log_json(config.as_ref().map(|config| config.backend.logging.clone()).unwrap_or_default())?;
    let config = config.inspect_err(|error| tracing::error!("{error}"))?;
    let api = |config: Config| {
        let auth = Auth::new(config.auth, transport.clone());
        Api::new(config.backend.service(transport.clone()), auth, config.api)
    };
    log_started(SystemClock.now());
    let ready = OnceCell::new();
    if !secrets.are_pending() {
        let api = ready.get_or_init(async || api(config)).await;
        tokio::join!(
            api.open_connections(CONNECT_TIME),
            api.service().open_connections(CONNECT_TIME)
        );
    }
    let (ready, api) = (&ready, &api);
    let service = service_fn(|request: Request| async move {
        let api = ready.get_or_try_init(async || {
            let secrets = Secrets::with_event(variable, transport).await;
            Ok::<_, BoxError>(api(Config::read(variable, &secrets)?))
        });
        match api.await {
            Ok(mut api) => api.call(request).await,
            Err(error) => Ok(not_started(error)),
        }
    });
    // Boxed, because the compiler cannot compute the layout of a future nested so deeply.
    let handler =
        service_fn(|event: LambdaEvent<Box<RawValue>>| Box::pin(lambda::answer(service, event)));
    lambda_runtime::run(handler).await
}
