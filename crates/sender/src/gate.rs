//! What must be right before anything is claimed: the lane is ours, the store's clock is
//! believed, the journal can be written.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use domain::{NumberId, StepWatch, Timestamp};

/// Before a closed gate is looked at again.
const CLOSED_PAUSE: Duration = Duration::from_millis(100);
/// Before another try while the journal cannot be written.
pub const JOURNAL_PAUSE: Duration = Duration::from_secs(1);

/// What stops all lanes of this process.
#[derive(Debug, Default)]
pub struct Gate {
    /// Lanes that are ours, and until when.
    held: Mutex<HashMap<NumberId, Instant>>,
    clock: Mutex<StepWatch>,
    /// Set while the store's clock is not believed.
    stepped: AtomicBool,
    /// The journal could not be written: nothing is sent before this.
    journal_until: Mutex<Option<Instant>>,
}

impl Gate {
    /// How long nothing may be claimed for this lane; `None` when it may.
    pub fn closed(&self, lane: &NumberId, now: Instant) -> Option<Duration> {
        let until = self.journal_until.lock().expect("no panic while held");
        if let Some(until) = until.filter(|until| *until > now) {
            return Some(until - now);
        }
        let held = self.held.lock().expect("no panic while held");
        let ours = held.get(lane).is_some_and(|until| *until > now);
        (self.is_stepped() || !ours).then_some(CLOSED_PAUSE)
    }

    /// Nothing is claimed for a moment; then the journal is tried again.
    pub fn journal_failed(&self, now: Instant) {
        *self.journal_until.lock().expect("no panic while held") = Some(now + JOURNAL_PAUSE);
    }

    /// True when it did not before.
    pub fn journal_works(&self) -> bool {
        self.journal_until.lock().expect("no panic while held").take().is_some()
    }

    /// Whether a delivery that the store calls due is so only because its clock jumped.
    pub fn is_early(&self, due_at: Timestamp, now: Instant) -> bool {
        self.clock.lock().expect("no panic while held").is_early(due_at, now)
    }

    /// Takes a reading of the clocks. True when a step is seen that was not seen before.
    pub fn observe(&self, store: Timestamp, host: Timestamp, now: Instant) -> bool {
        let mut clock = self.clock.lock().expect("no panic while held");
        let stepped = clock.observe(store, host, now);
        drop(clock);
        self.stepped.swap(stepped, Ordering::Relaxed) != stepped && stepped
    }

    /// While the store's clock is not believed.
    pub fn is_stepped(&self) -> bool {
        self.stepped.load(Ordering::Relaxed)
    }

    /// Replaces what is ours by these lanes.
    pub fn hold(&self, lanes: &[NumberId], until: Instant) {
        let held = lanes.iter().map(|lane| (lane.clone(), until)).collect();
        *self.held.lock().expect("no panic while held") = held;
    }
}
