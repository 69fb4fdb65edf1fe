//! How long after its instant a message reaches the far side, and whether ever before.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use domain::{Clock, SystemClock, Timestamp};
use ledger::{Filter, Ledger, Redis, Sqlite};
use tests::redis_server::RedisServer;

use super::{Sink, Size, in_turns};
use crate::contender::{DURABLE, Jobs, Peer};
use crate::process::Process;
use crate::sample::{Samples, quantile};
use crate::subah::{Install, Spec, Store};

#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    n: u32,
    over: Duration,
    numbers: u32,
    throughput: u32,
}

/// Requests under way, of all numbers together.
const UNDER_WAY: u32 = 100;

const fn case(name: &'static str, n: u32, over_s: u64, numbers: u32, throughput: u32) -> Case {
    let over = Duration::from_secs(over_s);
    Case { name, n, over, numbers, throughput }
}

#[derive(Clone, Copy)]
enum Contender {
    SubahRedis,
    SubahSqlite,
    Peer(Peer),
}

pub fn run(size: Size, samples: &Samples) -> Result<()> {
    let (rounds, cases) = match size {
        Size::Smoke => (1, vec![case("200 over 2 s", 200, 2, 2, 200)]),
        Size::Quick => (
            1,
            vec![
                case("2,000 over 5 s", 2_000, 5, 2, 400),
                case("6,600 over 10 s", 6_600, 10, 2, 1_000),
            ],
        ),
        Size::Full => (
            5,
            vec![
                case("2,000 over 5 s", 2_000, 5, 2, 400),
                case("20,000 over 30 s", 20_000, 30, 2, 1_000),
                // A number of 1,000/s is used at 95 %.
                case("900/s on one number", 9_000, 10, 1, 1_000),
            ],
        ),
    };
    let ours = [Contender::SubahRedis, Contender::SubahSqlite];
    let mut all = ours.to_vec();
    all.extend(Peer::ALL.map(Contender::Peer));
    for case in cases {
        // dramatiq and apalis-redis cannot post so many.
        let slow = |c: &Contender| matches!(c, Contender::Peer(Peer::Dramatiq | Peer::Apalis));
        let able = all.iter().copied().filter(|c| case.n <= 2_000 || !slow(c));
        let able: Vec<Contender> = able.collect();
        let once = |contender, round| once(contender, case, round, samples);
        in_turns(rounds, &able, once).context(case.name)?;
    }
    if size == Size::Full {
        // Real time, once; seven messages a second leave room for both.
        let case = case("2,000 over 5 min", 2_000, 300, 2, 80);
        std::thread::scope(|scope| {
            let run = |contender| scope.spawn(move || once(contender, case, 0, samples));
            let both = ours.map(run);
            both.into_iter().try_for_each(|run| run.join().expect("a measure does not panic"))
        })?;
    }
    Ok(())
}

fn once(contender: Contender, case: Case, round: u32, samples: &Samples) -> Result<()> {
    let sink = Sink::start()?;
    let server = RedisServer::start_on_port(&DURABLE);
    let name;
    let late = match contender {
        Contender::SubahRedis => {
            let store = Store::over(&server);
            name = store.contender();
            ours(store, case, &sink)?
        }
        Contender::SubahSqlite => {
            name = Store::Sqlite.contender();
            ours(Store::Sqlite, case, &sink)?
        }
        Contender::Peer(peer) => {
            name = peer.name();
            // A worker of somebody else's that ends by itself costs its figure, not the page.
            match theirs(peer, case, &server, &sink) {
                Ok(late) if late.len() == case.n as usize => late,
                ended => {
                    let why =
                        ended.map_or_else(|e| format!("{e:#}"), |l| format!("{} came", l.len()));
                    eprintln!("{name} has no figure in this round of {}: {why}", case.name);
                    return Ok(());
                }
            }
        }
    };
    ensure!(late.len() == case.n as usize, "{name}: {} of {} came", late.len(), case.n);
    let early = late.iter().filter(|ms| **ms < 0.0).count() as f64;
    let values = [
        ("p50_ms", quantile(&late, 0.5)),
        ("p99_ms", quantile(&late, 0.99)),
        ("max_ms", late.last().copied().unwrap_or(f64::NAN)),
        ("early", early),
    ];
    samples.add(("lateness", case.name), name, round, &values)
}

