//! Growth of the delay between attempts, with jitter.

use std::time::Duration;

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

/// Exponential backoff: `base × factor^(n−1)`, ± `jitter`, at most `max`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Backoff {
    pub base: Duration,
    pub factor: f64,
    /// Share of the delay that is random, 0 to 1: 0.5 means ± 50 %.
    pub jitter: f64,
    pub max: Duration,
}

impl Default for Backoff {
    /// 1 s, 4 s, 16 s, each ± 50 %: three attempts fit into the window's repair minute.
    fn default() -> Self {
        Backoff {
            base: Duration::from_secs(1),
            factor: 4.0,
            jitter: 0.5,
            max: Duration::from_secs(64),
        }
    }
}

impl Backoff {
    /// The delay after the `n`-th failure, counted from 1; 0 is read as 1.
    pub fn delay(&self, n: u32, rng: &mut impl Rng) -> Duration {
        let exponent = i32::try_from(n.max(1) - 1).unwrap_or(i32::MAX);
        let grown = self.base.as_secs_f64() * self.factor.powi(exponent);
        let capped = grown.min(self.max.as_secs_f64());
        let spread = 1.0 + self.jitter * rng.random_range(-1.0..=1.0);
        Duration::from_secs_f64((capped * spread).max(0.0))
    }

    /// The same growth with every span divided by `by`: rehearsals compress time.
    pub fn compressed(&self, by: f64) -> Backoff {
        Backoff { base: self.base.div_f64(by), max: self.max.div_f64(by), ..*self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn delays_grow_fourfold_within_their_jitter() {
        let mut rng = rand::rngs::SmallRng::seed_from_u64(7);
        let backoff = Backoff::default();
        for (n, middle) in [(1, 1.0), (2, 4.0), (3, 16.0), (4, 64.0), (9, 64.0)] {
            for _ in 0..100 {
                let got = backoff.delay(n, &mut rng).as_secs_f64();
                assert!((middle * 0.5..=middle * 1.5).contains(&got), "attempt {n}: {got} s");
            }
        }
    }
}
