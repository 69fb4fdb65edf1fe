//! Reads the inbox and merges what it says into the ledger.
//!
//! The position is noted only after the ledger answered, so a crash repeats a batch, and
//! repeated facts change nothing. A store that does not answer stops the applier, not the
//! receiver: bodies wait on the disk. Signed bodies that cannot be read go to `poison/`;
//! facts about deliveries that the ledger does not know are parked for a day.

mod halted;
mod matcher;
mod read;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::callback::CallbackKey;
use domain::{Backoff, Clock, MessageId, NumberId, RunId, Timestamp};
use ledger::api::apply_all;
use ledger::{Applied, Ledger, LedgerError, WebhookFact, recovery, standing, store_mark};
use rand::rngs::StdRng;
use telemetry::Metrics;
use telemetry::labels::{Loop, Pair, StatusKind, Verdict};
use tokio_util::sync::CancellationToken;

use crate::place::{Due, Place};
use crate::store_time::StoreTime;
use inbox::endpoint::Endpoints;
use inbox::{LogError, Parked, Record, ReplayError, Round, Source, rest};

/// How long a fact waits for its delivery to appear, how often that is tried, and how many
/// may wait.
const PARKED_FOR: Duration = Duration::from_secs(24 * 3_600);
const UNPARK_EVERY: Duration = Duration::from_secs(5);
const PARKED_MAX: usize = 10_000;

/// What a replay found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    pub facts: usize,
    /// Runs of facts about deliveries that the ledger does not hold.
    pub unmatched: BTreeSet<RunId>,
}

pub struct Applier {
    pub ledger: Arc<dyn Ledger>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    /// Who reads what the inbox keeps.
    pub endpoints: Endpoints,
    /// One per app secret: what was sent before a rotation still counts.
    pub callback_keys: Vec<CallbackKey>,
    /// Delay before another attempt after a failure that allows one.
    pub backoff: Backoff,
    pub rng: Mutex<StdRng>,
    /// Those that we send from: what is said of others is not about us.
    pub numbers: Vec<NumberId>,
    pub matcher: Mutex<matcher::Matcher>,
    pub time: StoreTime,
}

/// What a batch came to.
#[derive(Default)]
struct Told {
    facts: usize,
    /// Facts whose delivery is not in the ledger.
    unmatched: Vec<WebhookFact>,
    /// Runs of attempts that the ledger did not know.
    forgotten: BTreeSet<RunId>,
}

/// A fact with the label it is counted under, and what a failure said.
struct Labelled {
    fact: WebhookFact,
    status: StatusKind,
    failure: Option<halted::Said>,
}

/// What a batch of bodies says.
#[derive(Default)]
struct Batch {
    facts: Vec<Labelled>,
    /// Statuses without callback data: found by their message id, if at all.
    unnamed: Vec<Unnamed>,
    /// Failures about an account or number that no delivery of ours is named for.
    general: Vec<halted::General>,
    /// When something was said of a template, a number or the account.
    meta_news: Option<Timestamp>,
}

/// A status that names no attempt of ours.
struct Unnamed {
    id: MessageId,
    labelled: Labelled,
}

impl Applier {
    /// Applies until `stop`, and then what is left in the inbox. A disk that is full or
    /// cannot be read is tried again: it may be put right.
    pub async fn run(&self, source: &mut dyn Source, stop: CancellationToken) {
        let written = source.written();
        let mut unparked = Timestamp::MIN;
        let mut place = Place::of("statuses");
        loop {
            if let Err(error) = place.keep(self.ledger.as_ref(), source, Due::Now).await {
                tracing::debug!(error = %error, "the applier's place is not noted: {error}");
            }
            let round = self.round(source).await.unwrap_or_else(|error| {
                tracing::error!(error = %error, "statuses wait in the inbox: {error}");
                Round::Halted
            });
            let now = self.clock.now();
            if round == Round::Empty && now.since(unparked) > UNPARK_EVERY {
                unparked = now;
                self.unpark(source, now).await;
            }
            if round != Round::Halted {
                self.metrics.process.loop_success.of(Loop::Applier).set(now.secs_f64());
            }
            if !rest(round, &written, &stop).await {
                return;
            }
        }
    }

