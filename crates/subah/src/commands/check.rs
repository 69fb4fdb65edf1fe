//! `check`: is everything ready for the morning?

use anyhow::Result;
use config::{CampaignConfig, Config};
use domain::{Clock, SystemClock};
use serde_json::json;

use crate::cli::{CheckArgs, Format};
use crate::exit::Answer;
use crate::output;
use crate::preflight::{Outcome, Scope, look};
use crate::terminal;

pub async fn run(config: &Config, args: &CheckArgs) -> Result<Answer> {
    let named = |one: &&CampaignConfig| {
        config.named.as_deref().is_none_or(|name| name == one.campaign.id.as_str())
    };
    let scope = Scope {
        config,
        campaigns: config.campaigns.iter().filter(named).collect(),
        date: args.date.as_deref(),
        offline: args.offline,
        ledger: None,
        now: SystemClock.now(),
    };
    let (findings, store) = look(&scope).await?;
    let outcome = findings.outcome();
    match args.format {
        Format::Json => output::json(&json!({"outcome": outcome, "findings": findings}))?,
        Format::Csv => {
            let rows: Vec<Vec<String>> = findings
                .0
                .iter()
                .map(|one| {
                    let found = format!("{:?}", one.found).to_lowercase();
                    let then = one.then.clone();
                    vec![found, one.what.clone(), one.seen.clone(), one.expected.clone(), then]
                })
                .collect();
            output::rows(Format::Csv, &["found", "what", "seen", "expected", "then"], &rows)?;
        }
        Format::Table => {
            for finding in &findings.0 {
                println!("{}", terminal::shown(&finding.line()));
            }
            if args.run {
                println!("{}", said(outcome));
            }
        }
    }
    store?; // what is missing decides the exit code
    Ok(match args.run {
        true => Answer::from_bool(outcome != Outcome::NoGo),
        false => Answer::from_bool(!findings.has_problems()),
    })
}

/// The outcome as somebody reads it at 05:59.
fn said(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Go => "GO: everything was looked at and is as it should be",
        Outcome::Degraded => {
            "DEGRADED: it goes out as far as it can, see PROBLEM and not checked above"
        }
        Outcome::NoGo => {
            "NO-GO: nothing can be sent rightly before each PROBLEM above is put right"
        }
    }
}
