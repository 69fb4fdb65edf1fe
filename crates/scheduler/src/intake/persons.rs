//! Who is in a file, and who said no in it.
//!
//! Invariants: one person has one row; of two rows of one person *no* wins. Persons are
//! kept as hashes, so that a million of them take some tens of megabytes; two of them
//! meet by accident once in ten million such lists, and then a row is refused.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;

use domain::{Address, Recipient, person};
use foldhash::fast::RandomState;

/// Categories that someone does not want, or about whose consent nothing sure is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Denied {
    pub utility: bool,
    pub marketing: bool,
}

impl Denied {
    pub const ALL: Denied = Denied { utility: true, marketing: true };

    pub fn any(self) -> bool {
        self.utility || self.marketing
    }

    pub fn and(self, other: Denied) -> Denied {
        Denied {
            utility: self.utility || other.utility,
            marketing: self.marketing || other.marketing,
        }
    }

    /// Takes consents away. True when one was there.
    pub fn from(self, recipient: &mut Recipient) -> bool {
        let had = (self.utility && recipient.consent_utility)
            || (self.marketing && recipient.consent_marketing);
        recipient.consent_utility &= !self.utility;
        recipient.consent_marketing &= !self.marketing;
        had
    }
}

#[derive(Default)]
pub struct Persons {
    hasher: RandomState,
    /// Line by id, and by each key of an address.
    ids: HashMap<u64, u32, RandomState>,
    keys: HashMap<u64, u32, RandomState>,
    /// By id or key, of rows that are not in.
    denied: HashMap<u64, Said, RandomState>,
    /// By line, of rows whose person is in already.
    denied_lines: HashMap<u32, Said>,
    /// Keys of rows that are refused, and not as a second one.
    wanted: HashSet<u64>,
}

/// What a row says against being written to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Nobody said yes.
    pub denied: Denied,
    /// Somebody said no.
    pub told: Denied,
}

/// Why a row is its person's second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Twice {
    Id { first: u32 },
    Address { first: u32 },
}

impl Persons {
    /// Enters a row, unless its id or person is there already.
    ///
    /// # Errors
    /// The line of the row that is there.
    pub fn enter(&mut self, recipient: &Recipient, line: u64) -> Result<(), Twice> {
        let line = u32::try_from(line).unwrap_or(u32::MAX);
        let id = self.id(recipient.id.as_str());
        if let Some(first) = self.ids.get(&id) {
            return Err(Twice::Id { first: *first });
        }
        let keys = self.keys_of(&recipient.address);
        if let Some(first) = keys.iter().find_map(|key| self.keys.get(key)).copied() {
            // Its other keys are the same person's: a third row may have only those.
            self.keys.extend(keys.into_iter().map(|key| (key, first)));
            return Err(Twice::Address { first });
        }
        self.ids.insert(id, line);
        self.keys.extend(keys.into_iter().map(|key| (key, line)));
        Ok(())
    }

    pub fn has_id(&self, id: &str) -> bool {
        self.ids.contains_key(&self.id(id))
    }

    /// Notes what a row said that is not in.
    pub fn deny(&mut self, id: Option<&str>, address: Option<&Address>, said: Said) {
        if !said.denied.any() {
            return;
        }
        let keys = address.map(|address| self.keys_of(address)).unwrap_or_default();
        for key in id.map(|id| self.id(id)).into_iter().chain(keys) {
            let held = self.denied.entry(key).or_default();
            held.denied = held.denied.and(said.denied);
            held.told = held.told.and(said.told);
        }
    }

    /// Notes what a second row of a person said: it counts for the first.
    pub fn deny_first(&mut self, first: u32, said: Said) {
        let held = self.denied_lines.entry(first).or_default();
        held.denied = held.denied.and(said.denied);
        held.told = held.told.and(said.told);
    }

    /// Notes whom a refused row was for, besides its id.
    pub fn want(&mut self, address: &Address) {
        let keys = self.keys_of(address);
        self.wanted.extend(keys);
    }

    pub fn is_wanted(&self, address: &Address) -> bool {
        !self.wanted.is_empty() && self.keys_of(address).iter().any(|key| self.wanted.contains(key))
    }

    /// What rows that are not in said of this person.
    pub fn denied(&self, recipient: &Recipient) -> Denied {
        self.fold(recipient, |said| said.denied)
    }

    /// The same, of what somebody really said.
    pub fn told(&self, recipient: &Recipient) -> Denied {
        self.fold(recipient, |said| said.told)
    }

    fn fold(&self, recipient: &Recipient, which: fn(&Said) -> Denied) -> Denied {
        if !self.denies_any() {
            return Denied::default();
        }
        let (id, keys) = (self.id(recipient.id.as_str()), self.keys_of(&recipient.address));
        let line = self.ids.get(&id).and_then(|line| self.denied_lines.get(line));
        let all = std::iter::once(id).chain(keys);
        let said = all.filter_map(|key| self.denied.get(&key)).chain(line);
        said.fold(Denied::default(), |held, said| held.and(which(said)))
    }

    pub fn denies_any(&self) -> bool {
        !self.denied.is_empty() || !self.denied_lines.is_empty()
    }

    fn id(&self, id: &str) -> u64 {
        self.hasher.hash_one((0, id))
    }

    fn keys_of(&self, address: &Address) -> Vec<u64> {
        person::keys(address).map(|key| self.hasher.hash_one((1, key))).collect()
    }
}
