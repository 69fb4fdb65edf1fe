//! The one thread that writes, and its group commit.
//!
//! All jobs that wait are run in one transaction, each inside a savepoint of its own; each
//! is answered after the commit. A job that fails is undone alone. When the commit fails,
//! every job of the group is answered with an error: calls are idempotent, so callers
//! repeat them.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::oneshot;

use crate::error::{LedgerError, Result};
use crate::sqlite::cache::Cache;
use crate::sqlite::failed;
use crate::sqlite::rows::SqlRows;

/// Jobs in one transaction: enough to share an fsync, few enough that none waits long.
const GROUP_MAX: usize = 1_024;
/// Jobs that may wait; beyond it callers wait too.
const QUEUE_MAX: usize = 8_192;

/// Runs inside the transaction; true when it worked.
type Work = Box<dyn FnOnce(&mut SqlRows<'_>) -> bool + Send>;
/// Runs after it, with whether the commit is on the disk.
type Answer = Box<dyn FnOnce(bool) + Send>;

struct Job {
    work: Work,
    answer: Answer,
}

pub struct Writer {
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub fn start(conn: Connection) -> Self {
        let (jobs, inbox) = sync_channel(QUEUE_MAX);
        let thread = std::thread::Builder::new()
            .name("ledger-writer".to_owned())
            .spawn(move || serve(conn, &inbox))
            .expect("the system can start one more thread");
        Writer { jobs: Some(jobs), thread: Some(thread) }
    }

    /// Runs `job` in the next group and answers once it is durable.
    ///
    /// # Errors
    /// The job's own error; `Unavailable` when the group it was in could not be committed.
    pub async fn run<T: Send + 'static>(
        &self,
        doing: &'static str,
        job: impl FnOnce(&mut SqlRows<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (tell, told) = oneshot::channel();
        let slot = std::sync::Arc::new(std::sync::Mutex::new(None));
        let filled = std::sync::Arc::clone(&slot);
        let work = Box::new(move |rows: &mut SqlRows<'_>| {
            let done = job(rows);
            let worked = done.is_ok();
            *filled.lock().expect("only this thread writes the slot") = Some(done);
            worked
        });
        let answer = Box::new(move |committed: bool| {
            let done = slot.lock().expect("the job is over").take();
            let reply = match done {
                Some(Err(error)) => Err(error),
                Some(Ok(value)) if committed => Ok(value),
                _ => Err(undone(doing)),
            };
            let _ = tell.send(reply); // the caller may have gone
        });
        let jobs = self.jobs.as_ref().expect("the writer lives as long as the ledger");
        if jobs.try_send(Job { work, answer }).is_err() {
            return Err(undone(doing));
        }
        told.await.unwrap_or_else(|_| Err(undone(doing)))
    }
}

impl Drop for Writer {
    /// Lets the waiting jobs finish.
    fn drop(&mut self) {
        self.jobs.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn undone(doing: &'static str) -> LedgerError {
    let cause = "the group of writes that this one was in was undone, or too many are waiting";
    LedgerError::Unavailable { engine: "sqlite", doing, cause: cause.to_owned() }
}

fn serve(mut conn: Connection, inbox: &Receiver<Job>) {
    let mut cache = Cache::default();
    while let Ok(first) = inbox.recv() {
        let group: Vec<Job> =
            std::iter::once(first).chain(inbox.try_iter().take(GROUP_MAX - 1)).collect();
        let run = std::panic::AssertUnwindSafe(|| run_group(&mut conn, &mut cache, group));
        if std::panic::catch_unwind(run).is_err() {
            // Its transaction is undone and its callers are told; what was remembered may be
            // of it.
            tracing::error!("a write to the ledger panicked: its group is undone");
            cache = Cache::default();
        }
    }
}

fn run_group(conn: &mut Connection, cache: &mut Cache, group: Vec<Job>) {
    let mut answers = Vec::with_capacity(group.len());
    let mut committed = false;
    match conn.transaction_with_behavior(TransactionBehavior::Immediate) {
        Ok(transaction) => {
            // When SQLite itself has undone the transaction (a full disk), whatever ran after
            // it would be committed on its own: nothing more is run, and all is undone.
            let mut sound = version(&transaction).map(|v| cache.begin(v)).map_err(report).is_ok();
            for job in group {
                sound = sound && run_job(&transaction, cache, job.work).map_err(report).is_ok();
                answers.push(job.answer);
            }
            committed = sound && commit(transaction, cache);
        }
        Err(error) => {
            report(error);
            answers.extend(group.into_iter().map(|job| job.answer));
        }
    }
    if !committed {
        *cache = Cache::default(); // it may hold what was undone
    }
    for answer in answers {
        answer(committed);
    }
}

fn commit(transaction: Transaction<'_>, cache: &mut Cache) -> bool {
    if let Err(error) = SqlRows::new(&transaction, cache).flush() {
        tracing::error!(error = %error, "ledger: {error}");
        return false;
    }
    transaction.commit().map_err(report).is_ok()
}

/// Changes when another connection has written.
fn version(conn: &Connection) -> rusqlite::Result<i64> {
    conn.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))
}

/// # Errors
/// When the transaction can not be gone on with.
fn run_job(conn: &Connection, cache: &mut Cache, work: Work) -> rusqlite::Result<()> {
    conn.prepare_cached("SAVEPOINT job")?.execute([])?;
    if !work(&mut SqlRows::new(conn, cache)) {
        conn.prepare_cached("ROLLBACK TO job")?.execute([])?;
        cache.clear(); // it may hold what was undone
    }
    cache.keep();
    conn.prepare_cached("RELEASE job")?.execute([]).map(drop)
}

fn report(error: rusqlite::Error) {
    let error = failed("commit", error);
    tracing::error!(error = %error, "ledger: {error}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::Rows;
    use crate::sqlite::prepare;

    #[tokio::test]
    async fn a_group_that_sqlite_gave_up_is_undone_as_a_whole() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut conn = Connection::open(file.path()).unwrap();
        prepare(&mut conn).unwrap();
        let pages: i64 = conn.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
        conn.pragma_update(None, "max_page_count", pages + 4).unwrap(); // a disk that is full
        let writer = Writer::start(conn);
        let put = |name: &'static str, bytes: usize| {
            writer.run("test", move |rows| rows.put_cell(name, &"x".repeat(bytes)))
        };
        // While one job holds the writer, the others gather into one group.
        let (begun, begins) = oneshot::channel();
        let (go, wait) = std::sync::mpsc::channel();
        let hold = writer.run("test", move |_| {
            begun.send(()).unwrap();
            wait.recv().unwrap();
            Ok(())
        });
        let gather = async {
            begins.await.unwrap();
            let go = async { go.send(()).unwrap() };
            tokio::join!(biased; put("a", 1), put("big", 1_000_000), put("c", 1), go)
        };
        let (held, (a, big, c, ())) = tokio::join!(hold, gather);
        held.unwrap();
        assert!(a.is_err() && big.is_err() && c.is_err(), "{a:?}, {big:?}, {c:?}");
        let kept = writer.run("test", |rows| Ok((rows.cell("a")?, rows.cell("c")?))).await;
        assert_eq!(kept.unwrap(), (None, None), "what was answered with an error is not there");
        put("d", 1).await.unwrap();
    }
}
