//! Listings: by index, or by the index of what a person may want to look at.

use domain::RunId;
use redis::{AsyncCommands, RedisResult};

use super::{PAGE, Redis, failed};
use crate::api::{DeliveryView, Filter, Run};
use crate::error::Result;
use crate::view::{needs_attention, view_stored};

impl Redis {
    pub(super) async fn list_page(
        &self,
        id: &RunId,
        filter: &Filter,
        after: Option<u32>,
        limit: usize,
    ) -> Result<Vec<DeliveryView>> {
        let run = self.existing("list deliveries", id, "read", "").await?;
        let index = self.index_of(&run, filter).await?;
        let mut from = after.map_or(0, |index| index.saturating_add(1));
        let mut views = Vec::new();
        while views.len() < limit {
            let page: Vec<u32> = match &index {
                Some(index) => self.page_of(index, from).await?,
                None => (from..run.cursor.min(from.saturating_add(PAGE))).collect(),
            };
            let Some(last) = page.last() else { break };
            let room = limit - views.len();
            views.extend(self.views(&run, &page, filter).await?.into_iter().take(room));
            match last.checked_add(1) {
                Some(next) => from = next,
                None => break,
            }
        }
        Ok(views)
    }

    /// The sorted set that a listing follows; `None`: every index up to the cursor.
    async fn index_of(&self, run: &Run, filter: &Filter) -> Result<Option<String>> {
        let id = &run.header.id;
        let few = !filter.states.is_empty() && filter.states.iter().all(|s| needs_attention(*s));
        if few {
            // A run of an earlier version has no such index.
            let indexed: RedisResult<Option<String>> =
                self.con().hget(self.keys.meta(id), "attention").await;
            if indexed.map_err(|e| failed("list deliveries", e))?.is_some() {
                return Ok(Some(self.keys.attention(id)));
            }
        }
        Ok(run.header.is_rolling().then(|| self.keys.indexes(id)))
    }

    async fn page_of(&self, index: &str, from: u32) -> Result<Vec<u32>> {
        let page = isize::try_from(PAGE).unwrap_or(isize::MAX);
        let found = self.con().zrangebyscore_limit(index, from, "+inf", 0, page).await;
        found.map_err(|e| failed("list deliveries", e))
    }

    async fn views(
        &self,
        run: &Run,
        indexes: &[u32],
        filter: &Filter,
    ) -> Result<Vec<DeliveryView>> {
        let (id, mut con) = (&run.header.id, self.con());
        let list = |e| failed("list deliveries", e);
        let records: Vec<Option<Vec<u8>>> =
            con.hmget(self.keys.records(id), indexes).await.map_err(list)?;
        let messages: Vec<Option<Vec<u8>>> =
            con.hmget(self.keys.messages(id), indexes).await.map_err(list)?;
        let mut views = Vec::with_capacity(indexes.len());
        for ((index, record), message) in indexes.iter().zip(records).zip(messages) {
            // One that is missing is damaged, not gone: the cursor says that it was written.
            let (record, message) = (record.unwrap_or_default(), message.unwrap_or_default());
            views.push(view_stored(&run.header, *index, &record, &message)?);
        }
        views.retain(|view| filter.admits(view));
        Ok(views)
    }
}
