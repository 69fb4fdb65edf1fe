//! Gives what is damaged in the ledger all that this host's disk knows of it.

use anyhow::{Context, Result};
use config::Config;
use config::secrets::Credentials;
use desk::verify::{WAY_OUT, counters_differ, damaged, runs};
use desk::{Answer, Mode, Told};
use domain::{DeliveryId, Timestamp};
use inbox::Tail;
use ledger::api::{apply_all, find};
use ledger::{Amendment, Change, Ledger};
use sender::journal::{Facts, FileJournal};

use crate::parts::Parts;

/// Beside a running subah too: facts are merged, and nothing else is touched.
///
/// # Errors
/// When the journal cannot be read, credentials are missing, or the store does not answer.
pub async fn repair(config: &Config, ledger: &dyn Ledger, mode: Mode) -> Result<Told> {
    let mut told = Told::default();
    let (mut found, mut miscounted) = (Vec::new(), Vec::new());
    let (readable, unreadable) = runs(ledger).await?;
    for id in &unreadable {
        told.say(format!("{id}: the run itself cannot be read"));
    }
    for id in readable {
        found.extend(damaged(ledger, &id, &mut told).await?.found);
        if counters_differ(ledger, &id, &mut told).await? {
            told.say(format!("{id}: its counters do not equal a recount"));
            miscounted.push(id);
        }
    }
    if found.is_empty() && miscounted.is_empty() {
        if unreadable.is_empty() {
            told.say("nothing is damaged that can be repaired");
            return Ok(told);
        }
        told.say(WAY_OUT);
        return Ok(told.with(Answer::No));
    }
    for one in &found {
        told.say(format!("{}: {} ({})", one.id, one.why, one.state));
    }
    if mode == Mode::DryRun {
        told.say("nothing was changed; --yes gives them what this host's journal and inbox know");
        return Ok(told);
    }
    let ids: Vec<DeliveryId> = found.into_iter().map(|one| one.id).collect();
    // Whoever writes finds the damage; a change that no quarantined delivery takes is enough.
    let amend = |id: &DeliveryId| Amendment { id: id.clone(), change: Change::Touch, note: None };
    ledger.amend(&ids.iter().map(amend).collect::<Vec<_>>()).await?;
    let mut facts = Facts::new(FileJournal::entries(&config.journal_dir()), "");
    let facts = facts.all(|fact| ids.contains(&fact.id)).context("read the journal")?;
    apply_all(ledger, &facts).await?;
    let parts = Parts::new(config, Credentials::load(&config.credentials)?, &[]).await?;
    parts.applier()?.replay(&mut Tail::from_start(&config.inbox_dir()), Timestamp::MIN).await?;
    for id in miscounted {
        ledger.count_anew(&id).await?;
        told.say(format!("{id}: counted anew"));
    }
    let mut untried = 0;
    for id in &ids {
        let Some(delivery) = find(ledger, id).await? else { continue };
        let attempts = delivery.facts.attempts.len();
        untried += usize::from(attempts == 0 && delivery.message.is_some());
        told.say(format!("{id}: {} now, {attempts} attempts are known", delivery.state));
    }
    if untried > 0 {
        told.say(format!("{untried} of them have no attempt in this host's journal and inbox: run this on every host that sends or receives; if none knows one, nothing was sent, and `subah deliveries requeue ID` sends it"));
    }
    Ok(told)
}
