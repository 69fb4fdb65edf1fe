//! One apalis worker per lane, under one Monitor.

use std::sync::Arc;
use std::time::Duration;

use apalis::prelude::{Monitor, WorkerBuilder, WorkerBuilderExt};
use apalis_core::task::Task;
use ledger::Ledger;
use tokio_util::sync::CancellationToken;
use tower::service_fn;

use crate::backend::{Job, LaneBackend, LaneOptions};
use crate::settle::SettleLayer;
use crate::{BoxError, Lane};

/// A lane, or all of them, ended without being asked to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LanesEnded(pub String);

/// Runs every lane until `stop`, then lets deliveries under way finish, at most `grace`.
/// Claims that no worker took go back. `process_start` makes worker names unique.
///
/// # Errors
/// When a lane ended before; the others are stopped in order then.
pub async fn run_lanes(
    ledger: Arc<dyn Ledger>,
    lanes: Vec<Arc<dyn Lane>>,
    options: LaneOptions,
    process_start: &str,
    stop: CancellationToken,
    grace: Duration,
) -> Result<(), LanesEnded> {
    let (asked, stop, lost) = (stop.clone(), stop.child_token(), CancellationToken::new());
    let mut monitor = Monitor::new();
    for lane in lanes {
        let (ledger, options) = (Arc::clone(&ledger), options.clone());
        let (claiming, lost) = (stop.clone(), lost.clone());
        let name = format!("{}-{process_start}", lane.number());
        monitor = monitor.register(move |_restart| {
            let (lane, ledger) = (Arc::clone(&lane), Arc::clone(&ledger));
            let (of_lane, of_ledger) = (Arc::clone(&lane), Arc::clone(&ledger));
            let backend = LaneBackend::start(of_ledger, of_lane, &options, &claiming, &lost);
            WorkerBuilder::new(name.as_str())
                .backend(backend)
                .layer(SettleLayer { ledger })
                .catch_panic()
                .timeout(options.timeout)
                .concurrency(options.concurrency.max(1))
                .build(service_fn(move |task: Task<Job>| handle(Arc::clone(&lane), task)))
        });
    }
    let stopped = stop.clone();
    let signal = async move {
        stopped.cancelled().await;
        Ok(())
    };
    let mut early = None;
    tokio::select! {
        ended = monitor.run_with_signal(signal) => {
            early = ended.err().map(|error| error.to_string());
        }
        // apalis 1.0 waits for the jobs' own timeout, whatever its shutdown timeout is.
        () = over(&stop, grace) => {
            tracing::warn!("deliveries under way did not end within {grace:?}; what became of them is told by webhooks, or by the next start");
        }
        () = async {
            lost.cancelled().await;
            stop.cancel();
            std::future::pending().await
        } => {}
    }
    match early {
        Some(cause) => Err(LanesEnded(cause)),
        None if lost.is_cancelled() => Err(LanesEnded("a claim loop panicked".to_owned())),
        None if !asked.is_cancelled() => Err(LanesEnded("the workers returned".to_owned())),
        None => Ok(()),
    }
}

async fn over(stop: &CancellationToken, grace: Duration) {
    stop.cancelled().await;
    tokio::time::sleep(grace).await;
}

/// All workers of a monitor share one task; each delivery gets a task of its own, so that
/// lanes use every core.
async fn handle(lane: Arc<dyn Lane>, task: Task<Job>) -> Result<(), BoxError> {
    tokio::spawn(deliver(lane, task.args)).await?
}

/// Handles one claim; its slot is free afterwards.
///
/// # Errors
/// What the lane could not do.
pub async fn deliver(lane: Arc<dyn Lane>, job: Job) -> Result<(), BoxError> {
    let Job { claim, slot: _slot } = job;
    lane.deliver(claim).await
}
