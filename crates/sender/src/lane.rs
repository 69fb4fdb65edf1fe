//! One business number: its permits, its breaker, and its place in the queue.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use domain::{BusinessNumber, NumberId, Scope};
use ledger::Claim;
use ledger::halts::{Halt, Thing};
use quality::streak::STREAK_MAX;
use quality::{Breaker, BreakerState, Pace, Throughput};
use queue::{BoxError, Lane, Room};
use templates::{Header, Media, TemplateCall};
use tokio::sync::Notify;

use crate::failpoint;
use crate::gate::Entry;
use crate::monotonic;
use crate::sender::Shared;
use crate::worker;

/// Claims wait for their permit at most about this long, far below the lease.
const AHEAD: Duration = Duration::from_millis(250);

/// Why a thing is stopped: the provider's code, and its words.
#[derive(Clone, Copy)]
pub struct Stopped<'a> {
    pub code: i32,
    pub words: &'a str,
}

pub struct NumberLane {
    pub number: NumberId,
    pub throughput: Throughput,
    pub shared: Arc<Shared>,
    breaker: Mutex<Breaker>,
    wake: Arc<Notify>,
    /// Claimed, and still without a rate permit.
    waiting: AtomicUsize,
}

impl NumberLane {
    pub fn new(number: &BusinessNumber, shared: Arc<Shared>) -> Self {
        NumberLane {
            number: number.id.clone(),
            throughput: Throughput::new(number.throughput, shared.options.compress, monotonic()),
            breaker: Mutex::new(Breaker::new(shared.options.compress)),
            wake: Arc::default(),
            waiting: AtomicUsize::new(0),
            shared,
        }
    }

    /// What a call depends on beside its recipient, the smallest first.
    pub fn things(&self, call: &TemplateCall) -> Vec<Thing> {
        let asset = match &call.header {
            Some(Header::Media {
                media: Media::Id(place) | Media::Link(place) | Media::Path(place),
                ..
            }) => Some(Thing::Asset(place.clone())),
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
        self.stop(thing, "answer", stopped, now);
    }

    /// Twenty equal refusals: the fault is not the recipients'.
    pub fn trip_by_streak(&self, thing: Thing, stopped: Stopped<'_>, now: Instant) {
        self.shared.with_by_streak(|things| things.insert(thing.clone()));
        self.stop(thing, "streak", stopped, now);
    }

    fn stop(&self, thing: Thing, by: &str, stopped: Stopped<'_>, now: Instant) {
        if self.with_breaker_of(&thing, |breaker| breaker.trip(now)) {
            let Stopped { code, words } = stopped;
            let meaning = cloud_api::error_codes::meaning(code);
            let why = match (by, words.is_empty()) {
                ("streak", _) => {
                    format!("{STREAK_MAX} equal refusals in a row, code {code}, {meaning}: {words}")
                }
                (_, true) => format!("code {code}, {meaning}"),
                (_, false) => format!("code {code}, {meaning}: {words}"),
            };
            tracing::error!(lane = %self.number, code, "{thing} is stopped: {why}; deliveries wait unspent, a probe follows");
            self.shared.metrics.halts.with_label_values(&[thing.kind(), by]).inc();
            let since = self.shared.clock.now();
            self.shared.announce(Halt { thing, code, since, why, by: by.to_owned() });
        }
        self.export(now);
    }

    /// Somebody else found this number to be stopped.
    pub fn heed(&self, now: Instant) {
        self.with_breaker(|breaker| breaker.trip(now));
        self.export(now);
    }

    /// The number is probed at once.
    pub fn hurry(&self, now: Instant) {
        self.with_breaker(|breaker| breaker.hurry(now));
        queue::Lane::wake(self).notify_one();
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

    pub fn permit_wanted(&self) {
        self.waiting.fetch_add(1, Ordering::SeqCst);
    }

    pub fn permit_settled(&self) {
        self.waiting.fetch_sub(1, Ordering::SeqCst);
    }

    fn with_breaker<T>(&self, f: impl FnOnce(&mut Breaker) -> T) -> T {
        f(&mut self.breaker.lock().expect("no panic while held"))
    }

    /// Publishes rate and breaker.
    pub fn export(&self, now: Instant) {
        let number = self.number.as_str();
        let metrics = &self.shared.metrics;
        metrics.lane_rate.with_label_values(&[number]).set(self.throughput.rate());
        metrics.breaker_is(
            number,
            match self.with_breaker(|breaker| breaker.state(now)) {
                BreakerState::Closed => "closed",
                BreakerState::HalfOpen => "half_open",
                BreakerState::Open => "open",
            },
        );
    }
}

#[async_trait]
impl Lane for NumberLane {
    fn number(&self) -> &NumberId {
        &self.number
    }

    fn room(&self) -> Room {
        failpoint::pass("panic-claims");
        let waiting = self.waiting.load(Ordering::SeqCst);
        let room = match self.with_breaker(|breaker| breaker.state(monotonic())) {
            BreakerState::Open => Room::Wait(AHEAD),
            BreakerState::HalfOpen if waiting > 0 => Room::Wait(AHEAD),
            BreakerState::HalfOpen => Room::UpTo(1),
            BreakerState::Closed => {
                let ahead = (self.throughput.rate() * AHEAD.as_secs_f64()).ceil() as usize;
                match ahead.max(1).saturating_sub(waiting) {
                    0 => Room::Wait(Duration::from_millis(10)),
                    room => Room::UpTo(room),
                }
            }
        };
        let Room::UpTo(room) = room else { return room };
        match self.shared.gate.entry(&self.number, monotonic()) {
            Entry::Wait(wait) => Room::Wait(wait),
            Entry::One => Room::UpTo(1),
            Entry::Open => Room::UpTo(room),
        }
    }

    async fn deliver(&self, claim: Claim) -> Result<(), BoxError> {
        let in_flight =
            self.shared.metrics.lane_in_flight.with_label_values(&[self.number.as_str()]);
        in_flight.inc();
        worker::deliver(self, claim).await;
        in_flight.dec();
        Ok(())
    }

    fn wake(&self) -> &Arc<Notify> {
        &self.wake
    }

    fn looked(&self) {
        let now = self.shared.clock.now();
        self.shared.metrics.loop_success.with_label_values(&["sender"]).set(now.secs_f64());
        self.shared.progress.store(now.micros(), Ordering::Relaxed);
        self.export(monotonic());
    }
}
