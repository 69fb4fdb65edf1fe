//! apalis' `Backend` over one lane of the ledger.
//!
//! A spawned claim loop leases what is due, no more than there are free slots, and sleeps
//! to the next due instant. Jobs carry their slot, so the slot is free exactly when the
//! job is over. On close the loop ends first and claims that no worker took go back.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use apalis_core::backend::finalize::Ephemeral;
use apalis_core::backend::{Backend, BackendConfig};
use apalis_core::task::Task;
use apalis_core::task::task_id::RandomId;
use apalis_core::worker::context::WorkerContext;
use ledger::{Claim, Ledger, LedgerError, Release};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::layer::util::Identity;

use crate::{Lane, Room};

/// Longest sleep of an idle lane: how late another process's push may be noticed.
const IDLE_MAX: Duration = Duration::from_millis(500);
/// Pause after a store that did not answer.
const STORE_PAUSE: Duration = Duration::from_millis(200);
/// Most deliveries in one claim: bounds the time one ledger call takes.
const CLAIM_MAX: usize = 256;

#[derive(Clone, Debug)]
pub struct LaneOptions {
    /// Deliveries of the lane that may be under way at once.
    pub concurrency: usize,
    /// Longest handling of one delivery, above the HTTP client's own limit.
    pub timeout: Duration,
}

/// A claim on its way through a worker.
pub struct Job {
    pub claim: Claim,
    pub(crate) slot: OwnedSemaphorePermit,
}

pub struct LaneBackend {
    jobs: mpsc::UnboundedReceiver<Job>,
    stop: CancellationToken,
    closing: Closing,
    ledger: Arc<dyn Ledger>,
}

enum Closing {
    Open(Option<JoinHandle<()>>),
    Draining(Pin<Box<dyn Future<Output = ()> + Send>>),
    Closed,
}

impl LaneBackend {
    /// Starts the claim loop, which ends with `stop`; needs a tokio runtime.
    pub fn start(
        ledger: Arc<dyn Ledger>,
        lane: Arc<dyn Lane>,
        options: &LaneOptions,
        stop: &CancellationToken,
    ) -> Self {
        let (push, jobs) = mpsc::unbounded_channel();
        let stop = stop.child_token();
        let claimer = Claimer {
            ledger: Arc::clone(&ledger),
            lane,
            slots: Arc::new(Semaphore::new(options.concurrency.max(1))),
            jobs: push,
        };
        let handle = tokio::spawn(claimer.run(stop.clone()));
        LaneBackend { jobs, stop, closing: Closing::Open(Some(handle)), ledger }
    }

    /// The next claim, for those who drive a lane without apalis.
    pub async fn next(&mut self) -> Option<Job> {
        self.jobs.recv().await
    }

    /// Ends the claim loop and gives back what it had claimed and no worker took.
    fn drain(
        &mut self,
        handle: Option<JoinHandle<()>>,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.stop.cancel();
        let (_, empty) = mpsc::unbounded_channel();
        let mut jobs = std::mem::replace(&mut self.jobs, empty);
        let ledger = Arc::clone(&self.ledger);
        Box::pin(async move {
            if let Some(handle) = handle {
                let _ = handle.await; // a loop that panicked has claimed nothing more
            }
            let mut releases = Vec::new();
            while let Ok(job) = jobs.try_recv() {
                releases.push(release_now(&job.claim));
            }
            if let Err(error) = ledger.release(&releases).await {
                tracing::warn!(error = %error, "{} claims were not given back and wait for their lease to end", releases.len());
            }
        })
    }
}

/// Gives a claim back as due when it was.
fn release_now(claim: &Claim) -> Release {
    Release { id: claim.id.clone(), fence: claim.fence, next_at: claim.due_at }
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
        self.jobs.poll_recv(cx).map(|job| job.map(|job| Ok(Task::new(job))))
    }

    fn poll_close(
        &mut self,
        cx: &mut Context<'_>,
        _: &WorkerContext,
    ) -> Poll<Result<(), Infallible>> {
        loop {
            match &mut self.closing {
                Closing::Open(handle) => {
                    let handle = handle.take();
                    self.closing = Closing::Draining(self.drain(handle));
                }
                Closing::Draining(draining) => match draining.as_mut().poll(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(()) => self.closing = Closing::Closed,
                },
                Closing::Closed => return Poll::Ready(Ok(())),
            }
        }
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
    jobs: mpsc::UnboundedSender<Job>,
}

impl Claimer {
    async fn run(self, stop: CancellationToken) {
        loop {
            let slot = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                slot = Arc::clone(&self.slots).acquire_owned() => slot,
                () = tokio::time::sleep(IDLE_MAX) => {
                    self.lane.looked(); // full, not stuck
                    continue;
                }
            };
            let Ok(slot) = slot else { return };
            // A claim is never cut short: what it leased is either pushed or given back.
            let pause = match self.round(slot).await {
                Ok(pause) => pause,
                // Said once, by whoever takes part in the recovery.
                Err(LedgerError::Fenced { .. }) => STORE_PAUSE,
                Err(error) => {
                    let number = self.lane.number();
                    tracing::warn!(lane = %number, error = %error, "claim from lane {number}: {error}");
                    STORE_PAUSE
                }
            };
            self.lane.looked();
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
    async fn round(&self, slot: OwnedSemaphorePermit) -> Result<Duration, LedgerError> {
        let room = match self.lane.room() {
            Room::UpTo(0) => return Ok(IDLE_MAX),
            Room::UpTo(room) => room,
            Room::Wait(wait) => return Ok(wait.min(IDLE_MAX)),
        };
        let k = room.min(self.slots.available_permits() + 1).min(CLAIM_MAX);
        let claims = self.ledger.claim(self.lane.number(), k).await?;
        if claims.is_empty() {
            return self.until_next_due().await;
        }
        let mut first = Some(slot);
        for claim in claims {
            let taken = first.take().or_else(|| Arc::clone(&self.slots).try_acquire_owned().ok());
            let slot =
                taken.expect("only this loop takes slots, and it claimed no more than were free");
            // The receiver lives until the loop has ended.
            let _ = self.jobs.send(Job { claim, slot });
        }
        Ok(Duration::ZERO)
    }

    async fn until_next_due(&self) -> Result<Duration, LedgerError> {
        let Some(due) = self.ledger.next_due(self.lane.number()).await? else {
            return Ok(IDLE_MAX);
        };
        let now = self.ledger.now().await?;
        Ok(due.since(now).clamp(Duration::from_millis(1), IDLE_MAX))
    }
}
