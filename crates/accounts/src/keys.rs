//! API keys: a secret that lets a program in, with a role of its own that is at most its operator's.

use domain::{TenantId, Timestamp};
use rand::Rng;
use records::tenants::{at, millis};
use records::{Id, Records, Row, Tx, Value};

use crate::Identity;
use crate::error::{AccountsError, Result};
use crate::operators;
use crate::role::Role;
use crate::secret::Secret;

const KIND: &str = "sbk";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    pub id: String,
    pub operator: String,
    /// What it is for, as whoever made the key wrote it.
    pub label: String,
    pub role: Role,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
}

/// What a new key is to be.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub operator: String,
    pub label: String,
    /// Their operator's, by default.
    pub role: Option<Role>,
    pub expires_at: Option<Timestamp>,
}

/// Makes a key; its secret is told now and never again.
///
/// # Errors
/// When there is no such operator, they are disabled, or the role is more than theirs.
pub async fn create(
    tx: &mut Tx,
    tenant: &TenantId,
    wanted: &Wanted,
    now: Timestamp,
    rng: &mut impl Rng,
) -> Result<(Key, Secret)> {
    let operator = operators::get(tx, tenant, &wanted.operator).await?;
    if operator.disabled_at.is_some() {
        return Err(AccountsError::Disabled { name: operator.name });
    }
    let role = wanted.role.unwrap_or(operator.role);
    if role > operator.role {
        return Err(AccountsError::MoreThanRole {
            operator: operator.name,
            role: operator.role.as_str(),
            wanted: role.as_str(),
        });
    }
    let secret = Secret::new(KIND, rng);
    let key = Key {
        id: Id::new(now, rng).as_str().to_owned(),
        operator: operator.name,
        label: wanted.label.clone(),
        role,
        created_at: at(millis(now)),
        expires_at: wanted.expires_at,
        revoked_at: None,
    };
    let row: Vec<Value> = vec![
        tenant.as_str().into(),
        key.id.as_str().into(),
        key.operator.as_str().into(),
        key.label.as_str().into(),
        role.as_str().into(),
        secret.hash().into(),
        millis(now).into(),
        key.expires_at.map_or(0, millis).into(),
        0_i64.into(),
    ];
    let into = "api_keys (tenant, id, operator, label, role, secret_hash, created_at, expires_at, revoked_at)";
    tx.insert_new("make a key", into, 9, row).await?;
    Ok((key, secret))
}

/// All of a tenant, the oldest first.
///
/// # Errors
/// When the database does not answer.
pub async fn list(records: &Records, tenant: &TenantId) -> Result<Vec<Key>> {
    let sql = "SELECT id, operator, label, role, created_at, expires_at, revoked_at FROM api_keys \
        WHERE tenant = $1 ORDER BY id";
    let rows = records.fetch("list keys", sql, vec![tenant.as_str().into()]).await?;
    rows.iter().map(read).collect()
}

/// Lets nobody in by a key any more. Revoking one twice keeps the first instant.
///
/// # Errors
/// [`AccountsError::NoKey`], or when the database does not answer.
pub async fn revoke(tx: &mut Tx, tenant: &TenantId, id: &str, now: Timestamp) -> Result<()> {
    let sql = "UPDATE api_keys SET revoked_at = CASE WHEN revoked_at = 0 THEN $3 ELSE revoked_at END \
        WHERE tenant = $1 AND id = $2";
    let values: Vec<Value> = vec![tenant.as_str().into(), id.into(), millis(now).max(1).into()];
    match tx.execute("revoke a key", sql, values).await? {
        0 => Err(AccountsError::NoKey { id: id.to_owned() }),
        _ => Ok(()),
    }
}

/// Who a secret lets in.
///
/// # Errors
/// [`AccountsError::NotLetIn`] for a secret that is unknown, revoked or over, or whose operator is
/// disabled; when the database does not answer.
pub async fn let_in(records: &Records, secret: &str, now: Timestamp) -> Result<Identity> {
    let secret = Secret::read(KIND, secret).ok_or(AccountsError::NotLetIn)?;
    let sql = "SELECT k.tenant, k.operator, k.role, k.id, k.expires_at, k.revoked_at, o.role, o.disabled_at \
        FROM api_keys k JOIN operators o ON o.tenant = k.tenant AND o.name = k.operator \
        WHERE k.secret_hash = $1";
    let rows = records.fetch("look for a key", sql, vec![secret.hash().into()]).await?;
    let row = rows.first().ok_or(AccountsError::NotLetIn)?;
    let (expires_at, revoked_at, disabled_at) = (row.int(4)?, row.int(5)?, row.int(7)?);
    let is_over = expires_at > 0 && millis(now) >= expires_at;
    if is_over || revoked_at > 0 || disabled_at > 0 {
        return Err(AccountsError::NotLetIn);
    }
    let role = |at| Ok::<Role, AccountsError>(row.text(at)?.parse().unwrap_or(Role::Viewer));
    Ok(Identity {
        tenant: TenantId::try_new(row.text(0)?).map_err(|_| AccountsError::NotLetIn)?,
        operator: row.text(1)?,
        role: role(2)?.min(role(6)?),
        by: format!("key {}", row.text(3)?),
    })
}

fn read(row: &Row) -> Result<Key> {
    let instant = |at_column| {
        let millis = row.int(at_column)?;
        Ok::<_, AccountsError>((millis > 0).then(|| at(millis)))
    };
    Ok(Key {
        id: row.text(0)?,
        operator: row.text(1)?,
        label: row.text(2)?,
        role: row.text(3)?.parse().unwrap_or(Role::Viewer),
        created_at: at(row.int(4)?),
        expires_at: instant(5)?,
        revoked_at: instant(6)?,
    })
}
