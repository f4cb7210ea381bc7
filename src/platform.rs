//! The platform's names of transaction types and states, and its format of times.

use crate::payment::{State, Timestamp, TransactionKind};
use time::OffsetDateTime;
use time::format_description::well_known::{Rfc3339, iso8601};

/// The transaction types by their names on the platform.
pub(crate) const TYPES: [(&str, TransactionKind); 5] = [
    ("Authorization", TransactionKind::Authorization),
    ("CancelAuthorization", TransactionKind::CancelAuthorization),
    ("Charge", TransactionKind::Charge),
    ("Refund", TransactionKind::Refund),
    ("Chargeback", TransactionKind::Chargeback),
];

/// The states by their names on the platform.
pub(crate) const STATES: [(&str, State); 4] = [
    ("Initial", State::Initial),
    ("Pending", State::Pending),
    ("Success", State::Success),
    ("Failure", State::Failure),
];

/// The type of transaction that has this name.
pub(crate) fn transaction_kind(name: &str) -> Option<TransactionKind> {
    TYPES.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
}

/// The state that has this name.
pub(crate) fn transaction_state(name: &str) -> Option<State> {
    STATES.iter().find(|(known, _)| *known == name).map(|(_, state)| *state)
}

/// Reads a time in the format of RFC 3339, from 1970 on.
pub(crate) fn parse_time(text: &str) -> Option<Timestamp> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    let ms = time.unix_timestamp_nanos().checked_div(1_000_000)?;
    u64::try_from(ms).ok().map(Timestamp::from_ms)
}

/// Writes a time as the platform does: with milliseconds and `Z`.
pub(crate) fn format_time(timestamp: Timestamp) -> String {
    const MILLISECONDS: iso8601::EncodedConfig = iso8601::Config::DEFAULT
        .set_time_precision(iso8601::TimePrecision::Second {
            decimal_digits: std::num::NonZeroU8::new(3),
        })
        .set_year_is_six_digits(false)
        .encode();
    let nanos = i128::from(timestamp.ms()).saturating_mul(1_000_000);
    OffsetDateTime::from_unix_timestamp_nanos(nanos)
        .ok()
        .and_then(|time| time.format(&iso8601::Iso8601::<MILLISECONDS>).ok())
        .unwrap_or_default()
}

/// The platform's name of this type of transaction.
pub(crate) fn type_name(kind: TransactionKind) -> &'static str {
    TYPES.iter().find(|(_, known)| *known == kind).map_or("", |(name, _)| name)
}

/// The platform's name of this state. The platform has none for Unknown, which is Initial.
pub(crate) fn state_name(state: State) -> &'static str {
    match state {
        State::Initial | State::Unknown => "Initial",
        State::Pending => "Pending",
        State::Success => "Success",
        State::Failure => "Failure",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_written_in_milliseconds() {
        for (text, expected) in [
            ("2026-11-22T12:00:00.123Z", Some("2026-11-22T12:00:00.123Z")),
            ("2026-11-22T12:00:00Z", Some("2026-11-22T12:00:00.000Z")),
            ("2026-11-22T14:00:00.1234567+02:00", Some("2026-11-22T12:00:00.123Z")),
            ("1969-12-31T23:59:59Z", None),
            ("2026-11-22", None),
            ("now", None),
        ] {
            let written = parse_time(text).map(format_time);
            assert_eq!(written.as_deref(), expected, "{text}");
        }
    }
}
