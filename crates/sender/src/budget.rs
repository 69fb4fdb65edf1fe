//! How long may pass from asking for an intent to writing the request.
//!
//! A sender that was frozen must not send late, so there is a limit. A store that is far
//! away, or a disk that is slow, makes every intent take long, so the limit follows what
//! intents have taken lately; never beyond the ceiling, where the ledger could doubt an
//! attempt while its request is under way.

use std::sync::Mutex;
use std::time::Duration;

/// The limit is so many times what intents take.
const MARGIN: u32 = 2;
/// Weight of the latest span, one in so many.
const WEIGHT: u32 = 8;

#[derive(Debug)]
pub struct Budget {
    floor: Duration,
    ceiling: Duration,
    /// What intents took lately.
    typical: Mutex<Duration>,
}

impl Budget {
    pub fn new(floor: Duration, ceiling: Duration) -> Self {
        Budget { floor, ceiling: ceiling.max(floor), typical: Mutex::default() }
    }

    /// Takes the span from asking to the answer.
    pub fn observe(&self, took: Duration) {
        let took = took.min(self.ceiling);
        let mut typical = self.typical.lock().expect("no panic while held");
        *typical = (*typical * (WEIGHT - 1) + took) / WEIGHT;
    }

    pub fn limit(&self) -> Duration {
        let typical = *self.typical.lock().expect("no panic while held");
        (typical * MARGIN).clamp(self.floor, self.ceiling)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_follows_a_slow_store_between_floor_and_ceiling() {
        let ms = Duration::from_millis;
        let budget = Budget::new(ms(1_000), ms(4_500));
        assert_eq!(budget.limit(), ms(1_000));
        for _ in 0..20 {
            budget.observe(ms(1_100));
        }
        assert!((ms(2_000)..ms(2_200)).contains(&budget.limit()), "{:?}", budget.limit());
        for _ in 0..40 {
            budget.observe(Duration::from_secs(600)); // as after a process was frozen
        }
        assert_eq!(budget.limit(), ms(4_500));
        for _ in 0..40 {
            budget.observe(ms(5));
        }
        assert_eq!(budget.limit(), ms(1_000));
    }
}
