//! `run`: plan and send one date in the foreground.

use std::time::Duration;

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use chrono::NaiveDate;
use config::secrets::Credentials;
use config::{CampaignConfig, Config, parse_time};
use domain::{Clock, RunId, State, SystemClock, Timestamp, Window};
use ledger::{Ledger, Phase, Run, lanes};
use scheduler::capacity::Capacity;
use scheduler::daily::{Daily, Due};
use scheduler::{Plan, Snapshot};

use super::one;
use crate::cli::{ReportFormat, Role, RunArgs};
use crate::exit::{Answer, Unavailable, WrongUse};
use crate::files::{self, Files};
use crate::morning::{Ended, Loops, Until, follow, hindered, interrupted};
use crate::wire::Parts;
use crate::{clocks, http, output, store, wire};

pub async fn run(config: &Config, args: &RunArgs) -> Result<Answer> {
    let date = files::date(&args.date, config)?;
    let Some(one) = meant(config, args)? else {
        println!("no campaign is due now; nothing to do");
        return Ok(Answer::Yes);
    };
    let id = RunId::new(&one.campaign.id, date);
    if let Some(why) = one.daily.days.why_not(date) {
        println!("{id}: there is no run, {why}; nothing to do");
        return Ok(Answer::from_bool(args.if_not_started));
    }
    if args.stop {
        return stop(config, &id).await;
    }
    let parts =
        Arc::new(Parts::new(config, Credentials::load(&config.credentials)?, &Role::ALL).await?);
    let now = parts.ledger.now().await?;
    let zone = config.zone();
    tracing::info!(run = %id, "run {id}: it is {} in {zone}", now.rfc3339(zone));
    let existing = parts.ledger.run(&id).await?;
    if args.if_not_started
        && let Some(run) = &existing
        && let Some(why) = needs_nobody(parts.ledger.as_ref(), run, now).await?
    {
        println!("{id} {why}; nothing to do");
        return Ok(Answer::Yes);
    }
    if let Some(run) = &existing
        && matches!(run.phase, Phase::Paused | Phase::Cancelled)
    {
        let (phase, way) = match run.phase {
            Phase::Paused => ("paused by hand", "runs resume"),
            _ => ("cancelled", "runs replan, before its window opens,"),
        };
        println!("{id} is {phase}; `subah {way}` lets it go on");
        return Ok(Answer::No);
    }
    let window = one.daily.window.on(date).context("the zone has no such date")?;
    let stop_at = latest(&one.daily, args, &window)?;
    let begin = window.opens - one.daily.plan_lead;
    if now < begin && existing.is_none() {
        bail!(
            "{id} is not planned yet: its window opens {}, and it is planned from {} on, so that lists and content can still come; `subah plan --date {date}` shows it",
            window.opens.rfc3339(zone),
            begin.rfc3339(zone)
        );
    }
    if now >= stop_at {
        bail!("{id} was not begun: it is past {} in {zone}", stop_at.rfc3339(zone));
    }
    let stop_at = if now <= window.opens { window.deadline.min(stop_at) } else { stop_at };
    let run = plan(config, one, &parts, date, window, stop_at).await?;
    send(config, &parts, &run, args.format).await
}

/// Why a run needs no other sender: one is alive now, or there is nothing to send. That a
/// sender once had it is no reason.
async fn needs_nobody(
    ledger: &dyn Ledger,
    run: &Run,
    now: Timestamp,
) -> Result<Option<&'static str>> {
    let id = &run.header.id;
    match run.phase {
        Phase::Closed => return Ok(Some("is over")),
        Phase::Cancelled => return Ok(Some("is cancelled")),
        Phase::Paused => return Ok(Some("is paused by hand")),
        Phase::Planning | Phase::Open => {}
    }
    if run.phase == Phase::Open && ledger.counts(id).await?.open() == 0 {
        return Ok(Some("has nothing left to send"));
    }
    if lanes::read(ledger).await?.any_held(&run.header.lanes, now) {
        return Ok(Some("has a sender that is alive"));
    }
    if let Some(at) = run.started_at {
        tracing::error!(run = %id, "run {id} had a sender at {at}, and none is alive now: it is taken over");
    }
    Ok(None)
}

/// The campaign that is named, or the only one. A timer names none: then the one that is due now.
fn meant<'a>(config: &'a Config, args: &RunArgs) -> Result<Option<&'a CampaignConfig>> {
    if !args.if_not_started || config.named.is_some() || config.campaigns.len() == 1 {
        return one(config).map(Some);
    }
    let now = SystemClock.now();
    let is_due = |one: &&CampaignConfig| matches!(one.daily.due(now, |_| false), Due::Now { .. });
    let due: Vec<&CampaignConfig> = config.campaigns.iter().filter(is_due).collect();
    match due.len() {
        0 | 1 => Ok(due.first().copied()),
        _ => one(config).map(Some), // says that one has to be named
    }
}

