//! The engine for several hosts: one Redis, compare-and-set in Lua.
//!
//! What may happen to a delivery is decided by the same pure functions as everywhere
//! ([`crate::transition`]); this engine reads a record, takes the step, and lets
//! `swap.lua` replace the record only if it is still the one that was read. A record that
//! changed meanwhile comes back and the step is taken again. Time is the server's: each
//! answer carries it, and limits are checked inside Lua.

mod calls;
mod claim;
mod combine;
mod damage;
mod generation;
mod keys;
mod link;
mod list;
mod preflight;
mod rolling;
mod swap;
mod sweep;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use domain::{Clock, RunId, SystemClock, Timestamp};
use redis::aio::ConnectionManager;
use redis::{AsyncCommands, Script};

use crate::api::{Ledger, Phase, Run, RunHeader, maybe_recoverable_since};
use crate::body_hash::BodyHash;
use crate::core::readable_run;
use crate::error::{LedgerError, Result};
use crate::record::{Record, checked_body, encode, parse_header};
use crate::redis::combine::Combiner;
use crate::redis::keys::Keys;
use crate::redis::link::Link;
use crate::store_mark;

/// Bumped when a key changes its shape, or what stands in it would be misread by the version before.
const SCHEMA: u32 = 5;
/// Indexes read in one command of a listing.
const PAGE: u32 = 1_000;
/// Bodies and records kept in memory.
const CACHE_MAX: usize = 16_384;

/// Where the server is.
#[derive(Clone)]
pub struct Options {
    pub url: String,
    /// What all keys start with.
    pub prefix: String,
    /// Work although settings could lose acknowledged writes.
    pub accept_risk: bool,
    /// A CA of one's own for `rediss://`; the system's without it.
    pub ca_file: Option<PathBuf>,
    /// Replicas that must have an intent before it is granted. 0 relies on the server's own
    /// disk; more allow `appendfsync everysec`.
    pub replicas: u32,
    /// Time for tests; the server's own without it.
    pub clock: Option<Arc<dyn Clock>>,
}

impl Options {
    pub fn new(url: &str, prefix: &str, accept_risk: bool) -> Self {
        Options {
            url: url.to_owned(),
            prefix: prefix.to_owned(),
            accept_risk,
            ca_file: None,
            replicas: 0,
            clock: None,
        }
    }
}

pub struct Redis {
    link: Arc<Link>,
    replicas: u32,
    keys: Keys,
    scripts: Scripts,
    /// Server time minus ours, microseconds; from the latest answer.
    offset: AtomicI64,
    cache: Mutex<Cache>,
    /// By whether a swap waits for replicas.
    combiners: [Combiner; 2],
    clock: Option<Arc<dyn Clock>>,
}

struct Scripts {
    run: Script,
    plan: Script,
    peek: Script,
    swap: Script,
    append: Script,
    stub: Script,
    cell: Script,
    discard: Script,
    purge: Script,
    quarantine: Script,
    recount: Script,
    incarnation: Script,
}

/// Bodies never change; a header changes only with a new plan, before the window opens;
/// records are guesses that `swap.lua` checks.
#[derive(Default)]
struct Cache {
    headers: HashMap<RunId, HeldHeader>,
    /// As last heard; claims refresh it.
    until: HashMap<RunId, Option<Timestamp>>,
    /// As last read: only what may be told too early rests on it.
    phases: HashMap<RunId, Phase>,
    bodies: HashMap<(RunId, BodyHash), Arc<str>>,
    records: HashMap<(RunId, u32), Vec<u8>>,
    /// When a header was last asked whether it has more lanes by now.
    lanes_asked: HashMap<RunId, Timestamp>,
    /// How much each run was seen to know.
    generations: HashMap<RunId, u64>,
}

#[derive(Clone)]
struct HeldHeader {
    /// When its planning began: a run that is planned anew has another one.
    begun_at: String,
    /// What it was read from.
    text: String,
    header: Arc<RunHeader>,
}

