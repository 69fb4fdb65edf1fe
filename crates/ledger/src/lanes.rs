//! Which process sends from which number. A number belongs to one process at a time, so
//! that its rate can be kept there exactly; nothing depends on it but the rate, because
//! the intent alone decides who may send a delivery.
//!
//! Each process beats: it renews what it holds, gives up what is more than its share, and
//! takes what is free. Shares are equal, so a process that comes gets lanes within two
//! beats, and those of one that dies are free when its leases end. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::{NumberId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::api::Ledger;
use crate::cell;
use crate::error::LedgerError;

/// The cell that holds it.
pub const CELL: &str = "lanes";

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lanes {
    held: BTreeMap<NumberId, Lease>,
    /// Processes that send, and until when they count without another beat.
    senders: BTreeMap<String, Timestamp>,
    /// From which folder each of them sends: two processes that have one name are told apart.
    #[serde(default)]
    disks: BTreeMap<String, String>,
}

/// Another process that is alive has the name and another folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameTaken {
    /// Until when the other one counts without another beat.
    pub until: Timestamp,
}

/// A process that sends.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'a> {
    pub name: &'a str,
    /// The identity of its folder.
    pub disk: &'a str,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    pub owner: String,
    /// Held without a break since then.
    #[serde(default)]
    pub since: Timestamp,
    pub until: Timestamp,
}

/// # Errors
/// When the ledger does not answer.
pub async fn read(ledger: &dyn Ledger) -> Result<Lanes, LedgerError> {
    cell::read(ledger, CELL).await
}

impl Lanes {
    /// One beat of `owner`, who would send from `wanted`. Returns the lanes that are its
    /// own until `now + ttl`.
    ///
    /// # Errors
    /// When another process sends under its name.
    pub fn beat(
        &mut self,
        owner: Owner<'_>,
        wanted: &[NumberId],
        ttl: Duration,
        now: Timestamp,
    ) -> Result<Vec<NumberId>, NameTaken> {
        self.senders.retain(|_, until| *until > now);
        self.disks.retain(|name, _| self.senders.contains_key(name));
        let other = self.disks.get(owner.name).is_some_and(|disk| disk != owner.disk);
        if let Some(until) = self.senders.get(owner.name).filter(|_| other) {
            return Err(NameTaken { until: *until });
        }
        let Owner { name: owner, disk } = owner;
        self.senders.insert(owner.to_owned(), now + ttl);
        self.disks.insert(owner.to_owned(), disk.to_owned());
        self.held.retain(|_, lease| lease.until > now);
        let share = self.share(owner, wanted.len());
        let mut mine: Vec<NumberId> =
            wanted.iter().filter(|lane| self.owner(lane) == Some(owner)).cloned().collect();
        for surplus in mine.split_off(share.min(mine.len())) {
            self.held.remove(&surplus);
        }
        let free = wanted.iter().filter(|lane| self.owner(lane).is_none() && !mine.contains(lane));
        let room = share - mine.len();
        let taken: Vec<NumberId> = free.take(room).cloned().collect();
        mine.extend(taken);
        for lane in &mine {
            let since = self.held.get(lane).map_or(now, |lease| lease.since);
            let lease = Lease { owner: owner.to_owned(), since, until: now + ttl };
            self.held.insert(lane.clone(), lease);
        }
        Ok(mine)
    }

    /// As equal as can be; what is left over goes to the first by name.
    fn share(&self, owner: &str, lanes: usize) -> usize {
        let (senders, rank) = (self.senders.len(), self.senders.range(..owner.to_owned()).count());
        lanes / senders + usize::from(rank < lanes % senders)
    }

    /// The owner stops: its lanes are free at once. One who only borrowed the name has none.
    pub fn leave(&mut self, owner: Owner<'_>) {
        if self.disks.get(owner.name).is_some_and(|disk| disk != owner.disk) {
            return;
        }
        self.senders.remove(owner.name);
        self.disks.remove(owner.name);
        self.held.retain(|_, lease| lease.owner != owner.name);
    }

    /// Whether any of these had a live sender at `at`.
    pub fn any_held(&self, lanes: &[NumberId], at: Timestamp) -> bool {
        lanes.iter().any(|lane| self.is_held(lane, at))
    }

    /// Whether each of these had one.
    pub fn all_held(&self, lanes: &[NumberId], at: Timestamp) -> bool {
        lanes.iter().all(|lane| self.is_held(lane, at))
    }

    fn is_held(&self, lane: &NumberId, at: Timestamp) -> bool {
        self.held.get(lane).is_some_and(|lease| lease.since <= at && lease.until > at)
    }

