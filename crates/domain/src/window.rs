//! When a campaign's messages may go: local hours in a zone, and the instants of one date.
//!
//! Invariant: `opens ≤ spread_until ≤ closes < deadline`, all on one civil date, and the
//! window is as long on a day when clocks change as on any other: the opening is resolved
//! (a skipped hour → its first valid instant, a repeated hour → the first occurrence) and
//! the other instants keep their distance from it.

use std::time::Duration;

use chrono::{LocalResult, NaiveDate, NaiveTime, TimeDelta, TimeZone};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// Local sending hours, the same every day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowSpec {
    pub zone: Tz,
    /// The first attempt may go now.
    pub opens: NaiveTime,
    /// What the business promises: "06:00". Shown, not enforced.
    pub target: NaiveTime,
    /// First attempts are planned up to here; what follows is time for repairs.
    pub spread_until: NaiveTime,
    /// No first attempt starts after this.
    pub closes: NaiveTime,
    /// The SLA is judged here, and nothing starts after it.
    pub deadline: NaiveTime,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadWindow {
    #[error(
        "opens {opens}, spread_until {spread_until}, closes {closes}, deadline {deadline}: expected opens < spread_until <= closes < deadline on one day"
    )]
    Order { opens: NaiveTime, spread_until: NaiveTime, closes: NaiveTime, deadline: NaiveTime },
    #[error("target {target} lies outside {opens} to {deadline}")]
    Target { target: NaiveTime, opens: NaiveTime, deadline: NaiveTime },
}

impl WindowSpec {
    /// # Errors
    /// When the times are out of order.
    pub fn check(&self) -> Result<(), BadWindow> {
        let Self { opens, target, spread_until, closes, deadline, .. } = *self;
        if !(opens < spread_until && spread_until <= closes && closes < deadline) {
            return Err(BadWindow::Order { opens, spread_until, closes, deadline });
        }
        if !(opens <= target && target <= deadline) {
            return Err(BadWindow::Target { target, opens, deadline });
        }
        Ok(())
    }

    /// The instants on one civil date; `None` where the zone skipped that date entirely
    /// (Samoa had no 30 December 2011).
    pub fn on(&self, date: NaiveDate) -> Option<Window> {
        let opens = first_valid(self.zone, date, self.opens)?;
        let after = |time: NaiveTime| opens + (time - self.opens).to_std().unwrap_or_default();
        Some(Window {
            opens,
            target: after(self.target),
            spread_until: after(self.spread_until),
            closes: after(self.closes),
            deadline: after(self.deadline),
        })
    }

    /// The civil date in the window's zone at `now`.
    pub fn date_at(&self, now: Timestamp) -> NaiveDate {
        now.to_utc().with_timezone(&self.zone).date_naive()
    }
}

/// First valid instant at or after `time` on `date`, if that date has one.
fn first_valid(zone: Tz, date: NaiveDate, time: NaiveTime) -> Option<Timestamp> {
    let mut local = date.and_time(time);
    while local.date() == date {
        match zone.from_local_datetime(&local) {
            LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => return Some(at.into()),
            LocalResult::None => local += TimeDelta::minutes(1),
        }
    }
    None
}

/// The window of one run, as instants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    pub opens: Timestamp,
    pub target: Timestamp,
    pub spread_until: Timestamp,
    pub closes: Timestamp,
    pub deadline: Timestamp,
}

impl Window {
    /// The span over which first attempts are spread.
    pub fn spread(&self) -> Duration {
        self.spread_until.since(self.opens)
    }

    /// The whole span, opening to deadline.
    pub fn length(&self) -> Duration {
        self.deadline.since(self.opens)
    }

    /// The same shape, opening at `opens` and lasting `length`: rehearsals.
    pub fn compressed_to(&self, opens: Timestamp, length: Duration) -> Window {
        let scale = length.as_secs_f64() / self.length().as_secs_f64();
        let place = |at: Timestamp| opens + at.since(self.opens).mul_f64(scale);
        Window {
            opens,
            target: place(self.target),
            spread_until: place(self.spread_until),
            closes: place(self.closes),
            deadline: opens + length,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(zone: Tz, opens: &str) -> WindowSpec {
        let opens: NaiveTime = opens.parse().unwrap();
        let plus = |s| opens + TimeDelta::seconds(s);
        WindowSpec {
            zone,
            opens,
            target: plus(30),
            spread_until: plus(240),
            closes: plus(300),
            deadline: plus(330),
        }
    }

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn a_morning_in_india_is_half_past_midnight_utc() {
        let window = spec(chrono_tz::Asia::Kolkata, "05:59:30").on(day("2026-11-21")).unwrap();
        assert_eq!(window.target.to_string(), "2026-11-21T00:30:00.000Z");
        assert_eq!(window.deadline.to_string(), "2026-11-21T00:35:00.000Z");
    }

    #[test]
    fn a_skipped_hour_opens_at_its_end_and_a_repeated_one_opens_once() {
        let cases = [
            (
                "New York springs forward",
                chrono_tz::America::New_York,
                "02:30:00",
                "2026-03-08",
                "2026-03-08T07:00:00.000Z",
            ),
            (
                "New York falls back",
                chrono_tz::America::New_York,
                "01:30:00",
                "2026-11-01",
                "2026-11-01T05:30:00.000Z",
            ),
            (
                "Lord Howe moves by half an hour",
                chrono_tz::Australia::Lord_Howe,
                "02:10:00",
                "2026-10-04",
                "2026-10-03T15:30:00.000Z",
            ),
        ];
        for (name, zone, opens, date, want) in cases {
            let window = spec(zone, opens).on(day(date)).unwrap();
            assert_eq!(window.opens.to_string(), want, "{name}");
            assert_eq!(window.length(), Duration::from_secs(330), "{name}: length");
        }
    }

    #[test]
    fn a_date_that_never_was_has_no_window() {
        assert!(spec(chrono_tz::Pacific::Apia, "06:00:00").on(day("2011-12-30")).is_none());
    }

    #[test]
    fn times_out_of_order_are_named() {
        let mut bad = spec(chrono_tz::Asia::Kolkata, "05:59:30");
        bad.closes = bad.deadline;
        assert!(
            bad.check().unwrap_err().to_string().contains("closes 06:05:00, deadline 06:05:00")
        );
    }
}
