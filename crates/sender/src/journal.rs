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
pub use replay::{Replay, replay};

use std::collections::HashMap;
use std::path::PathBuf;

use async_trait::async_trait;
use domain::{DeliveryId, Nonce, RunId, Timestamp};
use ledger::AttemptResult;
use segment_log::LogError;
use serde::{Deserialize, Serialize};

/// One record. Stored as JSON; holds no name or text, but Meta's message ids, which are
/// personal: the journal is as private as the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// The ledger will be asked whether this may go. `boot` names the machine's start:
    /// after a power cut the records behind this one may be missing.
    Intent { id: DeliveryId, nonce: Nonce, at: Timestamp, boot: String },
    /// The request is about to be written.
    Write { nonce: Nonce },
    /// What became of it, or that it was not used.
    Result(AttemptResult),
    /// A delivery that may have taken a worker down is being handled …
    Handling { id: DeliveryId },
    /// … and the worker lived.
    Handled { id: DeliveryId },
}

/// An entry, and which process start wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    pub entry: Entry,
    /// Written by the process that reads it.
    pub own: bool,
    /// What was written after it may be lost to a damaged disk: without an outcome it may have
    /// gone.
    pub doubtful: bool,
}

/// Whether the disk is waited for.
pub use segment_log::Sync;

#[async_trait]
pub trait Journal: Send + std::marker::Sync {
    /// Appends one entry.
    ///
    /// # Errors
    /// When it could not be written: nothing may be sent then.
    async fn append(&self, entry: &Entry, sync: Sync) -> Result<(), LogError>;

    /// Everything that is kept, oldest first; with `Since`, only what processes before this
    /// one left behind from that place on.
    ///
    /// # Errors
    /// When it cannot be read.
    async fn read(&self, which: Which) -> Result<Vec<Read>, LogError>;

    /// The attempts of these runs that earlier processes were granted, oldest first.
    ///
    /// # Errors
    /// When it cannot be read.
    async fn written(&self, runs: &[RunId]) -> Result<Vec<(DeliveryId, Nonce)>, LogError>;

    /// Everything before this place is in the ledger, by our own note.
    fn merged_before(&self) -> u64;

    /// Where what this process writes begins.
    fn start(&self) -> u64;

    /// Notes that all that earlier processes left behind is in the ledger.
    ///
    /// # Errors
    /// When the note cannot be written; then it is only merged once more.
    async fn merged(&self) -> Result<(), LogError>;

    /// A file beside it for what is seen of the store; none where nothing is kept.
    fn note(&self) -> Option<PathBuf> {
        None
    }

    /// Names this start of the machine.
    fn boot(&self) -> &str;

    /// Names what it is kept on: a host that comes back with an empty disk knows nothing
    /// of what it did before.
    fn disk(&self) -> &str;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    All,
    Since(u64),
}

/// Finds the attempts that were granted: a request was about to be written.
#[derive(Default)]
pub struct Writes {
    /// Intents that nothing is known of yet.
    open: HashMap<Nonce, DeliveryId>,
}

impl Writes {
    /// The attempt, when the entry is the write of one of these runs.
    pub fn fold(&mut self, entry: &Entry, runs: &[RunId]) -> Option<(DeliveryId, Nonce)> {
        match entry {
            Entry::Intent { id, nonce, .. } if runs.contains(&id.run) => {
                self.open.insert(*nonce, id.clone());
                None
            }
            Entry::Write { nonce } => Some((self.open.remove(nonce)?, *nonce)),
            Entry::Result(result) => {
                self.open.remove(&result.nonce);
                None
            }
            _ => None,
        }
    }
}
