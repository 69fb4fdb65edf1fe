//! The loops that stand between the records and the ledger, put together.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use desk::recorder::Recorder;
use desk::relay::Relay;
use domain::TenantId;
use records::Records;
use telemetry::Fault;
use tokio_util::sync::CancellationToken;

use super::Parts;

/// Before records that are away are looked for again.
const LOOK: Duration = Duration::from_secs(2);

impl Parts {
    /// Tells the ledger what the records decide; `None`: asked to stop before they answered.
    pub async fn relay(self: &Arc<Self>, stop: &CancellationToken) -> Option<Relay> {
        Some(Relay {
            records: self.records(stop).await?,
            ledger: Arc::clone(&self.ledger),
            clock: Arc::clone(&self.clock),
            metrics: Arc::clone(&self.metrics),
            opt_outs: self.opt_outs(),
            tenant: TenantId::default(),
        })
    }

    /// Brings what people say into the records; `None`: asked to stop before they answered.
    pub async fn recorder(self: &Arc<Self>, stop: &CancellationToken) -> Result<Option<Recorder>> {
        let Some(records) = self.records(stop).await else { return Ok(None) };
        Ok(Some(Recorder {
            records,
            clock: Arc::clone(&self.clock),
            metrics: Arc::clone(&self.metrics),
            rng: Mutex::new(self.rng()?),
            endpoints: self.believed(),
            tenant: TenantId::default(),
        }))
    }

    /// Waits for the records as long as it takes: nothing of a morning waits for whoever waits here.
    async fn records(&self, stop: &CancellationToken) -> Option<Records> {
        let mut fault = Fault::default();
        loop {
            match Records::open(&self.records).await {
                Ok(records) => return Some(records),
                Err(error) if fault.met(&error.to_string()) => {
                    tracing::error!(error = %error, "the records are away, and the morning does without them: {error}");
                }
                Err(_) => {}
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }
}
