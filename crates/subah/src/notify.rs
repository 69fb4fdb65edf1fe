//! systemd: READY, STATUS, WATCHDOG, STOPPING. Without NOTIFY_SOCKET nothing happens.
//!
//! The watchdog is fed only while the claim loops turn, so a wedged runtime is restarted;
//! a store that is down is not a wedge.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use domain::Clock;
use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

use crate::http::{STALL, since_progress};

pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Feeds the watchdog once, for who waits on purpose.
pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

pub async fn status(status: String) {
    let told = tokio::task::spawn_blocking(move || tell(&[NotifyState::Status(&status)]));
    let _ = told.await; // it only fails when the runtime stops
}

pub fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("stopping: deliveries under way finish")]);
}

/// Feeds the watchdog at half its period, as long as there is progress.
pub async fn feed_watchdog(
    progress: Arc<AtomicI64>,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) {
    let Some(period) = sd_notify::watchdog_enabled() else { return stop.cancelled().await };
    let every = (period / 2).max(Duration::from_millis(10));
    loop {
        if since_progress(&progress, clock.now()) < STALL {
            // Off the runtime: the socket blocks when nobody reads it.
            let told = tokio::task::spawn_blocking(|| tell(&[NotifyState::Watchdog]));
            let _ = told.await;
        } else {
            tracing::error!("the claim loops stand still: systemd is not told that we live");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(every) => {}
        }
    }
}

/// Shows progress for a process without claim loops.
pub async fn pulse(progress: Arc<AtomicI64>, clock: Arc<dyn Clock>) {
    loop {
        progress.store(clock.now().micros(), Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(error = %error, "systemd was not told: {error}");
    }
}
