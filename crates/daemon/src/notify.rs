//! systemd: READY, STATUS, WATCHDOG, STOPPING. Without NOTIFY_SOCKET nothing happens.
//!
//! systemd knows one process, which may serve several tenants: it is ready when all of them are, and
//! alive while each of them is.
//!
//! The watchdog is fed only while the claim loops turn, so a wedged runtime is restarted;
//! a store that is down is not a wedge.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::{Clock, TenantId};
use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

use crate::http::{STALL, since_progress};

/// What systemd would be told of each tenant.
static TENANTS: Mutex<BTreeMap<TenantId, Heard>> = Mutex::new(BTreeMap::new());

/// What was heard of a tenant.
#[derive(Clone, Copy, Debug, Default)]
struct Heard {
    is_ready: bool,
    /// Since systemd was last told that the process lives.
    is_alive: bool,
}

/// Whom the process serves: it is not ready before all of them are.
pub fn expect<'a>(tenants: impl Iterator<Item = &'a TenantId>) {
    let mut heard = TENANTS.lock().expect("no panic while held");
    *heard = tenants.map(|tenant| (tenant.clone(), Heard::default())).collect();
}

/// Notes something of a tenant; whether it holds of all now.
fn note(tenant: &TenantId, note: impl Fn(&mut Heard), holds: impl Fn(&Heard) -> bool) -> bool {
    let mut heard = TENANTS.lock().expect("no panic while held");
    note(heard.entry(tenant.clone()).or_default());
    heard.values().all(holds)
}

pub fn ready(tenant: &TenantId, status: &str) {
    if note(tenant, |heard| heard.is_ready = true, |heard| heard.is_ready) {
        tell(&[NotifyState::Ready, NotifyState::Status(status)]);
    }
}

/// A tenant that cannot be served for now holds up neither the start nor the watchdog of the others.
pub fn given_up(tenant: &TenantId) {
    let mut heard = TENANTS.lock().expect("no panic while held");
    heard.remove(tenant);
    let are_ready = !heard.is_empty() && heard.values().all(|heard| heard.is_ready);
    drop(heard);
    if are_ready {
        tell(&[NotifyState::Ready]);
    }
}

/// Feeds the watchdog once, for who waits on purpose.
pub fn alive(tenant: &TenantId) {
    if note(tenant, |heard| heard.is_alive = true, |heard| heard.is_alive) {
        let mut heard = TENANTS.lock().expect("no panic while held");
        heard.values_mut().for_each(|heard| heard.is_alive = false);
        drop(heard);
        tell(&[NotifyState::Watchdog]);
    }
}

pub async fn status(tenant: &TenantId, status: String) {
    let is_alone = TENANTS.lock().expect("no panic while held").len() < 2;
    let status = if is_alone { status } else { format!("{tenant}: {status}") };
    let told = tokio::task::spawn_blocking(move || tell(&[NotifyState::Status(&status)]));
    let _ = told.await; // it only fails when the runtime stops
}

pub fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("stopping: deliveries under way finish")]);
}

/// Feeds the watchdog at a quarter of its period, as long as there is progress.
pub async fn feed_watchdog(
    progress: Arc<AtomicI64>,
    clock: Arc<dyn Clock>,
    tenant: TenantId,
    stop: CancellationToken,
) {
    let Some(period) = sd_notify::watchdog_enabled() else { return stop.cancelled().await };
    // Several tenants do not speak at once: each of them twice in the half of a period.
    let every = (period / 4).max(Duration::from_millis(10));
    loop {
        if since_progress(&progress, clock.now()) < STALL {
            // Off the runtime: the socket blocks when nobody reads it.
            let tenant = tenant.clone();
            let told = tokio::task::spawn_blocking(move || alive(&tenant));
            let _ = told.await;
        } else {
            tracing::error!("the claim loops stand still: systemd is not told that we live");
        }
        if stop.run_until_cancelled(tokio::time::sleep(every)).await.is_none() {
            return;
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
