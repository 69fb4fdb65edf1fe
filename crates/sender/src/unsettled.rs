//! Which part of the journal is settled: no attempt noted there waits for its outcome, and every
//! outcome is in the ledger.

use std::collections::BTreeMap;
use std::sync::Mutex;

use segment_log::Position;

/// Deliveries in hand, by a place of the journal before their first note.
#[derive(Debug, Default)]
pub struct Unsettled(Mutex<BTreeMap<Position, u32>>);

/// One delivery in hand. One that is dropped, because its task was aborted or has panicked, is
/// never settled: the next start reads it.
#[must_use]
#[derive(Debug)]
pub struct InHand(Position);

impl Unsettled {
    /// Takes one in hand; `end` is the journal's, and what is noted of this one lies behind it.
    pub fn take(&self, end: impl FnOnce() -> Position) -> InHand {
        // Read under the lock: else what lies between would be settled meanwhile.
        let mut open = self.0.lock().expect("no panic while held");
        let place = end();
        *open.entry(place).or_default() += 1;
        InHand(place)
    }

    /// Its outcome is in the ledger, or it left no note.
    pub fn settle(&self, one: &InHand) {
        let mut open = self.0.lock().expect("no panic while held");
        if let Some(n) = open.get_mut(&one.0) {
            *n -= 1;
            if *n == 0 {
                open.remove(&one.0);
            }
        }
    }

    /// Everything before this place is settled.
    pub fn before(&self, end: impl FnOnce() -> Position) -> Position {
        let open = self.0.lock().expect("no panic while held");
        open.keys().next().copied().unwrap_or_else(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offset: u64) -> Position {
        Position { segment: 1, offset }
    }

    #[test]
    fn the_settled_part_ends_before_the_first_that_is_in_hand() {
        let unsettled = Unsettled::default();
        assert_eq!(unsettled.before(|| at(5)), at(5));
        let first = unsettled.take(|| at(5));
        let twin = unsettled.take(|| at(5));
        let second = unsettled.take(|| at(9));
        unsettled.settle(&first);
        assert_eq!(unsettled.before(|| at(20)), at(5), "another one stands at the same place");
        unsettled.settle(&twin);
        assert_eq!(unsettled.before(|| at(20)), at(9));
        unsettled.settle(&second);
        assert_eq!(unsettled.before(|| at(20)), at(20));
        drop(unsettled.take(|| at(20)));
        assert_eq!(unsettled.before(|| at(30)), at(20), "whoever is lost stays in hand");
    }
}
