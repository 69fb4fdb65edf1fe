//! Ends what time has ended: expired leases, lost intents, deliveries left over by the
//! window; closes runs whose every delivery has a named end.

use std::sync::Arc;
use std::time::Duration;

use domain::{Clock, State, StepWatch};
use ledger::{Ledger, LedgerError, Phase, Run, lanes};
use telemetry::labels::Loop;
use telemetry::{Fault, Metrics};
use tokio_util::sync::CancellationToken;

/// Records in one ledger call.
const SWEEP_MAX: usize = 1_000;

pub struct Sweeper {
    pub ledger: Arc<dyn Ledger>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    /// How often: smaller frees a dead sender's deliveries sooner.
    pub every: Duration,
}

impl Sweeper {
    pub async fn run(self, stop: CancellationToken) {
        let (mut watch, mut fault) = (StepWatch::default(), Fault::default());
        loop {
            match self.steady_round(&mut watch).await {
                Ok(()) => {
                    if let Some(met) = fault.over() {
                        tracing::info!("sweeps work again; {met} had failed");
                    }
                    let now = self.clock.now().secs_f64();
                    self.metrics.process.loop_success.of(Loop::Sweeper).set(now);
                }
                Err(error) => {
                    self.metrics.process.ledger_errors.inc();
                    if fault.met(&error.to_string()) {
                        tracing::warn!(error = %error, "sweep: {error}");
                    }
                }
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(self.every) => {}
            }
        }
    }

    /// Sweeps, but not by a clock that jumped: it would end a morning that has not begun.
    async fn steady_round(&self, watch: &mut StepWatch) -> Result<(), LedgerError> {
        let now = self.ledger.now().await?;
        let since_boot = tokio::time::Instant::now().into_std() + domain::clock::slept();
        if watch.observe(now, self.clock.now(), since_boot) {
            tracing::error!("the store's clock stepped: nothing is swept until it is steady");
            return Ok(());
        }
        self.round().await
    }

    /// Sweeps every run that is not over.
    ///
    /// # Errors
    /// When the ledger does not answer.
    pub async fn round(&self) -> Result<(), LedgerError> {
        for mut run in self.ledger.active_runs().await? {
            if run.phase == Phase::Planning && self.ledger.now().await? >= run.stop_at() {
                let id = &run.header.id;
                tracing::error!(run = %id, "run {id} was never planned to its end: cancelled");
                run = self.ledger.set_phase(id, Phase::Cancelled).await?;
            }
            if matches!(run.phase, Phase::Open | Phase::Paused | Phase::Cancelled) {
                if let Some(reopened) = self.catch_up(&run).await? {
                    run = reopened;
                }
                self.sweep(&run).await?;
            }
        }
        Ok(())
    }

    /// Nobody was there to send at the end: what waits may go until the end of catching up.
    /// Asked before the first sweep that would end it.
    async fn catch_up(&self, run: &Run) -> Result<Option<Run>, LedgerError> {
        let (id, header) = (&run.header.id, &run.header);
        let Some(until) = header.catch_up_until else { return Ok(None) };
        let now = self.ledger.now().await?;
        let over = run.phase == Phase::Open && now >= header.stop_at;
        if !over || run.reopened_until.is_some() || now >= until || until <= header.stop_at {
            return Ok(None);
        }
        let waiting = self.ledger.counts(id).await?.sum(State::is_waiting);
        let lanes = lanes::read(self.ledger.as_ref()).await?;
        if waiting == 0 || lanes.all_held(&header.lanes, header.stop_at) {
            return Ok(None);
        }
        tracing::error!(run = %id, waiting, "run {id}: a number had no sender at the deadline; {waiting} deliveries wait and may still go until {until}, late");
        self.ledger.reopen(id, until).await.map(Some)
    }

    async fn sweep(&self, run: &Run) -> Result<(), LedgerError> {
        let id = &run.header.id;
        loop {
            let swept = self.ledger.sweep(id, SWEEP_MAX).await?;
            if swept.intents_lost > 0 {
                tracing::warn!(run = %id, "run {id}: {} attempts have no outcome and count as ambiguous", swept.intents_lost);
            }
            if swept.written_off > 0 {
                self.metrics.sending.written_off.inc_by(u64::from(swept.written_off));
                tracing::warn!(run = %id, "run {id}: {} attempts without an answer show every sign of not having gone and may be sent again", swept.written_off);
            }
            if swept.suspected > 0 {
                tracing::error!(run = %id, "run {id}: not every host has given the store what it knows, and {} deliveries that are over may have been sent", swept.suspected);
            }
            if !swept.more {
                break;
            }
        }
        if self.ledger.now().await? >= run.may_close_at() {
            let counts = self.ledger.counts(id).await?;
            if counts.open() == 0 && run.phase != Phase::Closed {
                self.ledger.set_phase(id, Phase::Closed).await?;
                let unknown = counts.get(State::Unknown);
                tracing::info!(run = %id, unknown, "run {id} is closed: every delivery has a named end");
            }
        }
        Ok(())
    }
}
