//! Holds a consumer's place against the ledger's own note of it: a ledger that was put back
//! while nobody was looking has lost what the consumer gave it, and does not say so.

use std::time::Duration;

use ledger::{Ledger, LedgerError, places};
use segment_log::Position;
use tokio::time::Instant;

use inbox::Source;

/// How often the ledger's note is looked at while nothing comes.
const EVERY: Duration = Duration::from_millis(500);

/// A consumer's place, as the ledger knows it.
pub struct Place {
    /// What it gives the ledger, for people.
    what: &'static str,
    /// How far the ledger is, by what it said or was told last.
    told: Option<Position>,
    at: Option<Instant>,
}

impl Place {
    pub fn of(what: &'static str) -> Self {
        Place { what, told: None, at: None }
    }

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
            let lost = match held == Position::default() {
                true => "none",
                false => "lost the latest",
            };
            tracing::error!(
                "the store has {lost} of the {} of this host: was it emptied, or put back? They are given to it once more",
                self.what
            );
            source.rewind(held);
        }
        self.told = Some(source.position());
        Ok(())
    }
}
