//! The embedded DynamoDB emulator, with the HTTP API of DynamoDB on a free port.

use super::bind;
use crate::dynamodb::{Connection, create_table};
use crate::error::BoxError;
use crate::payment::{PaymentId, PaymentKey, ProjectKey};
use aws_sdk_dynamodb::Client;
use dynoxide::actions::scan::ScanRequest;
use dynoxide::types::AttributeValue;
use dynoxide::{Database, server};
use std::fmt;
use std::path::Path;

/// Starts an emulator that runs as long as the process. Its data is in the file `data`, or
/// in memory.
pub async fn start(data: Option<&Path>) -> Result<Connection, BoxError> {
    Ok(open(data).await?.0)
}

/// As [`start`], with a way to list what the emulator holds, which its real API gives
/// no right to.
pub(super) async fn open(data: Option<&Path>) -> Result<(Connection, Contents), BoxError> {
    let database = match data {
        Some(path) => Database::new(&path.to_string_lossy())?,
        None => Database::memory()?,
    };
    let listener = bind().await?;
    let endpoint_url = format!("http://{}", listener.local_addr()?);
    let contents = Contents(database.clone());
    tokio::spawn(server::serve_on(listener, database));
    Ok((Connection::to_emulator(endpoint_url), contents))
}

/// All that the emulator holds.
pub(super) struct Contents(Database);

impl fmt::Debug for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Contents")
    }
}

impl Contents {
    /// The Payments of a table that were changed last, at most `limit`.
    pub(super) fn latest_payments(
        &self,
        table: &str,
        limit: usize,
    ) -> Result<Vec<PaymentKey>, BoxError> {
        let mut found = Vec::new();
        let mut start = None;
        loop {
            let page = self.0.scan(ScanRequest {
                table_name: table.to_owned(),
                projection_expression: Some("pk, sk, modified_at".to_owned()),
                exclusive_start_key: start,
                ..ScanRequest::default()
            })?;
            for item in page.items.unwrap_or_default() {
                // A name of a Payment is an item, too.
                if let (Some(AttributeValue::S(pk)), Some(AttributeValue::N(modified_at))) =
                    (item.get("pk"), item.get("modified_at"))
                    && let Some((project, id)) = pk.split_once('#')
                {
                    let (project, id) = (ProjectKey::parse(project)?, PaymentId::parse(id)?);
                    found.push((modified_at.parse::<u64>()?, PaymentKey { project, id }));
                }
            }
            start = page.last_evaluated_key;
            if start.is_none() {
                break;
            }
        }
        found.sort_by(|a, b| b.cmp(a));
        Ok(found.into_iter().take(limit).map(|(_, key)| key).collect())
    }
}

/// Creates the table, unless it exists from an earlier run.
pub async fn ensure_table(client: &Client, table: &str) -> Result<(), BoxError> {
    let tables = client.list_tables().send().await?;
    if tables.table_names().iter().any(|known| known == table) {
        return Ok(());
    }
    create_table(client, table).await
}
