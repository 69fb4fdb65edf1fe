//! Requests that are answered once: the same request again, under the same key, hears the same answer;
//! another request under that key is refused. Source: the IETF's draft *The Idempotency-Key HTTP Header
//! Field*.

use std::time::Duration;

use domain::{TenantId, Timestamp};
use records::tenants::millis;
use records::{Records, Tx, Value};

use crate::error::Result;

/// How long an answer is kept.
pub const KEPT_FOR: Duration = Duration::from_secs(48 * 3_600);
/// A request that was begun and has no answer for so long was cut off with its process.
const CUT_OFF_AFTER: Duration = Duration::from_secs(300);
/// No answer yet.
const NONE: &str = "";

/// What a key says of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Nobody has asked for this: do it, then [`finish`].
    New,
    /// It was done: this was the answer.
    Done(String),
    /// It is being done right now.
    Running,
    /// The key belongs to another request.
    Other,
}

/// Takes a key for a request. `fingerprint`: a hash of everything that makes the request what it is.
/// Commit before the request is done: of two at once only one is [`Seen::New`].
///
/// # Errors
/// When the database does not answer.
pub async fn begin(
    tx: &mut Tx,
    tenant: &TenantId,
    key: &str,
    fingerprint: &str,
    now: Timestamp,
) -> Result<Seen> {
    let doing = "take an idempotency key";
    let sql = "DELETE FROM idempotency WHERE tenant = $1 AND request_key = $2 AND (expires_at <= $3 \
        OR (answer = '' AND begun_at <= $4))";
    let cut_off = millis(now) - i64::try_from(CUT_OFF_AFTER.as_millis()).unwrap_or(i64::MAX);
    let values: Vec<Value> =
        vec![tenant.as_str().into(), key.into(), millis(now).into(), cut_off.into()];
    tx.execute(doing, sql, values).await?;
    let row: Vec<Value> = vec![
        tenant.as_str().into(),
        key.into(),
        fingerprint.into(),
        NONE.into(),
        millis(now).into(),
        millis(now + KEPT_FOR).into(),
    ];
    let into = "idempotency (tenant, request_key, fingerprint, answer, begun_at, expires_at)";
    if tx.insert_new(doing, into, 6, row).await? > 0 {
        return Ok(Seen::New);
    }
    let sql = "SELECT fingerprint, answer FROM idempotency WHERE tenant = $1 AND request_key = $2";
    let rows = tx.fetch(doing, sql, vec![tenant.as_str().into(), key.into()]).await?;
    let Some(row) = rows.first() else { return Ok(Seen::Running) }; // another one is at it
    let (known, answer) = (row.text(0)?, row.text(1)?);
    Ok(match (known == fingerprint, answer.is_empty()) {
        (false, _) => Seen::Other,
        (true, true) => Seen::Running,
        (true, false) => Seen::Done(answer),
    })
}

/// Keeps the answer, in the transaction of what was done wherever there is one.
///
/// # Errors
/// When the database does not answer.
pub async fn finish(tx: &mut Tx, tenant: &TenantId, key: &str, answer: &str) -> Result<()> {
    let sql = "UPDATE idempotency SET answer = $3 WHERE tenant = $1 AND request_key = $2";
    let values: Vec<Value> = vec![tenant.as_str().into(), key.into(), answer.into()];
    Ok(tx.execute("keep an answer", sql, values).await.map(drop)?)
}

/// Gives a key back whose request was refused before anything was done: put right, it may be asked again.
///
/// # Errors
/// When the database does not answer.
pub async fn give_back(tx: &mut Tx, tenant: &TenantId, key: &str) -> Result<()> {
    let sql = "DELETE FROM idempotency WHERE tenant = $1 AND request_key = $2 AND answer = ''";
    let values: Vec<Value> = vec![tenant.as_str().into(), key.into()];
    Ok(tx.execute("give a key back", sql, values).await.map(drop)?)
}

/// Removes answers that are old enough; returns how many.
///
/// # Errors
/// When the database does not answer.
pub async fn tidy(records: &Records, now: Timestamp) -> Result<u64> {
    let doing = "tidy idempotency keys";
    let mut tx = records.begin(doing).await?;
    let sql = "DELETE FROM idempotency WHERE expires_at <= $1";
    let gone = tx.execute(doing, sql, vec![millis(now).into()]).await?;
    tx.commit(doing).await?;
    Ok(gone)
}
