//! The embedded engine: one file, one writer thread, group commit, nothing to install.
//!
//! Writes wait in a channel; the writer takes all that are there, runs them in one
//! transaction and answers after its fsync. Reads of single runs go through the same
//! thread, so they see every answered write; long listings use a connection of their own.

mod cache;
mod rows;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::{Clock, NumberId, RunId, State, Timestamp};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::api::{
    Amended, Amendment, Applied, AttemptResult, Begun, Claimed, Counts, DeliveryView, Discarded,
    Filter, Health, IntentAnswer, IntentRequest, Ledger, Phase, PlanChunk, Release, Result, Run,
    RunHeader, Swept, WebhookFact,
};
use crate::core::{self, Rows};
use crate::error::LedgerError;
use crate::sqlite::rows::SqlRows;
use crate::sqlite::writer::Writer;

/// Bumped when a table's shape changes.
const SCHEMA: u32 = 2;
/// How long a second process on the same file waits for the first one's commit.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

pub struct Sqlite {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    writer: Writer,
}

impl Sqlite {
    /// Opens or makes the file; its folder must exist.
    ///
    /// # Errors
    /// When the file cannot be opened, is no database, or was written by another version.
    pub fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self> {
        let conn = Connection::open(path).map_err(|e| failed("open the ledger", e))?;
        prepare(&conn)?;
        Ok(Sqlite { path: path.to_owned(), clock, writer: Writer::start(conn) })
    }

    async fn write<T: Send + 'static>(
        &self,
        doing: &'static str,
        job: impl FnOnce(&mut SqlRows<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.writer.run(doing, job).await
    }

    /// Runs a long read on its own connection, so that it never holds up the writer.
    async fn read<T: Send + 'static>(
        &self,
        doing: &'static str,
        job: impl FnOnce(&mut SqlRows<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let path = self.path.clone();
        let read = move || {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let conn = Connection::open_with_flags(&path, flags).map_err(|e| failed(doing, e))?;
            conn.busy_timeout(BUSY_TIMEOUT).map_err(|e| failed(doing, e))?;
            job(&mut SqlRows::new(&conn, &mut cache::Cache::default()))
        };
        tokio::task::spawn_blocking(read).await.expect("a read does not panic")
    }
}

fn prepare(conn: &Connection) -> Result<()> {
    let open = |e| failed("open the ledger", e);
    conn.busy_timeout(BUSY_TIMEOUT).map_err(open)?;
    conn.pragma_update(None, "journal_mode", "WAL").map_err(open)?;
    conn.pragma_update(None, "synchronous", "FULL").map_err(open)?;
    // A plan holds whatever is bound: else some statements are prepared anew each time.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(open)?;
    conn.pragma_update(None, "cache_size", -65_536).map_err(open)?; // 64 MiB
    let found: u32 =
        conn.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(open)?;
    if found == 1 {
        conn.execute_batch(include_str!("sqlite/from_1.sql")).map_err(open)?;
    } else if found != 0 && found != SCHEMA {
        let found = found.to_string();
        return Err(LedgerError::Schema { engine: "sqlite", found, wanted: SCHEMA });
    }
    conn.execute_batch(include_str!("sqlite/schema.sql")).map_err(open)?;
    conn.pragma_update(None, "user_version", SCHEMA).map_err(open)?;
    conn.set_prepared_statement_cache_capacity(64);
    Ok(())
}

/// Names what was being done; a full disk has its own error.
fn failed(doing: &'static str, source: rusqlite::Error) -> LedgerError {
    if source.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull) {
        return LedgerError::Full { engine: "sqlite", doing };
    }
    LedgerError::Unavailable { engine: "sqlite", doing, source: Box::new(source) }
}

