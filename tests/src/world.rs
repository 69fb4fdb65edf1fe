//! A whole morning in one thread on a virtual clock: the real sender, scheduler, sweeper,
//! applier and recovery over the model ledger, with every seam between them faulty.
//!
//! Everything random follows from the seed, so a seed that fails can be looked at again:
//! `cargo run --release -p tests --bin seeds -- --policy hold --first 4711 --seeds 1`.
//! Processes crash, machines lose power, are frozen and come back; the store goes away,
//! restarts and forgets its last second; replies get lost; webhooks come late, twice, out
//! of order, or only once the receiver is there again. At the end the far side's own record
//! is held against the ledger.

mod caller;
pub mod chaos;
mod check;
mod crowd;
mod disks;
mod far;
mod host;
mod life;
mod receiver;
mod store;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::{Clock, OnAmbiguous, RunId, Timestamp};
use rand::SeedableRng;
use rand::rngs::SmallRng;

pub use chaos::Chaos;
pub use check::Verdict;

use crate::world::far::Far;
use crate::world::host::Hosts;
use crate::world::store::Store;

/// When the simulated day begins.
const DAWN: Timestamp = Timestamp::from_secs(1_795_220_000);
/// Longest wait for anything to end, in virtual time; reached only when something is wrong.
const PATIENCE: Duration = Duration::from_secs(3 * 3_600);

#[derive(Clone, Copy, Debug)]
pub struct Setup {
    pub seed: u64,
    pub policy: OnAmbiguous,
    pub chaos: Chaos,
    pub deliveries: u32,
    /// Hosts that send.
    pub senders: usize,
    /// So many people say STOP between planning and deadline, whether they were written to or not.
    pub stops: u32,
}

impl Setup {
    /// A morning of twelve on three hosts.
    pub const fn of(seed: u64, policy: OnAmbiguous, chaos: Chaos) -> Self {
        Setup { seed, policy, chaos, deliveries: 12, senders: 3, stops: 0 }
    }

    pub fn evidence(&self) -> domain::Evidence {
        // So few deliveries would have a budget of one.
        domain::Evidence { budget: 0.25, ..domain::Evidence::default() }
    }

    /// Resends on evidence that its budget allows.
    pub fn resends_max(&self) -> u64 {
        self.evidence().resends_max(self.deliveries).into()
    }
}

/// What all parts of one world share.
pub struct World {
    pub setup: Setup,
    pub run: RunId,
    rng: Mutex<SmallRng>,
    /// Snapshots, and what hosts note of the store: files that outlive processes.
    disks: tempfile::TempDir,
    started: tokio::time::Instant,
}

impl World {
    pub fn draw<T>(&self, f: impl FnOnce(&mut SmallRng) -> T) -> T {
        f(&mut self.rng.lock().expect("one thread"))
    }

    /// True with this probability.
    pub fn chance(&self, share: f64) -> bool {
        use rand::RngExt;
        share > 0.0 && self.draw(|rng| rng.random::<f64>()) < share
    }

    /// A span up to `max`, evenly.
    pub fn span(&self, max: Duration) -> Duration {
        use rand::RngExt;
        max.mul_f64(self.draw(|rng| rng.random::<f64>()))
    }

    /// Since the beginning, for logs.
    pub fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// The true time, which no process sees exactly.
    pub fn now(&self) -> Timestamp {
        DAWN + self.started.elapsed()
    }
}

/// A process's view of the time: off by a constant.
pub struct SkewedClock {
    pub world: Arc<World>,
    /// Microseconds.
    pub ahead: i64,
}

impl Clock for SkewedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.world.now().micros() + self.ahead)
    }
}

/// Simulates one morning.
pub fn run(setup: Setup) -> Verdict {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O");
    runtime.block_on(morning(setup))
}

async fn morning(setup: Setup) -> Verdict {
    let world = Arc::new(World {
        setup,
        run: "daily-pack@2026-11-21".parse().expect("a run's name"),
        rng: Mutex::new(SmallRng::seed_from_u64(setup.seed)),
        disks: tempfile::tempdir().expect("a temporary folder"),
        started: tokio::time::Instant::now(),
    });
    let store = Arc::new(Store::new(Arc::clone(&world)));
    let far = Arc::new(Far::new(Arc::clone(&world)));
    let hosts = Arc::new(Hosts::new(&world, &store, &far));
    host::plan_thrice(&world, &store).await;
    hosts.start_all();
    let chaos =
        tokio::spawn(chaos::reign(Arc::clone(&world), Arc::clone(&store), Arc::clone(&hosts)));
    tokio::spawn(crowd::speaks(Arc::clone(&world), Arc::clone(&far)));
    let acknowledged = caller::Acknowledged::default();
    tokio::spawn(caller::call(Arc::clone(&world), Arc::clone(&store), Arc::clone(&acknowledged)));
    let closed = wait(|| store.is_closed(&world.run) && store.is_closed(&caller::run_id())).await;
    chaos.abort();
    hosts.heal();
    let settled = || {
        hosts.are_all_told_right()
            && store.is_recovered()
            && far.is_idle()
            && hosts.inbox_is_applied()
    };
    let drained = wait(settled).await;
    check::verdict(&world, &store, &far, &acknowledged, closed && drained).await
}

/// Waits in virtual time; false when it never comes.
async fn wait(mut done: impl FnMut() -> bool) -> bool {
    let begun = tokio::time::Instant::now();
    while !done() {
        if begun.elapsed() > PATIENCE {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    true
}
