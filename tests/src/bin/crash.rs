//! Real processes under fire: kill -9, a Redis that is killed, power cuts, frozen
//! processes, a network that cuts, delays and swallows. At the end the simulated far side's
//! own record is held against the ledger.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use clap::{Parser, ValueEnum};
use domain::State;
use ledger::{Filter, Ledger, Run};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde::Serialize;
use tests::fleet::{Fleet, Spec, Store, strangers};
use tests::install::Times;
use tests::proxy::{Mood, Proxy};
use tests::redis_server::RedisServer;
use tests::tally::Tally;
use tests::{PATIENCE, block_on, pause, power, until, within};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Harm {
    /// kill -9 of a random process
    Kills,
    /// kill -9 of the one process that does everything, over sqlite
    SqliteKills,
    /// kill -9 of Redis, frozen senders, a broken network
    RedisKills,
    /// What was not synced is gone: of a sender, the receiver, or Redis
    PowerCuts,
    /// The same of the one process over sqlite
    SqlitePowerCuts,
    /// Its disk is full for a while: nothing may be sent meanwhile
    FullDisk,
    /// Redis is emptied, swapped for an empty one, or for what it was before, while it runs
    StoreLost,
}

/// Hurts real processes and counts what was lost or sent twice.
#[derive(Parser)]
struct Args {
    #[arg(long, value_enum)]
    harm: Harm,
    /// How often
    #[arg(long, default_value_t = 20)]
    times: u32,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Deliveries
    #[arg(long, default_value_t = 600)]
    people: u32,
    #[arg(long, default_value = "hold", value_parser = ["hold", "evidence"])]
    policy: String,
}

#[derive(Serialize)]
struct Outcome {
    harm: String,
    policy: String,
    times: u32,
    /// Runs in the ledger: three planners make one.
    runs: u64,
    #[serde(flatten)]
    tally: Tally,
    /// Bytes that power cuts took.
    bytes_lost: u64,
    /// From a killed store's return until sending was allowed again, milliseconds.
    recovery_ms_p50: u64,
    recovery_ms_max: u64,
    seconds: u64,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let outcome = run(&args)?;
    println!("{}", serde_json::to_string(&outcome)?);
    let tally = &outcome.tally;
    let duplicates = if args.policy == "hold" { tally.duplicates } else { 0 };
    // Who said STOP, and whoever's picture Meta does not have, got nothing; all others count.
    let left_out = u64::from(strangers::STOPS + strangers::WITHOUT_MEDIA);
    let faults = tally.faults() + duplicates + tally.suppressed.abs_diff(left_out);
    Ok(ExitCode::from(u8::from(faults > 0 || outcome.runs != 1)))
}

/// How long one harm takes, on average.
fn every(harm: Harm) -> Duration {
    match harm {
        Harm::Kills | Harm::SqliteKills => Duration::from_millis(200),
        Harm::RedisKills => Duration::from_millis(4_500),
        Harm::PowerCuts => Duration::from_millis(2_500),
        Harm::SqlitePowerCuts => Duration::from_millis(1_500),
        Harm::FullDisk => Duration::from_millis(6_000),
        Harm::StoreLost => Duration::from_millis(8_000),
    }
}

