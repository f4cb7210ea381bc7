//! Payments in DynamoDB: one item each, every write conditional.
//!
//! `reserve` is one `UpdateItem` that decides unseen; what it says no to comes
//! back with the answer. Every other write is made over an item that was seen,
//! on condition that it is still that version.

mod changes;
mod item;
mod names;
mod reserve;
mod table;

pub use crate::aws::Connection;
pub use table::create_table;

use crate::payment::{Payment, PaymentKey, ProjectKey, Reservation, Timestamp};
use crate::ports::{
    BoxError, ClaimError, CreateError, Name, ReplaceError, ReserveError, Store, StoreError,
};
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::operation::update_item::{UpdateItemError, UpdateItemOutput};
use aws_sdk_dynamodb::types::{
    AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure as OnConditionFailure,
};
use std::collections::HashMap;
use std::time::Duration;

/// How long one attempt at a write may take, before it is repeated.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a write may take with all its attempts.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(3);
const ATTEMPTS_MAX: u32 = 3;
/// How long to wait before a write is repeated; longer each time.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// DynamoDB is too busy, and has written nothing.
const THROTTLED: [&str; 3] =
    ["ProvisionedThroughputExceededException", "RequestLimitExceeded", "ThrottlingException"];

/// The attributes of one item.
pub(crate) type Item = HashMap<String, AttributeValue>;

impl Connection {
    /// A client with the time-outs and retries that the service counts on. It
    /// connects when it is first used.
    pub fn client(self) -> aws_sdk_dynamodb::Client {
        aws_sdk_dynamodb::Client::new(&self.sdk_config(ATTEMPT_TIMEOUT, OPERATION_TIMEOUT))
    }
}

/// Whether these are the keys of a Payment's item: others share the table.
pub(crate) fn is_payment(keys: &Item) -> bool {
    keys.get("sk") == Some(&item::text(item::SORT_KEY))
}

/// Reads a Payment off an item that somebody else got from the table.
pub(crate) fn stored_payment(item: &Item) -> Result<Payment, StoreError> {
    item::to_payment(item, &item::payment_key(item)?)
}

/// A table of Payments.
#[derive(Clone, Debug)]
pub struct DynamoStore {
    client: aws_sdk_dynamodb::Client,
    table: String,
}

impl DynamoStore {
    /// The Payments in `table`, which exists.
    pub fn new(client: aws_sdk_dynamodb::Client, table: String) -> Self {
        Self { client, table }
    }

    fn update(&self, key: &PaymentKey) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(item::primary_key(key)))
            .return_values_on_condition_check_failure(OnConditionFailure::AllOld)
    }
}

impl Store for DynamoStore {
    async fn create(&self, payment: &Payment) -> Result<(), CreateError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item::from_payment(payment)))
            .condition_expression("attribute_not_exists(pk)")
            .return_values_on_condition_check_failure(OnConditionFailure::AllOld);
        let Err(error) = put.send().await else { return Ok(()) };
        match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(failed)) => match failed.item() {
                // The SDK repeated a write whose answer was lost. This is that write.
                Some(found) if item::to_payment(found, &payment.key)? == *payment => Ok(()),
                Some(_) | None => Err(CreateError::Exists),
            },
            _ => Err(unavailable(error).into()),
        }
    }

    async fn get(&self, key: &PaymentKey) -> Result<Option<Payment>, StoreError> {
        let get = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(item::primary_key(key)))
            .consistent_read(true);
        let found = get.send().await.map_err(unavailable)?.item;
        found.map(|found| item::to_payment(&found, key)).transpose()
    }

    async fn find(&self, project: &ProjectKey, name: &Name) -> Result<Option<Payment>, StoreError> {
        self.find_payment(project, name).await
    }

    async fn claim(
        &self,
        payment: &PaymentKey,
        name: &Name,
        at: Timestamp,
    ) -> Result<(), ClaimError> {
        self.claim_name(payment, name, at).await
    }

    /// Any number of requests may want this money; the condition lets one of
    /// them go on to the connector. The others have called nobody.
    async fn reserve(&self, reservation: &Reservation) -> Result<Payment, ReserveError> {
        let expression = reserve::expression(reservation);
        let update =
            expression.apply(self.update(&reservation.key)).return_values(ReturnValue::AllNew);
        let (sent, may_arrive) = send_counted(update).await;
        let error = match sent {
            Ok(output) => {
                let found = output.attributes.unwrap_or_default();
                return Ok(item::to_payment(&found, &reservation.key)?);
            }
            Err(error) => error,
        };
        match failed_condition(&error) {
            Some(None) => Err(ReserveError::NotFound),
            Some(Some(found)) => {
                let found = Box::new(item::to_payment(found, &reservation.key)?);
                // We, or DynamoDB itself, repeated a write whose answer was lost.
                // This is that write.
                if found.is_held_by(&reservation.nonce) {
                    return Ok(*found);
                }
                Err(ReserveError::Refused { found, may_arrive })
            }
            None => Err(unavailable(error).into()),
        }
    }

    async fn open(&self, most: usize) -> Result<Vec<PaymentKey>, StoreError> {
        let mut found = Vec::new();
        for shard in item::SHARDS {
            let query = self
                .client
                .query()
                .table_name(&self.table)
                .index_name("recovery")
                .key_condition_expression("recover_shard = :shard")
                .expression_attribute_values(":shard", item::text(shard))
                .limit(i32::try_from(most).unwrap_or(i32::MAX));
            let page = query.send().await.map_err(unavailable)?;
            for entry in page.items() {
                match item::index_entry(entry) {
                    Ok(entry) => found.push(entry),
                    // One that is nobody's must not hide the others.
                    Err(error) => tracing::error!(%error, "an entry of the recovery index"),
                }
            }
        }
        found.sort_by_key(|(recover_at, _)| *recover_at);
        Ok(found.into_iter().take(most).map(|(_, key)| key).collect())
    }

    async fn replace(&self, from: &Payment, to: &Payment) -> Result<(), ReplaceError> {
        let expression = changes::expression(from, to);
        let Err(error) = expression.apply(self.update(&from.key)).send().await else {
            return Ok(());
        };
        match failed_condition(&error) {
            Some(None) => Err(ReplaceError::Gone),
            Some(Some(found)) => {
                let found = item::to_payment(found, &from.key)?;
                // Our own write again, as above.
                if found == *to { Ok(()) } else { Err(ReplaceError::Changed(Box::new(found))) }
            }
            None => Err(unavailable(error).into()),
        }
    }
}

