//! What the journal's entries mean. Pure.

use std::collections::{BTreeMap, BTreeSet};

use domain::facts::{Doubt, NotSent};
use domain::{Attempt, DeliveryId, Http, Nonce};
use ledger::WebhookFact;

use super::{Entry, Read};

/// What the ledger must be told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Replay {
    pub facts: Vec<WebhookFact>,
    /// Deliveries that were being handled when their process died.
    pub strikes: Vec<DeliveryId>,
}

struct Seen {
    id: DeliveryId,
    attempt: Attempt,
    retry_in: Option<std::time::Duration>,
    written: bool,
    same_boot: bool,
    own: bool,
}

/// Folds entries into facts. `boot` is the machine's present start.
///
/// An intent without a write was certainly not sent if the machine still runs, because a
/// process that dies takes no written record with it; after a power cut it may have been.
/// What this very process has under way has no outcome yet. Where a disk was damaged, the note
/// of a write may be what is lost.
pub fn replay(entries: &[Read], boot: &str) -> Replay {
    let mut seen: BTreeMap<Nonce, Seen> = BTreeMap::new();
    let mut handling = BTreeSet::new();
    for Read { entry, own, doubtful } in entries {
        match entry {
            Entry::Intent { id, nonce, at, boot: written_in } => {
                let attempt = Attempt { intent_at: Some(*at), ..Attempt::new(*nonce) };
                let same_boot = written_in == boot && !doubtful;
                let one = Seen {
                    id: id.clone(),
                    attempt,
                    retry_in: None,
                    written: false,
                    same_boot,
                    own: *own,
                };
                seen.entry(*nonce).or_insert(one);
            }
            Entry::Write { nonce } => {
                if let Some(one) = seen.get_mut(nonce) {
                    one.written = true;
                }
            }
            Entry::Result(result) => {
                // An outcome speaks for itself, also where its intent is lost.
                let one = seen.entry(result.nonce).or_insert_with(|| Seen {
                    id: result.id.clone(),
                    attempt: Attempt::new(result.nonce),
                    retry_in: None,
                    written: false,
                    same_boot: false,
                    own: *own,
                });
                one.attempt.http = result.http.clone();
                one.attempt.dispatched_at = result.dispatched_at;
                one.attempt.accepted_at = result.accepted_at;
                one.attempt.words.clone_from(&result.words);
                one.retry_in = result.retry_in;
            }
            Entry::Handling { id } if !own => drop(handling.insert(id.clone())),
            Entry::Handled { id } => drop(handling.remove(id)),
            Entry::Handling { .. } => {}
        }
    }
    let facts = seen.into_values().map(fact).collect();
    Replay { facts, strikes: handling.into_iter().collect() }
}

fn fact(seen: Seen) -> WebhookFact {
    let Seen { id, mut attempt, retry_in, written, same_boot, own } = seen;
    if attempt.http == Http::None && !own {
        attempt.http = if same_boot && !written {
            Http::NotSent(NotSent::Aborted)
        } else {
            Http::Ambiguous(Doubt::Crash)
        };
    }
    WebhookFact { retry_in, ..WebhookFact::new(id, attempt) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Timestamp;
    use ledger::AttemptResult;

    fn id() -> DeliveryId {
        "daily-pack@2026-11-21#7".parse().unwrap()
    }

    fn intent(boot: &str) -> Entry {
        Entry::Intent {
            id: id(),
            nonce: 1.into(),
            at: Timestamp::from_secs(5),
            boot: boot.to_owned(),
        }
    }

    fn outcome(entries: &[Entry], own: bool) -> Http {
        let read: Vec<Read> = entries
            .iter()
            .map(|entry| Read { entry: entry.clone(), own, doubtful: false })
            .collect();
        replay(&read, "now").facts.remove(0).news.http
    }

    #[test]
    fn a_crash_leaves_doubt_only_where_there_is_any() {
        let write = || Entry::Write { nonce: 1.into() };
        let accepted = Http::Accepted { wamid: "wamid.A".into(), held: false };
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
        let read = |entry| Read { entry, own: false, doubtful: false };
        let (a, b) = (id(), DeliveryId { index: 8, ..id() });
        let entries = [
            read(Entry::Handling { id: a.clone() }),
            read(Entry::Handled { id: a }),
            read(Entry::Handling { id: b.clone() }),
        ];
        assert_eq!(replay(&entries, "now").strikes, [b]);
    }
}
