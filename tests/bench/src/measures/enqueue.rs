//! How fast a morning is planned and queued, and how many bytes a pending one takes.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use domain::{Clock, SystemClock};
use tests::redis_server::RedisServer;

use super::{Size, in_turns};
use crate::contender::{DURABLE, Jobs, Peer};
use crate::planning::{Attempts, Planned, run_id};
use crate::process::output;
use crate::sample::Samples;
use crate::subah::tcp;

#[derive(Clone, Copy)]
enum Contender {
    SubahRedis,
    SubahSqlite,
    Peer(Peer),
    /// Raw Lua, chunks of 500: the limit.
    Lua,
}

pub fn run(size: Size, samples: &Samples) -> Result<()> {
    let n = size.pick(1_000, 20_000, 100_000);
    let mut contenders = vec![Contender::SubahRedis, Contender::SubahSqlite, Contender::Lua];
    contenders.extend(Peer::ALL.map(Contender::Peer));
    let once = |contender, round| once(contender, n, round, samples);
    in_turns(size.rounds(), &contenders, once).with_context(|| format!("enqueue {n}"))
}

fn once(contender: Contender, n: u32, round: u32, samples: &Samples) -> Result<()> {
    let case = n.to_string();
    let at = ("enqueue", case.as_str());
    if let Contender::SubahSqlite = contender {
        let dir = tempfile::tempdir()?;
        let planned = plan(None, dir.path(), n)?;
        let bytes = std::fs::metadata(dir.path().join("ledger.db"))?.len() as f64;
        let rate = f64::from(n) / planned.seconds;
        let values = [("rate_per_s", rate), ("bytes_each", bytes / f64::from(n))];
        return samples.add(at, "subah, sqlite", round, &values);
    }
    let server = RedisServer::start_on_port(&DURABLE);
    let before = memory(&server, "used_memory:")?;
    let (name, rate, n) = match contender {
        Contender::SubahRedis => {
            let dir = tempfile::tempdir()?;
            let planned = plan(Some(&tcp(&server)), dir.path(), n)?;
            ("subah, redis", f64::from(n) / planned.seconds, n)
        }
        Contender::Lua => {
            let mut command = Command::new(std::env::current_exe()?);
            command.args(["lua", "--redis-port", &server.port().to_string()]);
            let text = output("lua", command.args(["--n", &n.to_string()]))?;
            let (pushed, taken) = text.trim().split_once(' ').context("two rates")?;
            let values = [("rate_per_s", pushed.parse()?), ("claim_ack_per_s", taken.parse()?)];
            return samples.add(at, "raw Lua", round, &values);
        }
        Contender::Peer(peer) => {
            let due_ms = SystemClock.now().micros() / 1_000 + 3_600_000;
            let n = peer.share_of(n);
            let done = peer.enqueue(&server, &Jobs { n, due_ms, over_ms: 240_000 })?;
            (peer.name(), f64::from(done.n) / done.seconds, n)
        }
        Contender::SubahSqlite => unreachable!("it has returned"),
    };
    let each = (memory(&server, "used_memory:")? - before) / f64::from(n);
    samples.add(at, name, round, &[("rate_per_s", rate), ("bytes_each", each)])?;
    if let Contender::SubahRedis = contender {
        let values = [("bytes_each_without_message", each - messages(&server, n))];
        samples.add(at, name, round, &values)?;
    }
    Ok(())
}

/// Plans `n` deliveries in a process of its own.
pub fn plan(redis_url: Option<&str>, dir: &Path, n: u32) -> Result<Planned> {
    plan_into(redis_url, "bench", dir, n, Attempts::None)
}

/// The same beside what an installation has in its store.
pub fn plan_into(
    redis_url: Option<&str>,
    prefix: &str,
    dir: &Path,
    n: u32,
    attempts: Attempts,
) -> Result<Planned> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("plan").args(["--n", &n.to_string()]).arg("--dir").arg(dir);
    if let Some(url) = redis_url {
        command.args(["--redis-url", url, "--prefix", prefix]);
    }
    if attempts == Attempts::OneEach {
        command.arg("--sent");
    }
    Ok(serde_json::from_str(output("plan", &mut command)?.trim())?)
}

pub fn memory(server: &RedisServer, field: &str) -> Result<f64> {
    let info = server.command(&["INFO", "memory"]);
    let line = info.lines().find_map(|line| line.strip_prefix(field));
    Ok(line.with_context(|| format!("no {field} in INFO memory"))?.trim().parse()?)
}

/// Bytes that the messages' own parameters take, each.
fn messages(server: &RedisServer, n: u32) -> f64 {
    let key = format!("bench:{{{}}}:m", run_id());
    let said = server.command(&["MEMORY", "USAGE", &key, "SAMPLES", "1000"]);
    said.trim().parse().unwrap_or(0.0) / f64::from(n)
}
