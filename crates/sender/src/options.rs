//! How the sender behaves. Spans are real ones; a rehearsal passes them compressed.

use std::time::Duration;

use domain::Backoff;

#[derive(Clone, Debug)]
pub struct Options {
    /// Requests of one number that may be under way at once. Larger rides out slow answers;
    /// each is one connection or stream. At one second an answer, 80/s need 80.
    pub concurrency: usize,
    /// From intent to write. After it the intent is aborted: a sender that was frozen must
    /// not send late.
    pub budget: Duration,
    /// As far as the budget may grow where the store or the disk is slow: an intent that was
    /// granted is doubted after its time-out, and a request takes its own time.
    pub budget_max: Duration,
    /// Longest handling of one delivery: half a lease for permits, then what an intent may
    /// take.
    pub handling_timeout: Duration,
    /// Delays between attempts that were spent.
    pub backoff: Backoff,
    /// Delays after tries that spent none: throttled, not sent.
    pub defer: Backoff,
    /// How much faster than real time this is: 1.0, or more in a rehearsal.
    pub compress: f64,
    /// How long deliveries under way may take after a stop.
    pub grace: Duration,
    /// The ledger is on another machine or may lose its latest writes, so each intent is
    /// synced to this host's own disk first.
    pub ledger_forgets: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            concurrency: 200,
            budget: Duration::from_secs(2),
            budget_max: Duration::from_millis(4_500), // 15 s − 10 s − margin
            handling_timeout: Duration::from_secs(20), // 5 s + 15 s
            backoff: Backoff::default(),
            defer: Backoff {
                base: Duration::from_secs(1),
                factor: 2.0,
                jitter: 0.5,
                max: Duration::from_secs(30),
            },
            compress: 1.0,
            grace: Duration::from_secs(12),
            ledger_forgets: false,
        }
    }
}

impl Options {
    /// Lets the budget grow as far as an intent's time-out allows, less what a request takes.
    pub fn with_budget_below(self, intent_timeout: Duration, total_timeout: Duration) -> Self {
        let room = intent_timeout.saturating_sub(total_timeout);
        Options { budget_max: room.mul_f64(0.9).max(self.budget), ..self }
    }

    /// The same behaviour `by` times faster, for a window that is `by` times shorter.
    pub fn compressed(self, by: f64) -> Self {
        Options {
            backoff: self.backoff.compressed(by),
            defer: self.defer.compressed(by),
            compress: by,
            ..self
        }
    }
}
