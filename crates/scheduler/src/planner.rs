//! Writes a plan into the ledger: idempotent, resumable, safe to run twice at once.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cloud_api::{CallError, CloudApi, MediaCache};
use domain::{Policy, RunId, Timestamp, Window};
use ledger::{Begun, Ledger, LedgerError, Phase, Run, RunHeader};
use templates::{Header, Media};

use crate::plan::{MediaIds, Plan};
use crate::snapshot::{Snapshot, SnapshotError};

/// Deliveries in one ledger call.
const CHUNK: u32 = 1_000;

/// Where and how a run is planned.
pub struct Planner {
    pub ledger: Arc<dyn Ledger>,
    /// Uploads local media; `None` where the content has none.
    pub api: Option<CloudApi>,
    /// Snapshots and the media cache live here.
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
        source: CallError,
    },
    #[error("run {0} has no recipients: import some first")]
    Nobody(RunId),
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
        snapshot.save(&self.snapshots())?;
        let begun = self.ledger.begin_run(&header(snapshot, frame)).await?;
        let differs = begun.run().header.snapshot != snapshot.hash;
        let run = match begun {
            Begun::Exists(run) if run.phase != Phase::Planning => run,
            Begun::Exists(run) if differs => {
                // Its rows are named by index into the first planner's snapshot.
                let first = Snapshot::load(&self.snapshots(), &run.header.snapshot)?;
                self.write(&first, &run, now, progress).await?
            }
            Begun::Created(run) | Begun::Exists(run) => {
                self.write(snapshot, &run, now, progress).await?
            }
        };
        Ok(PlannedRun { run, differs })
    }

    async fn write(
        &self,
        snapshot: &Snapshot,
        run: &Run,
        now: Timestamp,
        progress: &(dyn Fn(u32) + Sync),
    ) -> Result<Run, PlanError> {
        let (id, window) = (run.header.id.clone(), run.header.window);
        let plan = Plan::new(snapshot, id.clone(), window, now);
        let media = self.upload(&plan, now).await?;
        let mut cursor = run.cursor;
        while cursor < plan.total() {
            let chunk = plan.chunk(cursor, CHUNK, &media);
            cursor = self.ledger.plan_chunk(&id, &chunk).await?;
            progress(cursor);
        }
        Ok(self.ledger.seal(&id).await?)
    }

    /// Makes media ids of all local files, one per file and number.
    async fn upload(&self, plan: &Plan<'_>, now: Timestamp) -> Result<MediaIds, PlanError> {
        let mut ids = MediaIds::default();
        let failed = |source| PlanError::Media { run: plan.run.clone(), source };
        let Some(api) = &self.api else { return Ok(ids) };
        let mut cache = MediaCache::open(self.state_dir.join("media.json"));
        let numbers = &plan.snapshot.campaign.numbers;
        for index in 0..plan.total() {
            let planned = plan.at(index);
            let (Some(lane), Ok(call)) = (planned.lane, planned.call) else { continue };
            let Some(Header::Media { kind, media: Media::Path(path), .. }) = call.header else {
                continue;
            };
            let key = (lane, path.clone());
            if ids.0.contains_key(&key) {
                continue;
            }
            let number = &numbers[usize::from(lane)].id;
            let id = cache.id(api, number, kind, Path::new(&path), now).await.map_err(failed)?;
            ids.0.insert(key, id);
        }
        Ok(ids)
    }

    fn snapshots(&self) -> PathBuf {
        self.state_dir.join("snapshots")
    }
}

fn header(snapshot: &Snapshot, frame: &Frame) -> RunHeader {
    RunHeader {
        id: frame.run.clone(),
        zone: frame.zone.clone(),
        window: frame.window,
        stop_at: frame.stop_at,
        close_at: frame.stop_at + frame.grace,
        lanes: snapshot.campaign.numbers.iter().map(|number| number.id.clone()).collect(),
        total: u32::try_from(snapshot.rows.len()).unwrap_or(u32::MAX),
        snapshot: snapshot.hash.clone(),
        policy: frame.policy.clone(),
        target_ratio: frame.target_ratio,
    }
}

#[cfg(test)]
mod tests;
