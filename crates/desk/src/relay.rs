//! Tells the ledger what the records have decided: letter by letter, until the ledger has it.

use std::sync::Arc;
use std::time::Duration;

use domain::{Clock, TenantId};
use ledger::Ledger;
use ledger::opt_outs::Said;
use records::Records;
use records::outbox::{self, Letter};
use status::people::OptOutDesk;
use telemetry::labels::Loop;
use telemetry::{Fault, Metrics};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::consents::LETTER;
use crate::error::RelayError;
use crate::notes::Notes;
use crate::witness;

/// How often the outbox is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// How often notes of acts are brought into the audit.
const NOTES_EVERY: Duration = Duration::from_secs(30);
/// Letters in one turn.
const PAGE: u32 = 200;

pub struct Relay {
    pub records: Records,
    pub ledger: Arc<dyn Ledger>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub opt_outs: OptOutDesk,
    /// Whose letters this ledger hears.
    pub tenant: TenantId,
    /// Of acts on this host, for the audit; `None`: somebody else brings them.
    pub notes: Option<Notes>,
}

impl Relay {
    /// Tells until `stop`. What cannot be told now waits.
    pub async fn run(&self, stop: CancellationToken) {
        let mut fault = Fault::default();
        let mut noted = None;
        loop {
            if noted.is_none_or(|at: Instant| at.elapsed() > NOTES_EVERY) {
                noted = Some(Instant::now());
                self.take_up_notes().await;
            }
            match self.turn().await {
                Ok(told) => {
                    if let Some(met) = fault.over() {
                        tracing::info!("consents reach the ledger again; {met} tries had failed");
                    }
                    let now = self.clock.now().secs_f64();
                    self.metrics.process.loop_success.of(Loop::Relay).set(now);
                    if told > 0 {
                        continue;
                    }
                }
                Err(error) => {
                    if fault.met(&error.to_string()) {
                        tracing::error!(error = %error, "consents wait in the outbox: {error}");
                    }
                }
            }
            if stop.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_none() {
                return;
            }
        }
    }

    /// Notes that cannot be taken up now wait on the disk; the fault is that of the letters, and said
    /// there.
    async fn take_up_notes(&self) {
        let Some(notes) = &self.notes else { return };
        let taken = notes.take_up(&self.records, &self.tenant, self.clock.as_ref()).await;
        if let Err(error) = taken {
            tracing::debug!(error = %error, "notes of acts wait for the audit: {error}");
        }
    }

    /// Tells all that waits; for who does not leave it to the daemon.
    ///
    /// # Errors
    /// As [`Relay::turn`].
    pub async fn drain(&self) -> Result<usize, RelayError> {
        let mut told = 0;
        loop {
            match self.turn().await? {
                0 => break,
                n => told += n,
            }
        }
        witness::note(&self.records, self.ledger.as_ref(), &self.tenant).await?;
        Ok(told)
    }

    /// Tells what waits, the oldest first; returns how many letters there were.
    ///
    /// # Errors
    /// When records or ledger do not answer: the letters wait, and are told again.
    pub async fn turn(&self) -> Result<usize, RelayError> {
        let waiting = outbox::waiting(&self.records, &self.tenant, LETTER, PAGE).await?;
        let said: Vec<Said> = waiting.iter().flat_map(read).collect();
        if !said.is_empty() {
            self.opt_outs.tell(self.ledger.as_ref(), &said).await?;
        }
        outbox::told(&self.records, &waiting).await?;
        Ok(waiting.len())
    }
}

/// A letter that cannot be read is said, and holds up no other.
fn read(letter: &Letter) -> Vec<Said> {
    serde_json::from_str(&letter.payload).unwrap_or_else(|error| {
        tracing::error!(
            "letter {} to the ledger cannot be read at column {} and is dropped; its consents are in the records",
            letter.id,
            error.column()
        );
        Vec::new()
    })
}
