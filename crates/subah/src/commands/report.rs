//! `status` and `report`.

use std::path::Path;

use anyhow::{Context, Result};
use domain::{Clock, State, SystemClock};

use super::find_run;
use crate::cli::Format;
use crate::config::Config;
use crate::exit::Answer;
use crate::{html, output, store};

/// Where the latest run stands, in a few lines.
pub async fn status(config: &Config, format: Format) -> Result<Answer> {
    let ledger = store::open(config).await?;
    let run = find_run(config, ledger.as_ref(), None).await?;
    let counts = ledger.counts(&run.header.id).await?;
    let zone = config.daily.window.zone;
    let left = run.header.window.deadline.since(SystemClock.now()).as_secs();
    let mut rows = vec![
        ("run", run.header.id.to_string()),
        ("phase", run.phase.as_str().to_owned()),
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
    let rows: Vec<Vec<String>> =
        rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    output::rows(format, &["what", "value"], &rows)?;
    Ok(Answer::Yes)
}

/// The full report; the answer is whether the SLA is met.
pub async fn run(
    config: &Config,
    date: Option<&str>,
    format: Format,
    page: Option<&Path>,
) -> Result<Answer> {
    let ledger = store::open(config).await?;
    let run = find_run(config, ledger.as_ref(), date).await?;
    let report = status::sla::report(ledger.as_ref(), &run).await?;
    match format {
        Format::Json => output::json(&report)?,
        Format::Table => print!("{}", output::report_text(&report)),
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
    Ok(Answer::from_bool(report.sla.met))
}
