//! Notes in the ledger, and on this host's disk, how far the audit was: entries that are taken from its
//! end, or all of them, are missed then, which the chain of hashes alone cannot show.

use std::path::Path;

use domain::TenantId;
use ledger::{Ledger, cell};
use records::{Records, audit};

use segment_log::{Sync, whole};
use serde::{Deserialize, Serialize};

use crate::error::RelayError;

fn cell_of(tenant: &TenantId) -> String {
    format!("audit:{tenant}")
}

/// Notes the present end, if it is further than what is noted.
pub(crate) async fn note(
    records: &Records,
    ledger: &dyn Ledger,
    tenant: &TenantId,
) -> Result<(), RelayError> {
    let last = audit::last(records, tenant).await?;
    if last > seen(ledger, tenant).await? {
        cell::update(ledger, &cell_of(tenant), |seen: &mut i64| *seen = last.max(*seen)).await?;
    }
    Ok(())
}

/// The number of the latest entry that the ledger has heard of; 0: of none.
///
/// # Errors
/// When the ledger does not answer.
pub async fn seen(ledger: &dyn Ledger, tenant: &TenantId) -> ledger::error::Result<i64> {
    cell::read(ledger, &cell_of(tenant)).await
}

/// The latest entry that this host has seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    pub seq: i64,
    hash: String,
}

impl Head {
    /// What this host noted; an unreadable note is none.
    pub fn read(file: &Path) -> Head {
        serde_json::from_slice(&std::fs::read(file).unwrap_or_default()).unwrap_or_default()
    }

    /// Whether the records still hold the entry.
    pub async fn is_there(&self, records: &Records, tenant: &TenantId) -> records::Result<bool> {
        if self.seq == 0 {
            return Ok(true);
        }
        let found = audit::list(records, tenant, self.seq - 1, 1).await?;
        Ok(found.first().is_some_and(|entry| entry.seq == self.seq && entry.hash() == self.hash))
    }

    /// Notes the present end, unless what was noted before is gone: that is kept, and said.
    pub async fn advance(file: &Path, records: &Records, tenant: &TenantId) -> records::Result<()> {
        let (before, last) = (Head::read(file), audit::last(records, tenant).await?);
        if last <= before.seq || !before.is_there(records, tenant).await? {
            return Ok(());
        }
        let found = audit::list(records, tenant, last - 1, 1).await?;
        let Some(entry) = found.first() else { return Ok(()) };
        let head = Head { seq: entry.seq, hash: entry.hash().to_owned() };
        let text = serde_json::to_vec(&head).expect("a number and a text");
        if let Err(error) = whole::put_bytes(file, Sync::No, &text) {
            tracing::warn!(error = %error, "note how far the audit was in {}: {error}", file.display());
        }
        Ok(())
    }
}
