//! Which version of a template goes in place of the planned one, and through which numbers. One
//! small cell: a person, or whoever watches over templates, writes it; every sender holds it in
//! memory, and asks it before each intent. What is *stopped* is in [`crate::halts`].

use std::collections::{BTreeMap, BTreeSet};

use domain::{Language, NumberId, TemplateName, Timestamp};
use serde::{Deserialize, Serialize};

use crate::api::Ledger;
use crate::cell;
use crate::error::Result;

const CELL: &str = "standing";
/// Holds when a webhook last spoke of a template, a number or the account.
const NEWS: &str = "meta_news";

/// A version that is sent in place of another. It takes the other's parameters as they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Substitute {
    pub planned: TemplateName,
    pub language: Language,
    pub live: TemplateName,
    /// Whose accounts have approved it; the others go on with the planned one.
    pub numbers: BTreeSet<NumberId>,
    pub since: Timestamp,
    /// Who decided, and why, in words.
    pub by: String,
    pub why: String,
}

/// The present substitutes, by what was planned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Substitute>", into = "Vec<Substitute>")]
pub struct Standing(BTreeMap<(TemplateName, Language), Substitute>);

impl From<Vec<Substitute>> for Standing {
    fn from(all: Vec<Substitute>) -> Self {
        let by_plan = |one: Substitute| ((one.planned.clone(), one.language.clone()), one);
        Standing(all.into_iter().map(by_plan).collect())
    }
}

impl From<Standing> for Vec<Substitute> {
    fn from(standing: Standing) -> Self {
        standing.0.into_values().collect()
    }
}

impl Standing {
    /// What `number` sends in place of this translation; `None`: what was planned.
    pub fn in_place_of(
        &self,
        planned: &TemplateName,
        language: &Language,
        number: &NumberId,
    ) -> Option<&TemplateName> {
        if self.0.is_empty() {
            return None; // as on most mornings: no key is made
        }
        let held = self.0.get(&(planned.clone(), language.clone()))?;
        held.numbers.contains(number).then_some(&held.live)
    }

    pub fn substitutes(&self) -> impl Iterator<Item = &Substitute> {
        self.0.values()
    }
}

/// # Errors
/// When the ledger does not answer.
pub async fn read(ledger: &dyn Ledger) -> Result<Standing> {
    cell::read(ledger, CELL).await
}

/// Puts a version in place of another, from the next intent on. One that itself was planned, in
/// runs that are open, may have a substitute of its own: each is looked up once, so there are no
/// circles.
///
/// # Errors
/// When the ledger does not answer.
pub async fn substitute(ledger: &dyn Ledger, one: Substitute) -> Result<()> {
    cell::update(ledger, CELL, |standing: &mut Standing| {
        standing.0.insert((one.planned.clone(), one.language.clone()), one.clone());
    })
    .await
}

/// Takes the substitute away: what was planned goes again. Returns what it was.
///
/// # Errors
/// When the ledger does not answer.
pub async fn restore(
    ledger: &dyn Ledger,
    planned: &TemplateName,
    language: &Language,
) -> Result<Option<Substitute>> {
    let key = (planned.clone(), language.clone());
    cell::update(ledger, CELL, |standing: &mut Standing| standing.0.remove(&key)).await
}

/// When a webhook last spoke of a template, a number or the account: whoever watches over them looks
/// again.
///
/// # Errors
/// When the ledger does not answer.
pub async fn news_at(ledger: &dyn Ledger) -> Result<Timestamp> {
    cell::read(ledger, NEWS).await
}

/// Notes that a webhook spoke of one of them.
///
/// # Errors
/// When the ledger does not answer.
pub async fn note_news(ledger: &dyn Ledger, at: Timestamp) -> Result<()> {
    cell::update(ledger, NEWS, |held: &mut Timestamp| *held = at.max(*held)).await
}
