//! Who said STOP, and when: shared by everybody who plans or sends over one ledger.
//!
//! Kept as hashes of a person's keys in 256 cells, so that one of them stays small with a
//! million people; the receiver's own disk has them too, and gives them back to a store
//! that was emptied.

use std::collections::BTreeMap;

use domain::campaign::Category;
use domain::hash::sha256_hex;
use domain::{Address, Recipient, Timestamp, person};
use serde::{Deserialize, Serialize};

use crate::api::Ledger;
use crate::cell;
use crate::error::Result;

/// What someone said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wish {
    Stop,
    Resume,
}

/// Which messages somebody speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    All,
    Only(Category),
}

impl Of {
    pub fn concerns(self, category: Category) -> bool {
        matches!(self, Of::All) || self == Of::Only(category)
    }
}

/// One STOP, or its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub struct Said {
    /// Hash of one key of the person, see [`hashes`].
    pub person: String,
    pub of: Of,
    pub wish: Wish,
    pub at: Timestamp,
}

/// As it is stored: earlier versions knew a STOP of everything and one of marketing.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Stored {
    person: String,
    marketing_only: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    utility_only: bool,
    wish: Wish,
    at: Timestamp,
}

impl From<Stored> for Said {
    fn from(Stored { person, marketing_only, utility_only, wish, at }: Stored) -> Self {
        let of = match (marketing_only, utility_only) {
            (true, _) => Of::Only(Category::Marketing),
            (false, true) => Of::Only(Category::Utility),
            (false, false) => Of::All,
        };
        Said { person, of, wish, at }
    }
}

impl From<Said> for Stored {
    fn from(Said { person, of, wish, at }: Said) -> Self {
        let marketing_only = of == Of::Only(Category::Marketing);
        let utility_only = of == Of::Only(Category::Utility);
        Stored { person, marketing_only, utility_only, wish, at }
    }
}

/// The latest STOP of a person, by category.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Stops {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    utility: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    marketing: Option<Timestamp>,
    /// When the ledger was told of the latest change: a webhook may come days after its event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    told_at: Option<Timestamp>,
}

impl Stops {
    fn of(&self) -> Of {
        match (self.utility, self.marketing) {
            (None, _) => Of::Only(Category::Marketing),
            (_, None) => Of::Only(Category::Utility),
            _ => Of::All,
        }
    }
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Cell(BTreeMap<String, Stops>);

/// The names under which a person is kept here.
pub fn hashes(address: &Address) -> impl Iterator<Item = String> {
    person::keys(address).map(|key| sha256_hex(key.as_bytes())[..24].to_owned())
}

fn cell_of(person: &str) -> String {
    format!("stop:{}", person.get(..2).unwrap_or("00"))
}

/// Merges what people said; again does no harm.
///
/// # Errors
/// When the ledger does not answer.
pub async fn hear(ledger: &dyn Ledger, said: &[Said]) -> Result<()> {
    let mut by_cell: BTreeMap<String, Vec<&Said>> = BTreeMap::new();
    for one in said {
        by_cell.entry(cell_of(&one.person)).or_default().push(one);
    }
    if by_cell.is_empty() {
        return Ok(());
    }
    let now = ledger.now().await?;
    for (name, said) in by_cell {
        let hear = |cell: &mut Cell| said.iter().for_each(|one| cell.hear(one, now));
        cell::update(ledger, &name, hear).await?;
    }
    Ok(())
}

impl Cell {
    fn hear(&mut self, said: &Said, now: Timestamp) {
        let stops = self.0.entry(said.person.clone()).or_default();
        let before = *stops;
        let utility = said.of.concerns(Category::Utility).then_some(&mut stops.utility);
        let marketing = said.of.concerns(Category::Marketing).then_some(&mut stops.marketing);
        for stopped in utility.into_iter().chain(marketing) {
            match said.wish {
                Wish::Stop => *stopped = (*stopped).max(Some(said.at)),
                Wish::Resume if stopped.is_some_and(|at| at <= said.at) => *stopped = None,
                Wish::Resume => {}
            }
        }
        if stops.utility.is_none() && stops.marketing.is_none() {
            self.0.remove(&said.person);
        } else if *stops != before {
            stops.told_at = Some(now);
        }
    }
}

/// Everybody who has said STOP.
#[derive(Clone, Debug, Default)]
pub struct OptOuts(BTreeMap<String, Stops>);

impl OptOuts {
    /// # Errors
    /// When the ledger does not answer: nobody is sent to on a guess.
    pub async fn read(ledger: &dyn Ledger) -> Result<Self> {
        let mut all = BTreeMap::new();
        for shard in 0..=255u8 {
            let cell: Cell = cell::read(ledger, &format!("stop:{shard:02x}")).await?;
            all.extend(cell.0);
        }
        Ok(OptOuts(all))
    }

