//! Rows that are appended, and lanes that are added, to a run that is open.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::{Attempt, DeliveryId, NumberId, RunId, Timestamp};
use redis::{AsyncCommands, RedisResult};

use super::{Redis, failed, scores, swap, unexpected};
use crate::api::{Appended, NewRow, NotAppended, RowKey, Run, not_appended};
use crate::core::{there, with_lanes};
use crate::error::{LedgerError, Result};
use crate::opt_outs;
use crate::record::{Record, encode};
use crate::store_mark;
use crate::stored;
use crate::transition;

/// How often a header is read again for lanes that it does not have.
const ASK_FOR_LANES: Duration = Duration::from_secs(1);

impl Redis {
    pub(super) async fn append_rows(&self, id: &RunId, rows: &[NewRow]) -> Result<Vec<Appended>> {
        let doing = "append rows";
        let run = self.existing(doing, id, "read", "").await?;
        let now = self.reckoned();
        let mut call = self.scripts.append.key(self.keys.meta(id));
        call.key(self.keys.records(id)).key(self.keys.messages(id)).key(self.keys.bodies(id));
        call.key(self.keys.counts(id)).key(self.keys.look(id)).key(self.keys.due_prefix(id));
        call.key(self.keys.row_keys(id)).key(self.keys.people(id)).key(self.keys.indexes(id));
        call.key(self.keys.cell(store_mark::CELL));
        call.arg(self.test_time()).arg(self.seen(id)).arg(run.header.window.deadline.micros());
        let refusals: Vec<Option<NotAppended>> =
            rows.iter().map(|row| not_appended(&run, row, now)).collect();
        for (row, refused) in rows.iter().zip(&refusals) {
            let record = transition::appended(&run, row, now);
            let (due, look) = scores(&run, &record);
            let mut people = opt_outs::hashes(&row.message.to).collect::<Vec<_>>().join(",");
            people.push(',');
            call.arg(row.key.as_str()).arg(i32::from(refused.is_some()));
            call.arg(stored::record(&record))
                .arg(stored::message(&row.message))
                .arg(record.lane)
                .arg(due)
                .arg(look);
            call.arg(row.message.body.as_str()).arg(&*row.body).arg(people);
            call.arg(row.key.index()).arg(record.state.as_str());
        }
        let mut con = self.con();
        let answer: RedisResult<Vec<String>> = call.invoke_async(&mut con).await;
        let answer = answer.map_err(|e| failed(doing, e))?;
        let [now, generation, fenced, verdicts @ ..] = answer.as_slice() else {
            return Err(unexpected(doing, "append.lua", answer.len()));
        };
        if verdicts.len() != rows.len() * 2 {
            return Err(unexpected(doing, "append.lua", answer.len()));
        }
        self.heard(now);
        self.saw(id, generation, fenced == "1");
        let mut appended = Vec::with_capacity(rows.len());
        for ((row, refused), verdict) in rows.iter().zip(refusals).zip(verdicts.chunks_exact(2)) {
            let index = verdict[1].parse().unwrap_or_default();
            appended.push(match verdict[0].as_str() {
                "added" => Appended::Added(index),
                "same" | "other" => there(index, verdict[0] == "same"),
                "forgotten" => self.adopt(&run, index, row).await?,
                "fenced" => {
                    let run = id.clone();
                    return Err(LedgerError::StoreRestarted { engine: "redis", run });
                }
                // What was refused here, or what changed since.
                _ => Appended::Refused(refused.unwrap_or(NotAppended::RunOver)),
            });
        }
        Ok(appended)
    }

