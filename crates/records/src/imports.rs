//! What was imported: sets of rows by key, with versions.
//!
//! A set is a list of recipients, or the content of a campaign and a date. An import makes the next
//! version in one transaction: rows that differ get a new row, rows that are the same stay. Versions
//! are numbered from 1; the rows of the present one and of the one before are kept, so that an
//! import can be taken back.

use domain::{TenantId, Timestamp};
use rand::Rng;
use sqlx::AssertSqlSafe;

use crate::error::{RecordsError, Result};
use crate::id::Id;
use crate::pool::{NUMBERED_MAX, Records, Row, Tx, Value};
use crate::tenants::{at, millis};

const DOING: &str = "import";
/// `until` of a row that no version has ended.
const OPEN: i64 = i64::MAX;

/// One version of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    pub version: i64,
    /// Names this version in all databases.
    pub id: Id,
    pub imported_at: Timestamp,
    pub actor: String,
    /// What made it: `import`, `undo` …
    pub act: String,
    pub rows: Rows,
}

/// How a version differs from the one before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    pub total: i64,
    pub added: i64,
    pub changed: i64,
    pub removed: i64,
}

/// A row that an import adds or changes: its key and what it holds.
pub type Keyed = (String, String);

/// The present version of a set; `None`: nothing was ever imported.
///
/// # Errors
/// When the database does not answer.
pub async fn head(records: &Records, tenant: &TenantId, set: &str) -> Result<Option<Import>> {
    Ok(history(records, tenant, set, 1).await?.pop())
}

/// The latest versions of a set, the present one first, at most `limit`.
///
/// # Errors
/// When the database does not answer.
pub async fn history(
    records: &Records,
    tenant: &TenantId,
    set: &str,
    limit: u32,
) -> Result<Vec<Import>> {
    let values: Vec<Value> = vec![tenant.as_str().into(), set.into(), i64::from(limit).into()];
    let rows = records.fetch("read the imports", HISTORY, values).await?;
    rows.iter().map(read).collect()
}

const HISTORY: &str = "SELECT version, id, imported_at, actor, act, rows_total, rows_added, \
    rows_changed, rows_removed FROM imports WHERE tenant = $1 AND set_name = $2 \
    ORDER BY version DESC LIMIT $3";

/// Sets whose name begins so, in order.
///
/// # Errors
/// When the database does not answer.
pub async fn sets(records: &Records, tenant: &TenantId, begin: &str) -> Result<Vec<String>> {
    let sql = "SELECT DISTINCT set_name FROM imports WHERE tenant = $1 ORDER BY set_name";
    let rows = records.fetch("list the imports", sql, vec![tenant.as_str().into()]).await?;
    let names: Result<Vec<String>> = rows.iter().map(|row| row.text(0)).collect();
    Ok(names?.into_iter().filter(|name| name.starts_with(begin)).collect())
}

/// Rows of one version in the order of their keys, after a key, at most `limit`.
///
/// # Errors
/// When the database does not answer.
pub async fn page(
    records: &Records,
    tenant: &TenantId,
    set: &str,
    version: i64,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<Keyed>> {
    let sql = "SELECT row_key, body FROM import_rows WHERE tenant = $1 AND set_name = $2 \
        AND row_key > $3 AND since <= $4 AND until > $4 ORDER BY row_key LIMIT $5";
    let values: Vec<Value> = vec![
        tenant.as_str().into(),
        set.into(),
        after.unwrap_or("").into(),
        version.into(),
        i64::from(limit).into(),
    ];
    let rows = records.fetch("read an import", sql, values).await?;
    rows.iter().map(|row| Ok((row.text(0)?, row.text(1)?))).collect()
}

/// The next version of a set under way. Nothing of it is seen before the transaction is committed.
pub struct Draft<'a> {
    tx: &'a mut Tx,
    tenant: &'a TenantId,
    set: &'a str,
    version: i64,
    rows: Rows,
}

impl<'a> Draft<'a> {
    /// Begins the version after `base`, which must be the present one; 0: there is none.
    ///
    /// # Errors
    /// [`RecordsError::Overtaken`] when somebody has imported since; when the database does not answer.
    pub async fn begin(
        tx: &'a mut Tx,
        tenant: &'a TenantId,
        set: &'a str,
        base: i64,
    ) -> Result<Self> {
        let values: Vec<Value> = vec![tenant.as_str().into(), set.into(), 1.into()];
        let found = tx.fetch("read the imports", HISTORY, values).await?;
        let head = found.first().map(read).transpose()?;
        let total = head.as_ref().map_or(0, |head| head.rows.total);
        if head.map_or(0, |head| head.version) != base {
            return Err(RecordsError::Overtaken);
        }
        let rows = Rows { total, ..Rows::default() };
        let mut draft = Draft { tx, tenant, set, version: base + 1, rows };
        draft.claim().await?;
        Ok(draft)
    }

