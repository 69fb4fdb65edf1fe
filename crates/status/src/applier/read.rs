//! What a webhook body says: each event is read, labelled and counted; nothing is applied here.

use domain::callback::{Callback, Proof};
use domain::event::{Event, Status, StatusReport};
use domain::failure::ReportedFailure;
use domain::{Attempt, Timestamp};
use ledger::{RetryIn, WebhookFact};
use telemetry::labels::{EventKind, Pair, StatusKind, Verdict, WebhookResult};

use super::{Applier, Batch, Labelled, Unnamed, halted};
use inbox::{Record, Source};

impl Applier {
    /// Reads one body. Unreadable ones, and those with an odd part, are kept by `keeper`, if
    /// there is one.
    pub(super) fn read(&self, record: &Record, batch: &mut Batch, keeper: Option<&dyn Source>) {
        let heard = match self.endpoints.read(record) {
            Ok(heard) => heard,
            Err(error) => {
                self.metrics.news.webhooks.of(WebhookResult::Unreadable).inc();
                tracing::error!("{error}; kept in poison/, see `subah webhooks poison`");
                if let Some(keeper) = keeper {
                    keeper.poison(record);
                }
                return;
            }
        };
        let received_at = self.time.by_the_store(record.received_at);
        let mut is_odd = false;
        self.note_misplaced(record, heard.misplaced);
        for event in heard.events {
            self.metrics.news.events.of(kind(&event)).inc();
            match event {
                Event::Status(report) => self.read_status(report, received_at, batch),
                Event::Error { number, error } => {
                    let of = number.as_ref().map_or("-", |number| number.as_str());
                    let code = error.code.unwrap_or_default();
                    tracing::warn!(
                        number.id = of,
                        code,
                        "a webhook reports an error of number {of}: {} {}",
                        error.meaning,
                        error.words
                    );
                }
                Event::Template(news) | Event::Account(news) => {
                    batch.meta_news = Some(received_at);
                    tracing::warn!("{news}; {}", news.scrubbed());
                }
                Event::Odd { why } => {
                    is_odd = true;
                    tracing::error!(
                        "a webhook holds a part that cannot be read: {why}; kept in poison/"
                    );
                }
                _ => {}
            }
        }
        if let Some(keeper) = keeper.filter(|_| is_odd) {
            self.metrics.news.webhooks.of(WebhookResult::Unreadable).inc();
            keeper.poison(record);
        }
    }

    fn note_misplaced(&self, record: &Record, n: usize) {
        if n > 0 {
            self.metrics.news.events.of(EventKind::Misplaced).inc_by(n as u64);
            let endpoint = &record.endpoint;
            tracing::error!(
                endpoint,
                "a webhook of endpoint {endpoint} speaks {n} times of numbers that belong to another: nothing of that is believed"
            );
        }
    }

    fn read_status(&self, report: StatusReport, received_at: Timestamp, batch: &mut Batch) {
        let status = label(&report.status);
        let count = |verdict| self.metrics.news.status_reports.of(Pair(status, verdict)).inc();
        if !report.is_of_a_message() {
            return count(Verdict::NotAboutUs);
        }
        if let Some(general) = halted::general(&report, received_at, &self.numbers) {
            batch.general.push(general);
        }
        let Some(text) = &report.tag else {
            let nameless = Callback { delivery: nobody(), nonce: 0.into() };
            if let Some(labelled) = self.fact(nameless, Proof::Ours, &report, received_at) {
                batch.unnamed.push(Unnamed { id: report.id, labelled });
            }
            return;
        };
        match self.callback(text) {
            Some((callback, proof)) => {
                batch.facts.extend(self.fact(callback, proof, &report, received_at));
            }
            None => count(Verdict::Foreign),
        }
    }

    pub(super) fn fact(
        &self,
        callback: Callback,
        proof: Proof,
        report: &StatusReport,
        received_at: Timestamp,
    ) -> Option<Labelled> {
        let at = report.at.unwrap_or(received_at);
        self.metrics.news.lag.observe(received_at.since(at).as_secs_f64());
        let mut news = Attempt::new(callback.nonce);
        let mut failed = None;
        match report.status {
            Status::Sent => news.sent_at = Some(at),
            Status::Delivered => news.delivered_at = Some(at),
            Status::Read | Status::Played => news.read_at = Some(at),
            Status::Failed => {
                let said = report.errors.first().map(halted::Said::from).unwrap_or_default();
                news.failed = Some(ReportedFailure { at, failure: said.failure });
                news.words = Some(said.words.clone()).filter(|words| !words.is_empty());
                failed = Some(said);
            }
            Status::Other(_) => {
                let labels = Pair(StatusKind::Other, Verdict::Noted);
                self.metrics.news.status_reports.of(labels).inc();
                return None;
            }
        }
        let retry = news.failed.map(|_| {
            let mut rng = self.rng.lock().expect("no panic while held");
            RetryIn {
                first: self.backoff.delay(1, &mut *rng),
                factor: self.backoff.factor as u32,
                max: self.backoff.max,
            }
        });
        let fact = WebhookFact {
            retry,
            number: report.number.clone(),
            received_at: Some(received_at),
            is_first_tag: proof == Proof::First,
            ..WebhookFact::new(callback.delivery, news)
        };
        Some(Labelled { fact, status: label(&report.status), failure: failed })
    }

    /// The callback by any key; `None` when none fits.
    fn callback(&self, text: &str) -> Option<(Callback, Proof)> {
        self.callback_keys.iter().find_map(|key| Callback::decode(text, key).ok())
    }
}

/// Stands in for the delivery of a status until its message id is found.
fn nobody() -> domain::DeliveryId {
    domain::DeliveryId { run: "none@1970-01-01".parse().expect("a run id"), index: 0 }
}

/// The label of an event in metrics.
fn kind(event: &Event) -> EventKind {
    match event {
        Event::Status(_) => EventKind::Status,
        Event::Inbound(_) => EventKind::Inbound,
        Event::Echo { .. } => EventKind::Echo,
        Event::Call { .. } => EventKind::Call,
        Event::Preference(_) => EventKind::Preference,
        Event::Group { .. } => EventKind::Group,
        Event::Error { .. } => EventKind::Error,
        Event::Template(_) => EventKind::Template,
        Event::Account(_) => EventKind::Account,
        Event::Other { .. } => EventKind::Other,
        Event::Odd { .. } => EventKind::Odd,
    }
}

fn label(status: &Status) -> StatusKind {
    match status {
        Status::Sent => StatusKind::Sent,
        Status::Delivered => StatusKind::Delivered,
        Status::Read | Status::Played => StatusKind::Read,
        Status::Failed => StatusKind::Failed,
        Status::Other(_) => StatusKind::Other,
    }
}
