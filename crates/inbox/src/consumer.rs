//! Who reads the inbox, and how each goes on.

use std::fmt;
use std::time::Duration;

use ledger::LedgerError;
use segment_log::LogError;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Looks at the inbox at least this often, in case a wake-up was missed.
const IDLE: Duration = Duration::from_millis(500);
/// Before what failed is tried again.
const PAUSE: Duration = Duration::from_millis(200);

/// A reader of what comes in. Each has a place of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Consumer {
    /// What became of deliveries.
    Status,
    /// What people say of themselves: STOPs, preferences.
    People,
    /// The same, for the records: they may be away for days, and hold up nobody.
    Records,
}

impl Consumer {
    pub const ALL: [Consumer; 3] = [Consumer::Status, Consumer::People, Consumer::Records];

    /// Whether segments stay until it has read them, however long that takes; else it has
    /// [`domain::retention::NEWS`], so that a database that is gone does not fill the disk.
    pub const fn is_waited_for(self) -> bool {
        !matches!(self, Consumer::Records)
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Consumer::Status => "status",
            Consumer::People => "people",
            Consumer::Records => "records",
        }
    }

    /// The file beside the segments that its place is noted in. That of the first consumer has
    /// the name from before there were others.
    pub(crate) const fn place_file(self) -> &'static str {
        match self {
            Consumer::Status => "applied",
            Consumer::People => "applied-people",
            Consumer::Records => "applied-records",
        }
    }
}

impl fmt::Display for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What one look at the inbox gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    Applied,
    Empty,
    /// The store or the disk does not answer.
    Halted,
}

/// Waits as long as a round asks for. False: asked to stop, and nothing is left to be read, or
/// nothing can be done about it now; what is in the inbox stays there for the next start.
pub async fn rest(round: Round, written: &Notify, stop: &CancellationToken) -> bool {
    let pause = match round {
        Round::Applied => return true,
        Round::Empty | Round::Halted if stop.is_cancelled() => return false,
        Round::Empty => IDLE,
        Round::Halted => PAUSE,
    };
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        () = written.notified(), if round == Round::Empty => {}
        () = tokio::time::sleep(pause) => {}
    }
    true
}

/// Why what is kept was not read once more.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error(transparent)]
    Inbox(#[from] LogError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}
