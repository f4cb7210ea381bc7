//! The embedded DynamoDB emulator, with the HTTP API of DynamoDB on a free port.

use super::bind;
use crate::dynamodb::{Connection, create_table};
use crate::error::BoxError;
use aws_sdk_dynamodb::Client;
use dynoxide::{Database, server};
use std::path::Path;

/// Starts an emulator that runs as long as the process. Its data is in the file `data`, or
/// in memory.
pub async fn start(data: Option<&Path>) -> Result<Connection, BoxError> {
    let database = match data {
        Some(path) => Database::new(&path.to_string_lossy())?,
        None => Database::memory()?,
    };
    let listener = bind().await?;
    let endpoint_url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(server::serve_on(listener, database));
    Ok(Connection::to_emulator(endpoint_url))
}

/// Creates the table, unless it exists from an earlier run.
pub async fn ensure_table(client: &Client, table: &str) -> Result<(), BoxError> {
    let tables = client.list_tables().send().await?;
    if tables.table_names().iter().any(|known| known == table) {
        return Ok(());
    }
    create_table(client, table).await
}
