//! What really happened.
//!
//! [`receiver`] answers Meta only after [`inbox`] has the raw body on the disk; [`applier`]
//! reads the inbox and merges facts into the ledger; [`sweeper`] ends what time has ended;
//! [`sla`] folds the ledger into the [`report`].

pub mod applier;
pub mod endpoint;
pub mod inbox;
pub mod merger;
pub mod miss;
pub mod receiver;
pub mod report;
pub mod sla;
pub mod sweeper;

pub use applier::Applier;
pub use inbox::Inbox;
pub use merger::Merger;
pub use report::Report;
pub use sweeper::Sweeper;
