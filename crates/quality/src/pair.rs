//! Messages to one recipient: one in six seconds, a burst that must be paid back.
//!
//! Source: Meta, "Pair rate limits": 1 per 6 s to the same user, bursts to 45; 131056.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};

use crate::Pace;
use crate::throughput::{Moment, Stopwatch};

/// Well below Meta's 45, whose loan costs minutes of refusals.
const BURST: NonZeroU32 = NonZeroU32::new(5).expect("not zero");
const PERIOD: Duration = Duration::from_secs(6);

type Keyed = RateLimiter<u64, DefaultKeyedStateStore<u64>, Stopwatch, NoOpMiddleware<Moment>>;

/// The pair permits of one process, by a hash of number and recipient.
pub struct PairRate {
    stopwatch: Stopwatch,
    pairs: Keyed,
}

impl PairRate {
    pub fn new(now: Instant) -> Self {
        let quota = Quota::with_period(PERIOD).expect("above zero").allow_burst(BURST);
        let stopwatch = Stopwatch::new(now);
        PairRate { pairs: RateLimiter::dashmap_with_clock(quota, stopwatch.clone()), stopwatch }
    }

    pub fn check(&self, pair: u64, now: Instant) -> Pace {
        self.stopwatch.set(now);
        match self.pairs.check_key(&pair) {
            Ok(()) => Pace::Go,
            Err(busy) => Pace::Wait(busy.wait_time_from(Moment(self.stopwatch.read()))),
        }
    }

    /// Forgets pairs whose allowance is whole again; call now and then.
    pub fn forget_idle(&self) {
        self.pairs.retain_recent();
        self.pairs.shrink_to_fit();
    }

    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_recipient_waits_while_others_go_and_idle_ones_are_forgotten() {
        let start = Instant::now();
        let pairs = PairRate::new(start);
        for _ in 0..5 {
            assert_eq!(pairs.check(1, start), Pace::Go);
        }
        assert_eq!(pairs.check(1, start), Pace::Wait(Duration::from_secs(6)));
        assert_eq!(pairs.check(2, start), Pace::Go);
        assert_eq!(pairs.check(1, start + Duration::from_secs(6)), Pace::Go);
        assert_eq!(pairs.check(3, start + Duration::from_secs(120)), Pace::Go);
        pairs.forget_idle();
        assert_eq!(pairs.len(), 1);
    }
}
