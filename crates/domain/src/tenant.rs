//! Whose a thing is, where several organisations share one installation.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::text::is_plain_name;

/// A plain word of small letters, digits, `-` and `_`, at most 64 of them. Stands in every
/// durable record that is not a delivery's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TenantId(String);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a tenant is 1 to 64 small letters, digits, - or _")]
pub struct BadTenant;

impl TenantId {
    /// # Errors
    /// When the text is no plain word.
    pub fn try_new(text: impl Into<String>) -> Result<Self, BadTenant> {
        let text = text.into();
        if is_plain_name(&text) { Ok(TenantId(text)) } else { Err(BadTenant) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The only one of an installation that knows no others.
impl Default for TenantId {
    fn default() -> Self {
        TenantId("default".to_owned())
    }
}

impl TryFrom<String> for TenantId {
    type Error = BadTenant;

    fn try_from(text: String) -> Result<Self, BadTenant> {
        TenantId::try_new(text)
    }
}

impl From<TenantId> for String {
    fn from(tenant: TenantId) -> String {
        tenant.0
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
