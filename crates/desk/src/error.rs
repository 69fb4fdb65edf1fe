//! Why an act is not done.

use ledger::LedgerError;
use records::RecordsError;

pub type Result<T> = std::result::Result<T, DeskError>;

#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// What was asked for makes no sense; says what would.
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Records(#[from] RecordsError),
}

/// Why the ledger was not told.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    #[error(transparent)]
    Records(#[from] RecordsError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}
