//! Plans one run in a process of its own: what Subah does where a queue is filled.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use domain::{
    BusinessNumber, Clock, DeliveryId, Http, MessageId, Nonce, NumberId, Policy, RunId,
    SystemClock, Window,
};
use ledger::{AttemptResult, Ledger, Redis, Sqlite};
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

/// Whether what is planned counts as sent already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempts {
    None,
    /// One each, accepted, of the nonce that [`nonce_of`] gives: a status of any other is evidence
    /// that the store has forgotten what it granted, and stops everything.
    OneEach,
}

/// The attempt of one delivery.
pub fn nonce_of(index: u32) -> Nonce {
    Nonce::from(u64::from(index) + 1)
}

/// Plans into the Redis of that URL and prefix, or else into `dir`'s sqlite ledger.
///
/// # Errors
/// When the store does not answer.
pub async fn run(
    redis: Option<(&str, &str)>,
    dir: &Path,
    n: u32,
    attempts: Attempts,
) -> Result<Planned> {
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
    let ledger_of = Arc::clone(&ledger);
    let planner = Planner { ledger, providers: Registry::default(), state_dir: dir.to_owned() };
    let begun = SystemClock.now();
    let planned = planner.plan(&snapshot, &frame, begun, &|_| {}).await?;
    let seconds = SystemClock.now().since(begun).as_secs_f64();
    anyhow::ensure!(planned.run.cursor == n, "{} of {n} are planned", planned.run.cursor);
    if attempts == Attempts::OneEach {
        attempt_all(&ledger_of, n).await?;
    }
    Ok(Planned { n, seconds, peak_mib: usage_of(std::process::id()).peak_mib })
}

/// Many calls at once: a store that makes groups of them makes large ones.
async fn attempt_all(ledger: &Arc<dyn Ledger>, n: u32) -> Result<()> {
    let at = SystemClock.now();
    let attempt = |index: u32| AttemptResult {
        id: DeliveryId { run: run_id(), index },
        nonce: nonce_of(index),
        http: Http::Accepted { id: MessageId::new(format!("wamid.load{index}")), held: false },
        dispatched_at: Some(at),
        accepted_at: Some(at),
        retry_in: None,
        words: None,
    };
    let mut calls = tokio::task::JoinSet::new();
    for lane in 0..UNDER_WAY {
        let ledger = Arc::clone(ledger);
        let mine: Vec<_> = (lane..n).step_by(UNDER_WAY as usize).map(attempt).collect();
        calls.spawn(async move {
            for results in mine.chunks(100) {
                ledger.result(results).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = calls.join_next().await {
        done??;
    }
    Ok(())
}

/// Calls to the ledger at once.
const UNDER_WAY: u32 = 64;
