//! The ledger's trait and the words it speaks.

mod delivery;
mod rolling;
mod run;

use std::sync::Arc;

use async_trait::async_trait;
use chrono::NaiveDate;
use domain::{DeliveryId, NumberId, RunId, State, Timestamp};

pub use self::delivery::{
    Amended, Amendment, Applied, AttemptResult, Change, Claim, Claimed, Counts, DeliveryView,
    Filter, IntentAnswer, IntentRequest, Note, Refusal, Release, RetryIn, Swept, WebhookFact,
};
pub use self::rolling::{
    APPEND_MAX, Appended, DUE_AHEAD_MAX, NewRow, NotAppended, RowKey, not_appended,
};
pub use self::run::{
    Begun, Discarded, Envelope, Phase, PlanChunk, PlanRow, Purged, Run, RunHeader, RunKind,
    WhyKept, is_purgeable, maybe_recoverable_since,
};
use crate::body_hash::BodyHash;
use crate::error::Result;

/// How safe the store is, in words for `check`.
#[derive(Clone, Debug, Default)]
pub struct Health {
    pub engine: &'static str,
    /// Facts worth showing: version, file, durability.
    pub facts: Vec<(String, String)>,
    /// Settings that could lose acknowledged writes.
    pub problems: Vec<String>,
}

/// Facts in one call: bounds the time that it takes.
const FACTS_MAX: usize = 500;

/// The truth about every delivery. All calls are idempotent; time is the store's own.
///
/// # Errors
/// Every call may answer [`LedgerError::Unavailable`](crate::LedgerError::Unavailable); repeat it.
#[async_trait]
pub trait Ledger: Send + Sync {
    fn engine(&self) -> &'static str;

    /// The store's clock.
    async fn now(&self) -> Result<Timestamp>;

    /// Inserts the run if no one did. A rolling one is open at once.
    async fn begin_run(&self, header: &RunHeader) -> Result<Begun>;

    /// Inserts the rows that are not there and moves the cursor, in one step. Returns the
    /// cursor. A chunk that lies below the cursor changes nothing.
    async fn plan_chunk(&self, run: &RunId, chunk: &PlanChunk) -> Result<u32>;

    /// Opens a completely planned run; again does no harm.
    async fn seal(&self, run: &RunId) -> Result<Run>;

    /// Adds rows to a rolling run, each in one step with its key, at most [`APPEND_MAX`] in one
    /// call. A key that is there answers its delivery. Nothing is added to a store that may have
    /// forgotten a key: see [`LedgerError::StoreRestarted`](crate::LedgerError::StoreRestarted).
    async fn append(&self, run: &RunId, rows: &[NewRow]) -> Result<Vec<Appended>>;

    /// Which deliveries of a rolling run stand under these keys.
    async fn by_keys(&self, run: &RunId, keys: &[RowKey]) -> Result<Vec<Option<u32>>>;

    /// Deliveries of a rolling run to any of these people, by index; people by their hashes, as
    /// [`opt_outs::hashes`](crate::opt_outs::hashes) makes them.
    async fn to_people(&self, run: &RunId, people: &[String]) -> Result<Vec<u32>>;

    /// Notes that the store may have forgotten rows of a rolling run, and nobody is left who knows
    /// of them: see [`Run::rows_doubted_at`].
    async fn doubt_rows(&self, run: &RunId) -> Result<Run>;

    /// Adds numbers to a run's lanes, after those that it has; one that is there stays.
    async fn add_lanes(&self, run: &RunId, lanes: &[NumberId]) -> Result<Run>;

    /// Notes that a sender took the run up; the first one counts.
    async fn mark_started(&self, run: &RunId) -> Result<Run>;

    async fn set_phase(&self, run: &RunId, phase: Phase) -> Result<Run>;

    /// Forgets a sealed run of which nothing was ever in a sender's hands, so that the same
    /// date can be planned anew; only before its window opens.
    async fn discard(&self, run: &RunId) -> Result<Discarded>;

    /// Removes a run that is closed and not recoverable any more, at most `limit` of its
    /// deliveries in one call. News of them is news of unknown deliveries then.
    async fn purge(&self, run: &RunId, limit: usize) -> Result<Purged>;

    async fn run(&self, run: &RunId) -> Result<Option<Run>>;

    /// Runs of this civil date and later, oldest first; reads no others.
    async fn runs_since(&self, date: NaiveDate) -> Result<Vec<Run>>;

    /// All runs, oldest first: for people. Loops ask for those of the last days.
    async fn runs(&self) -> Result<Vec<Run>> {
        self.runs_since(NaiveDate::MIN).await
    }

    /// Runs that are not closed: what loops look at many times a minute.
    async fn active_runs(&self) -> Result<Vec<Run>>;

