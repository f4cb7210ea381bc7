//! The log on a terminal: one line for each request that may change something, and one
//! for each warning and error.

use crate::clock::SystemClock;
use crate::http::{CALLER_REFUSED, REQUEST_FAILED};
use crate::money::Currency;
use crate::observe::{CALL_ENDED, STATE_CHANGED, WEBHOOK_HANDLED};
use crate::platform::format_time;
use crate::ports::Clock;
use http::{Method, Response, request};
use serde_json::Value;
use std::fmt::{self, Write as _};
use std::io::Write as _;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// The message of the line that is written for each request.
const ANSWERED: &str = "a request was answered";

/// The messages whose fields the line of the request repeats.
const STEPS: [&str; 3] = [CALL_ENDED, STATE_CHANGED, WEBHOOK_HANDLED];

/// The messages that repeat the line of the request, unless they have a cause.
const REFUSALS: [&str; 2] = [REQUEST_FAILED, CALLER_REFUSED];

/// A request that may change something.
#[derive(Debug)]
pub(super) struct Asked {
    /// A GET changes nothing.
    is_read: bool,
    method: Method,
    path: String,
    action: Value,
}

impl Asked {
    pub(super) fn of(parts: &request::Parts, body: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        Self {
            is_read: parts.method == Method::GET,
            method: parts.method.clone(),
            path: parts.uri.path().to_owned(),
            action: body.pointer("/actions/0").cloned().unwrap_or_default(),
        }
    }

    /// Logs the answer.
    pub(super) fn answered(&self, response: &Response<String>, duration_ms: u64) {
        if self.is_read {
            return;
        }
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let body: Value = serde_json::from_str(response.body()).unwrap_or_default();
        tracing::info!(
            status = response.status().as_u16(),
            method = self.method.as_str(),
            path = self.path,
            action = text(&self.action, "/action"),
            amount = number(&self.action, "/amount/centAmount"),
            currency = text(&self.action, "/amount/currencyCode"),
            outcome = text(&body, "/outcome"),
            error = text(&body, "/message"),
            is_replayed = header("idempotent-replayed").is_some(),
            transaction = header("x-transaction-id"),
            correlation_id = header("x-correlation-id"),
            duration_ms,
            "{ANSWERED}"
        );
    }
}

fn text<'a>(body: &'a Value, pointer: &str) -> Option<&'a str> {
    body.pointer(pointer).and_then(Value::as_str)
}

fn number(body: &Value, pointer: &str) -> Option<u64> {
    body.pointer(pointer).and_then(Value::as_u64)
}

/// A line of the log.
#[derive(Clone, Debug)]
pub struct Line {
    /// The time in RFC 3339.
    pub at: String,
    /// The severity.
    pub level: Level,
    /// The message.
    pub message: String,
    /// The fields by name, in order.
    pub fields: Vec<(&'static str, String)>,
}

impl Line {
    fn of(event: &Event<'_>) -> Self {
        let mut line = Self {
            at: format_time(SystemClock.now()),
            level: *event.metadata().level(),
            message: String::new(),
            fields: Vec::new(),
        };
        event.record(&mut line);
        line
    }

    /// The value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// The line for a terminal; `None` if the line of the request has the same fields.
    fn on_terminal(&self, is_coloured: bool) -> Option<String> {
        let paint = |code: &str, text: &str| match is_coloured {
            true => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            false => text.to_owned(),
        };
        let time = paint("2", self.at.get(11..19).unwrap_or_default());
        if self.message == ANSWERED {
            return Some(self.request(&time, paint));
        }
        if STEPS.contains(&self.message.as_str()) && self.level >= Level::INFO
            || REFUSALS.contains(&self.message.as_str()) && self.field("error").is_none()
        {
            return None;
        }
        let level = match self.level {
            Level::ERROR => paint("31", "error"),
            Level::WARN => paint("33", "warning"),
            level => paint("2", &level.as_str().to_lowercase()),
        };
        let mut text = format!("{time}  {level}  {}", self.message);
        for (name, value) in &self.fields {
            let _ = write!(text, "  {} {value}", paint("2", name));
        }
        Some(text)
    }

