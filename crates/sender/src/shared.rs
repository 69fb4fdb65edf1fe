//! What all lanes of a process share: the seams, and what was learnt of what is stopped.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Instant;

use domain::callback::CallbackKey;
use domain::{Clock, NumberId, TemplateCall, TemplateName, Timestamp};
use ledger::halts::{self, Halt, Thing};
use ledger::standing::{Standing, Substitute};
use ledger::{Ledger, members};
use quality::{Breaker, PairRate, Streaks};
use rand::rngs::StdRng;
use telemetry::Metrics;

use crate::budget::Budget;
use crate::gate::Gate;
use crate::grants::Grants;
use crate::journal::Journal;
use crate::options::Options;
use crate::unsent::Unsent;
use crate::unsettled::Unsettled;

pub struct Shared {
    pub ledger: Arc<dyn Ledger>,
    pub journal: Arc<dyn Journal>,
    pub gate: Gate,
    pub grants: Grants,
    /// When the store was last found to have forgotten something.
    pub doubted_at: Mutex<Option<Instant>>,
    pub budget: Budget,
    /// Names this host among those that share the ledger.
    pub host: String,
    pub clock: Arc<dyn Clock>,
    /// The store's clock minus this host's, microseconds.
    pub ahead: AtomicI64,
    pub callback_key: CallbackKey,
    pub metrics: Arc<Metrics>,
    pub options: Options,
    pub pairs: PairRate,
    /// Microseconds since 1970 of the last turn of any claim loop.
    pub progress: Arc<AtomicI64>,
    pub rng: Mutex<StdRng>,
    /// Of everything but numbers, which have their own.
    pub breakers: Mutex<HashMap<Thing, Breaker>>,
    pub unsent: Unsent,
    pub unsettled: Unsettled,
    pub streaks: Mutex<Streaks<Thing>>,
    /// Stopped by a streak: what they refuse meanwhile spends no delivery.
    pub by_streak: Mutex<HashSet<Thing>>,
    /// Halts that others have noted and that are heeded here already.
    pub heeded: Mutex<HashMap<Thing, Timestamp>>,
    /// As the ledger had it at most a quarter of a second ago.
    pub standing: RwLock<Standing>,
}

impl Shared {
    /// This process as a member of recoveries.
    pub fn member(&self) -> String {
        members::name(&self.host, "sender", self.journal.disk())
    }

    /// The store's time, reckoned from its latest answer: what goes to the store as an instant.
    pub fn store_now(&self) -> Timestamp {
        let ahead = self.ahead.load(Ordering::Relaxed);
        Timestamp::from_micros(self.clock.now().micros() + ahead)
    }

    /// The template that goes in place of the planned one now, through this number.
    pub fn in_place_of(&self, planned: &TemplateCall, number: &NumberId) -> Option<TemplateName> {
        let standing = self.standing.read().expect("no panic while held");
        standing.in_place_of(&planned.name, &planned.language, number).cloned()
    }

    /// Takes over what the ledger says, and says what changed.
    pub fn heed_standing(&self, found: Standing) {
        if *self.standing.read().expect("no panic while held") == found {
            return;
        }
        for one in found.substitutes() {
            let Substitute { planned, language, live, by, why, .. } = one;
            tracing::warn!("{live} is sent in place of {planned} ({language}), by {by}: {why}");
        }
        if found == Standing::default() {
            tracing::warn!("no template has a substitute any more: what was planned is sent");
        }
        *self.standing.write().expect("no panic while held") = found;
    }

    pub fn with_rng<T>(&self, f: impl FnOnce(&mut StdRng) -> T) -> T {
        f(&mut self.rng.lock().expect("no panic while held"))
    }

    /// Asks or changes the breaker of a thing that lanes share.
    pub fn with_breaker<T>(&self, thing: &Thing, f: impl FnOnce(&mut Breaker) -> T) -> T {
        let mut breakers = self.breakers.lock().expect("no panic while held");
        let compress = self.options.compress;
        f(breakers.entry(thing.clone()).or_insert_with(|| Breaker::new(compress)))
    }

    pub fn with_streaks<T>(&self, f: impl FnOnce(&mut Streaks<Thing>) -> T) -> T {
        f(&mut self.streaks.lock().expect("no panic while held"))
    }

    pub fn with_by_streak<T>(&self, f: impl FnOnce(&mut HashSet<Thing>) -> T) -> T {
        f(&mut self.by_streak.lock().expect("no panic while held"))
    }

    /// Tells everybody over this ledger, and people, what is stopped. Sending does not
    /// wait for it.
    pub fn announce(&self, halt: Halt) {
        let heeded = (halt.thing.clone(), halt.since);
        self.heeded.lock().expect("no panic while held").extend([heeded]);
        let ledger = Arc::clone(&self.ledger);
        tokio::spawn(async move {
            if let Err(error) = halts::stop(ledger.as_ref(), &halt).await {
                tracing::warn!(error = %error, "that {} is stopped is not noted: {error}", halt.thing);
            }
        });
    }

    /// Everything that lanes share is probed at once.
    pub fn hurry(&self, now: Instant) {
        let mut breakers = self.breakers.lock().expect("no panic while held");
        breakers.values_mut().for_each(|breaker| breaker.hurry(now));
    }

    pub fn announce_flow(&self, things: Vec<Thing>) {
        let ledger = Arc::clone(&self.ledger);
        tokio::spawn(async move {
            if let Err(error) = halts::lift(ledger.as_ref(), &things).await {
                tracing::warn!(error = %error, "that a thing flows again is not noted: {error}");
            }
        });
    }

    /// Halts that are new to this process.
    pub fn unheeded(&self, halts: Vec<Halt>) -> Vec<Halt> {
        let mut heeded = self.heeded.lock().expect("no panic while held");
        heeded.retain(|thing, _| halts.iter().any(|halt| halt.thing == *thing));
        let is_new =
            |halt: &Halt| heeded.insert(halt.thing.clone(), halt.since) != Some(halt.since);
        halts.into_iter().filter(is_new).collect()
    }
}
