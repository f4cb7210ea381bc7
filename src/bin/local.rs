//! `cargo local`: the service on localhost.

use clap::Parser;
use payment_intents::config::LocalConfig;
use payment_intents::error::BoxError;
use payment_intents::local::{Console, Local, Options, OwnConnectors, Stop, files, log};
use payment_intents::observe::targets;
use payment_intents::url::connector_url;
use serde_json::{Map, Value, json};
use std::io::{IsTerminal, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// Runs the service on 127.0.0.1, with a DynamoDB emulator and a sandbox PSP inside.
///
/// Open the address that it prints in a browser, or paste one of the lines under "Try" into
/// another terminal.
#[derive(Parser)]
#[command(name = "cargo local", bin_name = "cargo local", after_help = AFTER_HELP)]
struct Arguments {
    /// The port on 127.0.0.1; 0 takes any that is free
    #[arg(long, value_name = "PORT", default_value_t = 9000)]
    port: u16,

    /// Keeps the Payments, and the ledger of the sandbox, in FILE over restarts
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,

    /// A JSON array of PaymentDrafts, in place of the demo Payments
    #[arg(long, value_name = "FILE")]
    payments: Option<PathBuf>,

    /// Your connector in place of the sandbox; it gets the caller's bearer token
    #[arg(long, value_name = "URL", conflicts_with = "connectors")]
    connector: Option<String>,

    /// A Stripe on localhost beside the sandbox, with a Payment that is captured there
    #[arg(long, conflicts_with_all = ["connector", "connectors", "data"])]
    stripe: bool,

    /// An Adyen on localhost beside the sandbox, with a Payment that is captured there
    #[arg(long, conflicts_with_all = ["connector", "connectors", "data"])]
    adyen: bool,

    /// The public connector that yours is made of, which decides what its answers prove
    #[arg(long, value_name = "NAME", requires = "connector", value_parser = PROFILES)]
    profile: Option<String>,

    /// The time limit of one call, from 100 to 300000: by default 20000 to your connector,
    /// and 5000 to the sandbox
    #[arg(long, value_name = "MS", conflicts_with = "connectors",
        value_parser = clap::value_parser!(u64).range(100..=300_000))]
    connector_timeout_ms: Option<u64>,

    /// Connectors in place of the sandbox: JSON, as the Lambda's variable CONNECTORS has it
    #[arg(long, value_name = "FILE")]
    connectors: Option<PathBuf>,

    /// The log on standard error: lines for people, or JSON
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = ["text", "json"])]
    log: String,
}

/// The profiles of the public connectors.
const PROFILES: [&str; 6] = ["template", "adyen", "stripe", "braintree", "paypal", "giftcard"];

const AFTER_HELP: &str = "\
Examples:
  cargo local
  cargo local --data payments.db
  cargo local --stripe
  cargo local --adyen
  cargo local --connector http://127.0.0.1:8080 --profile template
  cargo local --connectors connectors.json --log json

