//! The metrics of an action.

#![warn(clippy::wildcard_enum_match_arm)]

use super::{ActError, Done};
use crate::observe::{Metric, measure_by_outcome};
use crate::payment::{Refusal, Timestamp};
use crate::ports::Verdict;

/// The durations of an action and of its two writes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Times {
    pub(super) reserve_ms: u64,
    /// `None` if nothing was settled.
    pub(super) settle_ms: Option<u64>,
    pub(super) total_ms: u64,
}

/// Writes the metrics of an action.
pub(super) fn measure(acted: &Result<Done, ActError>, times: Times, at: Timestamp) {
    let mut metrics = vec![
        Metric::milliseconds("ActionTime", times.total_ms),
        Metric::milliseconds("ReserveTime", times.reserve_ms),
        Metric::count("Conflicts", u64::from(is_conflict(acted))),
    ];
    let settle_time = |settle_ms| Metric::milliseconds("SettleTime", settle_ms);
    metrics.extend(times.settle_ms.map(settle_time));
    measure_by_outcome(&metrics, outcome(acted), &[Metric::count("Actions", 1)], at);
}

fn outcome(acted: &Result<Done, ActError>) -> &'static str {
    match acted {
        Ok(Done { replayed: true, .. }) => "repeated",
        Ok(Done { verdict: Verdict::Approved, .. }) => "approved",
        Ok(Done { verdict: Verdict::Received(_), .. }) => "received",
        Ok(Done { verdict: Verdict::Rejected(_), .. }) => "rejected",
        Err(ActError::Refused(_) | ActError::NotFound) => "refused",
        Err(ActError::OutcomeUnknown { .. }) => "unknown",
        Err(ActError::ConnectorFailed(_) | ActError::Unavailable(_) | ActError::Corrupt(_)) => {
            "failed"
        }
    }
}

/// True if the Payment's slot was taken.
fn is_conflict(acted: &Result<Done, ActError>) -> bool {
    matches!(
        acted,
        Err(ActError::Refused(
            Refusal::OtherInFlight | Refusal::SameInFlight { .. } | Refusal::LeaseExpired
        ))
    )
}
