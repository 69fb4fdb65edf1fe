//! Why an act is not done, and what kind of answer that is: the same for the command line (an exit
//! code), an API (a status) and a console.

use std::error::Error;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use cloud_api::CallError;
use config::BadConfig;
use config::secrets::NoCredential;
use inbox::LogError;
use ledger::LedgerError;
use records::RecordsError;
use scheduler::snapshot::SnapshotError;

use crate::replacement::Replacement;

pub type Result<T> = std::result::Result<T, DeskError>;

#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// What was asked for makes no sense, whatever is stored; says what would.
    #[error("{0}")]
    WrongUse(String),
    /// What was asked for makes sense, and cannot be done as things stand.
    #[error("{0}")]
    Refused(String),
    /// Something the act needs is not there.
    #[error("{0}")]
    Unavailable(String),
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
    /// What was being done, and what came in between.
    #[error("{doing}")]
    While {
        doing: String,
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    #[error(transparent)]
    Records(#[from] RecordsError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Meta(#[from] CallError),
    #[error(transparent)]
    Config(#[from] BadConfig),
    #[error(transparent)]
    Credential(#[from] NoCredential),
}

/// What kind of answer an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    WrongUse,
    BadConfig,
    /// Something that is needed is not there: the same may work later.
    Unavailable,
    /// The answer is no.
    No,
}

impl Kind {
    /// By the first cause of the chain that says so.
    pub fn of(error: &(dyn Error + 'static)) -> Kind {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(kind) = Kind::of_one(error) {
                return kind;
            }
            cause = error.source();
        }
        Kind::No
    }

    fn of_one(error: &(dyn Error + 'static)) -> Option<Kind> {
        match error.downcast_ref::<DeskError>() {
            Some(DeskError::WrongUse(_)) => return Some(Kind::WrongUse),
            Some(DeskError::Config(_) | DeskError::Credential(_)) => return Some(Kind::BadConfig),
            Some(DeskError::Unavailable(_) | DeskError::Meta(_)) => return Some(Kind::Unavailable),
            Some(DeskError::Ledger(error)) => return of_ledger(error),
            Some(DeskError::Records(error)) => return of_records(error),
            _ => {}
        }
        if error.is::<BadConfig>() || error.is::<NoCredential>() {
            return Some(Kind::BadConfig);
        }
        let disk = error.downcast_ref::<std::io::Error>().is_some_and(|error| {
            matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::ReadOnlyFilesystem)
        });
        if disk || error.is::<SnapshotError>() || error.is::<CallError>() || error.is::<LogError>()
        {
            return Some(Kind::Unavailable);
        }
        let ledger = error.downcast_ref::<LedgerError>().and_then(of_ledger);
        ledger.or_else(|| error.downcast_ref::<RecordsError>().and_then(of_records))
    }
}

fn of_ledger(error: &LedgerError) -> Option<Kind> {
    (!matches!(error, LedgerError::NoRun(_))).then_some(Kind::Unavailable)
}

fn of_records(error: &RecordsError) -> Option<Kind> {
    (!matches!(error, RecordsError::Corrupt { .. })).then_some(Kind::Unavailable)
}

/// Says what was being done when an error came.
pub trait Doing<T> {
    /// # Errors
    /// The same, with the words before it.
    fn doing<W: Into<String>>(self, words: impl FnOnce() -> W) -> Result<T>;
}

/// The error with words before it, if there is anything to say.
pub(crate) fn with_words(error: DeskError, words: Option<String>) -> DeskError {
    match words {
        Some(doing) => DeskError::While { doing, source: error.into() },
        None => error,
    }
}

impl<T, E: Into<Box<dyn Error + Send + Sync>>> Doing<T> for std::result::Result<T, E> {
    fn doing<W: Into<String>>(self, words: impl FnOnce() -> W) -> Result<T> {
        self.map_err(|error| DeskError::While { doing: words().into(), source: error.into() })
    }
}

/// Goes on only if something is good.
pub(crate) fn ensure(good: bool, why: impl FnOnce() -> String) -> Result<()> {
    if good { Ok(()) } else { Err(DeskError::Refused(why())) }
}

impl DeskError {
    pub(crate) fn file(doing: &'static str, path: &Path, source: std::io::Error) -> Self {
        DeskError::File { doing, path: path.to_owned(), source }
    }

    /// The error with its causes, as one line.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_of_an_answer_is_that_of_its_cause() {
        let away = || LedgerError::Full { engine: "sqlite", doing: "read the run" };
        let said = Err::<(), _>(away()).doing(|| "look at the run").unwrap_err();
        assert_eq!(Kind::of(&said), Kind::Unavailable);
        assert_eq!(said.chain(), format!("look at the run: {}", away()));
        let twice = Err::<(), _>(said).doing(|| "pause it").unwrap_err();
        assert_eq!(Kind::of(&twice), Kind::Unavailable);
        let wrong = Err::<(), _>(DeskError::WrongUse("--reason is empty".to_owned()));
        assert_eq!(Kind::of(&wrong.doing(|| "pause it").unwrap_err()), Kind::WrongUse);
        assert_eq!(Kind::of(&DeskError::Refused("it is closed".to_owned())), Kind::No);
    }
}
