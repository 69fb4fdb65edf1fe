//! `ledger verify`: is every run, delivery, message and body readable, and do the counters
//! add up? `ledger repair`: gives what is damaged all that this host's disk knows of it.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use config::Config;
use config::secrets::Credentials;
use domain::{DeliveryId, RunId, State, Timestamp};
use inbox::Tail;
use ledger::api::{apply_all, find, for_each};
use ledger::{Amendment, Change, Filter, Ledger, LedgerError};
use sender::journal::{Facts, FileJournal};

use crate::cli::LedgerCommand;
use crate::exit::Answer;
use crate::store;
use crate::wire::{Parts, inbox_dir, journal_dir};

pub async fn run(config: &Config, command: &LedgerCommand) -> Result<Answer> {
    if !store::exists(config) {
        println!("there is no ledger yet: nothing to verify");
        return Ok(Answer::Yes);
    }
    let ledger = store::open(config).await?;
    match command {
        LedgerCommand::Verify => verify(ledger.as_ref()).await,
        LedgerCommand::Repair { yes } => repair(config, ledger.as_ref(), *yes).await,
    }
}

/// A delivery that cannot be read, or could not be.
struct Damaged {
    id: DeliveryId,
    why: String,
    state: &'static str,
}

/// When a run or the file itself is damaged.
const WAY_OUT: &str = "a run or a file that is damaged itself is made again: stop the daemon, move ledger.db and its -wal and -shm away, then `subah restore` or `subah recover --rebuild DATE`";

/// Looks at everything; says what is wrong, and how much was looked at.
async fn verify(ledger: &dyn Ledger) -> Result<Answer> {
    let health = ledger.health().await?;
    for problem in &health.problems {
        println!("PROBLEM store {}: {problem}", health.engine);
    }
    let mut problems = health.problems.len();
    let (runs, unreadable) = runs(ledger).await?;
    for id in &unreadable {
        println!("PROBLEM {id}: the run itself cannot be read");
    }
    problems += unreadable.len();
    if problems > 0 {
        println!("{WAY_OUT}");
    }
    let mut deliveries = 0;
    for id in &runs {
        let Looked { read, found, bodies } = damaged(ledger, id).await?;
        deliveries += read;
        for one in &found {
            println!("PROBLEM {}: {} ({})", one.id, one.why, one.state);
        }
        let differ = counters_differ(ledger, id).await?;
        if differ {
            println!(
                "PROBLEM {id}: its counters do not equal a recount; `ledger repair` counts anew"
            );
        }
        problems += found.len() + bodies + usize::from(differ);
    }
    println!(
        "{} runs with {deliveries} deliveries were read: {}",
        runs.len(),
        if problems == 0 {
            "nothing is damaged".to_owned()
        } else {
            format!("{problems} problems")
        }
    );
    Ok(Answer::from_bool(problems == 0))
}

/// Ids of runs, and of those that cannot be read.
async fn runs(ledger: &dyn Ledger) -> Result<(Vec<RunId>, Vec<RunId>)> {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for id in ledger.run_ids().await? {
        match ledger.run(&id).await {
            Ok(Some(_)) => good.push(id),
            Ok(None) => {} // an id that was left behind
            Err(LedgerError::Corrupt { .. }) => bad.push(id),
            Err(error) => return Err(error.into()),
        }
    }
    Ok((good, bad))
}

/// Whether a run's counters are wrong. They move while it is sent, so only what stands still
/// during the recount is held against it.
async fn counters_differ(ledger: &dyn Ledger, run: &RunId) -> Result<bool> {
    for _ in 0..COUNTS_MAX {
        let before = ledger.counts(run).await?;
        let counted = ledger.recount(run).await?;
        if before == ledger.counts(run).await? {
            return Ok(counted != before);
        }
    }
    println!("not checked {run}: its counters move");
    Ok(false)
}

/// How often a run that is being sent is counted.
const COUNTS_MAX: u32 = 3;

