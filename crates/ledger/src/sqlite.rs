//! The embedded engine: one file, one writer thread, group commit, nothing to install.
//!
//! Writes wait in a channel; the writer takes all that are there, runs them in one
//! transaction and answers after its fsync. Reads of single runs go through the same
//! thread, so they see every answered write; long listings use a connection of their own.

mod cache;
mod columns;
mod reads;
mod rows;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::NaiveDate;
use domain::{Clock, NumberId, RunId, State, Timestamp};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::api::{
    Amended, Amendment, Appended, Applied, AttemptResult, Begun, Claimed, Counts, DeliveryView,
    Discarded, Filter, Health, IntentAnswer, IntentRequest, Ledger, NewRow, Phase, PlanChunk,
    Purged, Release, RowKey, Run, RunHeader, Swept, WebhookFact,
};
use crate::body_hash::BodyHash;
use crate::core::{self, Rows};
use crate::error::{LedgerError, Result};
use crate::sqlite::rows::SqlRows;
use crate::sqlite::writer::Writer;

/// Bumped when a table changes its shape, or what stands in it would be misread by the version before.
const SCHEMA: u32 = 5;
/// How long a second process on the same file waits for the first one's commit.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

pub struct Sqlite {
    path: PathBuf,
    /// Of the file that is open.
    inode: Option<u64>,
    clock: Arc<dyn Clock>,
    writer: Writer,
}

impl Sqlite {
    /// Opens or makes the file; its folder must exist.
    ///
    /// # Errors
    /// When the file cannot be opened, is no database, or was written by another version.
    pub fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self> {
        let mut conn = Connection::open(path).map_err(|e| failed("open the ledger", e))?;
        prepare(&mut conn)?;
        let inode = inode(path);
        Ok(Sqlite { path: path.to_owned(), inode, clock, writer: Writer::start(conn) })
    }

    /// Copies the whole ledger, as it is at one instant, into a new file; others may write
    /// meanwhile.
    ///
    /// # Errors
    /// When the file is there, or cannot be written.
    pub fn copy_to(&self, to: &Path) -> Result<()> {
        let copy = |e| failed("copy the ledger", e);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(&self.path, flags).map_err(copy)?;
        conn.busy_timeout(BUSY_TIMEOUT).map_err(copy)?;
        conn.execute("VACUUM INTO ?1", [to.to_string_lossy()]).map_err(copy)?;
        Ok(())
    }

    /// Moves everything of the write-ahead log of a file that nobody has open into the file.
    ///
    /// # Errors
    /// When somebody has it open, or the disk refuses.
    pub fn fold_log(path: &Path) -> Result<()> {
        let fold = |e| failed("fold the ledger's log", e);
        let conn = Connection::open(path).map_err(fold)?;
        conn.busy_timeout(BUSY_TIMEOUT).map_err(fold)?;
        conn.pragma_update(None, "journal_mode", "DELETE").map_err(fold)
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

fn prepare(conn: &mut Connection) -> Result<()> {
    let open = |e| failed("open the ledger", e);
    conn.busy_timeout(BUSY_TIMEOUT).map_err(open)?;
    conn.pragma_update(None, "journal_mode", "WAL").map_err(open)?;
    conn.pragma_update(None, "synchronous", "FULL").map_err(open)?;
    // A plan holds whatever is bound: else some statements are prepared anew each time.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(open)?;
    conn.pragma_update(None, "cache_size", -32_768).map_err(open)?; // 32 MiB
    if version(conn)? != SCHEMA {
        upgrade(conn)?;
    }
    conn.set_prepared_statement_cache_capacity(64);
    Ok(())
}

fn version(conn: &Connection) -> Result<u32> {
    let found = conn.pragma_query_value(None, "user_version", |row| row.get(0));
    found.map_err(|e| failed("open the ledger", e))
}

/// The new shape and its number come in one transaction: whoever is killed in it, or comes
/// second, finds the old one or the new one.
fn upgrade(conn: &mut Connection) -> Result<()> {
    let upgrade = |e| failed("upgrade the ledger", e);
    let step = conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(upgrade)?;
    let found = version(&step)?;
    let changes: &[&str] = match found {
        SCHEMA => return Ok(()), // another process was faster
        0 => &[],
        1 => &[include_str!("sqlite/from_1.sql"), include_str!("sqlite/from_3.sql")],
        2 => &[include_str!("sqlite/from_2.sql"), include_str!("sqlite/from_3.sql")],
        3 => &[include_str!("sqlite/from_3.sql")],
        // The same tables; what is said in them is new to the version before.
        4 => &[],
        newer => return Err(other_schema(newer)),
    };
    for change in changes {
        step.execute_batch(change).map_err(upgrade)?;
    }
    step.execute_batch(include_str!("sqlite/schema.sql")).map_err(upgrade)?;
    step.pragma_update(None, "user_version", SCHEMA).map_err(upgrade)?;
    step.commit().map_err(upgrade)
}

/// Which file is at a path; `None`: none.
fn inode(path: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).ok().map(|file| file.ino())
}

fn other_schema(found: u32) -> LedgerError {
    LedgerError::Schema { engine: "sqlite", found: found.to_string(), wanted: SCHEMA }
}

/// Names what was being done; a full disk has its own error.
fn failed(doing: &'static str, source: rusqlite::Error) -> LedgerError {
    if source.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull) {
        return LedgerError::Full { engine: "sqlite", doing };
    }
    LedgerError::unavailable("sqlite", doing, &source)
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

