//! The destination of the log lines: standard output, as JSON.

use super::metrics;
use crate::error::BoxError;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// The beginning of every target of this service.
const OURS: &str = "payment_intents";

/// The level of the log, and the name that its metrics carry.
#[derive(Clone, Debug)]
pub struct Logging {
    /// The least severe level of our own lines (`AWS_LAMBDA_LOG_LEVEL`).
    pub level: LevelFilter,
    /// Tells the metrics of one stack from those of another (`STACK_NAME`).
    pub stack: Option<String>,
}

impl Default for Logging {
    fn default() -> Self {
        Self { level: LevelFilter::INFO, stack: None }
    }
}

/// Writes JSON lines to standard output: those of this service from the level on,
/// and its metrics at any level. Of libraries, only warnings and errors are written,
/// since a library does not know which of its values are secret here.
pub fn log_json(logging: Logging) -> Result<(), BoxError> {
    let Logging { level, stack } = logging;
    metrics::enable(stack);
    let lines =
        fmt::layer().json().flatten_event(true).with_current_span(false).with_span_list(false);
    // One filter for all layers, which decides once for each place in the code. A
    // filter of one layer is asked again for each span of the SDK.
    tracing_subscriber::registry().with(targets(level)).with(lines).try_init()?;
    // The message of a panic may contain anything; its location does not.
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string);
        tracing::error!(location, "a panic");
    }));
    Ok(())
}

/// The filter of the lines; see [`log_json`].
pub fn targets(level: LevelFilter) -> Targets {
    let libraries = level.min(LevelFilter::WARN);
    Targets::new().with_default(libraries).with_target(OURS, level)
}
