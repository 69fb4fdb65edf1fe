//! Why somebody gets nothing although they are on the list.

use serde::{Deserialize, Serialize};

/// Why a recipient is left out: when the run is planned, or by their own word afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Suppression {
    NoContent,
    NotApproved,
    NoConsent,
    BadParameters,
    BadMedia,
    NoNumber,
    /// The row that was meant for this recipient was refused: neither its text nor any
    /// other goes.
    ContentRefused,
    /// The person said STOP, by reply or in the app, after the list was made.
    OptedOut,
}

impl Suppression {
    /// Something is missing or wrong on our side; else the person does not want it.
    pub fn is_a_fault(self) -> bool {
        !matches!(self, Suppression::NoConsent | Suppression::OptedOut)
    }

    pub const ALL: [Suppression; 8] = [
        Suppression::NoContent,
        Suppression::NotApproved,
        Suppression::NoConsent,
        Suppression::BadParameters,
        Suppression::BadMedia,
        Suppression::NoNumber,
        Suppression::ContentRefused,
        Suppression::OptedOut,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Suppression::NoContent => "no_content",
            Suppression::NotApproved => "not_approved",
            Suppression::NoConsent => "no_consent",
            Suppression::BadParameters => "bad_parameters",
            Suppression::BadMedia => "bad_media",
            Suppression::NoNumber => "no_number",
            Suppression::ContentRefused => "content_refused",
            Suppression::OptedOut => "opted_out",
        }
    }
}
