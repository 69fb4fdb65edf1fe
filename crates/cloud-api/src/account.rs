//! Reads of our own numbers and templates: what `check` asks before the morning.

mod template;

use domain::{NumberId, Timestamp};
use secrecy::ExposeSecret;
use serde::Deserialize;

pub use self::template::{APPROVED, TemplateInfo};
use crate::client::{CallError, CloudApi};

/// A business number as Graph describes it. Unknown values are kept as text.
#[derive(Clone, Debug, Deserialize)]
pub struct NumberInfo {
    pub id: String,
    #[serde(default)]
    pub verified_name: String,
    /// GREEN, YELLOW, RED, UNKNOWN or NA.
    #[serde(default)]
    pub quality_rating: String,
    /// Must be CONNECTED to send; empty when Graph does not say.
    #[serde(default)]
    pub status: String,
    #[serde(default)]
    pub throughput: ThroughputInfo,
    #[serde(default)]
    pub health_status: HealthInfo,
    /// TIER_250 … TIER_UNLIMITED, of the whole portfolio; empty when Graph does not say.
    #[serde(default, alias = "whatsapp_business_manager_messaging_limit")]
    pub messaging_limit_tier: String,
}

impl NumberInfo {
    /// CONNECTED, or Graph does not say.
    pub fn is_connected(&self) -> bool {
        self.status.is_empty() || self.status == "CONNECTED"
    }

    /// Connected, and not blocked by its health.
    pub fn can_send(&self) -> bool {
        self.is_connected() && self.health_status.can_send_message != "BLOCKED"
    }

    /// Of how many people a conversation may be begun in any 24 hours, over all numbers of the
    /// portfolio. `None`: Graph does not say, or a tier that is not known here.
    /// Source: Meta, "Messaging limits" (2026-09).
    pub fn people_a_day(&self) -> Option<u64> {
        match self.messaging_limit_tier.as_str() {
            "TIER_50" => Some(50),
            "TIER_250" => Some(250),
            "TIER_1K" => Some(1_000),
            "TIER_2K" => Some(2_000),
            "TIER_10K" => Some(10_000),
            "TIER_100K" => Some(100_000),
            "TIER_UNLIMITED" => Some(u64::MAX),
            _ => None,
        }
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
pub struct ThroughputInfo {
    /// STANDARD (80/s), HIGH (1,000/s) or NOT_APPLICABLE.
    #[serde(default)]
    pub level: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub struct HealthInfo {
    /// AVAILABLE, LIMITED or BLOCKED.
    #[serde(default)]
    pub can_send_message: String,
}

/// What Meta tells of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenInfo {
    pub is_valid: bool,
    /// `None`: never.
    pub expires_at: Option<Timestamp>,
}

#[derive(Deserialize)]
struct DebugToken {
    data: DebugData,
}

#[derive(Deserialize)]
struct DebugData {
    #[serde(default)]
    is_valid: bool,
    /// Seconds; 0: never.
    #[serde(default)]
    expires_at: u64,
}

#[derive(Deserialize)]
struct Subscribed {
    #[serde(default)]
    data: Vec<serde_json::Value>,
}

/// What is asked about a template.
const FIELDS: &str = "name,language,status,category,parameter_format,components,quality_score";

#[derive(Deserialize)]
struct TemplatePage {
    #[serde(default)]
    data: Vec<TemplateInfo>,
}

impl CloudApi {
    /// # Errors
    /// As [`CloudApi::get`].
    pub async fn number(&self, number: &NumberId) -> Result<NumberInfo, CallError> {
        // The limit's field has had another name since v24, and an unknown one is refused.
        let limit = match self.major_version() {
            Some(..24) => "messaging_limit_tier",
            _ => "whatsapp_business_manager_messaging_limit",
        };
        let fields = format!(
            "id,display_phone_number,verified_name,quality_rating,status,throughput,health_status,{limit}"
        );
        self.get(&[number.as_str()], &[("fields", &fields)]).await
    }

    /// What Meta tells of the token that this client bears, asked with itself: not every token may.
    /// The token is part of the query here, as Meta wants it; no error repeats a query.
    ///
    /// # Errors
    /// As [`CloudApi::get`].
    pub async fn token_info(&self) -> Result<TokenInfo, CallError> {
        let token = self.token();
        let query = [("input_token", token.expose_secret())];
        let told: DebugToken = self.get(&["debug_token"], &query).await?;
        let DebugData { is_valid, expires_at } = told.data;
        let end = i64::try_from(expires_at).ok().filter(|end| *end > 0).map(Timestamp::from_secs);
        Ok(TokenInfo { is_valid, expires_at: end })
    }

    /// How many apps get the account's webhooks.
    ///
    /// # Errors
    /// As [`CloudApi::get`].
    pub async fn subscribed_apps(&self, waba: &str) -> Result<usize, CallError> {
        let subscribed: Subscribed = self.get(&[waba, "subscribed_apps"], &[]).await?;
        Ok(subscribed.data.len())
    }

    /// Translations of one template, at most 100.
    ///
    /// # Errors
    /// As [`CloudApi::get`].
    pub async fn templates(&self, waba: &str, name: &str) -> Result<Vec<TemplateInfo>, CallError> {
        let query = [("name", name), ("fields", FIELDS), ("limit", "100")];
        let page: TemplatePage = self.get(&[waba, "message_templates"], &query).await?;
        Ok(page.data)
    }
}
