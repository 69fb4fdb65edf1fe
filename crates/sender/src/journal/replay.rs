//! What the journal's entries mean. Pure.
//!
//! Entries are folded one by one: an attempt whose outcome stands in the journal is handed on
//! at once, so memory grows with what was under way and not with history.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use domain::facts::{Doubt, NotSent};
use domain::{Attempt, DeliveryId, Http, Nonce};
use ledger::{AttemptResult, WebhookFact};
use segment_log::LogError;

use super::{Entries, Entry, Read};

/// Folds entries into facts for the ledger.
pub struct Replay {
    /// The machine's present start.
    machine_boot: String,
    open: BTreeMap<Nonce, Open>,
    handling: BTreeSet<DeliveryId>,
}

/// An attempt without an outcome.
struct Open {
    id: DeliveryId,
    attempt: Attempt,
    segment: u64,
    written: bool,
    same_boot: bool,
    own: bool,
}

/// What has no outcome once all entries are read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Left {
    pub facts: Vec<WebhookFact>,
    /// Deliveries that were being handled when their process died.
    pub strikes: Vec<DeliveryId>,
}

impl Replay {
    pub fn new(machine_boot: &str) -> Self {
        Replay {
            machine_boot: machine_boot.to_owned(),
            open: BTreeMap::new(),
            handling: BTreeSet::new(),
        }
    }

    /// Takes the next entry; a fact, when it is an outcome.
    pub fn fold(&mut self, read: Read) -> Option<WebhookFact> {
        let Read { entry, segment, own } = read;
        match entry {
            Entry::Intent { id, nonce, at, machine_boot, sent_as } => {
                let attempt = Attempt { intent_at: Some(at), sent_as, ..Attempt::new(nonce) };
                let same_boot = machine_boot == self.machine_boot;
                let open = Open { id, attempt, segment, written: false, same_boot, own };
                self.open.entry(nonce).or_insert(open);
            }
            Entry::Write { nonce } => {
                if let Some(open) = self.open.get_mut(&nonce) {
                    open.written = true;
                }
            }
            // Says nothing; whatever it is, something was under way.
            Entry::Result(AttemptResult { id, nonce, http: Http::None, .. }) => {
                let attempt = Attempt::new(nonce);
                let open = Open { id, attempt, segment, written: true, same_boot: false, own };
                self.open.entry(nonce).or_insert(open).written = true;
            }
            Entry::Result(result) => {
                // An outcome speaks for itself, also where its intent is lost.
                let open = self.open.remove(&result.nonce);
                let attempt = open.map_or_else(|| Attempt::new(result.nonce), |o| o.attempt);
                return Some(outcome(result, attempt));
            }
            Entry::Handling { id } if !own => drop(self.handling.insert(id)),
            Entry::Handled { id } => drop(self.handling.remove(&id)),
            Entry::Handling { .. } => {}
        }
        None
    }

    /// What has no outcome. `damaged` is the latest segment that cannot be read as a whole: the
    /// note of a write may be what is lost of it, or of those before.
    pub fn finish(self, damaged: Option<u64>) -> Left {
        let facts = self.open.into_values().map(|open| without_outcome(open, damaged)).collect();
        Left { facts, strikes: self.handling.into_iter().collect() }
    }
}

/// The facts of a journal, some at a time; those without an outcome come last.
pub struct Facts<E> {
    entries: E,
    /// Until the last entry is read.
    replay: Option<Replay>,
    /// Deliveries that were being handled; known once there are no more facts.
    pub strikes: Vec<DeliveryId>,
}

impl<E: Entries> Facts<E> {
    pub fn new(entries: E, machine_boot: &str) -> Self {
        Facts { entries, replay: Some(Replay::new(machine_boot)), strikes: Vec::new() }
    }

    /// `None` when there are no more.
    ///
    /// # Errors
    /// When the entries cannot be read.
    pub fn next_batch(&mut self) -> Result<Option<Vec<WebhookFact>>, LogError> {
        let Some(mut replay) = self.replay.take() else { return Ok(None) };
        let batch = self.entries.next_batch()?;
        if batch.is_empty() {
            let left = replay.finish(self.entries.damaged());
            self.strikes = left.strikes;
            return Ok(Some(left.facts));
        }
        let facts = batch.into_iter().filter_map(|read| replay.fold(read)).collect();
        self.replay = Some(replay);
        Ok(Some(facts))
    }

    /// All of those that are left and `wanted`.
    ///
    /// # Errors
    /// As [`Facts::next_batch`].
    pub fn all(
        &mut self,
        wanted: impl Fn(&WebhookFact) -> bool,
    ) -> Result<Vec<WebhookFact>, LogError> {
        let mut all = Vec::new();
        while let Some(facts) = self.next_batch()? {
            all.extend(facts.into_iter().filter(&wanted));
        }
        Ok(all)
    }

