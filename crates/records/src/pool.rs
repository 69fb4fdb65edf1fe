//! One API over both databases.
//!
//! The dialect: `$1` placeholders by number, instants as BIGINT milliseconds, ids and JSON as TEXT,
//! bytes as BYTEA (which sqlite takes for a name), no types, arrays or functions of one database
//! alone. Whatever has to differ is here, in `open.rs` and in `migrate.rs`, nowhere else. sqlite has
//! one writer, so its writes queue here and not in busy loops; over PostgreSQL a writer may be told of a conflict and does it all again ([`Tries`]).

use std::path::Path;

use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{
    AssertSqlSafe, Database, Encode, PgPool, Postgres, Row as _, SqlSafeStr, SqlStr, Sqlite,
    SqlitePool, Transaction, Type,
};

use crate::error::{RecordsError, Result};

/// How often a transaction is tried again that another writer was faster than.
const TRIES: u32 = 30;
/// Most parameters of one insertion: PostgreSQL counts them in 16 bits, sqlite takes 32,766.
pub const PARAMETERS_MAX: usize = 12_000;
/// Most numbered parameters of a statement: sqlite looks each up in a list of all, so that the cost
/// grows with their square (200,000 rows took 47 s with 30,000 at a time).
pub const NUMBERED_MAX: usize = 500;

/// What is bound to a placeholder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Text(String),
    Int(i64),
    Bytes(Vec<u8>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(text)
    }
}

impl From<i64> for Value {
    fn from(n: i64) -> Self {
        Value::Int(n)
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Value::Bytes(bytes)
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Pool {
    Sqlite { write: SqlitePool, read: SqlitePool },
    Postgres(PgPool),
}

/// The records; cheap to clone.
#[derive(Clone, Debug)]
pub struct Records {
    pub(crate) pool: Pool,
}

impl Records {
    pub fn engine(&self) -> &'static str {
        match self.pool {
            Pool::Sqlite { .. } => "sqlite",
            Pool::Postgres(_) => "postgresql",
        }
    }

    /// Rows of one statement that changes nothing. `doing` names the try in errors.
    ///
    /// # Errors
    /// When the database does not answer, or refuses.
    pub async fn fetch(
        &self,
        doing: &'static str,
        sql: impl SqlSafeStr,
        values: Vec<Value>,
    ) -> Result<Vec<Row>> {
        let failed = |error| RecordsError::of(doing, error);
        Ok(match &self.pool {
            Pool::Sqlite { read, .. } => {
                let rows = bound::<Sqlite>(sql.into_sql_str(), values).fetch_all(read).await;
                rows.map_err(failed)?.into_iter().map(Row::Sqlite).collect()
            }
            Pool::Postgres(pool) => {
                let rows = bound::<Postgres>(sql.into_sql_str(), values).fetch_all(pool).await;
                rows.map_err(failed)?.into_iter().map(Row::Postgres).collect()
            }
        })
    }

    /// Begins a transaction: what is done in it is there once [`Tx::commit`] has answered, and else
    /// not. Dropped, it is undone.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn begin(&self, doing: &'static str) -> Result<Tx> {
        let begun = match &self.pool {
            // At once, not at the first write: else two that have read cannot both write.
            Pool::Sqlite { write, .. } => write.begin_with("BEGIN IMMEDIATE").await.map(Tx::Sqlite),
            Pool::Postgres(pool) => pool.begin().await.map(Tx::Postgres),
        };
        begun.map_err(|error| RecordsError::of(doing, error))
    }

    /// Copies an embedded database into a new file, as one consistent state, while it is written to.
    ///
    /// # Errors
    /// When the file is there, or cannot be written; over PostgreSQL, which has means of its own.
    pub async fn copy_to(&self, to: &Path) -> Result<()> {
        let doing = "copy them";
        let failed = |error| RecordsError::of(doing, error);
        match &self.pool {
            Pool::Sqlite { read, .. } => {
                let to = vec![Value::from(to.to_string_lossy().into_owned())];
                let copied = bound::<Sqlite>(SqlStr::from_static("VACUUM INTO $1"), to);
                copied.execute(read).await.map(drop).map_err(failed)
            }
            Pool::Postgres(_) => {
                Err(failed(sqlx::Error::Configuration("pg_dump copies them".into())))
            }
        }
    }

    /// Closes all connections.
    pub async fn close(&self) {
        match &self.pool {
            Pool::Sqlite { write, read } => {
                read.close().await;
                write.close().await;
            }
            Pool::Postgres(pool) => pool.close().await,
        }
    }
}

/// Counts how often a whole transaction is made anew because another writer was faster.
#[derive(Debug, Default)]
pub struct Tries(u32);

impl Tries {
    /// Whether it is worth another try.
    pub fn again(&mut self, error: &RecordsError) -> bool {
        self.0 += 1;
        error.is_conflict() && self.0 < TRIES
    }
}

