//! Exit codes: 0 fine, 1 the answer is no, 2 wrong use (clap's), 64 bad configuration, 69 a
//! dependency is missing, 130 Ctrl-C.

use std::io::{ErrorKind, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use config::BadConfig;
use config::secrets::NoCredential;
use ledger::LedgerError;
use records::RecordsError;
use scheduler::snapshot::SnapshotError;

const WRONG_USE: u8 = 2;
const BAD_CONFIG: u8 = 64;
const UNAVAILABLE: u8 = 69;
const INTERRUPTED: u8 = 130;

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
        match answer {
            Answer::Yes => ExitCode::SUCCESS,
            Answer::No if CTRL_C.load(Ordering::Relaxed) => ExitCode::from(INTERRUPTED),
            Answer::No => ExitCode::FAILURE,
        }
    }
}

/// Somebody at the terminal has had enough.
static CTRL_C: AtomicBool = AtomicBool::new(false);

/// Notes that Ctrl-C ended what was waited for.
pub fn ctrl_c() {
    CTRL_C.store(true, Ordering::Relaxed);
}

/// A flag or argument that says nothing; exits 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WrongUse(pub String);

/// Something the command needs is not there; exits 69.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unavailable(pub String);

/// `subah … | head` is normal use: a closed pipe ends the program without a word.
pub fn quietly_when_the_reader_is_gone() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let text = panic.payload_as_str().unwrap_or("");
        if text.starts_with("failed printing to std") {
            // A reader that has gone is normal; a place that cannot be written is not.
            let broken = text.contains("Broken pipe");
            if !broken {
                let _ = writeln!(std::io::stderr(), "subah: the answer cannot be written: {text}");
            }
            std::process::exit(if broken { 0 } else { i32::from(UNAVAILABLE) });
        }
        tell(panic);
    }));
}

/// Prints the chain of causes and returns the code that fits.
pub fn report(error: &anyhow::Error) -> ExitCode {
    let io = error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>());
    if io.into_iter().any(|error| error.kind() == ErrorKind::BrokenPipe) {
        return ExitCode::SUCCESS; // the reader has what it wanted
    }
    // A standard error that is closed must not turn an answer into a panic.
    let lines: Vec<String> = format!("{error:#}").lines().map(crate::terminal::shown).collect();
    let _ = writeln!(std::io::stderr(), "subah: {}", lines.join("\n"));
    let code = if CTRL_C.load(Ordering::Relaxed) { INTERRUPTED } else { code(error) };
    ExitCode::from(code)
}

fn code(error: &anyhow::Error) -> u8 {
    for cause in error.chain() {
        if cause.is::<WrongUse>() {
            return WRONG_USE;
        }
        if cause.is::<BadConfig>() || cause.is::<NoCredential>() {
            return BAD_CONFIG;
        }
        let ledger = cause.downcast_ref::<LedgerError>();
        let store = ledger.is_some_and(|error| !matches!(error, LedgerError::NoRun(_)));
        let disk = cause.downcast_ref::<std::io::Error>().is_some_and(|error| {
            matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::ReadOnlyFilesystem)
        });
        if disk || cause.is::<SnapshotError>() {
            return UNAVAILABLE;
        }
        let network = cause.is::<simulator::SimulatorError>() || cause.is::<cloud_api::CallError>();
        let records = cause.downcast_ref::<RecordsError>();
        let away = records.is_some_and(|error| !matches!(error, RecordsError::Corrupt { .. }));
        if store || network || away || cause.is::<Unavailable>() || cause.is::<inbox::LogError>() {
            return UNAVAILABLE;
        }
    }
    1
}
