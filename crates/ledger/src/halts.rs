//! What is stopped right now, and why: said by senders about what refuses them, and by
//! receivers about what failed statuses say. One small cell, so that a status which comes in
//! on one host stops the sender on another, and people can read it.

use std::collections::BTreeMap;

use domain::{Language, NumberId, TemplateName, Timestamp};
use serde::{Deserialize, Serialize};
use telemetry::labels::Halted;

use crate::api::Ledger;
use crate::cell;
use crate::error::Result;

const CELL: &str = "halts";
/// Holds when somebody last asked for probes.
const PROBE: &str = "probe";
/// Older ones are forgotten: nobody sends any more that could lift them.
const KEPT: std::time::Duration = std::time::Duration::from_secs(24 * 3_600);

/// A thing that can be stopped, from the smallest on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Thing {
    /// A media id, link or hash.
    Asset(String),
    /// One template in one language.
    Translation(TemplateName, Language),
    Number(NumberId),
    /// The account or the token: every number.
    Account,
}

/// The kind of thing alone, without its name.
impl From<&Thing> for Halted {
    fn from(thing: &Thing) -> Halted {
        match thing {
            Thing::Asset(_) => Halted::Asset,
            Thing::Translation(..) => Halted::Translation,
            Thing::Number(_) => Halted::Number,
            Thing::Account => Halted::Account,
        }
    }
}

impl std::fmt::Display for Thing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Thing::Asset(_) => f.write_str("a media file"),
            Thing::Translation(name, language) => write!(f, "template {name} ({language})"),
            Thing::Number(number) => write!(f, "number {number}"),
            Thing::Account => f.write_str("the account"),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Halt {
    pub thing: Thing,
    /// The provider's error code.
    pub code: i32,
    pub since: Timestamp,
    /// What the code means, and the provider's own words.
    pub why: String,
    /// Who stopped it: `answer`, `status` or `streak`.
    pub by: String,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Halts(BTreeMap<String, Halt>);

fn key(thing: &Thing) -> String {
    serde_json::to_string(thing).expect("plain data")
}

/// Everything that is stopped.
///
/// # Errors
/// When the ledger does not answer.
pub async fn read(ledger: &dyn Ledger) -> Result<Vec<Halt>> {
    let halts: Halts = cell::read(ledger, CELL).await?;
    Ok(halts.0.into_values().collect())
}

/// Notes that a thing is stopped; what is stopped already keeps its instant. True when it
/// was not.
///
/// # Errors
/// When the ledger does not answer.
pub async fn stop(ledger: &dyn Ledger, halt: &Halt) -> Result<bool> {
    cell::update(ledger, CELL, |halts: &mut Halts| {
        halts.0.retain(|_, held| held.since + KEPT > halt.since);
        let is_new = !halts.0.contains_key(&key(&halt.thing));
        halts.0.entry(key(&halt.thing)).or_insert_with(|| halt.clone());
        is_new
    })
    .await
}

/// When somebody last asked for probes: what is stopped is tried again at once.
///
/// # Errors
/// When the ledger does not answer.
pub async fn asked_to_probe(ledger: &dyn Ledger) -> Result<Timestamp> {
    cell::read(ledger, PROBE).await
}

/// Asks every sender to try what is stopped again at once.
///
/// # Errors
/// When the ledger does not answer.
pub async fn ask_to_probe(ledger: &dyn Ledger) -> Result<()> {
    let now = ledger.now().await?;
    cell::update(ledger, PROBE, |asked: &mut Timestamp| *asked = now).await
}

/// Notes that a thing flows again.
///
/// # Errors
/// When the ledger does not answer.
pub async fn lift(ledger: &dyn Ledger, things: &[Thing]) -> Result<()> {
    cell::update(ledger, CELL, |halts: &mut Halts| {
        things.iter().for_each(|thing| drop(halts.0.remove(&key(thing))));
    })
    .await
}
