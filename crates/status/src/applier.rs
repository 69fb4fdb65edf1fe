//! Reads the inbox and merges what it says into the ledger.
//!
//! The position is noted only after the ledger answered, so a crash repeats a batch, and
//! repeated facts change nothing. A store that does not answer stops the applier, not the
//! receiver: bodies wait on the disk. Signed bodies that cannot be read go to `poison/`.

use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use cloud_api::error_codes::reported;
use cloud_api::webhooks::{self, Event, Status, StatusReport};
use domain::callback::{BadCallback, Callback, CallbackKey};
use domain::failure::ReportedFailure;
use domain::{Attempt, Backoff, Clock, Timestamp};
use ledger::{Applied, Ledger, LedgerError, WebhookFact};
use rand::rngs::StdRng;
use telemetry::Metrics;
use tokio_util::sync::CancellationToken;

use crate::inbox::{Inbox, InboxError, Reader, Record};

/// Stands for a failure without a code, which happens; no code of Meta's.
const UNNAMED: i32 = -1;
/// Facts in one ledger call.
const FACTS_MAX: usize = 500;
/// Looks at the inbox at least this often, in case a wake-up was missed.
const IDLE: Duration = Duration::from_millis(500);
const STORE_PAUSE: Duration = Duration::from_millis(200);

pub struct Applier {
    pub inbox: Inbox,
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
    StoreDown,
}

/// A fact with the label it is counted under.
struct Labelled {
    fact: WebhookFact,
    status: &'static str,
}

impl Applier {
    /// Applies until `stop`, and then what is left in the inbox.
    ///
    /// # Errors
    /// When the inbox itself cannot be read.
    pub async fn run(self, stop: CancellationToken) -> Result<(), InboxError> {
        let mut reader = Reader::open(self.inbox.dir())?;
        loop {
            let pause = match self.round(&mut reader).await? {
                Round::Applied => Duration::ZERO,
                Round::Empty if stop.is_cancelled() => return Ok(()),
                Round::Empty => IDLE,
                // What is in the inbox stays there for the next start.
                Round::StoreDown if stop.is_cancelled() => return Ok(()),
                Round::StoreDown => STORE_PAUSE,
            };
            if pause != STORE_PAUSE {
                let now = self.clock.now().secs_f64();
                self.metrics.loop_success.with_label_values(&["applier"]).set(now);
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => {}
                () = self.inbox.written().notified(), if pause == IDLE => {}
            }
        }
    }

    /// One batch.
    async fn round(&self, reader: &mut Reader) -> Result<Round, InboxError> {
        let before = reader.position();
        let (records, after) = reader.next_batch(self.inbox.synced())?;
        if records.is_empty() {
            return Ok(Round::Empty);
        }
        let mut facts = Vec::new();
        for record in &records {
            self.read(record, &mut facts);
        }
        for chunk in facts.chunks(FACTS_MAX) {
            if let Err(error) = self.apply(chunk).await {
                self.metrics.ledger_errors.inc();
                tracing::warn!(error = %error, "{} status reports wait in the inbox: {error}", facts.len());
                reader.rewind(before);
                return Ok(Round::StoreDown);
            }
        }
        reader.applied(after)?;
        Ok(Round::Applied)
    }

    /// Reads one body into facts. Events that are not statuses are not for us yet.
    fn read(&self, record: &Record, facts: &mut Vec<Labelled>) {
        let events = match webhooks::read(&record.body) {
            Ok(events) => events,
            Err(error) => {
                self.metrics.webhooks.with_label_values(&["unreadable"]).inc();
                tracing::error!("{error}; kept in poison/");
                poison(self.inbox.dir(), record);
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

    async fn apply(&self, facts: &[Labelled]) -> Result<(), LedgerError> {
        let batch: Vec<WebhookFact> = facts.iter().map(|labelled| labelled.fact.clone()).collect();
        let verdicts = self.ledger.apply(&batch).await?;
        for (labelled, verdict) in facts.iter().zip(verdicts) {
            let verdict = match verdict {
                Applied::Changed { .. } => "changed",
                Applied::Noted => "noted",
                Applied::Stale => "stale",
                Applied::Unknown => "unknown",
            };
            self.metrics.status_reports.with_label_values(&[labelled.status, verdict]).inc();
        }
        Ok(())
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

/// Keeps a body for a person; named by its hash, so repeats do not pile up.
fn poison(dir: &Path, record: &Record) {
    let folder = dir.join("poison");
    let name = &domain::hash::sha256_hex(&record.body)[..16];
    let kept = std::fs::create_dir_all(&folder)
        .and_then(|()| std::fs::write(folder.join(name), &record.body));
    if let Err(error) = kept {
        tracing::error!(error = %error, "unreadable webhook {name} was not kept: {error}");
    }
}
