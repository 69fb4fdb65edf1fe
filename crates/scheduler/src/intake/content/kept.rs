//! A recipient's own content as it is kept: checked once, read again when it is needed, so
//! that texts of 200,000 people take no more memory than their letters.

use domain::RecipientId;
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};

use super::Content;

/// One row of stored content.
#[derive(Clone, Deserialize)]
#[serde(try_from = "Box<RawValue>")]
pub struct KeptContent {
    pub recipient_id: RecipientId,
    /// A [`Content`] as JSON.
    pub text: Box<RawValue>,
}

impl std::fmt::Debug for KeptContent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Content({})", self.recipient_id)
    }
}

impl TryFrom<Box<RawValue>> for KeptContent {
    type Error = serde_json::Error;

    fn try_from(text: Box<RawValue>) -> Result<Self, serde_json::Error> {
        let content: Content = serde_json::from_str(text.get())?;
        Ok(KeptContent { recipient_id: content.recipient_id, text })
    }
}

impl From<Content> for KeptContent {
    fn from(content: Content) -> Self {
        let text = to_raw_value(&content).expect("content is plain data");
        KeptContent { recipient_id: content.recipient_id, text }
    }
}
