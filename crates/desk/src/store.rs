//! Opens the stores that the configuration names: the ledger, and the records.

use std::path::Path;
use std::sync::{Arc, Mutex};

use config::{Config, Store};
use domain::clock::APART_MAX;
use domain::{Clock, SystemClock};
use ledger::{Ledger, Redis, Sqlite};
use rand::SeedableRng;
use rand::rngs::{StdRng, SysRng};
use records::Records;

use crate::Desk;
use crate::did::who;
use crate::error::{DeskError, Doing, Result};

/// Lies in the state folder while a restore is under way, and says what it found.
pub const RESTORING: &str = "restoring";

/// Whether there can be anything in it: an embedded ledger that was never opened is no file.
/// One whose folder is missing is not new, but lost, or wrongly named: opening it says so.
pub fn exists(config: &Config) -> bool {
    match &config.store {
        Store::Sqlite { path } => {
            let folder = path.parent().is_none_or(Path::exists);
            path.exists() || (!folder && config.state_dir.exists())
        }
        Store::Redis { .. } => true,
    }
}

/// Opens it, making the state folder when it is missing.
pub async fn open(config: &Config) -> Result<Arc<dyn Ledger>> {
    let dir = &config.state_dir;
    std::fs::create_dir_all(dir).map_err(|e| {
        DeskError::Unavailable(format!("make the state folder {}: {e}", dir.display()))
    })?;
    match &config.store {
        Store::Sqlite { path } => {
            refuse_half_of_a_backup(dir, path)?;
            let ledger = Sqlite::open(path, Arc::new(SystemClock))
                .doing(|| format!("open {}", path.display()))?;
            refuse_others(config, &ledger).await?;
            Ok(Arc::new(ledger))
        }
        Store::Redis { url, prefix, accept_risk, ca_file, replicas } => {
            let mut options = ledger::redis::Options::new(url, prefix, *accept_risk);
            (options.ca_file, options.replicas) = (ca_file.clone(), *replicas);
            let open = || "open the Redis ledger (store.redis_url)";
            let ledger = Redis::connect(&options).await.doing(open)?;
            let (there, here) = (ledger.now().await.doing(open)?, SystemClock.now());
            let apart = there.since(here).max(here.since(there));
            // Deliveries are due by the store's clock and judged by Meta's.
            if apart > APART_MAX {
                return Err(DeskError::Unavailable(format!(
                    "the clocks of this host and of Redis are {apart:?} apart: set them by NTP before anything is sent"
                )));
            }
            refuse_others(config, &ledger).await?;
            Ok(Arc::new(ledger))
        }
    }
}

/// The cell that holds whose a ledger is.
const TENANT: &str = "tenant";

/// Makes a ledger that is nobody's the configuration's tenant's. One of another tenant's is refused when
/// it is opened.
///
/// # Errors
/// When the store does not answer, or the ledger is another tenant's.
pub async fn claim(config: &Config, ledger: &dyn Ledger) -> Result<()> {
    if whose(ledger).await?.is_none() {
        ledger.swap_cell(TENANT, None, config.tenant.as_str()).await?;
    }
    refuse_others(config, ledger).await?;
    let mark = config.state_dir.join(TENANT);
    if !mark.exists() {
        let text = format!("{}\n", config.tenant);
        std::fs::write(&mark, text).doing(|| format!("write {}", mark.display()))?;
    }
    Ok(())
}

/// Refuses a state folder that is another tenant's: lists, content and backups lie in it.
///
/// # Errors
/// [`DeskError::Unavailable`] when it is.
pub fn refuse_others_folder(config: &Config) -> Result<()> {
    let theirs = std::fs::read_to_string(config.state_dir.join(TENANT)).unwrap_or_default();
    let (theirs, ours) = (theirs.trim(), config.tenant.as_str());
    if theirs.is_empty() || theirs == ours {
        return Ok(());
    }
    let (dir, file) = (config.state_dir.display(), config.file.display());
    Err(DeskError::Unavailable(format!(
        "the state folder {dir} is tenant {theirs}'s, and {file} is {ours}'s: give it a folder of its own (state_dir), or, if the tenant was renamed, set tenant = \"{theirs}\" again"
    )))
}

async fn whose(ledger: &dyn Ledger) -> Result<Option<String>> {
    Ok(ledger.read_cell(TENANT).await?)
}

async fn refuse_others(config: &Config, ledger: &dyn Ledger) -> Result<()> {
    let ours = config.tenant.as_str();
    match whose(ledger).await? {
        Some(theirs) if theirs != ours => Err(DeskError::Unavailable(format!(
            "the ledger is tenant {theirs}'s, and {} is {ours}'s: give it a store of its own (store.path, or store.redis_prefix), or, if the tenant was renamed, set tenant = \"{theirs}\" again",
            config.file.display()
        ))),
        _ => Ok(()),
    }
}

/// Sits down at the desk for one act, and leaves the records as a clean end does.
pub async fn at_desk<T>(config: &Config, act: impl AsyncFnOnce(&Desk) -> Result<T>) -> Result<T> {
    let desk = desk(config).await?;
    let done = act(&desk).await;
    desk.records.close().await;
    done
}

/// Where this command's user sits: the records, opened, and under whose name they are acted on.
pub async fn desk(config: &Config) -> Result<Desk> {
    let dir = &config.state_dir;
    std::fs::create_dir_all(dir).doing(|| format!("make {}", dir.display()))?;
    let rng = StdRng::try_from_rng(&mut SysRng).doing(|| "read the system's random source")?;
    Ok(Desk {
        records: Records::open(&config.records).await.doing(|| "open the records")?,
        clock: Arc::new(SystemClock),
        rng: Mutex::new(rng),
        tenant: config.tenant.clone(),
        actor: who(),
    })
}

/// The ledger comes last: without it an interrupted restore has to go on before a new one is
/// made here.
fn refuse_half_of_a_backup(state_dir: &Path, ledger: &Path) -> Result<()> {
    let marker = state_dir.join(RESTORING);
    if !marker.exists() {
        return Ok(());
    }
    if !ledger.exists() {
        let words = "a restore was interrupted here: give the same `subah restore … --yes` again before anything else";
        return Err(DeskError::Unavailable(words.to_owned()));
    }
    std::fs::remove_file(&marker).doing(|| format!("remove {}", marker.display()))
}
