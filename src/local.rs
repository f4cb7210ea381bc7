//! The service on localhost: the same API over an embedded DynamoDB emulator, a sandbox
//! connector with the real contract over HTTP, and a few demo Payments.

pub mod adyen;
mod console;
pub mod emulator;
pub mod files;
mod kept;
mod listen;
pub mod log;
pub mod sandbox;
mod server;
pub mod stripe;
mod tokens;
mod welcome;

pub use console::Console;
pub use listen::{Stop, Stopped};

use crate::auth::{Auth, AuthSettings};
use crate::aws::Connection;
use crate::clock::SystemClock;
use crate::connector::{Authorization, ConnectorSettings, Connectors, HttpConnector};
use crate::dynamodb::DynamoStore;
use crate::error::BoxError;
use crate::http::{Api, ApiOptions, FileDraft, file_drafts};
use crate::payment::{Nonce, Payment, ProjectKey};
use crate::ports::{Clock, CreateError, Policy};
use crate::service::Service;
use crate::transport::Transport;
use adyen::AdyenSandbox;
use console::Source;
use emulator::Contents;
use http::Uri;
use sandbox::Sandbox;
use server::{Psps, Server};
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use stripe::StripeSandbox;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use uuid::Uuid;

/// The project of the demo Payments, and of those in a file.
pub const PROJECT: &str = "demo";

/// The table in the emulator.
const TABLE: &str = "payments";

/// The Payments that are registered if no file is given.
const DEMO: &str = include_str!("local/demo.json");

/// The Payments at the Stripe on localhost.
const STRIPE_DEMO: &str = include_str!("local/stripe/demo.json");

/// The Payments at the Adyen on localhost.
const ADYEN_DEMO: &str = include_str!("local/adyen/demo.json");

/// The time that calls in flight get to end.
const END_MAX: Duration = Duration::from_secs(10);

/// The options of the local server.
#[derive(Clone, Debug)]
pub struct Options {
    /// The port on 127.0.0.1; 0 for any that is free (`--port`).
    pub port: u16,
    /// The file where Payments are kept over restarts; in memory where it is `None`
    /// (`--data`).
    pub data: Option<PathBuf>,
    /// Connectors in place of the sandbox.
    pub connectors: Option<OwnConnectors>,
    /// The time limit of one call to the sandbox.
    pub sandbox_timeout_ms: u64,
    /// True for a Stripe on localhost beside the sandbox, with its own Payment (`--stripe`).
    pub has_stripe: bool,
    /// True for an Adyen on localhost beside the sandbox, with its own Payment (`--adyen`).
    pub has_adyen: bool,
    /// A JSON array of PaymentDrafts, in place of the demo Payments (`--payments`).
    pub payments: Option<PathBuf>,
    /// The authorization of callers.
    pub auth: AuthSettings,
    /// The options of the API.
    pub api: ApiOptions,
    /// The console that is served at `/`.
    pub console: Console,
}

/// Connectors in place of the sandbox.
#[derive(Clone, Debug)]
pub struct OwnConnectors {
    /// Their settings by payment interface.
    pub settings: Connectors,
    /// The assignment of `CONNECTORS` in a shell that gives the Lambda the same.
    pub export: String,
}

/// The API that is served.
type LocalApi = Api<DynamoStore, HttpConnector<SystemClock>, SystemClock>;

/// The service behind it.
type LocalService = Service<DynamoStore, HttpConnector<SystemClock>, SystemClock>;

/// A server that is ready for its first request.
#[derive(Debug)]
pub struct Local {
    listener: TcpListener,
    server: Server,
    contents: Contents,
    dynamodb_url: String,
    connector_url: Uri,
    connectors: Option<ShownConnectors>,
    payments: Vec<Payment>,
}

/// The part of [`OwnConnectors`] that is shown.
#[derive(Debug)]
struct ShownConnectors {
    urls: BTreeMap<String, Uri>,
    export: String,
}

