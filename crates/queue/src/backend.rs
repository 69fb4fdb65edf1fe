//! apalis' `Backend` over one lane of the ledger.
//!
//! A spawned claim loop leases what is due, no more than there are free slots, and sleeps
//! to the next due instant. Jobs carry their slot, so the slot is free exactly when the
//! job is over. There are twice as many slots as workers: a worker that becomes free need
//! not wait for the ledger, and a backlog is claimed many at a time. What waits too long
//! for a worker goes back, long before its lease ends; so does on close, after the loop has
//! ended, what no worker took.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use apalis_core::backend::finalize::Ephemeral;
use apalis_core::backend::{Backend, BackendConfig};
use apalis_core::task::Task;
use apalis_core::task::task_id::RandomId;
use apalis_core::worker::context::WorkerContext;
use ledger::{Claim, Claimed, Ledger, LedgerError, Release};
use telemetry::Fault;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::layer::util::Identity;

use crate::{Lane, Room};

/// Longest sleep of an idle lane: how late another process's push may be noticed.
const IDLE_MAX: Duration = Duration::from_millis(500);
/// Pause after a store that did not answer.
const STORE_PAUSE: Duration = Duration::from_millis(200);
/// Most deliveries in one claim: bounds the time one ledger call takes.
const CLAIM_MAX: usize = 256;
/// A claim may wait for a worker for this share of its lease; what follows needs the rest.
const AHEAD: f64 = 0.2;

#[derive(Clone, Debug)]
pub struct LaneOptions {
    /// Deliveries of the lane that may be under way at once; as many again are claimed ahead.
    pub concurrency: usize,
    /// Longest handling of one delivery, above the HTTP client's own limit.
    pub timeout: Duration,
}

/// A claim on its way through a worker.
pub struct Job {
    pub claim: Claim,
    pub(crate) slot: OwnedSemaphorePermit,
}

/// Claims that no worker has taken yet, oldest first.
#[derive(Default)]
struct Ahead(Mutex<VecDeque<(Instant, Job)>>);

impl Ahead {
    fn push(&self, job: Job) {
        self.with(|jobs| jobs.push_back((Instant::now(), job)));
    }

    fn pop(&self) -> Option<Job> {
        self.with(VecDeque::pop_front).map(|(_, job)| job)
    }

    /// Those that have waited too long.
    fn stale(&self) -> Vec<Job> {
        let now = Instant::now();
        self.with(|jobs| {
            let is_stale = |(since, job): &&(Instant, Job)| {
                now - *since >= job.claim.header.policy.lease.mul_f64(AHEAD)
            };
            let n = jobs.iter().take_while(is_stale).count();
            jobs.drain(..n).map(|(_, job)| job).collect()
        })
    }

    fn with<T>(&self, f: impl FnOnce(&mut VecDeque<(Instant, Job)>) -> T) -> T {
        f(&mut self.0.lock().expect("no panic while held"))
    }
}

pub struct LaneBackend {
    ahead: Arc<Ahead>,
    /// One for each job that was pushed, also for those that went back.
    pushed: mpsc::UnboundedReceiver<()>,
    stop: CancellationToken,
    /// The claim loop, until it has ended.
    claimer: Option<JoinHandle<()>>,
}

impl LaneBackend {
    /// Starts the claim loop, which ends with `stop`; needs a tokio runtime. One that ends
    /// otherwise, because it panicked, cancels `lost`.
    pub fn start(
        ledger: Arc<dyn Ledger>,
        lane: Arc<dyn Lane>,
        options: &LaneOptions,
        stop: &CancellationToken,
        lost: &CancellationToken,
    ) -> Self {
        let (push, pushed) = mpsc::unbounded_channel();
        let ahead = Arc::new(Ahead::default());
        let stop = stop.child_token();
        let concurrency = options.concurrency.max(1);
        let claimer = Claimer {
            ledger,
            lane,
            slots: Arc::new(Semaphore::new(2 * concurrency)),
            together: u32::try_from(concurrency / 2).unwrap_or(u32::MAX).max(1),
            ahead: Arc::clone(&ahead),
            push,
        };
        let lost = lost.clone().drop_guard();
        let claiming = stop.clone();
        let claimer = Some(tokio::spawn(async move {
            claimer.run(claiming).await;
            lost.disarm();
        }));
        LaneBackend { ahead, pushed, stop, claimer }
    }

    /// The next claim, for those who drive a lane without apalis.
    pub async fn next(&mut self) -> Option<Job> {
        std::future::poll_fn(|cx| self.poll_job(cx)).await
    }

    fn poll_job(&mut self, cx: &mut Context<'_>) -> Poll<Option<Job>> {
        while let Some(()) = ready!(self.pushed.poll_recv(cx)) {
            if let Some(job) = self.ahead.pop() {
                return Poll::Ready(Some(job));
            }
        }
        Poll::Ready(None)
    }
}

