//! Gives the ledger what only this host's journal knows: after a crash of ours what earlier
//! processes left behind, after a restart of the store everything of the last days.

use std::collections::BTreeSet;
use std::time::Duration;

use ledger::api::apply_all;
use ledger::recovery::{Progress, Recoverer};
use ledger::{Amendment, Applied, Change, LedgerError, members};
use tokio_util::sync::CancellationToken;

use crate::journal::{Replay, Which, replay};
use crate::sender::Shared;

/// How often fenced runs are looked for.
const LOOK: Duration = Duration::from_millis(500);

/// Gives the ledger what processes before this one left behind. Repeats until it is taken:
/// nothing may be sent before.
pub(crate) async fn settle_the_past(shared: &Shared, stop: &CancellationToken) {
    let entries = match shared.journal.read(Which::Unmerged).await {
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
    while let Err(error) = apply_all(shared.ledger.as_ref(), &facts).await {
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
    if let Err(error) = shared.journal.merged().await {
        tracing::warn!(error = %error, "{error}");
    }
}

/// This process as a member of recoveries.
pub(crate) fn member(shared: &Shared) -> String {
    members::name(&shared.host, "sender", shared.journal.disk())
}

/// Takes part in every recovery of the store until `stop`.
pub(crate) async fn recover(shared: &Shared, stop: &CancellationToken) {
    let mut recoverer = Recoverer::new(&member(shared));
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
