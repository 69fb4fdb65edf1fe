//! Plans one run in a process of its own: what Subah does where a queue is filled.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use domain::{BusinessNumber, Clock, NumberId, Policy, RunId, SystemClock, Window};
use ledger::{Ledger, Redis, Sqlite};
use provider::Registry;
use scheduler::Snapshot;
use scheduler::intake::{Rules, read_content, read_recipients};
use scheduler::planner::{Frame, Planner};
use serde::{Deserialize, Serialize};
use tests::install::{CONTENT, campaign, recipients};

use crate::process::usage_of;

/// What planning `n` deliveries took.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Planned {
    pub n: u32,
    pub seconds: f64,
    pub peak_mib: f64,
}

const NUMBERS: u32 = 6;

/// No date's run of an installation's own campaign.
pub fn run_id() -> RunId {
    "load@2026-11-21".parse().expect("a run id")
}

fn numbers() -> Vec<BusinessNumber> {
    let number = |n: u32| BusinessNumber {
        id: NumberId::try_new(format!("{}", 1000 + n)).expect("a plain id"),
        throughput: 1_000,
        weight: 1_000,
    };
    (1..=NUMBERS).map(number).collect()
}

fn snapshot(n: u32) -> Result<Snapshot> {
    let rules = Rules::new(chrono_tz::Asia::Kolkata, SystemClock.now());
    let campaign = campaign("load", &["first_name", "headline"], numbers());
    let mut people = Vec::new();
    read_recipients(recipients(n).as_bytes(), &rules, &mut |person| people.push(person))?;
    let mut content = Vec::new();
    let mut take = |row| content.push(row);
    read_content(CONTENT.as_bytes(), &rules, &campaign.template, &mut |_| Ok(()), &mut take)?;
    Ok(Snapshot::take(campaign, people, content).snapshot)
}

/// Plans into the Redis of that URL and prefix, or else into `dir`'s sqlite ledger.
///
/// # Errors
/// When the store does not answer.
pub async fn run(redis: Option<(&str, &str)>, dir: &Path, n: u32) -> Result<Planned> {
    let ledger: Arc<dyn Ledger> = match redis {
        None => Arc::new(Sqlite::open(&dir.join("ledger.db"), Arc::new(SystemClock))?),
        Some((url, prefix)) => {
            Arc::new(Redis::connect(&ledger::redis::Options::new(url, prefix, false)).await?)
        }
    };
    let snapshot = snapshot(n)?;
    let opens = SystemClock.now() + Duration::from_secs(3_600);
    let window = Window {
        opens,
        target: opens + Duration::from_secs(30),
        spread_until: opens + Duration::from_secs(240),
        closes: opens + Duration::from_secs(270),
        deadline: opens + Duration::from_secs(300),
    };
    let frame = Frame {
        run: run_id(),
        zone: "Asia/Kolkata".into(),
        window,
        stop_at: window.deadline,
        catch_up_until: None,
        grace: Duration::from_secs(17),
        policy: Policy::default(),
        target_ratio: 0.99,
    };
    // There is no media in these plans.
    let planner = Planner { ledger, providers: Registry::default(), state_dir: dir.to_owned() };
    let begun = SystemClock.now();
    let planned = planner.plan(&snapshot, &frame, begun, &|_| {}).await?;
    let seconds = SystemClock.now().since(begun).as_secs_f64();
    anyhow::ensure!(planned.run.cursor == n, "{} of {n} are planned", planned.run.cursor);
    Ok(Planned { n, seconds, peak_mib: usage_of(std::process::id()).peak_mib })
}
