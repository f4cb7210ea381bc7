//! The platform's representation of a Payment, which its SDKs can read.

use crate::money::Money;
use crate::payment::{Payment, Reported, State, Transaction};
use crate::platform::{format_time, state_name, type_name};
use serde::Serialize;
use serde_json::value::RawValue;

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
    /// An extension of the platform's format: a transaction is a discrepancy.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    discrepancy: bool,
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
    /// An extension of the platform's format: the author and time of the last report.
    #[serde(skip_serializing_if = "Option::is_none")]
    reported: Option<ReportedBody<'a>>,
    /// An extension of the platform's format: the operator who accepted an excess, and when.
    #[serde(skip_serializing_if = "Option::is_none")]
    acknowledged: Option<ReportedBody<'a>>,
    /// An extension of the platform's format: a report contradicts the ledger or an answer.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    discrepancy: bool,
}

#[derive(Serialize)]
struct ReportedBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'a str>,
    at: String,
    /// The reported state, if it differs from the state that is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
}

/// A page of a query's results.
#[derive(Serialize)]
pub(super) struct Page<'a> {
    limit: usize,
    offset: usize,
    count: usize,
    total: usize,
    results: Vec<Representation<'a>>,
}

impl<'a> Page<'a> {
    pub(super) fn of(found: Option<&'a Payment>) -> Self {
        let results: Vec<_> = found.into_iter().map(Representation::of).collect();
        // The platform's default limit.
        Self { limit: 20, offset: 0, count: results.len(), total: results.len(), results }
    }
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
            discrepancy: payment.discrepancies().next().is_some(),
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
        let state = transaction.state_to_show();
        let (interaction_id, interface_id) = ids_to_show(transaction, state);
        Self {
            id: transaction.id.as_str(),
            timestamp: format_time(transaction.happened_at.unwrap_or(transaction.timestamp)),
            r#type: type_name(transaction.kind),
            amount: Amount::of(transaction.amount, fraction_digits),
            state: state_name(state),
            interaction_id,
            interface_id,
            reported: ReportedBody::of_transaction(transaction, state),
            acknowledged: transaction.acknowledged.as_ref().map(ReportedBody::of),
            discrepancy: transaction.is_discrepant(),
        }
    }
}

impl<'a> ReportedBody<'a> {
    fn of(Reported { by, at }: &'a Reported) -> Self {
        Self { by: by.as_deref(), at: format_time(*at), state: None }
    }

    /// The last report, or a reported Failure that does not count yet.
    fn of_transaction(transaction: &'a Transaction, shown_state: State) -> Option<Self> {
        if let Some(failure) = &transaction.waiting_failure {
            return Some(Self { state: Some(state_name(State::Failure)), ..Self::of(failure) });
        }
        let last = transaction.last_reported_state();
        let is_other = state_name(last) != state_name(shown_state);
        let state = is_other.then(|| state_name(last));
        transaction.reported.as_ref().map(|reported| Self { state, ..Self::of(reported) })
    }
}

/// The interaction id and the interface id of a transaction. While it is Initial or
/// Unknown, missing ids are replaced by our own id. Without an id, the library inside the
/// public connectors would match the transaction by its amount alone, and fail if two
/// match. With both ids it reports an added transaction, which is matched here.
fn ids_to_show(transaction: &Transaction, state: State) -> (Option<&str>, Option<&str>) {
    let (interaction, interface) =
        (transaction.interaction_id.as_deref(), transaction.interface_id.as_deref());
    match state {
        State::Initial | State::Unknown => {
            let own = transaction.id.as_str();
            (Some(interaction.unwrap_or(own)), Some(interface.unwrap_or(own)))
        }
        State::Pending | State::Success | State::Failure => (interaction, interface),
    }
}

/// A stored JSON document as raw JSON.
fn document(text: Option<&str>) -> Option<&RawValue> {
    text.and_then(|text| serde_json::from_str(text).ok())
}
