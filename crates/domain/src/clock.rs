//! Instants, and the one place that reads the wall clock.
//!
//! [`Timestamp`] is whole microseconds since 1970: fine enough for lateness, exact as a
//! Redis sorted-set score until the year 2255. Budgets inside one process use
//! `std::time::Instant`, which cannot step.

use std::fmt;
use std::ops::{Add, Sub};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, SecondsFormat, TimeZone, Utc};
use serde::{Deserialize, Serialize};

/// Microseconds since the Unix epoch, UTC.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    pub const MIN: Timestamp = Timestamp(0);
    /// Later than every real instant; still exact as an `f64`.
    pub const MAX: Timestamp = Timestamp(1 << 53);

    pub const fn from_micros(micros: i64) -> Self {
        Timestamp(micros)
    }

    pub const fn from_secs(secs: i64) -> Self {
        Timestamp(secs.saturating_mul(1_000_000))
    }

    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Whole seconds, rounded down: the grain of Meta's event times.
    pub const fn secs(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    pub fn secs_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// Time from `earlier` to `self`; zero when `earlier` is in fact later.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Signed milliseconds from `other` to `self`.
    pub fn millis_after(self, other: Timestamp) -> f64 {
        self.0.saturating_sub(other.0) as f64 / 1e3
    }

    pub fn to_utc(self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.0).unwrap_or_default()
    }

    /// RFC 3339 with milliseconds, in `zone`.
    pub fn rfc3339(self, zone: impl TimeZone) -> String {
        self.to_utc()
            .with_timezone(&zone)
            .fixed_offset()
            .to_rfc3339_opts(SecondsFormat::Millis, true)
    }
}

impl<Tz: TimeZone> From<DateTime<Tz>> for Timestamp {
    fn from(at: DateTime<Tz>) -> Self {
        Timestamp(at.timestamp_micros())
    }
}

impl Add<Duration> for Timestamp {
    type Output = Timestamp;
    fn add(self, span: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Timestamp;
    fn sub(self, span: Duration) -> Timestamp {
        Timestamp(self.0.saturating_sub(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rfc3339(Utc))
    }
}

/// How long this machine has slept since it started. [`Instant`] stands still meanwhile and wall
/// clocks do not: without it a machine that wakes up would look like a clock that stepped.
pub fn slept() -> Duration {
    use nix::time::{ClockId, clock_gettime};
    let read = |clock| clock_gettime(clock).map(Duration::from).unwrap_or_default();
    read(ClockId::CLOCK_BOOTTIME).saturating_sub(read(ClockId::CLOCK_MONOTONIC))
}

/// How long this machine runs, its sleep included; `None`: it does not tell.
pub fn since_start() -> Option<Duration> {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME).ok().map(Duration::from)
}

/// How far a clock may part from the monotonic one before it is said to have stepped.
const STEP_MIN: Duration = Duration::from_secs(2);
/// A clock that runs on evenly for this long after a step is believed again.
const BELIEVED_AFTER: Duration = Duration::from_secs(60);

/// How early a delivery may go while a clock that jumped has not been noticed yet: what a
/// slow answer of the store makes its time uncertain by.
pub const EARLY_MAX: Duration = Duration::from_millis(250);
/// How far the clocks of two hosts may be apart.
pub const APART_MAX: Duration = Duration::from_secs(5);

/// Notices when a wall clock steps, by holding it against the monotonic clock, which
/// cannot; [`slept`] is added to the latter. A clock that jumps ahead would make everything due at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct StepWatch {
    /// Where both clocks were when they last agreed.
    line: Option<(Timestamp, Instant)>,
    /// The first look after a step.
    stepped: Option<(Timestamp, Instant)>,
}

impl StepWatch {
    /// Takes a reading of both clocks. True while the wall clock is not to be believed. At
    /// first, when nothing is known of its past, it must agree with the `host`'s own.
    pub fn observe(&mut self, wall: Timestamp, host: Timestamp, at: Instant) -> bool {
        let near = |(then, when): (Timestamp, Instant)| {
            let expected = then + at.saturating_duration_since(when);
            wall.since(expected).max(expected.since(wall)) <= STEP_MIN
        };
        let agrees = || wall.since(host).max(host.since(wall)) <= APART_MAX;
        if self.line.map_or_else(agrees, near) {
            (self.line, self.stepped) = (Some((wall, at)), None);
            return false;
        }
        match self.stepped {
            Some(step) if near(step) => {
                if at.saturating_duration_since(step.1) >= BELIEVED_AFTER {
                    (self.line, self.stepped) = (Some((wall, at)), None);
                    return false;
                }
            }
            _ => self.stepped = Some((wall, at)),
        }
        true
    }

    /// What the wall clock should say, reckoned from when it was last believed.
    pub fn expected(&self, at: Instant) -> Option<Timestamp> {
        self.line.map(|(then, when)| then + at.saturating_duration_since(when))
    }

    /// Whether something that the wall clock calls due lies ahead of what it should say.
    pub fn is_early(&self, due_at: Timestamp, at: Instant) -> bool {
        self.expected(at).is_some_and(|expected| due_at > expected + EARLY_MAX)
    }
}

/// The seam for wall-clock time.
pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;
}

/// The machine's clock. The only reader of it in the workspace.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "this is the seam")]
        Utc::now().into()
    }
}

/// A clock that only moves when told to: tests and simulation.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    pub fn at(now: Timestamp) -> Self {
        ManualClock(AtomicI64::new(now.micros()))
    }

    pub fn set(&self, now: Timestamp) {
        self.0.store(now.micros(), Ordering::SeqCst);
    }

    pub fn advance(&self, span: Duration) {
        self.set(self.now() + span);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

impl<C: Clock + ?Sized> Clock for std::sync::Arc<C> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_seen_and_a_steady_clock_is_believed_again() {
        let (start, secs) = (Instant::now(), Duration::from_secs);
        let wall = |s: i64| Timestamp::from_secs(10_000 + s);
        let mut watch = StepWatch::default();
        let mut observe = |s: i64, after: u64| watch.observe(wall(s), wall(0), start + secs(after));
        assert!(!observe(0, 0));
        assert!(!observe(11, 10), "a second of slew is no step");
        assert!(observe(3_620, 20), "an hour ahead");
        assert!(watch.is_early(wall(3_000), start + secs(20)));
        assert!(!watch.is_early(wall(21), start + secs(20)));
        let mut observe = |s: i64, after: u64| watch.observe(wall(s), wall(0), start + secs(after));
        assert!(observe(3_670, 70));
        assert!(!observe(3_680, 80), "steady for a minute");
        assert!(observe(90, 90), "and an hour back");
        assert!(!observe(3_700, 100), "put right");
        let mut fresh = StepWatch::default();
        assert!(fresh.observe(wall(40), wall(0), start), "another clock than the host's");
        assert!(!fresh.observe(wall(4), wall(3), start + secs(3)));
    }
}
