//! Tracing set-up: text for a person at a terminal, JSON for journald and collectors.
//!
//! Invariant: a log that cannot be written never hurts. Lines go through a thread of their
//! own; when standard error is closed, full, or read by nobody, they are dropped.

use std::io::{IsTerminal, Write};

use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

/// Lines that wait for a slow reader before more are dropped.
const LINES_MAX: usize = 16_384;

/// Writes what still waits when it is dropped.
#[must_use = "the last lines are written when it is dropped"]
pub struct Flush(#[expect(dead_code, reason = "held for its drop")] WorkerGuard);

/// Starts logging to standard error, so that standard output stays for answers. `default`
/// is the filter where `SUBAH_LOG` is not set, e.g. `info`. A second start does nothing.
pub fn start(default: &str) -> Flush {
    let filter = EnvFilter::try_from_env("SUBAH_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let lines = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(LINES_MAX);
    let (writer, guard): (NonBlocking, WorkerGuard) = lines.finish(Deaf(std::io::stderr()));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .log_internal_errors(false) // it would write to the very place that cannot be written
        .with_writer(writer);
    // The only failure is that logging was started before.
    let _ = if std::io::stderr().is_terminal() {
        builder.with_target(false).with_ansi(true).try_init()
    } else {
        builder.json().flatten_event(true).try_init()
    };
    Flush(guard)
}

/// Takes everything, whether it can be written or not.
struct Deaf<W>(W);

impl<W: Write> Write for Deaf<W> {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        let _ = self.0.write_all(line); // nobody can be told
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let _ = self.0.flush();
        Ok(())
    }
}
