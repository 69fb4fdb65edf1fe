//! A template before Meta has approved it: what is written down for one version in one language.
//!
//! A file of the operator's (TOML) and Meta's own creation body (JSON) both become a [`Draft`];
//! [`crate::review`] says what Meta would refuse in it, and what people would regret.
//! Source of the shapes: Meta, "Message templates: components" (read 2025-12 and 2026-03).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ParameterFormat;

/// Meta's three classes; each has a price and a consent of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DraftCategory {
    Utility,
    Marketing,
    Authentication,
}

impl DraftCategory {
    pub const fn as_str(self) -> &'static str {
        match self {
            DraftCategory::Utility => "utility",
            DraftCategory::Marketing => "marketing",
            DraftCategory::Authentication => "authentication",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    /// The name at Meta. In a file below `FAMILY/vN/` it is `FAMILY_vN` and need not be written.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The translation, such as `hi`. In a file it is the file's name and need not be written.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub language: String,
    pub category: DraftCategory,
    #[serde(default)]
    pub parameter_format: ParameterFormat,
    /// Seconds for which Meta tries to deliver; -1: thirty days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<i64>,
    /// Empty for authentication templates alone: Meta writes those bodies itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub body: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub footer: Option<String>,
    /// Who read a translation that no rule pack reviews, and when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reviewed_by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<DraftHeader>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limited_time_offer: Option<Offer>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication: Option<Authentication>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub buttons: Vec<DraftButton>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cards: Vec<Card>,
    /// A text for each variable of header and body, as Meta's reviewers see it. The header's
    /// variable, when parameters are positional, is `header`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub samples: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DraftHeaderFormat {
    Text,
    Image,
    Video,
    Gif,
    Document,
    Location,
    Product,
}

impl DraftHeaderFormat {
    pub const fn as_str(self) -> &'static str {
        match self {
            DraftHeaderFormat::Text => "text",
            DraftHeaderFormat::Image => "image",
            DraftHeaderFormat::Video => "video",
            DraftHeaderFormat::Gif => "gif",
            DraftHeaderFormat::Document => "document",
            DraftHeaderFormat::Location => "location",
            DraftHeaderFormat::Product => "product",
        }
    }

    /// Whether a file is shown to Meta's reviewers.
    pub const fn has_file(self) -> bool {
        matches!(
            self,
            DraftHeaderFormat::Image
                | DraftHeaderFormat::Video
                | DraftHeaderFormat::Gif
                | DraftHeaderFormat::Document
        )
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DraftHeader {
    pub format: DraftHeaderFormat,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// A file to upload, relative to the template's own, or a handle of Meta's (`4::…`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    pub text: String,
    #[serde(default)]
    pub has_expiration: bool,
}

/// What Meta lets one choose of an authentication template.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Authentication {
    #[serde(default)]
    pub security_recommendation: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_expiration_minutes: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ButtonKind {
    QuickReply,
    Url,
    PhoneNumber,
    CopyCode,
    Flow,
    Otp,
    Catalog,
    Mpm,
    Spm,
    RequestContactInfo,
}

impl ButtonKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            ButtonKind::QuickReply => "quick_reply",
            ButtonKind::Url => "url",
            ButtonKind::PhoneNumber => "phone_number",
            ButtonKind::CopyCode => "copy_code",
            ButtonKind::Flow => "flow",
            ButtonKind::Otp => "otp",
            ButtonKind::Catalog => "catalog",
            ButtonKind::Mpm => "mpm",
            ButtonKind::Spm => "spm",
            ButtonKind::RequestContactInfo => "request_contact_info",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DraftButton {
    pub kind: ButtonKind,
    /// The label. Meta writes those of `copy_code`, and of `otp` unless it copies a code.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone_number: Option<String>,
    /// The whole address with a variable filled, or the code that is copied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<String>,
    /// What only one kind has (`flow_id`, `otp_type`, `supported_apps` …), as Meta names it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, serde_json::Value>,
}

/// One card of a carousel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<DraftHeader>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub buttons: Vec<DraftButton>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub samples: BTreeMap<String, String>,
}

impl Draft {
    /// The body with its samples, as a reviewer reads it.
    pub fn rendered_body(&self) -> String {
        render(&self.body, |name| self.samples.get(name).map(String::as_str))
    }

    /// The text of a header, if it has one.
    pub fn header_text(&self) -> &str {
        self.header.as_ref().and_then(|header| header.text.as_deref()).unwrap_or("")
    }
}

/// A text whose variables are filled; those without a value stay.
pub fn render<'a>(text: &str, value: impl Fn(&str) -> Option<&'a str>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, opened)) = rest.split_once("{{") {
        let Some((name, after)) = opened.split_once("}}") else { break };
        out.push_str(before);
        match value(name.trim()) {
            Some(value) => out.push_str(value),
            None => out.push_str(&format!("{{{{{name}}}}}")),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}
