//! All of it on localhost: the same API over an embedded DynamoDB emulator, a
//! sandbox connector that speaks the real contract over HTTP, and a few demo
//! Payments.

pub mod adyen;
pub mod emulator;
pub mod sandbox;
mod server;
pub mod stripe;

use crate::auth::{Auth, AuthSettings};
use crate::aws::Connection;
use crate::clock::SystemClock;
use crate::connector::{Authorization, ConnectorSettings, Connectors, HttpConnector};
use crate::dynamodb::DynamoStore;
use crate::error::BoxError;
use crate::http::{Api, ApiOptions, registrations};
use crate::payment::{Nonce, Payment, ProjectKey};
use crate::ports::{Clock, CreateError, Policy};
use crate::service::Service;
use crate::transport::Transport;
use http::Uri;
use sandbox::Sandbox;
use serde_json::json;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use stripe::StripeSandbox;
use tokio::net::TcpListener;
use uuid::Uuid;

/// The project of the demo Payments, and of those in a file.
pub const PROJECT: &str = "demo";

/// The table in the emulator.
const TABLE: &str = "payments";

/// The Payments that are there unless a file says otherwise.
const DEMO: &str = include_str!("local/demo.json");

/// The Payments at the Stripe on localhost.
const STRIPE_DEMO: &str = include_str!("local/stripe/demo.json");

/// How to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The port on 127.0.0.1; 0 for any that is free.
    pub port: u16,
    /// Where Payments are kept over restarts; in memory where it is `None`.
    pub data: Option<PathBuf>,
    /// A real connector, in place of the sandbox.
    pub connector: Option<Uri>,
    /// True for a Stripe on localhost beside the connector, with a Payment of its own.
    pub stripe: bool,
    /// How long a call to the connector may take.
    pub connector_timeout_ms: u64,
    /// A JSON array of PaymentDrafts, in place of the demo Payments.
    pub payments: Option<String>,
    /// How callers are authorized.
    pub auth: AuthSettings,
    /// How answers look, and how repeats are known.
    pub api: ApiOptions,
}

/// The local API.
type LocalApi = Api<DynamoStore, HttpConnector<SystemClock>, SystemClock>;

/// A server that is ready for its first request.
#[derive(Debug)]
pub struct Local {
    listener: TcpListener,
    api: Arc<LocalApi>,
    is_open: bool,
    sandbox: Sandbox,
    stripe: Option<StripeSandbox>,
    transport: Transport,
    dynamodb_url: String,
    connector_url: Uri,
    payments: Vec<Payment>,
}

