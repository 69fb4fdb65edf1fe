//! Tracing set-up: text for a person at a terminal, JSON for journald and collectors.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Starts logging to standard error, so that standard output stays for answers. `default`
/// is the filter where `SUBAH_LOG` is not set, e.g. `info`. A second start does nothing.
pub fn start(default: &str) {
    let filter = EnvFilter::try_from_env("SUBAH_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // The only failure is that logging was started before.
    let _ = if std::io::stderr().is_terminal() {
        builder.with_target(false).try_init()
    } else {
        builder.json().flatten_event(true).try_init()
    };
}
