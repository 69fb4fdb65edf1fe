//! What people did: only ever added to, each entry holding the hash of the one before it, so that
//! an entry which is changed or taken away later is noticed. Objects and details hold no personal
//! data: a person stands under their random id.

use domain::hash::sha256_hex;
use domain::{TenantId, Timestamp};

use crate::error::Result;
use crate::pool::{Records, Row, Tx, Value};
use crate::tenants::{at, millis};

/// The hash before the first entry.
const NONE: &str = "";
/// Entries read in one call.
const PAGE: i64 = 5_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// From 1, without gaps.
    pub seq: i64,
    pub at: Timestamp,
    pub actor: String,
    /// What was done: `consents record`, `templates substitute`.
    pub act: String,
    /// To what: a person's id, a run, a template.
    pub object: String,
    /// JSON.
    pub detail: String,
    hash_before: String,
    hash: String,
}

/// What somebody did.
#[derive(Clone, Debug)]
pub struct Done<'a> {
    pub actor: &'a str,
    pub act: &'a str,
    pub object: &'a str,
    pub detail: serde_json::Value,
}

impl Entry {
    /// Over the entry and the hash of the one before it: whoever knows this one knows all before.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// Over the tenant too: an entry is no entry of another tenant's.
    fn hashed(&self, tenant: &TenantId) -> String {
        let Entry { seq, actor, act, object, detail, hash_before, .. } = self;
        let at = millis(self.at).to_string();
        let seq = seq.to_string();
        let parts = [tenant.as_str(), &seq, &at, actor, act, object, detail, hash_before];
        // The length before each part: no two lists of parts are one text.
        let text: String = parts.iter().map(|part| format!("{}:{part}", part.len())).collect();
        sha256_hex(text.as_bytes())
    }
}

/// Adds an entry in the transaction of what was done.
///
/// # Errors
/// When the database does not answer.
pub async fn add(tx: &mut Tx, tenant: &TenantId, done: &Done<'_>, now: Timestamp) -> Result<()> {
    let sql = "SELECT seq, hash FROM audit WHERE tenant = $1 ORDER BY seq DESC LIMIT 1";
    let last = tx.fetch("read the audit's end", sql, vec![tenant.as_str().into()]).await?;
    let (seq, hash_before) = match last.first() {
        Some(row) => (row.int(0)?, row.text(1)?),
        None => (0, NONE.to_owned()),
    };
    let mut entry = Entry {
        seq: seq + 1,
        at: at(millis(now)), // as it will be read
        actor: done.actor.to_owned(),
        act: done.act.to_owned(),
        object: done.object.to_owned(),
        detail: done.detail.to_string(),
        hash_before,
        hash: String::new(),
    };
    entry.hash = entry.hashed(tenant);
    let sql = "INSERT INTO audit (tenant, seq, at, actor, act, object, detail, hash_before, hash) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    let values: Vec<Value> = vec![
        tenant.as_str().into(),
        entry.seq.into(),
        millis(now).into(),
        entry.actor.into(),
        entry.act.into(),
        entry.object.into(),
        entry.detail.into(),
        entry.hash_before.into(),
        entry.hash.into(),
    ];
    // Of two that add the same number one is told of a conflict, and does it all again.
    tx.execute("add to the audit", sql, values).await.map(drop)
}

/// Entries after one, the oldest first, at most `limit`.
///
/// # Errors
/// When the database does not answer.
pub async fn list(
    records: &Records,
    tenant: &TenantId,
    after: i64,
    limit: i64,
) -> Result<Vec<Entry>> {
    let sql = "SELECT seq, at, actor, act, object, detail, hash_before, hash FROM audit \
        WHERE tenant = $1 AND seq > $2 ORDER BY seq LIMIT $3";
    let values: Vec<Value> = vec![tenant.as_str().into(), after.into(), limit.into()];
    let rows = records.fetch("list the audit", sql, values).await?;
    rows.iter().map(read).collect()
}

/// The number of the latest entry; 0: there is none.
///
/// # Errors
/// When the database does not answer.
pub async fn last(records: &Records, tenant: &TenantId) -> Result<i64> {
    let sql = "SELECT COALESCE(MAX(seq), 0) FROM audit WHERE tenant = $1";
    let rows = records.fetch("read the audit's end", sql, vec![tenant.as_str().into()]).await?;
    rows.first().map_or(Ok(0), |row| row.int(0))
}

/// Reads all entries and holds each against the one before it. Returns how many there are, or the
/// number of the first that is missing or was changed.
///
/// # Errors
/// When the database does not answer.
pub async fn verify(records: &Records, tenant: &TenantId) -> Result<std::result::Result<i64, i64>> {
    let (mut seq, mut hash) = (0, NONE.to_owned());
    loop {
        let page = list(records, tenant, seq, PAGE).await?;
        if page.is_empty() {
            return Ok(Ok(seq));
        }
        for entry in page {
            let follows = entry.seq == seq + 1 && entry.hash_before == hash;
            if !follows || entry.hash != entry.hashed(tenant) {
                return Ok(Err(seq + 1));
            }
            (seq, hash) = (entry.seq, entry.hash);
        }
    }
}

fn read(row: &Row) -> Result<Entry> {
    Ok(Entry {
        seq: row.int(0)?,
        at: at(row.int(1)?),
        actor: row.text(2)?,
        act: row.text(3)?,
        object: row.text(4)?,
        detail: row.text(5)?,
        hash_before: row.text(6)?,
        hash: row.text(7)?,
    })
}
