//! Messages a second from one number: additive increase, multiplicative decrease below
//! the limit that Meta allows.
//!
//! The bucket is `governor`'s (GCRA). Its rate cannot change, so a new one is made when
//! ours does. Source: Meta, "Throughput": 80 a second by default, 130429 above it.

use std::num::NonZeroU32;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use governor::clock::{Clock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use crate::Pace;

/// Share of the limit that we use: inbound messages count against it too.
const HEADROOM: f64 = 0.95;
/// Never slower than this share of the limit, or a number would never recover in a window.
const FLOOR: f64 = 0.05;
/// Growth per second after a cut, as a share of the limit: from half to full in 10 s.
const GROWTH_PER_SECOND: f64 = 0.05;
/// Answers to requests that were already in flight must not cut the rate again.
const CUT_PAUSE: Duration = Duration::from_secs(1);
/// Before a number that is paused is looked at again.
const PAUSED: Duration = Duration::from_secs(1);
/// Burst in seconds of rate: what a lane may send at once after a pause.
const BURST_SECONDS: f64 = 0.1;

type Bucket = RateLimiter<NotKeyed, InMemoryState, Stopwatch, NoOpMiddleware<Moment>>;

/// The rate permit of one number.
pub struct Throughput {
    limit: f64,
    /// Growth after a cut, messages a second per second.
    growth: f64,
    cut_pause: Duration,
    state: Mutex<State>,
}

struct State {
    /// Messages a second, at most `limit × HEADROOM × share`.
    rate: f64,
    /// Of the limit, by order: 0 to 1.
    share: f64,
    bucket: Bucket,
    stopwatch: Stopwatch,
    changed_at: Instant,
    cut_at: Option<Instant>,
}

impl Throughput {
    /// `per_second` as Meta grants it; 0 is read as 1. `compress` speeds recovery up in
    /// rehearsals: 1.0, or more.
    pub fn new(per_second: u32, compress: f64, now: Instant) -> Self {
        let limit = f64::from(per_second.max(1));
        let growth = limit * GROWTH_PER_SECOND * compress.max(1.0);
        let stopwatch = Stopwatch::new(now);
        let rate = limit * HEADROOM;
        let bucket = bucket(rate, &stopwatch);
        let state = State { rate, share: 1.0, bucket, stopwatch, changed_at: now, cut_at: None };
        let cut_pause = CUT_PAUSE.div_f64(compress.max(1.0));
        Throughput { limit, growth, cut_pause, state: Mutex::new(state) }
    }

    /// Takes one permit, or tells how long until the next.
    pub fn check(&self, now: Instant) -> Pace {
        let mut state = self.state.lock().expect("no panic while held");
        if state.share <= 0.0 {
            return Pace::Hold(PAUSED);
        }
        self.recover(&mut state, now);
        state.stopwatch.set(now);
        match state.bucket.check() {
            Ok(()) => Pace::Go,
            Err(busy) => Pace::Wait(busy.wait_time_from(Moment(state.stopwatch.read()))),
        }
    }

    /// Halves the rate after a throttling answer. Answers that come within a second of the
    /// last cut belong to it.
    pub fn cut(&self, now: Instant) {
        let mut state = self.state.lock().expect("no panic while held");
        if state.cut_at.is_some_and(|at| now.saturating_duration_since(at) < self.cut_pause) {
            return;
        }
        state.cut_at = Some(now);
        let halved = (state.rate / 2.0).max(self.limit * FLOOR * state.share);
        set_rate(&mut state, halved, now);
    }

    /// Sends at this share of the limit from now on, 0 to 1; at 0 not at all. A greater share is
    /// grown into, as after a cut. True when that is news.
    pub fn set_share(&self, share: f64, now: Instant) -> bool {
        let share = share.clamp(0.0, 1.0);
        let mut state = self.state.lock().expect("no panic while held");
        if state.share == share {
            return false;
        }
        state.share = share;
        let (floor, top) = (self.limit * FLOOR * share, self.limit * HEADROOM * share);
        let rate = state.rate.min(top).max(floor);
        set_rate(&mut state, rate, now);
        true
    }

    /// By order nothing goes.
    pub fn is_paused(&self) -> bool {
        self.state.lock().expect("no panic while held").share <= 0.0
    }

    /// Messages a second right now.
    pub fn rate(&self) -> f64 {
        self.state.lock().expect("no panic while held").rate
    }

    fn recover(&self, state: &mut State, now: Instant) {
        let top = self.limit * HEADROOM * state.share;
        let since = now.saturating_duration_since(state.changed_at);
        let step = self.growth * since.as_secs_f64();
        // In steps of a twentieth of the limit: a new bucket begins full.
        if state.rate >= top || step < self.limit * GROWTH_PER_SECOND {
            return;
        }
        let grown = state.rate + step;
        set_rate(state, grown.min(top), now);
    }
}

fn set_rate(state: &mut State, rate: f64, now: Instant) {
    state.rate = rate;
    state.changed_at = now;
    state.stopwatch.set(now);
    state.bucket = bucket(rate, &state.stopwatch);
}

fn bucket(rate: f64, stopwatch: &Stopwatch) -> Bucket {
    let gap = Duration::from_secs_f64(1.0 / rate.max(0.01));
    let burst = NonZeroU32::new((rate * BURST_SECONDS) as u32).unwrap_or(NonZeroU32::MIN);
    let quota = Quota::with_period(gap).expect("the gap is above zero").allow_burst(burst);
    RateLimiter::direct_with_clock(quota, stopwatch.clone())
}

/// governor's clock, set from the caller's `Instant` before each use.
#[derive(Clone, Debug)]
pub(crate) struct Stopwatch {
    start: Instant,
    nanos: std::sync::Arc<std::sync::atomic::AtomicU64>,
}

impl Stopwatch {
    pub(crate) fn new(start: Instant) -> Self {
        Stopwatch { start, nanos: std::sync::Arc::default() }
    }

    /// Moves forward to `now`; never back.
    pub(crate) fn set(&self, now: Instant) {
        let nanos = now.saturating_duration_since(self.start).as_nanos();
        let nanos = u64::try_from(nanos).unwrap_or(u64::MAX);
        self.nanos.fetch_max(nanos, std::sync::atomic::Ordering::SeqCst);
    }

    pub(crate) fn read(&self) -> Nanos {
        self.nanos.load(std::sync::atomic::Ordering::SeqCst).into()
    }
}

/// An instant of a [`Stopwatch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(pub(crate) Nanos);

impl std::ops::Add<Nanos> for Moment {
    type Output = Moment;
    fn add(self, span: Nanos) -> Moment {
        Moment(self.0 + span)
    }
}

impl Reference for Moment {
    fn duration_since(&self, earlier: Self) -> Nanos {
        let (now, then): (u64, u64) = (self.0.into(), earlier.0.into());
        now.saturating_sub(then).into()
    }

    fn saturating_sub(&self, span: Nanos) -> Self {
        let (now, span): (u64, u64) = (self.0.into(), span.into());
        Moment(now.saturating_sub(span).into())
    }
}

impl Clock for Stopwatch {
    type Instant = Moment;
    fn now(&self) -> Moment {
        Moment(self.read())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends as fast as allowed for `span`; returns how many went.
    fn sent(throughput: &Throughput, from: Instant, span: Duration) -> u32 {
        let (mut now, mut n) = (from, 0);
        while now < from + span {
            match throughput.check(now) {
                Pace::Go => n += 1,
                Pace::Wait(wait) | Pace::Hold(wait) => now += wait.max(Duration::from_micros(1)),
            }
        }
        n
    }

    #[test]
    fn a_number_stays_below_its_limit_and_close_to_it() {
        for limit in [1, 20, 80, 1_000] {
            let start = Instant::now();
            let throughput = Throughput::new(limit, 1.0, start);
            let n = sent(&throughput, start, Duration::from_secs(10));
            let full = 10 * limit;
            assert!(n <= full + 1 && f64::from(n) >= f64::from(full) * 0.9, "{n} of {full}");
        }
    }

    #[test]
    fn a_share_is_kept_and_a_pause_lets_nothing_through() {
        let start = Instant::now();
        let throughput = Throughput::new(80, 1.0, start);
        assert!(throughput.set_share(0.5, start));
        assert!(!throughput.set_share(0.5, start), "no news");
        let n = sent(&throughput, start, Duration::from_secs(10));
        assert!((360..=401).contains(&n), "{n} of 400");
        let later = start + Duration::from_secs(10);
        throughput.set_share(0.0, later);
        assert!(throughput.is_paused());
        assert_eq!(sent(&throughput, later, Duration::from_secs(10)), 0);
        let resumed = later + Duration::from_secs(10);
        throughput.set_share(1.0, resumed);
        assert!(throughput.rate() < 10.0, "grown into: {}", throughput.rate());
        throughput.check(resumed + Duration::from_secs(30));
        assert_eq!(throughput.rate(), 76.0);
    }

    #[test]
    fn throttling_halves_the_rate_once_and_it_grows_back() {
        let start = Instant::now();
        let throughput = Throughput::new(80, 1.0, start);
        throughput.cut(start);
        throughput.cut(start + Duration::from_millis(500));
        assert_eq!(throughput.rate(), 38.0, "two answers of one burst cut once");
        throughput.check(start + Duration::from_secs(4));
        assert_eq!(throughput.rate(), 54.0);
        throughput.check(start + Duration::from_secs(60));
        assert_eq!(throughput.rate(), 76.0);
        for second in 61..90 {
            throughput.cut(start + Duration::from_secs(second));
        }
        assert!(throughput.rate() >= 4.0, "never below the floor");
    }
}
