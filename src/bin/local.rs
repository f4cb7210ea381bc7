//! `cargo local`: the service on localhost, ready for its first `curl`.

use clap::Parser;
use payment_intents::config::LocalConfig;
use payment_intents::error::BoxError;
use payment_intents::local::stripe::StripeSandbox;
use payment_intents::local::{Local, Options, PROJECT};
use payment_intents::observe::targets;
use payment_intents::payment::{Payment, State};
use payment_intents::url::connector_url;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Runs the service on localhost, with an embedded DynamoDB emulator and a
/// sandbox connector.
#[derive(Parser)]
#[command(name = "cargo local")]
struct Arguments {
    /// The port on 127.0.0.1; 0 for any that is free
    #[arg(long, default_value_t = 9000)]
    port: u16,

    /// Keeps Payments in FILE over restarts
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,

    /// A real connector, in place of the sandbox
    #[arg(long, value_name = "URL")]
    connector: Option<String>,

    /// Runs a Stripe on localhost too, with a Payment of its own
    #[arg(long)]
    stripe: bool,

    /// How long a call to the connector may take
    #[arg(long, value_name = "MS", default_value_t = 20_000)]
    connector_timeout_ms: u64,

    /// A JSON array of PaymentDrafts, in place of the demo Payments
    #[arg(long, value_name = "FILE")]
    payments: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let arguments = Arguments::parse();
    #[expect(clippy::disallowed_methods, reason = "only a binary reads the environment")]
    let config = LocalConfig::read(|name| std::env::var(name).ok())?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).compact();
    tracing_subscriber::registry()
        // To the emulator, a condition that says no is an error worth a warning.
        .with(targets(config.log_level).with_target("dynoxide", LevelFilter::ERROR))
        .with(lines)
        .try_init()?;
    let local = Local::start(arguments.options(config)?).await?;
    let mut out = std::io::stdout();
    out.write_all(welcome(&local)?.as_bytes())?;
    out.flush()?;
    tokio::select! {
        served = local.serve() => served,
        interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
    }
}

impl Arguments {
    fn options(self, config: LocalConfig) -> Result<Options, BoxError> {
        let connector = self.connector.as_deref().map(connector_url).transpose();
        let payments = self.payments.map(std::fs::read_to_string).transpose();
        Ok(Options {
            port: self.port,
            data: self.data,
            connector: connector.map_err(|error| format!("--connector: the URL {error}"))?,
            stripe: self.stripe,
            connector_timeout_ms: self.connector_timeout_ms,
            payments: payments.map_err(|error| format!("--payments: {error}"))?,
            auth: config.auth,
            api: config.api,
        })
    }
}

fn welcome(local: &Local) -> Result<String, BoxError> {
    let url = format!("http://{}", local.address()?);
    let mut text = String::new();
    writeln!(text, "listening on {url}")?;
    let auth = match local.is_open() {
        true => "authorization is off: this is for localhost alone",
        false => "authorization is on, as AUTH says: send `Authorization: Bearer` with a token",
    };
    writeln!(text, "{auth}\n")?;
    writeln!(text, "Payments of project {PROJECT} (amounts in minor units):")?;
    for payment in local.payments() {
        writeln!(text, "  {}  {}", payment.key.id.as_str(), summary(payment))?;
    }
    if let Some(payment) = local.payments().first() {
        let intents = format!("{url}/{PROJECT}/payment-intents/{}", payment.key.id.as_str());
        let currency = payment.currency();
        writeln!(text, "\nTry:")?;
        for (action, amount) in
            [("capturePayment", 4000), ("capturePayment", 7000), ("refundPayment", 1000)]
        {
            writeln!(
                text,
                "  curl {intents} --json '{{\"actions\":[{{\"action\":\"{action}\",\"amount\":\
                 {{\"centAmount\":{amount},\"currencyCode\":\"{currency}\"}}}}]}}'"
            )?;
        }
        writeln!(text, "  curl {url}/{PROJECT}/payments/{}", payment.key.id.as_str())?;
        writeln!(text, "  curl {url}/sandbox/ledger")?;
    }
    if let Some(stripe) = local.stripe_url() {
        let key = StripeSandbox::API_KEY;
        writeln!(text, "\nA Stripe on localhost: {stripe} with the key {key}")?;
    }
    writeln!(text, "\nThe environment of `cargo lambda watch`, for the same Payments:")?;
    for line in local.lambda_environment().lines() {
        writeln!(text, "  {line}")?;
    }
    Ok(text)
}

fn summary(payment: &Payment) -> String {
    let balances = &payment.balances;
    let pending = payment.transactions.values().any(|past| past.state == State::Pending);
    if balances.authorized.is_zero() {
        return if pending { "authorization pending" } else { "nothing authorized" }.to_owned();
    }
    format!(
        "{} authorized, {} captured, {} refunded",
        balances.authorized,
        balances.captured.minor_units(),
        balances.refunded.minor_units()
    )
}