impl Cache {
    fn forget(&mut self, run: &RunId) {
        self.headers.remove(run);
        self.until.remove(run);
        self.phases.remove(run);
        self.records.retain(|(of, _), _| of != run);
    }

    /// Forgets a run whose plan is not the one that is known here.
    fn is_other_plan(&mut self, run: &RunId, begun_at: &str) -> bool {
        let other = self.headers.get(run).is_some_and(|held| held.begun_at != begun_at);
        if other {
            self.forget(run);
        }
        other
    }
}

impl Redis {
    /// Connects and checks the server's settings and our schema.
    ///
    /// # Errors
    /// When it cannot be reached, is not safe to send from, or holds another schema.
    pub async fn connect(options: &Options) -> Result<Self> {
        let connect = |e| failed("connect", e);
        // Names the crypto of TLS, once; someone else may have done so before.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let ca_file = options.ca_file.as_deref();
        let link = Link::connect(&options.url, ca_file).await.map_err(connect)?;
        let mut con = link.con();
        let health = preflight::inspect(&mut con, options.replicas).await.map_err(connect)?;
        if !health.problems.is_empty() && !options.accept_risk {
            return Err(LedgerError::Unsafe { engine: "redis", problems: health.problems });
        }
        let keys = Keys::new(&options.prefix);
        let () = con.set_nx(keys.schema(), SCHEMA).await.map_err(connect)?;
        let mut found: String = con.get(keys.schema()).await.map_err(connect)?;
        let runs: usize = con.scard(keys.active()).await.map_err(connect)?;
        if ["1", "2", "3", "4"].contains(&found.as_str()) && runs == 0 {
            // What later schemas changed stands beside what earlier ones wrote, once no run is
            // open.
            let () = con.set(keys.schema(), SCHEMA).await.map_err(connect)?;
            found = SCHEMA.to_string();
        }
        if found != SCHEMA.to_string() {
            return Err(LedgerError::Schema { engine: "redis", found, wanted: SCHEMA });
        }
        let scripts = Scripts {
            run: script(include_str!("lua/run.lua")),
            plan: script(include_str!("lua/plan.lua")),
            peek: script(include_str!("lua/peek.lua")),
            swap: script(include_str!("lua/swap.lua")),
            append: script(include_str!("lua/append.lua")),
            stub: script(include_str!("lua/stub.lua")),
            cell: script(include_str!("lua/cell.lua")),
            discard: script(include_str!("lua/discard.lua")),
            purge: script(include_str!("lua/purge.lua")),
            quarantine: script(include_str!("lua/quarantine.lua")),
            recount: script(include_str!("lua/recount.lua")),
            incarnation: script(include_str!("lua/incarnation.lua")),
        };
        Ok(Redis {
            link,
            replicas: options.replicas,
            keys,
            scripts,
            offset: AtomicI64::new(0),
            cache: Mutex::default(),
            combiners: Default::default(),
            clock: options.clock.clone(),
        })
    }

    fn con(&self) -> ConnectionManager {
        self.link.con()
    }

    /// Notes the server's time from an answer.
    fn heard(&self, micros: &str) -> Timestamp {
        let server: i64 = micros.parse().unwrap_or(0);
        self.offset.store(server - SystemClock.now().micros(), Ordering::Relaxed);
        Timestamp::from_micros(server)
    }

    /// What scripts use instead of the server's time: nothing, outside tests.
    fn test_time(&self) -> String {
        self.clock.as_ref().map(|clock| clock.now().micros().to_string()).unwrap_or_default()
    }

    /// The server's time, reckoned from its latest answer. Limits are checked inside Lua.
    fn reckoned(&self) -> Timestamp {
        if let Some(clock) = &self.clock {
            return clock.now();
        }
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
    ) -> Result<Option<Found>> {
        self.run_script_with(doing, id, op, value, ["", ""]).await
    }

