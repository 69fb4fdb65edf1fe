//! `runs list|show|pause|resume|cancel|replan|export|purge`.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use config::Config;
use config::secrets::Credentials;
use domain::State;
use domain::retention::Retention;
use ledger::{Discarded, Ledger, Phase, Run, why_kept};
use scheduler::Plan;

use super::{find_run, not_started};
use crate::cli::{RunAct, Runs};
use crate::exit::{Answer, WrongUse};
use crate::files::Files;
use crate::wire::Parts;
use crate::{archive, keeping, output, store};

pub async fn run(config: &Config, command: &Runs) -> Result<Answer> {
    if !store::exists(config) {
        bail!("no run was ever planned here: there is no ledger yet");
    }
    let ledger = store::open(config).await?;
    let ledger = ledger.as_ref();
    match command {
        Runs::List { format } => {
            let mut rows = Vec::new();
            for run in ledger.runs().await? {
                rows.push(row(config, ledger, &run).await?);
            }
            output::rows(format.format, &COLUMNS, &rows)?;
            Ok(Answer::Yes)
        }
        Runs::Show { run, format } => match find_run(config, ledger, run).await? {
            None => not_started(config, run),
            Some(run) => {
                let values = row(config, ledger, &run).await?;
                let rows =
                    COLUMNS.iter().zip(values).map(|(name, value)| vec![(*name).to_owned(), value]);
                let rows: Vec<Vec<String>> = rows.collect();
                output::rows(format.format, &["what", "value"], &rows)?;
                Ok(Answer::Yes)
            }
        },
        Runs::Pause(act) => change(config, ledger, act, Phase::Paused).await,
        Runs::Resume(act) => change(config, ledger, act, Phase::Open).await,
        Runs::Cancel(act) => change(config, ledger, act, Phase::Cancelled).await,
        Runs::Replan(act) => replan(config, ledger, act).await,
        Runs::Export { run, dir } => export(config, ledger, run, dir.as_deref()).await,
        Runs::Purge { older_than_days, reason, yes } => {
            purge(config, ledger, *older_than_days, reason, *yes).await
        }
    }
}

async fn export(
    config: &Config,
    ledger: &dyn Ledger,
    run: &str,
    dir: Option<&Path>,
) -> Result<Answer> {
    let Some(run) = find_run(config, ledger, run).await? else {
        return not_started(config, run);
    };
    let dir = dir.map_or_else(|| config.state_dir.join("exports"), Path::to_owned);
    let done = archive::export(ledger, &run, &dir).await?;
    println!(
        "{}: {} deliveries in {}, sha256 {:.12}…",
        run.header.id,
        done.deliveries,
        done.path.display(),
        done.sha256
    );
    Ok(Answer::Yes)
}

/// What the daemon does each night, now or for another age.
async fn purge(
    config: &Config,
    ledger: &dyn Ledger,
    older_than_days: Option<u32>,
    reason: &str,
    yes: bool,
) -> Result<Answer> {
    if reason.trim().is_empty() {
        bail!(WrongUse("--reason is empty: say why, for whoever asks tomorrow".to_owned()));
    }
    let age = older_than_days.map(|days| Duration::from_secs(u64::from(days) * 24 * 3_600));
    let deliveries = age.unwrap_or(config.retention.deliveries);
    let retention = Retention { deliveries, ..config.retention };
    let runs = keeping::old_runs(ledger, retention, ledger.now().await?).await?;
    let exports = config.state_dir.join("exports");
    for run in &runs {
        let (id, total) = (&run.header.id, run.total());
        if !yes {
            println!("{id}: {total} deliveries would be exported and purged; --yes does it");
            continue;
        }
        output::record(config, "did", &format!("run {id} is exported and purged: {reason}"))?;
        let n = keeping::let_go(ledger, run, &exports).await?;
        println!("{id}: {n} deliveries are in {} and no more in the ledger", exports.display());
    }
    if runs.is_empty() {
        println!("no closed run is older than {} days", deliveries.as_secs() / (24 * 3_600));
    }
    Ok(Answer::Yes)
}

const COLUMNS: [&str; 8] =
    ["run", "phase", "opens", "planned", "open", "delivered", "missed", "started"];

async fn row(config: &Config, ledger: &dyn Ledger, run: &Run) -> Result<Vec<String>> {
    let zone = config.zone();
    let counts = ledger.counts(&run.header.id).await?;
    let delivered = counts.get(State::Delivered) + counts.get(State::Read);
    let lost = |state: State| {
        use State::{Cancelled, Expired, Failed, Quarantined, Unknown};
        matches!(state, Failed | Unknown | Expired | Cancelled | Quarantined)
    };
    Ok(vec![
        run.header.id.to_string(),
        run.phase.as_str().to_owned(),
        run.header.window.opens.rfc3339(zone),
        run.cursor.to_string(),
        counts.open().to_string(),
        delivered.to_string(),
        counts.sum(lost).to_string(),
        run.started_at.map_or("no sender yet".to_owned(), |at| at.rfc3339(zone)),
    ])
}

