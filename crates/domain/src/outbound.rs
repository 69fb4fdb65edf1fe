//! What we want said, and to whom, in no provider's words.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::names::{Language, TemplateName};
use crate::number::NumberId;
use crate::recipient::Address;

/// One message on its way out. Personal data.
#[derive(Clone, Copy)]
pub struct Outbound<'a> {
    pub to: &'a Address,
    pub call: &'a TemplateCall,
    /// Given back with every status, by providers that can ([`crate::callback`]).
    pub tag: &'a str,
}

/// One message's template, language and parameters. Stored in the ledger as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateCall {
    pub name: TemplateName,
    /// Must match a translation exactly.
    pub language: Language,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<Header>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub body: Vec<Param>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub buttons: Vec<ButtonCall>,
}

/// A text parameter: positional without a name, else named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Param {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub text: String,
}

impl Param {
    pub fn positional(text: impl Into<String>) -> Self {
        Param { name: None, text: text.into() }
    }

    pub fn named(name: impl Into<String>, text: impl Into<String>) -> Self {
        Param { name: Some(name.into()), text: text.into() }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Header {
    Text(Param),
    Media {
        kind: MediaKind,
        media: Media,
        /// Shown for documents only.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        filename: Option<String>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaKind {
    Image,
    Video,
    Document,
}

impl MediaKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            MediaKind::Image => "image",
            MediaKind::Video => "video",
            MediaKind::Document => "document",
        }
    }
}

/// Where a header's file is. An id is the safe choice at 06:00: a link that Meta cannot
/// fetch is only reported later, as a failed status 131053.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Media {
    /// Uploaded before; lives 30 days and belongs to one number.
    Id(String),
    Link(String),
    /// A local file; becomes an asset when the run is planned.
    Path(String),
    /// A file that numbers have ids for; becomes one of them when it is sent.
    Asset(Asset),
}

/// A file by its content, and the id that each number sends it by: a delivery can change its
/// number.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Asset {
    /// Of the content, lower-case hex.
    pub sha256: String,
    pub ids: BTreeMap<NumberId, String>,
}

/// The number has no id for the file of a message: it cannot send the message.
#[derive(Debug, thiserror::Error)]
#[error("number {0} has no media id for its file")]
pub struct NoMediaId(pub NumberId);

impl TemplateCall {
    /// The call as `number` sends it: with its own id for the file.
    ///
    /// # Errors
    /// When the number has none.
    pub fn through(&self, number: &NumberId) -> Result<Cow<'_, TemplateCall>, NoMediaId> {
        let Some(Header::Media { media: Media::Asset(asset), .. }) = &self.header else {
            return Ok(Cow::Borrowed(self));
        };
        let id = asset.ids.get(number).ok_or_else(|| NoMediaId(number.clone()))?;
        let mut call = self.clone();
        if let Some(Header::Media { media, .. }) = &mut call.header {
            *media = Media::Id(id.clone());
        }
        Ok(Cow::Owned(call))
    }
}

/// A button's parameter. `index` counts the template's buttons from 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ButtonCall {
    QuickReply { index: u8, payload: String },
    Url { index: u8, suffix: String },
    CopyCode { index: u8, code: String },
}

impl ButtonCall {
    pub fn index(&self) -> u8 {
        match self {
            ButtonCall::QuickReply { index, .. }
            | ButtonCall::Url { index, .. }
            | ButtonCall::CopyCode { index, .. } => *index,
        }
    }
}
