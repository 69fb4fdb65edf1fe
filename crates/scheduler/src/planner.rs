//! Writes a plan into the ledger: idempotent, resumable, safe to run twice at once.

mod media;

pub use media::{WantedFile, wanted_files};

use std::cmp::Ordering;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use domain::{Policy, RunId, Timestamp, Window};
use ledger::{Begun, Discarded, Ledger, LedgerError, Phase, Run, RunHeader, WhyKept};
use provider::{ProviderError, Registry};

use crate::kept;
use crate::plan::{MediaIds, Plan};
use crate::snapshot::{Snapshot, SnapshotError};

/// Deliveries in one ledger call.
const CHUNK: usize = 1_000;
/// Raised when the rows of a run follow from its snapshot in another way.
const PLANNING: u16 = 1;

/// Where and how a run is planned.
pub struct Planner {
    pub ledger: Arc<dyn Ledger>,
    /// Upload local media, each for its own number.
    pub providers: Registry,
    /// Snapshots live here.
    pub state_dir: PathBuf,
}

/// What is fixed about a run besides its snapshot.
#[derive(Clone, Debug)]
pub struct Frame {
    pub run: RunId,
    pub zone: String,
    pub window: Window,
    /// Nothing starts after this.
    pub stop_at: Timestamp,
    /// See [`RunHeader::catch_up_until`].
    pub catch_up_until: Option<Timestamp>,
    /// From `stop_at` until undecided attempts become `Unknown`.
    pub grace: Duration,
    pub policy: Policy,
    pub target_ratio: f64,
}

#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error("upload media for run {run}")]
    Media {
        run: RunId,
        #[source]
        source: ProviderError,
    },
    #[error("run {run} is not planned: {path} was replaced while it was uploaded; plan it again")]
    Replaced { run: RunId, path: String },
    #[error("run {0} has no recipients: import some first")]
    Nobody(RunId),
    #[error("run {0} is not planned: nothing can be sent to anybody; `subah plan` says why")]
    NothingToSend(RunId),
    #[error(
        "run {0} is not planned: it was sent from this host, and the ledger does not know it; is this the right store, and was it emptied? `subah recover --rebuild` makes it again"
    )]
    Forgotten(RunId),
    #[error(
        "run {0} is not planned: its window had opened when this host was restored without its journal, so the lost host may have sent it; if you know that it sent nothing, restore again with --nothing-was-sent"
    )]
    Restored(RunId),
    #[error(
        "run {0} was begun by another version of subah, which orders its deliveries in another way: finish planning it with that one"
    )]
    OtherPlanning(RunId),
    #[error("run {0} was just begun by another planner from other files: try again")]
    Overtaken(RunId),
    #[error("run {run} is not planned anew: {why}")]
    Kept { run: RunId, why: WhyKept },
}

/// A planned run, and whether it was planned from other files than the present ones.
#[derive(Debug)]
pub struct PlannedRun {
    pub run: Run,
    pub differs: bool,
}

impl Planner {
    /// Plans the run, or finishes what another planner began, and opens it. `progress` is
    /// told how many deliveries are planned.
    ///
    /// # Errors
    /// When the ledger, a media upload or the snapshot folder fails; run it again.
    pub async fn plan(
        &self,
        snapshot: &Snapshot,
        frame: &Frame,
        now: Timestamp,
        progress: &(dyn Fn(u32) + Sync),
    ) -> Result<PlannedRun, PlanError> {
        if snapshot.rows.is_empty() {
            return Err(PlanError::Nobody(frame.run.clone()));
        }
        // What another planner began stands: its deliveries are numbered by its snapshot.
        let begun = self.ledger.run(&frame.run).await?;
        // A run that the store has lost is made again from its own files once it may have been
        // sent from: what journals and inboxes say of row 7 is about the row 7 of that plan.
        let kept = match begun {
            None => kept::load(&self.snapshots(), &frame.run)?,
            Some(_) => None,
        };
        let lost = kept.filter(|kept| now >= kept.window.opens);
        if let Some(run) = begun.as_ref().filter(|run| run.phase != Phase::Planning) {
            let differs = run.header.snapshot != snapshot.hash;
            return Ok(PlannedRun { run: run.clone(), differs });
        }
        // At most one of the two: a run that the store has is not lost.
        let stands = lost.as_ref().or(begun.as_ref().map(|run| run.header.as_ref()));
        let first = match stands.filter(|header| header.snapshot != snapshot.hash) {
            Some(header) => Some(Snapshot::load(&self.snapshots(), &header.snapshot)?),
            None => None,
        };
        let snapshot = first.as_ref().unwrap_or(snapshot);
        let window = stands.map_or(frame.window, |header| header.window);
        let frame = &Frame { window, ..frame.clone() };
        let plan = Plan::new(snapshot, frame.run.clone(), window, now);
        // Before the run is begun: whatever is wrong can still be put right.
        let media = self.media(&plan, now).await?;
        let header = header(snapshot, frame);
        self.keep(snapshot, &header)?;
        let run = match self.ledger.begin_run(&header).await? {
            Begun::Created(run) | Begun::Exists(run) => run,
        };
        if *run.header != header {
            kept::save(&self.snapshots(), &run.header)?; // another planner was faster
        }
        if run.header.snapshot != snapshot.hash || run.header.window != window {
            return Err(PlanError::Overtaken(frame.run.clone())); // the next try finishes theirs
        }
        if run.phase == Phase::Planning && run.header.planning != PLANNING {
            return Err(PlanError::OtherPlanning(frame.run.clone()));
        }
        let run = self.write(&plan, &run, &media, progress).await?;
        let run = self.ledger.seal(&run.header.id).await?;
        Ok(PlannedRun { run, differs: first.is_some() })
    }

