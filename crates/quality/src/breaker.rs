//! Stops calls to a thing that refuses all of them: a number, a template, the account.
//!
//! Closed flows, open stops, half-open lets one probe through. Unlike a ratio breaker it
//! opens at once: one "number banned" is proof enough.

use std::time::{Duration, Instant};

use crate::Pace;

/// First pause; doubles with each failed probe.
const PAUSE_MIN: Duration = Duration::from_secs(5);
/// Calls are made within a window of minutes: who is let in again must not be missed for long.
const PAUSE_MAX: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    Closed,
    HalfOpen,
    Open,
}

/// One thing's breaker. Not shared: the owner locks it.
#[derive(Debug)]
pub struct Breaker {
    pause: Duration,
    scale: f64,
    inner: Inner,
}

#[derive(Debug)]
enum Inner {
    Closed,
    Open {
        until: Instant,
    },
    /// One probe is out; if nothing is heard of it, another may go after this.
    Probing {
        until: Instant,
    },
}

impl Breaker {
    /// `compress` divides all pauses: 1.0, or more in rehearsals.
    pub fn new(compress: f64) -> Self {
        Breaker { pause: Duration::ZERO, scale: 1.0 / compress.max(1.0), inner: Inner::Closed }
    }

    /// May a call go? Answering [`Pace::Go`] while half-open hands out the one probe.
    pub fn check(&mut self, now: Instant) -> Pace {
        match self.inner {
            Inner::Closed => Pace::Go,
            Inner::Open { until } | Inner::Probing { until } if now < until => {
                Pace::Hold(until - now)
            }
            Inner::Open { .. } | Inner::Probing { .. } => {
                self.inner = Inner::Probing { until: now + self.scaled(PAUSE_MIN) };
                Pace::Go
            }
        }
    }

    /// A call went through. True when that closed it. While it is open nothing does: that
    /// answer is to a call from before.
    pub fn close(&mut self, now: Instant) -> bool {
        if matches!(self.inner, Inner::Open { until } if now < until) {
            return false;
        }
        let was_open = !matches!(self.inner, Inner::Closed);
        self.inner = Inner::Closed;
        self.pause = Duration::ZERO;
        was_open
    }

    /// A call was refused for all. True when it was closed before.
    pub fn trip(&mut self, now: Instant) -> bool {
        let was_closed = matches!(self.inner, Inner::Closed);
        if matches!(self.inner, Inner::Open { until } if now < until) {
            return false; // an answer to a call that was in flight when it opened
        }
        self.pause = (self.pause * 2).clamp(PAUSE_MIN, PAUSE_MAX);
        self.inner = Inner::Open { until: now + self.scaled(self.pause) };
        was_closed
    }

    /// Somebody says that it may flow again: the next call is the probe.
    pub fn hurry(&mut self, now: Instant) {
        if let Inner::Open { until } | Inner::Probing { until } = &mut self.inner {
            *until = now;
        }
    }

    pub fn state(&self, now: Instant) -> BreakerState {
        match self.inner {
            Inner::Closed => BreakerState::Closed,
            Inner::Open { until } if now < until => BreakerState::Open,
            Inner::Open { .. } | Inner::Probing { .. } => BreakerState::HalfOpen,
        }
    }

    fn scaled(&self, span: Duration) -> Duration {
        span.mul_f64(self.scale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_at_once_probes_singly_and_closes_on_success() {
        let start = Instant::now();
        let at = |secs| start + Duration::from_secs(secs);
        let mut breaker = Breaker::new(1.0);
        assert_eq!(breaker.check(start), Pace::Go);
        assert!(breaker.trip(start));
        assert!(!breaker.trip(start), "the second answer of a burst changes nothing");
        assert!(!breaker.close(at(1)), "an answer from before changes nothing");
        assert_eq!(breaker.check(at(1)), Pace::Hold(Duration::from_secs(4)));
        assert_eq!(breaker.check(at(5)), Pace::Go, "the probe");
        assert!(matches!(breaker.check(at(5)), Pace::Hold(_)), "only one");
        breaker.trip(at(6));
        assert_eq!(breaker.check(at(6)), Pace::Hold(Duration::from_secs(10)), "twice the pause");
        assert_eq!(breaker.check(at(16)), Pace::Go);
        breaker.trip(at(16));
        assert_eq!(breaker.check(at(16)), Pace::Hold(Duration::from_secs(10)), "and no more");
        breaker.hurry(at(17));
        assert_eq!(breaker.check(at(17)), Pace::Go, "by hand, at once");
        assert!(breaker.close(at(17)));
        assert_eq!(breaker.state(at(17)), BreakerState::Closed);
    }

    #[test]
    fn a_probe_that_is_never_heard_of_does_not_block_for_ever() {
        let start = Instant::now();
        let mut breaker = Breaker::new(10.0);
        breaker.trip(start);
        assert_eq!(breaker.check(start + Duration::from_millis(500)), Pace::Go);
        assert_eq!(breaker.check(start + Duration::from_millis(1_000)), Pace::Go);
    }
}