/// A transaction under way.
pub enum Tx {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

impl Tx {
    /// # Errors
    /// As [`Records::fetch`].
    pub async fn fetch(
        &mut self,
        doing: &'static str,
        sql: impl SqlSafeStr,
        values: Vec<Value>,
    ) -> Result<Vec<Row>> {
        let failed = |error| RecordsError::of(doing, error);
        Ok(match self {
            Tx::Sqlite(tx) => {
                let rows = bound::<Sqlite>(sql.into_sql_str(), values).fetch_all(&mut **tx).await;
                rows.map_err(failed)?.into_iter().map(Row::Sqlite).collect()
            }
            Tx::Postgres(tx) => {
                let rows = bound::<Postgres>(sql.into_sql_str(), values).fetch_all(&mut **tx).await;
                rows.map_err(failed)?.into_iter().map(Row::Postgres).collect()
            }
        })
    }

    /// Returns how many rows changed.
    ///
    /// # Errors
    /// As [`Records::fetch`].
    pub async fn execute(
        &mut self,
        doing: &'static str,
        sql: impl SqlSafeStr,
        values: Vec<Value>,
    ) -> Result<u64> {
        let failed = |error| RecordsError::of(doing, error);
        match self {
            Tx::Sqlite(tx) => {
                let done = bound::<Sqlite>(sql.into_sql_str(), values).execute(&mut **tx).await;
                done.map(|done| done.rows_affected()).map_err(failed)
            }
            Tx::Postgres(tx) => {
                let done = bound::<Postgres>(sql.into_sql_str(), values).execute(&mut **tx).await;
                done.map(|done| done.rows_affected()).map_err(failed)
            }
        }
    }

    /// Inserts many rows, each of `width` values in the order of `into`, such as
    /// `consents (tenant, id)`; rows that are there already stay. Returns how many are new.
    ///
    /// # Errors
    /// As [`Records::fetch`].
    pub async fn insert_new(
        &mut self,
        doing: &'static str,
        into: &'static str,
        width: usize,
        rows: Vec<Value>,
    ) -> Result<u64> {
        let (mut new, mut rest) = (0, rows);
        while !rest.is_empty() {
            let later = rest.split_off(rest.len().min(PARAMETERS_MAX / width * width));
            let sql = self.insertion(into, width, rest.len() / width);
            new += self.execute(doing, AssertSqlSafe(sql), rest).await?;
            rest = later;
        }
        Ok(new)
    }

    /// Made of a table's name and numbers alone: no value is ever part of a statement. sqlite counts
    /// places without a number, and is spared the list of numbered ones.
    fn insertion(&self, into: &str, width: usize, rows: usize) -> String {
        let place = |at: usize| match self {
            Tx::Sqlite(_) => "?".to_owned(),
            Tx::Postgres(_) => format!("${at}"),
        };
        let row = |row: usize| {
            let places = (1..=width).map(|at| place(row * width + at));
            format!("({})", places.collect::<Vec<_>>().join(","))
        };
        let rows: Vec<String> = (0..rows).map(row).collect();
        format!("INSERT INTO {into} VALUES {} ON CONFLICT DO NOTHING", rows.join(","))
    }

    /// Makes it last.
    ///
    /// # Errors
    /// When the database does not answer: it may have changed or not.
    pub async fn commit(self, doing: &'static str) -> Result<()> {
        let done = match self {
            Tx::Sqlite(tx) => tx.commit().await,
            Tx::Postgres(tx) => tx.commit().await,
        };
        done.map_err(|error| RecordsError::of(doing, error))
    }
}

/// One row; columns by position.
#[derive(Debug)]
pub enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Row {
    /// # Errors
    /// [`RecordsError::Corrupt`] when the column is missing, null or no text.
    pub fn text(&self, at: usize) -> Result<String> {
        let found = match self {
            Row::Sqlite(row) => row.try_get::<String, _>(at),
            Row::Postgres(row) => row.try_get::<String, _>(at),
        };
        found.map_err(|error| RecordsError::Corrupt { what: "a text", why: error.to_string() })
    }

    /// # Errors
    /// [`RecordsError::Corrupt`] when the column is missing, null or no whole number.
    pub fn int(&self, at: usize) -> Result<i64> {
        let found = match self {
            Row::Sqlite(row) => row.try_get::<i64, _>(at),
            Row::Postgres(row) => row.try_get::<i64, _>(at),
        };
        found.map_err(|error| RecordsError::Corrupt { what: "a number", why: error.to_string() })
    }

    /// # Errors
    /// [`RecordsError::Corrupt`] when the column is missing, null or no bytes.
    pub fn bytes(&self, at: usize) -> Result<Vec<u8>> {
        let found = match self {
            Row::Sqlite(row) => row.try_get::<Vec<u8>, _>(at),
            Row::Postgres(row) => row.try_get::<Vec<u8>, _>(at),
        };
        found.map_err(|error| RecordsError::Corrupt { what: "bytes", why: error.to_string() })
    }
}

fn bound<DB>(
    sql: SqlStr,
    values: Vec<Value>,
) -> sqlx::query::Query<'static, DB, <DB as Database>::Arguments>
where
    DB: Database,
    String: Encode<'static, DB> + Type<DB>,
    i64: Encode<'static, DB> + Type<DB>,
    Vec<u8>: Encode<'static, DB> + Type<DB>,
{
    let mut query = sqlx::query::<DB>(sql);
    for value in values {
        query = match value {
            Value::Text(text) => query.bind(text),
            Value::Int(n) => query.bind(n),
            Value::Bytes(bytes) => query.bind(bytes),
        };
    }
    query
}
