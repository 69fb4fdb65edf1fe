//! What it costs to have it: binary, cold start, memory and processor time at rest.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use domain::{Clock, DeliveryId, Http, SystemClock};
use ledger::AttemptResult;
use sender::journal::{Entry, Sync};
use sender::{FileJournal, Journal};
use tests::pause;

use super::{OFTEN, Sink, Size, engines_in_turns, get, wait_for};
use crate::process::{Process, output};
use crate::sample::Samples;
use crate::subah::{Install, Spec, Store};

pub fn run(size: Size, samples: &Samples) -> Result<()> {
    samples.add(("rest", "binary"), "subah", 0, &[("stripped_mib", stripped_mib()?)])?;
    engines_in_turns(size.rounds(), |store, round| once(store, size, round, samples))?;
    for round in 0..size.rounds() {
        after_a_long_journal(size, round, samples)?;
    }
    Ok(())
}

/// A sender starts beside what the one before it has written and settled.
fn after_a_long_journal(size: Size, round: u32, samples: &Samples) -> Result<()> {
    let attempts = size.pick(2_000, 200_000, 1_000_000);
    let sink = Sink::start()?;
    let install = quiet_install(Store::Sqlite, &sink)?;
    write_journal(&install.path("state/journal"), attempts)?;
    let (process, cold_ms) = start(&install, "subah, sqlite")?;
    let values = [("cold_start_ms", cold_ms), ("memory_mib", process.usage().peak_mib)];
    let case = format!("after {attempts} settled attempts");
    samples.add(("rest", &case), "subah, sqlite", round, &values)
}

fn write_journal(dir: &Path, attempts: u64) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let journal = FileJournal::open(dir, "boot")?;
    runtime.block_on(async {
        let at = SystemClock.now();
        for n in 1..=attempts {
            let id: DeliveryId = format!("daily-pack@2026-01-01#{n}").parse()?;
            let nonce = n.into();
            let accepted = Http::Accepted {
                id: domain::MessageId::new(format!("wamid.{n:040}")),
                held: false,
            };
            let result = AttemptResult {
                id: id.clone(),
                nonce,
                http: accepted,
                dispatched_at: Some(at),
                accepted_at: Some(at),
                retry_in: None,
                words: None,
            };
            let intent =
                Entry::Intent { id, nonce, at, machine_boot: "boot".to_owned(), sent_as: None };
            for entry in [intent, Entry::Write { nonce }, Entry::Result(result)] {
                journal.append(&entry, Sync::No).await?;
            }
        }
        anyhow::Ok(())
    })?;
    // As a sender notes it, each second.
    journal.merged(journal.end())?;
    Ok(())
}

fn once(store: Store, size: Size, round: u32, samples: &Samples) -> Result<()> {
    let sink = Sink::start()?;
    let install = quiet_install(store.clone(), &sink)?;
    let (process, cold_ms) = start(&install, store.contender())?;
    let rest = Duration::from_secs(size.pick(1, 10, 20));
    pause(Duration::from_secs(3)); // what starts with it is over
    let (before, at) = (process.usage(), SystemClock.now());
    pause(rest);
    let (after, spent) = (process.usage(), SystemClock.now().since(at).as_secs_f64());
    let values = [
        ("cold_start_ms", cold_ms),
        ("memory_mib", after.memory_mib),
        ("cpu_percent", (after.cpu_s - before.cpu_s) / spent * 100.0),
    ];
    samples.add(("rest", "serve"), store.contender(), round, &values)
}

/// Whose window is far away.
fn quiet_install(store: Store, sink: &Sink) -> Result<Install> {
    Install::new(&Spec {
        store,
        far_side: sink.url.clone(),
        people: 2_000,
        numbers: 4,
        throughput: 80,
        concurrency: 100,
        opens_in: Duration::from_secs(3_600), // planned half an hour before
        spread: Duration::from_secs(240),
        repairs: Duration::from_secs(30),
    })
}

/// The daemon, and how long it took to be ready, in milliseconds.
fn start(install: &Install, name: &'static str) -> Result<(Process, f64)> {
    let begun = SystemClock.now();
    let process = Process::start(name, &mut install.command(&["serve"]))?;
    let ready = format!("http://127.0.0.1:{}/readyz", install.metrics);
    wait_for("ready", (Duration::from_secs(30), OFTEN), || Ok(get(&ready).ok()))?;
    Ok((process, SystemClock.now().since(begun).as_secs_f64() * 1e3))
}

fn stripped_mib() -> Result<f64> {
    let copy = tempfile::NamedTempFile::new()?;
    let mut strip = Command::new("strip");
    strip.arg("-o").arg(copy.path()).arg(tests::subah_path());
    output("strip", &mut strip).context("measure the binary's size")?;
    Ok(std::fs::metadata(copy.path())?.len() as f64 / 1024.0 / 1024.0)
}
