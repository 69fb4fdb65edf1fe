//! Why the records do not answer, or refuse.

/// What every call answers that failed.
pub type Result<T> = std::result::Result<T, RecordsError>;

#[derive(Debug, thiserror::Error)]
pub enum RecordsError {
    /// The database cannot be reached, or broke off: the same call may work later.
    #[error("the records do not answer: {doing}: {source}")]
    Unavailable {
        doing: &'static str,
        #[source]
        source: sqlx::Error,
    },
    /// The database refuses: a defect, or data that another version wrote.
    #[error("the records refuse: {doing}: {source}")]
    Refused {
        doing: &'static str,
        #[source]
        source: sqlx::Error,
    },
    #[error(
        "the records have migration {found}, this program knows {known}: a newer version wrote them; use that one"
    )]
    Newer { found: i64, known: i64 },
    #[error("somebody else has imported meanwhile: look at what is there now, and import again")]
    Overtaken,
    #[error("{what} of the records cannot be read: {why}")]
    Corrupt { what: &'static str, why: String },
}

impl RecordsError {
    /// Sorts what the driver said by whether another try may help.
    pub(crate) fn of(doing: &'static str, source: sqlx::Error) -> Self {
        use sqlx::Error as E;
        let later = match &source {
            E::Io(_) | E::Tls(_) | E::PoolTimedOut | E::PoolClosed | E::WorkerCrashed => true,
            E::Protocol(_) => true,
            E::Database(error) => is_passing(error.code().as_deref().unwrap_or("")),
            _ => false,
        };
        match later {
            true => RecordsError::Unavailable { doing, source },
            false => RecordsError::Refused { doing, source },
        }
    }

    /// Another writer was faster, or the database asks for the whole transaction once more.
    pub(crate) fn is_conflict(&self) -> bool {
        let (Self::Unavailable { source, .. } | Self::Refused { source, .. }) = self else {
            return false;
        };
        let sqlx::Error::Database(error) = source else { return false };
        let code = error.code();
        error.is_unique_violation() || code.is_some_and(|code| CONFLICTS.contains(&code.as_ref()))
    }
}

/// PostgreSQL: serialization failure, deadlock. sqlite waits for its lock by itself, and is away then.
const CONFLICTS: [&str; 2] = ["40001", "40P01"];

/// Classes of PostgreSQL (08 connection, 53 resources, 57 operator's hand, 58 system) and codes of
/// sqlite (5 busy, 6 locked, 10 input/output, 13 full, 14 cannot be opened). Source: their manuals.
fn is_passing(code: &str) -> bool {
    match code.len() {
        5 => {
            ["08", "53", "57", "58"].iter().any(|class| code.starts_with(class)) || code == "40001"
        }
        _ => code.parse::<u32>().is_ok_and(|code| [5, 6, 10, 13, 14].contains(&(code & 0xff))),
    }
}
