//! Events for other systems: each change of a transaction's state as an event of the
//! platform, on EventBridge. The table's stream is the outbox: a
//! change and its event are one write, and the stream keeps the order of each
//! Payment's changes.
//!
//! Every event is sent at least once, and always with the same id.

mod bus;
mod record;

pub use bus::EventBus;
pub use record::{Change, change};

use crate::digest::id_of;
use crate::error::BoxError;
use crate::observe;
use crate::payment::{Payment, PaymentKey, State, Timestamp, TransactionId, TransactionKind};
use crate::platform::format_time;
use crate::ports::Clock;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The part of an invocation's time that is kept for one more call and the answer.
const RESERVE_MS: u64 = 8_000;

/// An event as the platform shapes it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// The same each time that this change is told.
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

/// The events of one write, in order. The first write of a Payment tells of what
/// happened elsewhere, and is none.
fn of_write(before: Option<&Payment>, after: &Payment) -> Vec<Event> {
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

/// The platform's name for it; `None` where it has none.
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

/// A batch of stream records, as Lambda hands it over.
#[derive(Deserialize)]
struct Batch<'a> {
    #[serde(rename = "Records", borrow)]
    records: Vec<&'a RawValue>,
}

/// From where on the batch is to be handed over again.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Delivered {
    batch_item_failures: Vec<Failure>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Failure {
    item_identifier: String,
}

/// An event on its way.
struct Outgoing {
    sequence: String,
    payment: PaymentKey,
    event: Event,
    /// The event as it is sent.
    detail: String,
}

/// Sends the events of a batch of stream records, in order. Answers the first
/// record that could not be read or sent: it and all behind it come again.
pub async fn deliver(
    batch: &str,
    bus: &EventBus,
    clock: &impl Clock,
    deadline: Timestamp,
) -> Result<Delivered, BoxError> {
    let batch: Batch<'_> = serde_json::from_str(batch)?;
    let mut waiting: Vec<Outgoing> = Vec::new();
    for record in batch.records {
        let sequence = record::sequence(record)?;
        let change = match change(record) {
            Ok(Some(change)) => change,
            Ok(None) => continue,
            Err(error) => {
                observe::unreadable_record(&sequence, &error);
                return Ok(send(bus, waiting).await.unwrap_or_else(|| Delivered::until(sequence)));
            }
        };
        for event in of_write(change.before.as_ref(), &change.after) {
            let payment = change.after.key.clone();
            // Of the events of one call, some may fail and others not. To keep the
            // order of a Payment's, no call has two of them.
            let is_alone = waiting.iter().all(|other| other.payment != payment);
            let detail = serde_json::to_string(&event)?;
            let bytes = waiting.iter().map(|other| other.detail.len()).sum::<usize>();
            let fits = bytes.saturating_add(detail.len()) <= bus::CALL_BYTES_MAX;
            let is_full = waiting.len() >= bus::CALL_MAX || !fits;
            if !waiting.is_empty() && (is_full || !is_alone) {
                if let Some(failed) = send(bus, std::mem::take(&mut waiting)).await {
                    return Ok(failed);
                }
                // Asked after a call, and not before: each invocation gets somewhere.
                if clock.now().plus_ms(RESERVE_MS) > deadline {
                    return Ok(Delivered::until(sequence));
                }
            }
            waiting.push(Outgoing { sequence: sequence.clone(), payment, event, detail });
        }
    }
    Ok(send(bus, waiting).await.unwrap_or_default())
}

/// Sends them in one call. `None` says that all of them arrived.
async fn send(bus: &EventBus, outgoing: Vec<Outgoing>) -> Option<Delivered> {
    if outgoing.is_empty() {
        return None;
    }
    let events = outgoing.iter().map(|outgoing| (outgoing.event.r#type, outgoing.detail.as_str()));
    let failed = bus.put(events.collect()).await;
    for (index, Outgoing { payment, event, .. }) in outgoing.iter().enumerate() {
        if failed.as_ref().is_none_or(|failed| failed.arrived.get(index) == Some(&true)) {
            observe::published(payment, event.r#type, &event.id);
        }
    }
    let failed = failed?;
    observe::not_published(&failed.error);
    let first = outgoing.iter().zip(failed.arrived).find(|(_, arrived)| !arrived);
    first.map(|(first, _)| Delivered::until(first.sequence.clone()))
}

impl Delivered {
    fn until(sequence: String) -> Self {
        Self { batch_item_failures: vec![Failure { item_identifier: sequence }] }
    }
}