fn sorted(mut late: Vec<f64>) -> Vec<f64> {
    late.sort_by(f64::total_cmp);
    late
}

fn theirs(peer: Peer, case: Case, server: &RedisServer, sink: &Sink) -> Result<Vec<f64>> {
    let lead = Duration::from_secs(3)
        + Duration::from_millis(if peer == Peer::Dramatiq { 8 } else { 1 }) * case.n;
    let due_ms = (SystemClock.now() + lead).micros() / 1_000;
    let over_ms = u64::try_from(case.over.as_millis())?;
    peer.enqueue(server, &Jobs { n: case.n, due_ms, over_ms })?;
    let begun = SystemClock.now().micros() / 1_000;
    ensure!(begun < due_ms, "{} was still enqueueing when the first was due", peer.name());
    let rate = (case.numbers == 1).then_some(case.throughput);
    let mut worker = peer.work(server, &sink.url, UNDER_WAY, rate)?;
    sink.wait_for(case.n, lead + case.over + Duration::from_secs(60), &mut worker)?;
    worker.stop();
    let late = |(key, at): (String, Timestamp)| {
        let due_ms: i64 = key.split(':').nth(1)?.parse().ok()?;
        Some((at.micros() - due_ms * 1_000) as f64 / 1e3)
    };
    Ok(sorted(sink.arrivals()?.into_iter().filter_map(late).collect()))
}

fn ours(store: Store, case: Case, sink: &Sink) -> Result<Vec<f64>> {
    let lead = Duration::from_secs(6) + Duration::from_micros(60) * case.n;
    let install = Install::new(&Spec {
        store: store.clone(),
        far_side: sink.url.clone(),
        people: case.n,
        numbers: case.numbers,
        throughput: case.throughput,
        concurrency: UNDER_WAY / case.numbers,
        opens_in: lead,
        spread: case.over,
        repairs: Duration::from_secs(30),
    })?;
    let mut process = Process::start(store.contender(), &mut install.command(&["run"]))?;
    sink.wait_for(case.n, lead + case.over + Duration::from_secs(60), &mut process)?;
    process.stop();
    let due = due(&store, &install)?;
    let late = |(key, at): (String, Timestamp)| {
        let index: u32 = key.split('.').nth(2)?.parse().ok()?;
        Some((at.micros() - due.get(&index)?.micros()) as f64 / 1e3)
    };
    Ok(sorted(sink.arrivals()?.into_iter().filter_map(late).collect()))
}

/// When each delivery was due, as the ledger has it.
fn due(store: &Store, install: &Install) -> Result<HashMap<u32, Timestamp>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let ledger = open(store, install).await?;
        let mut due = HashMap::new();
        for run in ledger.runs().await? {
            for row in ledger.list(&run.header.id, &Filter::default(), None, 2_000_000).await? {
                due.insert(row.id.index, row.due_at);
            }
        }
        Ok(due)
    })
}

/// The ledger of an installation, beside its processes.
pub async fn open(store: &Store, install: &Install) -> Result<Box<dyn Ledger>> {
    Ok(match store {
        Store::Sqlite => {
            let clock = std::sync::Arc::new(SystemClock);
            Box::new(Sqlite::open(&install.path("state/ledger.db"), clock)?)
        }
        Store::Redis { url } => {
            let options = ledger::redis::Options::new(url, "subah", false);
            Box::new(Redis::connect(&options).await?)
        }
    })
}
