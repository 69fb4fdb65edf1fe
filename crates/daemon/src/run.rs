//! One date's run in the foreground: planned, sent, followed until nothing is left to wait for.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use config::secrets::Credentials;
use config::{CampaignConfig, Config, parse_time};
use desk::{Answer, DeskError, Told, did, named, store};
use domain::{Clock, RunId, State, SystemClock, Timestamp, Window};
use ledger::{Counts, Ledger, Phase, Run, lanes};
use scheduler::daily::{Daily, Due};
use status::Report;
use status::sla::Verdict;

use crate::interrupt::interrupted;
use crate::loops::{Ended, Loops, Until, follow, hindered};
use crate::parts::{self, Parts};
use crate::plan::plan;
use crate::{Role, http};

/// Which run, and when it may begin.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// today, tomorrow, yesterday or yyyy-mm-dd.
    pub date: String,
    /// Nothing is done where a sender is alive, or nothing is due: for timers.
    pub if_not_started: bool,
    /// HH:MM; nothing starts after it.
    pub not_after: Option<String>,
}

/// How it ended.
pub enum Ran {
    /// There was nothing to do, or it was not done.
    Told(Told),
    Over(Box<Report>, Verdict),
}

/// Plans and sends one date; `show` sees how far the run is.
///
/// # Errors
/// When it is too early or too late, credentials or files are missing, or the store does not answer.
pub async fn run(
    config: &Config,
    wish: &Wish,
    show: &(dyn Fn(&Run, &Counts) + Sync),
) -> Result<Ran> {
    let date = named::date(&wish.date, config)?;
    let Some(one) = meant(config, wish)? else {
        return Ok(Ran::Told(Told::yes("no campaign is due now; nothing to do")));
    };
    let id = RunId::new(&one.campaign.id, date);
    if let Some(why) = one.daily.days.why_not(date) {
        let told = Told::yes(format!("{id}: there is no run, {why}; nothing to do"));
        return Ok(Ran::Told(told.with(Answer::from_bool(wish.if_not_started))));
    }
    let parts =
        Arc::new(Parts::new(config, Credentials::load(&config.credentials)?, &Role::ALL).await?);
    let now = parts.ledger.now().await?;
    let zone = config.zone();
    tracing::info!(run = %id, "run {id}: it is {} in {zone}", now.rfc3339(zone));
    let existing = parts.ledger.run(&id).await?;
    if let Some(told) = needs_no_run(wish, parts.ledger.as_ref(), existing.as_ref(), now).await? {
        return Ok(Ran::Told(told));
    }
    let window = one.daily.window.on(date).context("the zone has no such date")?;
    let stop_at = latest(&one.daily, wish, &window)?;
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
    send(config, &parts, &run, show).await
}

/// What is said instead of sending a run that is there already.
async fn needs_no_run(
    wish: &Wish,
    ledger: &dyn Ledger,
    existing: Option<&Run>,
    now: Timestamp,
) -> Result<Option<Told>> {
    let Some(run) = existing else { return Ok(None) };
    let id = &run.header.id;
    if wish.if_not_started
        && let Some(why) = needs_nobody(ledger, run, now).await?
    {
        return Ok(Some(Told::yes(format!("{id} {why}; nothing to do"))));
    }
    let (phase, way) = match run.phase {
        Phase::Paused => ("paused by hand", "runs resume"),
        Phase::Cancelled => ("cancelled", "runs replan, before its window opens,"),
        _ => return Ok(None),
    };
    Ok(Some(Told::no(format!("{id} is {phase}; `subah {way}` lets it go on"))))
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
fn meant<'a>(config: &'a Config, wish: &Wish) -> Result<Option<&'a CampaignConfig>> {
    if !wish.if_not_started || config.named.is_some() || config.campaigns.len() == 1 {
        return Ok(Some(named::campaign(config)?));
    }
    let now = SystemClock.now();
    let is_due = |one: &&CampaignConfig| matches!(one.daily.due(now, |_| false), Due::Now { .. });
    let due: Vec<&CampaignConfig> = config.campaigns.iter().filter(is_due).collect();
    match due.len() {
        0 | 1 => Ok(due.first().copied()),
        _ => Ok(Some(named::campaign(config)?)), // says that one has to be named
    }
}

