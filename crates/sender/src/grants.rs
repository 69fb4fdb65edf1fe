//! What this process knows that the store must know too: how often each delivery was granted
//! to it. A store that knows of fewer attempts has forgotten some, whatever it says of itself:
//! it was emptied, swapped, or put back while it ran.

use std::collections::HashMap;
use std::sync::Mutex;

use domain::{DeliveryId, Nonce, RunId};
use ledger::Claim;

/// One byte a delivery.
#[derive(Debug, Default)]
pub struct Grants {
    granted: Mutex<HashMap<RunId, Vec<u8>>>,
    last: Mutex<Option<(DeliveryId, Nonce)>>,
}

impl Grants {
    /// The ledger granted an intent, to this process or to one before it on this host.
    pub fn note(&self, id: &DeliveryId, nonce: Nonce) {
        let mut granted = self.granted.lock().expect("no panic while held");
        let of_run = granted.entry(id.run.clone()).or_default();
        let at = id.index as usize;
        if at >= of_run.len() {
            of_run.resize((at + 1).next_power_of_two(), 0);
        }
        of_run[at] = of_run[at].saturating_add(1);
        *self.last.lock().expect("no panic while held") = Some((id.clone(), nonce));
    }

    /// Whether the store knows of fewer attempts than it granted to this process.
    pub fn is_forgotten(&self, claim: &Claim) -> bool {
        let granted = self.granted.lock().expect("no panic while held");
        let of_run = granted.get(&claim.id.run);
        let mine = of_run.and_then(|counts| counts.get(claim.id.index as usize)).copied();
        u32::from(mine.unwrap_or(0)) > claim.attempts
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
