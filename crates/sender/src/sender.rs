//! Runs a lane for each business number over one ledger.

use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use domain::callback::CallbackKey;
use domain::{BusinessNumber, Clock, NumberId};
use ledger::halts::{self, Thing};
use ledger::{Ledger, Phase, orders, standing};
use provider::Registry;
use quality::PairRate;
use queue::{Lane, LaneOptions, LanesEnded, run_lanes};
use rand::rngs::StdRng;
use telemetry::Metrics;
use tokio_util::sync::CancellationToken;

use crate::budget::Budget;
use crate::gate::Gate;
use crate::grants::Grants;
use crate::journal::Journal;
use crate::lane::NumberLane;
use crate::leases;
use crate::monotonic;
use crate::options::Options;
use crate::recovery;
use crate::shared::Shared;
use crate::unsent::Unsent;
use crate::unsettled::Unsettled;

/// How often new runs are taken up.
const TAKE_UP: Duration = Duration::from_millis(500);
/// How often idle recipients are forgotten.
const FORGET: Duration = Duration::from_secs(60);
/// How often halts that others have noted are looked for.
const HEED: Duration = Duration::from_millis(250);

/// Everything a sender needs from outside.
pub struct Sender {
    pub ledger: Arc<dyn Ledger>,
    /// Of each of the numbers.
    pub providers: Registry,
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
    /// Unique per start of a process.
    pub process_start: String,
    /// Set to the time of the last turn of any claim loop: the watchdog reads it.
    pub progress: Arc<AtomicI64>,
}

/// The lanes of a sender and what keeps them honest, to be driven by `queue` or a test.
pub struct Running {
    pub lanes: Vec<Arc<dyn Lane>>,
    own: Vec<Arc<NumberLane>>,
    shared: Arc<Shared>,
    numbers: Vec<NumberId>,
}

impl Sender {
    /// Sends until `stop`; then waits for what is under way, at most the grace.
    ///
    /// # Errors
    /// When a lane, or what keeps them honest, ended before; everything else is stopped in
    /// order then.
    pub async fn run(self, stop: CancellationToken) -> Result<(), LanesEnded> {
        let stop = stop.child_token();
        let lane_options = LaneOptions {
            concurrency: self.options.concurrency,
            timeout: self.options.handling_timeout,
        };
        let (process_start, grace) = (self.process_start.clone(), self.options.grace);
        let ledger = Arc::clone(&self.ledger);
        let running = self.prepare();
        running.settle_the_past(&stop).await;
        let lanes = running.lanes.clone();
        let done = CancellationToken::new();
        let mut keeping = tokio::spawn(running.keep(stop.clone(), done.clone()));
        let lanes = run_lanes(ledger, lanes, lane_options, &process_start, stop.clone(), grace);
        tokio::pin!(lanes);
        tokio::select! {
            ended = &mut lanes => {
                stop.cancel(); // lanes that ended by themselves: nothing is kept for them
                done.cancel();
                let _ = keeping.await; // it ends with the same stop
                ended
            }
            kept = &mut keeping => {
                stop.cancel();
                let _ = lanes.await; // this one was asked to
                let cause = kept.err().map_or("returned".to_owned(), |error| error.to_string());
                Err(LanesEnded(format!("keeping lanes and joining recoveries: {cause}")))
            }
        }
    }

    /// Makes the lanes without running them.
    pub fn prepare(self) -> Running {
        let shared = Arc::new(Shared {
            ledger: self.ledger,
            journal: self.journal,
            gate: Gate::default(),
            grants: Grants::default(),
            doubted_at: Mutex::default(),
            budget: Budget::new(self.options.budget, self.options.budget_max),
            host: self.host,
            clock: self.clock,
            ahead: AtomicI64::new(0),
            callback_key: self.callback_key,
            metrics: self.metrics,
            options: self.options,
            pairs: PairRate::new(monotonic()),
            progress: self.progress,
            rng: Mutex::new(self.rng),
            breakers: Mutex::default(),
            unsent: Unsent::default(),
            unsettled: Unsettled::default(),
            streaks: Mutex::default(),
            by_streak: Mutex::default(),
            heeded: Mutex::default(),
            standing: RwLock::default(),
        });
        let lane = |number: &BusinessNumber| {
            let Some(provider) = self.providers.of(&number.id) else {
                tracing::error!(number.id = %number.id, "number {} has no provider: nothing is sent from it", number.id);
                return None;
            };
            Some(Arc::new(NumberLane::new(number, Arc::clone(provider), Arc::clone(&shared))))
        };
        let own: Vec<Arc<NumberLane>> = self.numbers.iter().filter_map(lane).collect();
        let lanes = own.iter().map(|lane| Arc::clone(lane) as Arc<dyn Lane>).collect();
        let numbers = own.iter().map(|lane| lane.number.clone()).collect();
        Running { lanes, own, shared, numbers }
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
            heed_halts(shared, &self.own, &stop),
            recovery::note_places(shared, &stop),
        );
        done.cancelled().await;
        leases::free_lanes(shared).await;
    }
}

/// Stops what a receiver, or another sender, has found to be stopped.
async fn heed_halts(shared: &Shared, lanes: &[Arc<NumberLane>], stop: &CancellationToken) {
    let mut asked = None;
    loop {
        if let Ok(at) = halts::asked_to_probe(shared.ledger.as_ref()).await {
            // What was asked for before this process came is done: its breakers are closed.
            if asked.replace(at).is_some_and(|before| before < at) {
                tracing::warn!("asked to probe: what is stopped is tried again at once");
                let now = monotonic();
                lanes.iter().for_each(|lane| lane.hurry(now));
                shared.hurry(now);
            }
        }
        if let Ok(found) = standing::read(shared.ledger.as_ref()).await {
            shared.heed_standing(found);
        }
        if let Ok(found) = orders::read(shared.ledger.as_ref()).await {
            let now = shared.store_now(); // orders end by the store's clock
            lanes.iter().for_each(|lane| lane.heed_orders(found.percent(&lane.number, now)));
        }
        // A store that does not answer is noticed where something has to be sent.
        if let Ok(found) = halts::read(shared.ledger.as_ref()).await {
            for halt in shared.unheeded(found) {
                let now = monotonic();
                match &halt.thing {
                    Thing::Number(number) => {
                        lanes.iter().filter(|l| l.number == *number).for_each(|l| l.heed(now));
                    }
                    thing => {
                        shared.with_breaker(thing, |breaker| breaker.trip(now));
                    }
                }
                tracing::error!(code = halt.code, "{} is stopped: {}", halt.thing, halt.why);
            }
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(HEED) => {}
        }
    }
}

/// Notes that open runs have a sender, so that "did it start?" has an answer, and forgets
/// recipients whose allowance is whole again.
async fn take_up(shared: &Shared, stop: &CancellationToken) {
    let mut forgotten = monotonic();
    loop {
        if let Ok(runs) = shared.ledger.active_runs().await {
            let ids: Vec<_> = runs.iter().map(|run| run.header.id.clone()).collect();
            recovery::look_for_the_last_grant(shared, &ids).await;
            shared.grants.keep(&ids);
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
