//! The delivery of a batch of stream records.
//!
//! An event that cannot be sent holds the later events of its Payment, to keep their order.
//! The events of other Payments are sent. Lambda repeats the batch from the first record
//! that failed, so that events behind it may be sent again.

use super::bus::{self, EventBus};
use super::dead_letters::{DeadLetter, DeadLetters};
use super::record::{self, ReadError, read_change};
use super::{Event, events_of_write};
use crate::error::BoxError;
use crate::observe;
use crate::payment::{PaymentKey, Timestamp};
use crate::ports::Clock;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeSet;

/// The part of an invocation's time that is kept for one more call and the response.
const RESERVE_MS: u64 = 8_000;

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

/// Sends the events of a batch of stream records, and puts records that can never be read
/// on the dead-letter queue. Returns the first record that has to be delivered again.
pub async fn deliver(
    batch: &str,
    bus: &EventBus,
    dead_letters: &DeadLetters,
    clock: &impl Clock,
    deadline: Timestamp,
) -> Result<BatchResponse, BoxError> {
    let batch: Batch<'_> = serde_json::from_str(batch)?;
    let mut delivery = Delivery {
        bus,
        dead_letters,
        clock,
        deadline,
        waiting: Vec::new(),
        held: BTreeSet::new(),
        failed: None,
        has_called: false,
    };
    for (index, record) in batch.records.into_iter().enumerate() {
        let position = Position { index, sequence: record::sequence(record)? };
        if delivery.deliver_record(record, &position).await? == Next::Stop {
            delivery.send().await;
            delivery.fail(&position);
            return Ok(delivery.response());
        }
    }
    delivery.send().await;
    Ok(delivery.response())
}

/// The place of a record in the batch and in the stream.
#[derive(Clone)]
struct Position {
    index: usize,
    sequence: String,
}

/// An event that is to be sent.
struct Outgoing {
    position: Position,
    payment: PaymentKey,
    event: Event,
    /// The event as JSON.
    detail: String,
}

/// The decision after a step of a delivery.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Continue,
    /// The time is short, or EventBridge does not answer.
    Stop,
}

/// The progress of one delivery.
struct Delivery<'a, K> {
    bus: &'a EventBus,
    dead_letters: &'a DeadLetters,
    clock: &'a K,
    deadline: Timestamp,
    /// The events of the next call.
    waiting: Vec<Outgoing>,
    /// The Payments with a record that failed. Their later events are not sent.
    held: BTreeSet<PaymentKey>,
    /// The first record that failed.
    failed: Option<Position>,
    /// True if this invocation has made a call.
    has_called: bool,
}

impl<K: Clock> Delivery<'_, K> {
    async fn deliver_record(
        &mut self,
        record: &RawValue,
        position: &Position,
    ) -> Result<Next, BoxError> {
        if self.is_out_of_time() {
            return Ok(Next::Stop);
        }
        let change = match read_change(record) {
            Ok(Some(change)) => change,
            Ok(None) => return Ok(Next::Continue),
            Err(error) => return Ok(self.skip_unreadable(record, position, error).await),
        };
        for event in events_of_write(change.before.as_ref(), &change.after) {
            let payment = &change.after.key;
            let detail = serde_json::to_string(&event)?;
            if !self.has_room(payment, &detail)
                && (self.send().await == Next::Stop || self.is_out_of_time())
            {
                return Ok(Next::Stop);
            }
            if self.held.contains(payment) {
                break;
            }
            let (position, payment) = (position.clone(), payment.clone());
            self.waiting.push(Outgoing { position, payment, event, detail });
        }
        Ok(Next::Continue)
    }

    /// True if the next call has room for this event. Some events of one call may fail while
    /// others are sent. To keep the order of each Payment's events, no call has two of one
    /// Payment.
    fn has_room(&self, payment: &PaymentKey, detail: &str) -> bool {
        let bytes = self.waiting.iter().map(|other| other.detail.len()).sum::<usize>();
        let fits = bytes.saturating_add(detail.len()) <= bus::CALL_BYTES_MAX;
        let is_alone = self.waiting.iter().all(|other| other.payment != *payment);
        self.waiting.is_empty() || (self.waiting.len() < bus::CALL_MAX && fits && is_alone)
    }

    /// True if there is no time for one more call. Every invocation makes a call, so that
    /// it makes progress.
    fn is_out_of_time(&self) -> bool {
        self.has_called && self.clock.now().plus_ms(RESERVE_MS) > self.deadline
    }

    /// Sends the waiting events in one call. [`Next::Stop`] if the whole call failed.
    async fn send(&mut self) -> Next {
        let outgoing = std::mem::take(&mut self.waiting);
        if outgoing.is_empty() {
            return Next::Continue;
        }
        self.has_called = true;
        let events = outgoing.iter().map(|event| (event.event.r#type, event.detail.as_str()));
        let errors = match self.bus.put(events.collect()).await {
            Ok(errors) => errors,
            Err(error) => {
                observe::log_failed_event(None, &error);
                outgoing.iter().for_each(|event| self.hold(&event.position, Some(&event.payment)));
                return Next::Stop;
            }
        };
        for (Outgoing { position, payment, event, .. }, error) in outgoing.iter().zip(errors) {
            match error {
                None => observe::log_event(payment, event.r#type, &event.id),
                Some(error) => {
                    observe::log_failed_event(Some(payment), &error);
                    self.hold(position, Some(payment));
                }
            }
        }
        Next::Continue
    }

    /// Puts a record that can never be read on the dead-letter queue. Other unreadable
    /// records have to be delivered again.
    async fn skip_unreadable(
        &mut self,
        record: &RawValue,
        position: &Position,
        error: ReadError,
    ) -> Next {
        let payment = record::payment(record);
        observe::log_unreadable_record(payment.as_ref(), &position.sequence, &error);
        if error.is_temporary() {
            self.hold(position, payment.as_ref());
            return Next::Continue;
        }
        // If an earlier event fails, the batch is repeated with this record, which would be
        // put on the queue twice.
        if self.send().await == Next::Stop {
            return Next::Stop;
        }
        if self.failed.is_none() {
            self.has_called = true;
            let letter = DeadLetter::new(record, &position.sequence, payment.as_ref(), &error);
            if let Err(error) = self.dead_letters.put(&letter).await {
                observe::log_failed_dead_letter(&position.sequence, &error);
                self.hold(position, payment.as_ref());
            }
        }
        Next::Continue
    }

    /// Notes a record that failed, and its Payment.
    fn hold(&mut self, position: &Position, payment: Option<&PaymentKey>) {
        self.held.extend(payment.cloned());
        self.fail(position);
    }

    fn fail(&mut self, position: &Position) {
        if self.failed.as_ref().is_none_or(|failed| position.index < failed.index) {
            self.failed = Some(position.clone());
        }
    }

    fn response(self) -> BatchResponse {
        let failure = |failed: Position| ItemFailure { item_identifier: failed.sequence };
        BatchResponse { batch_item_failures: self.failed.map(failure).into_iter().collect() }
    }
}
