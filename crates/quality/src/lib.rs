//! How fast, and whether at all.
//!
//! [`Throughput`] keeps one number below its rate, [`PairRate`] one recipient, [`Breaker`]
//! stops a thing that answers with a refusal for all, [`Streaks`] notices equal refusals,
//! [`rating`] says how much of its rate a number may use. None of them waits: they answer [`Pace`]
//! and the caller sleeps. Time is an `Instant` argument.

pub mod breaker;
pub mod pair;
pub mod rating;
pub mod streak;
pub mod throughput;

pub use breaker::{Breaker, BreakerState};
pub use pair::PairRate;
pub use rating::Rating;
pub use streak::Streaks;
pub use throughput::Throughput;

use std::time::Duration;

/// What quality allows right now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    Go,
    /// Ask again after this.
    Wait(Duration),
    /// Stopped by a breaker; it may be probed after this.
    Hold(Duration),
}
