//! `status` and `report`.

use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use chrono_tz::Tz;
use config::Config;
use domain::{Clock, State, SystemClock, Timestamp};
use ledger::halts::{self, Halt};
use ledger::{Ledger, Phase, Run};
use serde::Serialize;
use status::Report;
use status::sla::Verdict;

use super::{find_run, not_started};
use crate::cli::Format;
use crate::exit::Answer;
use crate::morning::interrupted;
use crate::terminal;
use crate::{html, output, store};

/// How often a watched status is shown again.
const AGAIN: Duration = Duration::from_secs(2);

/// Where a date's run stands, in a few lines; once, or until it is over.
pub async fn status(config: &Config, date: &str, format: Format, watch: bool) -> Result<Answer> {
    if !store::exists(config) {
        return not_started(config, date);
    }
    let ledger = store::open(config).await?;
    loop {
        let Some(run) = find_run(config, ledger.as_ref(), date).await? else {
            return not_started(config, date);
        };
        if watch && std::io::stdout().is_terminal() {
            print!("\u{1b}[H\u{1b}[2J"); // from the top of a clean screen
        }
        show(config, ledger.as_ref(), &run, format).await?;
        if !watch || run.phase == Phase::Closed {
            return Ok(Answer::Yes);
        }
        tokio::select! {
            () = interrupted() => return Ok(Answer::Yes),
            () = tokio::time::sleep(AGAIN) => {}
        }
    }
}

async fn show(config: &Config, ledger: &dyn Ledger, run: &Run, format: Format) -> Result<()> {
    let counts = ledger.counts(&run.header.id).await?;
    let (zone, now) = (config.zone(), SystemClock.now());
    let left = run.header.window.deadline.since(now).as_secs();
    let report = status::sla::report(ledger, run).await?;
    let mut rows = vec![
        ("run", run.header.id.to_string()),
        ("phase", run.phase.as_str().to_owned()),
        ("verdict", judged(ledger, &report, run, now).await?.to_string()),
        ("opens", run.header.window.opens.rfc3339(zone)),
        ("deadline", run.header.window.deadline.rfc3339(zone)),
        ("seconds to deadline", left.to_string()),
        ("started", run.started_at.map_or("no sender yet".to_owned(), |at| at.rfc3339(zone))),
        ("planned", run.cursor.to_string()),
    ];
    rows.extend(
        State::ALL
            .iter()
            .filter(|s| counts.get(**s) > 0)
            .map(|state| (state.as_str(), counts.get(*state).to_string())),
    );
    if run.phase != Phase::Closed {
        for line in stopped(ledger, zone).await? {
            rows.push(("stopped", line));
        }
    }
    let rows: Vec<Vec<String>> =
        rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    output::rows(format, &["what", "value"], &rows)
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

/// The report as programs read it, with what is known of the run besides its deliveries.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    report: &'a Report,
    /// As the text says it: on track, at risk, met, ….
    verdict: String,
    /// What is stopped right now; empty for a run that is closed.
    stopped: Vec<String>,
}

/// The full report. Before the deadline the answer is whether the promise can still be
/// kept, afterwards whether it was.
pub async fn run(
    config: &Config,
    date: &str,
    format: Format,
    page: Option<&Path>,
) -> Result<Answer> {
    if !store::exists(config) {
        return not_started(config, date);
    }
    let ledger = store::open(config).await?;
    let Some(run) = find_run(config, ledger.as_ref(), date).await? else {
        return not_started(config, date);
    };
    let report = status::sla::report(ledger.as_ref(), &run).await?;
    let verdict = judged(ledger.as_ref(), &report, &run, SystemClock.now()).await?;
    let stopped = match run.phase {
        Phase::Closed => Vec::new(),
        _ => stopped(ledger.as_ref(), config.zone()).await?,
    };
    match format {
        Format::Json => {
            let told = Told { report: &report, verdict: verdict.to_string(), stopped };
            output::json(&told)?;
        }
        Format::Table => {
            print!("{}", output::report_text(&report, &verdict));
            for line in stopped {
                println!("Stopped       {}", terminal::shown(&line));
            }
        }
        Format::Csv => {
            let rows: Vec<Vec<String>> =
                report.states.iter().map(|(s, n)| vec![s.to_string(), n.to_string()]).collect();
            output::rows(Format::Csv, &["state", "count"], &rows)?;
        }
    }
    if let Some(page) = page {
        std::fs::write(page, html::page(&report))
            .with_context(|| format!("write {}", page.display()))?;
    }
    Ok(Answer::from_bool(verdict.is_good()))
}