/// Gives claims back as they were; their slots are free then.
async fn give_back(ledger: &dyn Ledger, jobs: Vec<Job>) {
    let release = |Job { claim, .. }: &Job| Release {
        id: claim.id.clone(),
        lease_token: claim.lease_token,
        wait: Duration::ZERO,
    };
    let releases: Vec<Release> = jobs.iter().map(release).collect();
    if releases.is_empty() {
        return;
    }
    if let Err(error) = ledger.release(&releases).await {
        tracing::warn!(error = %error, "{} claims were not given back and wait for their lease to end", releases.len());
    }
}

impl Backend for LaneBackend {
    type Task = Task<Job>;
    type Error = Infallible;

    fn poll_ready(
        &mut self,
        _: &mut Context<'_>,
        _: &WorkerContext,
    ) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        _: &WorkerContext,
    ) -> Poll<Option<Result<Task<Job>, Infallible>>> {
        self.poll_job(cx).map(|job| job.map(|job| Ok(Task::new(job))))
    }

    fn poll_close(
        &mut self,
        cx: &mut Context<'_>,
        _: &WorkerContext,
    ) -> Poll<Result<(), Infallible>> {
        self.stop.cancel();
        if let Some(claimer) = &mut self.claimer {
            let _ = ready!(Pin::new(claimer).poll(cx)); // one that panicked claims nothing more
            self.claimer = None;
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for LaneBackend {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl BackendConfig for LaneBackend {
    type Args = Job;
    type Id = RandomId;
    type Kind = Ephemeral;
    type Config = ();
    type Layer = Identity;

    fn config(&self) -> &() {
        &()
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> Identity {
        Identity::new()
    }
}

/// The claim loop.
struct Claimer {
    ledger: Arc<dyn Ledger>,
    lane: Arc<dyn Lane>,
    slots: Arc<Semaphore>,
    /// While more is due than can go, so many are claimed at once and not each alone.
    together: u32,
    ahead: Arc<Ahead>,
    push: mpsc::UnboundedSender<()>,
}

impl Claimer {
    /// Claims until `stop`, then gives back what no worker took.
    async fn run(self, stop: CancellationToken) {
        self.claim_until(&stop).await;
        let left: Vec<Job> = std::iter::from_fn(|| self.ahead.pop()).collect();
        give_back(self.ledger.as_ref(), left).await;
    }

    async fn claim_until(&self, stop: &CancellationToken) {
        let (mut wanted, mut fault) = (1, Fault::default());
        let number = self.lane.number();
        loop {
            give_back(self.ledger.as_ref(), self.ahead.stale()).await;
            let slots = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                slots = Arc::clone(&self.slots).acquire_many_owned(wanted) => slots,
                () = tokio::time::sleep(IDLE_MAX) => {
                    self.lane.looked(); // full, not stuck
                    continue;
                }
            };
            let Ok(slots) = slots else { return };
            // A claim is never cut short: what it leased is either pushed or given back.
            let pause = match self.round(slots).await {
                Ok(pause) => {
                    if let Some(met) = fault.over() {
                        tracing::info!(lane = %number, "claims from lane {number} work again; {met} had failed");
                    }
                    pause
                }
                // Said once, by whoever takes part in the recovery.
                Err(LedgerError::StoreRestarted { .. }) => STORE_PAUSE,
                Err(error) => {
                    if fault.met(&error.to_string()) {
                        tracing::warn!(lane = %number, error = %error, "claim from lane {number}: {error}");
                    }
                    STORE_PAUSE
                }
            };
            self.lane.looked();
            wanted = if pause.is_zero() { self.together } else { 1 };
            if pause.is_zero() {
                continue;
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.lane.wake().notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Claims once; returns how long to sleep before the next round.
    async fn round(&self, mut slots: OwnedSemaphorePermit) -> Result<Duration, LedgerError> {
        let room = match self.lane.room() {
            Room::UpTo(0) => return Ok(IDLE_MAX),
            Room::UpTo(room) => room,
            Room::Wait(wait) => return Ok(wait.min(IDLE_MAX)),
        };
        let free = self.slots.available_permits() + slots.num_permits();
        let k = room.min(free).min(CLAIM_MAX);
        let Claimed { claims, next_due, now } = self.ledger.claim(self.lane.number(), k).await?;
        let full = claims.len() == k;
        for claim in claims {
            let taken = slots.split(1).or_else(|| Arc::clone(&self.slots).try_acquire_owned().ok());
            let slot =
                taken.expect("only this loop takes slots, and it claimed no more than were free");
            self.ahead.push(Job { claim, slot });
            let _ = self.push.send(()); // the receiver lives until the loop has ended
        }
        if full {
            return Ok(Duration::ZERO);
        }
        let wait = next_due.map_or(IDLE_MAX, |due| due.since(now));
        Ok(wait.clamp(Duration::from_millis(1), IDLE_MAX))
    }
}
