//! Holds a consumer's place against the ledger's own note of it: a ledger that was put back
//! while nobody was looking has lost what the consumer gave it, and does not say so.

use std::time::Duration;

use inbox::{ReplayError, Source};
use ledger::{Ledger, places};
use segment_log::Position;
use tokio::time::Instant;

/// How often a place is noted that [`Due::Soon`] moved, and the ledger's note is looked at while
/// nothing comes.
const EVERY: Duration = Duration::from_millis(500);

/// When a place is to be noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// The ledger was given something: a ledger that loses it shall lose the note with it.
    Now,
    /// Nothing was given that could be lost.
    Soon,
}

/// A consumer's place, as the ledger knows it.
pub struct Place {
    /// What the consumer gives the ledger, in words.
    what: &'static str,
    /// How far the ledger is, by what it said or was told last.
    told: Option<Position>,
    at: Option<Instant>,
}

impl Place {
    pub fn of(what: &'static str) -> Self {
        Place { what, told: None, at: None }
    }

    /// Tells the ledger how far the consumer is, and then the consumer's own disk, which must
    /// not be ahead of the ledger: a later start would say that the ledger has lost something.
    /// Goes back when the ledger is behind.
    ///
    /// # Errors
    /// When the ledger does not answer, or the disk takes no note; the next call does it again.
    pub async fn keep(
        &mut self,
        ledger: &dyn Ledger,
        source: &mut dyn Source,
        due: Due,
    ) -> Result<(), ReplayError> {
        let Some(name) = source.name() else { return Ok(()) };
        let here = source.position();
        let moved = self.told != Some(here);
        let lately = self.at.is_some_and(|at| at.elapsed() < EVERY);
        if lately && !(moved && due == Due::Now) {
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
            self.told = Some(held);
            return Ok(());
        }
        self.told = Some(here);
        if moved {
            source.applied()?;
        }
        Ok(())
    }
}
