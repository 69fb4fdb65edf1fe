//! The chain of what operators did: looked at, and held against what the ledger has heard of it.

use config::Config;
use domain::SystemClock;
use records::{Records, audit};

use crate::error::{Doing, Result};
use crate::notes::{Notes, head_file};
use crate::table::Table;
use crate::told::Told;
use crate::witness::Head;
use crate::{store, witness};

/// The latest entries, the last one last.
///
/// # Errors
/// When the records do not answer.
pub async fn list(config: &Config, limit: u32) -> Result<Table> {
    let (records, tenant) = (opened(config).await?, &config.tenant);
    let last = audit::last(&records, tenant).await?;
    let after = last.saturating_sub(i64::from(limit)).max(0);
    let entries = audit::list(&records, tenant, after, i64::from(limit)).await?;
    let zone = config.zone();
    let row = |entry: &audit::Entry| {
        let audit::Entry { seq, at, actor, act, object, detail, .. } = entry;
        let words = [actor, act, object, detail].map(String::clone);
        [seq.to_string(), at.rfc3339(zone)].into_iter().chain(words).collect()
    };
    let columns = ["seq", "at", "actor", "act", "object", "detail"];
    Ok(Table { rows: entries.iter().map(row).collect(), ..Table::new(&columns) })
}

/// Whether each entry holds the hash of the one before it, and none is missing at the end.
///
/// # Errors
/// When the records or the ledger do not answer.
pub async fn verify(config: &Config) -> Result<Told> {
    let head = Head::read(&head_file(config));
    let (records, tenant) = (opened(config).await?, &config.tenant);
    if !head.is_there(&records, tenant).await? {
        return Ok(Told::no(format!(
            "entry {} is missing or another one, and this host has seen it: was the end taken away, or an older copy of the records put back?",
            head.seq
        )));
    }
    Ok(match audit::verify(&records, tenant).await? {
        Ok(n) if n < seen(config).await? => {
            Told::no(format!("entries after {n} are missing: the ledger has heard of more"))
        }
        Ok(n) => Told::yes(format!("{n} entries, each holding the hash of the one before it")),
        Err(seq) => {
            Told::no(format!("entry {seq} is missing or was changed; what is before it is whole"))
        }
    })
}

/// The records, with what this host has noted since the daemon last brought its notes.
async fn opened(config: &Config) -> Result<Records> {
    let records = Records::open(&config.records).await.doing(|| "open the records")?;
    let notes = Notes::of(config);
    notes
        .take_up(&records, &config.tenant, &SystemClock)
        .await
        .doing(|| "take up the notes of acts")?;
    Ok(records)
}

/// How many entries the ledger has heard of.
async fn seen(config: &Config) -> Result<i64> {
    if !store::exists(config) {
        return Ok(0);
    }
    Ok(witness::seen(store::open(config).await?.as_ref(), &config.tenant).await?)
}
