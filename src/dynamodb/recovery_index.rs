//! The reader of the recovery index. It reads the shards page by page and merges their
//! entries by the time at which they are due.

use super::{DynamoStore, Item, item, unavailable};
use crate::payment::Timestamp;
use crate::ports::{DuePage, DuePayment, IndexPart, OpenCount, StoreError};
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::Select;
use futures_util::future::join_all;
use std::collections::VecDeque;

/// The highest number of shards that are read at the same time.
const SHARDS_AT_ONCE: usize = 8;

/// The highest number of entries in the answer to one query.
const PAGE_ENTRIES: i32 = 100;

/// The position of a reader: for each shard, the entries that were read and not returned.
#[derive(Debug)]
pub struct IndexPosition(Vec<Shard>);

#[derive(Debug)]
struct Shard {
    name: String,
    /// Entries that were read and not yet returned, ordered by due time.
    found: VecDeque<DuePayment>,
    /// The key of the last entry that was read.
    after: Option<Item>,
    /// True if all due entries were read.
    is_read: bool,
}

impl IndexPosition {
    fn start(part: IndexPart) -> Self {
        let shard = |name| Shard { name, found: VecDeque::new(), after: None, is_read: false };
        Self(item::shards(part).map(shard).collect())
    }

    /// Takes the entries that are due before all entries that are not read yet.
    fn take_ordered(&mut self) -> Vec<DuePayment> {
        let last_read = |shard: &Shard| shard.found.back().map(|last| last.due_at);
        let horizon = self.0.iter().filter(|shard| !shard.is_read).filter_map(last_read).min();
        let mut taken = Vec::new();
        for shard in &mut self.0 {
            let is_before = |due: &DuePayment| horizon.is_none_or(|end| due.due_at <= end);
            while let Some(due) = shard.found.pop_front_if(|due| is_before(due)) {
                taken.push(due);
            }
        }
        taken.sort_by_key(|due| due.due_at);
        taken
    }

    fn is_at_end(&self) -> bool {
        self.0.iter().all(|shard| shard.is_read && shard.found.is_empty())
    }
}

impl DynamoStore {
    pub(super) async fn read_due(
        &self,
        part: IndexPart,
        at: Timestamp,
        position: Option<IndexPosition>,
    ) -> Result<DuePage<IndexPosition>, StoreError> {
        let mut position = position.unwrap_or_else(|| IndexPosition::start(part));
        let is_empty = |shard: &&mut Shard| shard.found.is_empty() && !shard.is_read;
        let mut to_read = position.0.iter_mut().filter(is_empty).collect::<Vec<_>>();
        for shards in to_read.chunks_mut(SHARDS_AT_ONCE) {
            let reads = shards.iter_mut().map(|shard| self.read_shard(shard, at));
            join_all(reads).await.into_iter().collect::<Result<(), _>>()?;
        }
        let payments = position.take_ordered();
        let next = (!position.is_at_end()).then_some(position);
        Ok(DuePage { payments, next })
    }

    /// Reads the next page of a shard, and further pages while none of their entries can be
    /// read.
    async fn read_shard(&self, shard: &mut Shard, at: Timestamp) -> Result<(), StoreError> {
        while shard.found.is_empty() && !shard.is_read {
            let query = self.query_due(&shard.name, at).limit(PAGE_ENTRIES);
            let query = query.set_exclusive_start_key(shard.after.take());
            let page = query.send().await.map_err(unavailable)?;
            for entry in page.items() {
                match item::index_entry(entry) {
                    Ok(due) => shard.found.push_back(due),
                    // One damaged entry must not hide the others.
                    Err(error) => {
                        tracing::error!(%error, "an entry of the recovery index cannot be read");
                    }
                }
            }
            shard.is_read = page.last_evaluated_key.is_none();
            shard.after = page.last_evaluated_key;
        }
        Ok(())
    }

    pub(super) async fn count_entries(&self, at: Timestamp) -> Result<OpenCount, StoreError> {
        let mut count = OpenCount::default();
        let shards = item::shards(IndexPart::WHOLE).collect::<Vec<_>>();
        for shards in shards.chunks(SHARDS_AT_ONCE) {
            let counts = shards.iter().map(|shard| async {
                let open = self.count(|| self.query_shard(shard)).await?;
                let due = self.count(|| self.query_due(shard, at)).await?;
                Ok::<_, StoreError>((open, due))
            });
            for counted in join_all(counts).await {
                let (open, due) = counted?;
                count.open = count.open.saturating_add(open);
                count.due = count.due.saturating_add(due);
            }
        }
        Ok(count)
    }

    /// The number of entries that a query finds, on all its pages.
    async fn count(&self, query: impl Fn() -> QueryFluentBuilder) -> Result<u64, StoreError> {
        let (mut count, mut after) = (0_u64, None);
        loop {
            let query = query().select(Select::Count).set_exclusive_start_key(after);
            let page = query.send().await.map_err(unavailable)?;
            count = count.saturating_add(u64::try_from(page.count).unwrap_or_default());
            after = page.last_evaluated_key;
            if after.is_none() {
                return Ok(count);
            }
        }
    }

    /// A query for the entries of a shard that are due at `at`.
    fn query_due(&self, shard: &str, at: Timestamp) -> QueryFluentBuilder {
        self.query_shard(shard)
            .key_condition_expression("recover_shard = :shard AND recover_at <= :now")
            .expression_attribute_values(":now", item::number(at.ms()))
    }

    fn query_shard(&self, shard: &str) -> QueryFluentBuilder {
        self.client
            .query()
            .table_name(&self.table)
            .index_name("recovery")
            .key_condition_expression("recover_shard = :shard")
            .expression_attribute_values(":shard", item::text(shard))
    }
}
