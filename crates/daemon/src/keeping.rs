//! Lets go of what is older than its age, so that memory, disk and start-up do not grow with
//! history: runs are exported and purged from the ledger, then contents and snapshots go.
//!
//! Invariants: nothing is let go of around a window, or by a clock that nobody confirms; a run is
//! purged only when its export is on the disk; one run that cannot be exported costs that run.

use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use chrono::NaiveDate;
use config::Config;
use desk::purge::{let_go, old_runs};
use desk::store;
use domain::{Clock, RunId, Timestamp};
use ledger::{Ledger, maybe_recoverable_since};
use records::Place;
use scheduler::daily::Daily;
use scheduler::kept;
use telemetry::Fault;
use tokio_util::sync::CancellationToken;

use crate::clocks;
use crate::parts::Parts;

/// How often something may be old enough.
const EVERY: Duration = Duration::from_secs(3_600);
/// Before another look while a window is near.
const LOOK: Duration = Duration::from_secs(300);
/// So long before the plan and after the last possible send nothing is let go of.
const AROUND: Duration = Duration::from_secs(1_800);

/// Once an hour, away from windows, until `stop`.
pub async fn run(config: &Config, parts: &Parts, stop: CancellationToken) {
    let mut pause = LOOK; // a start is no time for it
    let mut fault = Fault::default();
    loop {
        if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
        pause = LOOK;
        if !are_quiet(config, parts.clock.now()) {
            continue;
        }
        if clocks::is_confirmed(parts).await {
            fault.over();
            round(config, parts, &stop).await;
            pause = EVERY;
        } else if fault.met(UNCONFIRMED) {
            tracing::warn!("{UNCONFIRMED}");
        }
    }
}

const UNCONFIRMED: &str =
    "old runs and contents stay: neither Meta nor the store says that this host's clock is right";

/// Whether no campaign's window is near.
pub fn are_quiet(config: &Config, now: Timestamp) -> bool {
    config.campaigns.iter().all(|one| is_quiet(&one.daily, now))
}

/// Whether no window is near: neither today's, nor the last one of yesterday.
fn is_quiet(daily: &Daily, now: Timestamp) -> bool {
    let today = daily.window.date_at(now);
    let dates = [today.pred_opt(), Some(today), today.succ_opt()];
    dates.into_iter().flatten().filter_map(|date| daily.window.on(date)).all(|window| {
        let begins = window.opens - daily.plan_lead - AROUND;
        let ends = daily.latest_start(&window) + AROUND;
        now < begins || now > ends
    })
}

async fn round(config: &Config, parts: &Parts, stop: &CancellationToken) {
    let (ledger, now) = (parts.ledger.as_ref(), parts.clock.now());
    match old_runs(ledger, config.retention, now).await {
        Err(error) => tracing::warn!(error = error.chain(), "look for old runs: {}", error.chain()),
        Ok(runs) => {
            for run in runs {
                if stop.is_cancelled() || !are_quiet(config, parts.clock.now()) {
                    return; // the rest goes the next time
                }
                let id = &run.header.id;
                match let_go(ledger, &run, &config.state_dir.join("exports")).await {
                    Ok(n) => {
                        tracing::info!(run = %id, "run {id} is exported and purged: {n} deliveries");
                    }
                    Err(error) => {
                        tracing::error!(run = %id, error = error.chain(), "run {id} stays: {}", error.chain());
                    }
                }
            }
        }
    }
    if let Err(error) = let_files_go(config, ledger, now).await {
        tracing::error!(error = format!("{error:#}"), "old contents stay: {error:#}");
    }
    if let Err(error) = let_records_go(config, now).await {
        tracing::error!(
            error = format!("{error:#}"),
            "old contents stay in the records: {error:#}"
        );
    }
}

