//! The truth about every delivery.
//!
//! One trait ([`Ledger`]), three engines ([`Model`], [`Sqlite`], [`Redis`]) and one
//! conformance suite. A delivery is a [`Record`]; what may happen to it is written once, as
//! pure functions in [`transition`]. The engines only differ in how they make such a step
//! atomic and durable: `model` by a lock, `sqlite` by a transaction on its one writer
//! thread, `redis` by comparing and swapping the whole record in Lua.
//!
//! Every call is idempotent and takes a batch. A queue entry is only a hint: the intent,
//! a compare-and-set here, is what keeps a message from being sent twice.

pub mod api;
pub mod body_hash;
pub mod cell;
mod core;
pub mod error;
pub mod halts;
pub mod lanes;
pub mod members;
pub mod model;
pub mod opt_outs;
pub mod orders;
pub mod places;
pub mod record;
pub mod recovery;
pub mod redis;
pub mod rehome;
pub mod sqlite;
pub mod standing;
pub mod store_mark;
mod stored;
pub mod transition;
mod view;

pub use api::{
    Amended, Amendment, Appended, Applied, AttemptResult, Begun, Change, Claim, Claimed, Counts,
    DeliveryView, Discarded, Envelope, Filter, Health, IntentAnswer, IntentRequest, Ledger, NewRow,
    NotAppended, Note, Phase, PlanChunk, PlanRow, Purged, Refusal, Release, RetryIn, RowKey, Run,
    RunHeader, RunKind, Swept, WebhookFact, WhyKept, is_purgeable, maybe_recoverable_since,
};
pub use body_hash::BodyHash;
pub use core::why_kept;
pub use error::LedgerError;
pub use model::Model;
pub use record::Record;
pub use redis::Redis;
pub use sqlite::Sqlite;