impl Local {
    /// Starts everything, on free ports, and registers the Payments that are
    /// not there yet.
    pub async fn start(options: Options) -> Result<Self, BoxError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await?;
        let connection = emulator::start(options.data.as_deref()).await?;
        let dynamodb_url = connection.endpoint_url.clone().unwrap_or_default();
        let client = connection.client();
        emulator::ensure_table(&client, TABLE).await?;
        let store = DynamoStore::new(client, TABLE.to_owned());
        let sandbox = Sandbox::start().await?;
        let connector_url = options.connector.unwrap_or_else(|| sandbox.url());
        let settings = ConnectorSettings {
            url: connector_url.clone(),
            timeout_ms: options.connector_timeout_ms,
            authorization: Authorization::Forward,
            projects: None,
            policy: Policy::default(),
            platform: None,
            psp: None,
        };
        let mut connectors = Connectors::from([("*".to_owned(), settings)]);
        let stripe = if options.stripe { Some(StripeSandbox::start().await?) } else { None };
        if let Some(stripe) = &stripe {
            connectors.insert("stripe".to_owned(), stripe.settings(options.connector_timeout_ms));
        }
        let transport = Transport::new()?;
        let connector = HttpConnector::new(connectors, transport.clone(), SystemClock);
        let service = Service::new(store, connector, SystemClock);
        let drafts = options.payments.as_deref().unwrap_or(DEMO);
        let mut payments = register(&service, drafts).await?;
        if let Some(stripe) = &stripe {
            let at_stripe = register(&service, STRIPE_DEMO).await?;
            at_stripe.iter().for_each(|payment| stripe.authorize_for(payment));
            payments.splice(0..0, at_stripe);
        }
        let is_open = options.auth == AuthSettings::Off;
        let api = Api::new(service, Auth::new(options.auth, transport.clone()), options.api);
        api.open_connections(Duration::from_secs(1)).await;
        let api = Arc::new(api);
        Ok(Self {
            listener,
            api,
            is_open,
            sandbox,
            stripe,
            transport,
            dynamodb_url,
            connector_url,
            payments,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> Result<SocketAddr, BoxError> {
        Ok(self.listener.local_addr()?)
    }

    /// Whether authorization is off.
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// What the Lambda needs in its environment to work on the same Payments with
    /// the same connector, as lines for a shell.
    pub fn lambda_environment(&self) -> String {
        let url = self.connector_url.to_string();
        let mut connectors = json!({"*": {"url": url.trim_end_matches('/')}});
        if let (Some(stripe), Some(entries)) = (&self.stripe, connectors.as_object_mut()) {
            entries.insert("stripe".to_owned(), stripe.entry());
        }
        format!(
            "export AUTH=gateway PAYMENTS_TABLE={TABLE} AWS_REGION=eu-central-1 \
             AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local\n\
             export AWS_ENDPOINT_URL_DYNAMODB={}\n\
             export CONNECTORS='{connectors}'",
            self.dynamodb_url
        )
    }

    /// The address of the Stripe on localhost, if there is one.
    pub fn stripe_url(&self) -> Option<Uri> {
        self.stripe.as_ref().map(StripeSandbox::url)
    }

    /// The Payments it began with.
    pub fn payments(&self) -> &[Payment] {
        &self.payments
    }

    /// Answers requests until the process ends.
    pub async fn serve(self) -> Result<(), BoxError> {
        tokio::spawn(recover(Arc::clone(&self.api)));
        if let Some(stripe) = self.stripe.clone() {
            let url = format!("http://{}/{PROJECT}/webhooks/stripe", self.address()?).parse()?;
            tokio::spawn(stripe.send_webhooks(self.transport, url));
        }
        let psps = server::Psps { sandbox: self.sandbox, stripe: self.stripe };
        server::serve(self.listener, self.api, psps, self.is_open).await
    }
}

/// What the scheduled Lambda does every minute, more often.
async fn recover(api: Arc<LocalApi>) {
    const PAUSE_MS: u64 = 2_000;
    const RUN_MS: u64 = 60_000;
    loop {
        let nonce = || Nonce::new(Uuid::new_v4().as_u128());
        let deadline = SystemClock.now().plus_ms(RUN_MS);
        if let Err(error) = api.service().recover(deadline, nonce).await {
            tracing::warn!(%error, "a run of recovery failed");
        }
        SystemClock.sleep_ms(PAUSE_MS).await;
    }
}

async fn register(
    service: &Service<DynamoStore, HttpConnector<SystemClock>, SystemClock>,
    drafts: &str,
) -> Result<Vec<Payment>, BoxError> {
    let now = SystemClock.now();
    let project = ProjectKey::parse(PROJECT)?;
    let mut payments = Vec::new();
    for registration in registrations(drafts, &project, now)? {
        let payment = Payment::register(registration, now)?;
        match service.create(&payment).await {
            Ok(()) => payments.push(payment),
            // Kept from an earlier run, with all that has happened to it.
            Err(CreateError::Exists) => payments.extend(service.get(&payment.key).await?),
            Err(error @ (CreateError::KeyTaken | CreateError::Store(_))) => {
                return Err(error.into());
            }
        }
    }
    Ok(payments)
}

/// Used by the emulator, the sandbox and the server alike.
async fn bind() -> Result<TcpListener, BoxError> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?)
}

impl Connection {
    /// To an emulator, which believes any credentials.
    pub fn to_emulator(endpoint_url: String) -> Self {
        Self {
            region: "eu-central-1".to_owned(),
            endpoint_url: Some(endpoint_url),
            credentials: aws_sdk_dynamodb::config::Credentials::new(
                "local", "local", None, None, "local",
            ),
        }
    }
}
