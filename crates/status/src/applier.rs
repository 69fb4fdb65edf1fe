//! Reads the inbox and merges what it says into the ledger.
//!
//! The position is noted only after the ledger answered, so a crash repeats a batch, and
//! repeated facts change nothing. A store that does not answer stops the applier, not the
//! receiver: bodies wait on the disk. Signed bodies that cannot be read go to `poison/`;
//! facts about deliveries that the ledger does not know are parked for a day.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cloud_api::error_codes::reported;
use cloud_api::webhooks::{self, Event, Status, StatusReport};
use domain::callback::{BadCallback, Callback, CallbackKey};
use domain::failure::ReportedFailure;
use domain::{Attempt, Backoff, Clock, RunId, Timestamp};
use ledger::api::apply_all;
use ledger::{Applied, Ledger, LedgerError, WebhookFact};
use rand::rngs::StdRng;
use telemetry::Metrics;
use tokio_util::sync::CancellationToken;

use crate::inbox::{LogError, Parked, Record, Source};

/// Stands for a failure without a code, which happens; no code of Meta's.
const UNNAMED: i32 = -1;
/// Looks at the inbox at least this often, in case a wake-up was missed.
const IDLE: Duration = Duration::from_millis(500);
const STORE_PAUSE: Duration = Duration::from_millis(200);
/// How long a fact waits for its delivery to appear, how often that is tried, and how many
/// may wait.
const PARKED_FOR: Duration = Duration::from_secs(24 * 3_600);
const UNPARK_EVERY: Duration = Duration::from_secs(5);
const PARKED_MAX: usize = 10_000;

#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error(transparent)]
    Inbox(#[from] LogError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// What a replay found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    pub facts: usize,
    /// Runs of facts about deliveries that the ledger does not hold.
    pub strangers: BTreeSet<RunId>,
}

pub struct Applier {
    pub ledger: Arc<dyn Ledger>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    /// One per app secret: what was sent before a rotation still counts.
    pub callback_keys: Vec<CallbackKey>,
    /// Delay before another attempt after a failure that allows one.
    pub backoff: Backoff,
    pub rng: Mutex<StdRng>,
}

/// What one look at the inbox gave.
enum Round {
    Applied,
    Empty,
    /// The store or the disk does not answer.
    Halted,
}

/// A fact with the label it is counted under.
struct Labelled {
    fact: WebhookFact,
    status: &'static str,
}