/// Sends a write as often as the SDK would, but counts: the flag says whether an
/// attempt before the last brought no answer, and may yet arrive.
async fn send_counted(
    update: UpdateItemFluentBuilder,
) -> (Result<UpdateItemOutput, SdkError<UpdateItemError>>, bool) {
    let started = tokio::time::Instant::now();
    let mut may_arrive = false;
    let mut attempt = 1;
    loop {
        let once = aws_sdk_dynamodb::Config::builder().retry_config(RetryConfig::disabled());
        let sent = update.clone().customize().config_override(once).send().await;
        let Err(error) = &sent else { return (sent, may_arrive) };
        // Only an answer below 500 says that nothing was, or will be, written.
        let status = error.raw_response().map(|response| response.status());
        let is_answered = status.is_some_and(|status| !status.is_server_error());
        let is_transient =
            !is_answered || error.code().is_some_and(|code| THROTTLED.contains(&code));
        let pause = FIRST_PAUSE.saturating_mul(attempt);
        let is_late = started.elapsed().saturating_add(pause) > OPERATION_TIMEOUT;
        if !is_transient || attempt >= ATTEMPTS_MAX || is_late {
            return (sent, may_arrive);
        }
        may_arrive |= !is_answered;
        attempt = attempt.saturating_add(1);
        tokio::time::sleep(pause).await;
    }
}

/// The item that a condition said no to (`Some(None)` where there is none), or
/// `None` where the error is another one.
fn failed_condition<R>(error: &SdkError<UpdateItemError, R>) -> Option<Option<&Item>> {
    match error.as_service_error() {
        Some(UpdateItemError::ConditionalCheckFailedException(failed)) => Some(failed.item()),
        _ => None,
    }
}

fn unavailable<E, R>(error: SdkError<E, R>) -> StoreError
where
    E: std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    StoreError::Unavailable(BoxError::from(error))
}

/// An update expression with its condition, as it grows.
#[derive(Debug, Default)]
struct Expression {
    conditions: Vec<String>,
    sets: Vec<String>,
    removes: Vec<String>,
    names: HashMap<String, String>,
    values: Item,
}

impl Expression {
    fn condition(&mut self, condition: impl Into<String>) {
        self.conditions.push(condition.into());
    }

    fn set(&mut self, path: &str, value: &str) {
        self.sets.push(format!("{path} = {value}"));
    }

    fn remove(&mut self, path: impl Into<String>) {
        self.removes.push(path.into());
    }

    /// Makes `:name` stand for `value`.
    fn value(&mut self, name: &str, value: AttributeValue) -> String {
        let placeholder = format!(":{name}");
        self.values.insert(placeholder.clone(), value);
        placeholder
    }

    /// Makes `#name` stand for the attribute `attribute`.
    fn name(&mut self, name: &str, attribute: &str) -> String {
        let placeholder = format!("#{name}");
        self.names.insert(placeholder.clone(), attribute.to_owned());
        placeholder
    }

    fn apply(self, update: UpdateItemFluentBuilder) -> UpdateItemFluentBuilder {
        let mut expression = format!("SET {}", self.sets.join(", "));
        if !self.removes.is_empty() {
            expression.push_str(" REMOVE ");
            expression.push_str(&self.removes.join(", "));
        }
        update
            .update_expression(expression)
            .condition_expression(self.conditions.join(" AND "))
            .set_expression_attribute_names((!self.names.is_empty()).then_some(self.names))
            .set_expression_attribute_values(Some(self.values))
    }
}
