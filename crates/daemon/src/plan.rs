//! A date's run is planned, or planned anew, from what is imported.

use anyhow::{Context, Result};
use chrono::NaiveDate;
use config::secrets::Credentials;
use config::{CampaignConfig, Config};
use desk::files::Files;
use desk::{DeskError, Mode, Told, did, runs};
use domain::{RunId, Timestamp, Window};
use ledger::{Ledger, Phase, Run, why_kept};
use scheduler::capacity::Capacity;
use scheduler::{Plan, Snapshot};

use crate::clocks;
use crate::parts::Parts;

/// Plans a date from the imported files.
///
/// # Errors
/// When a clock is in doubt, files cannot be read, or the store does not answer.
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
        return Err(DeskError::Unavailable(why).into());
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

/// Plans a sealed run anew; the new plan is made and looked at before the old one goes.
///
/// # Errors
/// When the run or its campaign is not there, files cannot be read, or the store does not answer.
pub async fn replan(
    config: &Config,
    ledger: &dyn Ledger,
    run: &str,
    why: &str,
    mode: Mode,
) -> Result<Told> {
    let run = runs::named(config, ledger, run, why).await?;
    let id = &run.header.id;
    let one = config
        .campaign_of(id)
        .with_context(|| format!("{id} is of no campaign that is configured"))?;
    let taken = Files::of(config).snapshot(config, one, id.date()).await?;
    let kept = why_kept(&run, &ledger.counts(id).await?, ledger.now().await?);
    if let Some(kept) = kept {
        return Ok(Told::no(format!("{id} is not planned anew: {kept}")));
    }
    if taken.snapshot.hash == run.header.snapshot && run.phase == Phase::Open {
        return Ok(Told::yes(format!("{id} is planned from these very files; nothing to do")));
    }
    if mode == Mode::DryRun {
        return Ok(would_be(&run, &taken.snapshot, ledger.now().await?));
    }
    let parts = Parts::new(config, Credentials::load(&config.credentials)?, &[]).await?;
    did::note(config, &format!("run {id} is planned anew: {why}"))?;
    let mut planned = parts.replan(config, &taken.snapshot, &run).await?.run;
    if run.phase == Phase::Paused {
        // Before the opening: nothing was sent meanwhile.
        planned = ledger.set_phase(id, Phase::Paused).await?;
    }
    let (before, n, phase) = (run.header.total, planned.cursor, planned.phase.as_str());
    Ok(Told::yes(format!("{id}: {before} planned before, {n} now; it is {phase}")))
}

/// What a new plan would change.
fn would_be(run: &Run, snapshot: &Snapshot, now: Timestamp) -> Told {
    let id = &run.header.id;
    let plan = Plan::new(snapshot, id.clone(), run.header.window, now);
    let sendable = (0..plan.total()).filter(|index| plan.at(*index).call.is_ok()).count();
    let (before, total) = (run.header.total, plan.total());
    let stays = match run.phase {
        Phase::Paused => "it stays paused",
        Phase::Cancelled => "it is cancelled, and would be sent after all",
        _ => "it is open",
    };
    let mut told = Told::yes(format!("{id}: {stays}"));
    told.say(format!(
        "{id}: {before} planned before, {total} now, {sendable} of them to be sent; `subah plan` shows more, --yes does it"
    ));
    told.with(desk::Answer::from_bool(sendable > 0))
}
