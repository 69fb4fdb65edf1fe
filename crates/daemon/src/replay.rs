//! What the inbox keeps is merged again. Beside a running subah too: facts are merged, and nothing else
//! is touched.

use anyhow::{Context, Result};
use config::Config;
use config::secrets::Credentials;
use desk::webhooks::unread;
use desk::{Answer, Told, did, named};
use domain::Timestamp;
use inbox::Tail;

use crate::parts::Parts;

/// Merges what came on a date or later; all, without one.
///
/// # Errors
/// When the date makes no sense, credentials are missing, or the store does not answer.
pub async fn replay(config: &Config, since: Option<&str>) -> Result<Told> {
    let since = match since {
        None => Timestamp::MIN,
        Some(text) => {
            let midnight = named::date(text, config)?.and_time(chrono::NaiveTime::MIN);
            let begins = midnight.and_local_timezone(config.zone()).earliest();
            begins.context("the zone has no such date")?.into()
        }
    };
    did::note(config, "webhooks replay")?;
    let parts = Parts::new(config, Credentials::load(&config.credentials)?, &[]).await?;
    let tail = || Tail::from_start(&config.inbox_dir());
    parts.people().replay(&mut tail(), since).await?;
    let replayed = parts.applier()?.replay(&mut tail(), since).await?;
    let n = replayed.facts;
    let mut told = Told::yes(format!(
        "{n} status reports were merged again; what was known already changed nothing"
    ));
    for run in replayed.unmatched {
        told.say(format!("{run}: some are about deliveries that the ledger does not hold"));
    }
    Ok(told)
}

/// Merges bodies that could not be read when they came and can be by now.
///
/// # Errors
/// When the folder cannot be read, credentials are missing, or the store does not answer.
pub async fn replay_unread(config: &Config) -> Result<Told> {
    let unread = unread(config)?;
    let mut told = unread.told;
    if unread.readable.is_empty() {
        return Ok(told);
    }
    let parts = Parts::new(config, Credentials::load(&config.credentials)?, &[]).await?;
    let (paths, records): (Vec<_>, Vec<_>) = unread.readable.into_iter().unzip();
    parts.people().honour(&records).await?;
    let facts = parts.applier()?.merge_bodies(&records).await?;
    for path in &paths {
        std::fs::remove_file(path).with_context(|| format!("remove {}", path.display()))?;
    }
    told.say(format!("{facts} status reports of {} bodies were merged", paths.len()));
    Ok(told.with(Answer::from_bool(paths.len() == unread.all)))
}