/// Pauses the run of a date for whoever sends it, and waits until nothing is in a sender's hands.
///
/// # Errors
/// When the date makes no sense, or the store does not answer.
pub async fn stop(config: &Config, date: &str) -> Result<Told> {
    let date = named::date(date, config)?;
    let id = &RunId::new(&named::campaign(config)?.campaign.id, date);
    let ledger = store::open(config).await?;
    let Some(run) = ledger.run(id).await? else {
        return Ok(Told::no(format!("{id} is not planned; there is nothing to stop")));
    };
    if !matches!(run.phase, Phase::Open | Phase::Paused) {
        let words = format!("{id} is {}; there is nothing to stop", run.phase.as_str());
        return Ok(Told::yes(words).with(Answer::from_bool(run.phase != Phase::Planning)));
    }
    did::note(config, &format!("run {id} becomes paused: run --stop"))?;
    ledger.set_phase(id, Phase::Paused).await?;
    let interrupted = interrupted();
    tokio::pin!(interrupted);
    loop {
        while ledger.sweep(id, SWEEP).await?.more {} // leases of senders that are gone
        let counts = ledger.counts(id).await?;
        let flying = counts.sum(|state| matches!(state, State::Leased | State::Intent));
        if flying == 0 {
            let open = counts.open();
            return Ok(Told::yes(format!(
                "{id} is stopped: nothing is under way, {open} are open; `subah runs resume {id}` goes on, `subah runs cancel {id}` ends it"
            )));
        }
        tokio::select! {
            () = &mut interrupted => {
                return Ok(Told::no(format!("{id} is paused; {flying} are still under way")));
            }
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// Deliveries looked at in one ledger call.
const SWEEP: usize = 1_000;

/// How often it is looked whether what is under way is answered.
const LOOK: Duration = Duration::from_millis(200);

/// Nothing starts after this: what was wished, or the configured end of catching up.
fn latest(daily: &Daily, wish: &Wish, window: &Window) -> Result<Timestamp> {
    let Some(text) = &wish.not_after else { return Ok(daily.latest_start(window)) };
    let time = parse_time(text).with_context(|| format!("--not-after {text:?}: expected HH:MM"))?;
    let Ok(span) = (time - daily.window.opens).to_std() else {
        let opens = daily.window.opens;
        let why = format!("--not-after {text} lies before the window opens at {opens}");
        return Err(DeskError::WrongUse(why).into());
    };
    Ok(window.opens + span)
}

async fn send(
    config: &Config,
    parts: &Arc<Parts>,
    run: &Run,
    show: &(dyn Fn(&Run, &Counts) + Sync),
) -> Result<Ran> {
    let id = &run.header.id;
    if parts.journal.is_none() {
        // Two senders would each use a number's whole rate; the one that runs takes it up.
        let words = format!("{id} is planned; another subah is running here and sends it");
        return Ok(Ran::Told(Told::yes(words)));
    }
    let listener = match parts.inbox {
        Some(_) => Some(http::bind(config.receiver, "receiver.listen").await?),
        None => None, // a receiver of its own runs beside us
    };
    parts::note_holder(config, "run");
    let loops = Loops::start(parts, listener);
    let mut hindrance = None;
    let stopped = async {
        tokio::select! {
            () = interrupted() => {}
            error = hindered(parts) => hindrance = Some(error),
        }
    };
    let ended = follow(parts, id, Until::Settled, show, stopped).await;
    loops.stop().await;
    if let Some(error) = hindrance {
        return Err(error).context("nothing more is sent from here");
    }
    if ended == Ended::Interrupted {
        let words = format!("{id} was interrupted; start the same command again to finish it");
        return Ok(Ran::Told(Told::no(words)));
    }
    let run = parts.ledger.run(id).await?.context("the run is gone from the ledger")?;
    let report = status::sla::report(parts.ledger.as_ref(), &run).await?;
    let verdict = status::sla::verdict(&report, &run, parts.ledger.now().await?);
    Ok(Ran::Over(Box::new(report), verdict))
}
