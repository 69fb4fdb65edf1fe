//! What the keepers of templates and of numbers share: how often they look, how often they ask Meta,
//! and where their decisions are noted.

use std::time::Duration;

use config::{CampaignConfig, Config};
use desk::did;
use domain::Timestamp;
use scheduler::daily::Due;

/// Before a question that had no answer is asked again: an account has a few hundred calls an hour.
pub const AGAIN: Duration = Duration::from_secs(20);
/// So long before a run is planned it is near.
const LEAD: Duration = Duration::from_secs(45 * 60);

/// Until it is looked again whether there is a reason to ask Meta, or anything to do: a daemon at rest
/// costs little.
pub fn look_after(config: &Config, now: Timestamp) -> Duration {
    if is_near(config, now) { Duration::from_millis(500) } else { Duration::from_secs(5) }
}

/// Between two questions without a reason.
pub fn ask_after(config: &Config, now: Timestamp) -> Duration {
    Duration::from_secs(if is_near(config, now) { 60 } else { 600 })
}

/// Notes a keeper's decision for the audit. A disk that takes no note holds up no morning: the log has
/// the words as well.
pub fn note(config: &Config, keeper: &str, what: &str) {
    if let Err(error) = did::note_of(config, keeper, "decided", what) {
        tracing::error!("{}: {what}", error.chain());
    }
}

/// Whether a run of any campaign is due, or soon will be.
fn is_near(config: &Config, now: Timestamp) -> bool {
    let is_due = |at| {
        let due = |one: &CampaignConfig| matches!(one.daily.due(at, |_| false), Due::Now { .. });
        config.campaigns.iter().any(due)
    };
    is_due(now) || is_due(now + LEAD)
}
