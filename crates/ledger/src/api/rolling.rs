//! Rows that are added to a rolling run one by one.
//!
//! A rolling run (`messages@2026-11-21`) takes the rows that are due between the opening and the
//! deadline of its window, which is its civil date; it ends when the last of them has. Its rows are claimed, sent, evidenced and reported
//! as those of a planned run.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use domain::Timestamp;
use domain::hash::sha256_hex;
use serde::{Deserialize, Serialize};

use super::{Envelope, Phase, Run};

/// How far ahead a row may be due.
pub const DUE_AHEAD_MAX: Duration = Duration::from_secs(90 * 86_400);
/// Rows in one call: bounds the time that it takes.
pub const APPEND_MAX: usize = 500;

/// Names a row within its run, so that adding it again finds it. Made from the caller's own text
/// by a hash: a key holds no personal data, and all are of one size.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RowKey(String);

impl RowKey {
    /// The first 128 bits of the SHA-256 of the caller's text.
    pub fn of(text: &str) -> Self {
        let mut digits = sha256_hex(text.as_bytes());
        digits.truncate(32);
        RowKey(digits)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The delivery's index, or the first free one after it. It follows from the key, so that a
    /// row which the store has forgotten, and which is appended again, meets the news of itself.
    pub fn index(&self) -> u32 {
        u32::from_str_radix(&self.0[..8], 16).expect("hexadecimal digits")
    }
}

/// One row to append.
#[derive(Clone, Debug)]
pub struct NewRow {
    pub key: RowKey,
    /// Position in the run's list of lanes.
    pub lane: u16,
    pub due_at: Timestamp,
    /// Nothing of it starts at or after this.
    pub expires_at: Timestamp,
    pub message: Envelope,
    /// What `message.body` names.
    pub body: Arc<str>,
    /// How long ago the caller first asked for this row; zero when it does so now. A store that
    /// has forgotten rows takes an older one for what may have been sent. A span, not an instant:
    /// the store's clock counts.
    pub asked_ago: Duration,
}

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// It has this index.
    Added(u32),
    /// A row with its key, to the same person and of the same words, was there, or the store knew
    /// of it by its news alone: under this index.
    There(u32),
    Refused(NotAppended),
}

/// Why a row was not appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAppended {
    /// Its key names a row to another person, or of other words.
    OtherRow,
    /// The run is planned, cancelled or closed, or its day is over.
    RunOver,
    /// The run has no such lane.
    Lane,
    /// Due on another day than the run's, or more than [`DUE_AHEAD_MAX`] ahead.
    Due,
    /// Over before it is due, by now, or later than the run.
    Expiry,
    /// The body is not the one that the message names.
    Body,
}

impl fmt::Display for NotAppended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NotAppended::OtherRow => {
                "its key was used before, for another person or other words: use a new key"
            }
            NotAppended::RunOver => {
                "the run takes no rows any more: append to that of a later date"
            }
            NotAppended::Lane => "the run has no such number",
            NotAppended::Due => {
                "it is due on another day than its run's, or more than 90 days ahead"
            }
            NotAppended::Expiry => "it ends before it is due, has ended, or ends after its run",
            NotAppended::Body => "its text is not the one that its hash names",
        })
    }
}

/// Why a new row cannot be taken; `None`: it can. Keys are looked at before.
pub fn not_appended(run: &Run, row: &NewRow, now: Timestamp) -> Option<NotAppended> {
    let header = &run.header;
    let takes_rows = matches!(run.phase, Phase::Open | Phase::Paused);
    if !header.is_rolling() || !takes_rows || now >= header.window.deadline {
        Some(NotAppended::RunOver)
    } else if usize::from(row.lane) >= header.lanes.len() {
        Some(NotAppended::Lane)
    } else if row.due_at < header.window.opens
        || row.due_at >= header.window.deadline
        || row.due_at > now + DUE_AHEAD_MAX
    {
        Some(NotAppended::Due)
    } else if row.expires_at <= row.due_at.max(now) || row.expires_at > header.stop_at {
        Some(NotAppended::Expiry)
    } else if !row.message.body.names(&row.body) {
        Some(NotAppended::Body)
    } else {
        None
    }
}
