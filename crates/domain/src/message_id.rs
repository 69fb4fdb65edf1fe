//! The provider's own name of a message.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::hash::stable64;

/// Such as Meta's `wamid`. Personal data: some hold the phone number, so `Debug` shows a hash.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MessageId(String);

impl MessageId {
    pub fn new(id: impl Into<String>) -> Self {
        MessageId(id.into())
    }

    /// A status may name none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In the provider's own form.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "message {:x}", stable64(&[&self.0]))
    }
}
