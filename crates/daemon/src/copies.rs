//! Keeps this host's copies of lists and content as new as the records, so that a plan needs no
//! database: what was imported on another host is here a minute later.

use std::collections::BTreeSet;
use std::time::Duration;

use config::Config;
use desk::files::Files;
use desk::sets::Set;
use domain::Clock;
use scheduler::daily::Due;
use telemetry::Fault;
use telemetry::labels::Loop;
use tokio_util::sync::CancellationToken;

use crate::parts::Parts;

/// How often the records are asked whether they have anything newer.
const EVERY: Duration = Duration::from_secs(60);

/// Until `stop`.
pub async fn run(config: &Config, parts: &Parts, stop: CancellationToken) {
    let (files, mut fault) = (Files::of(config), Fault::default());
    loop {
        if stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_none() {
            return;
        }
        let sets = wanted(config, parts.clock.as_ref());
        match files.try_refresh(config, &sets).await {
            Ok(()) => {
                if let Some(met) = fault.over() {
                    tracing::info!(
                        "lists and content are brought up to date again; {met} tries had failed"
                    );
                }
                let now = parts.clock.now().secs_f64();
                parts.metrics.process.loop_success.of(Loop::Copies).set(now);
            }
            Err(error) => {
                let chain = error.chain();
                if fault.met(&chain) {
                    tracing::error!(
                        error = chain,
                        "lists and content of this host may be old: {chain}"
                    );
                }
            }
        }
    }
}

/// All lists, and the content of each campaign's next run and of the one after.
fn wanted(config: &Config, clock: &dyn Clock) -> Vec<Set> {
    let mut sets = BTreeSet::new();
    for one in &config.campaigns {
        sets.extend(one.audience.lists().into_iter().map(Set::Recipients));
        let due = |due| match due {
            Due::Now { date, .. } | Due::Wait { date, .. } => Some(date),
            Due::Over => None,
        };
        let now = clock.now();
        let first = due(one.daily.due(now, |_| false));
        let second = due(one.daily.due(now, |date| Some(date) == first));
        let dates = [first, second].into_iter().flatten();
        sets.extend(dates.map(|date| Set::Content(one.campaign.id.clone(), date)));
    }
    sets.into_iter().collect()
}
