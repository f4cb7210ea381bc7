//! Where the lines go.

use crate::ports::BoxError;
use std::fmt::Debug;
use std::io::Write;
use std::sync::OnceLock;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{Targets, filter_fn};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// Events with this target are metrics, and their field `line` is the line.
pub(super) const METRICS: &str = "payment_intents::metrics";

/// Of which stack the metrics are.
static STACK: OnceLock<String> = OnceLock::new();

pub(super) fn stack() -> Option<&'static str> {
    STACK.get().map(String::as_str)
}

/// What is logged, and in whose name.
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
/// its metrics at any level, and of the libraries below only warnings, since
/// they do not know what is secret here.
pub fn log_json(logging: Logging) -> Result<(), BoxError> {
    let Logging { level, stack } = logging;
    if let Some(stack) = stack {
        // Set before, it is the same.
        let _ = STACK.set(stack);
    }
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_filter(filter_fn(|metadata| metadata.target() != METRICS));
    let targets = targets(level).with_target(METRICS, LevelFilter::INFO);
    tracing_subscriber::registry().with(targets).with(lines).with(MetricLines).try_init()?;
    // What a panic says may hold anything; where it was does not.
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string);
        tracing::error!(location, "a panic");
    }));
    Ok(())
}

/// Which lines are written, metrics apart; see [`log_json`].
pub fn targets(level: LevelFilter) -> Targets {
    let libraries = level.min(LevelFilter::WARN);
    Targets::new()
        .with_default(libraries)
        .with_target("payment_intents", level)
        .with_target(METRICS, LevelFilter::OFF)
}

/// Writes metrics as they are: CloudWatch reads them off the root of a line.
struct MetricLines;

impl<S: Subscriber> Layer<S> for MetricLines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == METRICS {
            event.record(&mut Line);
        }
    }
}

struct Line;

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "line" {
            // Nobody could be told that standard output is closed.
            let _ = writeln!(std::io::stdout().lock(), "{value:?}");
        }
    }
}