fn run(args: &Args) -> Result<Outcome> {
    let begun = Instant::now();
    let tools = tempfile::tempdir()?;
    let cuts = matches!(args.harm, Harm::PowerCuts | Harm::SqlitePowerCuts);
    let preload = cuts.then(|| power::build_shim(tools.path()));
    let embedded = {
        use Harm::{FullDisk, SqliteKills, SqlitePowerCuts};
        matches!(args.harm, SqliteKills | SqlitePowerCuts | FullDisk)
    };
    let mut server = (!embedded).then(|| match &preload {
        Some(library) => RedisServer::start_preloaded(library),
        None => RedisServer::start_on_port(&["--appendonly", "yes", "--appendfsync", "always"]),
    });
    let proxy = server.as_ref().map(|server| Proxy::start(server.port()));
    let store = match &proxy {
        Some(proxy) => Store::Redis { url: format!("redis://127.0.0.1:{}/0", proxy.port) },
        None => Store::Sqlite,
    };
    let mut fleet = fleet(args, store, preload);
    let direct = server.as_ref().map(RedisServer::url);
    let ledger = connect(&fleet, direct.as_deref());
    until("a sealed plan", || is_sealed(ledger.as_ref()).then_some(()));

    strangers::say_stop(fleet.receiver, args.people);
    let run = block_on(ledger.runs())?.swap_remove(0).header.id.clone();

    // A file that is put back to what its disk held must not be open here meanwhile.
    let watching = (!embedded).then(|| std::sync::Arc::clone(&ledger));
    drop(ledger);
    let mut harm =
        Harmer { rng: SmallRng::seed_from_u64(args.seed), bytes_lost: 0, recoveries: Vec::new() };
    let mut scene = Scene { fleet: &mut fleet, server: server.as_mut(), proxy: proxy.as_ref() };
    for n in 0..args.times {
        strangers::slander(scene.fleet.receiver, &run, n % args.people);
        scene.harm(args.harm, n, &mut harm, watching.as_deref())?;
    }
    if let Some(proxy) = &proxy {
        proxy.be(Mood::Pass);
    }
    fleet.hosts.iter().for_each(|host| host.signal("-CONT"));
    fleet.start_all();
    let ledger = connect(&fleet, direct.as_deref());
    let tally = match args.harm {
        Harm::StoreLost => come_to_rest(&fleet, ledger.as_ref()),
        _ => settle(&mut fleet, ledger.as_ref())?,
    };
    if tally.faults() > 0 {
        explain(&fleet, ledger.as_ref());
    }
    let runs = block_on(ledger.runs())?.len() as u64;
    Ok(harm.outcome(args, runs, tally, begun.elapsed()))
}

/// Hosts that run a morning as long as the harm, and a little more to finish in.
fn fleet(args: &Args, store: Store, preload: Option<String>) -> Fleet {
    let length = (every(args.harm) * args.times).mul_f64(1.4) + Duration::from_secs(25);
    let times = Times { opens_in: Duration::from_secs(8), length };
    Fleet::start(&Spec {
        store,
        people: args.people,
        times,
        faults: "morning",
        on_ambiguous: if args.policy == "hold" { "hold" } else { "evidence" },
        preload,
        disk_mib: (args.harm == Harm::FullDisk).then_some(24),
    })
}

/// What can be harmed.
struct Scene<'a> {
    fleet: &'a mut Fleet,
    server: Option<&'a mut RedisServer>,
    proxy: Option<&'a Proxy>,
}

impl Scene<'_> {
    /// The `n`-th time. `ledger` is there over Redis.
    fn harm(
        &mut self,
        which: Harm,
        n: u32,
        harm: &mut Harmer,
        ledger: Option<&dyn Ledger>,
    ) -> Result<()> {
        let watched = || ledger.expect("there is Redis");
        match which {
            Harm::Kills | Harm::SqliteKills => harm.kill_one(self.fleet),
            Harm::RedisKills => {
                harm.spoil_the_network(self.proxy.expect("there is Redis"));
                harm.freeze_one(self.fleet);
                let server = self.server.as_deref_mut().expect("there is Redis");
                harm.kill_redis(server, watched());
                go_on(self.fleet);
            }
            Harm::PowerCuts => {
                harm.cut_power(self.fleet, self.server.as_deref_mut(), watched());
            }
            Harm::FullDisk => harm.fill_the_disk(self.fleet)?,
            Harm::StoreLost => harm.lose_the_store(self.fleet, self.server.as_deref(), n),
            Harm::SqlitePowerCuts => {
                pause(Duration::from_millis(harm.rng.random_range(800..2_000)));
                harm.bytes_lost += self.fleet.hosts[0].lose_power();
                self.fleet.start_all();
            }
        }
        Ok(())
    }
}

fn connect(fleet: &Fleet, direct: Option<&str>) -> std::sync::Arc<dyn Ledger> {
    until("the ledger", || block_on(fleet.ledger(direct)).ok())
}

fn is_sealed(ledger: &dyn Ledger) -> bool {
    block_on(ledger.runs()).is_ok_and(|runs| runs.iter().any(|run| run.sealed_at.is_some()))
}

