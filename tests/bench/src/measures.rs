//! One file per question. Each measure runs its contenders in rotated rounds.

pub mod drain;
pub mod enqueue;
pub mod growth;
pub mod import;
pub mod lateness;
pub mod million;
pub mod outage;
pub mod rest;
pub mod webhooks;

use std::collections::HashSet;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use domain::Timestamp;
use tests::redis_server::RedisServer;
use tests::within;

use crate::contender::DURABLE;
use crate::process::Process;
use crate::sample::Samples;
use crate::subah::Store;

/// How much of everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Size {
    /// Does it run at all? Seconds.
    Smoke,
    /// Under ten minutes.
    Quick,
    Full,
}

impl Size {
    pub fn pick<T>(self, smoke: T, quick: T, full: T) -> T {
        match self {
            Size::Smoke => smoke,
            Size::Quick => quick,
            Size::Full => full,
        }
    }

    pub fn rounds(self) -> u32 {
        self.pick(1, 2, 5)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Measure {
    Enqueue,
    Drain,
    Lateness,
    Webhooks,
    Million,
    Growth,
    Import,
    Outage,
    Rest,
}

impl Measure {
    /// # Errors
    /// When a contender fails: nothing is left out silently.
    pub fn run(self, size: Size, samples: &Samples) -> Result<()> {
        match self {
            Measure::Enqueue => enqueue::run(size, samples),
            Measure::Drain => drain::run(size, samples),
            Measure::Lateness => lateness::run(size, samples),
            Measure::Webhooks => webhooks::run(size, samples),
            Measure::Million => million::run(size, samples),
            Measure::Growth => growth::run(size, samples),
            Measure::Import => import::run(size, samples),
            Measure::Outage => outage::run(size, samples),
            Measure::Rest => rest::run(size, samples),
        }
    }
}

/// Runs the contenders in rounds, each time another one first.
///
/// # Errors
/// Those of the first run that fails.
pub fn in_turns<T: Copy>(
    rounds: u32,
    contenders: &[T],
    mut once: impl FnMut(T, u32) -> Result<()>,
) -> Result<()> {
    for round in 0..rounds {
        let mut order = contenders.to_vec();
        order.rotate_left(round as usize % contenders.len());
        for contender in order {
            once(contender, round).with_context(|| format!("round {round}"))?;
        }
    }
    Ok(())
}

/// Runs both of our engines in rounds, each time on a new store.
///
/// # Errors
/// Those of the first run that fails.
pub fn engines_in_turns(rounds: u32, mut once: impl FnMut(Store, u32) -> Result<()>) -> Result<()> {
    in_turns(rounds, &[true, false], |is_redis, round| {
        let server = RedisServer::start_on_port(&DURABLE);
        once(if is_redis { Store::over(&server) } else { Store::Sqlite }, round)
    })
}

/// Waits for something that must come.
///
/// # Errors
/// When it does not come within `patience`, or asking fails.
pub fn wait_for<T>(
    what: &str,
    (patience, look): (Duration, Duration),
    mut ask: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let found = within(patience, look, || ask().transpose());
    found.unwrap_or_else(|| bail!("{what} did not happen in {patience:?}"))
}

/// So often that what is timed by it is not blurred by more than a few milliseconds.
pub const OFTEN: Duration = Duration::from_millis(5);
/// So seldom that looking costs those who are measured nothing.
const SELDOM: Duration = Duration::from_millis(200);

/// The far side that costs nothing, in a process of its own.
pub struct Sink {
    _process: Process,
    pub url: String,
}

impl Sink {
    /// # Errors
    /// When it cannot be started.
    pub fn start() -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["sink", "--listen", "127.0.0.1:0"]);
        let (process, line) = Process::start_and_listen("sink", &mut command)?;
        let url = line.split_whitespace().last().context("the sink says where it is")?.to_owned();
        Ok(Sink { _process: process, url })
    }

    /// # Errors
    /// When it does not answer.
    pub fn count(&self) -> Result<u32> {
        Ok(get(&format!("{}/count", self.url))?.parse()?)
    }

    /// What came, and when.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn arrivals(&self) -> Result<Vec<(String, Timestamp)>> {
        let text = get(&format!("{}/arrivals", self.url))?;
        let read = |line: &str| {
            let (key, at) = line.split_once(' ')?;
            Some((key.to_owned(), Timestamp::from_micros(at.parse().ok()?)))
        };
        Ok(text.lines().filter_map(read).collect())
    }

    /// Waits until `n` messages have come.
    ///
    /// # Errors
    /// When they do not come within `patience`, or the `sender` ends before.
    pub fn wait_for(&self, n: u32, patience: Duration, sender: &mut Process) -> Result<()> {
        wait_for(&format!("{n} messages"), (patience, SELDOM), || {
            let count = self.count()?;
            ensure!(count >= n || !sender.is_over(), "the sender ended after {count} of {n}");
            Ok((count >= n).then_some(()))
        })
    }
}

/// How many different messages there are.
pub fn distinct(arrivals: &[(String, Timestamp)]) -> usize {
    arrivals.iter().map(|(key, _)| message(key)).collect::<HashSet<_>>().len()
}

/// What a message is about: Subah's callback data names run and index before its nonce, a
/// peer's is index and instant.
fn message(key: &str) -> &str {
    let ours = key.match_indices('.').nth(2).map(|(at, _)| &key[..at]);
    ours.unwrap_or(key)
}

/// A GET of a loopback address.
///
/// # Errors
/// When there is no answer, or another one than 200.
pub fn get(url: &str) -> Result<String> {
    let (status, text) =
        tests::install::get(url).with_context(|| format!("GET {url}: no answer"))?;
    ensure!(status == 200, "GET {url}: {status}");
    Ok(text)
}