impl Applier {
    /// Applies until `stop`, and then what is left in the inbox. A disk that is full or
    /// cannot be read is tried again: it may be put right.
    pub async fn run(&self, source: &mut dyn Source, stop: CancellationToken) {
        let written = source.written();
        let mut unparked = Timestamp::MIN;
        loop {
            let round = self.round(source).await.unwrap_or_else(|error| {
                tracing::error!(error = %error, "statuses wait in the inbox: {error}");
                Round::Halted
            });
            let now = self.clock.now();
            if matches!(round, Round::Empty) && now.since(unparked) > UNPARK_EVERY {
                unparked = now;
                self.unpark(source, now).await;
            }
            let pause = match round {
                Round::Applied => Duration::ZERO,
                Round::Empty if stop.is_cancelled() => return,
                Round::Empty => IDLE,
                // What is in the inbox stays there for the next start.
                Round::Halted if stop.is_cancelled() => return,
                Round::Halted => STORE_PAUSE,
            };
            if pause != STORE_PAUSE {
                self.metrics.loop_success.with_label_values(&["applier"]).set(now.secs_f64());
            }
            if pause.is_zero() {
                continue;
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = written.notified(), if pause == IDLE => {}
                () = tokio::time::sleep(pause) => {}
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
        loop {
            let records = source.next_batch()?;
            if records.is_empty() {
                return Ok(replayed);
            }
            let mut facts = Vec::new();
            for record in records.iter().filter(|record| record.received_at >= since) {
                self.read(record, &mut facts, None);
            }
            let strangers = self.apply(&facts).await?;
            replayed.strangers.extend(strangers.into_iter().map(|fact| fact.id.run));
            replayed.facts += facts.len();
        }
    }

    /// One batch.
    async fn round(&self, source: &mut dyn Source) -> Result<Round, LogError> {
        let before = source.position();
        let records = source.next_batch()?;
        if records.is_empty() {
            return Ok(Round::Empty);
        }
        let mut facts = Vec::new();
        for record in &records {
            self.read(record, &mut facts, Some(&*source));
        }
        let strangers = match self.apply(&facts).await {
            Ok(strangers) => strangers,
            Err(error) => {
                self.metrics.ledger_errors.inc();
                tracing::warn!(error = %error, "{} status reports wait in the inbox: {error}", facts.len());
                source.rewind(before);
                return Ok(Round::Halted);
            }
        };
        self.park(source, strangers);
        source.applied()?;
        Ok(Round::Applied)
    }

    /// Keeps facts about deliveries that the ledger does not know: it may be restored.
    fn park(&self, source: &mut dyn Source, strangers: Vec<WebhookFact>) {
        if strangers.is_empty() {
            return;
        }
        let until = self.clock.now() + PARKED_FOR;
        let mut parked = source.parked();
        for fact in strangers {
            if parked.iter().any(|held| held.fact == fact) {
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
        self.metrics.parked.set(parked.len() as f64);
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
        let waits =
            |(held, verdict): &(Parked, Applied)| *verdict == Applied::Unknown && held.until > now;
        let kept: Vec<Parked> =
            parked.into_iter().zip(verdicts).filter(waits).map(|(held, _)| held).collect();
        self.metrics.parked.set(kept.len() as f64);
        if kept.len() < facts.len() {
            source.park(&kept);
        }
    }

    /// Reads one body into facts. Events that are not statuses are not for us yet.
    /// Unreadable ones are kept by `keeper`, if there is one.
    fn read(&self, record: &Record, facts: &mut Vec<Labelled>, keeper: Option<&dyn Source>) {
        let events = match webhooks::read(&record.body) {
            Ok(events) => events,
            Err(error) => {
                self.metrics.webhooks.with_label_values(&["unreadable"]).inc();
                tracing::error!("{error}; kept in poison/");
                if let Some(keeper) = keeper {
                    keeper.poison(record);
                }
                return;
            }
        };
        for event in events {
            if let Event::Status(report) = event
                && report.kind.is_none()
            {
                facts.extend(self.fact(report, record.received_at));
            }
        }
    }

    fn fact(&self, report: StatusReport, received_at: Timestamp) -> Option<Labelled> {
        let status = label(&report.status);
        let count = |verdict: &str| {
            self.metrics.status_reports.with_label_values(&[status, verdict]).inc();
        };
        let callback = match self.callback(report.callback.as_deref()?) {
            Ok(callback) => callback,
            Err(BadCallback::Foreign) => {
                count("foreign");
                return None;
            }
            Err(bad @ BadCallback::BadTag) => {
                count("forged");
                tracing::warn!("status report ignored: callback data: {bad}");
                return None;
            }
        };
        let at = report.at.unwrap_or(received_at);
        self.metrics.webhook_lag.observe(received_at.since(at).as_secs_f64());
        let mut news = Attempt::new(callback.nonce);
        match report.status {
            Status::Sent => news.sent_at = Some(at),
            Status::Delivered => news.delivered_at = Some(at),
            Status::Read | Status::Played => news.read_at = Some(at),
            Status::Failed => {
                let failure = reported(report.errors.first().copied().unwrap_or(UNNAMED));
                news.failed = Some(ReportedFailure { at, failure });
            }
            Status::Other(_) => return None,
        }
        let retry_at = news.failed.map(|_| {
            let mut rng = self.rng.lock().expect("no panic while held");
            self.clock.now() + self.backoff.delay(1, &mut *rng)
        });
        Some(Labelled { fact: WebhookFact { id: callback.delivery, news, retry_at }, status })
    }

    /// The callback by any key; the last key's complaint when none fits.
    fn callback(&self, text: &str) -> Result<Callback, BadCallback> {
        let mut read = Err(BadCallback::Foreign);
        for key in &self.callback_keys {
            read = Callback::decode(text, key);
            if read.is_ok() {
                break;
            }
        }
        read
    }

    /// Applies facts; returns those whose delivery is not in the ledger.
    async fn apply(&self, facts: &[Labelled]) -> Result<Vec<WebhookFact>, LedgerError> {
        let batch: Vec<WebhookFact> = facts.iter().map(|labelled| labelled.fact.clone()).collect();
        let verdicts = apply_all(self.ledger.as_ref(), &batch).await?;
        let mut unknown = Vec::new();
        for (labelled, verdict) in facts.iter().zip(verdicts) {
            let verdict = match verdict {
                Applied::Changed { .. } => "changed",
                Applied::Noted => "noted",
                Applied::Stale => "stale",
                Applied::Unknown => {
                    unknown.push(labelled.fact.clone());
                    "unknown"
                }
            };
            self.metrics.status_reports.with_label_values(&[labelled.status, verdict]).inc();
        }
        Ok(unknown)
    }
}

fn label(status: &Status) -> &'static str {
    match status {
        Status::Sent => "sent",
        Status::Delivered => "delivered",
        Status::Read | Status::Played => "read",
        Status::Failed => "failed",
        Status::Other(_) => "other",
    }
}
