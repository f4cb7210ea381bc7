//! The store in DynamoDB. Each Payment is an item, and every write is conditional.
//!
//! `reserve` is one `UpdateItem` whose condition decides without a read. If the condition
//! fails, the answer has the item. Every other write changes an item that was read, on
//! condition that its version is the same.

mod changes;
mod expression;
mod item;
mod names;
mod repeat;
mod reserve;
mod table;

pub use crate::aws::Connection;
pub use table::create_table;

use crate::error::BoxError;
use crate::payment::{Payment, PaymentKey, ProjectKey, Reservation, Timestamp};
use crate::ports::{ClaimError, CreateError, Name, ReplaceError, ReserveError, Store, StoreError};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{
    AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure as OnConditionFailure,
};
use repeat::send_counted;
use std::collections::HashMap;
use std::time::Duration;

/// The time limit of one attempt at a write, before it is repeated.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(1);
/// The time limit of a write with all its attempts.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(3);
/// The attributes of one item.
pub type Item = HashMap<String, AttributeValue>;

impl Connection {
    /// A client with the time-outs and retries of the service. It connects when it is first
    /// used.
    pub fn client(self) -> Client {
        Client::new(&self.sdk_config(ATTEMPT_TIMEOUT, OPERATION_TIMEOUT))
    }
}

/// True for the keys of a Payment's item. The table also has items of names.
pub(crate) fn is_payment(keys: &Item) -> bool {
    keys.get("sk") == Some(&item::text(item::SORT_KEY))
}

/// The item of a Payment.
pub fn to_item(payment: &Payment) -> Item {
    item::from_payment(payment)
}

/// Reads the Payment from an item of the table.
pub fn stored_payment(item: &Item) -> Result<Payment, StoreError> {
    item::to_payment(item, &item::payment_key(item)?)
}

/// The store of Payments in a table.
#[derive(Clone, Debug)]
pub struct DynamoStore {
    client: Client,
    /// A client without retries, for writes whose attempts are counted here. Setting that
    /// for each write would make the SDK build its configuration again.
    client_without_retries: Client,
    table: String,
}

impl DynamoStore {
    /// The store in `table`, which has to exist.
    pub fn new(client: Client, table: String) -> Self {
        let config = client.config().to_builder().retry_config(RetryConfig::disabled());
        Self { client_without_retries: Client::from_conf(config.build()), client, table }
    }

    /// Opens a connection within `time`, by reading an item that does not exist: no project
    /// key is empty. If that fails, the first write connects.
    pub async fn open_connection(&self, time: Duration) {
        let get = self
            .client_without_retries
            .get_item()
            .table_name(&self.table)
            .key("pk", item::text("#"))
            .key("sk", item::text(item::SORT_KEY));
        if let Ok(Err(error)) = tokio::time::timeout(time, get.send()).await {
            tracing::debug!(%error, "DynamoDB does not answer yet");
        }
    }

    fn update(&self, client: &Client, key: &PaymentKey) -> UpdateItemFluentBuilder {
        client
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

    async fn release(&self, payment: &PaymentKey, name: &Name) -> Result<(), StoreError> {
        self.release_name(payment, name).await
    }

    /// The condition admits one of several requests for the same amount. The others are
    /// refused before a connector is called.
    async fn reserve(&self, reservation: &Reservation) -> Result<Payment, ReserveError> {
        let (sent, late_copy_possible) = send_counted(|| {
            let update = self.update(&self.client_without_retries, &reservation.key);
            reserve::expression(reservation).apply(update).return_values(ReturnValue::AllNew)
        })
        .await;
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
                Err(ReserveError::Refused { found, late_copy_possible })
            }
            None => Err(unavailable(error).into()),
        }
    }

    async fn due(&self, limit: usize) -> Result<Vec<PaymentKey>, StoreError> {
        let mut found = Vec::new();
        for shard in item::SHARDS {
            let query = self
                .client
                .query()
                .table_name(&self.table)
                .index_name("recovery")
                .key_condition_expression("recover_shard = :shard")
                .expression_attribute_values(":shard", item::text(shard))
                .limit(i32::try_from(limit).unwrap_or(i32::MAX));
            let page = query.send().await.map_err(unavailable)?;
            for entry in page.items() {
                match item::index_entry(entry) {
                    Ok(entry) => found.push(entry),
                    // One damaged entry must not hide the others.
                    Err(error) => {
                        tracing::error!(%error, "an entry of the recovery index cannot be read");
                    }
                }
            }
        }
        found.sort_by_key(|(recover_at, _)| *recover_at);
        Ok(found.into_iter().take(limit).map(|(_, key)| key).collect())
    }

    async fn replace(&self, from: &Payment, to: &Payment) -> Result<(), ReplaceError> {
        let expression = changes::expression(from, to);
        let Err(error) = expression.apply(self.update(&self.client, &from.key)).send().await else {
            return Ok(());
        };
        match failed_condition(&error) {
            Some(None) => Err(ReplaceError::Gone),
            Some(Some(found)) => {
                let found = item::to_payment(found, &from.key)?;
                // A write whose answer was lost was repeated. This is that write.
                if found == *to { Ok(()) } else { Err(ReplaceError::Changed(Box::new(found))) }
            }
            None => Err(unavailable(error).into()),
        }
    }
}

/// The item that failed a condition, or `Some(None)` if there is no item. `None` if the
/// error is another one.
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
