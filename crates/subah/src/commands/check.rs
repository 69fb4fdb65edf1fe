//! `check`: is everything ready for the morning?

use anyhow::Result;
use config::Config;
use desk::Answer;
use desk::preflight::{self, Outcome};
use serde_json::json;

use crate::cli::{CheckArgs, Format};
use crate::output::{self, shown};

pub async fn run(config: &Config, args: &CheckArgs) -> Result<Answer> {
    let (findings, store) = preflight::check(config, args.date.as_deref(), args.offline).await?;
    let outcome = findings.outcome();
    match args.format {
        Format::Json => output::json(&json!({"outcome": outcome, "findings": findings}))?,
        Format::Csv => output::table(Format::Csv, &findings.table())?,
        Format::Table => {
            findings.0.iter().for_each(|finding| println!("{}", shown(&finding.line())));
            if args.run {
                println!("{}", outcome.words());
            }
        }
    }
    store?; // what is missing decides the exit code
    Ok(match args.run {
        true => Answer::from_bool(outcome != Outcome::NoGo),
        false => Answer::from_bool(!findings.has_problems()),
    })
}
