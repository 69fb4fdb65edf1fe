//! Gives the ledger what only this host's journal knows: after a crash of ours what earlier
//! processes left behind, after a restart of the store everything of the last days.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::{DeliveryId, RunId};
use ledger::api::apply_all;
use ledger::recovery::{Progress, Recoverer};
use ledger::{Amendment, Applied, Change, LedgerError, members, places, store_mark};
use tokio_util::sync::CancellationToken;

use crate::journal::{Replay, Which, replay};
use crate::monotonic;
use crate::sender::Shared;

/// How often fenced runs are looked for.
const LOOK: Duration = Duration::from_millis(500);

/// Gives the ledger what processes before this one left behind, from where the ledger itself
/// says that it ends: one that was put back to an earlier state is healed by it. Repeats until
/// it is taken: nothing may be sent before.
pub(crate) async fn settle_the_past(shared: &Shared, stop: &CancellationToken) {
    let (journal, ledger) = (shared.journal.as_ref(), shared.ledger.as_ref());
    let name = format!("journal/{}", journal.disk());
    let Some(from) = first_unmerged(shared, &name, stop).await else { return };
    let entries = match journal.read(Which::Since(from)).await {
        Ok(entries) => entries,
        Err(error) => {
            tracing::error!(error = %error, "what earlier processes left behind cannot be read; their attempts without an answer become doubtful: {error}");
            return;
        }
    };
    let Replay { facts, strikes } = replay(&entries, shared.journal.boot());
    if !facts.is_empty() || !strikes.is_empty() {
        tracing::info!("{} attempts of earlier processes are given to the ledger", facts.len());
    }
    while let Err(error) = apply_all(ledger, &facts).await {
        tracing::warn!(error = %error, "attempts of earlier processes are not recorded yet: {error}");
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
    for id in strikes {
        tracing::warn!(delivery.id = %id, "delivery {id} was being handled when its process died");
        let strike = [Amendment { id, change: Change::Strike, note: None }];
        if let Err(error) = shared.ledger.amend(&strike).await {
            tracing::warn!(error = %error, "a strike was not counted: {error}");
        }
    }
    if let Err(error) = places::write(ledger, &name, (journal.start(), 0)).await {
        tracing::warn!(error = %error, "the journal's place is not in the ledger: {error}");
    }
    if let Err(error) = journal.merged().await {
        tracing::warn!(error = %error, "{error}");
    }
    remember_grants(shared).await;
}

/// Where the ledger's knowledge of this journal ends: by our note or by the ledger's, whichever
/// comes first. `None`: asked to stop.
async fn first_unmerged(shared: &Shared, name: &str, stop: &CancellationToken) -> Option<u64> {
    let ours = shared.journal.merged_before();
    loop {
        match places::read(shared.ledger.as_ref(), name).await {
            Ok(held) => {
                let theirs = held.map_or(0, |(segment, _)| segment);
                if theirs < ours {
                    tracing::error!(
                        "the store has {} of this host's journal: was it emptied, or put back? The journal is merged once more",
                        if held.is_some() { "forgotten the latest" } else { "nothing" }
                    );
                }
                return Some(ours.min(theirs));
            }
            Err(error) => {
                tracing::warn!(error = %error, "how much of the journal the store has is not known yet: {error}");
            }
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return None,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// What earlier processes of this host were granted counts as granted to this one.
async fn remember_grants(shared: &Shared) {
    if !shared.options.ledger_forgets {
        return;
    }
    let Ok(active) = shared.ledger.active_runs().await else { return };
    let runs: Vec<RunId> = active.iter().map(|run| run.header.id.clone()).collect();
    match shared.journal.written(&runs).await {
        Ok(written) => written.iter().for_each(|(id, nonce)| shared.grants.note(id, *nonce)),
        Err(error) => {
            tracing::error!(error = %error, "what was granted before cannot be read: {error}")
        }
    }
}

/// The store does not know what it granted to this process: nothing is sent from it before
/// everybody has merged what they know.
pub(crate) async fn doubt_the_store(shared: &Shared, id: &DeliveryId) {
    let now = monotonic();
    {
        let mut doubted = shared.doubted_at.lock().expect("no panic while held");
        if doubted.is_some_and(|at| at + DOUBT_EVERY > now) {
            return; // the claim's lease ends by itself
        }
        *doubted = Some(now);
    }
    tracing::error!(delivery.id = %id, "the store has forgotten an attempt of {id} that it granted to this host: was it emptied, or put back? Nothing is sent before every host has merged its journal");
    if let Err(error) = store_mark::doubt(shared.ledger.as_ref()).await {
        tracing::warn!(error = %error, "the store's forgetting is not noted yet: {error}");
        *shared.doubted_at.lock().expect("no panic while held") = None;
    }
}

/// A recovery takes about a second; what is found meanwhile is the same finding.
const DOUBT_EVERY: Duration = Duration::from_secs(2);

/// Asks the store for the latest attempt that it granted to this process.
pub(crate) async fn look_for_the_last_grant(shared: &Shared, active: &[RunId]) {
    let Some((id, nonce)) = shared.grants.last().filter(|_| shared.options.ledger_forgets) else {
        return;
    };
    let ledger = shared.ledger.as_ref();
    let known = match ledger.run(&id.run).await {
        Ok(Some(_)) if !active.contains(&id.run) => return shared.grants.forget_last(nonce),
        Ok(Some(_)) => match ledger::api::find(ledger, &id).await {
            Ok(found) => found.is_some_and(|found| found.facts.attempt(nonce).is_some()),
            Err(_) => return, // asked again
        },
        Ok(None) => false,
        Err(_) => return,
    };
    if !known {
        doubt_the_store(shared, &id).await;
        // Once: a run that is gone for good is not asked for for ever.
        shared.grants.forget_last(nonce);
    }
}

/// This process as a member of recoveries.
pub(crate) fn member(shared: &Shared) -> String {
    members::name(&shared.host, "sender", shared.journal.disk())
}

/// Takes part in every recovery of the store until `stop`.
pub(crate) async fn recover(shared: &Shared, stop: &CancellationToken) {
    let mut recoverer = Recoverer::new(&member(shared));
    if let Some(note) = shared.journal.note() {
        recoverer = recoverer.noting(note);
    }
    let mut said: Option<Progress> = None;
    while !stop.is_cancelled() {
        match recover_once(shared, &mut recoverer).await {
            Ok(progress) => say(shared, progress, &mut said),
            Err(error) => tracing::warn!(error = %error, "recovery waits: {error}"),
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

fn say(shared: &Shared, progress: Option<Progress>, said: &mut Option<Progress>) {
    let waiting = !matches!(progress, Some(Progress::Open) | None);
    shared.metrics.sending_blocked.with_label_values(&["fence"]).set(i64::from(waiting));
    if progress != *said {
        match &progress {
            Some(Progress::Open) if said.is_some() => {
                tracing::info!(
                    "every host has given the restarted store what it knows; sending goes on"
                );
            }
            Some(Progress::WaitingFor(missing)) => {
                tracing::error!(
                    "the store was restarted: nothing is sent before {} has merged its journal; if that host is lost: `subah recover --without HOST`",
                    missing.join(", ")
                );
            }
            Some(Progress::WaitingForPlan(run)) => {
                tracing::error!(run = %run,
                    "the restarted store forgot a part of the plan of {run}: nothing is sent before a scheduler has planned it again from the same snapshot"
                );
            }
            Some(Progress::Open) | None => {}
        }
        *said = progress;
    }
}

async fn recover_once(
    shared: &Shared,
    recoverer: &mut Recoverer,
) -> Result<Option<Progress>, LedgerError> {
    let ledger = shared.ledger.as_ref();
    let Some(job) = recoverer.due(ledger).await? else { return Ok(None) };
    let mut strangers = BTreeSet::new();
    if let Some(runs) = &job.merge {
        let entries =
            shared.journal.read(Which::All).await.map_err(|error| LedgerError::Unavailable {
                engine: "journal",
                doing: "merge the journal",
                source: Box::new(error),
            })?;
        let mut facts = replay(&entries, shared.journal.boot()).facts;
        facts.retain(|fact| runs.contains(&fact.id.run));
        tracing::info!("{} attempts are merged into the store's new incarnation", facts.len());
        for (fact, applied) in facts.iter().zip(apply_all(ledger, &facts).await?) {
            if applied == Applied::Unknown {
                strangers.insert(fact.id.run.clone());
            }
        }
    }
    recoverer.merged(ledger, &job, &strangers).await.map(Some)
}
