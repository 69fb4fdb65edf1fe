//! `run`: plan and send one date in the foreground.

use anyhow::Result;
use config::Config;
use daemon::run::{Ran, Wish, run as run_date, stop};
use desk::Answer;

use crate::cli::{ReportFormat, RunArgs};
use crate::output::{self, Bar};

pub async fn run(config: &Config, args: &RunArgs) -> Result<Answer> {
    if args.stop {
        return Ok(output::told(stop(config, &args.date).await?));
    }
    let wish = Wish {
        date: args.date.clone(),
        if_not_started: args.if_not_started,
        not_after: args.not_after.clone(),
    };
    let bar = Bar::default();
    match run_date(config, &wish, &|run, counts| bar.show(run, counts)).await? {
        Ran::Told(told) => Ok(output::told(told)),
        Ran::Over(report, verdict) => {
            bar.clear();
            match args.format {
                ReportFormat::Json => output::json(&report)?,
                ReportFormat::Text => print!("{}", output::report_text(&report, &verdict)),
            }
            Ok(Answer::from_bool(report.sla.met))
        }
    }
}