impl Local {
    /// Starts everything, and registers the Payments that are not there yet. Errors are
    /// sentences that name the option.
    pub async fn start(options: Options) -> Result<Self, BoxError> {
        let listener = listen(options.port).await?;
        let data = options.data.as_deref();
        let (connection, contents) = match data {
            Some(path) => start_keeping(path).await?,
            None => emulator::open(None).await?,
        };
        let dynamodb_url = connection.endpoint_url.clone().unwrap_or_default();
        let client = connection.client();
        emulator::ensure_table(&client, TABLE).await?;
        let store = DynamoStore::new(client, TABLE.to_owned());
        let sandbox = start_sandbox(data).await?;
        let connector_url = sandbox.url();
        let of_sandbox = || sandbox_settings(sandbox.url(), options.sandbox_timeout_ms);
        let own = options.connectors.as_ref();
        let mut settings = own.map_or_else(of_sandbox, |own| own.settings.clone());
        let stripe = if options.has_stripe { Some(StripeSandbox::start().await?) } else { None };
        if let Some(stripe) = &stripe {
            settings.insert("stripe".to_owned(), stripe.settings(options.sandbox_timeout_ms));
        }
        let adyen = if options.has_adyen { Some(AdyenSandbox::start().await?) } else { None };
        if let Some(adyen) = &adyen {
            settings.insert("adyen".to_owned(), adyen.settings(options.sandbox_timeout_ms));
        }
        let transport = Transport::new()?;
        let connector = HttpConnector::new(settings, transport.clone(), SystemClock);
        let service = Service::new(store, connector, SystemClock);
        let mut payments = register(&service, &options).await?;
        let webhooks = format!("http://{}/{PROJECT}/webhooks", listener.local_addr()?);
        if let Some(stripe) = &stripe {
            let authorize = |payment: &Payment| stripe.authorize_for(payment);
            payments.splice(0..0, register_at_psp(STRIPE_DEMO, authorize, &service).await?);
            let url = format!("{webhooks}/stripe").parse()?;
            tokio::spawn(stripe.clone().send_webhooks(transport.clone(), url));
        }
        if let Some(adyen) = &adyen {
            let authorize = |payment: &Payment| adyen.authorize_for(payment);
            payments.splice(0..0, register_at_psp(ADYEN_DEMO, authorize, &service).await?);
            let url = format!("{webhooks}/adyen").parse()?;
            tokio::spawn(adyen.clone().send_webhooks(transport.clone(), url));
        }
        let is_open = options.auth == AuthSettings::Off;
        let api = Api::new(service, Auth::new(options.auth, transport.clone()), options.api);
        api.open_connections(Duration::from_secs(1)).await;
        let sandbox = options.connectors.is_none().then_some(sandbox);
        let projects = Mutex::new(BTreeSet::from([PROJECT.to_owned()]));
        let psps = Psps { sandbox, stripe, adyen };
        let server =
            Server { api: Arc::new(api), psps, is_open, console: options.console, projects };
        let connectors = options.connectors.map(ShownConnectors::of);
        Ok(Self { listener, server, contents, dynamodb_url, connector_url, connectors, payments })
    }

    /// The address of the server.
    pub fn address(&self) -> Result<SocketAddr, BoxError> {
        Ok(self.listener.local_addr()?)
    }

    /// Answers requests until it is told to stop, and then, for some seconds, those that
    /// have begun.
    pub async fn serve(self, stopped: Stopped) {
        let Self { listener, server, contents, .. } = self;
        tokio::spawn(recover(Arc::clone(&server.api)));
        let (api, psps) = (Arc::clone(&server.api), server.psps.clone());
        let source = Source { api, contents, psps, is_open: server.is_open };
        tokio::spawn(server.console.clone().watch(source));
        let (busy, mut idle) = mpsc::channel(1);
        server.serve(listener, stopped, busy).await;
        let _ = tokio::time::timeout(END_MAX, idle.recv()).await;
    }
}

impl ShownConnectors {
    fn of(own: OwnConnectors) -> Self {
        let urls = own.settings.into_iter().map(|(name, connector)| (name, connector.url));
        Self { urls: urls.collect(), export: own.export }
    }
}

async fn listen(port: u16) -> Result<TcpListener, BoxError> {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
    bound.map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => format!(
            "port {port} of 127.0.0.1 is taken: choose another one with --port, or any that \
             is free with --port 0"
        )
        .into(),
        _ => {
            let reason = files::reason(&error);
            format!(
                "port {port} of 127.0.0.1 cannot be used: {reason}; choose another one with --port"
            )
            .into()
        }
    })
}

