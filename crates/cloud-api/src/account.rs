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
    /// TIER_250 … TIER_UNLIMITED; empty when Graph does not say.
    #[serde(default)]
    pub messaging_limit_tier: String,
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
        let fields = "id,display_phone_number,verified_name,quality_rating,status,throughput,health_status,messaging_limit_tier";
        self.get(&[number.as_str()], &[("fields", fields)]).await
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
