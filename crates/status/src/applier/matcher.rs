//! Finds the attempt of a status that carries no callback data, by the message id that the
//! ledger holds. Rare, so there is no index: the runs of these days are read when such a
//! status comes, at most once in a while.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Mutex;
use std::time::Duration;

use domain::{DeliveryId, Http, MessageId, Nonce, Timestamp};
use ledger::api::for_each;
use ledger::{DeliveryView, Filter, Ledger, LedgerError};

/// How often the ledger is read anew for ids that are not known.
const READ_EVERY: Duration = Duration::from_secs(30);

#[derive(Default)]
pub struct Matcher {
    hasher: RandomState,
    known: HashMap<u64, (DeliveryId, Nonce)>,
    read_at: Option<Timestamp>,
}

impl Matcher {
    fn get(&self, id: &MessageId) -> Option<(DeliveryId, Nonce)> {
        self.known.get(&self.hasher.hash_one(id)).cloned()
    }
}

/// The attempt of each message id, in their order.
///
/// # Errors
/// When the ledger does not answer.
pub async fn find(
    matcher: &Mutex<Matcher>,
    ledger: &dyn Ledger,
    ids: &[&MessageId],
    now: Timestamp,
) -> Result<Vec<Option<(DeliveryId, Nonce)>>, LedgerError> {
    let look = || {
        let held = matcher.lock().expect("no panic while held");
        let found: Vec<_> = ids.iter().map(|id| held.get(id)).collect();
        let old = held.read_at.is_none_or(|at| now.since(at) >= READ_EVERY);
        let missing = ids.iter().zip(&found).any(|(id, found)| !id.is_empty() && found.is_none());
        (found, missing && old)
    };
    let (found, read) = look();
    if !read {
        return Ok(found);
    }
    let hasher = matcher.lock().expect("no panic while held").hasher.clone();
    let mut known = HashMap::new();
    for run in ledger.active_runs().await? {
        let learn = |delivery: &DeliveryView| {
            for attempt in &delivery.facts.attempts {
                if let Http::Accepted { id, .. } = &attempt.http {
                    let named = (delivery.id.clone(), attempt.nonce);
                    known.insert(hasher.hash_one(id), named);
                }
            }
        };
        for_each(ledger, &run.header.id, &Filter::default(), learn).await?;
    }
    {
        let mut held = matcher.lock().expect("no panic while held");
        (held.known, held.read_at) = (known, Some(now));
    }
    Ok(look().0)
}