    /// The same with two values more.
    async fn run_script_with(
        &self,
        doing: &'static str,
        id: &RunId,
        op: &str,
        value: &str,
        extra: [&str; 2],
    ) -> Result<Option<Found>> {
        let mut con = self.con();
        let mut call = self.scripts.run.key(self.keys.meta(id));
        let call =
            call.key(self.keys.cell(store_mark::CELL)).arg(self.test_time()).arg(self.seen(id));
        let [extra, opens] = extra;
        let call = call.arg(op).arg(value).arg(extra).arg(opens);
        let row: Vec<Option<String>> =
            call.invoke_async(&mut con).await.map_err(|e| failed(doing, e))?;
        self.found(doing, id, &row)
    }

    /// Reads what `run.lua` answered.
    fn found(
        &self,
        doing: &'static str,
        id: &RunId,
        row: &[Option<String>],
    ) -> Result<Option<Found>> {
        let [
            created,
            phase,
            cursor,
            sealed_at,
            started_at,
            until,
            lost,
            fenced,
            header,
            begun,
            now,
            generation,
            rows_doubted_at,
        ] = row
        else {
            return Err(unexpected(doing, "run.lua", row.len()));
        };
        self.heard(now.as_deref().unwrap_or_default());
        let (Some(phase), Some(cursor), Some(header)) = (phase, cursor, header) else {
            return Ok(None);
        };
        self.saw(id, generation.as_deref().unwrap_or_default(), fenced.as_deref() == Some("1"));
        let corrupt = |what: &str, why: String| LedgerError::Corrupt {
            run: id.clone(),
            what: what.to_owned(),
            why,
        };
        let instant = |text: &Option<String>| {
            text.as_ref().and_then(|t| t.parse().ok()).map(Timestamp::from_micros)
        };
        let run = Run {
            header: self.header(id, begun.as_deref().unwrap_or_default(), header)?,
            phase: Phase::parse(phase)
                .ok_or_else(|| corrupt("phase", format!("unknown phase {phase:?}")))?,
            cursor: cursor.parse().map_err(|_| corrupt("cursor", format!("{cursor:?}")))?,
            sealed_at: instant(sealed_at),
            started_at: instant(started_at),
            reopened_until: instant(until),
            resends: lost.as_ref().and_then(|n| n.parse().ok()).unwrap_or(0),
            rows_doubted_at: instant(rows_doubted_at),
        };
        self.with_cache(|cache| {
            cache.until.insert(id.clone(), run.reopened_until);
            cache.phases.insert(id.clone(), run.phase);
        });
        let yes = |flag: &Option<String>| flag.as_deref() == Some("1");
        Ok(Some(Found { created: yes(created), fenced: yes(fenced), run }))
    }

    fn header(&self, id: &RunId, begun_at: &str, text: &str) -> Result<Arc<RunHeader>> {
        let held = self.with_cache(|cache| cache.headers.get(id).cloned());
        if let Some(held) = held.filter(|held| held.begun_at == begun_at && held.text == text) {
            return Ok(held.header);
        }
        let header: Arc<RunHeader> = Arc::new(parse_header(id, text.as_bytes())?);
        let (begun_at, text) = (begun_at.to_owned(), text.to_owned());
        let held = HeldHeader { begun_at, text, header: Arc::clone(&header) };
        self.with_cache(|cache| cache.headers.insert(id.clone(), held));
        Ok(header)
    }

    /// The header as the store holds it, for scripts that compare it.
    fn header_text(&self, run: &Run) -> String {
        let held = self.with_cache(|cache| cache.headers.get(&run.header.id).cloned());
        let held = held.filter(|held| Arc::ptr_eq(&held.header, &run.header));
        held.map_or_else(|| encode(&*run.header), |held| held.text)
    }

    async fn existing(
        &self,
        doing: &'static str,
        id: &RunId,
        op: &str,
        value: &str,
    ) -> Result<Run> {
        let found = self.run_script(doing, id, op, value).await?;
        found.map(|found| found.run).ok_or_else(|| LedgerError::NoRun(id.clone()))
    }

