//! People and programs that act, each with a role.

use domain::{TenantId, Timestamp};
use records::tenants::{at, millis};
use records::{Records, Row, Tx, Value, tenants};

use crate::error::{AccountsError, Result};
use crate::role::Role;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    pub name: String,
    pub role: Role,
    pub created_at: Timestamp,
    pub disabled_at: Option<Timestamp>,
}

const ALL: &str =
    "SELECT name, role, created_at, disabled_at FROM operators WHERE tenant = $1 ORDER BY name";

/// # Errors
/// When the name is no plain word, or there already.
pub async fn add(
    tx: &mut Tx,
    tenant: &TenantId,
    name: &str,
    role: Role,
    now: Timestamp,
) -> Result<()> {
    if TenantId::try_new(name).is_err() {
        return Err(AccountsError::BadName { name: name.to_owned() }); // the same rule
    }
    tenants::ensure(tx, tenant, now).await?;
    let row: Vec<Value> = vec![
        tenant.as_str().into(),
        name.into(),
        role.as_str().into(),
        millis(now).into(),
        0_i64.into(),
    ];
    let into = "operators (tenant, name, role, created_at, disabled_at)";
    match tx.insert_new("add an operator", into, 5, row).await? {
        0 => Err(AccountsError::ThereAlready { name: name.to_owned() }),
        _ => Ok(()),
    }
}

/// All, by name.
///
/// # Errors
/// When the database does not answer.
pub async fn list(records: &Records, tenant: &TenantId) -> Result<Vec<Operator>> {
    let rows = records.fetch("list operators", ALL, vec![tenant.as_str().into()]).await?;
    rows.iter().map(read).collect()
}

/// # Errors
/// [`AccountsError::NoOperator`], or when the database does not answer.
pub async fn get(tx: &mut Tx, tenant: &TenantId, name: &str) -> Result<Operator> {
    let rows = all(tx, tenant).await?;
    rows.into_iter()
        .find(|operator| operator.name == name)
        .ok_or_else(|| AccountsError::NoOperator { name: name.to_owned() })
}

/// Gives another role.
///
/// # Errors
/// [`AccountsError::LastAdmin`] when nobody else is one; [`AccountsError::NoOperator`].
pub async fn set_role(tx: &mut Tx, tenant: &TenantId, name: &str, role: Role) -> Result<()> {
    let before = get(tx, tenant, name).await?;
    if role != Role::Admin {
        keep_an_admin(tx, tenant, &before).await?;
    }
    let sql = "UPDATE operators SET role = $3 WHERE tenant = $1 AND name = $2";
    let values: Vec<Value> = vec![tenant.as_str().into(), name.into(), role.as_str().into()];
    Ok(tx.execute("give a role", sql, values).await.map(drop)?)
}

/// Lets nobody in by their keys and sessions any more, from the next request on.
///
/// # Errors
/// [`AccountsError::LastAdmin`] when nobody else is one; [`AccountsError::NoOperator`].
pub async fn disable(tx: &mut Tx, tenant: &TenantId, name: &str, now: Timestamp) -> Result<()> {
    let before = get(tx, tenant, name).await?;
    keep_an_admin(tx, tenant, &before).await?;
    set_disabled(tx, tenant, name, millis(now).max(1)).await
}

/// # Errors
/// [`AccountsError::NoOperator`], or when the database does not answer.
pub async fn enable(tx: &mut Tx, tenant: &TenantId, name: &str) -> Result<()> {
    get(tx, tenant, name).await?;
    set_disabled(tx, tenant, name, 0).await
}

async fn set_disabled(tx: &mut Tx, tenant: &TenantId, name: &str, at: i64) -> Result<()> {
    let sql = "UPDATE operators SET disabled_at = $3 WHERE tenant = $1 AND name = $2";
    let values: Vec<Value> = vec![tenant.as_str().into(), name.into(), at.into()];
    Ok(tx.execute("disable an operator", sql, values).await.map(drop)?)
}

async fn keep_an_admin(tx: &mut Tx, tenant: &TenantId, leaving: &Operator) -> Result<()> {
    let is_admin = |one: &Operator| one.role == Role::Admin && one.disabled_at.is_none();
    let others = all(tx, tenant).await?;
    let is_last =
        is_admin(leaving) && !others.iter().any(|one| one.name != leaving.name && is_admin(one));
    match is_last {
        true => Err(AccountsError::LastAdmin { name: leaving.name.clone() }),
        false => Ok(()),
    }
}

async fn all(tx: &mut Tx, tenant: &TenantId) -> Result<Vec<Operator>> {
    let rows = tx.fetch("list operators", ALL, vec![tenant.as_str().into()]).await?;
    rows.iter().map(read).collect()
}

fn read(row: &Row) -> Result<Operator> {
    let disabled_at = row.int(3)?;
    Ok(Operator {
        name: row.text(0)?,
        // A role that this version does not know allows the least.
        role: row.text(1)?.parse().unwrap_or(Role::Viewer),
        created_at: at(row.int(2)?),
        disabled_at: (disabled_at > 0).then(|| at(disabled_at)),
    })
}
