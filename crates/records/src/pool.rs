//! One API over both databases.
//!
//! The dialect: `$1` placeholders by number, instants as BIGINT milliseconds, ids and JSON as TEXT,
//! no types, arrays or functions of one database alone. Whatever has to differ is here and in
//! [`crate::migrate`], nowhere else. sqlite has one writer, so its writes queue here and not in
//! busy loops; PostgreSQL's conflicts are tried again by [`Records::transact`].

use std::path::PathBuf;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgRow};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{
    AssertSqlSafe, Database, Encode, PgPool, Postgres, Row as _, SqlSafeStr, SqlStr, Sqlite,
    SqlitePool, Transaction, Type,
};

use crate::error::{RecordsError, Result};
use crate::migrate;

/// Before a connection, or a place in the queue for one, counts as not to be had.
const PATIENCE: Duration = Duration::from_secs(5);
/// Connections of one process to PostgreSQL.
const CONNECTIONS_MAX: u32 = 8;
/// How often a transaction is tried again that another writer was faster than.
const TRIES: u32 = 30;
/// Most parameters of one statement: PostgreSQL counts them in 16 bits, sqlite takes 32,766.
pub const PARAMETERS_MAX: usize = 30_000;

/// Where the records are.
#[derive(Clone, Debug)]
pub enum Place {
    /// A file of this host's; made when it is missing.
    Sqlite(PathBuf),
    /// A URL, which may hold a password: `postgres://user:password@host/database`.
    Postgres(SecretString),
}

/// What is bound to a placeholder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Text(String),
    Int(i64),
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

#[derive(Clone, Debug)]
pub(crate) enum Pool {
    Sqlite { write: SqlitePool, read: SqlitePool },
    Postgres(PgPool),
}

/// The records; cheap to clone.
#[derive(Clone, Debug)]
pub struct Records {
    pool: Pool,
}

impl Records {
    /// Connects, and brings the schema up to date.
    ///
    /// # Errors
    /// When the database cannot be reached, or a newer version has changed its schema.
    pub async fn open(place: &Place) -> Result<Self> {
        let open = |error| RecordsError::of("open them", error);
        let pool = match place {
            Place::Sqlite(path) => {
                let options = SqliteConnectOptions::new()
                    .filename(path)
                    .create_if_missing(true)
                    .journal_mode(SqliteJournalMode::Wal)
                    .synchronous(SqliteSynchronous::Full)
                    .foreign_keys(true)
                    .busy_timeout(PATIENCE);
                let pool = |most| SqlitePoolOptions::new().max_connections(most);
                let write = pool(1).acquire_timeout(PATIENCE).connect_with(options.clone()).await;
                let read = pool(4).acquire_timeout(PATIENCE).connect_lazy_with(options);
                Pool::Sqlite { write: write.map_err(open)?, read }
            }
            Place::Postgres(url) => {
                let options: PgConnectOptions = url.expose_secret().parse().map_err(open)?;
                let options = options.options([("statement_timeout", "60000")]);
                let pool = PgPoolOptions::new().max_connections(CONNECTIONS_MAX);
                let pool = pool.acquire_timeout(PATIENCE).connect_with(options).await;
                Pool::Postgres(pool.map_err(open)?)
            }
        };
        migrate::run(&pool).await?;
        Ok(Records { pool })
    }

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

    /// One transaction: all of `change`, or nothing. `change` is made anew when another writer was
    /// faster, so it may be called several times.
    ///
    /// # Errors
    /// Those of `change`; when the database does not answer, nothing is known to have changed.
    pub async fn transact<T>(
        &self,
        doing: &'static str,
        change: impl AsyncFn(&mut Tx) -> Result<T>,
    ) -> Result<T> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.once(doing, &change).await {
                Err(error) if error.is_conflict() && tries < TRIES => {
                    tokio::task::yield_now().await
                }
                done => return done,
            }
        }
    }

    async fn once<T>(
        &self,
        doing: &'static str,
        change: &impl AsyncFn(&mut Tx) -> Result<T>,
    ) -> Result<T> {
        let begun = match &self.pool {
            // At once, not at the first write: else two that have read cannot both write.
            Pool::Sqlite { write, .. } => write.begin_with("BEGIN IMMEDIATE").await.map(Tx::Sqlite),
            Pool::Postgres(pool) => pool.begin().await.map(Tx::Postgres),
        };
        let mut tx = begun.map_err(|error| RecordsError::of(doing, error))?;
        let answer = change(&mut tx).await?; // an error drops the transaction, which undoes it
        tx.commit(doing).await?;
        Ok(answer)
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
            let sql = insertion(into, width, rest.len() / width);
            new += self.execute(doing, AssertSqlSafe(sql), rest).await?;
            rest = later;
        }
        Ok(new)
    }

    async fn commit(self, doing: &'static str) -> Result<()> {
        let done = match self {
            Tx::Sqlite(tx) => tx.commit().await,
            Tx::Postgres(tx) => tx.commit().await,
        };
        done.map_err(|error| RecordsError::of(doing, error))
    }
}

/// Made of a table's name and numbers alone: no value is ever part of a statement.
fn insertion(into: &str, width: usize, rows: usize) -> String {
    let row = |row: usize| {
        let places = (1..=width).map(|at| format!("${}", row * width + at));
        format!("({})", places.collect::<Vec<_>>().join(","))
    };
    let rows: Vec<String> = (0..rows).map(row).collect();
    format!("INSERT INTO {into} VALUES {} ON CONFLICT DO NOTHING", rows.join(","))
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
}

fn bound<DB>(
    sql: SqlStr,
    values: Vec<Value>,
) -> sqlx::query::Query<'static, DB, <DB as Database>::Arguments>
where
    DB: Database,
    String: Encode<'static, DB> + Type<DB>,
    i64: Encode<'static, DB> + Type<DB>,
{
    let mut query = sqlx::query::<DB>(sql);
    for value in values {
        query = match value {
            Value::Text(text) => query.bind(text),
            Value::Int(n) => query.bind(n),
        };
    }
    query
}