    /// The run with its header from memory; the phase is assumed to be open, and checked
    /// inside Lua where it matters.
    async fn remembered(&self, id: &RunId) -> Result<Option<Run>> {
        let held = self.with_cache(|cache| {
            let header = cache.headers.get(id)?.header.clone();
            Some((header, cache.until.get(id).copied().flatten()))
        });
        if let Some((header, until)) = held {
            let cursor = header.total;
            return Ok(Some(Run {
                phase: Phase::Open,
                cursor,
                reopened_until: until,
                ..Run::new(header)
            }));
        }
        Ok(self.run_script("read run", id, "read", "").await?.map(|found| found.run))
    }

    /// Ids of runs that may be open.
    async fn active_ids(&self) -> Result<Vec<RunId>> {
        self.ids(self.keys.active()).await
    }

    async fn all_ids(&self) -> Result<Vec<RunId>> {
        self.ids(self.keys.runs()).await
    }

    /// Ids of runs that may be recoverable: those of the last days, and those that are open.
    async fn recent_ids(&self) -> Result<Vec<RunId>> {
        let active: HashSet<RunId> = self.active_ids().await?.into_iter().collect();
        let mut ids = self.all_ids().await?;
        let since = maybe_recoverable_since(self.reckoned());
        ids.retain(|id| id.date() >= since || active.contains(id));
        Ok(ids)
    }

    async fn ids(&self, key: String) -> Result<Vec<RunId>> {
        let mut con = self.con();
        let ids: Vec<String> = con.smembers(key).await.map_err(|e| failed("find runs", e))?;
        let mut ids: Vec<RunId> = ids.iter().filter_map(|id| id.parse().ok()).collect();
        ids.sort();
        Ok(ids)
    }

    async fn read_runs(&self, ids: Vec<RunId>) -> Result<Vec<Run>> {
        let mut runs = Vec::new();
        for id in ids {
            runs.extend(readable_run(self.run(&id).await)?);
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

    async fn body(&self, run: &RunId, hash: &BodyHash) -> Result<Arc<str>> {
        let key = (run.clone(), hash.clone());
        if let Some(body) = self.with_cache(|cache| cache.bodies.get(&key).cloned()) {
            return Ok(body);
        }
        let mut con = self.con();
        let found: Option<Vec<u8>> = con
            .hget(self.keys.bodies(run), hash.as_str())
            .await
            .map_err(|e| failed("read content", e))?;
        let found = found.map(|stored| Arc::from(String::from_utf8_lossy(&stored)));
        let body = checked_body(run, hash, found)?;
        self.with_cache(|cache| {
            if cache.bodies.len() >= CACHE_MAX {
                cache.bodies.clear();
            }
            cache.bodies.insert(key, Arc::clone(&body));
        });
        Ok(body)
    }
}

/// What `run.lua` found.
struct Found {
    /// By this very call.
    created: bool,
    /// Sends are refused: see [`LedgerError::StoreRestarted`].
    fenced: bool,
    run: Run,
}

fn script(text: &str) -> Script {
    Script::new(&format!("{}{text}", include_str!("lua/prelude.lua")))
}

fn failed(doing: &'static str, source: redis::RedisError) -> LedgerError {
    LedgerError::unavailable("redis", doing, &source)
}

fn unexpected(doing: &'static str, script: &str, n: usize) -> LedgerError {
    let cause = format!("{script} returned {n} values, expected more");
    LedgerError::Unavailable { engine: "redis", doing, cause }
}

/// The two scores of a record; empty where it is not in that index.
fn scores(run: &Run, record: &Record) -> (String, String) {
    let schedule = record.schedule(&run.header.policy);
    let score = |at: Option<Timestamp>| at.map(|at| at.micros().to_string()).unwrap_or_default();
    (score(schedule.due()), score(schedule.look()))
}
