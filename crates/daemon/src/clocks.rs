//! Is this host's clock right? Asked before a run is planned: a host that is a day ahead would
//! plan tomorrow from today's list, and seal it before tomorrow's content comes.

use std::path::Path;
use std::time::Duration;

use config::Config;
use domain::{Clock, Timestamp};
use segment_log::{Sync, whole};
use serde::{Deserialize, Serialize};

use crate::parts::Parts;

/// How far the clocks may be apart when a run is planned.
const APART_MAX: Duration = Duration::from_secs(120);

/// This host's clocks at one moment, as it noted them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Reading {
    wall: Timestamp,
    /// Since the machine started, sleep included; microseconds.
    up: u64,
}

/// What the clock is held against, and what that says. `None`: it is right, as far as anybody
/// could be asked. Notes the present reading for the next time.
///
/// Graph and the store are believed before the host's own note: a clock that was just put right
/// differs from that too.
pub async fn doubt(config: &Config, parts: &Parts) -> Option<String> {
    let here = parts.clock.now();
    let path = config.state_dir.join("clock.json");
    let expected = noted(&path).and_then(|noted| noted.expected(uptime()?));
    note(&path, here);
    let others = others(parts).await;
    let asked = others.iter().any(|(_, at)| at.is_some());
    let own = ("its own last reading", expected.filter(|_| !asked));
    let mut all = others.into_iter().chain([own]);
    all.find_map(|(who, at)| apart(here, who, at?))
}

/// Whether somebody else says that this host's clock is right. Nobody to ask is no yes.
pub async fn is_confirmed(parts: &Parts) -> bool {
    let here = parts.clock.now();
    let others = others(parts).await.into_iter();
    let said: Vec<_> = others.filter_map(|(who, at)| Some(apart(here, who, at?))).collect();
    !said.is_empty() && said.iter().all(Option::is_none)
}

async fn others(parts: &Parts) -> [(&'static str, Option<Timestamp>); 2] {
    let graph = parts.api.server_time().await;
    let store = parts.ledger.now().await.ok();
    [("Meta", graph), ("the store", store.filter(|_| parts.ledger.engine() == "redis"))]
}

fn apart(here: Timestamp, who: &str, at: Timestamp) -> Option<String> {
    let apart = here.since(at).max(at.since(here));
    let which = if here > at { "ahead of" } else { "behind" };
    (apart > APART_MAX)
        .then(|| format!("this host's clock is {:.0} s {which} {who}", apart.as_secs_f64()))
}

impl Reading {
    /// What the wall clock should say at an uptime; `None`: the machine was restarted since.
    fn expected(&self, up: u64) -> Option<Timestamp> {
        let passed = up.checked_sub(self.up)?;
        Some(self.wall + Duration::from_micros(passed))
    }
}

fn uptime() -> Option<u64> {
    let at = domain::clock::since_start()?;
    u64::try_from(at.as_micros()).ok()
}

fn noted(path: &Path) -> Option<Reading> {
    serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()
}

/// Losing it costs one comparison.
fn note(path: &Path, wall: Timestamp) {
    let Some(up) = uptime() else { return };
    let text = serde_json::to_string(&Reading { wall, up }).expect("plain data");
    if let Err(error) = whole::put_bytes(path, Sync::No, text.as_bytes()) {
        tracing::warn!(error = %error, "note the clock in {}: {error}", path.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_says_what_the_clock_should_say_until_the_machine_restarts() {
        let noted = Reading { wall: Timestamp::from_secs(1_000), up: 50_000_000 };
        assert_eq!(noted.expected(60_000_000), Some(Timestamp::from_secs(1_010)));
        assert_eq!(noted.expected(1_000_000), None, "it was restarted");
    }
}
