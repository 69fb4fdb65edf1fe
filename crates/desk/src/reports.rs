//! How a run went, or how it stands: the figures, the verdict, and what is stopped right now.

use chrono_tz::Tz;
use config::Config;
use domain::{Clock, State, SystemClock, Timestamp};
use ledger::halts::{self, Halt};
use ledger::{Ledger, Phase, Run};
use serde::Serialize;
use status::Report;
use status::sla::Verdict;

use crate::error::Result;
use crate::named::find_run;
use crate::runs::{Absent, absent};
use crate::table::Table;

/// Where a run stands, in a few lines.
pub struct Status {
    pub table: Table,
    /// Nothing changes any more.
    pub is_over: bool,
}

/// The report, with what is known of the run besides its deliveries.
#[derive(Serialize)]
pub struct Reported {
    #[serde(flatten)]
    pub report: Report,
    /// As a person reads it: on track, at risk, met, ….
    #[serde(rename = "verdict")]
    words: String,
    /// What is stopped right now; empty for a run that is closed.
    pub stopped: Vec<String>,
    #[serde(skip)]
    pub verdict: Verdict,
}

/// Where a date's run stands; the inner error: nobody has planned it.
///
/// # Errors
/// When the text names no run, or the store does not answer.
pub async fn status(
    config: &Config,
    ledger: &dyn Ledger,
    date: &str,
) -> Result<std::result::Result<Status, Absent>> {
    let Some(run) = find_run(config, ledger, date).await? else {
        return Ok(Err(absent(config, date)?));
    };
    let counts = ledger.counts(&run.header.id).await?;
    let (zone, now) = (config.zone(), SystemClock.now());
    let window = &run.header.window;
    let report = status::sla::report(ledger, &run).await?;
    let verdict = judged(ledger, &report, &run, now).await?;
    let started = run.started_at.map_or("no sender yet".to_owned(), |at| at.rfc3339(zone));
    let mut rows = vec![
        ("run", run.header.id.to_string()),
        ("phase", run.phase.as_str().to_owned()),
        ("verdict", verdict.to_string()),
        ("opens", window.opens.rfc3339(zone)),
        ("deadline", window.deadline.rfc3339(zone)),
        ("seconds to deadline", window.deadline.since(now).as_secs().to_string()),
        ("started", started),
        ("planned", run.cursor.to_string()),
    ];
    let states = State::ALL.iter().filter(|state| counts.get(**state) > 0);
    rows.extend(states.map(|state| (state.as_str(), counts.get(*state).to_string())));
    let is_over = run.phase == Phase::Closed;
    if !is_over {
        rows.extend(stopped(ledger, zone).await?.into_iter().map(|line| ("stopped", line)));
    }
    Ok(Ok(Status { table: Table::of_one(rows), is_over }))
}

/// The full report of a date's run; the inner error: nobody has planned it.
///
/// # Errors
/// When the text names no run, or the store does not answer.
pub async fn report(
    config: &Config,
    ledger: &dyn Ledger,
    date: &str,
) -> Result<std::result::Result<Reported, Absent>> {
    let Some(run) = find_run(config, ledger, date).await? else {
        return Ok(Err(absent(config, date)?));
    };
    let report = status::sla::report(ledger, &run).await?;
    let verdict = judged(ledger, &report, &run, SystemClock.now()).await?;
    let stopped = match run.phase {
        Phase::Closed => Vec::new(),
        _ => stopped(ledger, config.zone()).await?,
    };
    Ok(Ok(Reported { report, words: verdict.to_string(), stopped, verdict }))
}

/// What is stopped puts the promise at risk, however well it went so far.
async fn judged(
    ledger: &dyn Ledger,
    report: &Report,
    run: &Run,
    now: Timestamp,
) -> Result<Verdict> {
    let verdict = status::sla::verdict(report, run, now);
    let stands = match run.phase {
        Phase::Paused => Some("the run is paused by hand"),
        Phase::Cancelled => Some("the run is cancelled"),
        _ => None,
    };
    if let (Some(why), false) = (stands, matches!(verdict, Verdict::Met | Verdict::Missed)) {
        return Ok(Verdict::AtRisk { why });
    }
    let on_track = matches!(verdict, Verdict::OnTrack { .. });
    if on_track && run.phase != Phase::Closed && !halts::read(ledger).await?.is_empty() {
        return Ok(Verdict::AtRisk {
            why: "something is stopped; it is probed and may flow again",
        });
    }
    Ok(verdict)
}

/// What is stopped right now, since when and why.
async fn stopped(ledger: &dyn Ledger, zone: Tz) -> Result<Vec<String>> {
    let halts = halts::read(ledger).await?;
    let line =
        |halt: &Halt| format!("{} since {}: {}", halt.thing, halt.since.rfc3339(zone), halt.why);
    Ok(halts.iter().map(line).collect())
}
