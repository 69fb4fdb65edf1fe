//! The engine for several hosts: one Redis, compare-and-set in Lua.
//!
//! What may happen to a delivery is decided by the same pure functions as everywhere
//! ([`crate::transition`]); this engine reads a record, takes the step, and lets
//! `swap.lua` replace the record only if it is still the one that was read. A record that
//! changed meanwhile comes back and the step is taken again. Time is the server's: each
//! answer carries it, and limits are checked inside Lua.

mod calls;
mod keys;
mod preflight;
mod swap;

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::{Clock, NumberId, RunId, SystemClock, Timestamp};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{AsyncCommands, RedisResult, Script};

use crate::api::{Claim, Ledger, Phase, Result, Run, RunHeader};
use crate::core::{lane_index, must_end_waiting, new_claim};
use crate::error::LedgerError;
use crate::record::{Message, Record, Schedule};
use crate::redis::keys::Keys;
use crate::transition::{self};

/// Bumped when a key's shape changes.
const SCHEMA: u32 = 1;
/// Long enough for a server that syncs a slow disk; the crate's own default is 500 ms.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Indexes read in one command of a listing.
const PAGE: u32 = 1_000;
/// Bodies and records kept in memory.
const CACHE_MAX: usize = 16_384;

/// Where the server is.
#[derive(Clone, Debug)]
pub struct Options {
    pub url: String,
    /// What all keys start with.
    pub prefix: String,
    /// Work although settings could lose acknowledged writes.
    pub accept_risk: bool,
}

impl Options {
    pub fn new(url: &str, prefix: &str, accept_risk: bool) -> Self {
        Options { url: url.to_owned(), prefix: prefix.to_owned(), accept_risk }
    }
}

pub struct Redis {
    con: ConnectionManager,
    keys: Keys,
    scripts: Scripts,
    /// Server time minus ours, microseconds; from the latest answer.
    offset: AtomicI64,
    cache: Mutex<Cache>,
}

struct Scripts {
    run: Script,
    plan: Script,
    peek: Script,
    swap: Script,
}

/// Headers and bodies never change; records are guesses that `swap.lua` checks.
#[derive(Default)]
struct Cache {
    headers: HashMap<RunId, Arc<RunHeader>>,
    bodies: HashMap<(RunId, String), Arc<str>>,
    records: HashMap<(RunId, u32), String>,
}

type RunRow = (i64, Option<String>, Option<u32>, Option<i64>, Option<i64>, Option<String>, String);

impl Redis {
    /// Connects and checks the server's settings and our schema.
    ///
    /// # Errors
    /// When it cannot be reached, is not safe to send from, or holds another schema.
    pub async fn connect(options: &Options) -> Result<Self> {
        let connect = |e| failed("connect", e);
        let client = redis::Client::open(options.url.as_str()).map_err(connect)?;
        let config = ConnectionManagerConfig::new()
            .set_response_timeout(Some(RESPONSE_TIMEOUT))
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_number_of_retries(2);
        let mut con = client.get_connection_manager_with_config(config).await.map_err(connect)?;
        let health = preflight::inspect(&mut con).await.map_err(connect)?;
        if !health.problems.is_empty() && !options.accept_risk {
            return Err(LedgerError::Unsafe { engine: "redis", problems: health.problems });
        }
        let keys = Keys::new(&options.prefix);
        let () = con.set_nx(keys.schema(), SCHEMA).await.map_err(connect)?;
        let found: String = con.get(keys.schema()).await.map_err(connect)?;
        if found != SCHEMA.to_string() {
            return Err(LedgerError::Schema { engine: "redis", found, wanted: SCHEMA });
        }
        let scripts = Scripts {
            run: Script::new(include_str!("lua/run.lua")),
            plan: Script::new(include_str!("lua/plan.lua")),
            peek: Script::new(include_str!("lua/peek.lua")),
            swap: Script::new(include_str!("lua/swap.lua")),
        };
        let (offset, cache) = (AtomicI64::new(0), Mutex::default());
        Ok(Redis { con, keys, scripts, offset, cache })
    }

    fn con(&self) -> ConnectionManager {
        self.con.clone()
    }

    /// Notes the server's time from an answer.
    fn heard(&self, micros: &str) -> Timestamp {
        let server: i64 = micros.parse().unwrap_or(0);
        self.offset.store(server - SystemClock.now().micros(), Ordering::Relaxed);
        Timestamp::from_micros(server)
    }

    /// The server's time, reckoned from its latest answer. Limits are checked inside Lua.
    fn reckoned(&self) -> Timestamp {
        let now = SystemClock.now().micros() + self.offset.load(Ordering::Relaxed);
        Timestamp::from_micros(now)
    }