/// The run that an act names; its reason must say something.
async fn named(config: &Config, ledger: &dyn Ledger, act: &RunAct) -> Result<Run> {
    if act.reason.trim().is_empty() {
        bail!(WrongUse("--reason is empty: say why, for whoever asks tomorrow".to_owned()));
    }
    let found = find_run(config, ledger, &act.run).await?;
    found.with_context(|| format!("there is no run {}; `subah runs list`", act.run))
}

/// The new plan is made and looked at before the old one goes.
async fn replan(config: &Config, ledger: &dyn Ledger, act: &RunAct) -> Result<Answer> {
    let run = named(config, ledger, act).await?;
    let id = &run.header.id;
    let one = config
        .campaign_of(id)
        .with_context(|| format!("{id} is of no campaign that is configured"))?;
    let taken = Files::of(config).snapshot(config, one, id.date()).await?;
    let why = why_kept(&run, &ledger.counts(id).await?, ledger.now().await?);
    if let Some(why) = why {
        println!("{id} is not planned anew: {why}");
        return Ok(Answer::No);
    }
    if taken.snapshot.hash == run.header.snapshot && run.phase == Phase::Open {
        println!("{id} is planned from these very files; nothing to do");
        return Ok(Answer::Yes);
    }
    let now = ledger.now().await?;
    let plan = Plan::new(&taken.snapshot, id.clone(), run.header.window, now);
    let sendable = (0..plan.total()).filter(|index| plan.at(*index).call.is_ok()).count();
    let (before, total) = (run.header.total, plan.total());
    let stays = match run.phase {
        Phase::Paused => "it stays paused",
        Phase::Cancelled => "it is cancelled, and would be sent after all",
        _ => "it is open",
    };
    if !act.yes {
        println!("{id}: {stays}");
        println!(
            "{id}: {before} planned before, {total} now, {sendable} of them to be sent; `subah plan` shows more, --yes does it"
        );
        return Ok(Answer::from_bool(sendable > 0));
    }
    let parts = Parts::new(config, Credentials::load(&config.credentials)?, &[]).await?;
    output::record(config, "did", &format!("run {id} is planned anew: {}", act.reason))?;
    let mut planned = parts.replan(config, &taken.snapshot, &run).await?.run;
    if run.phase == Phase::Paused {
        // Before the opening: nothing was sent meanwhile.
        planned = ledger.set_phase(id, Phase::Paused).await?;
    }
    println!(
        "{id}: {before} planned before, {} now; it is {}",
        planned.cursor,
        planned.phase.as_str()
    );
    Ok(Answer::Yes)
}

async fn change(config: &Config, ledger: &dyn Ledger, act: &RunAct, to: Phase) -> Result<Answer> {
    let run = named(config, ledger, act).await?;
    let (id, from) = (&run.header.id, run.phase);
    let allowed = matches!(
        (from, to),
        (Phase::Open, Phase::Paused)
            | (Phase::Paused, Phase::Open)
            | (Phase::Planning | Phase::Open | Phase::Paused, Phase::Cancelled)
    );
    let open = ledger.counts(id).await?.open();
    if !allowed {
        println!("{id} is {} and cannot become {}", from.as_str(), to.as_str());
        return Ok(Answer::No);
    }
    if !act.yes {
        println!(
            "{id}: {} → {}, {open} deliveries are open; --yes does it",
            from.as_str(),
            to.as_str()
        );
        return Ok(Answer::Yes);
    }
    let why = format!("run {id} becomes {}: {}", to.as_str(), act.reason);
    output::record(config, "did", &why)?;
    // Planned by a clock that was ahead: thrown away, so that it is planned when it is due.
    let lead = config.campaign_of(id).map_or(Duration::ZERO, |one| one.daily.plan_lead);
    let due = run.header.window.opens - lead;
    if to == Phase::Cancelled && ledger.now().await? < due {
        return match ledger.discard(id).await? {
            Discarded::Kept(why) => {
                println!("{id} is not discarded: {why}");
                Ok(Answer::No)
            }
            Discarded::Done | Discarded::Unknown => {
                println!("{id} is discarded: it is planned when it is due");
                Ok(Answer::Yes)
            }
        };
    }
    let run = ledger.set_phase(id, to).await?;
    if to == Phase::Cancelled {
        while ledger.sweep(id, 1_000).await?.more {} // also when nobody is there to do it
    }
    println!("{id}: {} → {}, {open} deliveries were open", from.as_str(), run.phase.as_str());
    Ok(Answer::Yes)
}
