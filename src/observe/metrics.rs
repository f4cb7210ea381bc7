//! Metrics as lines in CloudWatch's embedded metric format:
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use crate::payment::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::OnceLock;

const NAMESPACE: &str = "PaymentIntents";

/// The name of the stack, if it has one. Unset until the log is set up; no metrics are
/// written before.
static STACK: OnceLock<Option<String>> = OnceLock::new();

/// Starts writing metrics, with the dimension `stack`.
pub(super) fn enable(stack: Option<String>) {
    // The log is set up only once, so a name that is set already is the same.
    let _ = STACK.set(stack);
}

/// The value of one metric.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Metric {
    name: &'static str,
    unit: Unit,
    value: u64,
}

#[derive(Clone, Copy, Debug, Serialize)]
enum Unit {
    Count,
    Milliseconds,
}

impl Metric {
    /// A metric that is a count.
    pub(crate) const fn count(name: &'static str, value: u64) -> Self {
        Self { name, unit: Unit::Count, value }
    }

    /// A metric that is a duration.
    pub(crate) const fn milliseconds(name: &'static str, value: u64) -> Self {
        Self { name, unit: Unit::Milliseconds, value }
    }
}

/// Writes metrics of this stack.
pub(crate) fn measure(metrics: &[Metric], at: Timestamp) {
    write(metrics, None, at);
}

/// Writes metrics of this stack, and further metrics with the dimension `outcome`.
pub(crate) fn measure_by_outcome(
    metrics: &[Metric],
    outcome: &str,
    by_outcome: &[Metric],
    at: Timestamp,
) {
    write(metrics, Some((outcome, by_outcome)), at);
}

fn write(metrics: &[Metric], by_outcome: Option<(&str, &[Metric])>, at: Timestamp) {
    let Some(stack) = STACK.get() else { return };
    let document = Document::of(stack.as_deref(), metrics, by_outcome, at);
    // Text and integers under text keys can always be written as JSON.
    let Ok(mut line) = serde_json::to_vec(&document) else { return };
    line.push(b'\n');
    // There is no other place to report that standard output is closed.
    let _ = std::io::stdout().lock().write_all(&line);
}

/// A line of metrics: the values at its root, and their description in `_aws`.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "_aws")]
    metadata: Metadata,
    #[serde(rename = "Stack", skip_serializing_if = "Option::is_none")]
    stack: Option<&'a str>,
    #[serde(rename = "Outcome", skip_serializing_if = "Option::is_none")]
    outcome: Option<&'a str>,
    #[serde(flatten)]
    values: BTreeMap<&'static str, u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    timestamp: u64,
    cloud_watch_metrics: Vec<Directive>,
}

/// The metrics with the same dimensions.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Directive {
    namespace: &'static str,
    dimensions: [Vec<&'static str>; 1],
    metrics: Vec<Definition>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Definition {
    name: &'static str,
    unit: Unit,
}

impl<'a> Document<'a> {
    fn of(
        stack: Option<&'a str>,
        metrics: &[Metric],
        by_outcome: Option<(&'a str, &[Metric])>,
        at: Timestamp,
    ) -> Self {
        let dimension: Vec<_> = stack.map(|_| "Stack").into_iter().collect();
        let mut directives = vec![Directive::of(dimension.clone(), metrics)];
        let (outcome, others) = by_outcome.unzip();
        let others = others.unwrap_or_default();
        if outcome.is_some() {
            let dimensions = dimension.into_iter().chain(["Outcome"]).collect();
            directives.push(Directive::of(dimensions, others));
        }
        Self {
            metadata: Metadata { timestamp: at.ms(), cloud_watch_metrics: directives },
            stack,
            outcome,
            values: metrics.iter().chain(others).map(|one| (one.name, one.value)).collect(),
        }
    }
}

impl Directive {
    fn of(dimensions: Vec<&'static str>, metrics: &[Metric]) -> Self {
        let definition = |one: &Metric| Definition { name: one.name, unit: one.unit };
        Self {
            namespace: NAMESPACE,
            dimensions: [dimensions],
            metrics: metrics.iter().map(definition).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_line_declares_its_metrics_and_has_their_values_at_its_root() {
        let time = Metric::milliseconds("ConnectorTime", 7);
        let by_outcome = [Metric::count("ConnectorCalls", 1), time];
        let at = Timestamp::from_ms(1_000);
        let document = Document::of(Some("prod"), &[time], Some(("approved", &by_outcome)), at);
        let time = json!({"Name": "ConnectorTime", "Unit": "Milliseconds"});
        let calls = json!({"Name": "ConnectorCalls", "Unit": "Count"});
        assert_eq!(
            serde_json::to_value(document).unwrap(),
            json!({
                "_aws": {"Timestamp": 1_000, "CloudWatchMetrics": [
                    {"Namespace": NAMESPACE, "Dimensions": [["Stack"]], "Metrics": [time]},
                    {
                        "Namespace": NAMESPACE,
                        "Dimensions": [["Stack", "Outcome"]],
                        "Metrics": [calls, time],
                    },
                ]},
                "Stack": "prod",
                "Outcome": "approved",
                "ConnectorTime": 7,
                "ConnectorCalls": 1,
            })
        );
    }

    #[test]
    fn a_stack_without_a_name_has_no_dimension() {
        let cold_start = [Metric::count("ColdStarts", 1)];
        let document = Document::of(None, &cold_start, None, Timestamp::from_ms(1_000));
        let metric = json!({"Name": "ColdStarts", "Unit": "Count"});
        assert_eq!(
            serde_json::to_value(document).unwrap(),
            json!({
                "_aws": {"Timestamp": 1_000, "CloudWatchMetrics": [
                    {"Namespace": NAMESPACE, "Dimensions": [[]], "Metrics": [metric]},
                ]},
                "ColdStarts": 1,
            })
        );
    }
}
