//! A campaign as the plan sees it: what is said, in which order, through which numbers.

use std::collections::BTreeMap;

use domain::campaign::{CampaignId, Category};
use domain::{BusinessNumber, Language, Tier};
use serde::{Deserialize, Serialize};
use templates::TemplateDefinition;
use templates::lint::Lint;

/// What the plan needs to know of a campaign. Part of the snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Campaign {
    pub id: CampaignId,
    pub category: Category,
    pub template: TemplateDefinition,
    /// For recipients whose own language has no translation.
    pub default_language: Language,
    /// First tier first; unlisted ones follow together.
    pub tiers: Vec<Tier>,
    pub numbers: Vec<BusinessNumber>,
    /// Texts for variables that neither the content nor the recipient fills.
    #[serde(default, skip_serializing_if = "Defaults::is_empty")]
    pub defaults: Defaults,
    #[serde(default, skip_serializing_if = "Lint::is_whole")]
    pub lint: Lint,
}

/// By variable: for all languages, and for one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Defaults {
    pub all: BTreeMap<String, String>,
    /// By translation.
    pub languages: BTreeMap<Language, BTreeMap<String, String>>,
}

impl Defaults {
    pub fn is_empty(&self) -> bool {
        self.all.is_empty() && self.languages.is_empty()
    }

    pub fn get(&self, language: &str, variable: &str) -> Option<&str> {
        let own = self.languages.get(language).and_then(|texts| texts.get(variable));
        own.or_else(|| self.all.get(variable)).map(String::as_str)
    }
}
