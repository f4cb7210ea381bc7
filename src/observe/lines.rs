//! Where the lines go.

use crate::clock::SystemClock;
use crate::platform::format_time;
use crate::ports::{BoxError, Clock};
use serde::Serialize;
use std::fmt::Debug;
use std::io::Write;
use std::sync::OnceLock;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// Events with this target are metrics and nothing else.
pub(super) const METRICS: &str = "payment_intents::metrics";

/// What our targets begin with.
const OURS: &str = "payment_intents";

/// The field of an event of ours that has the metrics which go with it: members of a JSON
/// object, as they are to be written.
const METRICS_FIELD: &str = "metrics";

/// Of which stack the metrics are, once they are written at all.
static STACK: OnceLock<Option<String>> = OnceLock::new();

/// Of which stack the metrics are, if it has a name; `None` where nobody reads them.
pub(super) fn measured_stack() -> Option<Option<&'static str>> {
    STACK.get().map(Option::as_deref)
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
    // Set before, it is the same.
    let _ = STACK.set(stack);
    // One filter for all, which decides once for each place in the code. A layer
    // with a filter of its own is asked again for each span of the SDK, and those
    // are many.
    let targets = targets(level).with_target(METRICS, LevelFilter::INFO);
    tracing_subscriber::registry().with(targets).with(JsonLines).try_init()?;
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
        .with_target(OURS, level)
        .with_target(METRICS, LevelFilter::OFF)
}

/// Writes events as JSON lines, each with one write. An action writes several, so
/// each goes straight into its text: the general layers take twice as long.
struct JsonLines;

impl<S: Subscriber> Layer<S> for JsonLines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let is_ours = metadata.target().starts_with(OURS);
        let mut line = Line { text: Vec::with_capacity(768), is_ours };
        line.text.push(b'{');
        if metadata.target() != METRICS {
            line.put("timestamp", &format_time(SystemClock.now()));
            line.put("level", metadata.level().as_str());
            line.put("target", metadata.target());
        }
        event.record(&mut line);
        line.text.extend(b"}\n");
        // Nobody could be told that standard output is closed.
        let _ = std::io::stdout().lock().write_all(&line.text);
    }
}

/// A JSON object, as it grows.
struct Line {
    text: Vec<u8>,
    /// What a library calls metrics is a field like any other.
    is_ours: bool,
}

impl Line {
    fn put(&mut self, name: &str, value: &(impl Serialize + ?Sized)) {
        self.separate();
        // What is written to memory, and is text or a number, cannot fail.
        let _ = serde_json::to_writer(&mut self.text, name.strip_prefix("r#").unwrap_or(name));
        self.text.push(b':');
        let _ = serde_json::to_writer(&mut self.text, value);
    }

    fn separate(&mut self) {
        if self.text.last() != Some(&b'{') {
            self.text.push(b',');
        }
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        if self.is_ours && field.name() == METRICS_FIELD {
            // CloudWatch reads them off the root of the line.
            self.separate();
            self.text.extend(value.as_bytes());
        } else {
            self.put(field.name(), value);
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), &value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field.name(), &format!("{value:?}"));
    }
}
