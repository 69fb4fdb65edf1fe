//! The business numbers we send from.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Meta's `phone_number_id` (decimal digits), not a telephone number.
///
/// Safe to log and to use as a metric label: it names our side only.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NumberId(Arc<str>);

#[derive(Debug, thiserror::Error)]
#[error(
    "number id {0:?}: expected 1 to 64 letters, digits, '-' or '_' (Meta's phone_number_id, e.g. 106540352242922)"
)]
pub struct BadNumberId(String);

impl NumberId {
    /// # Errors
    /// When empty, longer than 64, or with a character that would break a key or a label.
    pub fn try_new(id: impl Into<String>) -> Result<Self, BadNumberId> {
        let id = id.into();
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if id.is_empty() || id.len() > 64 || !id.chars().all(plain) {
            return Err(BadNumberId(id));
        }
        Ok(NumberId(id.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for NumberId {
    type Error = BadNumberId;
    fn try_from(id: String) -> Result<Self, BadNumberId> {
        NumberId::try_new(id)
    }
}

impl From<NumberId> for String {
    fn from(id: NumberId) -> String {
        id.0.to_string()
    }
}

impl fmt::Display for NumberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A number we may send from, and how fast.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BusinessNumber {
    pub id: NumberId,
    /// Messages a second that Meta allows this number (80 by default, up to 1,000).
    pub throughput: u32,
    /// Share of recipients relative to other numbers; 0 takes no new recipients.
    pub weight: u32,
}
