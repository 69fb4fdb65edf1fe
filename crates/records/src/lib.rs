//! What is known apart from deliveries: people, consents, what operators did. SQL over an embedded
//! sqlite file or PostgreSQL, in one dialect (see [`pool`]); nothing between the opening of a
//! window and its deadline waits for it.
//!
//! Whatever a record decides that the ledger has to hear is written into [`outbox`] in the same
//! transaction, and told to the ledger until the ledger has it.

pub mod audit;
pub mod blobs;
pub mod consents;
mod error;
mod id;
pub mod imports;
mod migrate;
mod open;
pub mod outbox;
pub mod people;
pub mod pool;
pub mod tenants;

pub use error::{RecordsError, Result};
pub use id::Id;
pub use migrate::MIGRATIONS;
pub use open::Place;
pub use pool::{Records, Row, Tries, Tx, Value};
