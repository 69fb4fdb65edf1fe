//! Old runs leave the ledger: exported first, then purged. Done by the daemon each night, and by hand.
//!
//! Invariant: a run is purged only when its export is on the disk.

use std::path::Path;

use domain::retention::Retention;
use domain::{DeliveryId, Timestamp};
use ledger::api::find;
use ledger::{Ledger, Purged, Run, is_purgeable};

use crate::archive;
use crate::error::{DeskError, Doing, Result};

/// Deliveries that leave the ledger in one call: a writer waits for no more than that.
const CHUNK: usize = 2_000;

/// Runs that are over, not recoverable, and older than their age; a run that cannot be read is
/// named by `subah check`.
pub async fn old_runs(
    ledger: &dyn Ledger,
    retention: Retention,
    now: Timestamp,
) -> Result<Vec<Run>> {
    let mut old = Vec::new();
    let last = (now - retention.deliveries).to_utc().date_naive();
    for id in ledger.run_ids().await?.into_iter().filter(|id| id.date() <= last) {
        let Ok(Some(run)) = ledger.run(&id).await else { continue };
        if is_purgeable(&run, now) && run.close_at() + retention.deliveries < now {
            old.push(run);
        }
    }
    Ok(old)
}

/// Exports a run, then purges it; returns its deliveries.
///
/// # Errors
/// When the export fails: nothing is purged then. When the ledger does not answer: what is left
/// is purged the next time.
pub async fn let_go(ledger: &dyn Ledger, run: &Run, exports: &Path) -> Result<u64> {
    let id = &run.header.id;
    // A purge that was interrupted goes on: it begins with the first, after the export.
    let first = find(ledger, &DeliveryId { run: id.clone(), index: 0 }).await?;
    let checksum = exports.join(format!("{id}.ndjson.gz.sha256"));
    let deliveries = match first.is_none() && checksum.exists() {
        true => u64::from(run.total()),
        false => archive::export(ledger, run, exports).await?.deliveries,
    };
    loop {
        match ledger.purge(id, CHUNK).await.doing(|| "purge it")? {
            Purged::More => tokio::task::yield_now().await,
            Purged::Done | Purged::Unknown => return Ok(deliveries),
            Purged::Kept => return Err(DeskError::Refused("it is open again".to_owned())),
        }
    }
}
