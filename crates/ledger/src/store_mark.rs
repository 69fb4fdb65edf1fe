//! Which store this is. A random id is written once; a number beside it grows whenever
//! somebody finds that the store has forgotten something. Both are part of the store's
//! incarnation, so that a store that was emptied, swapped or put back is sent from only when
//! every host has given it what its own disk knows.
//!
//! A store that nobody has vouched for yet is not *settled*: each run that is begun in it is
//! fenced from its first instant, because it may be an old one that the store has forgotten. So
//! is one that is begun after its window has opened in a store that was doubted since then.

use std::fmt;

use domain::Timestamp;
use serde::{Deserialize, Serialize};

use crate::api::Ledger;
use crate::cell;
use crate::error::Result;

/// The cell that holds it; `lua/run.lua` and `lua/prelude.lua` read it too.
pub const CELL: &str = "store";

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreMark {
    /// Empty until a host has named the store.
    pub id: String,
    /// Microseconds since 1970 of the latest doubt: a number that a store which was put back
    /// does not give out twice.
    pub epoch: i64,
    pub settled: bool,
}

impl StoreMark {
    pub fn doubt(&mut self, now: Timestamp) {
        self.epoch = now.micros().max(self.epoch + 1);
    }

    /// Whether a run whose window opens then may have been here before, and been sent from.
    pub fn may_have_forgotten(&self, opens: Timestamp) -> bool {
        !self.settled || self.epoch > opens.micros()
    }

    pub fn parse(text: Option<&str>) -> Self {
        text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }

    pub fn text(&self) -> String {
        serde_json::to_string(self).expect("a mark is plain data")
    }
}

/// As it stands in an incarnation.
impl fmt::Display for StoreMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.id, self.epoch)
    }
}

/// The store's mark; an unnamed store is named.
///
/// # Errors
/// When the ledger does not answer.
pub async fn ensure(ledger: &dyn Ledger, new_id: impl Fn() -> String) -> Result<StoreMark> {
    let mark: StoreMark = cell::read(ledger, CELL).await?;
    if !mark.id.is_empty() {
        return Ok(mark);
    }
    let name = |mark: &mut StoreMark| {
        if mark.id.is_empty() {
            mark.id = new_id();
        }
        mark.clone()
    };
    cell::update(ledger, CELL, name).await
}

/// Somebody found that the store has forgotten something: nothing is sent from it before
/// everybody has merged what they know.
///
/// # Errors
/// When the ledger does not answer.
pub async fn doubt(ledger: &dyn Ledger) -> Result<()> {
    let now = ledger.now().await?;
    cell::update(ledger, CELL, |mark: &mut StoreMark| mark.doubt(now)).await
}

/// Everybody has merged what they know into the store that `seen` names: runs that are begun in
/// it from now on are new. A store that is another one by now is not vouched for.
///
/// # Errors
/// When the ledger does not answer.
pub async fn settle(ledger: &dyn Ledger, seen: &StoreMark) -> Result<()> {
    let settle = |mark: &mut StoreMark| {
        mark.settled |= (&mark.id, mark.epoch) == (&seen.id, seen.epoch);
    };
    cell::update(ledger, CELL, settle).await
}

/// Vouches for a store that was made for this purpose, and so can have forgotten nothing.
///
/// # Errors
/// When the ledger does not answer.
pub async fn settle_new(ledger: &dyn Ledger) -> Result<()> {
    cell::update(ledger, CELL, |mark: &mut StoreMark| mark.settled = true).await
}

/// The mark as it stands.
///
/// # Errors
/// When the ledger does not answer.
pub async fn read(ledger: &dyn Ledger) -> Result<StoreMark> {
    cell::read(ledger, CELL).await
}