    /// Whether something could not be read, once there are no more facts.
    pub fn is_damaged(&self) -> bool {
        self.entries.damaged().is_some()
    }
}

fn outcome(result: AttemptResult, attempt: Attempt) -> WebhookFact {
    let AttemptResult { id, http, dispatched_at, accepted_at, words, .. } = result;
    let attempt = Attempt { http, dispatched_at, accepted_at, words, ..attempt };
    let retry_in: Option<Duration> = result.retry_in;
    WebhookFact { retry_in, ..WebhookFact::new(id, attempt) }
}

/// An intent without a write was certainly not sent if the machine still runs, because a
/// process that dies takes no written record with it; after a power cut it may have been.
/// What this very process has under way has no outcome yet.
fn without_outcome(open: Open, damaged: Option<u64>) -> WebhookFact {
    let Open { id, mut attempt, segment, written, same_boot, own } = open;
    if !own {
        let is_sure = same_boot && !written && Some(segment) > damaged;
        attempt.http = match is_sure {
            true => Http::NotSent(NotSent::Aborted),
            false => Http::Ambiguous(Doubt::Crash),
        };
    }
    WebhookFact::new(id, attempt)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Timestamp;

    fn id() -> DeliveryId {
        "daily-pack@2026-11-21#7".parse().unwrap()
    }

    fn intent(machine_boot: &str) -> Entry {
        Entry::Intent {
            id: id(),
            nonce: 1.into(),
            at: Timestamp::from_secs(5),
            machine_boot: machine_boot.to_owned(),
            sent_as: None,
        }
    }

    fn outcome(entries: &[Entry], own: bool) -> Http {
        let mut replay = Replay::new("now");
        let read = |entry: &Entry| Read { entry: entry.clone(), segment: 1, own };
        let told = entries.iter().map(read).filter_map(|read| replay.fold(read)).last();
        let left = replay.finish(None).facts.pop();
        told.or(left).expect("one attempt").news.http
    }

    #[test]
    fn a_crash_leaves_doubt_only_where_there_is_any() {
        let write = || Entry::Write { nonce: 1.into() };
        let accepted = Http::Accepted { id: domain::MessageId::new("wamid.A"), held: false };
        let result = Entry::Result(AttemptResult {
            id: id(),
            nonce: 1.into(),
            http: accepted.clone(),
            dispatched_at: None,
            accepted_at: None,
            retry_in: None,
            words: None,
        });
        let aborted = Http::NotSent(NotSent::Aborted);
        let doubt = Http::Ambiguous(Doubt::Crash);
        let cases = [
            ("died before writing", vec![intent("now")], aborted),
            ("died after writing", vec![intent("now"), write()], doubt.clone()),
            ("power cut: the write's record may be lost", vec![intent("before")], doubt.clone()),
            ("power cut after writing", vec![intent("before"), write()], doubt),
            ("answered, not recorded", vec![intent("now"), write(), result], accepted),
        ];
        for (name, entries, want) in cases {
            assert_eq!(outcome(&entries, false), want, "{name}");
        }
        assert_eq!(outcome(&[intent("now"), write()], true), Http::None, "it is still under way");
    }

    #[test]
    fn only_what_was_in_hand_is_blamed() {
        let (a, b) = (id(), DeliveryId { index: 8, ..id() });
        let entries = [
            Entry::Handling { id: a.clone() },
            Entry::Handled { id: a },
            Entry::Handling { id: b.clone() },
        ];
        let mut replay = Replay::new("now");
        for entry in entries {
            assert!(replay.fold(Read { entry, segment: 1, own: false }).is_none());
        }
        assert_eq!(replay.finish(None).strikes, [b]);
    }

    #[test]
    fn memory_holds_what_is_under_way_and_not_what_is_over() {
        let mut replay = Replay::new("now");
        for nonce in 1..=1_000 {
            let intent = Entry::Intent {
                id: id(),
                nonce: nonce.into(),
                at: Timestamp::from_secs(5),
                machine_boot: "now".to_owned(),
                sent_as: None,
            };
            let result = Entry::Result(AttemptResult {
                id: id(),
                nonce: nonce.into(),
                http: Http::NotSent(NotSent::Aborted),
                dispatched_at: None,
                accepted_at: None,
                retry_in: None,
                words: None,
            });
            let write = Entry::Write { nonce: nonce.into() };
            let entries = if nonce % 100 == 0 { vec![intent] } else { vec![intent, write, result] };
            for entry in entries {
                replay.fold(Read { entry, segment: 1, own: false });
            }
        }
        assert_eq!(replay.open.len(), 10);
        assert_eq!(replay.finish(None).facts.len(), 10);
    }
}
