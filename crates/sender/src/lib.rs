//! Sends what is due, once.
//!
//! [`Sender`] runs one `lane` per business number. A delivery's way through `worker`:
//! permit → [`journal`] → intent (a compare-and-set in the ledger) → POST → [`decide`] →
//! result. The decision is a pure function; the loop around it is thin.

mod budget;
pub mod decide;
pub mod failpoint;
mod gate;
mod grants;
pub mod journal;
mod lane;
mod leases;
pub mod options;
mod recovery;
mod sender;
mod shared;
mod unsent;
mod unsettled;
mod worker;

pub use journal::{FileJournal, Journal};
pub use options::Options;
pub use sender::{Running, Sender};

/// The monotonic clock, which a paused test runtime can move.
fn monotonic() -> std::time::Instant {
    tokio::time::Instant::now().into_std()
}

/// The same, and what the machine slept: goes on as wall clocks do.
fn since_boot() -> std::time::Instant {
    monotonic() + domain::clock::slept()
}
