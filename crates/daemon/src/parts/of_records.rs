//! The loops that stand between the records and the ledger, put together.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use desk::recorder::Recorder;
use desk::relay::Relay;
use domain::{TenantId, Timestamp};
use futures::FutureExt;
use futures::future::BoxFuture;
use records::{Place, Records};
use scheduler::Snapshot;
use scheduler::snapshot::{self, SnapshotError};
use telemetry::Fault;
use tokio_util::sync::CancellationToken;

use super::Parts;

/// Before records that are away are looked for again.
const LOOK: Duration = Duration::from_secs(2);
/// How long a plan waits until the records have what it is made from.
const KEPT_FIRST: Duration = Duration::from_secs(5);
/// How long a snapshot may take to or from the records.
const KEPT_WITHIN: Duration = Duration::from_secs(60);
/// How long a plan waits for the records.
const HEARD_WITHIN: Duration = Duration::from_secs(3);

impl Parts {
    /// Tells the ledger what the records decide; `None`: asked to stop before they answered.
    pub async fn relay(self: &Arc<Self>, stop: &CancellationToken) -> Option<Relay> {
        Some(self.relay_of(self.records(stop).await?))
    }

    /// Brings what people say into the records; `None`: asked to stop before they answered.
    pub async fn recorder(self: &Arc<Self>, stop: &CancellationToken) -> Result<Option<Recorder>> {
        let Some(records) = self.records(stop).await else { return Ok(None) };
        Ok(Some(Recorder {
            records,
            clock: Arc::clone(&self.clock),
            metrics: Arc::clone(&self.metrics),
            rng: Mutex::new(self.rng()?),
            endpoints: self.believed(),
            tenant: self.tenant.clone(),
        }))
    }

    /// Tells the ledger what still waits in the records, before a run is planned: whoever took a
    /// consent back is left out. Records that are away hold a plan up for no longer than a moment.
    pub(super) async fn hear_the_records(&self) {
        let heard = tokio::time::timeout(HEARD_WITHIN, async {
            let relay = self.relay_of(Records::open(&self.records).await?);
            relay.drain().await?;
            relay.records.close().await;
            Ok::<(), anyhow::Error>(())
        });
        let why = match heard.await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => format!("{error:#}"),
            Err(_) => format!("no answer in {HEARD_WITHIN:?}"),
        };
        tracing::error!("the run is planned without what the records may still have to say: {why}");
    }

    /// Keeps what a run is planned from in records that other hosts can read, before the run is begun:
    /// this host may die in its middle. Returns what is left to wait for after a moment. Records that
    /// do not answer cost nothing but the help of other hosts.
    pub(super) async fn share_snapshot(
        &self,
        snapshot: &Snapshot,
        dir: &Path,
    ) -> Result<Option<BoxFuture<'static, ()>>, SnapshotError> {
        if matches!(self.records, Place::Sqlite(_)) {
            return Ok(None); // a file of this host's
        }
        snapshot.save(dir)?;
        let file = snapshot::path(dir, &snapshot.hash);
        let mut kept =
            keep(self.records.clone(), self.tenant.clone(), file, self.clock.now()).boxed();
        let is_kept = tokio::time::timeout(KEPT_FIRST, &mut kept).await.is_ok();
        Ok(Some(kept).filter(|_| !is_kept))
    }

    /// Gets what another host began to plan a run from, if this host does not have it.
    pub(super) async fn get_snapshot(&self, file: PathBuf) {
        if file.exists() || matches!(self.records, Place::Sqlite(_)) {
            return;
        }
        let got = tokio::time::timeout(KEPT_WITHIN, async {
            let records = Records::open(&self.records).await?;
            let got = desk::snapshots::fetch(&records, &self.tenant, &file).await?;
            records.close().await;
            Ok::<bool, anyhow::Error>(got)
        });
        let why = match got.await {
            Ok(Ok(true)) => return,
            Ok(Ok(false)) => "they do not have it".to_owned(),
            Ok(Err(error)) => format!("{error:#}"),
            Err(_) => format!("no answer in {KEPT_WITHIN:?}"),
        };
        tracing::warn!(
            "what another host began to plan the run from is not to be had from the records: {why}"
        );
    }

    fn relay_of(&self, records: Records) -> Relay {
        Relay {
            records,
            ledger: Arc::clone(&self.ledger),
            clock: Arc::clone(&self.clock),
            metrics: Arc::clone(&self.metrics),
            opt_outs: self.opt_outs(),
            tenant: self.tenant.clone(),
            notes: Some(self.notes.clone()),
        }
    }

    /// Waits for the records as long as it takes: nothing of a morning waits for whoever waits here.
    async fn records(&self, stop: &CancellationToken) -> Option<Records> {
        let mut fault = Fault::default();
        loop {
            match Records::open(&self.records).await {
                Ok(records) => return Some(records),
                Err(error) if fault.met(&error.to_string()) => {
                    tracing::error!(error = %error, "the records are away, and the morning does without them: {error}");
                }
                Err(_) => {}
            }
            stop.run_until_cancelled(tokio::time::sleep(LOOK)).await?;
        }
    }
}

/// In a task of its own: the plan goes on meanwhile.
async fn keep(place: Place, tenant: TenantId, file: PathBuf, now: Timestamp) {
    let kept = tokio::spawn(tokio::time::timeout(KEPT_WITHIN, async move {
        let records = Records::open(&place).await?;
        desk::snapshots::keep(&records, &tenant, &file, now).await?;
        records.close().await;
        Ok::<(), anyhow::Error>(())
    }));
    let why = match kept.await {
        Ok(Ok(Ok(()))) => return,
        Ok(Ok(Err(error))) => format!("{error:#}"),
        Ok(Err(_)) => format!("no answer in {KEPT_WITHIN:?}"),
        Err(error) => error.to_string(),
    };
    tracing::warn!(
        "the records do not have what the run is planned from, so only this host can finish its plan: {why}"
    );
}
