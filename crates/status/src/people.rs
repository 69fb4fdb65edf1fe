//! What people say of themselves: reads the inbox for STOPs and preferences, from a place of its
//! own, and honours them. News of deliveries that wait for the store, or are very many, hold up
//! nobody's STOP, and the other way round.

mod opt_out;

use std::sync::Arc;

use domain::event::Event;
use domain::{Clock, Timestamp};
use inbox::endpoint::Endpoints;
use inbox::{Record, ReplayError, Round, Source, rest};
use ledger::{Ledger, LedgerError};
use telemetry::labels::Loop;
use telemetry::{Fault, Metrics};
use tokio_util::sync::CancellationToken;

pub use self::opt_out::{Categories, Heard, OptOutDesk};
use crate::place::{Due, Place};
use crate::store_time::StoreTime;

pub struct People {
    pub ledger: Arc<dyn Ledger>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    /// Who reads what the inbox keeps.
    pub endpoints: Endpoints,
    pub opt_outs: OptOutDesk,
    pub time: StoreTime,
}

impl People {
    /// Gives the ledger the STOPs that this host's disk knows.
    pub async fn remember(&self) {
        if let Err(error) = self.opt_outs.remember(self.ledger.as_ref()).await {
            self.metrics.process.ledger_errors.inc();
            tracing::warn!(error = %error, "kept STOPs are not in the ledger yet: {error}");
        }
    }

    /// Honours what comes in until `stop`, and then what is left.
    pub async fn run(&self, source: &mut dyn Source, stop: CancellationToken) {
        let written = source.written();
        let (mut fault, mut place) = (Fault::default(), Place::of("STOPs"));
        let mut due = Due::Now;
        loop {
            // A ledger that was put back is behind, and hears it all again.
            if let Err(error) = place.keep(self.ledger.as_ref(), source, due).await {
                tracing::debug!(error = %error, "the place of people is not noted: {error}");
            }
            let round = match self.round(source).await {
                Ok((round, heard)) => {
                    due = heard;
                    if let Some(met) = fault.over() {
                        tracing::info!("STOPs are honoured again; {met} tries had failed");
                    }
                    let now = self.clock.now().secs_f64();
                    self.metrics.process.loop_success.of(Loop::People).set(now);
                    round
                }
                Err(error) => {
                    self.metrics.process.ledger_errors.inc();
                    if fault.met(&error.to_string()) {
                        tracing::error!(error = %error, "STOPs wait in the inbox: {error}");
                    }
                    Round::Halted
                }
            };
            if !rest(round, &written, &stop).await {
                let noted = place.keep(self.ledger.as_ref(), source, Due::Now).await;
                if let Err(error) = noted {
                    tracing::debug!(error = %error, "the place of people is not noted: {error}");
                }
                return;
            }
        }
    }

    /// Honours everything that is kept since then once more: the store may have lost it.
    ///
    /// # Errors
    /// When the inbox cannot be read, or the ledger does not answer.
    pub async fn replay(
        &self,
        source: &mut dyn Source,
        since: Timestamp,
    ) -> Result<(), ReplayError> {
        self.opt_outs.remember(self.ledger.as_ref()).await?;
        self.time.compare(self.ledger.as_ref(), self.clock.as_ref()).await;
        loop {
            let mut records = source.next_batch()?;
            if records.is_empty() {
                return Ok(());
            }
            records.retain(|record| record.received_at >= since);
            self.honour(&records).await?;
        }
    }

    /// Honours what single bodies say, such as those that could not be read by an earlier
    /// version. Returns how many people's words there were.
    ///
    /// # Errors
    /// When the ledger does not answer; nothing is lost, because the inbox keeps the bodies.
    pub async fn honour(&self, records: &[Record]) -> Result<usize, LedgerError> {
        let heard: Vec<Heard> = records.iter().flat_map(|record| self.hear(record)).collect();
        if heard.is_empty() {
            return Ok(0);
        }
        self.opt_outs.honour(self.ledger.as_ref(), &heard).await?;
        let stops = heard.iter().filter(|heard| heard.is_stop()).count();
        self.metrics.news.opt_outs.inc_by(stops as u64);
        Ok(heard.len())
    }

    /// One batch, and when the place behind it is to be noted.
    async fn round(&self, source: &mut dyn Source) -> Result<(Round, Due), ReplayError> {
        let before = source.position();
        let records = source.next_batch()?;
        if records.is_empty() {
            return Ok((Round::Empty, Due::Soon));
        }
        if records.iter().any(|record| self.endpoints.may_hold_words(record)) {
            self.time.compare(self.ledger.as_ref(), self.clock.as_ref()).await;
        }
        match self.honour(&records).await {
            Ok(0) => Ok((Round::Applied, Due::Soon)),
            Ok(_) => Ok((Round::Applied, Due::Now)),
            Err(error) => {
                source.rewind(before);
                Err(error.into())
            }
        }
    }

    fn hear(&self, record: &Record) -> Vec<Heard> {
        hear(&self.endpoints, record, self.time.by_the_store(record.received_at))
    }
}

/// What people say of themselves in one body. One that cannot be read is kept and counted by the
/// reader of statuses.
pub fn hear(endpoints: &Endpoints, record: &Record, received_at: Timestamp) -> Vec<Heard> {
    if !endpoints.may_hold_words(record) {
        return Vec::new();
    }
    let Ok(said) = endpoints.read(record) else { return Vec::new() };
    let heard = |event: Event| match event {
        Event::Inbound(message) => opt_out::in_reply(&message, received_at),
        Event::Preference(preference) => opt_out::in_preference(&preference, received_at),
        _ => None,
    };
    said.events.into_iter().filter_map(heard).collect()
}
