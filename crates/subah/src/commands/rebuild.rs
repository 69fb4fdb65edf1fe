//! `recover --rebuild`: makes a run again that the ledger has lost, from its header and snapshot,
//! the journals and the inbox on this host's disk.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use domain::{RunId, State, SystemClock, Timestamp};
use ledger::api::apply_all;
use ledger::{Counts, Ledger, Model};
use scheduler::kept;
use sender::journal::replay;
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
    if ledger.run(&id).await?.is_some() {
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
    parts.planner_over(config, Arc::clone(&target)).rebuild(&header).await?;
    let (attempts, statuses) = merge(config, &parts, &target, &journal, &id).await?;
    let counts = target.counts(&id).await?;
    println!(
        "{id}: {} deliveries from snapshot {:.8}, {attempts} attempts from the journal, {statuses} status reports from the inbox",
        counts.total(),
        header.snapshot
    );
    println!("{}", words(&counts));
    match yes {
        true => println!("{id} is in the ledger again; `subah run` or the daemon goes on with it"),
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
    let applier = parts.applier_over(Arc::clone(target))?;
    let mut tail = Tail::from_start(&inbox_dir(config));
    let replayed = applier.replay(&mut tail, Timestamp::MIN).await?;
    Ok((facts.len(), replayed.facts))
}

fn words(counts: &Counts) -> String {
    let known = State::ALL.iter().filter(|state| counts.get(**state) > 0);
    let words: Vec<String> = known.map(|state| format!("{state} {}", counts.get(*state))).collect();
    words.join(", ")
}
