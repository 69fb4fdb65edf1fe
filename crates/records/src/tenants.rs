//! Whose rows they are.

use domain::{TenantId, Timestamp};

use crate::error::Result;
use crate::pool::{Records, Tx, Value};

/// Makes the tenant's row if it is not there.
///
/// # Errors
/// When the database does not answer.
pub async fn ensure(tx: &mut Tx, tenant: &TenantId, now: Timestamp) -> Result<()> {
    let sql =
        "INSERT INTO tenants (id, name, created_at) VALUES ($1, $1, $2) ON CONFLICT DO NOTHING";
    let values: Vec<Value> = vec![tenant.as_str().into(), millis(now).into()];
    tx.execute("make a tenant", sql, values).await.map(drop)
}

/// # Errors
/// When the database does not answer.
pub async fn list(records: &Records) -> Result<Vec<String>> {
    let rows = records.fetch("list tenants", "SELECT id FROM tenants ORDER BY id", vec![]).await?;
    rows.iter().map(|row| row.text(0)).collect()
}

/// As instants are stored: milliseconds since 1970.
pub fn millis(at: Timestamp) -> i64 {
    at.micros().div_euclid(1_000)
}

/// An instant as it was stored.
pub fn at(millis: i64) -> Timestamp {
    Timestamp::from_micros(millis.saturating_mul(1_000))
}
