//! Is a morning near? Keepers ask Meta more often then.

use std::time::Duration;

use config::{CampaignConfig, Config};
use domain::Timestamp;
use scheduler::daily::Due;

/// So long before a run is planned it is near.
const LEAD: Duration = Duration::from_secs(45 * 60);

/// Whether a run of any campaign is due, or soon will be.
pub fn is_near(config: &Config, now: Timestamp) -> bool {
    let is_due = |at| {
        let due = |one: &CampaignConfig| matches!(one.daily.due(at, |_| false), Due::Now { .. });
        config.campaigns.iter().any(due)
    };
    is_due(now) || is_due(now + LEAD)
}
