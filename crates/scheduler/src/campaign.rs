//! A campaign as the plan sees it: what is said, in which order, through which numbers.

use std::collections::BTreeMap;

use domain::campaign::{CampaignId, Category};
use domain::{BusinessNumber, Language, ListName, Recipient, Tier};
use serde::{Deserialize, Serialize};
use templates::lint::Lint;
use templates::{MediaKind, TemplateDefinition};

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
    /// Templates of their own for some recipients; the first one that somebody fits counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub families: Vec<Family>,
}

/// A template of its own for some of the recipients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Family {
    /// Any of them; none: all.
    pub tiers: Vec<Tier>,
    /// All of them, by column.
    pub attributes: BTreeMap<String, String>,
    pub template: TemplateDefinition,
}

/// Whose template somebody gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The campaign's own.
    Own,
    /// That of a family, by position.
    Family(usize),
    /// The campaign's own, because the content has no medium for the header of their family's.
    NoMedium(usize),
}

impl Family {
    pub fn has(&self, recipient: &Recipient) -> bool {
        let tier = self.tiers.is_empty() || self.tiers.contains(&recipient.tier);
        let of = |name: &String| recipient.attributes.get(name).map(|text| text.trim());
        tier && self.attributes.iter().all(|(name, text)| of(name) == Some(text.as_str()))
    }
}

impl Campaign {
    /// The campaign's own template, then those of its families.
    pub fn templates(&self) -> impl Iterator<Item = &TemplateDefinition> {
        [&self.template].into_iter().chain(self.families.iter().map(|family| &family.template))
    }

    /// Of the headers that carry a file; `None`: no template of the campaign has one.
    pub fn media_kind(&self) -> Option<MediaKind> {
        self.templates().find_map(|template| template.header.media_kind())
    }

    pub fn template_of(&self, choice: Choice) -> &TemplateDefinition {
        match choice {
            Choice::Family(at) => self.families.get(at).map_or(&self.template, |f| &f.template),
            Choice::Own | Choice::NoMedium(_) => &self.template,
        }
    }

    /// Which template somebody gets whose content has a medium, or has none.
    pub fn choose(&self, recipient: &Recipient, has_medium: bool) -> Choice {
        match self.families.iter().position(|family| family.has(recipient)) {
            None => Choice::Own,
            Some(at) => {
                let wants = self.families[at].template.header.media_kind().is_some();
                if wants && !has_medium { Choice::NoMedium(at) } else { Choice::Family(at) }
            }
        }
    }
}

/// Which recipients a campaign is for. What is empty asks for nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audience {
    /// Their lists; none: the default list.
    pub lists: Vec<ListName>,
    pub tiers: Vec<Tier>,
    pub languages: Vec<Language>,
    /// Any of these, of the recipient's column `tags`: words between commas, semicolons or bars.
    pub tags: Vec<String>,
}

impl Audience {
    pub fn lists(&self) -> Vec<ListName> {
        match self.lists.is_empty() {
            true => vec![ListName::default()],
            false => self.lists.clone(),
        }
    }

    pub fn has(&self, recipient: &Recipient) -> bool {
        let tier = self.tiers.is_empty() || self.tiers.contains(&recipient.tier);
        let language = self.languages.is_empty() || self.languages.contains(&recipient.language);
        tier && language && (self.tags.is_empty() || self.has_tag(recipient))
    }

    fn has_tag(&self, recipient: &Recipient) -> bool {
        let tags = recipient.attributes.get("tags").map_or("", String::as_str);
        let mut tags = tags.split([',', ';', '|']).map(|tag| tag.trim().to_lowercase());
        tags.any(|tag| self.tags.iter().any(|wanted| wanted.trim().to_lowercase() == tag))
    }
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
