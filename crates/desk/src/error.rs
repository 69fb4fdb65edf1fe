//! Why an act is not done.

use std::path::{Path, PathBuf};

use ledger::LedgerError;
use records::RecordsError;

use crate::replacement::Replacement;

pub type Result<T> = std::result::Result<T, DeskError>;

#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// What was asked for makes no sense; says what would.
    #[error("{0}")]
    Refused(String),
    /// A yes is missing; with what would change.
    #[error("{why}")]
    Asked { replacement: Replacement, why: String },
    #[error("{doing} {path}")]
    File {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error(transparent)]
    Records(#[from] RecordsError),
}

impl DeskError {
    pub(crate) fn file(doing: &'static str, path: &Path, source: std::io::Error) -> Self {
        DeskError::File { doing, path: path.to_owned(), source }
    }
}

/// Why the ledger was not told.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    #[error(transparent)]
    Records(#[from] RecordsError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}