    fn with_cache<T>(&self, f: impl FnOnce(&mut Cache) -> T) -> T {
        f(&mut self.cache.lock().expect("no panic while held"))
    }

    /// Runs `run.lua`; `None` when there is no such run.
    async fn run_script(
        &self,
        doing: &'static str,
        id: &RunId,
        op: &str,
        value: &str,
    ) -> Result<Option<(bool, Run)>> {
        let mut con = self.con();
        let mut call = self.scripts.run.key(self.keys.meta(id));
        let row: RedisResult<RunRow> = call.arg(op).arg(value).invoke_async(&mut con).await;
        let (created, phase, cursor, sealed_at, started_at, header, now) =
            row.map_err(|e| failed(doing, e))?;
        self.heard(&now);
        let (Some(phase), Some(cursor), Some(header)) = (phase, cursor, header) else {
            return Ok(None);
        };
        let corrupt = |what: &str, why: String| LedgerError::Corrupt {
            run: id.clone(),
            what: what.to_owned(),
            why,
        };
        let phase = Phase::parse(&phase)
            .ok_or_else(|| corrupt("phase", format!("unknown phase {phase:?}")))?;
        let held = self.with_cache(|cache| cache.headers.get(id).cloned());
        let header = match held {
            Some(header) => header,
            None => {
                let parsed: RunHeader =
                    serde_json::from_str(&header).map_err(|e| corrupt("header", e.to_string()))?;
                let parsed = Arc::new(parsed);
                self.with_cache(|c| c.headers.insert(id.clone(), Arc::clone(&parsed)));
                parsed
            }
        };
        let run = Run {
            header,
            phase,
            cursor,
            sealed_at: sealed_at.map(Timestamp::from_micros),
            started_at: started_at.map(Timestamp::from_micros),
        };
        Ok(Some((created == 1, run)))
    }

    async fn existing(
        &self,
        doing: &'static str,
        id: &RunId,
        op: &str,
        value: &str,
    ) -> Result<Run> {
        let found = self.run_script(doing, id, op, value).await?;
        found.map(|(_, run)| run).ok_or_else(|| LedgerError::NoRun(id.clone()))
    }

    /// The run with its header from memory; the phase is assumed to be open, and checked
    /// inside Lua where it matters.
    async fn remembered(&self, id: &RunId) -> Result<Option<Run>> {
        if let Some(header) = self.with_cache(|cache| cache.headers.get(id).cloned()) {
            let cursor = header.total;
            return Ok(Some(Run {
                header,
                phase: Phase::Open,
                cursor,
                sealed_at: None,
                started_at: None,
            }));
        }
        Ok(self.run_script("read run", id, "read", "").await?.map(|(_, run)| run))
    }

    /// Ids of runs that may be open.
    async fn active_ids(&self) -> Result<Vec<RunId>> {
        let mut con = self.con();
        let ids: Vec<String> =
            con.smembers(self.keys.active()).await.map_err(|e| failed("find active runs", e))?;
        let mut ids: Vec<RunId> = ids.iter().filter_map(|id| id.parse().ok()).collect();
        ids.sort();
        Ok(ids)
    }

    async fn read_runs(&self, ids: Vec<RunId>) -> Result<Vec<Run>> {
        let mut runs = Vec::new();
        for id in ids {
            runs.extend(self.run(&id).await?);
        }
        runs.sort_by_key(|run| run.header.window.opens);
        Ok(runs)
    }

