//! Who is behind a key. Everything else about a person is kept under a random id, so that erasing
//! their keys leaves rows that name nobody.

use std::collections::BTreeMap;

use domain::{Address, TenantId, Timestamp, person};
use rand::Rng;

use crate::error::Result;
use crate::id::Id;
use crate::pool::{NUMBERED_MAX, Records, Row, Tx, Value};
use crate::tenants::millis;
use sqlx::AssertSqlSafe;

/// A person's random id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersonId(Id);

impl PersonId {
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    pub(crate) fn known(text: String) -> Self {
        PersonId(Id::known(text))
    }
}

/// The ids of these people, in their order; whoever is new gets one. Somebody with two keys of
/// which one is known is the person that it names, and gets the other key.
///
/// # Errors
/// When the database does not answer.
pub async fn ensure(
    tx: &mut Tx,
    tenant: &TenantId,
    addresses: &[&Address],
    now: Timestamp,
    rng: &mut impl Rng,
) -> Result<Vec<PersonId>> {
    let keys: Vec<Vec<String>> =
        addresses.iter().map(|address| person::keys(address).collect()).collect();
    let mut known = find(tx, tenant, keys.iter().flatten()).await?;
    let (mut ids, mut new) = (Vec::with_capacity(keys.len()), Vec::new());
    for keys in keys {
        let found = keys.iter().find_map(|key| known.get(key)).cloned();
        let id = found.unwrap_or_else(|| PersonId(Id::new(now, rng)));
        for key in keys {
            if known.insert(key.clone(), id.clone()).is_none() {
                let row: [Value; 4] =
                    [tenant.as_str().into(), key.into(), id.as_str().into(), millis(now).into()];
                new.extend(row);
            }
        }
        ids.push(id);
    }
    let into = "person_keys (tenant, person_key, person_id, created_at)";
    let made = tx.insert_new("add people", into, 4, new.clone()).await?;
    if made < new.len() as u64 / 4 {
        // Another writer has added one of them meanwhile: theirs is the id.
        let all = addresses.iter().flat_map(|address| person::keys(address)).collect::<Vec<_>>();
        let known = find(tx, tenant, all.iter()).await?;
        let of =
            |address: &&Address| person::keys(address).find_map(|key| known.get(&key).cloned());
        ids = addresses.iter().zip(ids).map(|(address, id)| of(address).unwrap_or(id)).collect();
    }
    Ok(ids)
}

/// Who is known under any of these keys.
async fn find(
    tx: &mut Tx,
    tenant: &TenantId,
    keys: impl Iterator<Item = &String>,
) -> Result<BTreeMap<String, PersonId>> {
    let keys: Vec<&String> = keys.collect();
    let mut known = BTreeMap::new();
    for keys in keys.chunks(NUMBERED_MAX) {
        let places: Vec<String> = (2..keys.len() + 2).map(|at| format!("${at}")).collect();
        let sql = format!(
            "SELECT person_key, person_id FROM person_keys WHERE tenant = $1 AND person_key IN ({})",
            places.join(",")
        );
        let mut values: Vec<Value> = vec![tenant.as_str().into()];
        values.extend(keys.iter().map(|key| Value::Text((*key).clone())));
        for row in tx.fetch("find people", AssertSqlSafe(sql), values).await? {
            known.insert(row.text(0)?, PersonId::known(row.text(1)?));
        }
    }
    Ok(known)
}

/// The person under one of these keys; `None`: nobody is known there.
///
/// # Errors
/// When the database does not answer.
pub async fn of(
    records: &Records,
    tenant: &TenantId,
    address: &Address,
) -> Result<Option<PersonId>> {
    for key in person::keys(address) {
        let sql = "SELECT person_id FROM person_keys WHERE tenant = $1 AND person_key = $2";
        let values: Vec<Value> = vec![tenant.as_str().into(), key.into()];
        let rows = records.fetch("find a person", sql, values).await?;
        if let Some(row) = rows.first() {
            return row.text(0).map(PersonId::known).map(Some);
        }
    }
    Ok(None)
}

/// Forgets under which keys a person is found. Returns how many there were.
///
/// # Errors
/// When the database does not answer.
pub async fn erase(tx: &mut Tx, tenant: &TenantId, person: &PersonId) -> Result<u64> {
    let sql = "DELETE FROM person_keys WHERE tenant = $1 AND person_id = $2";
    let values: Vec<Value> = vec![tenant.as_str().into(), person.as_str().into()];
    tx.execute("erase a person", sql, values).await
}

/// The keys of a person. Personal data.
///
/// # Errors
/// When the database does not answer.
pub async fn keys(tx: &mut Tx, tenant: &TenantId, person: &PersonId) -> Result<Vec<String>> {
    let sql = "SELECT person_key FROM person_keys WHERE tenant = $1 AND person_id = $2 ORDER BY 1";
    let values: Vec<Value> = vec![tenant.as_str().into(), person.as_str().into()];
    let rows: Vec<Row> = tx.fetch("read a person's keys", sql, values).await?;
    rows.iter().map(|row| row.text(0)).collect()
}
