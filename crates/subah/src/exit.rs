//! Exit codes: 0 fine, 1 the answer is no, 2 wrong use (clap's), 64 bad configuration, 69 a
//! dependency is missing.

use std::process::ExitCode;

use ledger::LedgerError;

use crate::config::BadConfig;
use crate::config::secrets::NoCredential;

const BAD_CONFIG: u8 = 64;
const UNAVAILABLE: u8 = 69;

/// The answer of a command that worked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Yes,
    No,
}

impl Answer {
    pub fn from_bool(yes: bool) -> Self {
        if yes { Answer::Yes } else { Answer::No }
    }
}

impl From<Answer> for ExitCode {
    fn from(answer: Answer) -> ExitCode {
        ExitCode::from(u8::from(answer == Answer::No))
    }
}

/// Something the command needs is not there; exits 69.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unavailable(pub String);

/// Prints the chain of causes and returns the code that fits.
pub fn report(error: &anyhow::Error) -> ExitCode {
    eprintln!("subah: {error:#}");
    ExitCode::from(code(error))
}

fn code(error: &anyhow::Error) -> u8 {
    for cause in error.chain() {
        if cause.is::<BadConfig>() || cause.is::<NoCredential>() {
            return BAD_CONFIG;
        }
        let ledger = cause.downcast_ref::<LedgerError>();
        let store = ledger.is_some_and(|error| !matches!(error, LedgerError::NoRun(_)));
        let network = cause.is::<simulator::SimulatorError>() || cause.is::<cloud_api::CallError>();
        if store || network || cause.is::<Unavailable>() || cause.is::<status::inbox::InboxError>()
        {
            return UNAVAILABLE;
        }
    }
    1
}
