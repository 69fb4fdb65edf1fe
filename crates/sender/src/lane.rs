//! One business number: its permits, its breaker, and its place in the queue.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use domain::outbound::{Header, Media, TemplateCall};
use domain::{BusinessNumber, NumberId, Scope};
use ledger::halts::{Halt, Thing};
use provider::Outgoing;
use quality::streak::STREAK_MAX;
use quality::{Breaker, BreakerState, Pace, Throughput};
use telemetry::labels::{self, FoundBy, Halted, Label, Pair};
use tokio::sync::Notify;

use crate::monotonic;
use crate::shared::Shared;

/// Why a thing is stopped: the provider's code, and its words.
#[derive(Clone, Copy)]
pub struct Stopped<'a> {
    pub code: i32,
    pub words: &'a str,
}

pub struct NumberLane {
    pub number: NumberId,
    pub throughput: Throughput,
    pub provider: Arc<dyn Outgoing>,
    pub shared: Arc<Shared>,
    breaker: Mutex<Breaker>,
    pub wake: Arc<Notify>,
    /// Claimed, and still without a rate permit.
    waiting: AtomicUsize,
}

impl NumberLane {
    pub fn new(number: &BusinessNumber, provider: Arc<dyn Outgoing>, shared: Arc<Shared>) -> Self {
        NumberLane {
            number: number.id.clone(),
            throughput: Throughput::new(number.throughput, shared.options.compress, monotonic()),
            breaker: Mutex::new(Breaker::new(shared.options.compress)),
            provider,
            wake: Arc::default(),
            waiting: AtomicUsize::new(0),
            shared,
        }
    }

    /// What a call depends on beside its recipient, the smallest first.
    pub fn things(&self, call: &TemplateCall) -> Vec<Thing> {
        let asset = match &call.header {
            Some(Header::Media { media, .. }) => match media {
                Media::Id(place) | Media::Link(place) | Media::Path(place) => {
                    Some(Thing::Asset(place.clone()))
                }
                Media::Asset(asset) => Some(Thing::Asset(asset.sha256.clone())),
            },
            _ => None,
        };
        let translation = Thing::Translation(call.name.clone(), call.language.clone());
        let rest = [translation, Thing::Number(self.number.clone()), Thing::Account];
        asset.into_iter().chain(rest).collect()
    }

    /// May these go now? The lane's breaker answers first; a breaker that hands out its one
    /// probe is asked last.
    pub fn breakers(&self, things: &[Thing], now: Instant) -> Pace {
        for thing in things.iter().rev() {
            if self.with_breaker_of(thing, |breaker| breaker.state(now)) == BreakerState::Open
                && let held @ Pace::Hold(_) =
                    self.with_breaker_of(thing, |breaker| breaker.check(now))
            {
                return held;
            }
        }
        for thing in things.iter().rev() {
            match self.with_breaker_of(thing, |breaker| breaker.check(now)) {
                Pace::Go => {}
                held => return held,
            }
        }
        Pace::Go
    }

    /// Opens the breaker of exactly the thing that refuses everything. What is said of the
    /// account or the token stops this lane; the others learn it at the price of one
    /// refusal each, and a code that really means one number stops no other.
    pub fn trip(&self, scope: Scope, call: &TemplateCall, stopped: Stopped<'_>, now: Instant) {
        let thing = match scope {
            Scope::Template => Thing::Translation(call.name.clone(), call.language.clone()),
            _ => Thing::Number(self.number.clone()),
        };
        self.stop(thing, FoundBy::Answer, stopped, now);
    }

    /// Twenty equal refusals: the fault is not the recipients'.
    pub fn trip_by_streak(&self, thing: Thing, stopped: Stopped<'_>, now: Instant) {
        self.shared.with_by_streak(|things| things.insert(thing.clone()));
        self.stop(thing, FoundBy::Streak, stopped, now);
    }

