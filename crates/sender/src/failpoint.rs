//! Places where a test may end the process between two steps of the protocol.
//! Only in debug builds; a release build has none.
//!
//! `SUBAH_FAILPOINT=<name>[:<nth>]` aborts at the nth passing (the first, without one);
//! a name may carry a delivery: `prepare#417`. One that begins with `panic-` panics there.

use std::fmt::Display;

/// Passes a place.
pub fn pass(name: impl Display) {
    #[cfg(debug_assertions)]
    armed::pass(&name);
    #[cfg(not(debug_assertions))]
    let _ = name;
}

#[cfg(debug_assertions)]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    struct Armed {
        name: String,
        left: AtomicU32,
    }

    fn armed() -> Option<&'static Armed> {
        static ARMED: OnceLock<Option<Armed>> = OnceLock::new();
        let read = || {
            let text = std::env::var("SUBAH_FAILPOINT").ok()?;
            let (name, nth) = text.split_once(':').unwrap_or((&text, "1"));
            Some(Armed { name: name.to_owned(), left: AtomicU32::new(nth.parse().ok()?) })
        };
        ARMED.get_or_init(read).as_ref()
    }

    pub fn pass(name: &dyn std::fmt::Display) {
        let Some(armed) = armed() else { return };
        if armed.name == name.to_string() && armed.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            assert!(!armed.name.starts_with("panic-"), "a test ends this task");
            std::process::abort();
        }
    }
}
