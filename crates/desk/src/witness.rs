//! Notes in the ledger how far the audit was: entries that are taken from its end are missed then,
//! which the chain of hashes alone cannot show.

use domain::TenantId;
use ledger::{Ledger, cell};
use records::{Records, audit};

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
