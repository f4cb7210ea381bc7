//! The set-up of the log: JSON lines on standard output.

use super::metrics;
use crate::error::BoxError;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// The prefix of the log targets of this service.
const TARGET: &str = "payment_intents";

/// The level of the log, and the stack name in its metrics.
#[derive(Clone, Debug)]
pub struct Logging {
    /// The least severe level of our own lines (`AWS_LAMBDA_LOG_LEVEL`).
    pub level: LevelFilter,
    /// The name of the stack, a dimension of its metrics (`STACK_NAME`).
    pub stack: Option<String>,
}

impl Default for Logging {
    fn default() -> Self {
        Self { level: LevelFilter::INFO, stack: None }
    }
}

/// Starts writing JSON lines to standard output: the lines of this service from the level
/// on, and its metrics at any level. Of libraries, only warnings and errors are written,
/// because their other lines may contain secrets.
pub fn log_json(logging: Logging) -> Result<(), BoxError> {
    let Logging { level, stack } = logging;
    metrics::enable(stack);
    let lines =
        fmt::layer().json().flatten_event(true).with_current_span(false).with_span_list(false);
    // A filter for all layers is evaluated once for each place in the code. A filter of
    // one layer would be evaluated for each span of the SDK.
    tracing_subscriber::registry().with(targets(level)).with(lines).try_init()?;
    // The message of a panic may contain anything; its location does not.
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string);
        tracing::error!(location, "the function panicked");
    }));
    Ok(())
}

/// The filter of [`log_json`].
pub fn targets(level: LevelFilter) -> Targets {
    let libraries = level.min(LevelFilter::WARN);
    Targets::new().with_default(libraries).with_target(TARGET, level)
}
