//! Runs a lane for each business number over one ledger.

use std::collections::HashMap;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::callback::CallbackKey;
use domain::{BusinessNumber, Clock, NumberId};
use ledger::{Ledger, Phase};
use quality::{Breaker, PairRate};
use queue::{Lane, LaneOptions, run_lanes};
use rand::rngs::StdRng;
use telemetry::Metrics;
use tokio_util::sync::CancellationToken;

use crate::gate::Gate;
use crate::journal::Journal;
use crate::lane::NumberLane;
use crate::leases;
use crate::monotonic;
use crate::options::Options;
use crate::recovery;
use crate::transport::Transport;

/// How often new runs are taken up.
const TAKE_UP: Duration = Duration::from_millis(500);
/// How often idle recipients are forgotten.
const FORGET: Duration = Duration::from_secs(60);

/// What all lanes of a process share.
pub(crate) struct Shared {
    pub ledger: Arc<dyn Ledger>,
    pub transport: Arc<dyn Transport>,
    pub journal: Arc<dyn Journal>,
    pub gate: Gate,
    /// Names this host among those that share the ledger.
    pub host: String,
    pub clock: Arc<dyn Clock>,
    pub callback_key: CallbackKey,
    pub metrics: Arc<Metrics>,
    pub options: Options,
    pub pairs: PairRate,
    /// Microseconds since 1970 of the last turn of any claim loop.
    pub progress: Arc<AtomicI64>,
    rng: Mutex<StdRng>,
    templates: Mutex<HashMap<String, Breaker>>,
}

impl Shared {
    pub fn with_rng<T>(&self, f: impl FnOnce(&mut StdRng) -> T) -> T {
        f(&mut self.rng.lock().expect("no panic while held"))
    }

    pub fn with_template<T>(&self, name: &str, f: impl FnOnce(&mut Breaker) -> T) -> T {
        let mut templates = self.templates.lock().expect("no panic while held");
        let compress = self.options.compress;
        f(templates.entry(name.to_owned()).or_insert_with(|| Breaker::new(compress)))
    }
}

/// Everything a sender needs from outside.
pub struct Sender {
    pub ledger: Arc<dyn Ledger>,
    pub transport: Arc<dyn Transport>,
    pub journal: Arc<dyn Journal>,
    /// Names this host among those that share the ledger; the same after a restart.
    pub host: String,
    pub clock: Arc<dyn Clock>,
    pub callback_key: CallbackKey,
    pub metrics: Arc<Metrics>,
    pub options: Options,
    pub numbers: Vec<BusinessNumber>,
    /// Seeds nonces and jitter; must not repeat between processes.
    pub rng: StdRng,
    /// Unique per process start.
    pub boot: String,
    /// Set to the time of the last turn of any claim loop: the watchdog reads it.
    pub progress: Arc<AtomicI64>,
}

/// The lanes of a sender and what keeps them honest, to be driven by `queue` or a test.
pub struct Running {
    pub lanes: Vec<Arc<dyn Lane>>,
    shared: Arc<Shared>,
    numbers: Vec<NumberId>,
}

impl Sender {
    /// Sends until `stop`; then waits for what is under way, at most the grace.
    pub async fn run(self, stop: CancellationToken) {
        let lane_options = LaneOptions {
            concurrency: self.options.concurrency,
            timeout: self.options.handling_timeout,
        };
        let (boot, grace) = (self.boot.clone(), self.options.grace);
        let ledger = Arc::clone(&self.ledger);
        let running = self.prepare();
        running.settle_the_past(&stop).await;
        let lanes = running.lanes.clone();
        let done = CancellationToken::new();
        let keeping = tokio::spawn(running.keep(stop.clone(), done.clone()));
        run_lanes(ledger, lanes, lane_options, &boot, stop, grace).await;
        done.cancel();
        let _ = keeping.await; // it ends with the same stop
    }

    /// Makes the lanes without running them.
    pub fn prepare(self) -> Running {
        let shared = Arc::new(Shared {
            ledger: self.ledger,
            transport: self.transport,
            journal: self.journal,
            gate: Gate::default(),
            host: self.host,
            clock: self.clock,
            callback_key: self.callback_key,
            metrics: self.metrics,
            options: self.options,
            pairs: PairRate::new(monotonic()),
            progress: self.progress,
            rng: Mutex::new(self.rng),
            templates: Mutex::default(),
        });
        let lane = |number: &BusinessNumber| {
            Arc::new(NumberLane::new(number, Arc::clone(&shared))) as Arc<dyn Lane>
        };
        let lanes = self.numbers.iter().map(lane).collect();
        let numbers = self.numbers.iter().map(|number| number.id.clone()).collect();
        Running { lanes, shared, numbers }
    }
}

impl Running {
    /// Gives the ledger what earlier processes of this host left behind. First of all.
    pub async fn settle_the_past(&self, stop: &CancellationToken) {
        recovery::settle_the_past(&self.shared, stop).await;
    }

    /// Keeps lanes, takes up runs and joins recoveries until `stop`; frees the lanes once
    /// `done` says that nothing is under way any more.
    pub async fn keep(self, stop: CancellationToken, done: CancellationToken) {
        let shared = &self.shared;
        tokio::join!(
            biased;
            recovery::recover(shared, &stop),
            leases::keep_lanes(shared, &self.numbers, &stop),
            take_up(shared, &stop),
        );
        done.cancelled().await;
        leases::free_lanes(shared).await;
    }
}

/// Notes that open runs have a sender, so that "did it start?" has an answer, and forgets
/// recipients whose allowance is whole again.
async fn take_up(shared: &Shared, stop: &CancellationToken) {
    let mut forgotten = monotonic();
    loop {
        if let Ok(runs) = shared.ledger.active_runs().await {
            for run in runs.iter().filter(|r| r.phase == Phase::Open && r.started_at.is_none()) {
                let id = &run.header.id;
                match shared.ledger.mark_started(id).await {
                    Ok(_) => tracing::info!(run = %id, "run {id} has a sender"),
                    Err(error) => {
                        tracing::warn!(run = %id, error = %error, "mark run {id} started: {error}")
                    }
                }
            }
        }
        if monotonic() - forgotten > FORGET {
            shared.pairs.forget_idle();
            forgotten = monotonic();
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(TAKE_UP) => {}
        }
    }
}