    /// Makes the rows of a run again that the store has lost, as it was planned on this host.
    /// It is not sealed: what is known of it comes first.
    ///
    /// # Errors
    /// As [`Planner::plan`]; when its snapshot is not kept here any more.
    pub async fn rebuild(&self, header: &RunHeader) -> Result<Run, PlanError> {
        let snapshot = Snapshot::load(&self.snapshots(), &header.snapshot)?;
        let window = header.window;
        let plan = Plan::new(&snapshot, header.id.clone(), window, window.opens);
        let media = self.media(&plan, window.opens).await?;
        if header.planning != PLANNING {
            return Err(PlanError::OtherPlanning(header.id.clone()));
        }
        let run = match self.ledger.begin_run(header).await? {
            Begun::Created(run) | Begun::Exists(run) => run,
        };
        if run.header.snapshot != header.snapshot {
            return Err(PlanError::Overtaken(header.id.clone()));
        }
        self.write(&plan, &run, &media, &|_| {}).await
    }

    /// Throws a sealed plan away and plans the run from `snapshot`; only before its window
    /// opens. What is wrong with the new one is found first: the old plan stands then.
    ///
    /// # Errors
    /// As [`Planner::plan`], and when the old plan may have been sent from.
    pub async fn replan(
        &self,
        snapshot: &Snapshot,
        frame: &Frame,
        now: Timestamp,
    ) -> Result<PlannedRun, PlanError> {
        if snapshot.rows.is_empty() {
            return Err(PlanError::Nobody(frame.run.clone()));
        }
        let plan = Plan::new(snapshot, frame.run.clone(), frame.window, now);
        self.media(&plan, now).await?;
        snapshot.save(&self.snapshots())?;
        if let Discarded::Kept(why) = self.ledger.discard(&frame.run).await? {
            return Err(PlanError::Kept { run: frame.run.clone(), why });
        }
        kept::forget(&self.snapshots(), &frame.run)?;
        self.plan(snapshot, frame, now, &|_| {}).await
    }

    /// Puts on the disk what the run can be made again from, before it is begun. Both files at once:
    /// they share the disk's syncs.
    fn keep(&self, snapshot: &Snapshot, header: &RunHeader) -> Result<(), SnapshotError> {
        let dir = self.snapshots();
        std::thread::scope(|scope| {
            let header = scope.spawn(|| kept::save(&dir, header));
            snapshot.save(&dir)?;
            header.join().expect("a small file is written without a panic")
        })
    }

    async fn write(
        &self,
        plan: &Plan<'_>,
        run: &Run,
        media: &MediaIds,
        progress: &(dyn Fn(u32) + Sync),
    ) -> Result<Run, PlanError> {
        let order = plan.order();
        let chunk = |from: u32| {
            let rest = order.get(from as usize..).filter(|rest| !rest.is_empty())?;
            Some(plan.chunk(from, &rest[..rest.len().min(CHUNK)], media))
        };
        let mut next = Some(run.cursor).filter(|_| run.phase == Phase::Planning).and_then(chunk);
        while let Some(present) = next {
            let end = present.from + u32::try_from(present.rows.len()).unwrap_or(u32::MAX);
            // The following one is made while the store takes this one.
            let write = self.ledger.plan_chunk(&run.header.id, &present);
            let (cursor, following) = tokio::join!(biased; write, async { chunk(end) });
            let cursor = cursor?;
            progress(cursor);
            next = match cursor.cmp(&end) {
                Ordering::Equal => following,
                Ordering::Greater => chunk(cursor), // another planner is ahead
                Ordering::Less => break,            // nobody may plan it any more
            };
        }
        Ok(run.clone())
    }

    /// Where snapshots are kept.
    pub fn snapshots(&self) -> PathBuf {
        self.state_dir.join("snapshots")
    }
}

fn header(snapshot: &Snapshot, frame: &Frame) -> RunHeader {
    RunHeader {
        id: frame.run.clone(),
        kind: ledger::RunKind::Planned,
        zone: frame.zone.clone(),
        window: frame.window,
        stop_at: frame.stop_at,
        close_at: frame.stop_at + frame.grace,
        catch_up_until: frame.catch_up_until,
        lanes: snapshot.campaign.numbers.iter().map(|number| number.id.clone()).collect(),
        total: u32::try_from(snapshot.rows.len()).unwrap_or(u32::MAX),
        snapshot: snapshot.hash.clone(),
        planning: PLANNING,
        policy: frame.policy.clone(),
        target_ratio: frame.target_ratio,
    }
}

#[cfg(test)]
mod tests;
