//! The report's shape: documented in README, kept stable. Field order is output order.

use domain::State;
use serde::{Serialize, Serializer};

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    pub run: String,
    pub engine: String,
    /// Of a demo or rehearsal; absent for real runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    pub window: WindowTimes,
    pub planned: u64,
    /// Every state, zeros too; sums to `planned`.
    #[serde(serialize_with = "in_order")]
    pub states: Vec<(State, u64)>,
    pub by_deadline: Ladders,
    pub sla: Sla,
    pub attempts: Attempts,
    pub lateness_ms: Lateness,
    /// Causes of all that was addressed and not delivered by the deadline, most first.
    pub misses: Vec<Miss>,
    pub duplicates: Duplicates,
    pub numbers: Vec<NumberShare>,
    /// What the far side saw; only with the simulator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oracle: Option<Oracle>,
}

/// An object whose keys follow a delivery's life.
fn in_order<S: Serializer>(states: &[(State, u64)], out: S) -> Result<S::Ok, S::Error> {
    out.collect_map(states.iter().map(|(state, n)| (state.as_str(), n)))
}

/// RFC 3339, in the campaign's zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WindowTimes {
    pub opens: String,
    pub target: String,
    pub closes: String,
    pub deadline: String,
}

/// Deliveries that had come this far by the deadline, each a subset of the one before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ladders {
    pub accepted: u64,
    pub sent: u64,
    pub delivered: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sla {
    pub target: f64,
    /// Always `delivered`, by Meta's event time.
    pub measure: String,
    /// Planned less suppressed.
    pub denominator: u64,
    /// Four decimals; `met` is judged before rounding.
    pub ratio: f64,
    pub met: bool,
}

/// HTTP outcomes; an ambiguous one may since have been settled by a webhook.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Attempts {
    pub total: u64,
    pub accepted: u64,
    pub refused: u64,
    pub ambiguous: u64,
    pub not_sent: u64,
}

/// Dispatch minus due instant of first attempts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Lateness {
    pub p50: f64,
    pub p99: f64,
    pub max: f64,
    /// How many went before they were due; must be 0.
    pub early: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Miss {
    pub cause: String,
    pub count: u64,
}

/// Deliveries that may have arrived more than once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Duplicates {
    /// Two attempts may have gone; proven ones among them.
    pub possible: u64,
    /// Meta says that it passed two on.
    pub proven: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NumberShare {
    pub id: String,
    pub planned: u64,
    pub accepted: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Oracle {
    /// Message requests that reached the far side.
    pub requests: u64,
    /// Of these, taken for delivery.
    pub accepted: u64,
    pub distinct_deliveries: u64,
    /// Accepted more often than once per delivery, counted per surplus.
    pub duplicates: u64,
    /// Deliveries without a named end, and accepted ones that the ledger does not know.
    pub lost: u64,
}
