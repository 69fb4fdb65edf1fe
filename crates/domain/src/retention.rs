//! How long each kind of thing is kept: every age, once.
//!
//! Sources: Meta repeats a webhook for up to 7 days; DPDP asks that nothing personal is kept
//! longer than its purpose, and a year of facts answers a complaint or an audit.

use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 3_600);

/// Journals and inboxes: as long as Meta repeats its webhooks, and a day more to put a store
/// right from. A run is recoverable as long.
pub const NEWS: Duration = Duration::from_secs(8 * 24 * 3_600);

/// What the operator decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Facts about deliveries, in the ledger, from the close of their run on; then they are
    /// exported and purged.
    pub deliveries: Duration,
    /// Texts, pictures' names and snapshots, which hold phone numbers: from the date of the
    /// content, or from the making of a snapshot that no run names any more.
    pub content: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Retention { deliveries: 396 * DAY, content: 30 * DAY }
    }
}
