//! A morning of a million in one real window, with the simulator on the same cores: when
//! was the last one accepted, when were all statuses in the ledger, and what did it take.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use domain::{Clock, State, SystemClock, Timestamp};
use ledger::{Filter, Ledger};
use tests::pause;
use tests::redis_server::RedisServer;

use super::Size;
use super::lateness::open;
use crate::contender::DURABLE;
use crate::process::{Process, Usage, usage_of};
use crate::sample::{Samples, quantile};
use crate::subah::{Install, Spec, Store};

/// Asking costs the ledger something too.
const LOOK: Duration = Duration::from_secs(2);

struct Morning {
    people: u32,
    spread: Duration,
    repairs: Duration,
    throughput: u32,
}

pub fn run(size: Size, samples: &Samples) -> Result<()> {
    let seconds = Duration::from_secs;
    let morning = match size {
        Size::Smoke => {
            Morning { people: 600, spread: seconds(3), repairs: seconds(2), throughput: 200 }
        }
        // The same rates for a shorter time.
        Size::Quick => {
            Morning { people: 62_500, spread: seconds(15), repairs: seconds(2), throughput: 1_000 }
        }
        Size::Full => Morning {
            people: 1_000_000,
            spread: seconds(240),
            repairs: seconds(30),
            throughput: 1_000,
        },
    };
    once(Store::Sqlite, None, &morning, samples)?;
    let server = RedisServer::start_on_port(&DURABLE);
    once(Store::over(&server), Some(&server), &morning, samples)
}

fn once(
    store: Store,
    server: Option<&RedisServer>,
    morning: &Morning,
    samples: &Samples,
) -> Result<()> {
    let case = format!("{} in {} s", morning.people, morning.spread.as_secs());
    let at = ("million", case.as_str());
    let name = store.contender();
    let dir = tempfile::tempdir()?;
    tests::install::write_credentials(dir.path());
    let receiver = tests::free_port();
    let (simulator, far_side) = simulator(dir.path(), receiver, morning.throughput)?;
    let lead = Duration::from_secs(10) + Duration::from_micros(60) * morning.people;
    let install = Install::with_receiver(
        &Spec {
            store: store.clone(),
            far_side: far_side.clone(),
            people: morning.people,
            numbers: 6,
            throughput: morning.throughput,
            concurrency: 200,
            opens_in: lead,
            spread: morning.spread,
            repairs: morning.repairs,
        },
        receiver,
    )?;
    let mut daemon = Process::start(name, &mut install.command(&["run"]))?;
    let mut usage = Usages::default();
    let settled_at =
        watch(&store, &install, morning, (&mut daemon, &simulator, server), &mut usage)?;
    let closes = install.opens + morning.spread + morning.repairs;
    daemon.stop();
    let seen = read(&store, &install, closes)?;
    samples.add(at, name, 0, &figures(&seen, &usage, install.opens, settled_at))
}

/// Waits until every status is known, and returns when that was.
fn watch(
    store: &Store,
    install: &Install,
    morning: &Morning,
    (daemon, simulator, server): (&mut Process, &Process, Option<&RedisServer>),
    usage: &mut Usages,
) -> Result<Timestamp> {
    let patience = install.opens + morning.spread * 2 + Duration::from_secs(120);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    pause(install.opens.since(SystemClock.now()));
    let ledger = runtime.block_on(open(store, install))?;
    let mut settled_at = None;
    while settled_at.is_none() && SystemClock.now() < patience {
        usage.look(daemon, simulator, server);
        // The ledger may be too busy to answer us: that is no news.
        let over = daemon.is_over();
        if runtime.block_on(all_known(ledger.as_ref())).unwrap_or(false) {
            settled_at = Some(SystemClock.now());
        }
        ensure!(settled_at.is_some() || !over, "{} ended early", store.contender());
        pause(LOOK);
    }
    settled_at.context("statuses were still missing after the last wait")
}

