//! Sends what is due, once.
//!
//! [`Sender`] runs one `lane` per business number. A delivery's way through `worker`:
//! permit → intent (a compare-and-set in the ledger) → POST → [`decide`] → result. The
//! decision is a pure function; the loop around it is thin.

pub mod decide;
mod lane;
pub mod options;
mod sender;
mod worker;

pub use options::Options;
pub use sender::Sender;
