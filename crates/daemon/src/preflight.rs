//! When the daemon looks whether a run may go out, and where the last outcome is kept.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use chrono::NaiveDate;
use config::{CampaignConfig, Config};
use desk::preflight::{Findings, Found, Outcome, Scope, look};
use domain::campaign::CampaignId;
use domain::{Clock, Timestamp};
use scheduler::daily::Due;
use segment_log::{Sync, whole};
use serde_json::json;
use telemetry::labels::Loop;
use tokio_util::sync::CancellationToken;

use crate::parts::Parts;

/// How often it is looked whether it is time.
const LOOK: Duration = Duration::from_millis(500);

/// So long before a campaign's target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Moment {
    HalfAnHour,
    FiveMinutes,
    OneMinute,
}

impl Moment {
    const ALL: [Moment; 3] = [Moment::HalfAnHour, Moment::FiveMinutes, Moment::OneMinute];

    const fn before(self) -> Duration {
        Duration::from_secs(match self {
            Moment::HalfAnHour => 30 * 60,
            Moment::FiveMinutes => 5 * 60,
            Moment::OneMinute => 60,
        })
    }

    /// The latest moment that has come, and the date that it is for.
    fn at(one: &CampaignConfig, now: Timestamp) -> Option<(NaiveDate, Moment)> {
        let ahead = match one.daily.due(now, |_| false) {
            Due::Now { date, window, .. } if now < window.target => Some((date, window)),
            Due::Wait { date, .. } => one.daily.window.on(date).map(|window| (date, window)),
            Due::Now { .. } | Due::Over => None,
        };
        let (date, window) = ahead?;
        let come = |moment: &&Moment| now + moment.before() >= window.target;
        Moment::ALL.iter().rfind(come).map(|moment| (date, *moment))
    }
}

/// The outcome that the daemon found last, as JSON.
fn verdict_path(config: &Config, campaign: &CampaignId) -> PathBuf {
    config.state_dir.join("preflight").join(format!("{campaign}.json"))
}

/// Looks at each campaign at its moments, until `stop`.
pub async fn run(config: &Config, parts: &Parts, stop: CancellationToken) {
    let mut done: BTreeMap<CampaignId, (NaiveDate, Moment)> = BTreeMap::new();
    loop {
        if stop.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_none() {
            return;
        }
        let now = parts.clock.now();
        for one in &config.campaigns {
            let id = &one.campaign.id;
            let Some(moment) = Moment::at(one, now) else {
                // What was found before the last run says nothing of the next one.
                if done.remove(id).is_some() {
                    parts.metrics.runs.preflight.with_label_values(&[id.as_str()]).set(0);
                }
                continue;
            };
            if done.get(id) == Some(&moment) {
                continue;
            }
            done.insert(id.clone(), moment);
            if let Err(error) = one_look(config, parts, one, now).await {
                let level = Outcome::Degraded.level(); // not checked is never ok
                parts.metrics.runs.preflight.with_label_values(&[id.as_str()]).set(level);
                tracing::error!(campaign = %id, error = format!("{error:#}"), "the check of {id} before its run: {error:#}");
            }
        }
        let at = parts.clock.now().secs_f64();
        parts.metrics.process.loop_success.of(Loop::Preflight).set(at);
    }
}

async fn one_look(
    config: &Config,
    parts: &Parts,
    one: &CampaignConfig,
    now: Timestamp,
) -> Result<()> {
    let id = &one.campaign.id;
    let ledger = Some(Arc::clone(&parts.ledger));
    let scope = Scope { config, campaigns: vec![one], date: None, offline: false, ledger, now };
    let (findings, _) = look(&scope).await?; // the store's own error is among them
    let outcome = findings.outcome();
    for finding in findings.0.iter().filter(|finding| finding.found != Found::Ok) {
        match finding.found {
            Found::Problem => tracing::error!(campaign = %id, "{}", finding.line()),
            _ => tracing::warn!(campaign = %id, "{}", finding.line()),
        }
    }
    let word = outcome.as_str();
    match outcome {
        Outcome::Go => tracing::info!(campaign = %id, "the run of {id}: {word}"),
        _ => {
            tracing::error!(campaign = %id, "the run of {id}: {word}; `subah check --run` says why")
        }
    }
    parts.metrics.runs.preflight.with_label_values(&[id.as_str()]).set(outcome.level());
    keep(config, id, now, outcome, &findings)
}

fn keep(
    config: &Config,
    id: &CampaignId,
    now: Timestamp,
    outcome: Outcome,
    findings: &Findings,
) -> Result<()> {
    let path = verdict_path(config, id);
    let doing = || format!("write {}", path.display());
    let at = now.rfc3339(config.zone());
    let told = json!({"campaign": id, "at": at, "outcome": outcome, "findings": findings});
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).with_context(doing)?;
    }
    whole::put_bytes(&path, Sync::No, &serde_json::to_vec_pretty(&told)?).with_context(doing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn it_is_looked_at_half_past_five_five_to_six_and_a_minute_to_six() {
        let text = include_str!("../../../deploy/config.default.toml");
        let config = Config::parse(Path::new("config.default.toml"), text).unwrap();
        let one = &config.campaigns[0];
        let at = |text: &str| {
            let at: Timestamp =
                chrono::DateTime::parse_from_rfc3339(&format!("2026-11-22T{text}+05:30"))
                    .unwrap()
                    .into();
            Moment::at(one, at).map(|(date, moment)| (date.to_string(), moment))
        };
        let of = |moment| Some(("2026-11-22".to_owned(), moment));
        assert_eq!(at("05:29:59"), None);
        assert_eq!(at("05:30:00"), of(Moment::HalfAnHour));
        assert_eq!(at("05:54:59"), of(Moment::HalfAnHour));
        assert_eq!(at("05:55:00"), of(Moment::FiveMinutes));
        assert_eq!(at("05:59:00"), of(Moment::OneMinute));
        assert_eq!(at("05:59:59"), of(Moment::OneMinute));
        assert_eq!(at("06:00:00"), None, "it is too late to warn");
        assert_eq!(at("22:00:00"), None);
    }
}
