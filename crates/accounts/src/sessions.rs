//! Sessions of people who have signed in: over when they are idle for too long, or too old.

use std::time::Duration;

use domain::{TenantId, Timestamp};
use rand::Rng;
use records::tenants::millis;
use records::{Records, Tx, Value};

use crate::Identity;
use crate::error::{AccountsError, Result};
use crate::operators;
use crate::role::Role;
use crate::secret::Secret;

const KIND: &str = "sbs";
/// Without a request for so long a session is over: a night on duty is longer than a look.
pub const IDLE_MAX: Duration = Duration::from_secs(2 * 3_600);
/// However busy: somebody signs in once a day.
pub const AGE_MAX: Duration = Duration::from_secs(16 * 3_600);
/// How often a look is noted: not with each request.
const SEEN_EVERY: Duration = Duration::from_secs(60);

/// Begins a session of an operator who has shown who they are.
///
/// # Errors
/// When there is no such operator, or they are disabled.
pub async fn begin(
    tx: &mut Tx,
    tenant: &TenantId,
    operator: &str,
    now: Timestamp,
    rng: &mut impl Rng,
) -> Result<Secret> {
    let operator = operators::get(tx, tenant, operator).await?;
    if operator.disabled_at.is_some() {
        return Err(AccountsError::Disabled { name: operator.name });
    }
    let secret = Secret::new(KIND, rng);
    let row: Vec<Value> = vec![
        tenant.as_str().into(),
        secret.hash().into(),
        operator.name.into(),
        millis(now).into(),
        millis(now).into(),
        millis(now + AGE_MAX).into(),
    ];
    let into = "sessions (tenant, secret_hash, operator, created_at, seen_at, expires_at)";
    tx.insert_new("begin a session", into, 6, row).await?;
    Ok(secret)
}

/// Who a session lets in; notes that it is in use.
///
/// # Errors
/// [`AccountsError::NotLetIn`] for a session that is unknown or over, or whose operator is disabled;
/// when the database does not answer.
pub async fn let_in(records: &Records, secret: &str, now: Timestamp) -> Result<Identity> {
    let hash = Secret::read(KIND, secret).ok_or(AccountsError::NotLetIn)?.hash();
    let sql = "SELECT s.tenant, s.operator, s.seen_at, s.expires_at, o.role, o.disabled_at FROM sessions s \
        JOIN operators o ON o.tenant = s.tenant AND o.name = s.operator WHERE s.secret_hash = $1";
    let rows = records.fetch("look for a session", sql, vec![hash.as_str().into()]).await?;
    let row = rows.first().ok_or(AccountsError::NotLetIn)?;
    let (seen_at, expires_at, disabled_at) = (row.int(2)?, row.int(3)?, row.int(5)?);
    let idle = millis(now) - seen_at;
    let is_idle = idle >= in_millis(IDLE_MAX);
    if is_idle || millis(now) >= expires_at || disabled_at > 0 {
        return Err(AccountsError::NotLetIn);
    }
    if idle >= in_millis(SEEN_EVERY) {
        let doing = "note that a session is in use";
        let mut tx = records.begin(doing).await?;
        let sql = "UPDATE sessions SET seen_at = $2 WHERE secret_hash = $1";
        tx.execute(doing, sql, vec![hash.as_str().into(), millis(now).into()]).await?;
        tx.commit(doing).await?;
    }
    Ok(Identity {
        tenant: TenantId::try_new(row.text(0)?).map_err(|_| AccountsError::NotLetIn)?,
        operator: row.text(1)?,
        role: row.text(4)?.parse().unwrap_or(Role::Viewer),
        by: format!("session {}", &hash[..8]),
    })
}

/// Ends one; an unknown one is over anyway.
///
/// # Errors
/// When the database does not answer.
pub async fn end(tx: &mut Tx, secret: &str) -> Result<()> {
    let Some(secret) = Secret::read(KIND, secret) else { return Ok(()) };
    let sql = "DELETE FROM sessions WHERE secret_hash = $1";
    Ok(tx.execute("end a session", sql, vec![secret.hash().into()]).await.map(drop)?)
}

/// Removes those that are over; returns how many.
///
/// # Errors
/// When the database does not answer.
pub async fn tidy(tx: &mut Tx, now: Timestamp) -> Result<u64> {
    let sql = "DELETE FROM sessions WHERE expires_at <= $1 OR seen_at <= $2";
    let idle_since = millis(now) - in_millis(IDLE_MAX);
    Ok(tx.execute("tidy sessions", sql, vec![millis(now).into(), idle_since.into()]).await?)
}

fn in_millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}
