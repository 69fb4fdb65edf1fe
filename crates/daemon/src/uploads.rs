//! Uploads the pictures of the next runs ahead of their plans, a few a minute: two thousand of them for
//! four numbers are no work for the half hour before a window.
//!
//! Invariant: nothing is uploaded around a window; what fails here is tried again, and once more when the
//! run is planned.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use chrono::NaiveDate;
use config::{CampaignConfig, Config};
use desk::files::Files;
use desk::sets::Set;
use domain::campaign::CampaignId;
use domain::{Clock, RunId};
use scheduler::Plan;
use scheduler::daily::Due;
use scheduler::planner::{WantedFile, wanted_files};
use telemetry::Fault;
use telemetry::labels::Loop;
use tokio_util::sync::CancellationToken;

use crate::keeping;
use crate::parts::Parts;

/// How often it is looked for something new.
const LOOK: Duration = Duration::from_secs(10);
/// Uploads in one look of one campaign: with [`LOOK`] 180 a minute, below what Meta allows an app.
const AT_ONCE: usize = 30;

/// What is known of a campaign's next run.
#[derive(Default)]
struct Ahead {
    /// Date and time of the content that `wanted` was made from.
    of: Option<(NaiveDate, SystemTime)>,
    wanted: VecDeque<WantedFile>,
    /// Files that Meta would not take: said once, and left to the plan.
    refused: BTreeSet<String>,
    fault: Fault,
}

/// Until `stop`.
pub async fn run(config: &Config, parts: &Parts, stop: CancellationToken) {
    let mut all: BTreeMap<CampaignId, Ahead> = BTreeMap::new();
    loop {
        if stop.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_none() {
            return;
        }
        for one in &config.campaigns {
            let ahead = all.entry(one.campaign.id.clone()).or_default();
            if let Err(error) = look(config, parts, one, ahead).await {
                let (id, chain) = (&one.campaign.id, format!("{error:#}"));
                if ahead.fault.met(&chain) {
                    tracing::warn!(campaign = %id, error = chain, "pictures of the next run of {id} are not uploaded yet: {chain}");
                }
            }
        }
        let waiting: usize = all.values().map(|ahead| ahead.wanted.len()).sum();
        parts.metrics.process.uploads_waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        let at = parts.clock.now().secs_f64();
        parts.metrics.process.loop_success.of(Loop::Uploads).set(at);
    }
}

async fn look(
    config: &Config,
    parts: &Parts,
    one: &CampaignConfig,
    ahead: &mut Ahead,
) -> Result<()> {
    let now = parts.clock.now();
    let Due::Wait { date, .. } = one.daily.due(now, |_| false) else {
        ahead.wanted.clear(); // the plan does it, or has done it
        return Ok(());
    };
    if one.campaign.media_kind().is_none() || !keeping::are_quiet(config, now) {
        return Ok(());
    }
    let content = Files::of(config).copies().path(&Set::Content(one.campaign.id.clone(), date));
    let Ok(written) = std::fs::metadata(&content).and_then(|seen| seen.modified()) else {
        return Ok(()); // nothing is imported for that date yet
    };
    if ahead.of != Some((date, written)) {
        ahead.wanted = wanted(config, parts, one, date).await?.into();
        ahead.of = Some((date, written));
        ahead.refused.clear();
        if !ahead.wanted.is_empty() {
            let (id, n) = (&one.campaign.id, ahead.wanted.len());
            tracing::info!(campaign = %id, "{n} uploads are made ahead for the run of {id} of {date}");
        }
    }
    upload_some(parts, one, ahead).await
}

/// What the run would need, as it is planned now; without it where the zone has no such date.
async fn wanted(
    config: &Config,
    parts: &Parts,
    one: &CampaignConfig,
    date: NaiveDate,
) -> Result<Vec<WantedFile>> {
    let Some(window) = one.daily.window.on(date) else { return Ok(Vec::new()) };
    let taken = Files::of(config).snapshot(config, one, date).await?;
    let run = RunId::new(&one.campaign.id, date);
    Ok(wanted_files(&Plan::new(&taken.snapshot, run, window, parts.clock.now())))
}

/// Those that are needed first; one file that is no good holds up no other.
async fn upload_some(parts: &Parts, one: &CampaignConfig, ahead: &mut Ahead) -> Result<()> {
    for _ in 0..AT_ONCE {
        let Some(next) = ahead.wanted.front().cloned() else { return Ok(()) };
        let WantedFile { path, number, kind, .. } = next;
        if !ahead.refused.contains(&path)
            && let Some(provider) = parts.provider(&number)
        {
            let made = provider.media_id(&number, kind, Path::new(&path), parts.clock.now()).await;
            match made {
                Ok(_) => {
                    ahead.fault.over();
                }
                Err(error) if error.is_about_the_object => {
                    let id = &one.campaign.id;
                    tracing::error!(campaign = %id, "a file of the next run of {id} is not taken: {error}");
                    ahead.refused.insert(path);
                }
                Err(error) => return Err(error.into()), // the same again in a moment
            }
        }
        ahead.wanted.pop_front();
    }
    Ok(())
}
