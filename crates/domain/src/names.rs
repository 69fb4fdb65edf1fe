//! Names that are texts and nothing else: each a type of its own, so that one is never given for
//! another.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Serialize};

use crate::text::is_plain_name;

/// Of an approved template, such as `daily_pack_v2`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TemplateName(String);

/// A provider's code of a translation, such as `hi` or `en_US`, or what a person's row asks for.
/// Empty: nothing was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Language(String);

/// The class of a recipient, in whose turn messages go; free text of the platform. Empty: none.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tier(String);

impl Deref for TemplateName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Deref for Language {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Deref for Tier {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for TemplateName {
    fn eq(&self, text: &str) -> bool {
        self.0 == text
    }
}

impl PartialEq<&str> for TemplateName {
    fn eq(&self, text: &&str) -> bool {
        self.0 == *text
    }
}

impl Borrow<str> for TemplateName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl<T: Into<String>> From<T> for TemplateName {
    fn from(text: T) -> Self {
        TemplateName(text.into())
    }
}

impl PartialEq<str> for Language {
    fn eq(&self, text: &str) -> bool {
        self.0 == text
    }
}

impl PartialEq<&str> for Language {
    fn eq(&self, text: &&str) -> bool {
        self.0 == *text
    }
}

impl Borrow<str> for Language {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl<T: Into<String>> From<T> for Language {
    fn from(text: T) -> Self {
        Language(text.into())
    }
}

impl PartialEq<str> for Tier {
    fn eq(&self, text: &str) -> bool {
        self.0 == text
    }
}

impl PartialEq<&str> for Tier {
    fn eq(&self, text: &&str) -> bool {
        self.0 == *text
    }
}

impl Borrow<str> for Tier {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl<T: Into<String>> From<T> for Tier {
    fn from(text: T) -> Self {
        Tier(text.into())
    }
}

impl fmt::Display for TemplateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

/// A list of recipients: 1 to 64 lower-case letters, digits, `-` or `_`. Safe in paths and keys.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ListName(String);

#[derive(Debug, thiserror::Error)]
#[error("list {0:?}: expected 1 to 64 lower-case letters, digits, '-' or '_', e.g. trial-users")]
pub struct BadListName(String);

impl ListName {
    /// The list that is meant when none is named.
    const DEFAULT: &str = "default";

    /// # Errors
    /// When a character would break a path or a key.
    pub fn try_new(name: impl Into<String>) -> Result<Self, BadListName> {
        let name = name.into();
        if is_plain_name(&name) { Ok(ListName(name)) } else { Err(BadListName(name)) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_default(&self) -> bool {
        self.0 == Self::DEFAULT
    }
}

impl Default for ListName {
    fn default() -> Self {
        ListName(Self::DEFAULT.to_owned())
    }
}

impl std::str::FromStr for ListName {
    type Err = BadListName;
    fn from_str(name: &str) -> Result<Self, BadListName> {
        ListName::try_new(name)
    }
}

impl TryFrom<String> for ListName {
    type Error = BadListName;
    fn try_from(name: String) -> Result<Self, BadListName> {
        ListName::try_new(name)
    }
}

impl From<ListName> for String {
    fn from(name: ListName) -> String {
        name.0
    }
}

impl fmt::Display for ListName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
