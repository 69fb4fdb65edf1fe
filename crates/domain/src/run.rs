//! A run (one campaign on one civil date) and its deliveries.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use crate::campaign::CampaignId;

/// `daily-pack@2026-11-21`: the key under which a date can be run only once.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(Arc<str>);

#[derive(Debug, thiserror::Error)]
#[error("run id {0:?}: expected <campaign>@<yyyy-mm-dd>, e.g. daily-pack@2026-11-21")]
pub struct BadRunId(String);

impl RunId {
    pub fn new(campaign: &CampaignId, date: NaiveDate) -> Self {
        RunId(format!("{campaign}@{date}").into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn campaign(&self) -> &str {
        self.parts().0
    }

    pub fn date(&self) -> NaiveDate {
        self.parts().1.parse().expect("checked when it was made")
    }

    fn parts(&self) -> (&str, &str) {
        self.0.rsplit_once('@').expect("checked when it was made")
    }
}

impl FromStr for RunId {
    type Err = BadRunId;
    fn from_str(text: &str) -> Result<Self, BadRunId> {
        let bad = || BadRunId(text.to_owned());
        let (campaign, date) = text.split_once('@').ok_or_else(bad)?;
        let campaign = CampaignId::try_new(campaign).map_err(|_| bad())?;
        let date: NaiveDate = date.parse().map_err(|_| bad())?;
        Ok(RunId::new(&campaign, date))
    }
}

impl TryFrom<String> for RunId {
    type Error = BadRunId;
    fn try_from(text: String) -> Result<Self, BadRunId> {
        text.parse()
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> String {
        id.0.to_string()
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One message to one recipient in a run: the run and the position by due instant.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct DeliveryId {
    pub run: RunId,
    pub index: u32,
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.run, self.index)
    }
}

impl FromStr for DeliveryId {
    type Err = BadRunId;
    fn from_str(text: &str) -> Result<Self, BadRunId> {
        let bad = || BadRunId(text.to_owned());
        let (run, index) = text.rsplit_once('#').ok_or_else(bad)?;
        Ok(DeliveryId { run: run.parse()?, index: index.parse().map_err(|_| bad())? })
    }
}
