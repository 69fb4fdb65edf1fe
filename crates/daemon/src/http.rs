//! `/metrics`, `/healthz`, `/readyz`; how a listener is served is in `http/serve.rs`.

mod serve;

pub use serve::serve;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use config::Limits;
use desk::DeskError;
use domain::{Clock, Timestamp};
use ledger::Ledger;
use telemetry::Metrics;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::parts::Parts;
use crate::supervise::{Running, Supervisor};

/// A claim loop turns at least twice a second; this long without a turn is a wedge.
pub const STALL: Duration = Duration::from_secs(10);
/// Longest answer of the store that still counts as ready.
const READY: Duration = Duration::from_secs(2);
/// The text exposition format's own type.
const EXPOSITION: &str = "text/plain; version=0.0.4";

/// Binds, or says which address is taken and by which key it can be changed.
pub async fn bind(address: SocketAddr, key: &str) -> Result<TcpListener, DeskError> {
    TcpListener::bind(address).await.map_err(|error| {
        DeskError::Unavailable(format!(
            "listen on {address} ({key}): {error}; is another subah running, or the port taken?"
        ))
    })
}

/// A server that the supervisor runs: it has one listener, so it begins once.
pub fn supervised(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
) -> impl FnMut() -> Running + Send + 'static {
    let mut listener = Some(listener);
    move || {
        let (listener, router) = (listener.take(), router.clone());
        let (limits, stop) = (limits.clone(), stop.clone());
        Box::pin(async move {
            serve(listener.context("it has served before")?, router, limits, stop).await;
            Ok(())
        })
    }
}

struct Watched {
    metrics: Arc<Metrics>,
    ledger: Arc<dyn Ledger>,
    clock: Arc<dyn Clock>,
    progress: Arc<AtomicI64>,
    supervisor: Supervisor,
}

/// The routes for the people who watch.
pub fn watch(parts: &Parts) -> Router {
    let watched = Watched {
        metrics: Arc::clone(&parts.metrics),
        ledger: Arc::clone(&parts.ledger),
        clock: Arc::clone(&parts.clock),
        progress: Arc::clone(&parts.progress),
        supervisor: parts.supervisor.clone(),
    };
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .with_state(Arc::new(watched))
}

async fn metrics(State(watched): State<Arc<Watched>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, EXPOSITION)], watched.metrics.encode())
}

/// Alive: every loop runs, and the claim loops turn.
async fn healthz(State(watched): State<Arc<Watched>>) -> impl IntoResponse {
    let stalled = since_progress(&watched.progress, watched.clock.now());
    let down = watched.supervisor.down();
    if !down.is_empty() {
        (StatusCode::SERVICE_UNAVAILABLE, down.join("\n") + "\n")
    } else if stalled < STALL {
        (StatusCode::OK, "ok\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("the claim loops stand still for {stalled:?}\n"))
    }
}

/// Ready: the store answers.
async fn readyz(State(watched): State<Arc<Watched>>) -> impl IntoResponse {
    match tokio::time::timeout(READY, watched.ledger.active_runs()).await {
        Ok(Ok(_)) => (StatusCode::OK, "ok\n".to_owned()),
        Ok(Err(error)) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the store does not answer\n".to_owned()),
    }
}

/// How long ago a claim loop last turned.
pub fn since_progress(progress: &AtomicI64, now: Timestamp) -> Duration {
    now.since(Timestamp::from_micros(progress.load(Ordering::Relaxed)))
}
