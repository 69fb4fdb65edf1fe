//! When the daily run is due. Pure: the loop around it sleeps and asks again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{Datelike, NaiveDate, NaiveTime, Weekday};
use domain::{Timestamp, Window, WindowSpec};

/// The daily schedule of one campaign.
#[derive(Clone, Debug)]
pub struct Daily {
    pub window: WindowSpec,
    pub days: Days,
    /// How long before the opening the run is planned.
    pub plan_lead: Duration,
    /// A run that was missed may still be begun until then, local time.
    pub catch_up_until: NaiveTime,
}

/// On which civil dates a campaign runs: on all of them, by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Days {
    /// On this one alone: a broadcast.
    pub only: Option<NaiveDate>,
    /// None: on all.
    pub weekdays: Vec<Weekday>,
    /// Not on these, and why not.
    pub skip: BTreeMap<NaiveDate, String>,
    /// On these in any case.
    pub extra: BTreeSet<NaiveDate>,
}

impl Days {
    pub fn has(&self, date: NaiveDate) -> bool {
        self.why_not(date).is_none()
    }

    /// Why there is no run on a date; `None`: there is one.
    pub fn why_not(&self, date: NaiveDate) -> Option<String> {
        if let Some(only) = self.only {
            return (date != only).then(|| format!("it runs on {only} alone"));
        }
        if self.extra.contains(&date) {
            return None;
        }
        if let Some(why) = self.skip.get(&date) {
            return Some(format!("{date} is skipped: {why}"));
        }
        let day = date.weekday();
        let without = !self.weekdays.is_empty() && !self.weekdays.contains(&day);
        without.then(|| format!("it does not run on a {day}"))
    }
}

/// What to do about the run of a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Plan and send it. `stop_at` is the deadline, or the end of catching up when the
    /// window has opened already.
    Now { date: NaiveDate, window: Window, stop_at: Timestamp },
    /// Nothing until then; that date is next.
    Wait { until: Timestamp, date: NaiveDate },
    /// There is no further date.
    Over,
}

/// How far ahead the next date is looked for: whoever leaves out more has no next date.
const AHEAD: usize = 800;

impl Daily {
    /// What is due at `now`. `is_done` tells whether a date's run needs nothing any more.
    pub fn due(&self, now: Timestamp, is_done: impl Fn(NaiveDate) -> bool) -> Due {
        let today = self.window.date_at(now);
        let (first, most) = self.days.only.map_or((today, AHEAD), |only| (only, 1));
        let dates = first.iter_days().take(most);
        for date in dates.filter(|date| self.days.has(*date) && !is_done(*date)) {
            let Some(window) = self.window.on(date) else { continue };
            let begin = window.opens - self.plan_lead;
            if now < begin {
                return Due::Wait { until: begin, date };
            }
            if now < self.latest_start(&window) {
                return Due::Now { date, window, stop_at: self.stop_at(&window, now) };
            }
        }
        Due::Over
    }

    /// A run begun in time stops at its deadline; one begun after the opening may catch up.
    pub fn stop_at(&self, window: &Window, now: Timestamp) -> Timestamp {
        if now <= window.opens { window.deadline } else { self.latest_start(window) }
    }

