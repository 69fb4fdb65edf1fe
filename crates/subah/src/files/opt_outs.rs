//! Who said STOP, and in which category: remembered against later imports until they opt
//! in again.
//!
//! One line a STOP, appended and synced by whoever hears it; the latest of a person counts.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use domain::{Recipient, Timestamp, person};
use serde::{Deserialize, Serialize};

use super::replace::each_line;

/// What someone said of a category.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wish {
    Stop,
    Resume,
}

/// One line of the file. Personal data.
#[derive(Clone, Serialize, Deserialize)]
pub struct Said {
    /// A key of the person, see [`person::keys`].
    pub person: String,
    pub marketing_only: bool,
    pub wish: Wish,
    pub at: Timestamp,
    /// `reply` or `preferences`.
    pub source: String,
}

/// When each person last said STOP, by category.
#[derive(Default)]
pub struct OptOuts {
    utility: HashMap<String, Timestamp>,
    marketing: HashMap<String, Timestamp>,
}

pub fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("opted_out.ndjson")
}

impl OptOuts {
    /// # Errors
    /// When the file is there and cannot be read: nobody is sent to on a guess.
    pub fn load(state_dir: &Path) -> Result<Self> {
        let path = path(state_dir);
        let mut opt_outs = OptOuts::default();
        let mut bad = 0;
        each_line(&path, |line| match serde_json::from_slice::<Said>(line) {
            Ok(said) => opt_outs.hear(&said),
            Err(_) => bad += usize::from(!line.is_empty()),
        })?;
        // A torn last line is a STOP that was not answered yet and comes again.
        anyhow::ensure!(
            bad <= 1,
            "{}: {bad} lines are damaged: who said STOP is not known; put the file right from a copy",
            path.display()
        );
        Ok(opt_outs)
    }

    fn hear(&mut self, said: &Said) {
        let categories: &mut [&mut HashMap<String, Timestamp>] = match said.marketing_only {
            true => &mut [&mut self.marketing],
            false => &mut [&mut self.utility, &mut self.marketing],
        };
        for category in categories {
            match said.wish {
                Wish::Stop => {
                    let at = category.entry(said.person.clone()).or_insert(said.at);
                    *at = (*at).max(said.at);
                }
                Wish::Resume => {
                    if category.get(&said.person).is_some_and(|at| *at <= said.at) {
                        category.remove(&said.person);
                    }
                }
            }
        }
    }

    /// Takes the consents away that ended after they were given.
    pub fn apply(&self, recipient: &mut Recipient) {
        for key in person::keys(&recipient.address) {
            let ended = |category: &HashMap<String, Timestamp>| {
                let stopped = category.get(&key);
                stopped
                    .is_some_and(|at| recipient.opted_in_at.is_none_or(|opted_in| opted_in <= *at))
            };
            let (utility, marketing) = (ended(&self.utility), ended(&self.marketing));
            recipient.consent_utility &= !utility;
            recipient.consent_marketing &= !marketing;
        }
    }
}
