//! Instants as people write them. What may be read in two ways is refused.

use chrono::{DateTime, NaiveDate, NaiveTime};
use chrono_tz::Tz;
use domain::Timestamp;

const FORMS: &str = "expected 2026-01-31, 31/01/2026 (day first) or 2026-01-31T10:00:00+05:30";
/// Day first, as India writes; a year has four digits.
const DATES: &[&str] = &["%Y-%m-%d", "%d/%m/%Y", "%d-%m-%Y", "%d.%m.%Y", "%Y/%m/%d"];
const TIMES: &[&str] = &["%H:%M:%S%.f", "%H:%M"];
const OFFSETS: &[&str] = &["%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M%#z"];

/// RFC 3339 with any offset or `Z`, with or without seconds and fractions; or a date, with
/// or without a time, in `zone`. A date without a time is its midnight.
///
/// # Errors
/// When it is no date, has a year of two digits, or does not exist.
pub fn instant(text: &str, zone: Tz) -> Result<Timestamp, String> {
    if let Some(at) = with_offset(text) {
        return Ok(at.into());
    }
    let (date, time) = text.split_once([' ', 'T', 't']).unwrap_or((text, "00:00"));
    let (date, time) = (date.trim_end_matches(','), time.trim());
    let year = date.split(['/', '-', '.']).map(str::len).max().unwrap_or(0);
    if year < 4 && date.contains(|c: char| c.is_ascii_digit()) {
        return Err(format!("a date has a year of two digits: {FORMS}"));
    }
    let date = DATES.iter().find_map(|form| NaiveDate::parse_from_str(date, form).ok());
    let time = TIMES.iter().find_map(|form| NaiveTime::parse_from_str(time, form).ok());
    let (Some(date), Some(time)) = (date, time) else {
        return Err(format!("a date is not readable or does not exist: {FORMS}"));
    };
    let local = date.and_time(time).and_local_timezone(zone);
    let at = local.earliest().map(Timestamp::from);
    at.ok_or_else(|| "the time does not exist in the campaign's zone".to_owned())
}

fn with_offset(text: &str) -> Option<DateTime<chrono::FixedOffset>> {
    let plain = text.replacen(' ', "T", 1).replace(' ', "");
    let plain =
        plain.strip_suffix(['Z', 'z']).map_or(plain.clone(), |rest| format!("{rest}+00:00"));
    plain.get(10..).filter(|time| time.contains(['+', '-']))?;
    OFFSETS.iter().find_map(|form| DateTime::parse_from_str(&plain, form).ok())
}

/// An instant that has been: an approval or a consent cannot lie ahead.
///
/// # Errors
/// As [`instant`], and when it is after `now`.
pub fn past_instant(text: &str, zone: Tz, now: Timestamp) -> Result<Timestamp, String> {
    let at = instant(text, zone)?;
    if at > now {
        return Err("lies in the future".to_owned());
    }
    if at < Timestamp::from_secs(946_684_800) {
        return Err("lies before the year 2000".to_owned());
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono_tz::Asia::Kolkata;

    #[test]
    fn the_documented_forms_are_one_instant() {
        for text in [
            "2026-01-15T18:00:00+05:30",
            "2026-01-15T12:30:00Z",
            "2026-01-15T12:30Z",
            "2026-01-15T12:30:00.000Z",
            "2026-01-15 12:30:00+00:00",
            "2026-01-15 12:30:00 +0000",
            "2026-01-15T18:00+0530",
            "2026-01-15 18:00",
            "2026-01-15T18:00:00.0",
            "15/01/2026 18:00",
            "15-01-2026 18:00:00",
            "15.01.2026 18:00",
        ] {
            let got = instant(text, Kolkata).map(|at| at.to_string());
            assert_eq!(got.as_deref(), Ok("2026-01-15T12:30:00.000Z"), "{text}");
        }
    }

    #[test]
    fn what_may_be_two_dates_or_none_is_refused() {
        for text in
            ["15/01/26", "01-02-26", "31/02/2026", "01/31/2026", "2026-13-01", "soon", "", "31.01"]
        {
            assert!(instant(text, Kolkata).is_err(), "{text}");
        }
        let now = instant("2026-01-15", Kolkata).unwrap();
        assert!(past_instant("2026-01-16", Kolkata, now).is_err());
        assert!(past_instant("2026-01-15", Kolkata, now).is_ok());
    }
}
