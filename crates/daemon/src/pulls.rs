//! Fetches lists and content at their times, and again until it worked: a source that is away for a
//! minute costs a minute.

use std::time::Duration;

use chrono::{NaiveDateTime, NaiveTime};
use chrono_tz::Tz;
use config::Config;
use config::pulls::{Pull, PullSet};
use desk::Answer;
use desk::findings::Said;
use desk::pull::{Confirm, Pulled, pull};
use domain::{Clock, Timestamp};
use telemetry::Fault;
use telemetry::labels::Loop;
use tokio_util::sync::CancellationToken;

use crate::parts::Parts;

/// How often it is looked whether it is time.
const LOOK: Duration = Duration::from_secs(5);
/// Before a source that failed is asked again.
const AGAIN: Duration = Duration::from_secs(20);
/// So long after its time a source that fails is asked again; then the next time counts.
const UNTIL: Duration = Duration::from_secs(45 * 60);

/// How a source stands.
#[derive(Default)]
struct Source {
    /// The time that was done last, or given up.
    done: Option<NaiveDateTime>,
    tried_at: Option<Timestamp>,
    fault: Fault,
    has_failed: bool,
}

/// Until `stop`.
pub async fn run(config: &Config, parts: &Parts, stop: CancellationToken) {
    let begun = parts.clock.now();
    let mut sources: Vec<Source> = config.pulls.iter().map(|_| Source::default()).collect();
    loop {
        if stop.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_none() {
            return;
        }
        // Beside each other: a source that hangs holds up no other.
        let looks = config.pulls.iter().zip(&mut sources);
        let looks = looks.map(|(one, source)| look_if_due(config, parts, one, source, begun));
        futures::future::join_all(looks).await;
        let failing = sources.iter().filter(|source| source.has_failed).count();
        parts.metrics.process.pulls_failing.set(i64::try_from(failing).unwrap_or(i64::MAX));
        let at = parts.clock.now().secs_f64();
        parts.metrics.process.loop_success.of(Loop::Pulls).set(at);
    }
}

async fn look_if_due(
    config: &Config,
    parts: &Parts,
    one: &Pull,
    source: &mut Source,
    begun: Timestamp,
) {
    let now = parts.clock.now();
    let Some(due) = due(&one.at, zone(config, one), now, begun) else { return };
    let rests = source.tried_at.is_some_and(|at| now.since(at) < AGAIN);
    if source.done == Some(due.at) || rests {
        return;
    }
    source.tried_at = Some(now);
    source.has_failed = !look(config, one, source).await;
    if source.has_failed && due.is_over {
        let name = &one.name;
        tracing::error!(
            pull = name,
            "pull {name} is given up until its next time; `subah pull {name}` tries again"
        );
    }
    if !source.has_failed || due.is_over {
        source.done = Some(due.at);
        source.tried_at = None;
    }
}

/// Fetches one source; whether that worked.
async fn look(config: &Config, one: &Pull, source: &mut Source) -> bool {
    let (name, mut said) = (one.name.as_str(), Said::default());
    let done = pull(config, one, Confirm::Ask, &mut said).await;
    match done {
        Ok(Pulled::Nothing(why)) => tracing::info!(pull = name, "pull {name}: {why}"),
        Ok(Pulled::New(answer)) => {
            said.lines.iter().for_each(|line| tracing::info!(pull = name, "pull {name}: {line}"));
            if answer == Answer::No {
                tracing::error!(
                    pull = name,
                    "pull {name}: some rows are refused; they are listed beside the file, or in `errors` of the state folder"
                );
            }
        }
        Err(error) => {
            let chain = error.chain();
            if source.fault.met(&chain) {
                tracing::error!(pull = name, error = chain, "{chain}");
            }
            return false;
        }
    }
    source.fault.over();
    true
}

fn zone(config: &Config, pull: &Pull) -> Tz {
    let own = match &pull.set {
        PullSet::Content(campaign) => {
            config.campaigns.iter().find(|one| one.campaign.id == *campaign)
        }
        PullSet::Recipients(_) => None,
    };
    own.unwrap_or(&config.campaigns[0]).daily.window.zone
}

/// A time that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct DueTime {
    at: NaiveDateTime,
    /// It is not tried again any more.
    is_over: bool,
}

/// The latest time of a clock that has come since the daemon began, or shortly before: one that was
/// restarted at five past eight fetches what it was to fetch at eight.
fn due(times: &[NaiveTime], zone: Tz, now: Timestamp, begun: Timestamp) -> Option<DueTime> {
    let local = |at: Timestamp| at.to_utc().with_timezone(&zone).naive_local();
    let (now, begun) = (local(now), local(begun));
    let days = [now.date().pred_opt(), Some(now.date())];
    let all =
        days.into_iter().flatten().flat_map(|day| times.iter().map(move |t| day.and_time(*t)));
    let at = all.filter(|at| *at <= now && *at + UNTIL >= begun).max()?;
    Some(DueTime { at, is_over: now > at + UNTIL })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_has_come_is_due_until_it_is_done() {
        let zone = chrono_tz::Asia::Kolkata;
        let times = [NaiveTime::from_hms_opt(20, 0, 0), NaiveTime::from_hms_opt(5, 0, 0)];
        let times: Vec<NaiveTime> = times.into_iter().flatten().collect();
        let at = |text: &str| -> Timestamp {
            chrono::DateTime::parse_from_rfc3339(&format!("{text}:00+05:30")).unwrap().into()
        };
        let due_at = |now: &str, begun: &str| {
            due(&times, zone, at(now), at(begun)).map(|due| (due.at.to_string(), due.is_over))
        };
        let noon = "2026-11-21T12:00";
        assert_eq!(due_at("2026-11-21T19:59", noon), None);
        let eight = "2026-11-21 20:00:00".to_owned();
        assert_eq!(due_at("2026-11-21T20:00", noon), Some((eight.clone(), false)));
        assert_eq!(due_at("2026-11-21T20:46", noon), Some((eight.clone(), true)));
        assert_eq!(due_at("2026-11-22T04:59", noon), Some((eight.clone(), true)));
        let five = "2026-11-22 05:00:00".to_owned();
        assert_eq!(due_at("2026-11-22T05:01", noon), Some((five, false)));
        let late = "2026-11-21T20:05";
        assert_eq!(due_at("2026-11-21T20:06", late), Some((eight, false)), "begun in between");
        assert_eq!(due_at("2026-11-21T21:00", "2026-11-21T20:50"), None, "begun long after");
    }
}
