//! Exit codes: 0 fine, 1 the answer is no, 2 wrong use (clap's), 64 bad configuration, 69 a
//! dependency is missing, 130 Ctrl-C.

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use daemon::interrupt;
use desk::Answer;
use desk::error::Kind;
use desk::terminal::shown;

const WRONG_USE: u8 = 2;
const BAD_CONFIG: u8 = 64;
const UNAVAILABLE: u8 = 69;
const INTERRUPTED: u8 = 130;

/// The code of a command that worked.
pub fn of(answer: Answer) -> ExitCode {
    match answer {
        Answer::Yes => ExitCode::SUCCESS,
        Answer::No if interrupt::is_by_hand() => ExitCode::from(INTERRUPTED),
        Answer::No => ExitCode::FAILURE,
    }
}

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
    let lines: Vec<String> = format!("{error:#}").lines().map(shown).collect();
    let _ = writeln!(std::io::stderr(), "subah: {}", lines.join("\n"));
    let code = if interrupt::is_by_hand() { INTERRUPTED } else { code(error) };
    ExitCode::from(code)
}

fn code(error: &anyhow::Error) -> u8 {
    if error.chain().any(|cause| cause.is::<simulator::SimulatorError>()) {
        return UNAVAILABLE;
    }
    match Kind::of(error.as_ref()) {
        Kind::WrongUse => WRONG_USE,
        Kind::BadConfig => BAD_CONFIG,
        Kind::Unavailable => UNAVAILABLE,
        Kind::No => 1,
    }
}
