//! What must be right before anything is claimed: the lane is ours, the store's clock is
//! believed, and nothing of our own keeps requests from going out in time.
//!
//! Own trouble (a disk or a store that fails or is slow, no descriptor left) closes the gate
//! for a moment; then one delivery is tried, and what became of that one opens the gate or
//! closes it again. Deliveries that wait meanwhile pay nothing.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use domain::{NumberId, StepWatch, Timestamp};
use telemetry::labels::Blocked;

/// Before a closed gate is looked at again.
const CLOSED_PAUSE: Duration = Duration::from_millis(100);
/// Before another try after own trouble.
pub const TROUBLE_PAUSE: Duration = Duration::from_secs(1);
/// A try that has not come back by then is not waited for.
const PROBE_MAX: Duration = Duration::from_secs(2);

/// What of our own keeps everything from being sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    JournalFails,
    JournalSlow,
    StoreRefuses,
    StoreSlow,
    Descriptors,
}

impl Trouble {
    pub const ALL: [Trouble; 5] = [
        Trouble::JournalFails,
        Trouble::JournalSlow,
        Trouble::StoreRefuses,
        Trouble::StoreSlow,
        Trouble::Descriptors,
    ];

    /// As metrics name it.
    pub const fn blocked(self) -> Blocked {
        match self {
            Trouble::JournalFails => Blocked::JournalFails,
            Trouble::JournalSlow => Blocked::JournalSlow,
            Trouble::StoreRefuses => Blocked::StoreRefuses,
            Trouble::StoreSlow => Blocked::StoreSlow,
            Trouble::Descriptors => Blocked::Descriptors,
        }
    }

    /// For people, and what to look at.
    pub const fn said(self) -> &'static str {
        match self {
            Trouble::JournalFails => {
                "the journal cannot be written; look at the state folder's disk"
            }
            Trouble::JournalSlow => "the journal's disk takes too long to sync; look at the disk",
            Trouble::StoreRefuses => "the store does not grant intents; look at the store",
            Trouble::StoreSlow => {
                "the store takes too long to grant an intent; look at the store and the way to it"
            }
            Trouble::Descriptors => "this process has no file descriptor left; look at LimitNOFILE",
        }
    }
}

/// Own trouble that lasts.
#[derive(Clone, Copy, Debug)]
struct Closed {
    trouble: Trouble,
    /// Deliveries that met it.
    met: u64,
    until: Instant,
    /// One delivery may pass, or is being tried, since then.
    probe: Option<(Instant, Probe)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Probe {
    Claiming,
    Trying,
}

/// Whether a lane may claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    Open,
    /// One delivery, to see whether the trouble is over.
    One,
    Wait(Duration),
}

/// What stops all lanes of this process.
#[derive(Debug, Default)]
pub struct Gate {
    /// Lanes that are ours, and until when.
    held: Mutex<HashMap<NumberId, Instant>>,
    clock: Mutex<StepWatch>,
    /// Set while the store's clock is not believed.
    stepped: AtomicBool,
    closed: Mutex<Option<Closed>>,
}

impl Gate {
    /// Whether anything may be claimed for this lane.
    pub fn entry(&self, lane: &NumberId, now: Instant) -> Admission {
        let held = self.held.lock().expect("no panic while held");
        let ours = held.get(lane).is_some_and(|until| *until > now);
        drop(held);
        if self.is_stepped() || !ours {
            return Admission::Wait(CLOSED_PAUSE);
        }
        let mut closed = self.closed.lock().expect("no panic while held");
        let Some(closed) = closed.as_mut() else { return Admission::Open };
        if closed.until > now {
            return Admission::Wait(closed.until - now);
        }
        if closed.probe.is_some_and(|(since, _)| since + PROBE_MAX > now) {
            return Admission::Wait(CLOSED_PAUSE);
        }
        closed.probe = Some((now, Probe::Claiming));
        Admission::One
    }

    /// Whether a delivery that was claimed may go on; else how long it waits, unspent.
    ///
    /// # Errors
    /// The wait.
    pub fn pass(&self, now: Instant) -> Result<(), Duration> {
        let mut closed = self.closed.lock().expect("no panic while held");
        let Some(closed) = closed.as_mut() else { return Ok(()) };
        match closed.probe {
            Some((_, Probe::Claiming)) if closed.until <= now => {
                closed.probe = Some((now, Probe::Trying));
                Ok(())
            }
            _ => Err(closed.until.saturating_duration_since(now).max(TROUBLE_PAUSE)),
        }
    }

    /// A delivery met own trouble. True when that is new: said once.
    pub fn trouble(&self, trouble: Trouble, now: Instant) -> bool {
        let mut closed = self.closed.lock().expect("no panic while held");
        let before = *closed;
        let met = before.filter(|b| b.trouble == trouble).map_or(0, |b| b.met) + 1;
        *closed = Some(Closed { trouble, met, until: now + TROUBLE_PAUSE, probe: None });
        before.is_none_or(|before| before.trouble != trouble)
    }

    /// A delivery came past these troubles. What is over now, and how many met it.
    pub fn works(&self, past: impl Fn(Trouble) -> bool) -> Option<(Trouble, u64)> {
        let mut closed = self.closed.lock().expect("no panic while held");
        let over = closed.take_if(|closed| past(closed.trouble));
        over.map(|closed| (closed.trouble, closed.met))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_trouble_lets_one_delivery_try_and_the_others_wait() {
        let (gate, now) = (Gate::default(), Instant::now());
        let lane = NumberId::try_new("1").unwrap();
        gate.hold(std::slice::from_ref(&lane), now + Duration::from_secs(3_600));
        assert_eq!((gate.entry(&lane, now), gate.pass(now)), (Admission::Open, Ok(())));
        assert!(gate.trouble(Trouble::StoreSlow, now), "said");
        assert!(!gate.trouble(Trouble::StoreSlow, now), "once");
        assert_eq!(gate.entry(&lane, now), Admission::Wait(TROUBLE_PAUSE));
        assert!(gate.pass(now).is_err(), "what was claimed before waits");
        let later = now + TROUBLE_PAUSE;
        assert!(gate.pass(later).is_err(), "and is not taken for the probe");
        assert_eq!(gate.entry(&lane, later), Admission::One);
        assert_eq!(gate.entry(&lane, later), Admission::Wait(CLOSED_PAUSE));
        assert_eq!(gate.pass(later), Ok(()));
        assert!(gate.pass(later).is_err(), "one");
        let lost = later + PROBE_MAX;
        assert_eq!(gate.entry(&lane, lost), Admission::One, "a probe that never came back");
        assert!(!gate.trouble(Trouble::StoreSlow, lost));
        assert_eq!(gate.works(|t| t == Trouble::Descriptors), None);
        assert_eq!(gate.works(|_| true), Some((Trouble::StoreSlow, 3)));
        assert_eq!((gate.entry(&lane, lost), gate.works(|_| true)), (Admission::Open, None));
    }
}
