//! Raw webhook bodies on the local disk, before anyone is told that we have them.
//!
//! A [`segment_log`] of bodies with their time of receipt.

use std::path::Path;
use std::sync::Arc;

use segment_log::{LogError, Options, Position, Sync, Writer};
use tokio::sync::Notify;

use crate::record::Record;

/// Names the files and stands in errors.
pub(crate) const NAME: &str = "inbox";

/// Appends bodies; clone freely.
#[derive(Clone)]
pub struct Inbox(Writer);

impl Inbox {
    /// Opens or makes the folder, locks it and cuts a torn tail off the newest segment.
    /// `bytes_max` is its quota: beyond it the provider is told to come again.
    ///
    /// # Errors
    /// [`LogError::Locked`] when another process has it; otherwise when the folder cannot
    /// be made, or the newest segment cannot be read or written.
    pub fn open(dir: &Path, bytes_max: u64) -> Result<Self, LogError> {
        Ok(Inbox(Writer::open(dir, &Options { name: NAME, go_on: true, bytes_max })?))
    }

    /// Appends one body; returns when it is on the disk.
    ///
    /// # Errors
    /// When too many wait, the quota is used up, or the disk refuses. In each case the body
    /// is not ours and Meta must send it again.
    pub async fn append(&self, record: &Record) -> Result<(), LogError> {
        self.0.append(&record.encode(), Sync::Yes).await
    }

    /// Woken after each group of bodies that reached the disk: one for each call.
    pub fn written(&self) -> Arc<Notify> {
        self.0.synced_more()
    }

    /// The end of what is on the disk for sure.
    pub fn synced(&self) -> Position {
        self.0.synced()
    }

    /// Sets its quota.
    pub fn allow(&self, bytes_max: u64) {
        self.0.allow(bytes_max);
    }

    /// Bytes that it holds, and its quota.
    pub fn fill(&self) -> (u64, u64) {
        self.0.fill()
    }

    pub fn dir(&self) -> &Path {
        self.0.dir()
    }

    /// Names the folder for as long as it exists.
    pub fn disk(&self) -> &str {
        self.0.identity()
    }
}
