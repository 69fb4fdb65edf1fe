//! Keeps this process's lanes: a beat renews them, and tells the gate what is ours.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use domain::NumberId;
use ledger::lanes::{Lanes, Owner};
use ledger::{LedgerError, cell, lanes, members};
use telemetry::Fault;
use telemetry::labels::Blocked;
use tokio_util::sync::CancellationToken;

use crate::shared::Shared;
use crate::{monotonic, since_boot};

/// Another process takes over at most this long after the last beat of a dead one.
const TTL: Duration = Duration::from_secs(8);
const BEAT: Duration = Duration::from_secs(2);
/// A beat that is late by this much is not relied upon: the lease may be another's.
const MARGIN: Duration = Duration::from_secs(2);
/// A member sends nothing before the ledger has known it for so long: a store that loses
/// its latest second must not forget who has sent.
const KNOWN_AFTER: Duration = Duration::from_millis(1_500);

/// Beats until `stop`.
pub(crate) async fn keep_lanes(shared: &Shared, wanted: &[NumberId], stop: &CancellationToken) {
    let owner = &shared.host;
    let (mut pause, mut fault) = (BEAT, Fault::default());
    while !stop.is_cancelled() {
        match beat(shared, wanted).await {
            Ok(lanes) => {
                // Counted from before the call: a slow answer must not lengthen the lease.
                shared.gate.hold(&lanes.mine, lanes.asked + TTL - MARGIN);
                if let Some(met) = fault.over() {
                    tracing::info!("lanes of {owner} are renewed again; {met} tries had failed");
                }
                pause = if lanes.mine.is_empty() { BEAT / 4 } else { BEAT };
            }
            Err(error) => {
                shared.metrics.process.ledger_errors.inc();
                if fault.met(&error.to_string()) {
                    tracing::warn!(error = %error, "lanes of {owner} were not renewed: {error}");
                }
            }
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Frees the lanes, once nothing is under way any more.
pub(crate) async fn free_lanes(shared: &Shared) {
    let owner = Owner { name: &shared.host, disk: shared.journal.disk() };
    let leave = |lanes: &mut Lanes| lanes.leave(owner);
    if let Err(error) = cell::update(shared.ledger.as_ref(), lanes::CELL, leave).await {
        tracing::warn!(error = %error, "lanes were not given back and wait for their lease to end: {error}");
    }
}

struct Beat {
    mine: Vec<NumberId>,
    asked: Instant,
}

async fn beat(shared: &Shared, wanted: &[NumberId]) -> Result<Beat, LedgerError> {
    let asked = monotonic();
    let now = shared.ledger.now().await?;
    let here = shared.clock.now();
    if shared.gate.observe(now, here, since_boot()) {
        tracing::error!(
            "the store's clock stepped: nothing is claimed until it agrees with this host's or has run on for a minute; look at NTP"
        );
    }
    let apart = now.since(here).as_secs_f64() - here.since(now).as_secs_f64();
    shared.metrics.sending.clock_offset.set(apart);
    if !shared.gate.is_stepped() {
        shared.ahead.store(now.micros() - here.micros(), Ordering::Relaxed);
    }
    let blocked = i64::from(shared.gate.is_stepped());
    shared.metrics.sending.blocked.of(Blocked::Clock).set(blocked);
    let ledger = shared.ledger.as_ref();
    let joined_at = members::join(ledger, &shared.member(), now).await?;
    if shared.options.ledger_forgets && now.since(joined_at) < KNOWN_AFTER {
        return Ok(Beat { mine: Vec::new(), asked });
    }
    let owner = Owner { name: &shared.host, disk: shared.journal.disk() };
    let beat = |lanes: &mut Lanes| lanes.beat(owner, wanted, TTL, now);
    let beaten = cell::update(ledger, lanes::CELL, beat).await?;
    let taken = i64::from(beaten.is_err());
    let blocked = shared.metrics.sending.blocked.of(Blocked::HostName);
    if taken == 1 && blocked.get() == 0 {
        tracing::error!(
            "another process is called {} and sends from another folder: nothing is sent from here while it lives; give each host a `host` name of its own",
            shared.host
        );
    }
    blocked.set(taken);
    Ok(Beat { mine: beaten.unwrap_or_default(), asked })
}
