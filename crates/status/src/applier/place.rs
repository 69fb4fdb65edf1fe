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
    /// How far the ledger is, by what it said or was told last.
    told: Option<Position>,
    at: Option<Instant>,
}

impl Place {
    /// After each batch, and once in a while: goes back when the ledger is behind, else tells
    /// it how far this is.
    pub async fn keep(
        &mut self,
        ledger: &dyn Ledger,
        source: &mut dyn Source,
    ) -> Result<(), LedgerError> {
        let Some(name) = source.name() else { return Ok(()) };
        let here = source.position();
        // Behind each batch, so that a ledger that loses the batch loses the note with it.
        if self.told == Some(here) && self.at.is_some_and(|at| at.elapsed() < EVERY) {
            return Ok(());
        }
        self.at = Some(Instant::now());
        let least = self.told.unwrap_or(here);
        let pair = |place: Position| (place.segment, place.offset);
        let behind = places::advance(ledger, &name, pair(least), pair(here)).await?;
        if let Some((segment, offset)) = behind {
            let held = Position { segment, offset };
            tracing::error!(
                "the store has {} statuses of this host: was it emptied, or put back? They are merged once more",
                if held == Position::default() { "none of the" } else { "forgotten the latest" }
            );
            source.rewind(held);
        }
        self.told = Some(source.position());
        Ok(())
    }
}
