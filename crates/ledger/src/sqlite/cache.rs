//! What the writer's thread need not read or write each time.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use domain::{RunId, State};

use crate::api::{Run, RunHeader};
use crate::body_hash::BodyHash;
use crate::record::Record;

/// Bodies never change; headers, runs and records hold until someone else writes.
#[derive(Default)]
pub struct Cache {
    pub headers: HashMap<RunId, (i64, Arc<RunHeader>)>,
    pub bodies: Recent<(i64, BodyHash), Arc<str>>,
    pub runs: HashMap<RunId, Run>,
    pub records: Recent<(i64, u32), Known>,
    /// Changes of counters that are not written yet: of this job, and of those before it.
    pub counts: HashMap<(i64, State), i64>,
    pub counts_before: HashMap<(i64, State), i64>,
    /// Runs that this job has removed: their counters go with them, if the job stays.
    removed: Vec<i64>,
    /// Of the database as others left it; SQLite's `data_version`.
    version: Option<i64>,
}

/// A record as it was written, and what its columns say.
pub struct Known {
    pub record: Record,
    pub due: Option<i64>,
    /// May be earlier than the record wants it.
    pub look: Option<i64>,
}

impl Cache {
    /// A transaction begins; `version` changes when another process has written.
    pub fn begin(&mut self, version: i64) {
        if self.version.replace(version) != Some(version) {
            self.headers.clear(); // a run may have been planned anew
            self.runs.clear();
            self.records.clear();
        }
    }

    /// A run is removed; its key may be given to another one.
    pub fn forget(&mut self, id: &RunId, key: i64) {
        self.headers.remove(id);
        self.runs.remove(id);
        self.bodies.clear();
        self.records.clear();
        self.removed.push(key);
    }

    /// A job was undone: whatever was read may be wrong.
    pub fn clear(&mut self) {
        self.headers.clear();
        self.bodies.clear();
        self.runs.clear();
        self.records.clear();
        self.counts.clear();
        self.removed.clear();
    }

    /// A job is over and stays.
    pub fn keep(&mut self) {
        for key in self.removed.drain(..) {
            self.counts_before.retain(|(of, _), _| *of != key);
        }
        for (at, by) in self.counts.drain() {
            *self.counts_before.entry(at).or_default() += by;
        }
    }
}

/// Entries of one generation: a daily pack has few bodies, and what a record is needed for
/// follows within seconds; more would fill the heap.
const GENERATION: usize = 4_096;

/// A bounded map: when it is full, the older half goes.
pub struct Recent<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Recent { young: HashMap::new(), old: HashMap::new() }
    }
}

impl<K: Hash + Eq, V> Recent<K, V> {
    pub fn get(&self, key: &K) -> Option<&V> {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    pub fn insert(&mut self, key: K, value: V) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }

    pub fn remove(&mut self, key: &K) {
        self.young.remove(key);
        self.old.remove(key);
    }

    pub fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_kept_and_memory_is_bounded() {
        let mut recent = Recent::default();
        let n = 3 * GENERATION;
        (0..n).for_each(|i| recent.insert(i, i));
        assert!((n - GENERATION..n).all(|i| recent.get(&i) == Some(&i)));
        assert!(recent.get(&0).is_none());
        assert!(recent.young.len() + recent.old.len() <= 2 * GENERATION);
        recent.insert(n - GENERATION, 0);
        assert_eq!(recent.get(&(n - GENERATION)), Some(&0), "the newer one of two counts");
    }
}
