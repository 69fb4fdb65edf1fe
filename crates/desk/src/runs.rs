//! Runs: what each is, and what a person may do to one that is planned.

use std::path::Path;
use std::time::Duration;

use chrono::NaiveDate;
use config::Config;
use domain::retention::Retention;
use domain::{Clock, RunId, State, SystemClock, Timestamp};
use ledger::{Discarded, Ledger, Phase, Run};
use sender::FileJournal;

use crate::Mode;
use crate::error::{DeskError, Result};
use crate::named::{date, find_run, reason, run_id};
use crate::purge::{let_go, old_runs};
use crate::table::Table;
use crate::told::{Answer, Told};
use crate::{archive, did, store};

pub const COLUMNS: [&str; 8] =
    ["run", "phase", "opens", "planned", "open", "delivered", "missed", "started"];
/// Deliveries looked at in one call when a run is swept by hand.
const SWEEP: usize = 1_000;

/// Every run that the ledger has.
///
/// # Errors
/// When the store does not answer.
pub async fn list(config: &Config, ledger: &dyn Ledger) -> Result<Table> {
    let mut table = Table::new(&COLUMNS);
    for run in ledger.runs().await? {
        table.rows.push(row(config, ledger, &run).await?);
    }
    Ok(table)
}

/// One run; the inner error: nobody has planned it.
///
/// # Errors
/// When the text names no run, or the store does not answer.
pub async fn show(
    config: &Config,
    ledger: &dyn Ledger,
    run: &str,
) -> Result<std::result::Result<Table, Absent>> {
    let Some(run) = find_run(config, ledger, run).await? else {
        return Ok(Err(absent(config, run)?));
    };
    let values = row(config, ledger, &run).await?;
    Ok(Ok(Table::of_one(COLUMNS.into_iter().zip(values))))
}

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

/// A run that nobody has planned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Absent {
    /// What that means, and what to do.
    pub words: String,
    /// Fine before its window opens; a *no* afterwards.
    pub answer: Answer,
}

/// What the absence of a run means.
///
/// # Errors
/// When the text names no run.
pub fn absent(config: &Config, text: &str) -> Result<Absent> {
    let id = run_id(config, text)?;
    if FileJournal::has_sent(&config.journal_dir(), &id).unwrap_or(false) {
        let words = format!(
            "{id}: was sent from this host, and the store does not know it: is it the right one, and was it emptied? It is not planned again by itself; `subah recover --rebuild {}` makes it from what this host's disk keeps",
            id.date()
        );
        return Ok(Absent { words, answer: Answer::No });
    }
    let one = config.campaign_of(&id).unwrap_or(&config.campaigns[0]);
    if let Some(why) = one.daily.days.why_not(id.date()) {
        let words = format!("{id}: there is no run, {why}");
        return Ok(Absent { words, answer: Answer::Yes });
    }
    let no_such_date = || DeskError::Refused("the zone has no such date".to_owned());
    let window = one.daily.window.on(id.date()).ok_or_else(no_such_date)?;
    let opens = window.opens.rfc3339(one.daily.window.zone);
    let late = SystemClock.now() >= window.opens;
    let today = id.date() == date("today", config)?;
    let hint = if late && today { "; `subah run --if-not-started` begins it" } else { "" };
    let verb = if late { "opened" } else { "opens" };
    let words = format!("{id}: not started; its window {verb} {opens}{hint}");
    Ok(Absent { words, answer: Answer::from_bool(!late) })
}

/// Sealed runs that do not take up a change of what runs are made from, of one date or of all that
/// come: what can still be done about each.
///
/// # Errors
/// When `today` cannot be told; a store that does not answer says nothing.
pub async fn sealed(config: &Config, of: Option<NaiveDate>) -> Result<Vec<String>> {
    if !store::exists(config) {
        return Ok(Vec::new()); // looking must not make a ledger
    }
    let today = date("today", config)?;
    let Ok(ledger) = store::open(config).await else { return Ok(Vec::new()) };
    let mut hints = Vec::new();
    for run in ledger.active_runs().await.unwrap_or_default() {
        let id = &run.header.id;
        let named = config.named.as_deref().is_none_or(|name| name == id.campaign());
        let ours = named && config.campaign_of(id).is_some() && id.date() >= today;
        let sealed = ours && of.is_none_or(|date| date == id.date());
        if sealed && run.phase != Phase::Planning {
            hints.push(sealed_hint(config, &run, SystemClock.now()));
        }
    }
    Ok(hints)
}

/// What can still be done about a sealed plan.
pub fn sealed_hint(config: &Config, run: &Run, now: Timestamp) -> String {
    let (id, opens) = (&run.header.id, run.header.window.opens);
    if now < opens {
        let until = opens.to_utc().with_timezone(&config.zone()).format("%H:%M:%S");
        format!(
            "too late for {id}: its plan is sealed; until {until} `subah runs replan {id} --reason …` makes it from the present files"
        )
    } else {
        format!("too late for {id}: its window has opened, and its plan does not change any more")
    }
}

