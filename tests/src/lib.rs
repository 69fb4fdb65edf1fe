//! What scenarios share: the built binary, a real redis-server, an installation in a
//! temporary folder, and waiting for a condition instead of for a time.

pub mod commands;
pub mod conformance;
pub mod days;
pub mod engines;
pub mod fleet;
pub mod fuzz;
pub mod install;
pub mod month;
pub mod mutants;
pub mod postgres;
pub mod power;
pub mod proxy;
pub mod records;
pub mod redis_server;
pub mod tally;
pub mod world;

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Longest wait for anything; reached only when something is wrong.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Pause between two looks, so that looking does not starve what is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// The binary that was built beside this test.
///
/// # Panics
/// When it is not there: `cargo build --workspace` makes it.
pub fn subah_path() -> PathBuf {
    let mut path = std::env::current_exe().expect("a test knows where it is");
    path.pop();
    if path.ends_with("deps") {
        path.pop();
    }
    let path = path.join("subah");
    assert!(path.exists(), "{} is missing: run `cargo build --workspace` first", path.display());
    path
}

/// The binary with a clean environment.
pub fn subah() -> Command {
    let mut command = Command::new(subah_path());
    command.env_remove("SUBAH_CONFIG").env_remove("CREDENTIALS_DIRECTORY").env_remove("SUBAH_LOG");
    command
}

/// Asks until the answer is there.
///
/// # Panics
/// When it does not come within [`PATIENCE`].
pub fn until<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, LOOK, ask).unwrap_or_else(|| panic!("{what} did not happen"))
}

/// Asks until the answer is there, or until `patience` is over; `look` lies between two
/// questions.
pub fn within<T>(
    patience: Duration,
    look: Duration,
    mut ask: impl FnMut() -> Option<T>,
) -> Option<T> {
    let begun = Instant::now();
    loop {
        let answer = ask();
        if answer.is_some() || begun.elapsed() >= patience {
            return answer;
        }
        // Between two looks, not instead of one: nothing is assumed to be over after it.
        std::thread::park_timeout(look);
    }
}

/// A pause that is itself wanted (harm that lasts, an instant that is waited for), not a
/// wait for something to be over.
pub fn pause(span: Duration) {
    let until = Instant::now() + span;
    while let Some(left) = until.checked_duration_since(Instant::now()).filter(|l| !l.is_zero()) {
        std::thread::park_timeout(left); // which may wake early
    }
}

/// Waits for one call on this thread's runtime, which must have several threads.
pub fn block_on<T>(call: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(call))
}

/// Ports below those that the kernel gives to outgoing connections, which could otherwise
/// take a port between its being found and its being used.
const PORTS: std::ops::Range<u32> = 20_000..32_000;

/// A port of loopback that nobody uses yet.
///
/// # Panics
/// When there is none.
pub fn free_port() -> u16 {
    static TRIED: AtomicU32 = AtomicU32::new(0);
    let first = std::process::id().wrapping_mul(37); // processes side by side start apart
    for _ in PORTS {
        let n = first.wrapping_add(TRIED.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(PORTS.start + n % PORTS.len() as u32).expect("a port");
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("every port of {PORTS:?} is in use");
}
