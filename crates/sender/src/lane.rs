//! One business number: its permits, its breaker, and its place in the queue.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use domain::{BusinessNumber, NumberId, Scope};
use ledger::Claim;
use quality::{Breaker, BreakerState, Pace, Throughput};
use queue::{BoxError, Lane, Room};
use tokio::sync::Notify;

use crate::monotonic;
use crate::sender::Shared;
use crate::worker;

/// Claims wait for their permit at most about this long, far below the lease.
const AHEAD: Duration = Duration::from_millis(250);

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

    /// May this template go through this number now? The lane's breaker answers first.
    pub fn breakers(&self, template: &str, now: Instant) -> Pace {
        match self.with_breaker(|breaker| breaker.check(now)) {
            Pace::Go => self.shared.with_template(template, |breaker| breaker.check(now)),
            held => held,
        }
    }

    /// Opens the breaker of the thing that refuses everything. What is said of the account
    /// or the token stops this lane; the others learn it at the price of one refusal each,
    /// and a code that really means one number stops no other.
    pub fn trip(&self, scope: Scope, template: &str, code: i32, now: Instant) {
        let (opened, what) = match scope {
            Scope::Template => (
                self.shared.with_template(template, |b| b.trip(now)),
                format!("template {template}"),
            ),
            _ => (self.with_breaker(|b| b.trip(now)), format!("number {}", self.number)),
        };
        if opened {
            let meaning = cloud_api::error_codes::meaning(code);
            tracing::error!(lane = %self.number, code, "{what} is stopped: code {code}, {meaning}; deliveries wait, a probe follows");
        }
        self.export(now);
    }

    /// Something went through: what stood in its way is open again.
    pub fn flows(&self, template: &str, now: Instant) {
        let mut closed = self.with_breaker(|breaker| breaker.close(now));
        closed |= self.shared.with_template(template, |breaker| breaker.close(now));
        if closed {
            tracing::info!(lane = %self.number, "number {} sends again", self.number);
            self.wake.notify_one();
            self.export(now);
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
        if let Some(wait) = self.shared.gate.closed(&self.number, monotonic()) {
            return Room::Wait(wait);
        }
        let waiting = self.waiting.load(Ordering::SeqCst);
        match self.with_breaker(|breaker| breaker.state(monotonic())) {
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
