//! Opens the ledger that the configuration names.

use std::sync::Arc;

use anyhow::{Context, Result};
use domain::SystemClock;
use ledger::{Ledger, Redis, Sqlite};

use crate::config::{Config, Store};
use crate::exit::Unavailable;

/// Opens it, making the state folder when it is missing.
pub async fn open(config: &Config) -> Result<Arc<dyn Ledger>> {
    let dir = &config.state_dir;
    std::fs::create_dir_all(dir)
        .map_err(|e| Unavailable(format!("make the state folder {}: {e}", dir.display())))?;
    match &config.store {
        Store::Sqlite { path } => {
            let ledger = Sqlite::open(path, Arc::new(SystemClock))
                .with_context(|| format!("open {}", path.display()))?;
            Ok(Arc::new(ledger))
        }
        Store::Redis { url, prefix, accept_risk } => {
            let options = ledger::redis::Options::new(url, prefix, *accept_risk);
            let ledger = Redis::connect(&options).await.context("open the Redis ledger")?;
            Ok(Arc::new(ledger))
        }
    }
}
