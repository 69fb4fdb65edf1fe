//! What really happened.
//!
//! [`applier`] reads the inbox and merges facts into the ledger; [`people`] honours what people say
//! of themselves; [`sweeper`] ends what time has ended; [`sla`] folds the ledger into the
//! [`report`].

pub mod applier;
pub mod merger;
pub mod miss;
pub mod people;
mod place;
pub mod report;
pub mod sla;
pub mod store_time;
pub mod sweeper;

pub use applier::Applier;
pub use merger::Merger;
pub use people::People;
pub use report::Report;
pub use sweeper::Sweeper;
