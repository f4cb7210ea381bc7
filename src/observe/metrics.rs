//! Metrics, as lines in CloudWatch's embedded format.

use super::lines::{self, METRICS};
use crate::payment::Timestamp;
use std::fmt::Write;

/// A metric, its unit and its value.
pub(super) type Metric<'a> = (&'a str, &'a str, u64);

/// Writes metrics of this stack.
pub(super) fn measure(metrics: &[Metric<'_>], at: Timestamp) {
    measure_by(metrics, None, at);
}

/// Writes metrics of this stack, and others of it by their outcome, as one line.
pub(super) fn measure_by(
    all: &[Metric<'_>],
    by_outcome: Option<(&str, &[Metric<'_>])>,
    at: Timestamp,
) {
    if let Some(metrics) = members(all, by_outcome, at) {
        tracing::info!(target: METRICS, metrics);
    }
}

/// The same for a line that says more: the members of its JSON object. `None` where
/// nobody reads them.
///
/// Each action writes two of these, so they go straight into text. Their names are
/// ours, and need no escaping.
pub(super) fn members(
    all: &[Metric<'_>],
    by_outcome: Option<(&str, &[Metric<'_>])>,
    at: Timestamp,
) -> Option<String> {
    let stack = lines::measured_stack()?;
    let mut text = String::with_capacity(640);
    let (outcome, others) = by_outcome.unzip();
    let others = others.unwrap_or_default();
    write!(text, r#""_aws":{{"Timestamp":{},"CloudWatchMetrics":["#, at.ms()).ok()?;
    declare(&mut text, stack.map(|_| "Stack").as_slice(), all);
    if outcome.is_some() {
        text.push(',');
        let dimensions = [stack.map(|_| "Stack"), Some("Outcome")];
        declare(&mut text, &dimensions.into_iter().flatten().collect::<Vec<_>>(), others);
    }
    text.push_str("]}");
    for (dimension, value) in [("Stack", stack), ("Outcome", outcome)] {
        if let Some(value) = value {
            write!(text, r#","{dimension}":{}"#, serde_json::to_string(value).ok()?).ok()?;
        }
    }
    let is_new = |(name, ..): &&Metric<'_>| all.iter().all(|(known, ..)| known != name);
    for (name, _, value) in all.iter().chain(others.iter().filter(is_new)) {
        write!(text, r#","{name}":{value}"#).ok()?;
    }
    Some(text)
}

/// Says which members of the line are metrics, and by what to tell them apart.
fn declare(text: &mut String, dimensions: &[&str], metrics: &[Metric<'_>]) {
    text.push_str(r#"{"Namespace":"PaymentIntents","Dimensions":[["#);
    list(text, dimensions.iter().map(|dimension| ["\"", dimension, "\""]));
    text.push_str(r#"]],"Metrics":["#);
    let metrics = metrics.iter();
    list(
        text,
        metrics.map(|(name, unit, _)| [r#"{"Name":""#, name, r#"","Unit":""#, unit, r#""}"#]),
    );
    text.push_str("]}");
}

fn list<'a, const N: usize>(text: &mut String, entries: impl Iterator<Item = [&'a str; N]>) {
    for (index, entry) in entries.enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.extend(entry);
    }
}
