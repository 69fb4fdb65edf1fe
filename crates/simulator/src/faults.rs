//! How the far side behaves: shares of each thing that can go wrong, and the draws. Pure.

use std::time::Duration;

use rand::{Rng, RngExt};

/// A kind of day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// Nothing goes wrong.
    #[default]
    None,
    /// A realistic day: a few phones are off, a few answers are lost.
    Morning,
    /// Everything that can go wrong does, far more often than in life.
    Hostile,
}

impl Profile {
    pub const fn as_str(self) -> &'static str {
        match self {
            Profile::None => "none",
            Profile::Morning => "morning",
            Profile::Hostile => "hostile",
        }
    }

    /// The shares of a profile, each 0 to 1.
    pub const fn shares(self) -> Shares {
        match self {
            Profile::None => Shares {
                reset_before: 0.0,
                reset_after: 0.0,
                error_before: 0.0,
                error_after: 0.0,
                late_accept: 0.0,
                throttled: 0.0,
                held: 0.0,
                undeliverable: 0.0,
                fails_once: 0.0,
                unreachable: 0.0,
                reads: 0.4,
                repeated: 0.0,
                shuffled: 0.0,
            },
            Profile::Morning => Shares {
                reset_before: 0.0002,
                reset_after: 0.0005,
                error_before: 0.0003,
                error_after: 0.0005,
                late_accept: 0.0005,
                throttled: 0.005,
                held: 0.001,
                undeliverable: 0.0015,
                fails_once: 0.001,
                unreachable: 0.002,
                reads: 0.4,
                repeated: 0.02,
                shuffled: 0.1,
            },
            Profile::Hostile => Shares {
                reset_before: 0.01,
                reset_after: 0.02,
                error_before: 0.01,
                error_after: 0.02,
                late_accept: 0.02,
                throttled: 0.03,
                held: 0.02,
                undeliverable: 0.01,
                fails_once: 0.03,
                unreachable: 0.01,
                reads: 0.4,
                repeated: 0.2,
                shuffled: 0.4,
            },
        }
    }

    /// One number whose throughput is far below what it should be, and one that is banned.
    pub const fn hurts_numbers(self) -> bool {
        matches!(self, Profile::Hostile)
    }

    /// Of each minute, how long the receiver cannot be reached.
    pub const fn receiver_outage(self) -> Duration {
        match self {
            Profile::Hostile => Duration::from_secs(12),
            Profile::None | Profile::Morning => Duration::ZERO,
        }
    }
}

/// Shares of requests and messages, 0 to 1.
#[derive(Clone, Copy, Debug)]
pub struct Shares {
    /// Connection cut, message not taken.
    pub reset_before: f64,
    /// Connection cut, message taken.
    pub reset_after: f64,
    pub error_before: f64,
    pub error_after: f64,
    /// No answer in time; the message is taken afterwards.
    pub late_accept: f64,
    /// 130429 or 131056 although the pace was right.
    pub throttled: f64,
    /// Kept back for quality assessment, released later.
    pub held: f64,
    /// `failed` 131026 by webhook.
    pub undeliverable: f64,
    /// `failed` 131000 by webhook.
    pub fails_once: f64,
    /// Sent, and nothing more: the phone is off.
    pub unreachable: f64,
    /// Of delivered messages.
    pub reads: f64,
    /// Of webhooks, sent again later.
    pub repeated: f64,
    /// Of webhooks, delayed past others.
    pub shuffled: f64,
}

/// What happens to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestFate {
    Answered,
    Held,
    ResetBefore,
    ResetAfter,
    ErrorBefore,
    ErrorAfter,
    LateAccept,
    Throttled,
    PairLimited,
}

/// What happens to one accepted message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageFate {
    Read,
    Delivered,
    Unreachable,
    Undeliverable,
    FailsOnce,
}

impl Shares {
    pub fn request(&self, rng: &mut impl Rng) -> RequestFate {
        pick(
            rng.random(),
            &[
                (self.reset_before, RequestFate::ResetBefore),
                (self.reset_after, RequestFate::ResetAfter),
                (self.error_before, RequestFate::ErrorBefore),
                (self.error_after, RequestFate::ErrorAfter),
                (self.late_accept, RequestFate::LateAccept),
                (self.throttled / 2.0, RequestFate::Throttled),
                (self.throttled / 2.0, RequestFate::PairLimited),
                (self.held, RequestFate::Held),
            ],
            RequestFate::Answered,
        )
    }

    pub fn message(&self, rng: &mut impl Rng) -> MessageFate {
        let arrives = 1.0 - self.undeliverable - self.fails_once - self.unreachable;
        pick(
            rng.random(),
            &[
                (self.undeliverable, MessageFate::Undeliverable),
                (self.fails_once, MessageFate::FailsOnce),
                (self.unreachable, MessageFate::Unreachable),
                (self.reads * arrives, MessageFate::Read),
            ],
            MessageFate::Delivered,
        )
    }
}

fn pick<T: Copy>(draw: f64, shares: &[(f64, T)], otherwise: T) -> T {
    let mut sum = 0.0;
    for (share, fate) in shares {
        sum += share;
        if draw < sum {
            return *fate;
        }
    }
    otherwise
}

/// A span around `median` with a tail to the right, as latencies have: most within half
/// and double, a few at four times.
pub fn around(median: Duration, rng: &mut impl Rng) -> Duration {
    let normal: f64 = (0..4).map(|_| rng.random_range(-1.0..1.0)).sum::<f64>() / 1.15;
    median.mul_f64((0.45 * normal).exp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn draws_follow_their_shares_and_their_seed() {
        let shares = Profile::Hostile.shares();
        let draw = |seed| {
            let mut rng = rand::rngs::StdRng::seed_from_u64(seed);
            (0..20_000).map(|_| shares.request(&mut rng)).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        let late = draw(2).iter().filter(|fate| **fate == RequestFate::LateAccept).count();
        assert!((300..500).contains(&late), "{late} of 20,000 at 2 %");
        let mut rng = rand::rngs::StdRng::seed_from_u64(3);
        let calm = Profile::None.shares();
        assert!((0..1_000).all(|_| calm.request(&mut rng) == RequestFate::Answered));
    }

    #[test]
    fn latencies_lie_around_their_median() {
        let mut rng = rand::rngs::StdRng::seed_from_u64(4);
        let median = Duration::from_millis(60);
        let mut spans: Vec<Duration> = (0..10_001).map(|_| around(median, &mut rng)).collect();
        spans.sort_unstable();
        assert!(spans[5_000].abs_diff(median) < Duration::from_millis(4), "{:?}", spans[5_000]);
        assert!(spans[10_000] < median * 6);
    }
}
