//! What may be sent through what: templates once Meta was asked, and the numbers' shares.

use prometheus::{GaugeVec, IntGaugeVec};

use super::family::Maker;

pub struct Standing {
    /// By template and language: versions of the family that could be sent, the planned one among them.
    pub usable_versions: IntGaugeVec,
    /// By template and language.
    pub substituted: IntGaugeVec,
    /// By number: of its rate, by order of a person or of what Meta says of it; 0 to 1.
    pub number_share: GaugeVec,
}

impl Standing {
    pub(super) fn new(make: &Maker<'_>) -> Self {
        Standing {
            usable_versions: make.configured_gauges(
                "subah_template_usable_versions",
                "Versions of a campaign's template that could be sent now in this language: 0 none, 1 no spare, -1 not known yet",
                &["template", "language"],
            ),
            substituted: make.configured_gauges(
                "subah_template_substituted",
                "Whether another version goes in place of a campaign's template in this language",
                &["template", "language"],
            ),
            number_share: make.configured_floats(
                "subah_number_share_ratio",
                "At which share of its rate a number sends, by order; 0: nothing",
                &["number"],
            ),
        }
    }

    /// Exports a translation of a campaign's template of which nothing is known yet.
    pub fn expect_template(&self, template: &str, language: &str) {
        self.usable_versions.with_label_values(&[template, language]).set(-1);
        self.substituted.with_label_values(&[template, language]);
    }

    /// Exports whole shares for these numbers.
    pub(super) fn configure(&self, numbers: &[&str]) {
        for number in numbers {
            self.number_share.with_label_values(&[number]).set(1.0);
        }
    }
}
