//! Is every run, delivery, message and body readable, and do the counters add up?

use std::collections::BTreeSet;

use domain::{DeliveryId, RunId, State};
use ledger::api::for_each;
use ledger::{Filter, Ledger, LedgerError};

use crate::error::Result;
use crate::told::{Answer, Told};

/// A delivery that cannot be read, or could not be.
pub struct Damaged {
    pub id: DeliveryId,
    pub why: String,
    pub state: &'static str,
}

/// When a run or the file itself is damaged.
pub const WAY_OUT: &str = "a run or a file that is damaged itself is made again: stop the daemon, move ledger.db and its -wal and -shm away, then `subah restore` or `subah recover --rebuild DATE`";

/// Looks at everything; says what is wrong, and how much was looked at.
///
/// # Errors
/// When the store does not answer.
pub async fn verify(ledger: &dyn Ledger) -> Result<Told> {
    let mut told = Told::default();
    let health = ledger.health().await?;
    for problem in &health.problems {
        told.say(format!("PROBLEM store {}: {problem}", health.engine));
    }
    let mut problems = health.problems.len();
    let (runs, unreadable) = runs(ledger).await?;
    for id in &unreadable {
        told.say(format!("PROBLEM {id}: the run itself cannot be read"));
    }
    problems += unreadable.len();
    if problems > 0 {
        told.say(WAY_OUT);
    }
    let mut deliveries = 0;
    for id in &runs {
        let Looked { read, found, bodies } = damaged(ledger, id, &mut told).await?;
        deliveries += read;
        for one in &found {
            told.say(format!("PROBLEM {}: {} ({})", one.id, one.why, one.state));
        }
        let differ = counters_differ(ledger, id, &mut told).await?;
        if differ {
            told.say(format!(
                "PROBLEM {id}: its counters do not equal a recount; `ledger repair` counts anew"
            ));
        }
        problems += found.len() + bodies + usize::from(differ);
    }
    told.say(format!(
        "{} runs with {deliveries} deliveries were read: {}",
        runs.len(),
        if problems == 0 {
            "nothing is damaged".to_owned()
        } else {
            format!("{problems} problems")
        }
    ));
    Ok(told.with(Answer::from_bool(problems == 0)))
}

/// Ids of runs, and of those that cannot be read.
///
/// # Errors
/// When the store does not answer.
pub async fn runs(ledger: &dyn Ledger) -> Result<(Vec<RunId>, Vec<RunId>)> {
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
///
/// # Errors
/// When the store does not answer.
pub async fn counters_differ(ledger: &dyn Ledger, run: &RunId, told: &mut Told) -> Result<bool> {
    for _ in 0..COUNTS_MAX {
        let before = ledger.counts(run).await?;
        let counted = ledger.recount(run).await?;
        if before == ledger.counts(run).await? {
            return Ok(counted != before);
        }
    }
    told.say(format!("not checked {run}: its counters move"));
    Ok(false)
}

/// How often a run that is being sent is counted.
const COUNTS_MAX: u32 = 3;

/// What was found in one run.
pub struct Looked {
    /// Deliveries.
    pub read: usize,
    pub found: Vec<Damaged>,
    /// Texts that are missing or changed.
    pub bodies: usize,
}

/// What is damaged in one run.
///
/// # Errors
/// When the store does not answer.
pub async fn damaged(ledger: &dyn Ledger, run: &RunId, told: &mut Told) -> Result<Looked> {
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
                told.say(format!(
                    "PROBLEM {run}: {what}: {why}; deliveries with it are quarantined when due"
                ));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Looked { read, found, bodies: bad })
}
