//! One process for several tenants: each has a configuration, a folder, a ledger, listeners and loops of
//! its own, so that nothing of one can reach another; records may share one PostgreSQL, where each row
//! has its tenant.
//!
//! Invariant: a tenant whose part of the process ends is begun again by itself, and the others go on.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;
use config::{Config, Store};
use desk::DeskError;
use tokio::task::JoinSet;
use tracing::Instrument;

use crate::interrupt::interrupted;
use crate::serve::serve;
use crate::{Role, notify};

/// First and longest pause before a tenant whose part has ended is begun again.
const PAUSE: Duration = Duration::from_secs(5);
const PAUSE_MAX: Duration = Duration::from_secs(300);

/// Serves each configuration's tenant until SIGTERM.
///
/// # Errors
/// When two of them share what each must have alone. With one alone: whatever ends it.
pub async fn serve_all(configs: Vec<Config>, roles: &[Role]) -> Result<()> {
    are_apart(&configs)?;
    notify::expect(configs.iter().map(|config| &config.tenant));
    if let [config] = &configs[..] {
        return serve(config, roles).await;
    }
    let mut tenants = JoinSet::new();
    for config in configs {
        let (roles, tenant) = (roles.to_vec(), config.tenant.clone());
        let span = tracing::info_span!("tenant", tenant = %tenant);
        tenants.spawn(keep_serving(config, roles).instrument(span));
    }
    while tenants.join_next().await.is_some() {}
    Ok(())
}

/// Until SIGTERM, whatever ends it before.
async fn keep_serving(config: Config, roles: Vec<Role>) {
    let tenant = config.tenant.as_str();
    let interrupted = interrupted();
    tokio::pin!(interrupted);
    let mut pause = PAUSE;
    loop {
        match serve(&config, &roles).await {
            Ok(()) => return,
            Err(error) => tracing::error!(
                tenant,
                error = format!("{error:#}"),
                "tenant {tenant} is not served, and is begun again in {pause:?}: {error:#}"
            ),
        }
        notify::given_up(&config.tenant);
        tokio::select! {
            () = &mut interrupted => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Two tenants in one folder, ledger or behind one listener would be one.
fn are_apart(configs: &[Config]) -> Result<(), DeskError> {
    let mut seen = BTreeSet::new();
    for config in configs {
        for (key, value) in alone(config) {
            let is_free = value.ends_with(":0"); // the system chooses
            if !is_free && !seen.insert((key, value.clone())) {
                let file = config.file.display();
                return Err(DeskError::WrongUse(format!(
                    "{file}: {key} is {value}, as another tenant's of this process: each has its own"
                )));
            }
        }
    }
    let mut numbers = BTreeSet::new();
    for number in configs.iter().flat_map(|config| &config.numbers) {
        if !numbers.insert(&number.id) {
            let why = format!("number {} is two tenants': it has one", number.id);
            return Err(DeskError::WrongUse(why));
        }
    }
    Ok(())
}

/// What each tenant must have alone, by its key.
fn alone(config: &Config) -> [(&'static str, String); 5] {
    let ledger = match &config.store {
        Store::Sqlite { path } => path.display().to_string(),
        Store::Redis { prefix, .. } => format!("redis_prefix {prefix}"),
    };
    [
        ("tenant", config.tenant.to_string()),
        ("state_dir", config.state_dir.display().to_string()),
        ("store", ledger),
        ("receiver.listen", config.receiver.to_string()),
        ("metrics.listen", config.metrics.to_string()),
    ]
}