Variables: CONNECTORS, AUTH with its settings, RESPONSE, REPEAT_DETECTION and
AWS_LAMBDA_LOG_LEVEL mean the same as in the Lambda. Without AUTH, authorization is off.
docs/api.md says more.";

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), BoxError> {
    let is_json = arguments.log == "json";
    let console = Console::default();
    let (options, log_level) = arguments.options(console.clone())?;
    start_log(log_level, is_json, console)?;
    let local = Local::start(options).await?;
    let mut out = std::io::stdout();
    out.write_all(local.welcome(is_coloured(&out))?.as_bytes())?;
    out.flush()?;
    let (stop, stopped) = Stop::new();
    let mut serving = tokio::spawn(local.serve(stopped));
    tokio::select! {
        served = &mut serving => return Ok(served?),
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    stop.tell();
    let _ = writeln!(std::io::stderr(), "waiting for calls in flight; Ctrl-C again ends at once");
    tokio::select! {
        served = serving => Ok(served?),
        interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
    }
}

fn start_log(level: LevelFilter, is_json: bool, console: Console) -> Result<(), BoxError> {
    let lines = match is_json {
        true => tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .boxed(),
        false => log::on_terminal(is_coloured(&std::io::stderr())).boxed(),
    };
    tracing_subscriber::registry()
        // The emulator warns of each failed condition.
        .with(targets(level).with_target("dynoxide", LevelFilter::ERROR))
        .with(lines)
        .with(log::Lines(move |line| console.log(&line)))
        .try_init()?;
    Ok(())
}

/// True where colours are seen (<https://no-color.org>).
fn is_coloured(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && variable("NO_COLOR").is_none()
}

#[expect(clippy::disallowed_methods, reason = "only a binary reads the environment")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

impl Arguments {
    fn options(self, console: Console) -> Result<(Options, LevelFilter), BoxError> {
        let given = self.connectors()?;
        let config = LocalConfig::read(|name| match (name, &given) {
            ("CONNECTORS", Some(given)) => Some(given.json.clone()),
            _ => variable(name),
        });
        let config = config.map_err(|error| match &given {
            Some(given) if error.to_string().contains("CONNECTORS") => {
                format!("{error} (CONNECTORS is what {} says)", given.option)
            }
            _ => error.to_string(),
        })?;
        for (is_given, option) in [(self.stripe, "--stripe"), (self.adyen, "--adyen")] {
            if is_given && config.connectors.is_some() {
                let both = "and the variable CONNECTORS are both set: leave one out";
                return Err(format!("{option} {both}").into());
            }
        }
        let export =
            given.map_or_else(|| "CONNECTORS=\"$CONNECTORS\"".to_owned(), |given| given.export);
        let options = Options {
            port: self.port,
            data: self.data,
            connectors: config.connectors.map(|settings| OwnConnectors { settings, export }),
            sandbox_timeout_ms: self.connector_timeout_ms.unwrap_or(5_000),
            has_stripe: self.stripe,
            has_adyen: self.adyen,
            payments: self.payments,
            auth: config.auth,
            api: config.api,
            console,
        };
        Ok((options, config.log_level))
    }

    /// The connectors that the options name. A variable beside them would be ignored.
    fn connectors(&self) -> Result<Option<Given>, BoxError> {
        let given = match (&self.connector, &self.connectors) {
            (Some(url), _) => self.connector(url)?,
            (None, Some(path)) => {
                let json = files::read("--connectors", path)?;
                if let Err(error) = serde_json::from_str::<Map<String, Value>>(&json) {
                    let what = format!("it is not a JSON object of connectors: {error}");
                    return Err(files::about("--connectors", path, &what));
                }
                let option = format!("--connectors {}", path.display());
                // What is in the file may be a secret.
                let export = format!("CONNECTORS=\"$(cat '{}')\"", path.display());
                Given { option, json, export }
            }
            (None, None) => return Ok(None),
        };
        match variable("CONNECTORS") {
            Some(_) => {
                let option = given.option;
                Err(format!("{option} and the variable CONNECTORS are both set: leave one out")
                    .into())
            }
            None => Ok(Some(given)),
        }
    }

    fn connector(&self, url: &str) -> Result<Given, BoxError> {
        connector_url(url).map_err(|error| format!("--connector {url}: the URL {error}"))?;
        let mut settings = json!({
            "url": url,
            "timeoutMs": self.connector_timeout_ms.unwrap_or(20_000),
            "authorization": {"type": "forward"},
        });
        if let (Some(profile), Some(settings)) = (&self.profile, settings.as_object_mut()) {
            settings.insert("profile".to_owned(), json!(profile));
        }
        let json = json!({"*": settings}).to_string();
        let export = format!("CONNECTORS='{}'", json.replace('\'', r"'\''"));
        Ok(Given { option: format!("--connector {url}"), json, export })
    }
}

/// The connectors of an option.
struct Given {
    /// The option and its value.
    option: String,
    /// The value of `CONNECTORS` that says the same.
    json: String,
    /// Its assignment in a shell.
    export: String,
}