/// Lets a few requests go, so that the next harm falls into sending; not for long, because
/// a host that is stopped keeps the others waiting.
fn go_on(fleet: &Fleet) {
    let before = fleet.requests();
    let some_went = || (fleet.requests() >= before + 5).then_some(());
    let _ = within(Duration::from_secs(5), Duration::from_millis(50), some_went);
}

/// Waits until the run is over and nothing is on its way any more.
fn settle(fleet: &mut Fleet, ledger: &dyn Ledger) -> Result<Tally> {
    let mut last = Tally::default();
    let settled = within(PATIENCE * 6, Duration::from_secs(1), || {
        let over = block_on(fleet.closed_run(ledger)).is_ok_and(|run| run.is_some());
        if over
            && fleet.webhooks_pending() == 0
            && let Ok(tally) = block_on(fleet.compare(ledger))
        {
            // Everything known, and nothing changing any more.
            if tally.lost + tally.open == 0 && tally == last {
                return Some(Ok(()));
            }
            last = tally;
        }
        let mut hosts = fleet.hosts.iter_mut();
        let ended = hosts.find_map(|host| host.has_ended().then_some(&*host));
        ended.map(|host| Err(anyhow!("{} ended by itself:\n{}", host.name, tail(&host.log()))))
    });
    settled.unwrap_or(Ok(())).map(|()| last)
}

/// A run that was planned again after its opening may catch up until late: deliveries whose
/// translation is stopped still wait then, and count as expired here; doubts under hold wait
/// for its end, and count as unknown.
fn come_to_rest(fleet: &Fleet, ledger: &dyn Ledger) -> Tally {
    let (mut last, mut looks) = (Tally::default(), 0);
    let rest = || {
        let tally = block_on(fleet.compare(ledger)).unwrap_or_default();
        let same = tally == last && tally.planned > 0 && fleet.webhooks_pending() == 0;
        looks = if same && tally.lost == 0 { looks + 1 } else { 0 };
        last = tally;
        (looks >= RESTS).then_some(())
    };
    let _ = within(PATIENCE * 4, Duration::from_secs(1), rest);
    let runs = block_on(ledger.runs()).unwrap_or_default();
    let count = |run: &Run| block_on(ledger.counts(&run.header.id)).unwrap_or_default();
    let doubts: u64 = runs.iter().map(|run| count(run).get(State::Ambiguous)).sum();
    let doubts = doubts.min(last.open);
    let waiting = (last.open - doubts).min(last.planned / 10);
    last.open -= waiting + doubts;
    (last.expired, last.unknown) = (last.expired + waiting, last.unknown + doubts);
    last
}

/// What is left, and what every host said last: on standard error.
fn explain(fleet: &Fleet, ledger: &dyn Ledger) {
    eprintln!("store: {:?}", block_on(ledger::store_mark::read(ledger)));
    eprintln!("members: {:?}", block_on(ledger::members::read(ledger)));
    eprintln!("fenced: {:?}", block_on(ledger.fenced_runs()));
    for run in block_on(ledger.runs()).unwrap_or_default() {
        let id = &run.header.id;
        eprintln!("run {id}: {:?}, sealed {:?}", run.phase, run.sealed_at);
        let all = block_on(ledger.list(id, &Filter::default(), None, 1_000_000));
        let open = all.unwrap_or_default().into_iter().filter(|d| d.state.is_open());
        open.take(5).for_each(|delivery| eprintln!("open: {delivery:?}"));
    }
    for host in &fleet.hosts {
        eprintln!("{}:\n{}", host.name, tail(&host.log()));
    }
}

/// Looks a second apart that must agree: longer than a probe of what is stopped is away.
const RESTS: u32 = 25;

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

struct Harmer {
    rng: SmallRng,
    bytes_lost: u64,
    /// Milliseconds.
    recoveries: Vec<u64>,
}

impl Harmer {
    fn outcome(mut self, args: &Args, runs: u64, tally: Tally, took: Duration) -> Outcome {
        self.recoveries.sort_unstable();
        let recoveries = &self.recoveries;
        Outcome {
            harm: format!("{:?}", args.harm),
            policy: args.policy.clone(),
            times: args.times,
            runs,
            tally,
            bytes_lost: self.bytes_lost,
            recovery_ms_p50: recoveries.get(recoveries.len() / 2).copied().unwrap_or(0),
            recovery_ms_max: recoveries.last().copied().unwrap_or(0),
            seconds: took.as_secs(),
        }
    }