    fn stop(&self, thing: Thing, by: FoundBy, stopped: Stopped<'_>, now: Instant) {
        if self.with_breaker_of(&thing, |breaker| breaker.trip(now)) {
            let Stopped { code, words } = stopped;
            let meaning = self.provider.meaning(code);
            let why = match (by, words.is_empty()) {
                (FoundBy::Streak, _) => {
                    format!("{STREAK_MAX} equal refusals in a row, code {code}, {meaning}: {words}")
                }
                (_, true) => format!("code {code}, {meaning}"),
                (_, false) => format!("code {code}, {meaning}: {words}"),
            };
            tracing::error!(lane = %self.number, code, "{thing} is stopped: {why}; deliveries wait unspent, a probe follows");
            self.shared.metrics.sending.halts.of(Pair(Halted::from(&thing), by)).inc();
            let since = self.shared.clock.now();
            self.shared.announce(Halt { thing, code, since, why, by: by.as_str().to_owned() });
        }
        self.export(now);
    }

    /// Somebody else found this number to be stopped.
    pub fn heed(&self, now: Instant) {
        self.with_breaker(|breaker| breaker.trip(now));
        self.export(now);
    }

    /// Sends at this share of the number's rate, per cent.
    pub fn heed_orders(&self, percent: u8) {
        let now = monotonic();
        if self.throughput.set_share(f64::from(percent) / 100.0, now) {
            let rate = self.throughput.rate();
            tracing::warn!(lane = %self.number, percent, "number {} sends at {percent} % of its rate by order, {rate:.0}/s now", self.number);
            self.wake.notify_one();
            self.export(now);
        }
    }

    /// The number is probed at once.
    pub fn hurry(&self, now: Instant) {
        self.with_breaker(|breaker| breaker.hurry(now));
        self.wake.notify_one();
    }

    /// Something went through: what stood in its way is open again.
    pub fn flows(&self, things: &[Thing], now: Instant) {
        let closes = |thing: &&Thing| self.with_breaker_of(thing, |breaker| breaker.close(now));
        let closed: Vec<Thing> = things.iter().filter(closes).cloned().collect();
        self.shared.with_streaks(|streaks| streaks.flows(things));
        if closed.is_empty() {
            return;
        }
        for thing in &closed {
            tracing::info!(lane = %self.number, "{thing} takes messages again");
        }
        self.shared.with_by_streak(|by_streak| closed.iter().for_each(|t| drop(by_streak.take(t))));
        self.shared.announce_flow(closed);
        self.wake.notify_one();
        self.export(now);
    }

    fn with_breaker_of<T>(&self, thing: &Thing, f: impl FnOnce(&mut Breaker) -> T) -> T {
        match thing {
            Thing::Number(number) if *number == self.number => self.with_breaker(f),
            thing => self.shared.with_breaker(thing, f),
        }
    }

    /// Claims that wait for their permit.
    pub fn permits_wanted(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    pub fn permit_wanted(&self) {
        self.waiting.fetch_add(1, Ordering::SeqCst);
    }

    pub fn permit_settled(&self) {
        self.waiting.fetch_sub(1, Ordering::SeqCst);
    }

    pub fn with_breaker<T>(&self, f: impl FnOnce(&mut Breaker) -> T) -> T {
        f(&mut self.breaker.lock().expect("no panic while held"))
    }

    /// Publishes rate and breaker.
    pub fn export(&self, now: Instant) {
        let number = self.number.as_str();
        let metrics = &self.shared.metrics;
        metrics.sending.lane_rate.with_label_values(&[number]).set(self.throughput.rate());
        metrics.sending.breaker_is(
            number,
            match self.with_breaker(|breaker| breaker.state(now)) {
                BreakerState::Closed => labels::Breaker::Closed,
                BreakerState::HalfOpen => labels::Breaker::HalfOpen,
                BreakerState::Open => labels::Breaker::Open,
            },
        );
    }
}
