//! What goes to whom, and when.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::text::is_plain_name;

/// A campaign's name: 1 to 64 lower-case letters, digits, `-` or `_`. Safe in keys and labels.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CampaignId(Arc<str>);

#[derive(Debug, thiserror::Error)]
#[error(
    "campaign id {0:?}: expected 1 to 64 lower-case letters, digits, '-' or '_', e.g. daily-pack"
)]
pub struct BadCampaignId(String);

impl CampaignId {
    /// # Errors
    /// When a character would break a key, a label or the callback data.
    pub fn try_new(id: impl Into<String>) -> Result<Self, BadCampaignId> {
        let id = id.into();
        if is_plain_name(&id) { Ok(CampaignId(id.into())) } else { Err(BadCampaignId(id)) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for CampaignId {
    type Error = BadCampaignId;
    fn try_from(id: String) -> Result<Self, BadCampaignId> {
        CampaignId::try_new(id)
    }
}

impl From<CampaignId> for String {
    fn from(id: CampaignId) -> String {
        id.0.to_string()
    }
}

impl fmt::Display for CampaignId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Meta's template category; it decides which consent a recipient must have given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Category {
    Utility,
    Marketing,
}

impl Category {
    pub const ALL: [Category; 2] = [Category::Utility, Category::Marketing];

    pub const fn as_str(self) -> &'static str {
        match self {
            Category::Utility => "utility",
            Category::Marketing => "marketing",
        }
    }
}
