//! Our numbers as Meta sees them: throughput, pair limit, and whether one is banned.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use domain::NumberId;

use crate::options::Options;

/// Source: Meta, "Pair rate limits": 1 in 6 s, bursts to 45 that must be paid back.
const PAIR_PERIOD: Duration = Duration::from_secs(6);
const PAIR_BURST: f64 = 45.0;
/// A hurt number takes this share of its throughput.
const HURT_SHARE: f64 = 0.125;
/// A number is banned after this many requests.
const BANNED_AFTER: u64 = 60;

/// Whether Meta takes a request right now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    Yes,
    Throughput,
    Pair,
    Banned,
}

pub struct Numbers {
    throughput: u32,
    listed: HashMap<NumberId, u32>,
    hurts: bool,
    pair_period: Duration,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    numbers: HashMap<NumberId, Number>,
    pairs: HashMap<(NumberId, String), Bucket>,
}

struct Number {
    bucket: Bucket,
    rate: f64,
    bans: bool,
    requests: u64,
}

/// Whole tokens fill at a rate up to a burst.
struct Bucket {
    tokens: f64,
    filled_at: Instant,
}

impl Bucket {
    fn full(burst: f64, now: Instant) -> Self {
        Bucket { tokens: burst, filled_at: now }
    }

    fn take(&mut self, rate: f64, burst: f64, now: Instant) -> bool {
        let since = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.tokens = (self.tokens + since * rate).min(burst);
        self.filled_at = now;
        let take = self.tokens >= 1.0;
        self.tokens -= f64::from(u8::from(take));
        take
    }
}

impl Numbers {
    pub fn new(options: &Options) -> Self {
        Numbers {
            throughput: options.throughput.max(1),
            listed: options.numbers.iter().cloned().collect(),
            hurts: options.profile.hurts_numbers(),
            pair_period: PAIR_PERIOD.div_f64(options.compress.max(1.0)),
            inner: Mutex::default(),
        }
    }

    /// Counts one request. A second's worth of throughput may come at once.
    pub fn admit(&self, number: &NumberId, to: &str, now: Instant) -> Admission {
        let mut inner = self.inner.lock().expect("no panic while held");
        let Inner { numbers, pairs } = &mut *inner;
        let order = numbers.len();
        let known = numbers.entry(number.clone()).or_insert_with(|| {
            let listed = self.listed.get(number).copied().unwrap_or(self.throughput);
            let share = if self.hurts && order == 2 { HURT_SHARE } else { 1.0 };
            let rate = (f64::from(listed) * share).max(1.0);
            let bans = self.hurts && order == 1;
            Number { bucket: Bucket::full(rate, now), rate, bans, requests: 0 }
        });
        known.requests += 1;
        if known.bans && known.requests > BANNED_AFTER {
            return Admission::Banned;
        }
        let rate = known.rate;
        if !known.bucket.take(rate, rate, now) {
            return Admission::Throughput;
        }
        let pair = pairs
            .entry((number.clone(), to.to_owned()))
            .or_insert_with(|| Bucket::full(PAIR_BURST, now));
        if pair.take(1.0 / self.pair_period.as_secs_f64(), PAIR_BURST, now) {
            Admission::Yes
        } else {
            Admission::Pair
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::Profile;
    use secrecy::SecretString;

    fn admitted(numbers: &Numbers, id: &str, to: &str, n: u32, now: Instant) -> Vec<Admission> {
        let id = NumberId::try_new(id).unwrap();
        (0..n).map(|i| numbers.admit(&id, &format!("{to}{i}"), now)).collect()
    }

    #[test]
    fn a_number_takes_its_throughput_and_a_recipient_its_burst() {
        let numbers = Numbers::new(&Options::new(SecretString::from("s")));
        let now = Instant::now();
        let got = admitted(&numbers, "1", "a", 100, now);
        assert_eq!(got.iter().filter(|a| **a == Admission::Yes).count(), 80);
        let id = NumberId::try_new("2").unwrap();
        let same: Vec<Admission> = (0..50).map(|_| numbers.admit(&id, "x", now)).collect();
        assert_eq!(same.iter().filter(|a| **a == Admission::Pair).count(), 5);
    }

    #[test]
    fn a_hostile_day_bans_the_second_number_and_hurts_the_third() {
        let mut options = Options::new(SecretString::from("s"));
        options.profile = Profile::Hostile;
        let numbers = Numbers::new(&options);
        let now = Instant::now();
        admitted(&numbers, "1", "a", 1, now);
        assert_eq!(admitted(&numbers, "2", "a", 61, now).last(), Some(&Admission::Banned));
        let third = admitted(&numbers, "3", "a", 80, now);
        assert_eq!(third.iter().filter(|a| **a == Admission::Yes).count(), 10);
    }
}