    fn request(&self, time: &str, paint: impl Fn(&str, &str) -> String) -> String {
        let status = self.field("status").unwrap_or_default();
        let colour = match status.as_bytes().first() {
            Some(b'2') => "32",
            Some(b'4') => "33",
            _ => "31",
        };
        let path = self.field("path").unwrap_or_default();
        let (what, on) = match self.field("action") {
            Some(action) => (action.to_owned(), path.rsplit('/').next().unwrap_or_default()),
            None => (self.field("method").unwrap_or_default().to_owned(), path),
        };
        let amount = self.amount().unwrap_or_default();
        let mut text = format!("{time}  {}  {what:<15} {amount:>14}  {on}", paint(colour, status));
        let replayed = self.field("is_replayed").filter(|is| *is == "true").map(|_| "replayed");
        for more in [self.field("outcome"), replayed, self.field("error")].into_iter().flatten() {
            let _ = write!(text, "  {more}");
        }
        let ms = format!("{} ms", self.field("duration_ms").unwrap_or_default());
        let _ = write!(text, "  {}", paint("2", &ms));
        text
    }

    /// The amount with its decimal point.
    fn amount(&self) -> Option<String> {
        let (minor, code) = (self.field("amount")?, self.field("currency")?);
        let digits = Currency::parse(code).and_then(Currency::fraction_digits).unwrap_or(0);
        let digits = usize::from(digits);
        let minor = format!("{minor:0>width$}", width = digits.saturating_add(1));
        let (whole, fraction) = minor.split_at_checked(minor.len().checked_sub(digits)?)?;
        let point = if digits == 0 { "" } else { "." };
        Some(format!("{whole}{point}{fraction} {code}"))
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            name => self.fields.push((name, format!("{value:?}"))),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => value.clone_into(&mut self.message),
            name => self.fields.push((name, value.to_owned())),
        }
    }
}

/// Gives each line of the log to a function.
#[derive(Debug)]
pub struct Lines<F>(pub F);

impl<S: Subscriber, F: Fn(Line) + 'static> Layer<S> for Lines<F> {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        (self.0)(Line::of(event));
    }
}

/// Writes lines for a person to standard error.
pub fn on_terminal<S: Subscriber>(is_coloured: bool) -> impl Layer<S> {
    Lines(move |line: Line| {
        if let Some(text) = line.on_terminal(is_coloured) {
            // An error means that the terminal is gone.
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(message: &str, fields: &[(&'static str, &str)]) -> Line {
        Line {
            at: "2026-11-27T10:41:07.000Z".to_owned(),
            level: Level::INFO,
            message: message.to_owned(),
            fields: fields.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
        }
    }

    #[test]
    fn an_action_is_one_line_for_people() {
        let fields = [
            ("status", "200"),
            ("path", "/demo/payment-intents/p1"),
            ("action", "capturePayment"),
            ("currency", "EUR"),
            ("is_replayed", "true"),
            ("duration_ms", "12"),
        ];
        for (cents, shown) in [("4000", "40.00"), ("5", "0.05")] {
            let line = line(ANSWERED, &[&fields[..], &[("amount", cents)]].concat());
            let expected = format!(
                "10:41:07  200  capturePayment  {:>14}  p1  replayed  12 ms",
                format!("{shown} EUR")
            );
            assert_eq!(line.on_terminal(false), Some(expected));
        }
        for repeated in STEPS.into_iter().chain(REFUSALS) {
            assert_eq!(line(repeated, &[]).on_terminal(false), None, "{repeated}");
        }
        assert_eq!(
            line("odd", &[("a", "1")]).on_terminal(true).unwrap(),
            "\u{1b}[2m10:41:07\u{1b}[0m  \u{1b}[2minfo\u{1b}[0m  odd  \u{1b}[2ma\u{1b}[0m 1"
        );
    }
}
