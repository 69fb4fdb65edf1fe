//! The ledger's calls over Redis: each reads, takes a pure step, and swaps.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::NaiveDate;
use domain::{NumberId, RunId, State, Timestamp};
use redis::AsyncCommands;

use super::{Found, PAGE, Redis, SCHEMA, failed, preflight, scores, swap};
use crate::api::{
    Amended, Amendment, Appended, Applied, AttemptResult, Begun, Claimed, Counts, DeliveryView,
    Discarded, Filter, Health, IntentAnswer, IntentRequest, Ledger, NewRow, Phase, PlanChunk,
    Purged, Refusal, Release, RowKey, Run, RunHeader, Swept, WebhookFact, WhyKept, is_purgeable,
};
use crate::body_hash::BodyHash;
use crate::core::{amend_one, new_record, reopened, unplanned_from, why_kept};
use crate::error::{LedgerError, Result};
use crate::record::{Record, encode};
use crate::store_mark;
use crate::stored;
use crate::transition;

#[async_trait]
impl Ledger for Redis {
    fn engine(&self) -> &'static str {
        "redis"
    }

    async fn now(&self) -> Result<Timestamp> {
        if let Some(clock) = &self.clock {
            return Ok(clock.now());
        }
        let mut con = self.con();
        let (secs, micros): (i64, i64) =
            redis::cmd("TIME").query_async(&mut con).await.map_err(|e| failed("read time", e))?;
        Ok(self.heard(&(secs * 1_000_000 + micros).to_string()))
    }

    async fn begin_run(&self, header: &RunHeader) -> Result<Begun> {
        let doing = "begin run";
        let mut con = self.con();
        let id = header.id.as_str();
        let () = con.sadd(self.keys.runs(), id).await.map_err(|e| failed(doing, e))?;
        let () = con.sadd(self.keys.active(), id).await.map_err(|e| failed(doing, e))?;
        let phase = header.first_phase();
        let (id, text) = (&header.id, encode(header));
        let extra = [phase.as_str(), &header.window.opens.micros().to_string()];
        let begun = self.run_script_with(doing, id, "begin", &text, extra).await?;
        match begun {
            Some(Found { created: true, run, .. }) => Ok(Begun::Created(run)),
            Some(Found { run, .. }) => Ok(Begun::Exists(run)),
            None => Err(LedgerError::NoRun(header.id.clone())),
        }
    }

    async fn plan_chunk(&self, id: &RunId, chunk: &PlanChunk) -> Result<u32> {
        let run = self.existing("plan run", id, "read", "").await?;
        if unplanned_from(&run, chunk)?.is_none() {
            return Ok(run.cursor);
        }
        let mut con = self.con();
        let mut call = self.scripts.plan.key(self.keys.meta(id));
        call.key(self.keys.records(id)).key(self.keys.messages(id)).key(self.keys.bodies(id));
        call.key(self.keys.counts(id)).key(self.keys.look(id)).key(self.keys.due_prefix(id));
        call.key(self.keys.attention(id))
            .arg(self.test_time())
            .arg(chunk.from)
            .arg(chunk.bodies.len());
        for (hash, body) in &chunk.bodies {
            call.arg(hash.as_str()).arg(&**body);
        }
        for row in &chunk.rows {
            let record = new_record(&run, row);
            let (due, look) = scores(&run, &record);
            call.arg(stored::record(&record))
                .arg(stored::message(&row.message))
                .arg(record.state.as_str());
            call.arg(record.lane).arg(due).arg(look);
        }
        call.arg(self.header_text(&run));
        let cursor: i64 = call.invoke_async(&mut con).await.map_err(|e| failed("plan run", e))?;
        u32::try_from(cursor).map_err(|_| LedgerError::OtherPlan(id.clone()))
    }

    async fn seal(&self, id: &RunId) -> Result<Run> {
        let before = self.existing("seal run", id, "read", "").await?;
        let (planned, total) = (before.cursor, before.header.total);
        if before.phase == Phase::Planning && planned != total {
            return Err(LedgerError::Unfinished { run: id.clone(), planned, total });
        }
        self.existing("seal run", id, "seal", &total.to_string()).await
    }

    async fn append(&self, id: &RunId, rows: &[NewRow]) -> Result<Vec<Appended>> {
        self.append_rows(id, rows).await
    }

    async fn by_keys(&self, id: &RunId, keys: &[RowKey]) -> Result<Vec<Option<u32>>> {
        self.rows_by_keys(id, keys).await
    }

    async fn to_people(&self, id: &RunId, people: &[String]) -> Result<Vec<u32>> {
        self.rows_to_people(id, people).await
    }

    async fn doubt_rows(&self, id: &RunId) -> Result<Run> {
        self.existing("doubt rows", id, "doubt_rows", "").await
    }

    async fn add_lanes(&self, id: &RunId, lanes: &[NumberId]) -> Result<Run> {
        self.extend_lanes(id, lanes).await
    }

    async fn mark_started(&self, id: &RunId) -> Result<Run> {
        self.existing("start run", id, "start", "").await
    }

    async fn set_phase(&self, id: &RunId, phase: Phase) -> Result<Run> {
        let mut con = self.con();
        let change = |e| failed("change run", e);
        // A run that is not closed must be found, so the hint is set before and removed after.
        if phase != Phase::Closed {
            let () = con.sadd(self.keys.active(), id.as_str()).await.map_err(change)?;
        }
        let run = self.existing("change run", id, "phase", phase.as_str()).await?;
        if phase == Phase::Closed {
            let () = con.srem(self.keys.active(), id.as_str()).await.map_err(change)?;
        }
        Ok(run)
    }

    async fn discard(&self, id: &RunId) -> Result<Discarded> {
        let doing = "discard run";
        let Some(found) = self.run_script(doing, id, "read", "").await? else {
            return Ok(Discarded::Unknown);
        };
        let counts = self.counts(id).await?;
        let now = self.now().await?;
        let kept =
            why_kept(&found.run, &counts, now).or(found.fenced.then_some(WhyKept::StoreRestarted));
        if let Some(why) = kept {
            return Ok(Discarded::Kept(why));
        }
        let header = &found.run.header;
        let mut call = self.scripts.discard.prepare_invoke();
        for key in self.keys.of_run(id, header.lanes.len()) {
            call.key(key);
        }
        call.key(self.keys.cell(store_mark::CELL));
        call.arg(self.test_time()).arg(self.header_text(&found.run));
        call.arg(header.window.opens.micros());
        let mut con = self.con();
        let gone: bool = call.invoke_async(&mut con).await.map_err(|e| failed(doing, e))?;
        if !gone {
            return Ok(Discarded::Kept(WhyKept::Opened)); // while we looked
        }
        // The id stays in the sets of ids, which are hints: another planner may have begun the
        // run again by now.
        self.with_cache(|cache| cache.forget(id));
        Ok(Discarded::Done)
    }

    async fn purge(&self, id: &RunId, _: usize) -> Result<Purged> {
        let purge = |e| failed("purge run", e);
        let mut con = self.con();
        let purged = match self.run(id).await? {
            None => Purged::Unknown,
            Some(run) if !is_purgeable(&run, self.now().await?) => return Ok(Purged::Kept),
            Some(run) => {
                let mut call = self.scripts.purge.prepare_invoke();
                for key in self.keys.of_run(id, run.header.lanes.len()) {
                    call.key(key);
                }
                call.key(self.keys.cell(store_mark::CELL)).arg(self.test_time());
                let gone: bool = call.invoke_async(&mut con).await.map_err(purge)?;
                if !gone {
                    return Ok(Purged::Kept); // opened while we looked
                }
                Purged::Done
            }
        };
        // Also of one whose purge died before this.
        let () = con.srem(self.keys.runs(), id.as_str()).await.map_err(purge)?;
        let () = con.srem(self.keys.active(), id.as_str()).await.map_err(purge)?;
        self.with_cache(|cache| cache.forget(id));
        Ok(purged)
    }

    async fn run(&self, id: &RunId) -> Result<Option<Run>> {
        Ok(self.run_script("read run", id, "read", "").await?.map(|found| found.run))
    }

    async fn runs_since(&self, date: NaiveDate) -> Result<Vec<Run>> {
        let mut ids = self.all_ids().await?;
        ids.retain(|id| id.date() >= date);
        self.read_runs(ids).await
    }

    async fn active_runs(&self) -> Result<Vec<Run>> {
        let mut runs = self.read_runs(self.active_ids().await?).await?;
        runs.retain(|run| run.phase != Phase::Closed);
        Ok(runs)
    }

    async fn claim(&self, lane: &NumberId, k: usize) -> Result<Claimed> {
        let mut claimed = Claimed { claims: Vec::new(), next_due: None, now: self.reckoned() };
        for id in self.active_ids().await? {
            if let Err(error) = self.claim_from(&id, lane, k, &mut claimed).await {
                if claimed.claims.is_empty() {
                    return Err(error);
                }
                // What is leased is handed out; the next claim meets the error again.
                claimed.next_due = Some(claimed.now);
                break;
            }
        }
        Ok(claimed)
    }

    async fn intent(&self, requests: &[IntentRequest]) -> Result<Vec<IntentAnswer>> {
        let mut answers = Vec::with_capacity(requests.len());
        for request in requests {
            let step = |record: &mut Record, run: &Run, now: Timestamp| {
                let guards = swap::Guards { not_after: record.lease_until, ..Default::default() };
                match transition::intent(record, run, request, now) {
                    Ok(()) => swap::Step::Put(IntentAnswer::Granted, guards),
                    Err(refusal) => swap::Step::Keep(IntentAnswer::Refused(refusal)),
                }
            };
            let answer = match self.update(&request.id, swap::Fence::Durable, step).await {
                Err(LedgerError::StoreRestarted { .. }) => {
                    Some(IntentAnswer::Refused(Refusal::StoreRestarted))
                }
                answer => answer?,
            };
            answers.push(answer.unwrap_or(IntentAnswer::Refused(Refusal::NoDelivery)));
        }
        Ok(answers)
    }

    async fn result(&self, results: &[AttemptResult]) -> Result<Vec<State>> {
        let mut states = Vec::with_capacity(results.len());
        for result in results {
            let step = |record: &mut Record, run: &Run, now: Timestamp| {
                transition::result(record, run, result, now);
                swap::Step::Put(record.state, swap::Guards::default())
            };
            let mut state = self.update(&result.id, swap::Fence::Ignored, step).await?;
            if state.is_none()
                && self.keep_news(&result.id, &transition::news_in(result), None).await?
            {
                state = self.update(&result.id, swap::Fence::Ignored, step).await?;
            }
            states.push(state.ok_or_else(|| LedgerError::NoRun(result.id.run.clone()))?);
        }
        Ok(states)
    }

    async fn release(&self, releases: &[Release]) -> Result<()> {
        for release in releases {
            let step = |record: &mut Record, run: &Run, now: Timestamp| match transition::release(
                record, run, release, now,
            ) {
                true => swap::Step::Put((), swap::Guards::default()),
                false => swap::Step::Keep(()),
            };
            self.update(&release.id, swap::Fence::Ignored, step).await?;
        }
        Ok(())
    }

    async fn apply(&self, facts: &[WebhookFact]) -> Result<Vec<Applied>> {
        let one = |fact: &WebhookFact| {
            let fact = fact.clone();
            async move {
                let step = |record: &mut Record, run: &Run, now: Timestamp| match transition::apply(
                    record, run, &fact, now,
                ) {
                    same @ (Applied::Stale | Applied::Foreign) => swap::Step::Keep(same),
                    applied => {
                        let witness = transition::witness(record, &fact);
                        let guards = swap::Guards { witness, ..Default::default() };
                        swap::Step::Put(applied, guards)
                    }
                };
                if let Some(applied) = self.update(&fact.id, swap::Fence::Ignored, step).await? {
                    return Ok(applied);
                }
                match self.keep_news(&fact.id, &fact.news, fact.number.as_ref()).await? {
                    // Again, in case the row came back in the same instant.
                    true => {
                        self.update(&fact.id, swap::Fence::Ignored, step).await?;
                        Ok(Applied::Forgotten)
                    }
                    false => Ok(Applied::NoDelivery),
                }
            }
        };
        // Together on one connection, so that they share round trips and syncs.
        futures::future::join_all(facts.iter().map(one)).await.into_iter().collect()
    }

    async fn amend(&self, amendments: &[Amendment]) -> Result<Vec<Amended>> {
        let mut runs: BTreeMap<&RunId, Option<Run>> = BTreeMap::new();
        for Amendment { id, .. } in amendments {
            if !runs.contains_key(&id.run) {
                runs.insert(&id.run, self.run(&id.run).await?);
            }
        }
        let one = async |amendment: &Amendment| {
            let Some(Some(run)) = runs.get(&amendment.id.run) else {
                return Ok(Amended::NoDelivery);
            };
            let step = |record: &mut Record, _: &Run, now: Timestamp| {
                let (was, lane) = (record.state, record.lane);
                if amend_one(record, run, amendment, now) {
                    let left = (lane != record.lane).then_some(lane);
                    let guards = swap::Guards { left, ..Default::default() };
                    swap::Step::Put(Amended::Done(record.state), guards)
                } else {
                    swap::Step::Keep(Amended::Refused(was))
                }
            };
            let answer = self.update(&amendment.id, swap::Fence::Ignored, step).await?;
            Ok(answer.unwrap_or(Amended::NoDelivery))
        };
        // In turn, because one delivery may be amended twice in one call.
        let mut amended = Vec::with_capacity(amendments.len());
        for amendment in amendments {
            amended.push(one(amendment).await?);
        }
        Ok(amended)
    }

    async fn reopen(&self, id: &RunId, until: Timestamp) -> Result<Run> {
        let doing = "reopen run";
        let mut run = self.existing(doing, id, "read", "").await?;
        if !reopened(&mut run, until, self.reckoned()) {
            return Ok(run);
        }
        let mut con = self.con();
        let () = con.sadd(self.keys.active(), id.as_str()).await.map_err(|e| failed(doing, e))?;
        self.existing(doing, id, "reopen", &until.micros().to_string()).await
    }

    async fn sweep(&self, id: &RunId, limit: usize) -> Result<Swept> {
        self.sweep_some(id, limit).await
    }

    async fn counts(&self, id: &RunId) -> Result<Counts> {
        let mut con = self.con();
        let found: BTreeMap<String, i64> =
            con.hgetall(self.keys.counts(id)).await.map_err(|e| failed("count deliveries", e))?;
        let mut counts = Counts::default();
        for (state, n) in found {
            if let Some(state) = State::parse(&state) {
                counts.set(state, n.max(0).unsigned_abs());
            }
        }
        Ok(counts)
    }

    async fn recount(&self, id: &RunId) -> Result<Counts> {
        let mut counts = Counts::default();
        let mut after = None;
        loop {
            let page = self.list(id, &Filter::default(), after, PAGE as usize).await?;
            let Some(last) = page.last() else { return Ok(counts) };
            after = Some(last.id.index);
            page.iter().for_each(|delivery| counts.add(delivery.state, 1));
        }
    }

    async fn list(
        &self,
        id: &RunId,
        filter: &Filter,
        after: Option<u32>,
        limit: usize,
    ) -> Result<Vec<DeliveryView>> {
        self.list_page(id, filter, after, limit).await
    }

    async fn content(&self, run: &RunId, hash: &BodyHash) -> Result<Arc<str>> {
        self.body(run, hash).await
    }

    async fn health(&self) -> Result<Health> {
        preflight::inspect(&mut self.con(), self.replicas)
            .await
            .map_err(|e| failed("inspect the server", e))
    }

    async fn count_anew(&self, run: &RunId) -> Result<()> {
        let mut con = self.con();
        let mut call = self.scripts.recount.key(self.keys.records(run));
        call.key(self.keys.counts(run)).key(self.keys.cell(store_mark::CELL));
        call.arg(self.test_time());
        for state in State::ALL {
            call.arg(state.as_str());
        }
        let done: redis::RedisResult<i64> = call.invoke_async(&mut con).await;
        done.map(drop).map_err(|e| failed("count deliveries anew", e))
    }

    async fn check_schema(&self) -> Result<()> {
        let mut con = self.con();
        let found: Option<String> =
            con.get(self.keys.schema()).await.map_err(|e| failed("read the schema", e))?;
        match found {
            // Emptied: what that means is the fence's business.
            None => Ok(()),
            Some(found) if found == SCHEMA.to_string() => Ok(()),
            Some(found) => Err(LedgerError::Schema { engine: "redis", found, wanted: SCHEMA }),
        }
    }

    async fn run_ids(&self) -> Result<Vec<RunId>> {
        self.all_ids().await
    }

    async fn incarnation(&self) -> Result<Option<String>> {
        let mut con = self.con();
        let mut call = self.scripts.incarnation.key(self.keys.cell(store_mark::CELL));
        let incarnation = call.arg(self.test_time()).invoke_async(&mut con).await;
        incarnation.map(Some).map_err(|e| failed("read which store this is", e))
    }

    async fn fenced_runs(&self) -> Result<Vec<RunId>> {
        let mut fenced = Vec::new();
        for id in self.recent_ids().await? {
            let found = match self.run_script("look for fenced runs", &id, "read", "").await {
                Err(LedgerError::Corrupt { .. }) => continue, // it cannot be sent from at all
                found => found?,
            };
            let recoverable = |found: &Found| found.run.is_recoverable(self.reckoned());
            if found.is_some_and(|found| found.fenced && recoverable(&found)) {
                fenced.push(id);
            }
        }
        Ok(fenced)
    }

    async fn lift_fence(&self, incarnation: &str) -> Result<()> {
        for id in self.recent_ids().await? {
            match self.run_script("let sending go on", &id, "lift", incarnation).await {
                Err(LedgerError::Corrupt { .. }) => {}
                lifted => drop(lifted?),
            }
        }
        Ok(())
    }

    async fn read_cell(&self, name: &str) -> Result<Option<String>> {
        let mut con = self.con();
        con.get(self.keys.cell(name)).await.map_err(|e| failed("read cell", e))
    }

    async fn swap_cell(&self, name: &str, expected: Option<&str>, new: &str) -> Result<bool> {
        let mut con = self.con();
        let mut call = self.scripts.cell.key(self.keys.cell(name));
        let expected = expected.map(|text| format!("={text}")).unwrap_or_default();
        let call = call.arg(self.test_time()).arg(expected).arg(new);
        let done: i64 = call.invoke_async(&mut con).await.map_err(|e| failed("change cell", e))?;
        Ok(done == 1)
    }
}
