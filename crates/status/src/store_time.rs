//! This host's clock held against the store's, as of the latest comparison.

use std::sync::atomic::{AtomicI64, Ordering};

use domain::{Clock, Timestamp};
use ledger::Ledger;

/// The store's clock minus this host's, microseconds; 0 until they were compared.
#[derive(Debug, Default)]
pub struct StoreTime(AtomicI64);

impl StoreTime {
    /// Compares the clocks; a store that does not answer leaves the latest comparison. Returns
    /// how far the store is ahead, in seconds, if it was asked.
    pub async fn compare(&self, ledger: &dyn Ledger, clock: &dyn Clock) -> Option<f64> {
        let now = ledger.now().await.ok()?;
        let ahead = now.micros() - clock.now().micros();
        self.0.store(ahead, Ordering::Relaxed);
        Some(ahead as f64 / 1e6)
    }

    /// An instant of this host's clock by the store's: what is held against the store's instants,
    /// or goes to the store.
    pub fn by_the_store(&self, at: Timestamp) -> Timestamp {
        Timestamp::from_micros(at.micros() + self.0.load(Ordering::Relaxed))
    }
}
