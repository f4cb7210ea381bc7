//! The probability that the alarm RollBackErrors rolls a new version back while the version
//! gets a part of the requests.

#![allow(clippy::disallowed_types, clippy::float_arithmetic, reason = "probabilities")]
#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, reason = "small numbers")]

use super::document::template;
use super::sources::read;

/// The alarm, with the numbers in the template.
struct Alarm {
    /// The lowest number of errors in a minute that counts.
    errors_min: f64,
    /// The threshold in percent of the version's requests.
    threshold: f64,
    /// The percentage of the requests that the version gets.
    canary_percent: f64,
    canary_minutes: i32,
}

impl Alarm {
    fn read() -> Self {
        let template = template();
        let alarm = &template["Resources"]["RollBackErrors"]["Properties"];
        let metrics = alarm["Metrics"].as_array().unwrap();
        let expression = metrics[0]["Expression"].as_str().unwrap();
        let errors_min = expression.strip_prefix("IF(crashed >= 1, 100, IF(FILL(errors, 0) >= ");
        let (errors_min, rest) = errors_min.unwrap().split_once(',').unwrap();
        assert_eq!(rest, " 100 * FILL(errors, 0) / invoked, 0))");
        for metric in &metrics[1..] {
            assert_eq!(
                (&metric["MetricStat"]["Period"], &metric["ReturnData"]),
                (&60.into(), &false.into())
            );
            assert_eq!(metric["MetricStat"]["Stat"], "Sum");
        }
        assert_eq!(alarm["ComparisonOperator"], "GreaterThanThreshold");
        assert_eq!(alarm["EvaluationPeriods"], 1);
        assert_eq!(alarm["Threshold"]["Ref"], "ServerErrorAlarmPercent");
        let default = |name: &str| template["Parameters"][name]["Default"].clone();
        let deployment = default("Deployment");
        let canary = deployment.as_str().unwrap().strip_prefix("Canary").unwrap();
        let (percent, minutes) = canary.split_once("Percent").unwrap();
        Self {
            errors_min: errors_min.parse().unwrap(),
            threshold: default("ServerErrorAlarmPercent").as_u64().unwrap() as f64,
            canary_percent: percent.parse().unwrap(),
            canary_minutes: minutes.strip_suffix("Minutes").unwrap().parse().unwrap(),
        }
    }

    /// True if the alarm's expression is above the threshold in one minute.
    fn is_raised(&self, errors: f64, invoked: f64) -> bool {
        let percent = if errors >= self.errors_min { 100.0 * errors / invoked } else { 0.0 };
        percent > self.threshold
    }

    /// The probability that the alarm is raised in one of the canary's minutes, if each
    /// request to the version fails with the probability `failure`.
    fn catch_probability(&self, requests_per_second: u32, failure: f64) -> f64 {
        let invoked = f64::from(requests_per_second) * 60.0 * self.canary_percent / 100.0;
        // The binomial distribution. Each term is computed from the one before.
        let (mut term, mut caught) = ((1.0 - failure).powf(invoked), 0.0);
        for errors in 0..=(invoked as u32) {
            let errors = f64::from(errors);
            if self.is_raised(errors, invoked) {
                caught += term;
            }
            term *= (invoked - errors) / (errors + 1.0) * failure / (1.0 - failure);
        }
        1.0 - (1.0 - caught).powi(self.canary_minutes)
    }
}

#[test]
fn a_version_that_fails_half_of_its_requests_is_rolled_back() {
    let alarm = Alarm::read();
    for requests_per_second in [1, 10, 100] {
        assert!(
            alarm.catch_probability(requests_per_second, 0.5) > 0.999,
            "{requests_per_second}/s"
        );
    }
    assert!(alarm.catch_probability(100, 0.001) < 0.001, "a healthy version");
}

#[test]
fn the_documented_probabilities_are_those_of_the_alarm() {
    let alarm = Alarm::read();
    let document = read("docs/operations.md");
    for requests_per_second in [1, 10, 100] {
        let cells = [0.02, 0.1, 0.25, 0.5].map(|failure| {
            format!("{:.0} %", 100.0 * alarm.catch_probability(requests_per_second, failure))
        });
        let row = format!("| {requests_per_second} | {} |", cells.join(" | "));
        assert!(document.contains(&row), "{row}");
    }
}

#[test]
fn a_deployment_all_at_once_has_no_alarm() {
    let template = template();
    let preference = &template["Resources"]["PaymentIntents"]["Properties"]["DeploymentPreference"];
    let alarms = &preference["Alarms"]["Fn::If"];
    assert_eq!(alarms[0], "IsGradual");
    assert_eq!(alarms[1], serde_json::json!([{"Ref": "RollBackErrors"}]));
    assert_eq!(alarms[2], serde_json::json!([{"Ref": "AWS::NoValue"}]));
    let is_gradual =
        serde_json::json!({"Fn::Not": [{"Fn::Equals": [{"Ref": "Deployment"}, "AllAtOnce"]}]});
    assert_eq!(template["Conditions"]["IsGradual"], is_gradual);
}
