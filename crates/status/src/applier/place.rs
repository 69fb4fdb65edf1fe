//! Holds the applier's place against the ledger's own note of it: a ledger that was put back
//! while nobody was looking has lost statuses and does not say so.

use std::time::Duration;

use ledger::{Ledger, LedgerError, places};
use segment_log::Position;
use tokio::time::Instant;

use crate::inbox::Source;

/// How often the ledger's note is looked at while nothing comes.
const EVERY: Duration = Duration::from_millis(500);

#[derive(Default)]
pub struct Place {
    /// What the ledger said, or was told, last.
    told: Option<Position>,
    is_known: bool,
    at: Option<Instant>,
}

impl Place {
    /// After each batch, and once in a while: goes back when the ledger is behind, else tells it how far this is.
    /// True when it went back.
    pub async fn keep(
        &mut self,
        ledger: &dyn Ledger,
        source: &mut dyn Source,
    ) -> Result<bool, LedgerError> {
        let Some(name) = source.name() else { return Ok(false) };
        let here = source.position();
        // Behind each batch, so that a ledger that loses the batch loses the note with it.
        if self.told == Some(here) && self.at.is_some_and(|at| at.elapsed() < EVERY) {
            return Ok(false);
        }
        self.at = Some(Instant::now());
        let held = places::read(ledger, &name).await?;
        let held = held.map(|(segment, offset)| Position { segment, offset });
        let wanted = if self.is_known { self.told } else { Some(here) };
        let behind = held.unwrap_or_default() < wanted.unwrap_or_default();
        self.is_known = true;
        if behind {
            tracing::error!(
                "the store has {} statuses of this host: was it emptied, or put back? They are merged once more",
                if held.is_some() { "forgotten the latest" } else { "none of the" }
            );
            source.rewind(held.unwrap_or_default());
            self.told = held;
            return Ok(true);
        }
        if held != Some(here) {
            places::write(ledger, &name, (here.segment, here.offset)).await?;
        }
        self.told = Some(here);
        Ok(false)
    }
}
