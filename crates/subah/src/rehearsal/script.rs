//! A scenario's file: how things stand, what happens when, and what must have come of it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    pub title: String,
    #[serde(default = "people")]
    pub people: u32,
    #[serde(default = "numbers")]
    pub numbers: u32,
    /// Messages a second that each number is configured with.
    #[serde(default = "throughput")]
    pub throughput: u32,
    /// What the far side takes of each; as configured, by default.
    pub far_side_throughput: Option<u32>,
    /// The campaign's own template.
    #[serde(default = "template")]
    pub template: String,
    /// The account's templates at the beginning: name → what Meta says.
    #[serde(default)]
    pub templates: BTreeMap<String, AtMeta>,
    /// Numbers, counted from 1, and what Graph says of them at the beginning.
    #[serde(default)]
    pub said: BTreeMap<String, Value>,
    #[serde(default)]
    pub events: Vec<Event>,
    pub expected: Expected,
}

fn people() -> u32 {
    300
}

fn numbers() -> u32 {
    3
}

fn throughput() -> u32 {
    80
}

fn template() -> String {
    "daily_pack_v2".to_owned()
}

/// What Meta says of a template.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AtMeta {
    pub status: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<String>,
}

/// Something that happens, so long after the window has opened.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    #[serde(deserialize_with = "span")]
    pub at: Duration,
    /// Templates change …
    #[serde(default)]
    pub templates: BTreeMap<String, AtMeta>,
    /// … or numbers do, by their count from 1; a webhook says that something happened.
    #[serde(default)]
    pub said: BTreeMap<String, Value>,
    pub token: Option<Token>,
    /// These people, counted from 0, write STOP.
    #[serde(default)]
    pub stop: Vec<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Token {
    Revoked,
    Restored,
}

fn span<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(from)?;
    crate::cli::span(&text).map_err(serde::de::Error::custom)
}

/// What must have come of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    pub sla: Sla,
    /// Of the run that it plays: 0 when the promise was met.
    pub exit_code: u8,
    /// Deliveries by state, at least and at most.
    #[serde(default)]
    pub at_least: BTreeMap<String, u64>,
    #[serde(default)]
    pub at_most: BTreeMap<String, u64>,
    /// Of all that was addressed and not delivered in time, by cause, at least.
    #[serde(default)]
    pub causes: BTreeMap<String, u64>,
    /// Each must stand in the audit file.
    #[serde(default)]
    pub decisions: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Sla {
    Met,
    Missed,
}