    /// Applies everything that is kept once more: after the store lost its latest writes,
    /// or by an operator.
    ///
    /// # Errors
    /// When the inbox cannot be read, or the ledger does not answer.
    pub async fn replay(
        &self,
        source: &mut dyn Source,
        since: Timestamp,
    ) -> Result<Replayed, ReplayError> {
        let mut replayed = Replayed::default();
        self.compare_clocks().await;
        loop {
            let records = source.next_batch()?;
            if records.is_empty() {
                return Ok(replayed);
            }
            let mut batch = Batch::default();
            for record in records.iter().filter(|record| record.received_at >= since) {
                self.read(record, &mut batch, None);
            }
            let told = self.apply_batch(batch).await?;
            replayed.unmatched.extend(told.unmatched.into_iter().map(|fact| fact.id.run));
            replayed.facts += told.facts;
        }
    }

    /// Merges single bodies, such as those that could not be read by an earlier version.
    ///
    /// # Errors
    /// When the ledger does not answer.
    pub async fn merge_bodies(&self, records: &[Record]) -> Result<usize, LedgerError> {
        let mut batch = Batch::default();
        records.iter().for_each(|record| self.read(record, &mut batch, None));
        Ok(self.apply_batch(batch).await?.facts)
    }

    async fn compare_clocks(&self) {
        let ahead = self.time.compare(self.ledger.as_ref(), self.clock.as_ref()).await;
        if let Some(secs) = ahead {
            self.metrics.sending.clock_offset.set(secs);
        }
    }

    /// One batch.
    async fn round(&self, source: &mut dyn Source) -> Result<Round, LogError> {
        let before = source.position();
        let records = source.next_batch()?;
        if records.is_empty() {
            return Ok(Round::Empty);
        }
        self.compare_clocks().await;
        let mut batch = Batch::default();
        for record in &records {
            self.read(record, &mut batch, Some(&*source));
        }
        let reports = batch.facts.len();
        let unmatched = match self.apply_batch(batch).await {
            Ok(told) => {
                self.doubt(&told.forgotten).await;
                told.unmatched
            }
            Err(error) => {
                self.metrics.process.ledger_errors.inc();
                tracing::warn!(error = %error, "{reports} status reports wait in the inbox: {error}");
                source.rewind(before);
                return Ok(Round::Halted);
            }
        };
        self.park(source, unmatched);
        Ok(Round::Applied)
    }

    /// Keeps facts about deliveries that the ledger does not know: it may be restored.
    fn park(&self, source: &mut dyn Source, unmatched: Vec<WebhookFact>) {
        if unmatched.is_empty() {
            return;
        }
        let until = self.clock.now() + PARKED_FOR;
        let mut parked = source.parked();
        let name = |fact: &WebhookFact| serde_json::to_string(fact).unwrap_or_default();
        let mut held: HashSet<String> = parked.iter().map(|held| name(&held.fact)).collect();
        for fact in unmatched {
            if !held.insert(name(&fact)) {
                continue;
            }
            if parked.len() >= PARKED_MAX {
                tracing::error!(
                    "{PARKED_MAX} status reports for unknown deliveries are kept already; more are left to `subah webhooks replay`"
                );
                break;
            }
            parked.push(Parked { until, fact });
        }
        self.metrics.news.parked.set(parked.len() as f64);
        source.park(&parked);
    }

    /// Tries parked facts again; those that are too old are dropped.
    async fn unpark(&self, source: &mut dyn Source, now: Timestamp) {
        let parked = source.parked();
        if parked.is_empty() {
            return;
        }
        let facts: Vec<WebhookFact> = parked.iter().map(|held| held.fact.clone()).collect();
        let Ok(verdicts) = apply_all(self.ledger.as_ref(), &facts).await else { return };
        let waits = |(held, verdict): &(Parked, Applied)| {
            *verdict == Applied::NoDelivery && held.until > now
        };
        let kept: Vec<Parked> =
            parked.into_iter().zip(verdicts).filter(waits).map(|(held, _)| held).collect();
        self.metrics.news.parked.set(kept.len() as f64);
        if kept.len() < facts.len() {
            source.park(&kept);
        }
    }

