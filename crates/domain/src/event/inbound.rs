//! A message that someone wrote to us, reduced to what routing needs.

use super::ReportedError;
use crate::clock::Timestamp;
use crate::number::NumberId;
use crate::recipient::Address;

#[derive(Clone, Debug, PartialEq)]
pub struct Inbound {
    pub number: Option<NumberId>,
    /// Dedupe key of inbound messages; personal data.
    pub id: String,
    /// `text`, `image`, … or what the present keys suggest when Meta left `type` out.
    pub kind: String,
    /// `button_reply`, `nfm_reply`, `user_changed_number`, `removed`… within the kind.
    pub detail: Option<String>,
    pub type_missing: bool,
    pub at: Option<Timestamp>,
    /// Written from a phone number we may see, rather than from a user id alone.
    pub from_phone: bool,
    pub link: Option<Link>,
    pub errors: Vec<ReportedError>,
    /// Who wrote; personal data.
    pub from: Option<Address>,
    /// What they wrote, or the title of the button they pressed; personal data.
    pub text: Option<String>,
}

/// What a message refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    Reply,
    Forwarded,
    /// A question about a product.
    Product,
    /// It came through an ad and opens a free entry point.
    Referral,
}