    /// Leases up to `k` due deliveries of a lane, earliest first, and tells when the next
    /// claim can succeed; with `k` 0 only that.
    async fn claim(&self, lane: &NumberId, k: usize) -> Result<Claimed>;

    /// Asks leave to send, in a strict compare-and-set. Refused or unanswered: do not send.
    async fn intent(&self, requests: &[IntentRequest]) -> Result<Vec<IntentAnswer>>;

    /// Records outcomes by nonce; returns the states that follow.
    async fn result(&self, results: &[AttemptResult]) -> Result<Vec<State>>;

    /// Gives claims back untried. A lease that is no longer ours is left alone.
    async fn release(&self, releases: &[Release]) -> Result<()>;

    /// Merges webhook facts.
    async fn apply(&self, facts: &[WebhookFact]) -> Result<Vec<Applied>>;

    /// Changes deliveries by hand; each is judged alone.
    async fn amend(&self, amendments: &[Amendment]) -> Result<Vec<Amended>>;

    /// Opens a run whose window is over once more, for deliveries that are put back. One
    /// that is open, or reopened for longer, stays as it is.
    async fn reopen(&self, run: &RunId, until: Timestamp) -> Result<Run>;

    /// Frees expired leases, turns lost intents into doubt, ends what the window left over.
    async fn sweep(&self, run: &RunId, limit: usize) -> Result<Swept>;

    /// The counters that every state change keeps.
    async fn counts(&self, run: &RunId) -> Result<Counts>;

    /// The same, counted row by row: must always be equal.
    async fn recount(&self, run: &RunId) -> Result<Counts>;

    /// Deliveries by index, after `after`.
    async fn list(
        &self,
        run: &RunId,
        filter: &Filter,
        after: Option<u32>,
        limit: usize,
    ) -> Result<Vec<DeliveryView>>;

    /// What was planned to be said, by its hash; empty when there is none.
    async fn content(&self, run: &RunId, hash: &BodyHash) -> Result<Arc<str>>;

    async fn health(&self) -> Result<Health>;

    /// Names the store's incarnation where a new one may have forgotten answered writes;
    /// `None` where that cannot be.
    async fn incarnation(&self) -> Result<Option<String>>;

    /// Sets a run's counters to a recount: after damage that did not tell which state it was in.
    async fn count_anew(&self, run: &RunId) -> Result<()>;

    /// Whether this program may still write to the store.
    ///
    /// # Errors
    /// [`LedgerError::Schema`](crate::LedgerError::Schema) when another version has changed its shape meanwhile,
    /// [`LedgerError::Gone`](crate::LedgerError::Gone) when what is open is not the ledger any more.
    async fn check_schema(&self) -> Result<()>;

    /// Ids of every run, those that cannot be read among them.
    async fn run_ids(&self) -> Result<Vec<RunId>>;

    /// Runs of the last days that were last sent from under another incarnation: what is
    /// known about them must be merged, and those that are open are not sent from before.
    async fn fenced_runs(&self) -> Result<Vec<RunId>>;

    /// Lets all of them go on under `incarnation`, if it still is the store's.
    async fn lift_fence(&self, incarnation: &str) -> Result<()>;

    /// A small named text: what processes share beside deliveries. See [`crate::cell`].
    async fn read_cell(&self, name: &str) -> Result<Option<String>>;

    /// Replaces a cell that is still as `expected`; false when it is not.
    async fn swap_cell(&self, name: &str, expected: Option<&str>, new: &str) -> Result<bool>;
}

/// Applies any number of facts, a bounded number in one call.
///
/// # Errors
/// As every ledger call; what was applied before stays, and may be applied again.
pub async fn apply_all(ledger: &dyn Ledger, facts: &[WebhookFact]) -> Result<Vec<Applied>> {
    let mut applied = Vec::with_capacity(facts.len());
    for chunk in facts.chunks(FACTS_MAX) {
        applied.extend(ledger.apply(chunk).await?);
    }
    Ok(applied)
}

/// Deliveries read in one call of [`for_each`]: bounds its memory.
const PAGE: usize = 5_000;

/// Reads all deliveries of a run that the filter admits, by index.
///
/// # Errors
/// As every ledger call; those before it were told.
pub async fn for_each(
    ledger: &dyn Ledger,
    run: &RunId,
    filter: &Filter,
    mut tell: impl FnMut(&DeliveryView) + Send,
) -> Result<()> {
    let mut after = None;
    loop {
        let page = ledger.list(run, filter, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.id.index);
        page.iter().for_each(&mut tell);
    }
}

/// Reads one delivery, or `None`.
///
/// # Errors
/// As every ledger call.
pub async fn find(ledger: &dyn Ledger, id: &DeliveryId) -> Result<Option<DeliveryView>> {
    let after = id.index.checked_sub(1);
    let found = ledger.list(&id.run, &Filter::default(), after, 1).await?;
    Ok(found.into_iter().find(|view| view.id == *id))
}
