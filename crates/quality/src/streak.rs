//! Notices that a thing is refused again and again for the same reason: then the fault is
//! ours or the account's, and not that of twenty recipients.

use std::collections::HashMap;
use std::hash::Hash;

/// Equal refusals of a thing in a row, with nothing taken between them.
pub const STREAK_MAX: u32 = 20;

/// Counts by thing; a thing that something goes through for begins anew.
#[derive(Debug)]
pub struct Streaks<K>(HashMap<K, (i32, u32)>);

impl<K> Default for Streaks<K> {
    fn default() -> Self {
        Streaks(HashMap::new())
    }
}

impl<K: Hash + Eq + Clone> Streaks<K> {
    /// Notes a refusal that concerns all of `things`, the smallest first. Answers the
    /// smallest one that has had its share of equal ones; its count begins anew.
    pub fn refused(&mut self, things: &[K], code: i32) -> Option<K> {
        let mut full = None;
        for thing in things {
            let held = self.0.entry(thing.clone()).or_insert((code, 0));
            *held = if held.0 == code { (code, held.1 + 1) } else { (code, 1) };
            if held.1 >= STREAK_MAX {
                full = full.or_else(|| Some(thing.clone()));
            }
        }
        if full.is_some() {
            self.forget(things);
        }
        full
    }

    fn forget(&mut self, things: &[K]) {
        for thing in things {
            self.0.remove(thing);
        }
    }

    /// Something went through for all of these.
    pub fn flows(&mut self, things: &[K]) {
        if !self.0.is_empty() {
            self.forget(things);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_thing_that_all_share_is_named() {
        let mut streaks = Streaks::default();
        let named = (0..STREAK_MAX).filter_map(|_| streaks.refused(&["asset", "hi", "number"], 9));
        assert_eq!(named.collect::<Vec<_>>(), ["asset"]);
        let assets: Vec<String> = (0..STREAK_MAX).map(|n| format!("asset {n}")).collect();
        let named =
            assets.iter().filter_map(|asset| streaks.refused(&[asset.as_str(), "hi", "number"], 9));
        assert_eq!(named.collect::<Vec<_>>(), ["hi"]);
    }

    #[test]
    fn another_code_or_a_success_begins_anew() {
        let mut streaks = Streaks::default();
        for _ in 0..STREAK_MAX - 1 {
            assert_eq!(streaks.refused(&["hi"], 9), None);
        }
        assert_eq!(streaks.refused(&["hi"], 8), None);
        for _ in 0..STREAK_MAX - 2 {
            assert_eq!(streaks.refused(&["hi"], 8), None);
        }
        streaks.flows(&["hi"]);
        assert_eq!(streaks.refused(&["hi"], 8), None);
    }
}
