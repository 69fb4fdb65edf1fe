//! Who may do what: operators, their roles and keys, by an admin's hand.

use std::time::Duration;

pub use accounts::Role;
use accounts::keys::{self, Key, Wanted};
use accounts::{AccountsError, Secret, idempotency, operators, sessions};
use config::Config;
use records::{Tries, Tx, audit};
use serde_json::{Value, json};

use crate::Desk;
use crate::error::{DeskError, Result};
use crate::named::reason;
use crate::phones::without_phones;
use crate::store;
use crate::table::Table;
use crate::told::Told;

/// Longest label of a key, in characters.
const LABEL_MAX: usize = 64;
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// What is done to an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Add(Role),
    Role(Role),
    /// Nobody is let in by their keys and sessions, from the next request on.
    Disable,
    Enable,
}

impl Change {
    const fn act(self) -> &'static str {
        match self {
            Change::Add(_) => "operators add",
            Change::Role(_) => "operators role",
            Change::Disable => "operators disable",
            Change::Enable => "operators enable",
        }
    }
}

/// A new key; the secret is told now and never again.
pub struct NewKey {
    pub id: String,
    pub secret: String,
}

/// # Errors
/// When the records do not answer.
pub async fn operators(config: &Config) -> Result<Table> {
    let look = async |desk: &Desk| Ok(operators::list(&desk.records, &desk.tenant).await?);
    let zone = config.zone();
    let row = |one: operators::Operator| {
        let disabled = one.disabled_at.map(|at| at.rfc3339(zone)).unwrap_or_default();
        vec![one.name, one.role.to_string(), one.created_at.rfc3339(zone), disabled]
    };
    let found = store::at_desk(config, look).await?;
    let columns = ["operator", "role", "since", "disabled"];
    Ok(Table { rows: found.into_iter().map(row).collect(), ..Table::new(&columns) })
}

/// Adds an operator, gives another role, shuts out or lets in again; audited.
///
/// # Errors
/// When the name or the reason makes no sense, it is the last admin, or the records do not answer.
pub async fn change(config: &Config, name: &str, change: Change, why: &str) -> Result<Told> {
    let why = reason(why)?;
    if without_phones(name) != name {
        let what =
            "the name may be a phone number: give another one, it stands in the audit for ever";
        return Err(DeskError::WrongUse(what.to_owned()));
    }
    let act = async |desk: &Desk| {
        let now = desk.clock.now();
        let done = async |desk: &Desk, tx: &mut Tx| match change {
            Change::Add(role) => operators::add(tx, &desk.tenant, name, role, now).await,
            Change::Role(role) => operators::set_role(tx, &desk.tenant, name, role).await,
            Change::Disable => operators::disable(tx, &desk.tenant, name, now).await,
            Change::Enable => operators::enable(tx, &desk.tenant, name).await,
        };
        let role = match change {
            Change::Add(role) | Change::Role(role) => role.as_str(),
            Change::Disable | Change::Enable => "",
        };
        let told = |_: &()| (name.to_owned(), json!({"role": role, "why": without_phones(why)}));
        desk.audited(change.act(), told, done).await
    };
    store::at_desk(config, act).await?;
    Ok(Told::yes(match change {
        Change::Add(role) => format!("{name} is there, as {role}"),
        Change::Role(role) => format!("{name} is {role} from the next request on"),
        Change::Disable => format!("nobody is let in as {name} any more, from the next request on"),
        Change::Enable => format!("{name} is let in again"),
    }))
}

/// # Errors
/// When the records do not answer.
pub async fn keys(config: &Config) -> Result<Table> {
    let look = async |desk: &Desk| Ok(keys::list(&desk.records, &desk.tenant).await?);
    let zone = config.zone();
    let row = |key: Key| {
        let instant =
            |at: Option<domain::Timestamp>| at.map(|at| at.rfc3339(zone)).unwrap_or_default();
        let role = key.role.to_string();
        let (made, ends, revoked) =
            (key.created_at.rfc3339(zone), instant(key.expires_at), instant(key.revoked_at));
        vec![key.id, key.operator, key.label, role, made, ends, revoked]
    };
    let found = store::at_desk(config, look).await?;
    let columns = ["key", "operator", "label", "role", "made", "ends", "revoked"];
    Ok(Table { rows: found.into_iter().map(row).collect(), ..Table::new(&columns) })
}

