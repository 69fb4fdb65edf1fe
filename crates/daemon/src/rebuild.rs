//! `recover --rebuild`: makes a run again that the ledger has lost, from its header and snapshot,
//! the journals and the inbox on this host's disk.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use config::Config;
use config::secrets::Credentials;
use desk::named::run_id;
use desk::{Told, store};
use domain::{Clock, RunId, State, SystemClock, Timestamp};
use inbox::Tail;
use ledger::api::{apply_all, for_each};
use ledger::{Counts, DeliveryView, Filter, Ledger, Model, Phase, places, recovery, store_mark};
use scheduler::kept;
use sender::journal::{Entries, Entry, Facts, LogError, Position, Read, Which};
use sender::{FileJournal, Journal};

use crate::parts::Parts;

/// Makes the run of a date again, paused; without `yes` only in memory, to say what would come.
///
/// # Errors
/// When this host's disk does not have what the run was planned from, or another subah runs here.
pub async fn rebuild(config: &Config, date: &str, yes: bool) -> Result<Told> {
    let id = run_id(config, date)?;
    let mut told = Told::default();
    let dir = config.state_dir.join("snapshots");
    let Some(header) = kept::load(&dir, &id)? else {
        bail!(
            "{id} cannot be made again here: there is no header of it in {}; restore a backup (`subah restore`), or look for it on the host that planned it",
            dir.display()
        );
    };
    let ledger = store::open(config).await?;
    if ledger.run(&id).await?.is_some_and(|run| run.phase != Phase::Planning) {
        return Ok(Told::no(format!(
            "{id} is in the ledger; what it lacks is merged when a sender starts"
        )));
    }
    let parts = Parts::new(config, Credentials::load(&config.credentials)?, &[]).await?;
    // Nobody may be sending, or noting, meanwhile: the lock says so.
    let machine = FileJournal::machine_boot_or("rebuild");
    let journal = FileJournal::open(&config.journal_dir(), &machine)
        .context("read the journal: is a subah running here? Stop it first")?;
    let target: Arc<dyn Ledger> = match yes {
        true => ledger,
        false => Arc::new(Model::new(Arc::new(SystemClock))),
    };
    // Whatever was noted as merged, was merged into a ledger that is gone.
    let names = [format!("journal/{}", journal.disk()), inbox_name(config)];
    for name in &names {
        places::write(target.as_ref(), name, (0, 0)).await?;
    }
    parts.planner_over(config, Arc::clone(&target)).rebuild(&header).await?;
    // Other hosts may know more: over Redis nothing is sent before all have merged.
    store_mark::doubt(target.as_ref()).await?;
    let (attempts, statuses) = merge(config, &parts, &target, &journal, &id, &mut told).await?;
    target.seal(&id).await?;
    // Paused in one breath with the seal's: whether it goes on is a person's word.
    target.set_phase(&id, Phase::Paused).await?;
    let counts = target.counts(&id).await?;
    told.say(format!(
        "{id}: {} deliveries from snapshot {:.8}, {attempts} attempts from the journal, {statuses} status reports from the inbox",
        counts.total(),
        header.snapshot
    ));
    told.say(words(&counts));
    told.say(match yes {
        true => format!(
            "{id} is in the ledger again, and paused: `subah runs resume {id} --reason … --yes` lets it go on"
        ),
        false => "nothing was changed; --yes does it".to_owned(),
    });
    Ok(told)
}

/// Gives the target all that this host's disk knows of the run.
async fn merge(
    config: &Config,
    parts: &Parts,
    target: &Arc<dyn Ledger>,
    journal: &FileJournal,
    id: &RunId,
    told: &mut Told,
) -> Result<(usize, usize)> {
    let mut trace = Trace::default();
    let entries = journal.read(Which::Since(Position::default()));
    let traced = Traced { entries, trace: &mut trace, run: id };
    let mut facts = Facts::new(traced, journal.machine_boot());
    let of_run = facts.all(|fact| fact.id.run == *id)?;
    let damaged = facts.is_damaged();
    trace.damaged = damaged;
    apply_all(target.as_ref(), &of_run).await?;
    let applier = parts.applier_over(Arc::clone(target))?;
    let tail = || Tail::from_start(&config.inbox_dir());
    parts.people_over(Arc::clone(target)).replay(&mut tail(), Timestamp::MIN).await?;
    let replayed = applier.replay(&mut tail(), Timestamp::MIN).await?;
    if let Some(why) = gap(target.as_ref(), id, &trace, journal).await? {
        let n = recovery::suspect(target.as_ref(), id, None).await?;
        told.say(format!(
            "{id}: {n} that were due may have gone without a trace in the journal: {why}"
        ));
    }
    Ok((of_run.len(), replayed.facts))
}

/// What a journal says of itself while it is read.
#[derive(Default)]
struct Trace {
    /// It speaks of the run.
    of_run: bool,
    /// The machine's start when its latest intent was noted.
    last_boot: Option<String>,
    damaged: bool,
}

struct Traced<'a> {
    entries: Box<dyn Entries>,
    trace: &'a mut Trace,
    run: &'a RunId,
}

impl Entries for Traced<'_> {
    fn next_batch(&mut self) -> Result<Vec<Read>, LogError> {
        let batch = self.entries.next_batch()?;
        for read in &batch {
            if let Entry::Intent { id, machine_boot, .. } = &read.entry {
                self.trace.of_run |= id.run == *self.run;
                self.trace.last_boot = Some(machine_boot.clone());
            }
        }
        Ok(batch)
    }

    fn damaged(&self) -> Option<u64> {
        self.entries.damaged()
    }
}

/// Why the journal may not know all that was sent. A ledger on this disk is its own note, so the
/// journal's latest lines need not have reached the disk.
async fn gap(
    ledger: &dyn Ledger,
    id: &RunId,
    trace: &Trace,
    journal: &FileJournal,
) -> Result<Option<&'static str>> {
    let mut unknown = 0usize;
    let look = |delivery: &DeliveryView| {
        unknown += delivery.facts.attempts.iter().filter(|a| a.intent_at.is_none()).count();
    };
    for_each(ledger, id, &Filter::default(), look).await?;
    let run = ledger.run(id).await?;
    let opened = run.is_some_and(|run| run.header.window.opens <= SystemClock.now());
    Ok(match () {
        () if trace.damaged => Some("it is damaged"),
        () if unknown > 0 => Some("statuses speak of attempts that it does not know"),
        () if opened && !trace.of_run => {
            Some("it says nothing of this run, whose window has opened")
        }
        () if trace.last_boot.as_deref().is_some_and(|boot| boot != journal.machine_boot()) => {
            Some("the machine was restarted since its last line")
        }
        () => None,
    })
}

fn inbox_name(config: &Config) -> String {
    let identity = std::fs::read_to_string(config.inbox_dir().join("identity"));
    format!("inbox/{}", identity.unwrap_or_default().trim())
}

fn words(counts: &Counts) -> String {
    let known = State::ALL.iter().filter(|state| counts.get(**state) > 0);
    let words: Vec<String> = known.map(|state| format!("{state} {}", counts.get(*state))).collect();
    words.join(", ")
}
