//! Runs a lane for each business number over one ledger.

use std::collections::HashMap;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cloud_api::CloudApi;
use domain::callback::CallbackKey;
use domain::{BusinessNumber, Clock};
use ledger::{Ledger, Phase};
use quality::{Breaker, PairRate};
use queue::{Lane, LaneOptions, run_lanes};
use rand::rngs::StdRng;
use telemetry::Metrics;
use tokio_util::sync::CancellationToken;

use crate::lane::NumberLane;
use crate::options::Options;

/// How often new runs are taken up.
const TAKE_UP: Duration = Duration::from_millis(500);
/// How often idle recipients are forgotten.
const FORGET: Duration = Duration::from_secs(60);

/// What all lanes of a process share.
pub(crate) struct Shared {
    pub ledger: Arc<dyn Ledger>,
    pub api: CloudApi,
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
    pub api: CloudApi,
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

impl Sender {
    /// Sends until `stop`; then waits for what is under way, at most the grace.
    pub async fn run(self, stop: CancellationToken) {
        let lane_options = LaneOptions {
            concurrency: self.options.concurrency,
            timeout: self.options.handling_timeout,
        };
        let (boot, grace) = (self.boot, self.options.grace);
        let shared = Arc::new(Shared {
            ledger: Arc::clone(&self.ledger),
            api: self.api,
            clock: self.clock,
            callback_key: self.callback_key,
            metrics: self.metrics,
            options: self.options,
            pairs: PairRate::new(Instant::now()),
            progress: self.progress,
            rng: Mutex::new(self.rng),
            templates: Mutex::default(),
        });
        let mut lanes: Vec<Arc<dyn Lane>> = Vec::new();
        for number in &self.numbers {
            lanes.push(Arc::new(NumberLane::new(number, Arc::clone(&shared))));
        }
        let taker = tokio::spawn(take_up(Arc::clone(&shared), stop.clone()));
        run_lanes(self.ledger, lanes, lane_options, &boot, stop, grace).await;
        let _ = taker.await; // it ends with the same stop
    }
}

/// Notes that open runs have a sender, so that "did it start?" has an answer, and forgets
/// recipients whose allowance is whole again.
async fn take_up(shared: Arc<Shared>, stop: CancellationToken) {
    let mut forgotten = Instant::now();
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
        if forgotten.elapsed() > FORGET {
            shared.pairs.forget_idle();
            forgotten = Instant::now();
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(TAKE_UP) => {}
        }
    }
}
