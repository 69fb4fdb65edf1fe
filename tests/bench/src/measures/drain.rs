//! How fast due messages are posted: 100 under way, everything durable, by the sink's own
//! clock from the first to the last arrival.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use domain::{Clock, SystemClock};
use tests::pause;
use tests::redis_server::RedisServer;

use super::{Sink, Size, distinct, in_turns};
use crate::contender::{DURABLE, Jobs, Peer};
use crate::process::{Process, usage_of};
use crate::sample::Samples;
use crate::subah::{Install, Spec, Store};

const UNDER_WAY: u32 = 100;
/// As many as give a number's rate no say: 20 × 950 a second.
const NUMBERS: u32 = 20;
const PATIENCE: Duration = Duration::from_secs(300);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Contender {
    SubahRedis,
    SubahSqlite,
    Peer(Peer),
    Bare,
}

pub fn run(size: Size, samples: &Samples) -> Result<()> {
    let n = size.pick(500, 20_000, 30_000);
    let mut contenders = vec![Contender::SubahRedis, Contender::SubahSqlite, Contender::Bare];
    contenders.extend(Peer::ALL.map(Contender::Peer));
    let once = |contender, round| once(contender, n, round, samples);
    in_turns(size.rounds(), &contenders, once).with_context(|| format!("drain {n}"))
}

fn once(contender: Contender, n: u32, round: u32, samples: &Samples) -> Result<()> {
    let n = if let Contender::Peer(peer) = contender { peer.share_of(n) } else { n };
    let sink = Sink::start()?;
    let server = RedisServer::start_on_port(&DURABLE);
    let mut install = None; // its folder is in use until the process has ended
    let (name, mut process) = match contender {
        Contender::SubahRedis | Contender::SubahSqlite => {
            let is_redis = contender == Contender::SubahRedis;
            let store = if is_redis { Store::over(&server) } else { Store::Sqlite };
            let (name, opened) = (store.contender(), subah(store, &sink, n)?);
            let process = Process::start(name, &mut opened.command(&["run"]))?;
            // Planning is not draining.
            pause(opened.opens.since(SystemClock.now()));
            install = Some(opened);
            (name, process)
        }
        Contender::Peer(peer) => {
            let due_ms = SystemClock.now().micros() / 1_000;
            peer.enqueue(&server, &Jobs { n, due_ms, over_ms: 0 })?;
            (peer.name(), peer.work(&server, &sink.url, UNDER_WAY, None)?)
        }
        Contender::Bare => {
            let mut command = Command::new(std::env::current_exe()?);
            command.args(["bare", "--sink", &sink.url, "--n", &n.to_string()]);
            command.args(["--concurrency", &UNDER_WAY.to_string()]);
            ("bare loop", Process::start("bare loop", &mut command)?)
        }
    };
    let before = (process.usage().cpu_s, usage_of(server.id()).cpu_s);
    sink.wait_for(n, PATIENCE, &mut process)?;
    let (used, store) = (process.usage(), usage_of(server.id()));
    let arrivals = sink.arrivals()?;
    ensure!(distinct(&arrivals) == n as usize, "{name} posted {} of {n}", distinct(&arrivals));
    ensure!(arrivals.len() == n as usize, "{name} posted {} for {n}", arrivals.len());
    let (first, last) = (arrivals[0].1, arrivals[arrivals.len() - 1].1);
    let rate = f64::from(n) / last.since(first).as_secs_f64();
    let each = |cpu_s: f64| cpu_s / f64::from(n) * 1e6;
    let case = format!("{UNDER_WAY} under way");
    let mut values = vec![("rate_per_s", rate)];
    if contender != Contender::Bare {
        values.extend([("cpu_us_each", each(used.cpu_s - before.0)), ("peak_mib", used.peak_mib)]);
    }
    if !matches!(contender, Contender::Bare | Contender::SubahSqlite) {
        values.push(("redis_cpu_us_each", each(store.cpu_s - before.1)));
    }
    drop(process);
    drop(install);
    samples.add(("drain", &case), name, round, &values)
}

fn subah(store: Store, sink: &Sink, n: u32) -> Result<Install> {
    Install::new(&Spec {
        store,
        far_side: sink.url.clone(),
        people: n,
        numbers: NUMBERS,
        throughput: 1_000,
        concurrency: UNDER_WAY / NUMBERS,
        opens_in: Duration::from_secs(5) + Duration::from_micros(60) * n,
        spread: Duration::from_secs(1),
        repairs: Duration::from_secs(120),
    })
}
