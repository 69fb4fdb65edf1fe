//! Reads the ledger into run gauges, every two seconds.
//!
//! Gauges, not counters: they are what the ledger holds, so a restart changes nothing.

use std::sync::Arc;
use std::time::Duration;

use domain::campaign::CampaignId;
use domain::{Clock, State};
use ledger::{Ledger, LedgerError, Phase, Run};
use telemetry::Metrics;
use tokio_util::sync::CancellationToken;

const EVERY: Duration = Duration::from_secs(2);
/// After the deadline arrivals are recounted by event time, which reads every delivery.
const RECOUNT_EVERY: Duration = Duration::from_secs(30);
/// For this long after the deadline; later arrivals change nothing for the SLA.
const RECOUNT_FOR: Duration = Duration::from_secs(15 * 60);

pub struct Sampler {
    pub ledger: Arc<dyn Ledger>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub campaign: CampaignId,
}

impl Sampler {
    pub async fn run(self, stop: CancellationToken) {
        let mut recounted = None;
        loop {
            match self.sample(&mut recounted).await {
                Ok(()) => {
                    let now = self.clock.now().secs_f64();
                    self.metrics.loop_success.with_label_values(&["sampler"]).set(now);
                }
                Err(error) => {
                    self.metrics.ledger_errors.inc();
                    tracing::warn!(error = %error, "metrics are not read from the ledger: {error}");
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }

    async fn sample(&self, recounted: &mut Option<domain::Timestamp>) -> Result<(), LedgerError> {
        let runs = self.ledger.runs().await?;
        let prefix = format!("{}@", self.campaign);
        let Some(run) = runs.iter().rfind(|run| run.header.id.as_str().starts_with(&prefix)) else {
            return Ok(());
        };
        let labels = [self.campaign.as_str()];
        let m = &self.metrics;
        let header = &run.header;
        m.run_scheduled.with_label_values(&labels).set(header.window.opens.secs_f64());
        m.run_deadline.with_label_values(&labels).set(header.window.deadline.secs_f64());
        m.run_sla_target.with_label_values(&labels).set(header.target_ratio);
        let started = run.started_at.map_or(0.0, |at| at.secs_f64());
        m.run_start.with_label_values(&labels).set(started);
        m.run_recipients.with_label_values(&labels).set(i64::from(run.cursor));
        let counts = self.ledger.counts(&header.id).await?;
        for state in State::ALL {
            let gauge = m.run_deliveries.with_label_values(&[labels[0], state.as_str()]);
            gauge.set(i64::try_from(counts.get(state)).unwrap_or(i64::MAX));
        }
        self.arrived(run, &counts, recounted).await
    }

    async fn arrived(
        &self,
        run: &Run,
        counts: &ledger::Counts,
        recounted: &mut Option<domain::Timestamp>,
    ) -> Result<(), LedgerError> {
        let now = self.clock.now();
        let deadline = run.header.window.deadline;
        let gauge =
            self.metrics.run_delivered_by_deadline.with_label_values(&[self.campaign.as_str()]);
        if now <= deadline {
            let arrived = counts.get(State::Delivered) + counts.get(State::Read);
            gauge.set(i64::try_from(arrived).unwrap_or(i64::MAX));
            return Ok(());
        }
        let first = recounted.is_none_or(|at| at <= deadline);
        let again = recounted.is_some_and(|at| now.since(at) >= RECOUNT_EVERY)
            && now.since(deadline) < RECOUNT_FOR;
        if first || again {
            let report = status::sla::report(self.ledger.as_ref(), run).await?;
            gauge.set(i64::try_from(report.by_deadline.delivered).unwrap_or(i64::MAX));
            if run.phase == Phase::Closed {
                let recount = self.ledger.recount(&run.header.id).await?;
                let differ = State::ALL.iter().filter(|s| recount.get(**s) != counts.get(**s));
                self.metrics.ledger_count_mismatch.set(differ.count() as i64);
            }
            *recounted = Some(now);
        }
        Ok(())
    }
}