    /// Removes every key of the prefix: for rehearsals, which leave nothing behind.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn forget_all(&self) -> Result<()> {
        let mut con = self.con();
        let forget = |e| failed("forget a rehearsal", e);
        let mut cursor = 0u64;
        loop {
            let (next, keys): (u64, Vec<String>) = redis::cmd("SCAN")
                .arg(cursor)
                .arg("MATCH")
                .arg(self.keys.all())
                .arg("COUNT")
                .arg(1_000)
                .query_async(&mut con)
                .await
                .map_err(forget)?;
            if !keys.is_empty() {
                let () = con.unlink(keys).await.map_err(forget)?;
            }
            if next == 0 {
                return Ok(());
            }
            cursor = next;
        }
    }

    async fn body(&self, run: &RunId, hash: &str) -> Result<Arc<str>> {
        let key = (run.clone(), hash.to_owned());
        if let Some(body) = self.with_cache(|cache| cache.bodies.get(&key).cloned()) {
            return Ok(body);
        }
        let mut con = self.con();
        let found: Option<String> =
            con.hget(self.keys.bodies(run), hash).await.map_err(|e| failed("read content", e))?;
        let body: Arc<str> = found.unwrap_or_default().into();
        self.with_cache(|cache| {
            if cache.bodies.len() >= CACHE_MAX {
                cache.bodies.clear();
            }
            cache.bodies.insert(key, Arc::clone(&body));
        });
        Ok(body)
    }

    /// What a lane of a run has due; leases it.
    async fn claim_from(&self, id: &RunId, lane: &NumberId, k: usize) -> Result<Vec<Claim>> {
        let Some(mut run) = self.remembered(id).await? else { return Ok(Vec::new()) };
        let Some(at) = lane_index(&run.header, lane) else { return Ok(Vec::new()) };
        let (phase, now, _, rows) = self.peek(id, at, k).await?;
        run.phase = phase.unwrap_or(Phase::Closed);
        let mut swaps = Vec::new();
        let mut leased = Vec::new();
        for (index, text, message) in rows {
            let mut record: Record = decode(id, index, &text)?;
            let was = record.state;
            if transition::claim(&mut record, &run, now) {
                let message: Message = decode(id, index, &message)?;
                swaps.push(swap::Swap::new(&run, index, text, was, &record, None));
                leased.push((index, record, message));
            }
        }
        let verdicts = self.swap(id, Some(Phase::Open), &swaps).await?;
        let mut claims = Vec::new();
        for (verdict, (index, record, message)) in verdicts.into_iter().zip(leased) {
            if verdict == swap::Verdict::Done {
                let body = self.body(id, &message.body).await?;
                claims.push(new_claim(&run, lane, index, &record, message, body));
            }
        }
        Ok(claims)
    }

    /// Phase, server time, next due instant, and due rows (index, record, message).
    async fn peek(&self, id: &RunId, lane: u16, k: usize) -> Result<Peeked> {
        let mut con = self.con();
        let mut call = self.scripts.peek.key(self.keys.meta(id));
        call.key(self.keys.due(id, lane)).key(self.keys.records(id)).key(self.keys.messages(id));
        let answer: RedisResult<Vec<String>> = call.arg(k).invoke_async(&mut con).await;
        let answer = answer.map_err(|e| failed("claim deliveries", e))?;
        let [phase, now, next, rows @ ..] = answer.as_slice() else {
            return Err(unexpected("claim deliveries", "peek.lua", answer.len()));
        };
        let now = self.heard(now);
        let next = next.parse().ok().map(Timestamp::from_micros);
        let rows = rows
            .chunks_exact(3)
            .filter_map(|row| Some((row[0].parse().ok()?, row[1].clone(), row[2].clone())));
        Ok((Phase::parse(phase), now, next, rows.collect()))
    }

    async fn due_for_sweep(&self, run: &Run, limit: usize) -> Result<Vec<u32>> {
        let id = &run.header.id;
        let mut con = self.con();
        let now = self.now().await?;
        let sweep = |e| failed("sweep run", e);
        let limit = isize::try_from(limit).unwrap_or(isize::MAX);
        let mut found: Vec<u32> = con
            .zrangebyscore_limit(self.keys.look(id), "-inf", now.micros(), 0, limit)
            .await
            .map_err(sweep)?;
        if must_end_waiting(run, now) {
            for lane in 0..run.header.lanes.len() {
                let lane = u16::try_from(lane).unwrap_or(u16::MAX);
                let room = limit - isize::try_from(found.len()).unwrap_or(limit);
                if room > 0 {
                    let more: Vec<u32> =
                        con.zrange(self.keys.due(id, lane), 0, room - 1).await.map_err(sweep)?;
                    found.extend(more);
                }
            }
        }
        Ok(found)
    }
}

type Peeked = (Option<Phase>, Timestamp, Option<Timestamp>, Vec<(u32, String, String)>);

fn failed(doing: &'static str, source: redis::RedisError) -> LedgerError {
    LedgerError::Unavailable { engine: "redis", doing, source: Box::new(source) }
}

fn unexpected(doing: &'static str, script: &str, n: usize) -> LedgerError {
    let source = format!("{script} returned {n} values, expected more");
    LedgerError::Unavailable { engine: "redis", doing, source: source.into() }
}

fn encode(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("ledger types have no maps with odd keys")
}

fn decode<T: serde::de::DeserializeOwned>(run: &RunId, index: u32, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|e| LedgerError::Corrupt {
        run: run.clone(),
        what: format!("delivery {index}"),
        why: e.to_string(),
    })
}

/// The two scores of a record, one of them empty.
fn scores(run: &Run, record: &Record) -> (String, String) {
    match record.schedule(&run.header.policy, run.header.close_at) {
        Schedule::Due(at) => (at.micros().to_string(), String::new()),
        Schedule::Look(at) => (String::new(), at.micros().to_string()),
        Schedule::Done => (String::new(), String::new()),
    }
}
