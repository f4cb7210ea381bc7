use crate::error::BoxError;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType,
};

/// Creates the table with its recovery index, for localhost and tests. In AWS the template
/// creates it, and the functions may not.
pub async fn create_table(client: &Client, table: &str) -> Result<(), BoxError> {
    let attribute = |name: &str, kind| {
        AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build()
    };
    let key =
        |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build();
    let recovery = GlobalSecondaryIndex::builder()
        .index_name("recovery")
        .key_schema(key("recover_shard", KeyType::Hash)?)
        .key_schema(key("recover_at", KeyType::Range)?)
        .projection(Projection::builder().projection_type(ProjectionType::KeysOnly).build())
        .build()?;
    client
        .create_table()
        .table_name(table)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(attribute("pk", ScalarAttributeType::S)?)
        .attribute_definitions(attribute("sk", ScalarAttributeType::S)?)
        .attribute_definitions(attribute("recover_shard", ScalarAttributeType::S)?)
        .attribute_definitions(attribute("recover_at", ScalarAttributeType::N)?)
        .key_schema(key("pk", KeyType::Hash)?)
        .key_schema(key("sk", KeyType::Range)?)
        .global_secondary_indexes(recovery)
        .send()
        .await?;
    Ok(())
}
