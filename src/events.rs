//! Events for other systems: each change of a transaction's state is sent to EventBridge
//! as an event of the platform. The table's stream is the outbox: a change and its event
//! are one write, and the stream keeps the order of the changes of each Payment.
//!
//! Every event is sent at least once, and always with the same id.

mod bus;
mod record;

pub use bus::EventBus;
pub use record::{Change, read_change};

use crate::digest::id_of;
use crate::error::BoxError;
use crate::observe;
use crate::payment::{Payment, PaymentKey, State, Timestamp, TransactionId, TransactionKind};
use crate::platform::format_time;
use crate::ports::Clock;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The part of an invocation's time that is kept for one more call and the response.
const RESERVE_MS: u64 = 8_000;

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

/// A batch of stream records: the event of the function.
#[derive(Deserialize)]
struct Batch<'a> {
    #[serde(rename = "Records", borrow)]
    records: Vec<&'a RawValue>,
}

/// The response of the function: the record from which on Lambda repeats the batch.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchResponse {
    batch_item_failures: Vec<ItemFailure>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ItemFailure {
    item_identifier: String,
}

/// An event that is to be sent.
struct Outgoing {
    sequence: String,
    payment: PaymentKey,
    event: Event,
    /// The event as JSON.
    detail: String,
}

/// Sends the events of a batch of stream records, in order. Returns the first record that
/// could not be read or sent: Lambda repeats the batch from there.
pub async fn deliver(
    batch: &str,
    bus: &EventBus,
    clock: &impl Clock,
    deadline: Timestamp,
) -> Result<BatchResponse, BoxError> {
    let batch: Batch<'_> = serde_json::from_str(batch)?;
    let mut waiting: Vec<Outgoing> = Vec::new();
    for record in batch.records {
        let sequence = record::sequence(record)?;
        let change = match read_change(record) {
            Ok(Some(change)) => change,
            Ok(None) => continue,
            Err(error) => {
                observe::log_unreadable_record(&sequence, &error);
                return Ok(send(bus, waiting)
                    .await
                    .unwrap_or_else(|| BatchResponse::failed_from(sequence)));
            }
        };
        for event in events_of_write(change.before.as_ref(), &change.after) {
            let payment = change.after.key.clone();
            // Some events of one call may fail while others are sent. To keep the order of
            // each Payment's events, no call has two of one Payment.
            let is_alone = waiting.iter().all(|other| other.payment != payment);
            let detail = serde_json::to_string(&event)?;
            let bytes = waiting.iter().map(|other| other.detail.len()).sum::<usize>();
            let fits = bytes.saturating_add(detail.len()) <= bus::CALL_BYTES_MAX;
            let is_full = waiting.len() >= bus::CALL_MAX || !fits;
            if !waiting.is_empty() && (is_full || !is_alone) {
                if let Some(failed) = send(bus, std::mem::take(&mut waiting)).await {
                    return Ok(failed);
                }
                // Checked after a call and not before, so that every invocation sends
                // something.
                if clock.now().plus_ms(RESERVE_MS) > deadline {
                    return Ok(BatchResponse::failed_from(sequence));
                }
            }
            waiting.push(Outgoing { sequence: sequence.clone(), payment, event, detail });
        }
    }
    Ok(send(bus, waiting).await.unwrap_or_default())
}

/// Sends events in one call. `None` if all of them arrived.
async fn send(bus: &EventBus, outgoing: Vec<Outgoing>) -> Option<BatchResponse> {
    if outgoing.is_empty() {
        return None;
    }
    let events = outgoing.iter().map(|outgoing| (outgoing.event.r#type, outgoing.detail.as_str()));
    let failed = bus.put(events.collect()).await;
    for (index, Outgoing { payment, event, .. }) in outgoing.iter().enumerate() {
        if failed.as_ref().is_none_or(|failed| failed.arrived.get(index) == Some(&true)) {
            observe::log_event(payment, event.r#type, &event.id);
        }
    }
    let failed = failed?;
    observe::log_failed_event(&failed.error);
    let first = outgoing.iter().zip(failed.arrived).find(|(_, arrived)| !arrived);
    first.map(|(first, _)| BatchResponse::failed_from(first.sequence.clone()))
}

impl BatchResponse {
    fn failed_from(sequence: String) -> Self {
        Self { batch_item_failures: vec![ItemFailure { item_identifier: sequence }] }
    }
}
