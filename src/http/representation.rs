//! A Payment as the platform represents it, so that its SDKs read it.

use crate::money::Money;
use crate::payment::{Payment, State, Timestamp, Transaction, TransactionKind};
use serde::Serialize;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::well_known::{Rfc3339, iso8601};

/// The platform's names of what a transaction does.
pub(super) const TYPES: [(&str, TransactionKind); 5] = [
    ("Authorization", TransactionKind::Authorization),
    ("CancelAuthorization", TransactionKind::CancelAuthorization),
    ("Charge", TransactionKind::Charge),
    ("Refund", TransactionKind::Refund),
    ("Chargeback", TransactionKind::Chargeback),
];

/// The platform's names of how far a transaction is.
pub(super) const STATES: [(&str, State); 4] = [
    ("Initial", State::Initial),
    ("Pending", State::Pending),
    ("Success", State::Success),
    ("Failure", State::Failure),
];

/// What the platform calls by this name.
pub(crate) fn transaction_kind(name: &str) -> Option<TransactionKind> {
    TYPES.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
}

/// What the platform calls by this name.
pub(crate) fn transaction_state(name: &str) -> Option<State> {
    STATES.iter().find(|(known, _)| *known == name).map(|(_, state)| *state)
}

/// Reads a moment as RFC 3339 writes it, from 1970 on.
pub(crate) fn parse_time(text: &str) -> Option<Timestamp> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    let ms = time.unix_timestamp_nanos().checked_div(1_000_000)?;
    u64::try_from(ms).ok().map(Timestamp::from_ms)
}

/// Milliseconds and `Z`, as the platform writes it.
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

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Representation<'a> {
    id: &'a str,
    version: u64,
    created_at: String,
    last_modified_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interface_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    customer: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    anonymous_id: Option<&'a str>,
    amount_planned: Option<Amount>,
    payment_method_info: MethodInfo<'a>,
    payment_status: Status<'a>,
    transactions: Vec<TransactionBody<'a>>,
    interface_interactions: Vec<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    custom: Option<&'a RawValue>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Amount {
    r#type: &'static str,
    currency_code: String,
    cent_amount: u64,
    fraction_digits: u8,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MethodInfo<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_interface: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a RawValue>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    interface_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interface_text: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TransactionBody<'a> {
    id: &'a str,
    timestamp: String,
    r#type: &'static str,
    amount: Amount,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    interaction_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interface_id: Option<&'a str>,
}

impl<'a> Representation<'a> {
    pub(super) fn of(payment: &'a Payment) -> Self {
        let details = &payment.details;
        let digits = payment.fraction_digits;
        let mut transactions: Vec<_> = payment.transactions.values().collect();
        transactions.sort_by_key(|transaction| transaction.timestamp);
        Self {
            id: payment.key.id.as_str(),
            version: payment.version,
            created_at: format_time(payment.created_at),
            last_modified_at: format_time(payment.modified_at),
            key: details.key.as_deref(),
            interface_id: details.interface_id.as_deref(),
            customer: document(details.customer.as_deref()),
            anonymous_id: details.anonymous_id.as_deref(),
            amount_planned: details.amount_planned.map(|amount| Amount::of(amount, digits)),
            payment_method_info: MethodInfo {
                payment_interface: details.payment_interface.as_deref(),
                method: details.method.as_deref(),
                name: document(details.method_name.as_deref()),
            },
            payment_status: Status {
                interface_code: details.status_code.as_deref(),
                interface_text: details.status_text.as_deref(),
            },
            transactions: transactions
                .into_iter()
                .map(|transaction| TransactionBody::of(transaction, digits))
                .collect(),
            interface_interactions: details
                .interface_interactions
                .iter()
                .filter_map(|note| document(Some(note)))
                .collect(),
            custom: document(details.custom.as_deref()),
        }
    }
}

impl Amount {
    fn of(amount: Money, fraction_digits: u8) -> Self {
        Self {
            r#type: "centPrecision",
            currency_code: amount.currency().to_string(),
            cent_amount: amount.minor_units(),
            fraction_digits,
        }
    }
}

impl<'a> TransactionBody<'a> {
    fn of(transaction: &'a Transaction, fraction_digits: u8) -> Self {
        Self {
            id: transaction.id.as_str(),
            timestamp: format_time(transaction.timestamp),
            r#type: type_name(transaction.kind),
            amount: Amount::of(transaction.amount, fraction_digits),
            state: state_name(transaction.state),
            interaction_id: transaction.interaction_id.as_deref(),
            interface_id: transaction.interface_id.as_deref(),
        }
    }
}

fn type_name(kind: TransactionKind) -> &'static str {
    TYPES.iter().find(|(_, known)| *known == kind).map_or("", |(name, _)| name)
}

/// The platform has no word for Unknown.
fn state_name(state: State) -> &'static str {
    match state {
        State::Initial | State::Unknown => "Initial",
        State::Pending => "Pending",
        State::Success => "Success",
        State::Failure => "Failure",
    }
}

/// A document that was valid JSON when it was stored.
fn document(text: Option<&str>) -> Option<&RawValue> {
    text.and_then(|text| serde_json::from_str(text).ok())
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
