//! Brings the schema up to date: forward only, one file a step, the same steps for both databases.

use futures::future::BoxFuture;
use sqlx::SqlStr;
use sqlx::error::BoxDynError;
use sqlx::migrate::{MigrateError, Migration, MigrationSource, MigrationType, Migrator};

use crate::error::{RecordsError, Result};
use crate::pool::Pool;

/// Number, name, text. A number is never used again, and a text that landed is never edited.
pub const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "first", include_str!("migrations/0001_first.sql")),
    (2, "imports", include_str!("migrations/0002_imports.sql")),
    (3, "accounts", include_str!("migrations/0003_accounts.sql")),
];

/// The embedded steps, as the migrator asks for them.
#[derive(Debug)]
struct Embedded;

impl MigrationSource<'static> for Embedded {
    fn resolve(self) -> BoxFuture<'static, std::result::Result<Vec<Migration>, BoxDynError>> {
        let step = |(number, name, text): &(i64, &'static str, &'static str)| {
            let kind = MigrationType::Simple;
            Migration::new(*number, (*name).into(), kind, SqlStr::from_static(text), false)
        };
        let steps = MIGRATIONS.iter().map(step).collect();
        Box::pin(async move { Ok(steps) })
    }
}

/// Several processes may do it at once: over PostgreSQL the migrator locks, over sqlite whoever opens
/// it does.
pub(crate) async fn run(pool: &Pool) -> Result<()> {
    let migrator = Migrator::new(Embedded).await.map_err(|e| refused(&e))?;
    let done = match pool {
        Pool::Sqlite { write, .. } => migrator.run(write).await,
        Pool::Postgres(pool) => migrator.run(pool).await,
    };
    done.map_err(|error| match error {
        MigrateError::VersionMissing(found) => {
            let known = MIGRATIONS.last().map_or(0, |(number, ..)| *number);
            RecordsError::Newer { found, known }
        }
        MigrateError::Execute(source) => RecordsError::of("bring the schema up to date", source),
        other => refused(&other),
    })
}

fn refused(error: &MigrateError) -> RecordsError {
    RecordsError::Corrupt { what: "the schema", why: error.to_string() }
}
