//! The receiver's part in a recovery: gives a restarted store every webhook that it may
//! have forgotten, from the inbox on this host's own disk.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::Timestamp;
use ledger::members;
use ledger::recovery::{Progress, Recoverer};
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
    if job.merge.is_some() {
        // Everything that is kept: when something was received says this host's clock, and a clock that
        // is behind must not leave out what the store has forgotten.
        people.replay(from_start().as_mut(), Timestamp::MIN).await?;
        let replayed = applier.replay(from_start().as_mut(), Timestamp::MIN).await?;
        let facts = replayed.facts;
        unmatched = replayed.unmatched;
        tracing::info!("{facts} status reports are merged into the store's new incarnation");
    }
    Ok(Some(recoverer.merged(ledger, &job, &unmatched).await?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::State;
    use inbox::Record;
    use serde_json::json;

    use crate::applier::tests::{BEGIN, Stage};

    /// Received by a clock that is ten minutes behind.
    fn record(stage: &Stage, value: serde_json::Value) -> Record {
        let value = json!({"field": "messages", "value": value});
        let body = json!({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [value]}]});
        Record::new(stage.now() - Duration::from_secs(600), body.to_string())
    }

    #[tokio::test]
    async fn a_receiver_whose_clock_is_behind_gives_a_restarted_store_all_that_it_knows() {
        let stage = Stage::new().await;
        let dir = tempfile::tempdir().unwrap();
        let inbox = Inbox::open(dir.path(), u64::MAX).unwrap();
        let mut recoverer = Recoverer::new("r");
        let tail = || Box::new(Tail::from_start(dir.path())) as Box<dyn Source>;
        let consumers = (&stage.applier, &stage.people);
        merge(consumers, &mut recoverer, "r", tail).await.unwrap();
        let index = stage.sent(7).await;
        let memory = stage.ledger.memory();
        let at = (BEGIN + Duration::from_secs(5)).secs().to_string();
        let metadata = json!({"phone_number_id": "1001"});
        let delivered = json!({"id": "x", "status": "delivered", "timestamp": at,
            "biz_opaque_callback_data": stage.callback(index, 7, 0)});
        let stop = json!({"from": crate::applier::tests::phone(1), "id": "wamid.stop", "type": "text",
            "timestamp": at, "text": {"body": "STOP"}});
        let records = [
            record(&stage, json!({"metadata": metadata, "statuses": [delivered]})),
            record(&stage, json!({"metadata": metadata, "messages": [stop]})),
        ];
        for record in &records {
            inbox.append(record).await.unwrap();
        }
        stage.applier.merge_bodies(&records).await.unwrap();
        stage.people.honour(&records).await.unwrap();
        let (first, second) = (stage.view(index).await.state, stage.view(1).await.state);
        assert_eq!((first, second), (State::Delivered, State::Suppressed));
        stage.ledger.restart(Some(memory));
        assert_eq!(stage.view(index).await.state, State::Accepted, "forgotten");
        merge(consumers, &mut recoverer, "r", tail).await.unwrap();
        let (first, second) = (stage.view(index).await.state, stage.view(1).await.state);
        assert_eq!((first, second), (State::Delivered, State::Suppressed));
    }
}