    pub fn owner(&self, lane: &NumberId) -> Option<&str> {
        self.held.get(lane).map(|lease| lease.owner.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(8);

    fn numbers(n: usize) -> Vec<NumberId> {
        (0..n).map(|i| NumberId::try_new(format!("10{i}")).unwrap()).collect()
    }

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    fn beat(
        lanes: &mut Lanes,
        name: &str,
        wanted: &[NumberId],
        ttl: Duration,
        now: Timestamp,
    ) -> Vec<NumberId> {
        lanes.beat(Owner { name, disk: name }, wanted, ttl, now).unwrap()
    }

    #[test]
    fn a_second_process_under_one_name_is_refused_until_the_first_is_gone() {
        let (mut lanes, wanted) = (Lanes::default(), numbers(2));
        let (first, second) = (Owner { name: "a", disk: "1" }, Owner { name: "a", disk: "2" });
        assert_eq!(lanes.beat(first, &wanted, TTL, at(0)).unwrap().len(), 2);
        assert_eq!(lanes.beat(second, &wanted, TTL, at(1)), Err(NameTaken { until: at(8) }));
        assert_eq!(lanes.beat(first, &wanted, TTL, at(2)).unwrap().len(), 2, "it goes on");
        assert_eq!(lanes.beat(second, &wanted, TTL, at(10)).unwrap().len(), 2, "a new disk");
        lanes.leave(first);
        assert_eq!(lanes.beat(first, &wanted, TTL, at(10)), Err(NameTaken { until: at(18) }));
        lanes.leave(second);
        assert_eq!(lanes.beat(first, &wanted, TTL, at(11)).unwrap().len(), 2, "it left in order");
    }

    #[test]
    fn lanes_are_shared_and_belong_to_one_each() {
        let (mut lanes, wanted) = (Lanes::default(), numbers(4));
        assert_eq!(beat(&mut lanes, "a", &wanted, TTL, at(0)).len(), 4, "alone, it takes all");
        assert_eq!(beat(&mut lanes, "b", &wanted, TTL, at(1)).len(), 0, "none is free yet");
        assert_eq!(beat(&mut lanes, "a", &wanted, TTL, at(2)).len(), 2, "it gives up its surplus");
        let b = beat(&mut lanes, "b", &wanted, TTL, at(3));
        let a = beat(&mut lanes, "a", &wanted, TTL, at(4));
        assert_eq!((a.len(), b.len()), (2, 2));
        assert!(a.iter().all(|lane| !b.contains(lane)));
    }

    #[test]
    fn nobody_goes_without_while_there_is_one_for_each() {
        let (mut lanes, wanted) = (Lanes::default(), numbers(4));
        let mut held = [0; 3];
        for turn in 0..4 {
            for (n, owner) in ["a", "b", "c"].into_iter().enumerate() {
                held[n] = beat(&mut lanes, owner, &wanted, TTL, at(turn)).len();
            }
        }
        assert_eq!(held, [2, 1, 1]);
    }

    #[test]
    fn lanes_of_a_dead_process_are_taken_over_when_its_leases_end() {
        let (mut lanes, wanted) = (Lanes::default(), numbers(4));
        beat(&mut lanes, "a", &wanted, TTL, at(0));
        beat(&mut lanes, "b", &wanted, TTL, at(0));
        beat(&mut lanes, "a", &wanted, TTL, at(1));
        beat(&mut lanes, "b", &wanted, TTL, at(1));
        assert_eq!(beat(&mut lanes, "b", &wanted, TTL, at(8)).len(), 2, "a may still be alive");
        assert_eq!(beat(&mut lanes, "b", &wanted, TTL, at(9)).len(), 4);
    }

    #[test]
    fn who_held_a_lane_at_an_instant_is_known_to_the_second() {
        let (mut lanes, wanted) = (Lanes::default(), numbers(1));
        beat(&mut lanes, "a", &wanted, TTL, at(100));
        beat(&mut lanes, "a", &wanted, TTL, at(104));
        assert!(lanes.any_held(&wanted, at(100)) && lanes.all_held(&wanted, at(111)));
        assert!(!lanes.any_held(&wanted, at(99)), "not before it came");
        assert!(!lanes.any_held(&wanted, at(112)), "it died");
        beat(&mut lanes, "b", &wanted, TTL, at(160));
        assert!(!lanes.any_held(&wanted, at(120)), "who comes later was not there");
        assert!(!lanes.all_held(&numbers(2), at(161)), "one has nobody");
    }

    #[test]
    fn a_process_that_leaves_frees_its_lanes_at_once() {
        let (mut lanes, wanted) = (Lanes::default(), numbers(3));
        beat(&mut lanes, "a", &wanted, TTL, at(0));
        lanes.leave(Owner { name: "a", disk: "a" });
        assert_eq!(beat(&mut lanes, "b", &wanted, TTL, at(0)).len(), 3);
    }
}
