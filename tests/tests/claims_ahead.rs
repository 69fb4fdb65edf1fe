//! Goal: a lane claims ahead of its workers, and nothing that it claimed is stuck with it:
//! behind a far side that hangs, claims go back long before their lease ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use domain::{NumberId, State, SystemClock};
use ledger::{Claim, IntentAnswer, Model};
use queue::{BoxError, Lane, LaneBackend, LaneOptions, Room};
use tests::conformance::Stage;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

const WORKERS: usize = 4;
const OPTIONS: LaneOptions =
    LaneOptions { concurrency: WORKERS, timeout: Duration::from_secs(3_600) };

/// Whatever it is given never ends; it may have no room, but a panic.
struct Hangs {
    number: NumberId,
    panics: bool,
    started: AtomicUsize,
    wake: Arc<Notify>,
}

impl Hangs {
    fn new(number: &NumberId) -> Arc<Self> {
        Self::with(number, false)
    }

    fn with(number: &NumberId, panics: bool) -> Arc<Self> {
        let (number, wake) = (number.clone(), Arc::default());
        Arc::new(Hangs { number, panics, started: AtomicUsize::new(0), wake })
    }
}

#[async_trait]
impl Lane for Hangs {
    fn number(&self) -> &NumberId {
        &self.number
    }

    fn room(&self) -> Room {
        assert!(!self.panics, "on purpose");
        Room::UpTo(100)
    }

    async fn deliver(&self, _: Claim) -> Result<(), BoxError> {
        self.started.fetch_add(1, Ordering::SeqCst);
        std::future::pending().await
    }

    fn wake(&self) -> &Arc<Notify> {
        &self.wake
    }
}

#[tokio::test(start_paused = true)]
async fn what_waits_too_long_for_a_worker_goes_back_and_is_claimed_anew() {
    let ledger = Arc::new(Model::new(Arc::new(SystemClock)));
    let stage = Stage::new(ledger.as_ref(), "ahead", 40).await;
    stage.plan().await;
    let stop = CancellationToken::new();
    let lane = Hangs::new(&stage.lane);
    let mut backend =
        LaneBackend::start(ledger.clone(), lane, &OPTIONS, &stop, &CancellationToken::new());
    let mut held = Vec::new();
    for _ in 0..WORKERS {
        held.push(backend.next().await.expect("a claim"));
    }
    let fences = |held: &[queue::Job]| held.iter().map(|job| job.claim.lease_token).max();
    assert_eq!(fences(&held), Some(1));
    // Of virtual time; the lease is 10 s.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(stage.counts().await.get(State::Leased), 2 * WORKERS as u64, "as many ahead");
    let anew = backend.next().await.expect("a claim");
    assert_eq!(anew.claim.lease_token, 2, "{} had waited", anew.claim.id);
    assert_eq!(stage.intent(&anew.claim, 1).await, IntentAnswer::Granted);
}

#[tokio::test(start_paused = true)]
async fn no_more_are_handled_at_once_than_there_are_workers_and_the_rest_goes_back() {
    let ledger = Arc::new(Model::new(Arc::new(SystemClock)));
    let stage = Stage::new(ledger.as_ref(), "workers", 40).await;
    stage.plan().await;
    let (stop, lane) = (CancellationToken::new(), Hangs::new(&stage.lane));
    let lanes: Vec<Arc<dyn Lane>> = vec![lane.clone()];
    let grace = Duration::from_secs(1);
    let run = queue::run_lanes(ledger.clone(), lanes, OPTIONS, "boot", stop.clone(), grace);
    let watch = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(stage.counts().await.get(State::Leased), 2 * WORKERS as u64);
        stop.cancel();
    };
    let begun = tokio::time::Instant::now();
    let (ended, ()) = tokio::join!(run, watch);
    assert_eq!(ended, Ok(()), "it was asked to");
    assert!(begun.elapsed() < Duration::from_secs(3), "the grace is over");
    assert_eq!(lane.started.load(Ordering::SeqCst), WORKERS);
    let counts = stage.counts().await;
    assert_eq!(counts.get(State::Leased), WORKERS as u64, "those that hang");
}

/// The others are stopped in order, and whoever runs them is told.
#[tokio::test(start_paused = true)]
async fn a_claim_loop_that_panics_ends_all_lanes_aloud() {
    let ledger = Arc::new(Model::new(Arc::new(SystemClock)));
    let stage = Stage::new(ledger.as_ref(), "panics", 4).await;
    let other = NumberId::try_new("other").unwrap();
    let lanes: Vec<Arc<dyn Lane>> = vec![Hangs::new(&stage.lane), Hangs::with(&other, true)];
    let (stop, grace) = (CancellationToken::new(), Duration::from_secs(1));
    let ended = queue::run_lanes(ledger.clone(), lanes, OPTIONS, "boot", stop.clone(), grace).await;
    assert_eq!(ended, Err(queue::LanesEnded("a claim loop panicked".to_owned())));
    assert!(!stop.is_cancelled(), "the stop is its caller's");
}