    /// The row is here again: what is known of it by its news counts.
    async fn adopt(&self, run: &Run, index: u32, row: &NewRow) -> Result<Appended> {
        let id = DeliveryId { run: run.header.id.clone(), index };
        let step = |record: &mut Record, _: &Run, now: Timestamp| {
            // A row that was appended has an end of its own; one that stands for damage has none.
            let is_damaged_news = record.damage.is_some() && record.expires_at.is_none();
            if !record.is_forgotten() && !is_damaged_news {
                return swap::Step::Keep(());
            }
            transition::adopt(record, run, row, now);
            swap::Step::Put((), swap::Guards::default())
        };
        self.update(&id, swap::Fence::Ignored, step).await?;
        Ok(Appended::There(index))
    }

    /// Keeps the news of a row that a rolling run has forgotten. False: there is no such run.
    pub(super) async fn keep_news(
        &self,
        id: &DeliveryId,
        news: &Attempt,
        number: Option<&NumberId>,
    ) -> Result<bool> {
        let Some(run) = self.remembered(&id.run).await?.filter(|run| run.header.is_rolling())
        else {
            return Ok(false);
        };
        let record = transition::stub(&run, news, number, self.reckoned());
        let (_, look) = scores(&run, &record);
        let mut call = self.scripts.stub.key(self.keys.meta(&id.run));
        call.key(self.keys.records(&id.run)).key(self.keys.counts(&id.run));
        call.key(self.keys.look(&id.run)).key(self.keys.attention(&id.run));
        call.key(self.keys.indexes(&id.run)).key(self.keys.cell(store_mark::CELL));
        call.arg(self.test_time()).arg(id.index).arg(stored::record(&record));
        call.arg(record.state.as_str()).arg(look);
        let mut con = self.con();
        // Whether it was there meanwhile, the caller's next look says.
        let kept: RedisResult<i64> = call.invoke_async(&mut con).await;
        kept.map_err(|e| failed("keep news of a forgotten row", e))?;
        Ok(true)
    }

    pub(super) async fn rows_by_keys(
        &self,
        id: &RunId,
        keys: &[RowKey],
    ) -> Result<Vec<Option<u32>>> {
        self.existing("look for keys", id, "read", "").await?;
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<&str> = keys.iter().map(RowKey::as_str).collect();
        let found = self.con().hmget(self.keys.row_keys(id), keys).await;
        found.map_err(|e| failed("look for keys", e))
    }

    pub(super) async fn rows_to_people(&self, id: &RunId, people: &[String]) -> Result<Vec<u32>> {
        self.existing("look for people", id, "read", "").await?;
        if people.is_empty() {
            return Ok(Vec::new());
        }
        let found: RedisResult<Vec<Option<String>>> =
            self.con().hmget(self.keys.people(id), people).await;
        let found = found.map_err(|e| failed("look for people", e))?;
        let indexes = found.iter().flatten().flat_map(|indexes| indexes.split(','));
        let indexes: BTreeSet<u32> = indexes.filter_map(|index| index.parse().ok()).collect();
        Ok(indexes.into_iter().collect())
    }

    pub(super) async fn extend_lanes(&self, id: &RunId, lanes: &[NumberId]) -> Result<Run> {
        let doing = "add lanes";
        loop {
            let run = self.existing(doing, id, "read", "").await?;
            let Some(header) = with_lanes(&run.header, lanes) else { return Ok(run) };
            let (new, expected) = (encode(&header), self.header_text(&run));
            // Whoever was faster is read, and this is added to theirs.
            self.run_script_with(doing, id, "lanes", &new, [&expected, ""]).await?;
        }
    }

    /// A lane that the remembered header does not have may have been added by another process.
    pub(super) async fn ask_for_lanes(&self, id: &RunId) -> Result<()> {
        let now = self.reckoned();
        let ask = self.with_cache(|cache| {
            let asked = cache.lanes_asked.get(id);
            let ask = asked.is_none_or(|at| now.since(*at) >= ASK_FOR_LANES);
            if ask {
                cache.lanes_asked.insert(id.clone(), now);
            }
            ask
        });
        if ask {
            self.run_script("read run", id, "read", "").await?;
        }
        Ok(())
    }
}