/// What was found in one run.
struct Looked {
    /// Deliveries.
    read: usize,
    found: Vec<Damaged>,
    /// Texts that are missing or changed.
    bodies: usize,
}

async fn damaged(ledger: &dyn Ledger, run: &RunId) -> Result<Looked> {
    let (mut read, mut found, mut bodies) = (0, Vec::new(), BTreeSet::new());
    let look = |delivery: &ledger::DeliveryView| {
        read += 1;
        // What journal and inbox knew has made whole what has another state by now.
        let open = matches!(delivery.state, State::Quarantined | State::Unknown);
        let why = delivery.damage.as_ref().filter(|_| open || delivery.message.is_none());
        if let Some(why) = why {
            let (id, why, state) = (delivery.id.clone(), why.clone(), delivery.state.as_str());
            found.push(Damaged { id, why, state });
        }
        let body = delivery.message.as_ref().map(|message| message.body.clone());
        bodies.extend(body.filter(|hash| !hash.is_empty()));
    };
    for_each(ledger, run, &Filter::default(), look).await?;
    let mut bad = 0;
    for hash in bodies {
        match ledger.content(run, &hash).await {
            Ok(_) => {}
            Err(LedgerError::Corrupt { what, why, .. }) => {
                bad += 1;
                println!(
                    "PROBLEM {run}: {what}: {why}; deliveries with it are quarantined when due"
                );
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Looked { read, found, bodies: bad })
}

/// Beside a running subah too: facts are merged, and nothing else is touched.
async fn repair(config: &Config, ledger: &dyn Ledger, yes: bool) -> Result<Answer> {
    let (mut found, mut miscounted) = (Vec::new(), Vec::new());
    let (readable, unreadable) = runs(ledger).await?;
    for id in &unreadable {
        println!("{id}: the run itself cannot be read");
    }
    for id in readable {
        found.extend(damaged(ledger, &id).await?.found);
        if counters_differ(ledger, &id).await? {
            println!("{id}: its counters do not equal a recount");
            miscounted.push(id);
        }
    }
    if found.is_empty() && miscounted.is_empty() {
        if unreadable.is_empty() {
            println!("nothing is damaged that can be repaired");
            return Ok(Answer::Yes);
        }
        println!("{WAY_OUT}");
        return Ok(Answer::No);
    }
    for one in &found {
        println!("{}: {} ({})", one.id, one.why, one.state);
    }
    if !yes {
        println!("nothing was changed; --yes gives them what this host's journal and inbox know");
        return Ok(Answer::Yes);
    }
    let ids: Vec<DeliveryId> = found.into_iter().map(|one| one.id).collect();
    // Whoever writes finds the damage; a change that no quarantined delivery takes is enough.
    let amend = |id: &DeliveryId| Amendment { id: id.clone(), change: Change::Touch, note: None };
    ledger.amend(&ids.iter().map(amend).collect::<Vec<_>>()).await?;
    let mut facts = Facts::new(FileJournal::entries(&journal_dir(config)), "");
    let facts = facts.all(|fact| ids.contains(&fact.id)).context("read the journal")?;
    apply_all(ledger, &facts).await?;
    let parts = Parts::new(config, Credentials::load(&config.credentials)?, &[]).await?;
    parts.applier()?.replay(&mut Tail::from_start(&inbox_dir(config)), Timestamp::MIN).await?;
    for id in miscounted {
        ledger.count_anew(&id).await?;
        println!("{id}: counted anew");
    }
    let mut untried = 0;
    for id in &ids {
        let Some(delivery) = find(ledger, id).await? else { continue };
        let attempts = delivery.facts.attempts.len();
        untried += usize::from(attempts == 0 && delivery.message.is_some());
        println!("{id}: {} now, {attempts} attempts are known", delivery.state);
    }
    if untried > 0 {
        println!(
            "{untried} of them have no attempt in this host's journal and inbox: run this on every host that sends or receives; if none knows one, nothing was sent, and `subah deliveries requeue ID` sends it"
        );
    }
    Ok(Answer::Yes)
}
