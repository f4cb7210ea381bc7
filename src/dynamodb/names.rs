//! Unique names of Payments besides their ids. Each name is an item that points to a
//! Payment. It is valid only while that Payment has the name, so that no write needs a
//! transaction over two items.

use super::{DynamoStore, Item, item, unavailable};
use crate::payment::{Payment, PaymentId, PaymentKey, ProjectKey, Timestamp};
use crate::ports::{ClaimError, Name, Store, StoreError};
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure as OnConditionFailure;

/// The time after a claim until which the Payment has to be written with the name. It is
/// longer than any invocation.
const CLAIM_LIFE_MS: u64 = 60_000;

/// The `claimed_at` of a name that was released. A claim of that time has always expired.
const RELEASED: Timestamp = Timestamp::EPOCH;

/// The Payment that a name points to, and the time of the claim.
struct Claim {
    id: PaymentId,
    at: Timestamp,
}

/// The key of the item of a name. Payment ids have no `#`, so that it is never the key of
/// a Payment.
fn primary_key(project: &ProjectKey, name: &Name) -> Item {
    let (kind, name) = match name {
        Name::Key(key) => ("key", key),
        Name::InterfaceId(id) => ("interfaceId", id),
    };
    let pk = format!("{}##{name}", project.as_str());
    Item::from([("pk".to_owned(), item::text(&pk)), ("sk".to_owned(), item::text(kind))])
}

impl DynamoStore {
    pub(super) async fn find_payment(
        &self,
        project: &ProjectKey,
        name: &Name,
    ) -> Result<Option<Payment>, StoreError> {
        let get = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(primary_key(project, name)))
            .consistent_read(true);
        let Some(found) = get.send().await.map_err(unavailable)?.item else { return Ok(None) };
        let id = item::claim(&found)?.0;
        let payment = self.get(&PaymentKey { project: project.clone(), id }).await?;
        Ok(payment.filter(|payment| name.is_of(payment)))
    }

    pub(super) async fn claim_name(
        &self,
        payment: &PaymentKey,
        name: &Name,
        at: Timestamp,
    ) -> Result<(), ClaimError> {
        let Some(held) = self.put_claim(payment, name, at, None).await? else { return Ok(()) };
        if at.ms_since(held.at) < CLAIM_LIFE_MS {
            return Err(ClaimError::Taken);
        }
        if self.find_payment(&payment.project, name).await?.is_some() {
            return Err(ClaimError::Taken);
        }
        // Of two writers that found the same expired claim, only one replaces it.
        match self.put_claim(payment, name, at, Some(held)).await? {
            None => Ok(()),
            Some(_) => Err(ClaimError::Taken),
        }
    }

    /// Marks the claim of this Payment as released. A claim of another Payment stays as it
    /// is.
    pub(super) async fn release_name(
        &self,
        payment: &PaymentKey,
        name: &Name,
    ) -> Result<(), StoreError> {
        self.put_claim(payment, name, RELEASED, None).await.map(drop)
    }

    /// Writes a claim, if the name has none, has one of this Payment, or has `replaced`.
    /// Returns the claim of another Payment that prevents it.
    async fn put_claim(
        &self,
        payment: &PaymentKey,
        name: &Name,
        at: Timestamp,
        replaced: Option<Claim>,
    ) -> Result<Option<Claim>, StoreError> {
        let mut claim = primary_key(&payment.project, name);
        claim.insert("payment_id".to_owned(), item::text(payment.id.as_str()));
        claim.insert("claimed_at".to_owned(), item::number(at.ms()));
        let mut put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(claim))
            .expression_attribute_values(":own", item::text(payment.id.as_str()))
            .return_values_on_condition_check_failure(OnConditionFailure::AllOld);
        put = match replaced {
            None => put.condition_expression("attribute_not_exists(pk) OR payment_id = :own"),
            Some(held) => put
                .condition_expression(
                    "payment_id = :own OR (payment_id = :held AND claimed_at = :since)",
                )
                .expression_attribute_values(":held", item::text(held.id.as_str()))
                .expression_attribute_values(":since", item::number(held.at.ms())),
        };
        let Err(error) = put.send().await else { return Ok(None) };
        match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(failed)) => {
                let held = failed.item().cloned().unwrap_or_default();
                let (id, at) = item::claim(&held)?;
                Ok(Some(Claim { id, at }))
            }
            _ => Err(unavailable(error)),
        }
    }
}