fn figures(
    seen: &Seen,
    usage: &Usages,
    opens: Timestamp,
    settled_at: Timestamp,
) -> [(&'static str, f64); 12] {
    let after = |at: Timestamp| at.since(opens).as_secs_f64();
    [
        ("accepted", seen.accepted as f64),
        ("accepted_before_close", seen.in_time as f64),
        ("last_accepted_s", after(seen.last)),
        ("all_delivered_known_s", after(settled_at)),
        ("dispatch_p50_ms", quantile(&seen.late, 0.5)),
        ("dispatch_p99_ms", quantile(&seen.late, 0.99)),
        ("daemon_peak_mib", usage.daemon.peak_mib),
        ("simulator_peak_mib", usage.simulator.peak_mib),
        ("redis_peak_mib", usage.redis.peak_mib),
        ("daemon_cpu_s", usage.daemon.cpu_s),
        ("simulator_cpu_s", usage.simulator.cpu_s),
        ("redis_cpu_s", usage.redis.cpu_s),
    ]
}

/// The simulated Cloud API, and where it is.
fn simulator(dir: &std::path::Path, receiver: u16, throughput: u32) -> Result<(Process, String)> {
    let mut command = tests::subah();
    command.args(["simulate", "--listen", "127.0.0.1:0", "--latency", "60ms", "--faults", "none"]);
    command.args(["--throughput", &throughput.to_string()]);
    command.args(["--webhook", &format!("http://127.0.0.1:{receiver}/webhooks")]);
    command.arg("--app-secret-file").arg(dir.join("app"));
    let (process, line) = Process::start_and_listen("simulator", &mut command)?;
    let url = line.split_whitespace().find(|word| word.starts_with("http://"));
    let url = url.context("the simulator says where it is")?.trim_end_matches(';').to_owned();
    Ok((process, url))
}

#[derive(Default)]
struct Usages {
    daemon: Usage,
    simulator: Usage,
    redis: Usage,
}

impl Usages {
    fn look(&mut self, daemon: &Process, simulator: &Process, server: Option<&RedisServer>) {
        let now = daemon.usage();
        if now.memory_mib > 0.0 {
            self.daemon = now; // a process that has ended holds nothing any more
        }
        self.simulator = simulator.usage();
        if let Some(server) = server {
            self.redis = usage_of(server.id());
        }
    }
}

/// Whether nothing is left to be sent, and of all that was, it is known that it arrived.
async fn all_known(ledger: &dyn Ledger) -> Result<bool> {
    for run in ledger.runs().await? {
        let counts = ledger.counts(&run.header.id).await?;
        let awaited = counts.sum(|s| matches!(s, State::Accepted | State::Held | State::Sent));
        if counts.open() + awaited > 0 || counts.total() == 0 {
            return Ok(false);
        }
    }
    Ok(!ledger.runs().await?.is_empty())
}

struct Seen {
    accepted: usize,
    in_time: usize,
    last: Timestamp,
    /// Dispatched after due, milliseconds, sorted.
    late: Vec<f64>,
}

fn read(store: &Store, install: &Install, closes: Timestamp) -> Result<Seen> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let ledger = open(store, install).await?;
        let mut seen = Seen { accepted: 0, in_time: 0, last: Timestamp::MIN, late: Vec::new() };
        for run in ledger.runs().await? {
            let mut after = None;
            loop {
                let page = ledger.list(&run.header.id, &Filter::default(), after, 5_000).await?;
                let Some(last) = page.last() else { break };
                after = Some(last.id.index);
                for delivery in &page {
                    let attempts = &delivery.facts.attempts;
                    if let Some(at) = attempts.iter().filter_map(|a| a.taken_at()).min() {
                        seen.accepted += 1;
                        seen.in_time += usize::from(at <= closes);
                        seen.last = seen.last.max(at);
                    }
                    if let Some(at) = attempts.iter().filter_map(|a| a.dispatched_at).min() {
                        seen.late.push(at.millis_after(delivery.due_at));
                    }
                }
            }
        }
        seen.late.sort_by(f64::total_cmp);
        Ok(seen)
    })
}
