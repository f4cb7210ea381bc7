//! Events for other systems: each change of a transaction's state is sent to EventBridge
//! as an event of the platform. The table's stream is the outbox: a change and its event
//! are one write, and the stream keeps the order of the changes of each Payment.
//!
//! Every event is sent at least once, and always with the same id. A record that can never
//! be read is put on the dead-letter queue.

mod bus;
mod dead_letters;
mod delivery;
mod record;

pub use bus::EventBus;
pub use dead_letters::DeadLetters;
pub use delivery::{BatchResponse, deliver};
pub use record::{Change, ReadError, read_change};

use crate::digest::id_of;
use crate::payment::{Payment, State, TransactionId, TransactionKind};
use crate::platform::format_time;
use serde::Serialize;
use serde_json::value::RawValue;

/// An event in the platform's format.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// The id of the event, the same each time that it is sent.
    pub id: String,
    notification_type: &'static str,
    resource_type: &'static str,
    /// The change, for example `CheckoutPaymentCharged`.
    pub r#type: &'static str,
    /// The time of the write.
    pub created_at: String,
    data: Data,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    project_key: String,
    payment: Reference,
    transaction_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cart: Option<Box<RawValue>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Reference {
    type_id: &'static str,
    id: String,
}

/// The events of one write, in order. A registration has none: its transactions happened
/// elsewhere.
fn events_of_write(before: Option<&Payment>, after: &Payment) -> Vec<Event> {
    let Some(before) = before else { return Vec::new() };
    let mut changed: Vec<_> = after
        .transactions
        .values()
        .filter(|now| {
            before.transactions.get(&now.id).map(|then| then.state_to_show())
                != Some(now.state_to_show())
        })
        .collect();
    changed.sort_by_key(|now| now.timestamp);
    changed
        .into_iter()
        .filter_map(|now| {
            Some(Event::of(after, &now.id, event_type(now.kind, now.state_to_show())?))
        })
        .collect()
}

/// The platform's type of the event for this state; `None` if it has none.
fn event_type(kind: TransactionKind, state: State) -> Option<&'static str> {
    match (kind, state) {
        (TransactionKind::Charge, State::Success) => Some("CheckoutPaymentCharged"),
        (TransactionKind::Charge, State::Failure) => Some("CheckoutPaymentChargeFailed"),
        (TransactionKind::Refund, State::Success) => Some("CheckoutPaymentRefunded"),
        (TransactionKind::Refund, State::Failure) => Some("CheckoutPaymentRefundFailed"),
        (TransactionKind::CancelAuthorization, State::Success) => {
            Some("CheckoutPaymentAuthorizationCancelled")
        }
        (TransactionKind::CancelAuthorization, State::Failure) => {
            Some("CheckoutPaymentCancelAuthorizationFailed")
        }
        (
            TransactionKind::Charge
            | TransactionKind::Refund
            | TransactionKind::CancelAuthorization,
            State::Initial | State::Pending | State::Unknown,
        )
        | (TransactionKind::Authorization | TransactionKind::Chargeback, _) => None,
    }
}

impl Event {
    fn of(payment: &Payment, transaction: &TransactionId, r#type: &'static str) -> Self {
        let (project, id) = (payment.key.project.as_str(), payment.key.id.as_str());
        let version = payment.version.to_string();
        let document =
            |text: &Option<String>| text.clone().and_then(|text| RawValue::from_string(text).ok());
        Self {
            id: id_of(&[project, id, transaction.as_str(), r#type, &version]).to_string(),
            notification_type: "Event",
            resource_type: "checkout",
            r#type,
            created_at: format_time(payment.modified_at),
            data: Data {
                project_key: project.to_owned(),
                payment: Reference { type_id: "payment", id: id.to_owned() },
                transaction_id: transaction.to_string(),
                order: document(&payment.details.order),
                cart: document(&payment.details.cart),
            },
        }
    }
}