    /// Applies what a batch says. Returns facts whose delivery is not in the ledger, and how many
    /// facts there were.
    async fn apply_batch(&self, batch: Batch) -> Result<Told, LedgerError> {
        let Batch { mut facts, unnamed, general, meta_news } = batch;
        let now = self.time.by_the_store(self.clock.now());
        if let Some(at) = meta_news {
            standing::note_news(self.ledger.as_ref(), at).await?;
        }
        halted::stop_general(self, &general, now).await?;
        facts.extend(self.matched(unnamed, now).await?);
        let mut told = self.apply(&facts, now).await?;
        told.facts = facts.len();
        Ok(told)
    }

    /// Statuses without callback data whose message id the ledger holds.
    async fn matched(
        &self,
        unnamed: Vec<Unnamed>,
        now: Timestamp,
    ) -> Result<Vec<Labelled>, LedgerError> {
        if unnamed.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<&MessageId> = unnamed.iter().map(|status| &status.id).collect();
        let found = matcher::find(&self.matcher, self.ledger.as_ref(), &ids, now).await?;
        let mut facts = Vec::new();
        for (Unnamed { mut labelled, .. }, found) in unnamed.into_iter().zip(found) {
            match found {
                Some((id, nonce)) => {
                    labelled.fact.id = id;
                    labelled.fact.news.nonce = nonce;
                    facts.push(labelled);
                }
                None => {
                    let labels = Pair(labelled.status, Verdict::Unmatched);
                    self.metrics.news.status_reports.of(labels).inc();
                }
            }
        }
        Ok(facts)
    }

    /// A status of an attempt that the store does not know is evidence that it has forgotten
    /// more: nothing is sent before everybody has merged what they know.
    async fn doubt(&self, forgotten: &BTreeSet<RunId>) {
        if forgotten.is_empty() {
            return;
        }
        if let Ok(None) = self.ledger.incarnation().await {
            return self.suspect(forgotten).await;
        }
        let fenced = match self.ledger.fenced_runs().await {
            Ok(fenced) => fenced,
            Err(_) => return, // whoever sends finds it too
        };
        if forgotten.iter().any(|run| !fenced.contains(run))
            && let Err(error) = store_mark::doubt(self.ledger.as_ref()).await
        {
            tracing::warn!(error = %error, "the store's forgetting is not noted: {error}");
        }
    }

    /// A ledger that cannot forget has: it was put back as a file, with this host's journal or
    /// without. What was due may have been sent.
    async fn suspect(&self, forgotten: &BTreeSet<RunId>) {
        for run in forgotten {
            match recovery::suspect(self.ledger.as_ref(), run, None).await {
                Ok(0) => {}
                Ok(marked) => {
                    tracing::error!(run = %run, "the ledger was put back: {marked} deliveries of {run} that were due may have been sent; they are unknown under hold, sent and flagged under evidence")
                }
                Err(error) => {
                    tracing::warn!(run = %run, error = %error, "what may have been sent is not marked: {error}");
                }
            }
        }
    }

    /// Applies facts; says whose delivery or attempt is not in the ledger.
    async fn apply(&self, facts: &[Labelled], now: Timestamp) -> Result<Told, LedgerError> {
        let batch: Vec<WebhookFact> = facts.iter().map(|labelled| labelled.fact.clone()).collect();
        let verdicts = apply_all(self.ledger.as_ref(), &batch).await?;
        let mut told = Told::default();
        for (labelled, verdict) in facts.iter().zip(verdicts) {
            let id = &labelled.fact.id;
            let name = match verdict {
                Applied::Changed { .. } => Verdict::Changed,
                Applied::Noted => Verdict::Noted,
                Applied::Stale => Verdict::Stale,
                Applied::Foreign => Verdict::Foreign,
                Applied::Forgotten => {
                    told.forgotten.insert(id.run.clone());
                    tracing::error!(delivery.id = %id, "the store has forgotten an attempt of {id} that this installation made: was it restored or emptied? the status is merged");
                    Verdict::Forgotten
                }
                Applied::NoDelivery => {
                    told.unmatched.push(labelled.fact.clone());
                    Verdict::NoDelivery
                }
            };
            let is_news =
                matches!(verdict, Applied::Changed { .. } | Applied::Noted | Applied::Forgotten);
            if let Some(said) = labelled.failure.as_ref().filter(|_| is_news) {
                halted::stop_named(self, &labelled.fact, said, now).await?;
            }
            self.metrics.news.status_reports.of(Pair(labelled.status, name)).inc();
        }
        Ok(told)
    }
}
