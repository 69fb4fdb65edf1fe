//! What this process knows that the store must know too: how often each delivery was granted
//! to it. A store that knows of fewer attempts has forgotten some, whatever it says of itself:
//! it was emptied, swapped, or put back while it ran.

use std::collections::HashMap;
use std::sync::Mutex;

use domain::{DeliveryId, Nonce, RunId};
use ledger::Claim;

/// One byte a delivery, in pages: indexes of a planned run lie side by side, those of a rolling run
/// anywhere.
#[derive(Debug, Default)]
pub struct Grants {
    granted: Mutex<HashMap<RunId, Pages>>,
    last: Mutex<Option<(DeliveryId, Nonce)>>,
}

/// Pages by their number.
type Pages = HashMap<u32, Box<[u8; PAGE]>>;

/// Deliveries of one page.
const PAGE: usize = 256;

/// The page of an index, and its place in it.
fn place(index: u32) -> (u32, usize) {
    (index / 256, (index % 256) as usize)
}

impl Grants {
    /// The ledger granted an intent, to this process or to one before it on this host.
    pub fn note(&self, id: &DeliveryId, nonce: Nonce) {
        let mut granted = self.granted.lock().expect("no panic while held");
        let (page, at) = place(id.index);
        let of_run = granted.entry(id.run.clone()).or_default();
        let page = of_run.entry(page).or_insert_with(|| Box::new([0; PAGE]));
        page[at] = page[at].saturating_add(1);
        *self.last.lock().expect("no panic while held") = Some((id.clone(), nonce));
    }

    /// Whether the store knows of fewer attempts than it granted to this process.
    pub fn is_forgotten(&self, claim: &Claim) -> bool {
        let granted = self.granted.lock().expect("no panic while held");
        let (page, at) = place(claim.id.index);
        let page = granted.get(&claim.id.run).and_then(|of_run| of_run.get(&page));
        page.is_some_and(|page| u32::from(page[at]) > claim.attempts)
    }

    /// The latest grant: the store must know it.
    pub fn last(&self) -> Option<(DeliveryId, Nonce)> {
        self.last.lock().expect("no panic while held").clone()
    }

    /// It was looked for, or is no matter any more.
    pub fn forget_last(&self, seen: Nonce) {
        let mut last = self.last.lock().expect("no panic while held");
        last.take_if(|(_, nonce)| *nonce == seen);
    }

    /// Runs that are over need no memory.
    pub fn keep(&self, runs: &[RunId]) {
        self.granted.lock().expect("no panic while held").retain(|run, _| runs.contains(run));
    }
}
