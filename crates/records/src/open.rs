//! From a place to records that can be asked: connections, and the present schema.

use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use crate::error::{RecordsError, Result};
use crate::migrate;
use crate::pool::{Pool, Records};

/// Before a connection, or a place in the queue for one, counts as not to be had.
const PATIENCE: Duration = Duration::from_secs(5);
/// Connections of one process to PostgreSQL.
const CONNECTIONS_MAX: u32 = 8;

/// Where the records are.
#[derive(Clone, Debug)]
pub enum Place {
    /// A file of this host's; made when it is missing.
    Sqlite(PathBuf),
    /// A URL, which may hold a password: `postgres://user:password@host/database`.
    Postgres(SecretString),
}

impl Records {
    /// Connects, and brings the schema up to date.
    ///
    /// # Errors
    /// When the database cannot be reached, or a newer version has changed its schema.
    pub async fn open(place: &Place) -> Result<Self> {
        let open = |error| RecordsError::of("open them", error);
        // A new file is no WAL yet: of two that make it one at once, one is told that it is locked.
        let _held = match place {
            Place::Sqlite(path) => Some(held(path.with_extension("lock")).await?),
            Place::Postgres(_) => None,
        };
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
                // Notices, such as that a table is there already, come with every connection.
                let settings = [("statement_timeout", "60000"), ("client_min_messages", "warning")];
                let options = options.options(settings);
                let pool = PgPoolOptions::new().max_connections(CONNECTIONS_MAX);
                let pool = pool.acquire_timeout(PATIENCE).connect_with(options).await;
                Pool::Postgres(pool.map_err(open)?)
            }
        };
        migrate::run(&pool).await?;
        Ok(Records { pool })
    }
}

/// Until the file is dropped. Waits on a thread of its own: whoever holds the lock may need this one.
async fn held(path: PathBuf) -> Result<File> {
    let lock = move || File::create(path).and_then(|file| file.lock().map(|()| file));
    let taken = tokio::task::spawn_blocking(lock).await.map_err(std::io::Error::other);
    let failed = |error| RecordsError::of("open them", sqlx::Error::Io(error));
    taken.and_then(|taken| taken).map_err(failed)
}
