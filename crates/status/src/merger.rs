//! The receiver's part in a recovery: gives a restarted store every webhook that it may
//! have forgotten, from the inbox on this host's own disk.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::Timestamp;
use ledger::recovery::{Progress, Recoverer};
use ledger::{Ledger, LedgerError, members};
use tokio_util::sync::CancellationToken;

use inbox::{Inbox, ReplayError, Source, Tail};

use crate::applier::Applier;
use crate::people::People;

/// How often fenced runs are looked for.
const LOOK: Duration = Duration::from_millis(500);

pub struct Merger {
    pub applier: Applier,
    pub people: People,
    pub inbox: Inbox,
    /// Names this host among those that share the ledger.
    pub host: String,
}

impl Merger {
    pub async fn run(self, stop: CancellationToken) {
        let member = members::name(&self.host, "receiver", self.inbox.disk());
        let note = self.inbox.dir().join("store.json");
        let mut recoverer = Recoverer::new(&member).noting(note);
        while !stop.is_cancelled() {
            let tail = || Box::new(Tail::from_start(self.inbox.dir())) as Box<dyn Source>;
            let consumers = (&self.applier, &self.people);
            if let Err(error) = merge(consumers, &mut recoverer, &member, tail).await {
                tracing::warn!(error = %error, "the inbox is not merged into the restarted store yet: {error}");
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }
}

/// Joins, and merges when there is something to recover.
///
/// # Errors
/// When the inbox cannot be read or the ledger does not answer; to be repeated.
pub async fn merge(
    (applier, people): (&Applier, &People),
    recoverer: &mut Recoverer,
    member: &str,
    from_start: impl Fn() -> Box<dyn Source>,
) -> Result<Option<Progress>, ReplayError> {
    let ledger = applier.ledger.as_ref();
    members::join(ledger, member, ledger.now().await?).await?;
    let Some(job) = recoverer.due(ledger).await? else { return Ok(None) };
    let mut unmatched = BTreeSet::new();
    if let Some(runs) = &job.merge {
        let since = begin(ledger, runs).await?;
        people.replay(from_start().as_mut(), since).await?;
        let replayed = applier.replay(from_start().as_mut(), since).await?;
        let facts = replayed.facts;
        unmatched = replayed.unmatched;
        tracing::info!("{facts} status reports are merged into the store's new incarnation");
    }
    Ok(Some(recoverer.merged(ledger, &job, &unmatched).await?))
}

/// Nothing about these runs was received before, give or take the hosts' clocks.
async fn begin(ledger: &dyn Ledger, runs: &[domain::RunId]) -> Result<Timestamp, LedgerError> {
    let mut begin = Timestamp::MAX;
    for id in runs {
        if let Some(run) = ledger.run(id).await? {
            begin = begin.min(run.header.window.opens - Duration::from_secs(60));
        }
    }
    Ok(begin)
}
