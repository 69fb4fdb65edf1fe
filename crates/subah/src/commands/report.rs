//! `status` and `report`.

use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use config::Config;
use daemon::interrupt::interrupted;
use desk::table::Table;
use desk::{Answer, reports, runs, store};

use crate::cli::Format;
use crate::output::{self, shown};

/// How often a watched status is shown again.
const AGAIN: Duration = Duration::from_secs(2);

/// Where a date's run stands, in a few lines; once, or until it is over.
pub async fn status(config: &Config, date: &str, format: Format, watch: bool) -> Result<Answer> {
    if !store::exists(config) {
        return Ok(output::absent(&runs::absent(config, date)?));
    }
    let ledger = store::open(config).await?;
    loop {
        let status = match reports::status(config, ledger.as_ref(), date).await? {
            Ok(status) => status,
            Err(absent) => return Ok(output::absent(&absent)),
        };
        if watch && std::io::stdout().is_terminal() {
            print!("\u{1b}[H\u{1b}[2J"); // from the top of a clean screen
        }
        output::table(format, &status.table)?;
        if !watch || status.is_over {
            return Ok(Answer::Yes);
        }
        tokio::select! {
            () = interrupted() => return Ok(Answer::Yes),
            () = tokio::time::sleep(AGAIN) => {}
        }
    }
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
        return Ok(output::absent(&runs::absent(config, date)?));
    }
    let ledger = store::open(config).await?;
    let reported = match reports::report(config, ledger.as_ref(), date).await? {
        Ok(reported) => reported,
        Err(absent) => return Ok(output::absent(&absent)),
    };
    match format {
        Format::Json => output::json(&reported)?,
        Format::Table => {
            print!("{}", output::report_text(&reported.report, &reported.verdict));
            for line in &reported.stopped {
                println!("Stopped       {}", shown(line));
            }
        }
        Format::Csv => {
            let states = reported.report.states.iter();
            let rows = states.map(|(state, n)| vec![state.to_string(), n.to_string()]).collect();
            output::table(Format::Csv, &Table { rows, ..Table::new(&["state", "count"]) })?;
        }
    }
    if let Some(page) = page {
        std::fs::write(page, output::html_page(&reported.report))
            .with_context(|| format!("write {}", page.display()))?;
    }
    Ok(Answer::from_bool(reported.verdict.is_good()))
}
