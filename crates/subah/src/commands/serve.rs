//! `serve`: the daemon. Binds, opens, says READY; plans each morning; stops in order.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use chrono::NaiveDate;
use domain::Clock;
use ledger::{Phase, maybe_recoverable_since};
use scheduler::daily::Due;
use tokio_util::sync::CancellationToken;

use super::run::plan;
use crate::cli::Role;
use crate::config::Config;
use crate::config::Limits;
use crate::config::secrets::Credentials;
use crate::exit::{Answer, Unavailable};
use crate::morning::{Loops, hindered, interrupted};
use crate::sampler::Sampler;
use crate::supervise::{Loop, Running};
use crate::wire::Parts;
use crate::{http, keeping, notify, wire};

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

    let (parts, config) = (Arc::new(parts), Arc::new(config.clone()));
    let serve_watch = http::supervised(watch, http::watch(&parts), Limits::default(), stop.clone());
    let mut watching = vec![parts.supervisor.run(Loop::Watch, stop.clone(), serve_watch)];
    let mut begin = |which: Loop, make: Make| {
        let (parts_of, config, of_loop) = (Arc::clone(&parts), Arc::clone(&config), stop.clone());
        let begin = move || make(Arc::clone(&parts_of), Arc::clone(&config), of_loop.clone());
        watching.push(parts.supervisor.run(which, stop.clone(), begin));
    };
    begin(Loop::Sampler, sampler);
    begin(Loop::Watchdog, watchdog);
    if has(Role::Scheduler) {
        begin(Loop::Retention, retention);
        begin(Loop::Scheduler, scheduler);
    }
    let loops = Loops::start(&parts, receiver);
    notify::ready("up; the loops begin");
    let names: Vec<String> = roles.iter().map(|role| format!("{role:?}").to_lowercase()).collect();
    tracing::info!(
        "subah {} serves as {}: webhooks on {}, metrics on {}",
        env!("CARGO_PKG_VERSION"),
        names.join(", "),
        config.receiver,
        config.metrics
    );

    let hindered = tokio::select! {
        () = interrupted() => None,
        error = hindered(&parts) => Some(error),
    };
    tracing::info!("stopping: deliveries under way finish, the rest stays in the ledger");
    notify::stopping();
    loops.stop().await;
    stop.cancel();
    for task in watching {
        let _ = task.await;
    }
    tracing::info!("stopped");
    match hindered {
        Some(error) => Err(error).context("nothing more is sent from here"),
        None => Ok(Answer::Yes),
    }
}

/// Begins a loop of the daemon.
type Make = fn(Arc<Parts>, Arc<Config>, CancellationToken) -> Running;

fn sampler(parts: Arc<Parts>, config: Arc<Config>, stop: CancellationToken) -> Running {
    let sampler = Sampler {
        ledger: Arc::clone(&parts.ledger),
        clock: Arc::clone(&parts.clock),
        metrics: Arc::clone(&parts.metrics),
        campaign: config.campaign.id.clone(),
        inbox: parts.inbox.clone(),
        inbox_bytes_max: config.inbox_bytes_max,
    };
    Box::pin(async move {
        sampler.run(stop).await;
        Ok(())
    })
}

fn watchdog(parts: Arc<Parts>, _: Arc<Config>, stop: CancellationToken) -> Running {
    let (progress, clock) = (Arc::clone(&parts.progress), Arc::clone(&parts.clock));
    Box::pin(async move {
        // Only claim loops show progress; without them the runtime itself is watched.
        let pulse = async {
            match parts.journal {
                None => notify::pulse(Arc::clone(&progress), Arc::clone(&clock)).await,
                Some(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            () = pulse => {}
            () = notify::feed_watchdog(Arc::clone(&progress), Arc::clone(&clock), stop) => {}
        }
        Ok(())
    })
}

fn retention(parts: Arc<Parts>, config: Arc<Config>, stop: CancellationToken) -> Running {
    Box::pin(async move {
        keeping::run(&config, &parts, stop).await;
        Ok(())
    })
}

fn scheduler(parts: Arc<Parts>, config: Arc<Config>, stop: CancellationToken) -> Running {
    Box::pin(async move {
        tokio::select! {
            () = mornings(&config, &parts) => {}
            () = stop.cancelled() => {}
        }
        Ok(())
    })
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
                parts.metrics.process.loop_success.of(Loop::Scheduler).set(now);
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
    // Whatever is older needs nothing any more.
    let since = maybe_recoverable_since(parts.clock.now());
    let done: HashSet<NaiveDate> = parts
        .ledger
        .runs_since(since)
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
