//! `recover --rebuild`: makes a run again that the ledger has lost, from its header and snapshot,
//! the journals and the inbox on this host's disk.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use domain::{RunId, State, SystemClock, Timestamp};
use ledger::api::apply_all;
use ledger::{Counts, Ledger, Model, Phase, places, recovery, store_mark};
use scheduler::kept;
use sender::journal::{Entry, replay};
use sender::{FileJournal, Journal};
use status::inbox::Tail;

use super::run_id;
use crate::config::Config;
use crate::config::secrets::Credentials;
use crate::exit::Answer;
use crate::store;
use crate::wire::{Parts, inbox_dir, journal_dir};

pub async fn run(config: &Config, date: &str, yes: bool) -> Result<Answer> {
    let id = run_id(config, date)?;
    let dir = config.state_dir.join("snapshots");
    let Some(header) = kept::load(&dir, &id)? else {
        bail!("{id} was not planned on this host: there is no header of it in {}", dir.display());
    };
    let ledger = store::open(config).await?;
    if ledger.run(&id).await?.is_some_and(|run| run.phase != Phase::Planning) {
        println!("{id} is in the ledger; what it lacks is merged when a sender starts");
        return Ok(Answer::No);
    }
    let parts = Parts::new(config, Credentials::load(&config.credentials)?, &[]).await?;
    // Nobody may be sending, or noting, meanwhile: the lock says so.
    let machine = FileJournal::machine_boot("rebuild");
    let journal = FileJournal::open(&journal_dir(config), &machine)
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
    let (attempts, statuses) = merge(config, &parts, &target, &journal, &id).await?;
    target.seal(&id).await?;
    // Paused in one breath with the seal's: whether it goes on is a person's word.
    target.set_phase(&id, Phase::Paused).await?;
    let counts = target.counts(&id).await?;
    println!(
        "{id}: {} deliveries from snapshot {:.8}, {attempts} attempts from the journal, {statuses} status reports from the inbox",
        counts.total(),
        header.snapshot
    );
    println!("{}", words(&counts));
    match yes {
        true => println!(
            "{id} is in the ledger again, and paused: `subah runs resume {id} --reason … --yes` lets it go on"
        ),
        false => println!("nothing was changed; --yes does it"),
    }
    Ok(Answer::Yes)
}

/// Gives the target all that this host's disk knows of the run.
async fn merge(
    config: &Config,
    parts: &Parts,
    target: &Arc<dyn Ledger>,
    journal: &FileJournal,
    id: &RunId,
) -> Result<(usize, usize)> {
    let entries = journal.read(sender::journal::Which::Since(0)).await?;
    let mut facts = replay(&entries, journal.boot()).facts;
    facts.retain(|fact| fact.id.run == *id);
    apply_all(target.as_ref(), &facts).await?;
    // A ledger on this disk is its own note, and the journal's latest may not be on the disk:
    // after a power cut, or behind damage, what was due may have gone without a trace.
    let of_boot = |read: &sender::journal::Read| match &read.entry {
        Entry::Intent { boot, .. } => Some(boot != journal.boot()),
        _ => None,
    };
    let power_cut = entries.iter().rev().find_map(of_boot).unwrap_or(false);
    if power_cut || entries.iter().any(|read| read.doubtful) {
        let n = recovery::suspect(target.as_ref(), id, None).await?;
        println!(
            "{id}: {n} may have gone without a trace in the journal: the machine was restarted since, or the journal is damaged"
        );
    }
    let applier = parts.applier_over(Arc::clone(target))?;
    let mut tail = Tail::from_start(&inbox_dir(config));
    let replayed = applier.replay(&mut tail, Timestamp::MIN).await?;
    Ok((facts.len(), replayed.facts))
}

fn inbox_name(config: &Config) -> String {
    let identity = std::fs::read_to_string(inbox_dir(config).join("identity"));
    format!("inbox/{}", identity.unwrap_or_default().trim())
}

fn words(counts: &Counts) -> String {
    let known = State::ALL.iter().filter(|state| counts.get(**state) > 0);
    let words: Vec<String> = known.map(|state| format!("{state} {}", counts.get(*state))).collect();
    words.join(", ")
}