    /// The end of catching up, at least the deadline.
    pub fn latest_start(&self, window: &Window) -> Timestamp {
        let span = (self.catch_up_until - self.window.opens).to_std().unwrap_or_default();
        (window.opens + span).max(window.deadline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    fn daily(zone: chrono_tz::Tz, opens: &str) -> Daily {
        let opens: NaiveTime = opens.parse().unwrap();
        let plus = |secs| opens + chrono::TimeDelta::seconds(secs);
        Daily {
            window: WindowSpec {
                zone,
                opens,
                target: plus(30),
                spread_until: plus(240),
                closes: plus(300),
                deadline: plus(330),
            },
            days: Days::default(),
            plan_lead: Duration::from_secs(1_800),
            catch_up_until: plus(1_830),
        }
    }

    fn utc(text: &str) -> Timestamp {
        chrono::DateTime::parse_from_rfc3339(text).unwrap().into()
    }

    #[test]
    fn a_morning_is_planned_ahead_caught_up_with_or_missed() {
        let daily = daily(chrono_tz::Asia::Kolkata, "05:59:30");
        let at = |text: &str| daily.due(utc(text), |_| false);
        let (today, tomorrow) = ("2026-11-21".parse().unwrap(), "2026-11-22".parse().unwrap());
        let wait = Due::Wait { until: utc("2026-11-21T05:29:30+05:30"), date: today };
        assert_eq!(at("2026-11-21T00:00:00+05:30"), wait);
        let in_time = at("2026-11-21T05:29:30+05:30");
        assert!(
            matches!(in_time, Due::Now { date, stop_at, .. }
            if date == today && stop_at == utc("2026-11-21T06:05:00+05:30")),
            "{in_time:?}"
        );
        let late = at("2026-11-21T06:10:00+05:30");
        assert!(
            matches!(late, Due::Now { date, stop_at, .. }
            if date == today && stop_at == utc("2026-11-21T06:30:00+05:30")),
            "{late:?}"
        );
        let missed = Due::Wait { until: utc("2026-11-22T05:29:30+05:30"), date: tomorrow };
        assert_eq!(at("2026-11-21T06:30:00+05:30"), missed);
        let done = daily.due(utc("2026-11-21T06:00:00+05:30"), |date| date == today);
        assert_eq!(done, missed);
    }

    /// Walks a year in steps of half an hour, as a daemon would, and counts runs.
    #[test]
    fn every_civil_date_has_exactly_one_run_in_any_zone() {
        let zones = [
            ("Asia/Kolkata", "05:59:30"),
            ("America/New_York", "02:30:00"),
            ("America/New_York", "01:30:00"),
            ("Australia/Lord_Howe", "02:10:00"),
            ("Africa/Cairo", "00:00:00"),
            ("Pacific/Apia", "06:00:00"),
            ("America/Sao_Paulo", "00:10:00"),
        ];
        for (zone, opens) in zones {
            let daily = daily(zone.parse().unwrap(), opens);
            let runs: RefCell<BTreeMap<NaiveDate, u32>> = RefCell::default();
            let (mut now, end) = (utc("2026-01-01T00:00:00Z"), utc("2027-01-03T00:00:00Z"));
            while now < end {
                match daily.due(now, |date| runs.borrow().contains_key(&date)) {
                    Due::Now { date, window, .. } => {
                        assert_eq!(daily.window.date_at(window.opens), date, "{zone}");
                        *runs.borrow_mut().entry(date).or_default() += 1;
                    }
                    Due::Wait { until, .. } => assert!(until > now, "{zone}"),
                    Due::Over => panic!("{zone}: the calendar goes on"),
                }
                now = now + Duration::from_secs(900);
            }
            let mut date: NaiveDate = "2026-01-02".parse().unwrap();
            while date < "2027-01-01".parse().unwrap() {
                assert_eq!(runs.borrow().get(&date), Some(&1), "{zone} {opens} on {date}");
                date = date.succ_opt().unwrap();
            }
        }
    }

    #[test]
    fn a_campaign_runs_on_its_days_alone() {
        let mut daily = daily(chrono_tz::Asia::Kolkata, "05:59:30");
        let date = |text: &str| -> NaiveDate { text.parse().unwrap() };
        daily.days.weekdays = vec![Weekday::Mon, Weekday::Fri];
        daily.days.skip.insert(date("2026-12-25"), "Christmas".into());
        daily.days.extra.insert(date("2026-12-26"));
        let next = |daily: &Daily, at: &str| match daily.due(utc(at), |_| false) {
            Due::Wait { date, .. } | Due::Now { date, .. } => Some(date),
            Due::Over => None,
        };
        // Thursday → Friday; Tuesday → Friday is skipped → the extra Saturday; → Monday.
        assert_eq!(next(&daily, "2026-12-17T12:00:00+05:30"), Some(date("2026-12-18")));
        assert_eq!(next(&daily, "2026-12-22T12:00:00+05:30"), Some(date("2026-12-26")));
        assert_eq!(next(&daily, "2026-12-26T12:00:00+05:30"), Some(date("2026-12-28")));
        let why = daily.days.why_not(date("2026-12-25"));
        assert_eq!(why.as_deref(), Some("2026-12-25 is skipped: Christmas"));
        assert!(daily.days.why_not(date("2026-12-23")).is_some_and(|why| why.contains("Wed")));
        daily.days = Days { only: Some(date("2026-12-01")), ..Days::default() };
        assert_eq!(next(&daily, "2026-11-30T12:00:00+05:30"), Some(date("2026-12-01")));
        assert_eq!(next(&daily, "2026-12-01T06:10:00+05:30"), Some(date("2026-12-01")));
        assert_eq!(next(&daily, "2026-12-01T07:10:00+05:30"), None, "a broadcast is not repeated");
        let done = daily.due(utc("2026-12-01T06:00:00+05:30"), |_| true);
        assert_eq!(done, Due::Over);
    }

    /// Every IANA zone, every date of ten years, and an opening that falls into most gaps
    /// and overlaps there are: each date that exists has one window, in order, on its date.
    #[test]
    fn ten_years_in_every_zone_have_one_run_per_civil_date() {
        let (first, last): (NaiveDate, NaiveDate) =
            ("2020-01-01".parse().unwrap(), "2029-12-31".parse().unwrap());
        for zone in chrono_tz::TZ_VARIANTS {
            for opens in ["02:15:00", "00:00:30"] {
                let daily = daily(zone, opens);
                let (mut date, mut before) = (first, Timestamp::MIN);
                while date <= last {
                    let window = daily.window.on(date);
                    let window = window.unwrap_or_else(|| panic!("{zone} has no {date}"));
                    assert!(window.opens > before, "{zone} {date}: two windows at once");
                    assert_eq!(daily.window.date_at(window.opens), date, "{zone}");
                    before = window.opens;
                    // Asked while it is open, that date and no other is due, until it is done.
                    let due = daily.due(window.opens, |done| done < date);
                    assert!(matches!(due, Due::Now { date: d, .. } if d == date), "{zone} {date}");
                    let next = daily.due(window.opens, |done| done <= date);
                    let other = matches!(next, Due::Wait { date: d, .. } if d > date);
                    assert!(other, "{zone} {date}: {next:?}");
                    date = date.succ_opt().unwrap();
                }
            }
        }
    }
}