    fn kill_one(&mut self, fleet: &mut Fleet) {
        pause(Duration::from_millis(self.rng.random_range(150..250)));
        let which = self.rng.random_range(0..fleet.hosts.len());
        fleet.hosts[which].kill();
        fleet.start_all();
    }

    fn fill_the_disk(&mut self, fleet: &Fleet) -> Result<()> {
        pause(Duration::from_millis(self.rng.random_range(800..2_000)));
        fleet.hosts[0].fill_disk(true);
        // What was granted before goes on, at most as long as an answer takes.
        pause(Duration::from_millis(2_500));
        let before = fleet.requests();
        pause(Duration::from_millis(1_500));
        let sent = fleet.requests() - before;
        fleet.hosts[0].fill_disk(false);
        ensure!(sent == 0, "{sent} requests were sent from a host whose disk was full");
        Ok(())
    }

    /// Nothing restarts and no connection breaks; three kinds in turn.
    fn lose_the_store(&mut self, fleet: &Fleet, server: Option<&RedisServer>, n: u32) {
        let server = server.expect("there is Redis");
        go_on(fleet);
        match n % 3 {
            0 => server.command(&["FLUSHALL"]),
            // An empty one, and two harms later the one that was before.
            _ => server.command(&["SWAPDB", "0", "1"]),
        };
        // Planned again and sent from again, or nothing is left.
        pause(Duration::from_millis(self.rng.random_range(3_000..6_000)));
        go_on(fleet);
    }

    fn spoil_the_network(&mut self, proxy: &Proxy) {
        match self.rng.random_range(0..6) {
            0 => proxy.cut(),
            1 => proxy.be(Mood::Delay(Duration::from_millis(self.rng.random_range(2..30)))),
            2 => {
                proxy.be(Mood::Blackhole);
                pause(Duration::from_millis(self.rng.random_range(200..1_500)));
                proxy.be(Mood::Pass);
            }
            3 => proxy.cut_mid_answer(self.rng.random_range(1..200)),
            _ => proxy.be(Mood::Pass),
        }
    }

    /// Stops a sender, or lets the stopped ones go on.
    fn freeze_one(&mut self, fleet: &Fleet) {
        let senders = fleet.hosts.iter().filter(|host| host.name.starts_with("sender"));
        let senders: Vec<_> = senders.collect();
        match self.rng.random_range(0..8) {
            0 => senders[self.rng.random_range(0..senders.len())].signal("-STOP"),
            _ => senders.iter().for_each(|host| host.signal("-CONT")),
        }
    }

    fn kill_redis(&mut self, server: &mut RedisServer, ledger: &dyn Ledger) {
        pause(Duration::from_millis(self.rng.random_range(500..1_500)));
        server.kill();
        pause(Duration::from_millis(self.rng.random_range(2..30)));
        server.come_back();
        self.recoveries.extend(recovered(ledger));
    }

    fn cut_power(
        &mut self,
        fleet: &mut Fleet,
        server: Option<&mut RedisServer>,
        ledger: &dyn Ledger,
    ) {
        pause(Duration::from_millis(self.rng.random_range(800..2_000)));
        let names = ["sender-1", "sender-2", "sender-3", "receiving", "redis"];
        match names[self.rng.random_range(0..names.len())] {
            "redis" => {
                let server = server.expect("there is Redis");
                server.kill();
                self.bytes_lost += power::cut(server.dir());
                server.come_back();
                self.recoveries.extend(recovered(ledger));
            }
            name => {
                self.bytes_lost += fleet.host(name).lose_power();
                fleet.start_all();
            }
        }
    }
}

/// How long it takes until the run may be sent from again, in milliseconds. `None` when a
/// frozen or cut off host keeps it waiting.
fn recovered(ledger: &dyn Ledger) -> Option<u64> {
    let begun = Instant::now();
    within(Duration::from_secs(10), Duration::from_millis(10), || {
        let open = block_on(ledger.fenced_runs()).is_ok_and(|fenced| fenced.is_empty());
        open.then(|| u64::try_from(begun.elapsed().as_millis()).ok()).flatten()
    })
}
