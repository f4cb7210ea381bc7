//! Names by which Payments are found besides their ids: one small item for each name. It
//! counts only while the Payment that it points to has the name, so that no write
//! spans two items.

use super::{DynamoStore, Item, item, unavailable};
use crate::payment::{Payment, PaymentId, PaymentKey, ProjectKey, Timestamp};
use crate::ports::{ClaimError, Name, Store, StoreError};
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure as OnConditionFailure;

/// Longer than any invocation: a Payment that was not written with its name by then
/// will not be.
const CLAIM_LIFE_MS: u64 = 60_000;

/// The time of a claim that has ended: no claim lives as long as that.
const EXPIRED_MS: u64 = 0;

/// The Payment that a name points to, and the time since when.
struct Claim {
    id: PaymentId,
    at: Timestamp,
}

/// No Payment id has a `#`, so this is no Payment's.
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
        // Whoever comes second finds that it is not the claim that was looked at.
        match self.put_claim(payment, name, at, Some(held)).await? {
            None => Ok(()),
            Some(_) => Err(ClaimError::Taken),
        }
    }

    /// Dates our claim so far back that it holds no longer. A claim of another Payment
    /// stays as it is.
    pub(super) async fn release_name(
        &self,
        payment: &PaymentKey,
        name: &Name,
    ) -> Result<(), StoreError> {
        self.put_claim(payment, name, Timestamp::from_ms(EXPIRED_MS), None).await.map(drop)
    }

    /// Writes a claim where there is none, over our own, or over `over`. Returns the
    /// claim of another Payment that prevents it.
    async fn put_claim(
        &self,
        payment: &PaymentKey,
        name: &Name,
        at: Timestamp,
        over: Option<Claim>,
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
        put = match over {
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
