//! What it costs to have it: binary, cold start, memory and processor time at rest.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use domain::{Clock, SystemClock};
use tests::pause;

use super::{OFTEN, Sink, Size, engines_in_turns, get, wait_for};
use crate::process::{Process, output};
use crate::sample::Samples;
use crate::subah::{Install, Spec, Store};

pub fn run(size: Size, samples: &Samples) -> Result<()> {
    samples.add(("rest", "binary"), "subah", 0, &[("stripped_mib", stripped_mib()?)])?;
    engines_in_turns(size.rounds(), |store, round| once(store, size, round, samples))
}

fn once(store: Store, size: Size, round: u32, samples: &Samples) -> Result<()> {
    let sink = Sink::start()?;
    let install = Install::new(&Spec {
        store: store.clone(),
        far_side: sink.url.clone(),
        people: 2_000,
        numbers: 4,
        throughput: 80,
        concurrency: 100,
        opens_in: Duration::from_secs(3_600), // planned half an hour before
        spread: Duration::from_secs(240),
        repairs: Duration::from_secs(30),
    })?;
    let begun = SystemClock.now();
    let process = Process::start(store.contender(), &mut install.command(&["serve"]))?;
    let ready = format!("http://127.0.0.1:{}/readyz", install.metrics);
    wait_for("ready", (Duration::from_secs(30), OFTEN), || Ok(get(&ready).ok()))?;
    let cold_ms = SystemClock.now().since(begun).as_secs_f64() * 1e3;
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

fn stripped_mib() -> Result<f64> {
    let copy = tempfile::NamedTempFile::new()?;
    let mut strip = Command::new("strip");
    strip.arg("-o").arg(copy.path()).arg(tests::subah_path());
    output("strip", &mut strip).context("measure the binary's size")?;
    Ok(std::fs::metadata(copy.path())?.len() as f64 / 1024.0 / 1024.0)
}