/// The run that an act names; its reason must say something.
///
/// # Errors
/// When it does not, when there is no such run, or when the store does not answer.
pub async fn named(config: &Config, ledger: &dyn Ledger, run: &str, why: &str) -> Result<Run> {
    reason(why)?;
    let none = || DeskError::Refused(format!("there is no run {run}; `subah runs list`"));
    find_run(config, ledger, run).await?.ok_or_else(none)
}

/// What becomes of a run by a person's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Pause,
    Resume,
    Cancel,
}

impl Change {
    const fn to(self) -> Phase {
        match self {
            Change::Pause => Phase::Paused,
            Change::Resume => Phase::Open,
            Change::Cancel => Phase::Cancelled,
        }
    }
}

/// Pauses, resumes or cancels a run.
///
/// # Errors
/// As [`named`], and when the act cannot be noted.
pub async fn change(
    config: &Config,
    ledger: &dyn Ledger,
    run: &str,
    why: &str,
    change: Change,
    mode: Mode,
) -> Result<Told> {
    let run = named(config, ledger, run, why).await?;
    let (id, from, to) = (&run.header.id, run.phase, change.to());
    let allowed = matches!(
        (from, to),
        (Phase::Open, Phase::Paused)
            | (Phase::Paused, Phase::Open)
            | (Phase::Planning | Phase::Open | Phase::Paused, Phase::Cancelled)
    );
    let open = ledger.counts(id).await?.open();
    let (was, is) = (from.as_str(), to.as_str());
    if !allowed {
        return Ok(Told::no(format!("{id} is {was} and cannot become {is}")));
    }
    if mode == Mode::DryRun {
        let words = format!("{id}: {was} → {is}, {open} deliveries are open; --yes does it");
        return Ok(Told::yes(words));
    }
    did::note(config, &format!("run {id} becomes {is}: {why}"))?;
    // Planned by a clock that was ahead: thrown away, so that it is planned when it is due.
    let lead = config.campaign_of(id).map_or(Duration::ZERO, |one| one.daily.plan_lead);
    let due = run.header.window.opens - lead;
    if to == Phase::Cancelled && ledger.now().await? < due {
        return discard(ledger, id).await;
    }
    let run = ledger.set_phase(id, to).await?;
    if to == Phase::Cancelled {
        while ledger.sweep(id, SWEEP).await?.more {} // also when nobody is there to do it
    }
    let is = run.phase.as_str();
    Ok(Told::yes(format!("{id}: {was} → {is}, {open} deliveries were open")))
}

async fn discard(ledger: &dyn Ledger, id: &RunId) -> Result<Told> {
    Ok(match ledger.discard(id).await? {
        Discarded::Kept(why) => Told::no(format!("{id} is not discarded: {why}")),
        Discarded::Done | Discarded::Unknown => {
            Told::yes(format!("{id} is discarded: it is planned when it is due"))
        }
    })
}

/// Writes what is known of a run's deliveries to a folder; the inner error: nobody has planned it.
///
/// # Errors
/// When the store does not answer, or the folder cannot be written to.
pub async fn export(
    config: &Config,
    ledger: &dyn Ledger,
    run: &str,
    dir: Option<&Path>,
) -> Result<std::result::Result<Told, Absent>> {
    let Some(run) = find_run(config, ledger, run).await? else {
        return Ok(Err(absent(config, run)?));
    };
    let dir = dir.map_or_else(|| config.state_dir.join("exports"), Path::to_owned);
    did::note(config, &format!("run {} is exported to {}", run.header.id, dir.display()))?;
    let done = archive::export(ledger, &run, &dir).await?;
    let (id, n, path) = (&run.header.id, done.deliveries, done.path.display());
    Ok(Ok(Told::yes(format!("{id}: {n} deliveries in {path}, sha256 {:.12}…", done.sha256))))
}

/// What the daemon does each night, now or for another age.
///
/// # Errors
/// When the reason says nothing, the store does not answer, or an export fails.
pub async fn purge(
    config: &Config,
    ledger: &dyn Ledger,
    older_than: Option<Duration>,
    why: &str,
    mode: Mode,
) -> Result<Told> {
    reason(why)?;
    let deliveries = older_than.unwrap_or(config.retention.deliveries);
    let retention = Retention { deliveries, ..config.retention };
    let runs = old_runs(ledger, retention, ledger.now().await?).await?;
    let exports = config.state_dir.join("exports");
    let mut told = Told::default();
    for run in &runs {
        let (id, total) = (&run.header.id, run.total());
        if mode == Mode::DryRun {
            told.say(format!(
                "{id}: {total} deliveries would be exported and purged; --yes does it"
            ));
            continue;
        }
        did::note(config, &format!("run {id} is exported and purged: {why}"))?;
        let n = let_go(ledger, run, &exports).await?;
        let dir = exports.display();
        told.say(format!("{id}: {n} deliveries are in {dir} and no more in the ledger"));
    }
    if runs.is_empty() {
        let days = deliveries.as_secs() / (24 * 3_600);
        told.say(format!("no closed run is older than {days} days"));
    }
    Ok(told)
}