#[async_trait]
impl Ledger for Sqlite {
    fn engine(&self) -> &'static str {
        "sqlite"
    }

    async fn now(&self) -> Result<Timestamp> {
        Ok(self.clock.now())
    }

    async fn begin_run(&self, header: &RunHeader) -> Result<Begun> {
        let (header, now) = (header.clone(), self.clock.now());
        self.write("begin run", move |rows| core::begin_run(rows, &header, now)).await
    }

    async fn plan_chunk(&self, run: &RunId, chunk: &PlanChunk) -> Result<u32> {
        let (run, chunk) = (run.clone(), chunk.clone());
        self.write("plan run", move |rows| core::plan_chunk(rows, &run, &chunk)).await
    }

    async fn seal(&self, run: &RunId) -> Result<Run> {
        let (run, now) = (run.clone(), self.clock.now());
        self.write("seal run", move |rows| core::seal(rows, &run, now)).await
    }

    async fn mark_started(&self, run: &RunId) -> Result<Run> {
        let (run, now) = (run.clone(), self.clock.now());
        let mark = move |run: &mut Run| run.started_at = run.started_at.or(Some(now));
        self.write("start run", move |rows| core::change_run(rows, &run, mark)).await
    }

    async fn set_phase(&self, run: &RunId, phase: Phase) -> Result<Run> {
        let run = run.clone();
        let set = move |run: &mut Run| run.phase = phase;
        self.write("change run", move |rows| core::change_run(rows, &run, set)).await
    }

    async fn discard(&self, run: &RunId) -> Result<Discarded> {
        let (run, clock) = (run.clone(), Arc::clone(&self.clock));
        self.write("discard run", move |rows| core::discard(rows, &run, clock.now())).await
    }

    async fn run(&self, run: &RunId) -> Result<Option<Run>> {
        let run = run.clone();
        self.write("read run", move |rows| rows.run(&run)).await
    }

    async fn runs(&self) -> Result<Vec<Run>> {
        self.write("list runs", move |rows| rows.runs("")).await
    }

    async fn active_runs(&self) -> Result<Vec<Run>> {
        self.write("list runs", move |rows| rows.runs("WHERE phase != 'closed'")).await
    }

    async fn claim(&self, lane: &NumberId, k: usize) -> Result<Claimed> {
        let (lane, clock) = (lane.clone(), Arc::clone(&self.clock));
        self.write("claim deliveries", move |rows| core::claim(rows, &lane, k, clock.now())).await
    }

    async fn intent(&self, requests: &[IntentRequest]) -> Result<Vec<IntentAnswer>> {
        let (requests, clock) = (requests.to_vec(), Arc::clone(&self.clock));
        self.write("grant intents", move |rows| core::intent(rows, &requests, clock.now())).await
    }

    async fn result(&self, results: &[AttemptResult]) -> Result<Vec<State>> {
        let (results, now) = (results.to_vec(), self.clock.now());
        self.write("record results", move |rows| core::result(rows, &results, now)).await
    }

    async fn release(&self, releases: &[Release]) -> Result<()> {
        let releases = releases.to_vec();
        self.write("release claims", move |rows| core::release(rows, &releases)).await
    }

    async fn apply(&self, facts: &[WebhookFact]) -> Result<Vec<Applied>> {
        let (facts, now) = (facts.to_vec(), self.clock.now());
        self.write("apply webhooks", move |rows| core::apply(rows, &facts, now)).await
    }

    async fn amend(&self, amendments: &[Amendment]) -> Result<Vec<Amended>> {
        let (amendments, now) = (amendments.to_vec(), self.clock.now());
        self.write("amend deliveries", move |rows| core::amend(rows, &amendments, now)).await
    }

    async fn reopen(&self, run: &RunId, until: Timestamp) -> Result<Run> {
        let (run, now) = (run.clone(), self.clock.now());
        self.write("reopen run", move |rows| core::reopen(rows, &run, until, now)).await
    }

    async fn sweep(&self, run: &RunId, limit: usize) -> Result<Swept> {
        let (run, clock) = (run.clone(), Arc::clone(&self.clock));
        self.write("sweep run", move |rows| core::sweep(rows, &run, limit, clock.now())).await
    }

    async fn counts(&self, run: &RunId) -> Result<Counts> {
        let run = run.clone();
        self.write("count deliveries", move |rows| rows.counts(&run)).await
    }

    async fn recount(&self, run: &RunId) -> Result<Counts> {
        let run = run.clone();
        self.read("recount deliveries", move |rows| rows.recount(&run)).await
    }

    async fn list(
        &self,
        run: &RunId,
        filter: &Filter,
        after: Option<u32>,
        limit: usize,
    ) -> Result<Vec<DeliveryView>> {
        let (run, filter) = (run.clone(), filter.clone());
        self.read("list deliveries", move |rows| rows.list(&run, &filter, after, limit)).await
    }

    async fn content(&self, run: &RunId, hash: &str) -> Result<Arc<str>> {
        let (run, hash) = (run.clone(), hash.to_owned());
        self.read("read content", move |rows| rows.body(&run, &hash)).await
    }

    async fn health(&self) -> Result<Health> {
        let damage = self.read("check the file", |rows| rows.damage()).await?;
        let path = self.path.display().to_string();
        let facts = vec![
            ("file".to_owned(), path),
            ("sqlite".to_owned(), rusqlite::version().to_owned()),
            ("durability".to_owned(), "WAL, synchronous=FULL, group commit".to_owned()),
        ];
        Ok(Health { engine: "sqlite", facts, problems: damage })
    }

    /// What was answered is on the disk, so a restart forgets nothing.
    async fn incarnation(&self) -> Result<Option<String>> {
        Ok(None)
    }

    async fn fenced_runs(&self) -> Result<Vec<RunId>> {
        Ok(Vec::new())
    }

    async fn lift_fence(&self, _: &str) -> Result<()> {
        Ok(())
    }

    async fn read_cell(&self, name: &str) -> Result<Option<String>> {
        let name = name.to_owned();
        self.write("read cell", move |rows| rows.cell(&name)).await
    }

    async fn swap_cell(&self, name: &str, expected: Option<&str>, new: &str) -> Result<bool> {
        let (name, new) = (name.to_owned(), new.to_owned());
        let expected = expected.map(str::to_owned);
        let swap =
            move |rows: &mut SqlRows<'_>| core::swap_cell(rows, &name, expected.as_deref(), &new);
        self.write("change cell", swap).await
    }
}
