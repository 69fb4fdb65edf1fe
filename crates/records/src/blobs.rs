//! Large things under a name, in parts: what a run was planned from.

use domain::{TenantId, Timestamp};

use crate::error::{RecordsError, Result};
use crate::pool::{Records, Tx, Value};
use crate::tenants::millis;

/// Bytes of one part.
const PART: usize = 1024 * 1024;

/// Keeps bytes under a name; what is there already stays. Returns whether they are new.
///
/// # Errors
/// When the database does not answer.
pub async fn put(
    records: &Records,
    tenant: &TenantId,
    kind: &'static str,
    name: &str,
    bytes: &[u8],
    now: Timestamp,
) -> Result<bool> {
    let doing = "keep a blob";
    if has(records, tenant, kind, name).await? {
        return Ok(false);
    }
    let parts: Vec<&[u8]> =
        if bytes.is_empty() { vec![bytes] } else { bytes.chunks(PART).collect() };
    let total = parts.len() as i64;
    let mut tx = records.begin(doing).await?;
    for (at, part) in parts.into_iter().enumerate() {
        let row: Vec<Value> = vec![
            tenant.as_str().into(),
            kind.into(),
            name.into(),
            (at as i64).into(),
            total.into(),
            millis(now).into(),
            part.to_vec().into(),
        ];
        let into = "blobs (tenant, kind, name, part, parts, created_at, body)";
        tx.insert_new(doing, into, 7, row).await?;
    }
    tx.commit(doing).await?;
    Ok(true)
}

/// Whether something is kept under a name.
///
/// # Errors
/// When the database does not answer.
pub async fn has(
    records: &Records,
    tenant: &TenantId,
    kind: &'static str,
    name: &str,
) -> Result<bool> {
    let sql = "SELECT part FROM blobs WHERE tenant = $1 AND kind = $2 AND name = $3 AND part = 0";
    let values: Vec<Value> = vec![tenant.as_str().into(), kind.into(), name.into()];
    Ok(!records.fetch("look for a blob", sql, values).await?.is_empty())
}

/// What is kept under a name; `None`: nothing.
///
/// # Errors
/// [`RecordsError::Corrupt`] when a part is missing or cannot be read.
pub async fn get(
    records: &Records,
    tenant: &TenantId,
    kind: &'static str,
    name: &str,
) -> Result<Option<Vec<u8>>> {
    let sql = "SELECT parts, body FROM blobs WHERE tenant = $1 AND kind = $2 AND name = $3 \
        ORDER BY part";
    let values: Vec<Value> = vec![tenant.as_str().into(), kind.into(), name.into()];
    let rows = records.fetch("read a blob", sql, values).await?;
    let Some(first) = rows.first() else { return Ok(None) };
    if first.int(0)? != rows.len() as i64 {
        let why = "a part is missing".to_owned();
        return Err(RecordsError::Corrupt { what: "a blob", why });
    }
    let mut bytes = Vec::new();
    for row in &rows {
        bytes.extend(row.bytes(1)?);
    }
    Ok(Some(bytes))
}

/// Lets go of blobs that were kept before an instant. Returns how many parts there were.
///
/// # Errors
/// When the database does not answer.
pub async fn forget_before(
    tx: &mut Tx,
    tenant: &TenantId,
    kind: &'static str,
    before: Timestamp,
) -> Result<u64> {
    let sql = "DELETE FROM blobs WHERE tenant = $1 AND kind = $2 AND created_at < $3";
    let values: Vec<Value> = vec![tenant.as_str().into(), kind.into(), millis(before).into()];
    tx.execute("let go of blobs", sql, values).await
}