/// Makes a key for an operator, with their role or a smaller one; audited.
///
/// # Errors
/// When there is no such operator, the role is more than theirs, or the records do not answer.
pub async fn create_key(
    config: &Config,
    operator: &str,
    label: &str,
    role: Option<Role>,
    days: Option<u32>,
) -> Result<NewKey> {
    let label = label.trim();
    if label.is_empty() || label.chars().count() > LABEL_MAX || label.chars().any(char::is_control)
    {
        let what = format!("--label: expected 1 to {LABEL_MAX} characters that say what it is for");
        return Err(DeskError::WrongUse(what));
    }
    let act = async |desk: &Desk| {
        let now = desk.clock.now();
        let wanted = Wanted {
            operator: operator.to_owned(),
            label: label.to_owned(),
            role,
            expires_at: days.map(|days| now + DAY * days),
        };
        let done = async |desk: &Desk, tx: &mut Tx| {
            let mut rng = desk.fork_rng();
            keys::create(tx, &desk.tenant, &wanted, now, &mut rng).await
        };
        let told = |(key, _): &(Key, Secret)| {
            let (label, role) = (without_phones(label), key.role.as_str());
            (
                key.id.clone(),
                json!({"operator": operator, "label": label, "role": role, "days": days}),
            )
        };
        desk.audited("keys create", told, done).await
    };
    let (key, secret) = store::at_desk(config, act).await?;
    Ok(NewKey { id: key.id, secret: secret.reveal().to_owned() })
}

/// Lets nobody in by a key any more; audited.
///
/// # Errors
/// When there is no such key, the reason says nothing, or the records do not answer.
pub async fn revoke_key(config: &Config, id: &str, why: &str) -> Result<Told> {
    let why = reason(why)?;
    if id.starts_with("sbk_") {
        let what =
            "that is a secret, which is not repeated here: `subah keys list` says the key's id";
        return Err(DeskError::WrongUse(what.to_owned()));
    }
    let act = async |desk: &Desk| {
        let now = desk.clock.now();
        let done = async |desk: &Desk, tx: &mut Tx| keys::revoke(tx, &desk.tenant, id, now).await;
        let told = |_: &()| (id.to_owned(), json!({"why": without_phones(why)}));
        desk.audited("keys revoke", told, done).await
    };
    store::at_desk(config, act).await?;
    Ok(Told::yes(format!("{id} lets nobody in any more, from the next request on")))
}

impl Desk {
    /// Removes sessions that are over, and answers that are kept long enough; returns how many.
    ///
    /// # Errors
    /// When the records do not answer.
    pub async fn tidy_accounts(&self) -> Result<u64> {
        const DOING: &str = "tidy sessions";
        let now = self.clock.now();
        let mut tx = self.records.begin(DOING).await?;
        let sessions = sessions::tidy(&mut tx, now).await?;
        tx.commit(DOING).await?;
        Ok(sessions + idempotency::tidy(&self.records, now).await?)
    }

    /// An act on accounts and its audit entry, in one transaction.
    async fn audited<T>(
        &self,
        act: &str,
        told: impl Fn(&T) -> (String, Value),
        done: impl AsyncFn(&Desk, &mut Tx) -> accounts::Result<T>,
    ) -> Result<T> {
        const DOING: &str = "change an account";
        let mut tries = Tries::default();
        loop {
            let once = async {
                let mut tx = self.records.begin(DOING).await?;
                let answer = done(self, &mut tx).await?;
                let (object, detail) = told(&answer);
                let entry = audit::Done { actor: &self.actor, act, object: &object, detail };
                audit::add(&mut tx, &self.tenant, &entry, self.clock.now()).await?;
                tx.commit(DOING).await?;
                Ok::<T, AccountsError>(answer)
            };
            match once.await {
                Err(AccountsError::Records(error)) if tries.again(&error) => {}
                done => return Ok(done?),
            }
        }
    }
}

impl From<AccountsError> for DeskError {
    fn from(error: AccountsError) -> Self {
        use AccountsError::{BadName, MoreThanRole, Records};
        match error {
            Records(error) => DeskError::Records(error),
            BadName { .. } | MoreThanRole { .. } => DeskError::WrongUse(error.to_string()),
            _ => DeskError::Refused(error.to_string()),
        }
    }
}