    /// Takes the version's number before any row is written: whoever wants the same one meanwhile waits
    /// here for this transaction's end, and meets none of its rows.
    async fn claim(&mut self) -> Result<()> {
        let into = "imports (tenant, set_name, version, id, imported_at, actor, act, rows_total, \
            rows_added, rows_changed, rows_removed)";
        let mut values: Vec<Value> =
            vec![self.tenant.as_str().into(), self.set.into(), self.version.into()];
        values.extend(["".into(), 0.into(), "".into(), "".into()]);
        values.extend((0..4).map(|_| Value::from(0)));
        match self.tx.insert_new(DOING, into, 11, values).await? {
            1 => Ok(()),
            _ => Err(RecordsError::Overtaken),
        }
    }

    /// Adds rows whose keys the version before does not have.
    ///
    /// # Errors
    /// [`RecordsError::Corrupt`] when a key comes twice; when the database does not answer.
    pub async fn add(&mut self, rows: Vec<Keyed>) -> Result<()> {
        let n = count(rows.len());
        self.insert(rows).await?;
        self.rows.added += n;
        self.rows.total += n;
        Ok(())
    }

    /// Puts other rows in place of those under the same keys.
    ///
    /// # Errors
    /// As [`Draft::add`], and when a key is not there.
    pub async fn change(&mut self, rows: Vec<Keyed>) -> Result<()> {
        let n = count(rows.len());
        self.end(rows.iter().map(|(key, _)| key.clone()).collect()).await?;
        self.insert(rows).await?;
        self.rows.changed += n;
        Ok(())
    }

    /// Leaves rows out from now on.
    ///
    /// # Errors
    /// When a key is not there, or the database does not answer.
    pub async fn remove(&mut self, keys: Vec<String>) -> Result<()> {
        let n = count(keys.len());
        self.end(keys).await?;
        self.rows.removed += n;
        self.rows.total -= n;
        Ok(())
    }

    /// Makes it what the version before the present one was.
    ///
    /// # Errors
    /// [`RecordsError::Overtaken`] when there is none; when the database does not answer.
    pub async fn undo(&mut self) -> Result<()> {
        let before = self.version - 1;
        if before < 2 {
            return Err(RecordsError::Overtaken);
        }
        let of = |tail: &str| {
            format!("FROM import_rows r WHERE r.tenant = $1 AND r.set_name = $2 AND {tail}")
        };
        let ended = "r.until = $3";
        let begun = "r.since = $3 AND r.until = $4";
        let twin = "EXISTS (SELECT 1 FROM import_rows o WHERE o.tenant = r.tenant \
            AND o.set_name = r.set_name AND o.row_key = r.row_key AND o.until = r.since)";
        let count = format!(
            "SELECT (SELECT COUNT(*) {}), (SELECT COUNT(*) {}), (SELECT COUNT(*) {})",
            of(ended),
            of(begun),
            of(&format!("{begun} AND {twin}"))
        );
        let values: Vec<Value> =
            vec![self.tenant.as_str().into(), self.set.into(), before.into(), OPEN.into()];
        let counted = self.tx.fetch(DOING, AssertSqlSafe(count), values.clone()).await?;
        let Some(row) = counted.first() else { return Err(RecordsError::Overtaken) };
        let (ended, begun, both) = (row.int(0)?, row.int(1)?, row.int(2)?);
        let sql = "UPDATE import_rows SET until = $5 WHERE tenant = $1 AND set_name = $2 \
            AND since = $3 AND until = $4";
        let mut with_next = values.clone();
        with_next.push(self.version.into());
        self.tx.execute(DOING, sql, with_next.clone()).await?;
        let sql = "INSERT INTO import_rows (tenant, set_name, row_key, since, until, body) \
            SELECT tenant, set_name, row_key, $5, $4, body FROM import_rows \
            WHERE tenant = $1 AND set_name = $2 AND until = $3";
        self.tx.execute(DOING, sql, with_next).await?;
        self.rows.changed += both;
        self.rows.added += ended - both;
        self.rows.removed += begun - both;
        self.rows.total += ended - begun;
        Ok(())
    }