/// Pauses the run for whoever sends it, and waits until nothing is in a sender's hands.
async fn stop(config: &Config, id: &RunId) -> Result<Answer> {
    let ledger = store::open(config).await?;
    let Some(run) = ledger.run(id).await? else {
        println!("{id} is not planned; there is nothing to stop");
        return Ok(Answer::No);
    };
    if !matches!(run.phase, Phase::Open | Phase::Paused) {
        println!("{id} is {}; there is nothing to stop", run.phase.as_str());
        return Ok(Answer::from_bool(run.phase != Phase::Planning));
    }
    output::record(config, "did", &format!("run {id} becomes paused: run --stop"))?;
    ledger.set_phase(id, Phase::Paused).await?;
    let interrupted = interrupted();
    tokio::pin!(interrupted);
    loop {
        while ledger.sweep(id, SWEEP).await?.more {} // leases of senders that are gone
        let counts = ledger.counts(id).await?;
        let flying = counts.sum(|state| matches!(state, State::Leased | State::Intent));
        if flying == 0 {
            let open = counts.open();
            println!(
                "{id} is stopped: nothing is under way, {open} are open; `subah runs resume {id}` goes on, `subah runs cancel {id}` ends it"
            );
            return Ok(Answer::Yes);
        }
        tokio::select! {
            () = &mut interrupted => {
                println!("{id} is paused; {flying} are still under way");
                return Ok(Answer::No);
            }
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// Deliveries looked at in one ledger call.
const SWEEP: usize = 1_000;

/// How often it is looked whether what is under way is answered.
const LOOK: Duration = Duration::from_millis(200);

/// Nothing starts after this: `--not-after`, or the configured end of catching up.
fn latest(daily: &Daily, args: &RunArgs, window: &Window) -> Result<Timestamp> {
    let Some(text) = &args.not_after else { return Ok(daily.latest_start(window)) };
    let time = parse_time(text).with_context(|| format!("--not-after {text:?}: expected HH:MM"))?;
    let Ok(span) = (time - daily.window.opens).to_std() else {
        let opens = daily.window.opens;
        bail!(WrongUse(format!("--not-after {text} lies before the window opens at {opens}")));
    };
    Ok(window.opens + span)
}

/// Plans a date from the imported files. Shared with the daily loop.
pub async fn plan(
    config: &Config,
    one: &CampaignConfig,
    parts: &Parts,
    date: NaiveDate,
    window: Window,
    stop_at: Timestamp,
) -> Result<Run> {
    let id = RunId::new(&one.campaign.id, date);
    if parts.ledger.run(&id).await?.is_none()
        && let Some(doubt) = clocks::doubt(config, parts).await
    {
        let why = format!("run {id} is not planned: {doubt}; put the clock right by NTP");
        return Err(Unavailable(why).into());
    }
    let taken = Files::of(config).snapshot(config, one, date).await?;
    let now = parts.clock.now();
    warn_of_capacity(&taken.snapshot, &id, window, now);
    let planned = parts.plan(config, &taken.snapshot, &id, window, stop_at, &|_| {}).await?;
    if planned.differs {
        tracing::warn!(run = %id, "run {id} was planned from other files than the present ones; that plan stands");
    }
    tracing::info!(run = %id, planned = planned.run.cursor, "run {id} is planned: {} deliveries", planned.run.cursor);
    Ok(planned.run)
}

/// A plan that does not fit is still sent: late is better than never, but not unsaid.
fn warn_of_capacity(snapshot: &Snapshot, id: &RunId, window: Window, now: Timestamp) {
    let capacity = Capacity::of(&Plan::new(snapshot, id.clone(), window, now));
    if !capacity.fits() {
        let (have, need) = (capacity.lanes.len(), capacity.numbers_needed);
        tracing::error!(run = %id, have, need, "run {id} does not fit its window: {need} numbers are needed, {have} are there");
    }
}

async fn send(
    config: &Config,
    parts: &Arc<Parts>,
    run: &Run,
    format: ReportFormat,
) -> Result<Answer> {
    let id = &run.header.id;
    if parts.journal.is_none() {
        // Two senders would each use a number's whole rate; the one that runs takes it up.
        println!("{id} is planned; another subah is running here and sends it");
        return Ok(Answer::Yes);
    }
    let listener = match parts.inbox {
        Some(_) => Some(http::bind(config.receiver, "receiver.listen").await?),
        None => None, // a receiver of its own runs beside us
    };
    wire::note_holder(config, "run");
    let loops = Loops::start(parts, listener);
    let mut hindrance = None;
    let stopped = async {
        tokio::select! {
            () = interrupted() => {}
            error = hindered(parts) => hindrance = Some(error),
        }
    };
    let ended = follow(parts, id, Until::Settled, stopped).await;
    loops.stop().await;
    if let Some(error) = hindrance {
        return Err(error).context("nothing more is sent from here");
    }
    if ended == Ended::Interrupted {
        println!("{id} was interrupted; start the same command again to finish it");
        return Ok(Answer::No);
    }
    let run = parts.ledger.run(id).await?.context("the run is gone from the ledger")?;
    let report = status::sla::report(parts.ledger.as_ref(), &run).await?;
    let verdict = status::sla::verdict(&report, &run, parts.ledger.now().await?);
    match format {
        ReportFormat::Json => output::json(&report)?,
        ReportFormat::Text => print!("{}", output::report_text(&report, &verdict)),
    }
    Ok(Answer::from_bool(report.sla.met))
}