async fn start_keeping(path: &Path) -> Result<(Connection, Contents), BoxError> {
    let about = |what: String| files::about("--data", path, &what);
    files::check_data(path).map_err(about)?;
    emulator::open(Some(path)).await.map_err(|error| {
        // What follows the first sentence is about the emulator's own settings.
        let text = error.to_string();
        about(format!("it cannot be opened: {}", text.split(". ").next().unwrap_or(&text)))
    })
}

/// The sandbox. Its ledger is kept beside the Payments.
async fn start_sandbox(data: Option<&Path>) -> Result<Sandbox, BoxError> {
    let Some(data) = data else { return Sandbox::start().await };
    let mut path = data.as_os_str().to_owned();
    path.push(".sandbox");
    let path = PathBuf::from(path);
    let about = |error: BoxError| files::about("--data", &path, &error.to_string());
    Sandbox::start_keeping(&path).await.map_err(about)
}

fn sandbox_settings(url: Uri, timeout_ms: u64) -> Connectors {
    let settings = ConnectorSettings {
        url,
        timeout_ms,
        authorization: Authorization::Forward,
        projects: None,
        policy: Policy::default(),
        platform: None,
        psp: None,
    };
    Connectors::from([("*".to_owned(), settings)])
}

/// Runs recovery every two seconds. The scheduled Lambda runs it every minute.
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

async fn register(service: &LocalService, options: &Options) -> Result<Vec<Payment>, BoxError> {
    let project = ProjectKey::parse(PROJECT)?;
    let now = SystemClock.now();
    let file = options.payments.as_deref();
    let text = file.map(|path| files::read("--payments", path)).transpose()?;
    let about = |what: String| -> BoxError {
        match file {
            Some(path) => files::about("--payments", path, &what),
            None => what.into(),
        }
    };
    let drafts = file_drafts(text.as_deref().unwrap_or(DEMO), &project, now);
    let mut payments = Vec::new();
    let own = options.connectors.as_ref().map(|own| &own.settings);
    let interface = own.filter(|_| file.is_none()).and_then(only_named);
    for FileDraft { mut registration, has_id, place } in
        drafts.map_err(|error| about(error.to_string()))?
    {
        if options.data.is_some() && !has_id {
            let why = "with --data it needs an id, or every start would register it again";
            return Err(about(format!("{place}: {why}")));
        }
        if interface.is_some() {
            registration.details.payment_interface.clone_from(&interface);
        }
        let refused = |why: &dyn std::fmt::Display| about(format!("{place}: {why}"));
        let payment = Payment::register(registration, now).map_err(|why| refused(&why))?;
        match service.create(&payment).await {
            Ok(()) => payments.push(payment),
            // Kept from an earlier run, with its current ledger.
            Err(CreateError::Exists) => payments.extend(service.get(&payment.key).await?),
            Err(error @ (CreateError::KeyTaken | CreateError::Store(_))) => {
                return Err(refused(&error));
            }
        }
    }
    Ok(payments)
}

/// Registers the Payments of a PSP on localhost, and authorizes them there.
async fn register_at_psp(
    drafts: &str,
    authorize: impl Fn(&Payment),
    service: &LocalService,
) -> Result<Vec<Payment>, BoxError> {
    let now = SystemClock.now();
    let mut payments = Vec::new();
    for draft in file_drafts(drafts, &ProjectKey::parse(PROJECT)?, now)? {
        let payment = Payment::register(draft.registration, now)?;
        authorize(&payment);
        service.create(&payment).await?;
        payments.push(payment);
    }
    Ok(payments)
}

/// The interface of the demo Payments where no connector takes just any.
fn only_named(connectors: &Connectors) -> Option<String> {
    let is_for_any = connectors.contains_key("*");
    connectors.keys().min().filter(|_| !is_for_any).cloned()
}

/// A port for the emulator or the sandbox.
async fn bind() -> Result<TcpListener, BoxError> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?)
}

impl Connection {
    /// A connection to an emulator, which accepts any credentials.
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