    async fn append(&self, run: &RunId, new: &[NewRow]) -> Result<Vec<Appended>> {
        let (run, new, clock) = (run.clone(), new.to_vec(), Arc::clone(&self.clock));
        self.write("append rows", move |rows| core::append(rows, &run, &new, clock.now())).await
    }

    async fn by_keys(&self, run: &RunId, keys: &[RowKey]) -> Result<Vec<Option<u32>>> {
        let (run, keys) = (run.clone(), keys.to_vec());
        self.write("look for keys", move |rows| core::by_keys(rows, &run, &keys)).await
    }

    async fn to_people(&self, run: &RunId, people: &[String]) -> Result<Vec<u32>> {
        let (run, people) = (run.clone(), people.to_vec());
        self.write("look for people", move |rows| core::to_people(rows, &run, &people)).await
    }

    async fn doubt_rows(&self, run: &RunId) -> Result<Run> {
        let (run, now) = (run.clone(), self.clock.now());
        self.write("doubt rows", move |rows| core::doubt_rows(rows, &run, now)).await
    }

    async fn add_lanes(&self, run: &RunId, lanes: &[NumberId]) -> Result<Run> {
        let (run, lanes) = (run.clone(), lanes.to_vec());
        self.write("add lanes", move |rows| core::add_lanes(rows, &run, &lanes)).await
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

    async fn purge(&self, run: &RunId, limit: usize) -> Result<Purged> {
        let (run, clock) = (run.clone(), Arc::clone(&self.clock));
        self.write("purge run", move |rows| core::purge(rows, &run, limit, clock.now())).await
    }

    async fn run(&self, run: &RunId) -> Result<Option<Run>> {
        let run = run.clone();
        self.write("read run", move |rows| rows.run(&run)).await
    }

    async fn runs_since(&self, date: NaiveDate) -> Result<Vec<Run>> {
        self.write("list runs", move |rows| rows.runs_since("", date)).await
    }

    async fn active_runs(&self) -> Result<Vec<Run>> {
        self.write("list runs", move |rows| {
            rows.runs_since("WHERE phase != 'closed'", NaiveDate::MIN)
        })
        .await
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
        let (releases, now) = (releases.to_vec(), self.clock.now());
        self.write("release claims", move |rows| core::release(rows, &releases, now)).await
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

    async fn content(&self, run: &RunId, hash: &BodyHash) -> Result<Arc<str>> {
        let (run, hash) = (run.clone(), hash.clone());
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

    async fn count_anew(&self, run: &RunId) -> Result<()> {
        let run = run.clone();
        self.write("count deliveries anew", move |rows| rows.count_anew(&run)).await
    }

    async fn check_schema(&self) -> Result<()> {
        if inode(&self.path) != self.inode {
            return Err(LedgerError::Gone { path: self.path.clone() });
        }
        let found = self.read("read the schema", |rows| rows.schema()).await?;
        if found == SCHEMA { Ok(()) } else { Err(other_schema(found)) }
    }

    async fn run_ids(&self) -> Result<Vec<RunId>> {
        self.write("list runs", |rows| rows.run_ids("")).await
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

#[cfg(test)]
mod tests {
    use super::*;
    use domain::SystemClock;

    /// The tables of schema 1, as its last version made them.
    const FIRST: &str = "CREATE TABLE runs (key INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,
        header TEXT NOT NULL, phase TEXT NOT NULL, cursor INTEGER NOT NULL, sealed_at INTEGER,
        started_at INTEGER) STRICT;
        CREATE TABLE deliveries (run INTEGER NOT NULL, idx INTEGER NOT NULL, lane INTEGER NOT NULL,
        state TEXT NOT NULL, due INTEGER, look INTEGER, record TEXT NOT NULL, message TEXT NOT NULL,
        PRIMARY KEY (run, idx)) STRICT, WITHOUT ROWID; PRAGMA user_version = 1";

    fn open(path: &Path) -> Result<Sqlite> {
        Sqlite::open(path, Arc::new(SystemClock))
    }

    #[test]
    fn a_process_that_dies_inside_an_upgrade_leaves_the_old_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.db");
        let mut conn = Connection::open(&path).unwrap();
        conn.execute_batch(FIRST).unwrap();
        let step = conn.transaction().unwrap();
        step.execute_batch(include_str!("sqlite/from_1.sql")).unwrap();
        drop(step); // undone, as the file's next reader does for a process that is gone
        drop(conn);
        open(&path).unwrap();
        open(&path).unwrap();
    }

    #[test]
    fn many_processes_upgrade_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.db");
        Connection::open(&path).unwrap().execute_batch(FIRST).unwrap();
        std::thread::scope(|scope| {
            let opened: Vec<_> = (0..8).map(|_| scope.spawn(|| open(&path).map(drop))).collect();
            opened.into_iter().for_each(|one| one.join().unwrap().unwrap());
        });
        let conn = Connection::open(&path).unwrap();
        assert_eq!(version(&conn).unwrap(), SCHEMA);
        conn.pragma_update(None, "user_version", SCHEMA + 1).unwrap();
        assert!(matches!(open(&path), Err(LedgerError::Schema { .. })));
        assert_eq!(version(&conn).unwrap(), SCHEMA + 1, "a newer file is left as it is");
    }
}