    /// People whose STOP the ledger was told of since that instant, and what it is of.
    pub fn since(&self, begin: Timestamp) -> Vec<(String, Of)> {
        let told = |stops: &Stops| stops.told_at.max(stops.utility).max(stops.marketing);
        let recent = self.0.iter().filter(|(_, stops)| told(stops).is_some_and(|at| at >= begin));
        recent.map(|(person, stops)| (person.clone(), stops.of())).collect()
    }

    /// Takes the consents away that were given before their STOP.
    pub fn apply(&self, recipient: &mut Recipient) {
        if self.0.is_empty() {
            return;
        }
        for person in hashes(&recipient.address) {
            let Some(stops) = self.0.get(&person) else { continue };
            let opted_in = recipient.opted_in_at;
            let stands = |stopped: Option<Timestamp>| {
                stopped.is_some_and(|at| opted_in.is_none_or(|opted_in| opted_in <= at))
            };
            recipient.consent_utility &= !stands(stops.utility);
            recipient.consent_marketing &= !stands(stops.marketing);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{Phone, RecipientId};

    fn recipient(opted_in_at: Option<i64>) -> Recipient {
        Recipient {
            id: RecipientId::new("a1"),
            name: String::new(),
            address: Address::Phone(Phone::try_new("+919876500001").unwrap()),
            tier: "".into(),
            language: "".into(),
            consent_utility: true,
            consent_marketing: true,
            opted_in_at: opted_in_at.map(Timestamp::from_secs),
            attributes: BTreeMap::new(),
        }
    }

    #[test]
    fn a_stop_stands_until_a_later_opt_in() {
        let person = hashes(&recipient(None).address).next().unwrap();
        let said = |wish, marketing_only, at| Said {
            person: person.clone(),
            of: if marketing_only { Of::Only(Category::Marketing) } else { Of::All },
            wish,
            at: Timestamp::from_secs(at),
        };
        let after = |said: &[Said], opted_in| {
            let mut cell = Cell::default();
            said.iter().for_each(|one| cell.hear(one, Timestamp::from_secs(500)));
            let mut recipient = recipient(opted_in);
            OptOuts(cell.0).apply(&mut recipient);
            (recipient.consent_utility, recipient.consent_marketing)
        };
        let stop = said(Wish::Stop, false, 100);
        assert_eq!(after(std::slice::from_ref(&stop), None), (false, false));
        assert_eq!(after(std::slice::from_ref(&stop), Some(99)), (false, false));
        assert_eq!(after(std::slice::from_ref(&stop), Some(101)), (true, true));
        assert_eq!(after(&[said(Wish::Stop, true, 100)], None), (true, false));
        assert_eq!(after(&[stop.clone(), said(Wish::Resume, false, 101)], None), (true, true));
        assert_eq!(after(&[said(Wish::Resume, false, 99), stop.clone()], None), (false, false));
        let utility = |wish| Said { of: Of::Only(Category::Utility), ..said(wish, false, 101) };
        assert_eq!(after(&[utility(Wish::Stop)], None), (false, true));
        assert_eq!(after(&[stop, utility(Wish::Resume)], None), (true, false));
        let text = serde_json::to_string(&utility(Wish::Stop)).unwrap();
        assert_eq!(serde_json::from_str::<Said>(&text).unwrap(), utility(Wish::Stop));
        let earlier = r#"{"person":"a","marketing_only":true,"wish":"stop","at":5}"#;
        let earlier: Said = serde_json::from_str(earlier).unwrap();
        assert_eq!(earlier.of, Of::Only(Category::Marketing));
    }

    #[test]
    fn a_stop_that_is_told_days_after_its_event_is_new_to_whoever_plans() {
        let person = hashes(&recipient(None).address).next().unwrap();
        let at = Timestamp::from_secs(100);
        let stop = Said { person: person.clone(), of: Of::All, wish: Wish::Stop, at };
        let mut cell = Cell::default();
        cell.hear(&stop, Timestamp::from_secs(500_000));
        let since = |cell: &Cell, secs| OptOuts(cell.0.clone()).since(Timestamp::from_secs(secs));
        assert_eq!(since(&cell, 499_999), [(person, Of::All)]);
        cell.hear(&stop, Timestamp::from_secs(900_000));
        assert_eq!(since(&cell, 500_001), [], "told again: nothing is new");
    }
}
