//! `serve`: the daemon. Binds, opens, says READY; plans each morning; stops in order.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use chrono::NaiveDate;
use config::CampaignConfig;
use config::Config;
use config::Limits;
use config::secrets::Credentials;
use desk::DeskError;
use domain::{Clock, Timestamp};
use ledger::{Phase, maybe_recoverable_since};
use scheduler::daily::Due;
use tokio_util::sync::CancellationToken;

use crate::interrupt::interrupted;
use crate::loops::{Loops, hindered};
use crate::parts::{self, Parts};
use crate::plan::plan;
use crate::sampler::Sampler;
use crate::supervise::{Loop, Running};
use crate::{
    Role, copies, foresight, http, keeping, notify, number_keeper, preflight, pulls,
    template_keeper, uploads,
};

/// The daily loop looks at least this often: clocks are set and files arrive meanwhile.
const LOOK_MAX: Duration = Duration::from_secs(20);
/// Pause after a plan that failed: the morning is short.
const AGAIN: Duration = Duration::from_secs(5);

/// Until SIGTERM, or until something hinders this process from sending.
///
/// # Errors
/// When a port is taken, the folder is another process's, or the ledger is not ours to write to.
pub async fn serve(config: &Config, roles: &[Role]) -> Result<()> {
    let has = |role: Role| roles.contains(&role);
    let watch = http::bind(config.metrics, "metrics.listen").await?;
    let Some(parts) = own_folder(config, roles).await? else {
        return Ok(());
    };
    parts::note_holder(config, "serve");
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
        OF_THE_SCHEDULER.into_iter().for_each(|(which, make)| begin(which, make));
    }
    let loops = Loops::start(&parts, receiver);
    notify::ready(&config.tenant, "up; the loops begin");
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
        None => Ok(()),
    }
}

/// The loops of a process that plans.
const OF_THE_SCHEDULER: [(Loop, Make); 9] = [
    (Loop::Retention, |parts, config, stop| {
        until_stopped(async move { keeping::run(&config, &parts, stop).await })
    }),
    (Loop::Scheduler, |parts, config, stop| {
        until_stopped(async move {
            stop.run_until_cancelled(mornings(&config, &parts)).await;
        })
    }),
    (Loop::Copies, |parts, config, stop| {
        until_stopped(async move { copies::run(&config, &parts, stop).await })
    }),
    (Loop::Foresight, |parts, config, stop| {
        until_stopped(async move { foresight::run(&config, &parts, stop).await })
    }),
    (Loop::TemplateKeeper, |parts, config, stop| {
        until_stopped(async move { template_keeper::run(&config, &parts, stop).await })
    }),
    (Loop::NumberKeeper, |parts, config, stop| {
        until_stopped(async move { number_keeper::run(&config, &parts, stop).await })
    }),
    (Loop::Preflight, |parts, config, stop| {
        until_stopped(async move { preflight::run(&config, &parts, stop).await })
    }),
    (Loop::Pulls, |parts, config, stop| {
        until_stopped(async move { pulls::run(&config, &parts, stop).await })
    }),
    (Loop::Uploads, |parts, config, stop| {
        until_stopped(async move { uploads::run(&config, &parts, stop).await })
    }),
];

/// Begins a loop of the daemon.
type Make = fn(Arc<Parts>, Arc<Config>, CancellationToken) -> Running;

fn sampler(parts: Arc<Parts>, config: Arc<Config>, stop: CancellationToken) -> Running {
    let sampler = Sampler {
        ledger: Arc::clone(&parts.ledger),
        clock: Arc::clone(&parts.clock),
        metrics: Arc::clone(&parts.metrics),
        campaigns: config.campaigns.clone(),
        inbox: parts.inbox.clone(),
        inbox_bytes_max: config.inbox_bytes_max,
    };
    until_stopped(async move { sampler.run(stop).await })
}

fn watchdog(parts: Arc<Parts>, config: Arc<Config>, stop: CancellationToken) -> Running {
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
            () = notify::feed_watchdog(Arc::clone(&progress), Arc::clone(&clock), config.tenant.clone(), stop) => {}
        }
        Ok(())
    })
}

/// A loop that ends only when it is asked to.
fn until_stopped(work: impl Future<Output = ()> + Send + 'static) -> Running {
    Box::pin(async move {
        work.await;
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
        if !parts::is_with_a_run(config) {
            let dir = config.state_dir.display();
            let why = format!("{dir} belongs to another subah that is running");
            return Err(DeskError::Unavailable(why).into());
        }
        if !said {
            tracing::warn!(
                "a foreground `subah run` has this folder; the daemon goes on when it has ended"
            );
            notify::ready(&config.tenant, "waits for a foreground run to end");
            said = true;
        }
        notify::alive(&config.tenant);
        tokio::select! {
            () = &mut interrupted => return Ok(None),
            () = tokio::time::sleep(FOLDER_LOOK) => {}
        }
    }
}

/// How often a folder that another process has is looked at; feeds the watchdog meanwhile.
const FOLDER_LOOK: Duration = Duration::from_secs(1);

/// Plans each date's run of each campaign when it is due; never ends. A campaign whose plan fails
/// holds up no other.
async fn mornings(config: &Config, parts: &Parts) {
    let mut next: Vec<Next> = config.campaigns.iter().map(|_| Next::Over).collect();
    loop {
        let (mut pause, mut good) = (LOOK_MAX, true);
        for (one, next) in config.campaigns.iter().zip(&mut next) {
            let id = &one.campaign.id;
            match morning(config, one, parts).await {
                Ok((rest, then)) => {
                    pause = pause.min(rest);
                    *next = then;
                }
                Err(error) => {
                    good = false;
                    pause = pause.min(AGAIN);
                    tracing::error!(campaign = %id, error = format!("{error:#}"), "plan the run of {id}: {error:#}");
                }
            }
        }
        if good {
            let now = parts.clock.now().secs_f64();
            parts.metrics.process.loop_success.of(Loop::Scheduler).set(now);
        }
        say_next(config, &next).await;
        tokio::time::sleep(pause).await;
    }
}

/// What a campaign waits for.
#[derive(Clone, Copy, Debug)]
enum Next {
    Plan { at: Timestamp, date: NaiveDate },
    Over,
}

async fn say_next(config: &Config, next: &[Next]) {
    let mut ahead = Vec::new();
    for (one, next) in config.campaigns.iter().zip(next) {
        if let Next::Plan { at, date } = next {
            ahead.push((*at, *date, one));
        }
    }
    let words = match ahead.into_iter().min_by_key(|next| next.0) {
        Some((at, date, one)) => {
            let (id, at) = (&one.campaign.id, at.rfc3339(one.daily.window.zone));
            format!("next: the run of {id} of {date} is planned at {at}")
        }
        None => "no campaign has a further date".to_owned(),
    };
    notify::status(&config.tenant, words).await;
}

/// Does what is due now; returns how long to rest, and what comes then.
async fn morning(config: &Config, one: &CampaignConfig, parts: &Parts) -> Result<(Duration, Next)> {
    let prefix = format!("{}@", one.campaign.id);
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
    match one.daily.due(now, |date| done.contains(&date)) {
        Due::Now { date, window, stop_at } => {
            plan(config, one, parts, date, window, stop_at).await?;
            Ok((Duration::ZERO, Next::Plan { at: now, date }))
        }
        Due::Wait { until, date } => {
            Ok((until.since(now).min(LOOK_MAX), Next::Plan { at: until, date }))
        }
        Due::Over => Ok((LOOK_MAX, Next::Over)),
    }
}
