//! How fast signed webhooks are fsynced and answered while the same process sends, and
//! when all of them are in the ledger.

use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use domain::{Clock, SystemClock, Timestamp};

use super::enqueue::plan_into;
use super::{OFTEN, Sink, Size, engines_in_turns, wait_for};
use crate::load::Answered;
use crate::planning::{Attempts, run_id};
use crate::process::{Process, output};
use crate::sample::Samples;
use crate::subah::{Install, Spec, Store};

/// Webhooks under way.
const UNDER_WAY: u32 = 64;
/// Sent meanwhile, messages a second.
const SENDING: u32 = 300;

pub fn run(size: Size, samples: &Samples) -> Result<()> {
    let n = size.pick(1_000, 50_000, 100_000);
    engines_in_turns(size.rounds(), |store, round| once(store, n, round, samples))
}

fn once(store: Store, n: u32, round: u32, samples: &Samples) -> Result<()> {
    let sink = Sink::start()?;
    let spread = Duration::from_secs(60);
    let people = SENDING * 60;
    let install = Install::new(&Spec {
        store: store.clone(),
        far_side: sink.url.clone(),
        people,
        numbers: 1,
        throughput: 1_000,
        concurrency: 100,
        opens_in: Duration::from_secs(8),
        spread,
        repairs: Duration::from_secs(120),
    })?;
    let mut process = Process::start(store.contender(), &mut install.command(&["run"]))?;
    sink.wait_for(SENDING, Duration::from_secs(60), &mut process)?;
    // About deliveries of a run that is due later: the sending goes on beside it.
    let redis = if let Store::Redis { url } = &store { Some(url.as_str()) } else { None };
    plan_into(redis, "subah", &install.path("state"), n, Attempts::OneEach)?;
    let mut command = Command::new(std::env::current_exe()?);
    let url = format!("http://127.0.0.1:{}/webhooks", install.receiver);
    let installation = std::fs::read_to_string(install.path("state/installation"))?;
    command.args([
        "load",
        "--installation",
        installation.trim(),
        "--url",
        &url,
        "--run",
        run_id().as_str(),
        "--n",
        &n.to_string(),
    ]);
    command.args(["--concurrency", &UNDER_WAY.to_string()]);
    let answered: Answered = serde_json::from_str(output("load", &mut command)?.trim())?;
    let began = Timestamp::from_micros(answered.began);
    let ended = began + Duration::from_secs_f64(answered.seconds);
    let meanwhile = |at: &Timestamp| *at >= began && *at < ended;
    let sent = sink.arrivals()?.iter().filter(|(_, at)| meanwhile(at)).count() as f64;
    let inbox = install.path("state/inbox");
    let patience = (Duration::from_secs(300), OFTEN);
    wait_for("all webhooks applied", patience, || Ok(applied(&inbox).then_some(())))?;
    let applied_s = SystemClock.now().since(began).as_secs_f64();
    drop(process);
    let values = [
        ("rate_per_s", answered.rate_per_s),
        ("p50_ms", answered.p50_ms),
        ("p99_ms", answered.p99_ms),
        ("max_ms", answered.max_ms),
        ("applied_per_s", f64::from(n) / applied_s),
        ("sent_per_s", sent / answered.seconds),
    ];
    samples.add(("webhooks", "64 under way, while sending"), store.contender(), round, &values)
}

/// Whether the applier has read the inbox to its end: its place on the disk tells.
fn applied(inbox: &std::path::Path) -> bool {
    let Ok(place) = std::fs::read_to_string(inbox.join("applied")) else { return false };
    let mut numbers = place.split_whitespace().filter_map(|word| word.parse::<u64>().ok());
    let (Some(segment), Some(offset)) = (numbers.next(), numbers.next()) else { return false };
    let last = inbox.join(format!("inbox-{segment:08}.log"));
    let next = inbox.join(format!("inbox-{:08}.log", segment + 1));
    !next.exists() && std::fs::metadata(last).is_ok_and(|held| held.len() <= offset)
}
