//! Looks ahead from the evening before on, so that somebody hears of missing content while it can
//! still be made.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result};
use chrono::{NaiveDate, NaiveTime};
use config::{CampaignConfig, Config};
use desk::foresight::{Foreseen, look, nobodys, strange};
use domain::campaign::CampaignId;
use domain::{Clock, Timestamp};
use scheduler::daily::Due;
use telemetry::Fault;
use telemetry::labels::Loop;
use tokio_util::sync::CancellationToken;

use crate::parts::Parts;

/// How often it is looked whether it is time.
const LOOK: Duration = Duration::from_secs(60);
/// Between two looks at a run that is ready; one that is not is looked at each time.
const AGAIN: Duration = Duration::from_secs(15 * 60);
/// Of the evening before, in the campaign's zone.
const EVENING: NaiveTime = NaiveTime::from_hms_opt(20, 0, 0).expect("a constant time");
/// Of the day itself: what is still missing is said again.
const MORNING: NaiveTime = NaiveTime::from_hms_opt(5, 0, 0).expect("a constant time");

/// Looks ahead for each campaign, until `stop`.
pub async fn run(config: &Config, parts: &Parts, stop: CancellationToken) {
    let mut seen: BTreeMap<CampaignId, Seen> = BTreeMap::new();
    let (mut strangers, mut fault) = (BTreeSet::new(), Fault::default());
    loop {
        let now = parts.clock.now();
        let mut good = true;
        match nobodys(config, parts.ledger.as_ref()).await {
            Ok(runs) => {
                fault.over();
                for run in runs.into_iter().filter(|run| strangers.insert(run.clone())) {
                    tracing::error!(run = %run, "{}", strange(&run));
                }
            }
            Err(error) => {
                good = false;
                if fault.met(&error.to_string()) {
                    tracing::warn!(error = %error, "look for open runs of no campaign: {}", error.chain());
                }
            }
        }
        for one in &config.campaigns {
            let id = &one.campaign.id;
            let before = seen.get(id).copied();
            let rested = before.is_none_or(|seen| !seen.ready || now.since(seen.at) >= AGAIN);
            match ahead(one, now) {
                Some(date) if rested => {
                    // At five it is said once more, whatever was said in the evening.
                    let news =
                        before.is_none_or(|seen| seen.ready || is_five_between(one, seen.at, now));
                    match foresee(config, one, parts, date, news).await {
                        Ok(ready) => {
                            seen.insert(id.clone(), Seen { at: now, ready });
                        }
                        Err(error) => {
                            good = false;
                            tracing::error!(campaign = %id, error = format!("{error:#}"), "look ahead at the run of {id} of {date}: {error:#}");
                        }
                    }
                }
                Some(_) => {}
                None => {
                    seen.remove(id);
                    parts.metrics.runs.next_sendable.with_label_values(&[id.as_str()]).set(1.0);
                }
            }
        }
        if good {
            let now = parts.clock.now().secs_f64();
            parts.metrics.process.loop_success.of(Loop::Foresight).set(now);
        }
        if stop.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_none() {
            return;
        }
    }
}

/// What the last look at a campaign found.
#[derive(Clone, Copy)]
struct Seen {
    at: Timestamp,
    ready: bool,
}

/// Returns whether the run is ready.
async fn foresee(
    config: &Config,
    one: &CampaignConfig,
    parts: &Parts,
    date: NaiveDate,
    say: bool,
) -> Result<bool> {
    let id = &one.campaign.id;
    let now = parts.clock.now();
    let found = look(config, one, date, now).await?.context("the zone has no such date")?;
    parts.metrics.runs.next_sendable.with_label_values(&[id.as_str()]).set(found.ratio());
    let enough = found.is_enough(one.sla_target);
    if say && !enough {
        let Foreseen { wanted, sendable, .. } = found;
        tracing::error!(campaign = %id, sendable, wanted, "the run of {id} of {date} is not ready: {sendable} of {wanted} who agreed can be sent to; is its content imported and approved? `subah plan --campaign {id} --date {date}` says who not and why");
    }
    Ok(enough)
}

/// The date to look ahead at: from eight in the evening before until the run is planned.
fn ahead(one: &CampaignConfig, now: Timestamp) -> Option<NaiveDate> {
    let Due::Wait { date, .. } = one.daily.due(now, |_| false) else { return None };
    let zone = one.daily.window.zone;
    let local = now.to_utc().with_timezone(&zone).naive_local();
    (local >= date.pred_opt()?.and_time(EVENING)).then_some(date)
}

fn is_five_between(one: &CampaignConfig, from: Timestamp, to: Timestamp) -> bool {
    let local = |at: Timestamp| at.to_utc().with_timezone(&one.daily.window.zone).naive_local();
    let five = local(to).date().and_time(MORNING);
    local(from) < five && five <= local(to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn it_is_time_from_eight_in_the_evening_until_the_plan() {
        let text = include_str!("../../../deploy/config.default.toml");
        let config = Config::parse(Path::new("config.default.toml"), text).unwrap();
        let one = &config.campaigns[0];
        let at = |text: &str| -> Timestamp {
            chrono::DateTime::parse_from_rfc3339(&format!("{text}:00+05:30")).unwrap().into()
        };
        let tomorrow = "2026-11-22".parse().ok();
        assert_eq!(ahead(one, at("2026-11-21T19:59")), None);
        assert_eq!(ahead(one, at("2026-11-21T20:00")), tomorrow);
        assert_eq!(ahead(one, at("2026-11-22T05:28")), tomorrow);
        assert_eq!(ahead(one, at("2026-11-22T05:30")), None, "it is being planned");
        assert!(is_five_between(one, at("2026-11-22T04:50"), at("2026-11-22T05:05")));
        assert!(!is_five_between(one, at("2026-11-22T05:05"), at("2026-11-22T05:20")));
    }
}