/// Contents by the date in their name; snapshots by their age, unless a run of the last days is
/// planned from them.
async fn let_files_go(config: &Config, ledger: &dyn Ledger, now: Timestamp) -> Result<()> {
    let last = (now - config.retention.content).to_utc().date_naive();
    let is_old = |name: &str| {
        let date = name.get(..10).and_then(|date| date.parse::<NaiveDate>().ok());
        date.is_some_and(|date| date < last)
    };
    remove(&config.state_dir.join("content"), |name, _| is_old(name))?;
    for one in &config.campaigns {
        let dir = config.state_dir.join("content").join(one.campaign.id.as_str());
        remove(&dir, |name, _| is_old(name))?;
    }
    let runs = ledger.runs_since(last.min(maybe_recoverable_since(now))).await?;
    let mut used: HashSet<String> = runs.iter().map(|run| run.header.snapshot.clone()).collect();
    // A run that the ledger has lost is made again from its kept header and that snapshot.
    used.extend(kept_snapshots(&config.state_dir.join("snapshots"), last)?);
    let oldest = (now - config.retention.content).micros().max(0).unsigned_abs();
    let oldest = SystemTime::UNIX_EPOCH + Duration::from_micros(oldest);
    remove(&config.state_dir.join("snapshots"), |name, written| {
        let of_run = name.strip_suffix(".header.json").and_then(|id| id.parse::<RunId>().ok());
        match of_run {
            Some(id) => id.date() < last,
            None => {
                let hash = name.split('.').next().unwrap_or(name);
                written < oldest && !used.contains(hash)
            }
        }
    })
}

/// The same in the records, where each has a date or an instant of its own.
async fn let_records_go(config: &Config, now: Timestamp) -> Result<()> {
    if matches!(&config.records, Place::Sqlite(path) if !path.exists()) {
        return Ok(());
    }
    let last = now - config.retention.content;
    let desk = store::desk(config).await?;
    let gone = desk.let_go(last.to_utc().date_naive(), last).await;
    let tidied = desk.tidy_accounts().await;
    desk.records.close().await;
    tidied?;
    if let n @ 1.. = gone? {
        tracing::info!("the records let go of {n} dates of content");
    }
    Ok(())
}

/// Snapshots that headers name which are kept beside them.
fn kept_snapshots(dir: &Path, last: NaiveDate) -> Result<Vec<String>> {
    let mut named = Vec::new();
    let Ok(entries) = std::fs::read_dir(dir) else { return Ok(named) };
    for entry in entries {
        let name = entry.with_context(|| format!("read {}", dir.display()))?.file_name();
        let name = name.to_string_lossy();
        let id = name.strip_suffix(".header.json").and_then(|id| id.parse::<RunId>().ok());
        let Some(id) = id.filter(|id| id.date() >= last) else { continue };
        named.extend(kept::load(dir, &id)?.map(|header| header.snapshot));
    }
    Ok(named)
}

/// Removes the files of a folder that `goes` names; a folder that is not there has none.
fn remove(dir: &Path, goes: impl Fn(&str, SystemTime) -> bool) -> Result<()> {
    let doing = || format!("tidy {}", dir.display());
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.with_context(doing)?,
    };
    for entry in entries {
        let entry = entry.with_context(doing)?;
        let found = entry.metadata().with_context(doing)?;
        let written = found.modified().with_context(doing)?;
        if found.is_file() && goes(&entry.file_name().to_string_lossy(), written) {
            std::fs::remove_file(entry.path()).with_context(doing)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_let_go_of_around_a_window() {
        let text = std::fs::read_to_string(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../deploy/config.default.toml"
        ));
        let config = Config::parse(Path::new("config.default.toml"), &text.unwrap()).unwrap();
        let at = |text: &str| -> Timestamp {
            chrono::DateTime::parse_from_rfc3339(&format!("2026-11-21T{text}:00+05:30"))
                .unwrap()
                .into()
        };
        for (time, quiet) in [
            ("03:00", true),
            ("04:58", true),
            ("05:10", false),
            ("06:00", false),
            ("06:55", false),
            ("07:05", true),
            ("23:59", true),
        ] {
            assert_eq!(is_quiet(&config.campaigns[0].daily, at(time)), quiet, "{time}");
        }
    }
}
