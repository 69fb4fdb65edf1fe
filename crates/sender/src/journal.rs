//! What this host is about to do, is doing and has done, on its own disk.
//!
//! The ledger knows that an attempt was granted; only the sender knows whether its request
//! was written. Three records per attempt tell: *intent* before the ledger is asked,
//! *write* before the first byte goes out, *result* after the answer. After a crash they
//! tell "never written" (tried again at once) from "maybe written" (in doubt), and give
//! answers to the ledger that it had not taken yet. After a store that lost its latest
//! writes they give it back what it forgot. Nothing is sent that cannot be noted here.

mod file;
mod replay;

pub use file::{FileJournal, decode};
pub use replay::{Facts, Left, Replay};

use std::path::PathBuf;

use async_trait::async_trait;
use domain::{DeliveryId, Nonce, TemplateName, Timestamp};
use ledger::AttemptResult;
use serde::{Deserialize, Serialize};

/// One record. Stored as JSON; holds no name or text, but Meta's message ids, which are
/// personal: the journal is as private as the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// The ledger will be asked whether this may go. `machine_boot` names the machine's start:
    /// after a power cut the records behind this one may be missing.
    Intent {
        id: DeliveryId,
        nonce: Nonce,
        at: Timestamp,
        #[serde(rename = "boot")]
        machine_boot: String,
        /// The template that is about to go, where that is not the planned one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sent_as: Option<TemplateName>,
    },
    /// The request is about to be written.
    Write { nonce: Nonce },
    /// What became of it, or that it was not used.
    Result(AttemptResult),
    /// A delivery that may have taken a worker down is being handled …
    Handling { id: DeliveryId },
    /// … and the worker lived.
    Handled { id: DeliveryId },
}

/// An entry, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    pub entry: Entry,
    pub segment: u64,
    /// Written by the process that reads it.
    pub own: bool,
}

/// Entries in the order in which they were written, some at a time: a journal may be larger
/// than the memory.
pub trait Entries: Send {
    /// Empty when there are no more.
    ///
    /// # Errors
    /// When they cannot be read.
    fn next_batch(&mut self) -> Result<Vec<Read>, LogError>;

    /// The latest segment of which something could not be read, once all are read. What was
    /// written after an entry of it, or before, may be lost: without an outcome it may have gone.
    fn damaged(&self) -> Option<u64>;
}

impl Entries for Box<dyn Entries> {
    fn next_batch(&mut self) -> Result<Vec<Read>, LogError> {
        (**self).next_batch()
    }

    fn damaged(&self) -> Option<u64> {
        (**self).damaged()
    }
}

pub use segment_log::{LogError, Position, Sync};

#[async_trait]
pub trait Journal: Send + std::marker::Sync {
    /// Appends one entry.
    ///
    /// # Errors
    /// When it could not be written: nothing may be sent then.
    async fn append(&self, entry: &Entry, sync: Sync) -> Result<(), LogError>;

    /// Everything that is kept; with `Since`, only what processes before this one left behind
    /// from that place on.
    fn read(&self, which: Which) -> Box<dyn Entries>;

    /// The end of what is written: everything appended from now on lies behind it.
    fn end(&self) -> Position;

    /// Everything before this place is in the ledger, by our own note.
    fn merged_before(&self) -> Position;

    /// Notes that everything before `place` is in the ledger, and forgets what is old.
    ///
    /// # Errors
    /// When the note cannot be written; then it is only merged once more.
    fn merged(&self, place: Position) -> Result<(), LogError>;

    /// Whether what lay before this place is still there: a journal that was cut does not speak of
    /// everything that it was told.
    fn holds(&self, _place: Position) -> bool {
        true
    }

    /// A file beside it for what is seen of the store; none where nothing is kept.
    fn note(&self) -> Option<PathBuf> {
        None
    }

    /// Names this start of the machine.
    fn machine_boot(&self) -> &str;

    /// Names what it is kept on: a host that comes back with an empty disk knows nothing
    /// of what it did before.
    fn disk(&self) -> &str;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    All,
    Since(Position),
}
