//! `audit list|verify`: what operators did.

use anyhow::{Context, Result};
use config::Config;
use desk::witness;
use domain::TenantId;
use records::{Records, audit};

use crate::cli::AuditCommand;
use crate::exit::Answer;
use crate::{output, store};

pub async fn run(config: &Config, command: &AuditCommand) -> Result<Answer> {
    let records = Records::open(&config.records).await.context("open the records")?;
    let tenant = TenantId::default();
    match command {
        AuditCommand::Verify => match audit::verify(&records, &tenant).await? {
            Ok(n) if n < seen(config, &tenant).await? => {
                println!("entries after {n} are missing: the ledger has heard of more");
                Ok(Answer::No)
            }
            Ok(n) => {
                println!("{n} entries, each holding the hash of the one before it");
                Ok(Answer::Yes)
            }
            Err(seq) => {
                println!("entry {seq} is missing or was changed; what is before it is whole");
                Ok(Answer::No)
            }
        },
        AuditCommand::List { limit, format } => {
            let last = audit::last(&records, &tenant).await?;
            let after = last.saturating_sub(i64::from(*limit)).max(0);
            let entries = audit::list(&records, &tenant, after, i64::from(*limit)).await?;
            let zone = config.zone();
            let row = |entry: &audit::Entry| {
                let audit::Entry { seq, at, actor, act, object, detail, .. } = entry;
                let at = at.rfc3339(zone);
                vec![
                    seq.to_string(),
                    at,
                    actor.clone(),
                    act.clone(),
                    object.clone(),
                    detail.clone(),
                ]
            };
            let rows: Vec<Vec<String>> = entries.iter().map(row).collect();
            output::rows(format.format, &["seq", "at", "actor", "act", "object", "detail"], &rows)?;
            Ok(Answer::Yes)
        }
    }
}

/// How many entries the ledger has heard of.
async fn seen(config: &Config, tenant: &TenantId) -> Result<i64> {
    if !store::exists(config) {
        return Ok(0);
    }
    Ok(witness::seen(store::open(config).await?.as_ref(), tenant).await?)
}
