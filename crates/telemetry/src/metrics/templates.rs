//! How the campaigns' templates stand at Meta, once it was asked.

use prometheus::IntGaugeVec;

use super::family::Maker;

/// Each by template and language.
pub struct Templates {
    /// Versions of the family that could be sent, the planned one among them.
    pub usable_versions: IntGaugeVec,
    pub substituted: IntGaugeVec,
}

impl Templates {
    pub(super) fn new(make: &Maker<'_>) -> Self {
        Templates {
            usable_versions: make.configured_gauges(
                "subah_template_usable_versions",
                "Versions of a campaign's template that could be sent now in this language: 0 none, 1 no spare",
                &["template", "language"],
            ),
            substituted: make.configured_gauges(
                "subah_template_substituted",
                "Whether another version goes in place of a campaign's template in this language",
                &["template", "language"],
            ),
        }
    }
}
