//! `serve`: the daemon. Binds, opens, says READY; plans each morning; stops in order.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use chrono::NaiveDate;
use domain::Clock;
use ledger::Phase;
use scheduler::daily::Due;
use tokio_util::sync::CancellationToken;

use super::run::plan;
use crate::cli::Role;
use crate::config::Config;
use crate::config::Limits;
use crate::config::secrets::Credentials;
use crate::exit::{Answer, Unavailable};
use crate::morning::{Loops, interrupted, superseded};
use crate::sampler::Sampler;
use crate::wire::Parts;
use crate::{http, notify, wire};

/// The daily loop looks at least this often: clocks are set and files arrive meanwhile.
const LOOK_MAX: Duration = Duration::from_secs(20);
/// Pause after a plan that failed: the morning is short.
const AGAIN: Duration = Duration::from_secs(5);

pub async fn run(config: &Config, roles: &[Role]) -> Result<Answer> {
    let has = |role: Role| roles.contains(&role);
    let watch = http::bind(config.metrics, "metrics.listen").await?;
    let Some(parts) = own_folder(config, roles).await? else {
        return Ok(Answer::Yes);
    };
    wire::note_holder(config, "serve");
    let receiver = match has(Role::Receiver) {
        true => Some(http::bind(config.receiver, "receiver.listen").await?),
        false => None,
    };
    let stop = CancellationToken::new();

    let watching =
        tokio::spawn(http::serve(watch, http::watch(&parts), Limits::default(), stop.clone()));
    let sampler = Sampler {
        ledger: Arc::clone(&parts.ledger),
        clock: Arc::clone(&parts.clock),
        metrics: Arc::clone(&parts.metrics),
        campaign: config.campaign.id.clone(),
    };
    let sampling = tokio::spawn(sampler.run(stop.clone()));
    let (progress, clock) = (Arc::clone(&parts.progress), Arc::clone(&parts.clock));
    if !has(Role::Sender) {
        // Only claim loops show progress; without them the runtime itself is watched.
        tokio::spawn(notify::pulse(Arc::clone(&progress), Arc::clone(&clock)));
    }
    let feeding = tokio::spawn(notify::feed_watchdog(progress, clock, stop.clone()));
    let loops = Loops::start(&parts, receiver)?;
    notify::ready("up; the loops begin");
    let names: Vec<String> = roles.iter().map(|role| format!("{role:?}").to_lowercase()).collect();
    tracing::info!(
        "subah {} serves as {}: webhooks on {}, metrics on {}",
        env!("CARGO_PKG_VERSION"),
        names.join(", "),
        config.receiver,
        config.metrics
    );

    let planning = async {
        match has(Role::Scheduler) {
            true => mornings(config, &parts).await,
            false => std::future::pending().await,
        }
    };
    let newer = tokio::select! {
        () = interrupted() => None,
        () = planning => None,
        error = superseded(parts.ledger.as_ref()) => Some(error),
    };
    tracing::info!("stopping: deliveries under way finish, the rest stays in the ledger");
    notify::stopping();
    loops.stop().await;
    stop.cancel();
    for task in [watching, sampling, feeding] {
        let _ = task.await;
    }
    tracing::info!("stopped");
    match newer {
        Some(error) => Err(error).context("nothing more is sent from here"),
        None => Ok(Answer::Yes),
    }
}

/// The parts with the folder's journal and inbox. A foreground `run` that has them is waited
/// for: the timer may have started it while the daemon was away. `None`: asked to stop.
async fn own_folder(config: &Config, roles: &[Role]) -> Result<Option<Parts>> {
    let interrupted = interrupted();
    tokio::pin!(interrupted);
    let mut said = false;
    loop {
        // Read each time: a token may be replaced while a foreground run is waited for.
        let credentials = Credentials::load(&config.credentials)?;
        let parts = Parts::new(config, credentials, roles).await?;
        let missing = (roles.contains(&Role::Receiver) && parts.inbox.is_none())
            || (roles.contains(&Role::Sender) && parts.journal.is_none());
        if !missing {
            return Ok(Some(parts));
        }
        if !wire::is_with_a_run(config) {
            let dir = config.state_dir.display();
            return Err(
                Unavailable(format!("{dir} belongs to another subah that is running")).into()
            );
        }
        if !said {
            tracing::warn!(
                "a foreground `subah run` has this folder; the daemon goes on when it has ended"
            );
            notify::ready("waits for a foreground run to end");
            said = true;
        }
        notify::alive();
        tokio::select! {
            () = &mut interrupted => return Ok(None),
            () = tokio::time::sleep(FOLDER_LOOK) => {}
        }
    }
}

/// How often a folder that another process has is looked at; feeds the watchdog meanwhile.
const FOLDER_LOOK: Duration = Duration::from_secs(1);

/// Plans each date's run when it is due; never ends.
async fn mornings(config: &Config, parts: &Parts) {
    loop {
        let pause = match morning(config, parts).await {
            Ok(pause) => {
                let now = parts.clock.now().secs_f64();
                parts.metrics.loop_success.with_label_values(&["scheduler"]).set(now);
                pause
            }
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "plan the morning: {error:#}");
                AGAIN
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// Does what is due now; returns how long to sleep.
async fn morning(config: &Config, parts: &Parts) -> Result<Duration> {
    let prefix = format!("{}@", config.campaign.id);
    let done: HashSet<NaiveDate> = parts
        .ledger
        .runs()
        .await?
        .iter()
        .filter(|run| run.phase != Phase::Planning)
        .filter_map(|run| run.header.id.as_str().strip_prefix(&prefix)?.parse().ok())
        .collect();
    let now = parts.clock.now();
    match config.daily.due(now, |date| done.contains(&date)) {
        Due::Now { date, window, stop_at } => {
            plan(config, parts, date, window, stop_at).await?;
            Ok(Duration::ZERO)
        }
        Due::Wait { until, date } => {
            let zone = config.daily.window.zone;
            notify::status(format!(
                "next: the run of {date} is planned at {}",
                until.rfc3339(zone)
            ))
            .await;
            Ok(until.since(now).min(LOOK_MAX))
        }
    }
}
