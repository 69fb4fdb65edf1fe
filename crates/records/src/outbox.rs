//! What the ledger has to hear: written in the transaction that decided it, told until the ledger
//! has it, and taken away then. Telling twice must do no harm.

use domain::{TenantId, Timestamp};
use rand::Rng;

use crate::error::Result;
use crate::id::Id;
use crate::pool::{Records, Row, Tx, Value};
use crate::tenants::millis;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    pub id: Id,
    pub tenant: String,
    /// What the payload is, such as `consent`.
    pub kind: String,
    /// JSON. May hold hashes of persons, never the persons.
    pub payload: String,
}

/// Puts payloads of one kind in.
///
/// # Errors
/// When the database does not answer.
pub async fn put(
    tx: &mut Tx,
    tenant: &TenantId,
    kind: &'static str,
    payloads: Vec<String>,
    now: Timestamp,
    rng: &mut impl Rng,
) -> Result<()> {
    let mut rows: Vec<Value> = Vec::with_capacity(payloads.len() * 5);
    for payload in payloads {
        let id = Id::new(now, rng);
        let row: [Value; 5] = [
            id.as_str().into(),
            tenant.as_str().into(),
            kind.into(),
            payload.into(),
            millis(now).into(),
        ];
        rows.extend(row);
    }
    let into = "outbox (id, tenant, kind, payload, created_at)";
    tx.insert_new("put into the outbox", into, 5, rows).await.map(drop)
}

/// The oldest of a tenant and a kind that are still to be told, at most `limit`. Letters of kinds
/// that nobody asks for wait for the version that does.
///
/// # Errors
/// When the database does not answer.
pub async fn waiting(
    records: &Records,
    tenant: &TenantId,
    kind: &'static str,
    limit: u32,
) -> Result<Vec<Letter>> {
    let sql = "SELECT id, tenant, kind, payload FROM outbox WHERE tenant = $1 AND kind = $2 \
        ORDER BY id LIMIT $3";
    let values: Vec<Value> = vec![tenant.as_str().into(), kind.into(), i64::from(limit).into()];
    let rows = records.fetch("read the outbox", sql, values).await?;
    rows.iter().map(read).collect()
}

/// Takes away what was told.
///
/// # Errors
/// When the database does not answer: it is told once more.
pub async fn told(records: &Records, letters: &[Letter]) -> Result<()> {
    if letters.is_empty() {
        return Ok(());
    }
    let doing = "take from the outbox";
    let mut tx = records.begin(doing).await?;
    for letter in letters {
        let id: Vec<Value> = vec![letter.id.as_str().into()];
        tx.execute(doing, "DELETE FROM outbox WHERE id = $1", id).await?;
    }
    tx.commit(doing).await
}

/// How many wait, and since when the oldest does.
///
/// # Errors
/// When the database does not answer.
pub async fn backlog(records: &Records) -> Result<(i64, Option<Timestamp>)> {
    let sql = "SELECT COUNT(*), COALESCE(MIN(created_at), 0) FROM outbox";
    let rows = records.fetch("count the outbox", sql, vec![]).await?;
    let (count, oldest) = match rows.first() {
        Some(row) => (row.int(0)?, row.int(1)?),
        None => (0, 0),
    };
    Ok((count, (count > 0).then(|| crate::tenants::at(oldest))))
}

fn read(row: &Row) -> Result<Letter> {
    let (tenant, kind) = (row.text(1)?, row.text(2)?);
    Ok(Letter { id: Id::known(row.text(0)?), tenant, kind, payload: row.text(3)? })
}