    /// Notes the version, and lets go of rows that neither it nor the one before it has.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn finish(
        self,
        actor: &str,
        act: &str,
        now: Timestamp,
        rng: &mut impl Rng,
    ) -> Result<Import> {
        let import = Import {
            version: self.version,
            id: Id::new(now, rng),
            imported_at: at(millis(now)),
            actor: actor.to_owned(),
            act: act.to_owned(),
            rows: self.rows,
        };
        let sql = "UPDATE imports SET id = $4, imported_at = $5, actor = $6, act = $7, \
            rows_total = $8, rows_added = $9, rows_changed = $10, rows_removed = $11 \
            WHERE tenant = $1 AND set_name = $2 AND version = $3";
        let Rows { total, added, changed, removed } = import.rows;
        let values: Vec<Value> = vec![
            self.tenant.as_str().into(),
            self.set.into(),
            self.version.into(),
            import.id.as_str().into(),
            millis(now).into(),
            actor.into(),
            act.into(),
            total.into(),
            added.into(),
            changed.into(),
            removed.into(),
        ];
        self.tx.execute(DOING, sql, values).await?;
        let sql = "DELETE FROM import_rows WHERE tenant = $1 AND set_name = $2 AND until < $3";
        let values: Vec<Value> =
            vec![self.tenant.as_str().into(), self.set.into(), self.version.into()];
        self.tx.execute(DOING, sql, values).await?;
        Ok(import)
    }

    async fn insert(&mut self, rows: Vec<Keyed>) -> Result<()> {
        let wanted = rows.len() as u64;
        let mut values: Vec<Value> = Vec::with_capacity(rows.len() * 6);
        for (key, body) in rows {
            let row: [Value; 6] = [
                self.tenant.as_str().into(),
                self.set.into(),
                key.into(),
                self.version.into(),
                OPEN.into(),
                body.into(),
            ];
            values.extend(row);
        }
        let into = "import_rows (tenant, set_name, row_key, since, until, body)";
        let made = self.tx.insert_new(DOING, into, 6, values).await?;
        match made == wanted {
            true => Ok(()),
            false => Err(uneven("a key comes twice")),
        }
    }

    async fn end(&mut self, keys: Vec<String>) -> Result<()> {
        for keys in keys.chunks(NUMBERED_MAX) {
            let places: Vec<String> = (5..keys.len() + 5).map(|at| format!("${at}")).collect();
            let sql = format!(
                "UPDATE import_rows SET until = $3 WHERE tenant = $1 AND set_name = $2 \
                 AND until = $4 AND row_key IN ({})",
                places.join(",")
            );
            let mut values: Vec<Value> = vec![
                self.tenant.as_str().into(),
                self.set.into(),
                self.version.into(),
                OPEN.into(),
            ];
            values.extend(keys.iter().map(|key| Value::Text(key.clone())));
            let ended = self.tx.execute(DOING, AssertSqlSafe(sql), values).await?;
            if ended != keys.len() as u64 {
                return Err(uneven("a row is not there"));
            }
        }
        Ok(())
    }
}

/// Lets go of a whole set. Returns how many rows it had.
///
/// # Errors
/// When the database does not answer.
pub async fn forget(tx: &mut Tx, tenant: &TenantId, set: &str) -> Result<u64> {
    let values: Vec<Value> = vec![tenant.as_str().into(), set.into()];
    let doing = "let go of an import";
    let sql = "DELETE FROM imports WHERE tenant = $1 AND set_name = $2";
    tx.execute(doing, sql, values.clone()).await?;
    let sql = "DELETE FROM import_rows WHERE tenant = $1 AND set_name = $2";
    tx.execute(doing, sql, values).await
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn uneven(why: &str) -> RecordsError {
    RecordsError::Corrupt { what: "an import", why: why.to_owned() }
}

fn read(row: &Row) -> Result<Import> {
    let rows =
        Rows { total: row.int(5)?, added: row.int(6)?, changed: row.int(7)?, removed: row.int(8)? };
    Ok(Import {
        version: row.int(0)?,
        id: Id::known(row.text(1)?),
        imported_at: at(row.int(2)?),
        actor: row.text(3)?,
        act: row.text(4)?,
        rows,
    })
}
