//! Whom we write to.
//!
//! Invariant: a phone number, a user id or a name never reaches `Debug` or `Display`;
//! both print the recipient's tag. Use [`Phone::reveal`] where the wire needs the digits.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::hash::stable64;
use crate::names::{Language, Tier};

/// The operator's own id of a recipient: unique in the recipient list, ≤ 128 bytes.
/// Treated as personal: only its [`tag`](RecipientId::tag) is printed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecipientId(String);

impl RecipientId {
    pub fn new(id: impl Into<String>) -> Self {
        RecipientId(id.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Eight hex digits that stand for the recipient in logs and listings.
    pub fn tag(&self) -> String {
        format!("{:08x}", stable64(&["recipient-tag", &self.0]) >> 32)
    }
}

impl fmt::Debug for RecipientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r_{}", self.tag())
    }
}

impl fmt::Display for RecipientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r_{}", self.tag())
    }
}

/// A telephone number in E.164 form, `+` included: `+919876543210`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Phone(String);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not an E.164 number: expected '+', a country code that does not start with 0, and 8 to 15 digits in all"
)]
pub struct NotE164;

impl Phone {
    /// # Errors
    /// When `text` is not `+` and 8 to 15 ASCII digits, the first of them not 0.
    pub fn try_new(text: impl Into<String>) -> Result<Self, NotE164> {
        let text = text.into();
        let digits = text.strip_prefix('+').ok_or(NotE164)?;
        let fits = (8..=15).contains(&digits.len());
        let plain = digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
        if fits && plain { Ok(Phone(text)) } else { Err(NotE164) }
    }

    /// The number itself, for the wire.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// `+91••••••••10`: enough for a person to recognise, too little to call.
    pub fn masked(&self) -> String {
        let keep = 2;
        let hidden = self.0.len().saturating_sub(3 + keep);
        format!("{}{}{}", &self.0[..3], "•".repeat(hidden), &self.0[self.0.len() - keep..])
    }
}

impl TryFrom<String> for Phone {
    type Error = NotE164;
    fn try_from(text: String) -> Result<Self, NotE164> {
        Phone::try_new(text)
    }
}

impl From<Phone> for String {
    fn from(phone: Phone) -> String {
        phone.0
    }
}

impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Phone(hidden)")
    }
}

/// A business-scoped user id (BSUID) such as `IN.13491208655302741918`, ≤ 128 bytes.
/// Source: Meta, "Business-scoped user IDs", 2026.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserId(String);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a business-scoped user id: expected a two-letter country, a dot and letters, digits or dots, e.g. IN.1349120865"
)]
pub struct NotUserId;

impl UserId {
    /// # Errors
    /// When the shape is not `CC.rest` or it is longer than 128 bytes.
    pub fn try_new(text: impl Into<String>) -> Result<Self, NotUserId> {
        let text = text.into();
        let (country, rest) = text.split_once('.').ok_or(NotUserId)?;
        let good = country.len() == 2
            && country.bytes().all(|b| b.is_ascii_uppercase())
            && !rest.is_empty()
            && text.len() <= 128
            && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.');
        if good { Ok(UserId(text)) } else { Err(NotUserId) }
    }

    /// The id itself, for the wire.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for UserId {
    type Error = NotUserId;
    fn try_from(text: String) -> Result<Self, NotUserId> {
        UserId::try_new(text)
    }
}

impl From<UserId> for String {
    fn from(id: UserId) -> String {
        id.0
    }
}

impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserId(hidden)")
    }
}

/// How a recipient is reached: by phone, by user id, or by either (phone goes first,
/// because Meta lets `to` win when both are sent).
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Address {
    #[serde(rename = "phone")]
    Phone(Phone),
    #[serde(rename = "user_id")]
    UserId(UserId),
    #[serde(rename = "both")]
    Both(Phone, UserId),
}

impl Address {
    pub fn new(phone: Option<Phone>, user_id: Option<UserId>) -> Option<Self> {
        match (phone, user_id) {
            (Some(phone), Some(id)) => Some(Address::Both(phone, id)),
            (Some(phone), None) => Some(Address::Phone(phone)),
            (None, Some(id)) => Some(Address::UserId(id)),
            (None, None) => None,
        }
    }

    pub fn phone(&self) -> Option<&Phone> {
        match self {
            Address::Phone(phone) | Address::Both(phone, _) => Some(phone),
            Address::UserId(_) => None,
        }
    }

    pub fn user_id(&self) -> Option<&UserId> {
        match self {
            Address::UserId(id) | Address::Both(_, id) => Some(id),
            Address::Phone(_) => None,
        }
    }
}

/// One row of the recipient list.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    pub id: RecipientId,
    pub name: String,
    pub address: Address,
    /// A name from the campaign's list of tiers; unknown ones go last.
    pub tier: Tier,
    /// Meta language code, e.g. `en` or `hi`; empty means the campaign's default.
    pub language: Language,
    pub consent_utility: bool,
    pub consent_marketing: bool,
    pub opted_in_at: Option<Timestamp>,
    /// Free columns of the import, by header.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recipient({})", self.id)
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipient_prints_only_its_tag() {
        let recipient = Recipient {
            id: RecipientId::new("arn-48812"),
            name: "Asha Rao".into(),
            address: Address::Both(
                Phone::try_new("+919876543210").unwrap(),
                UserId::try_new("IN.134912").unwrap(),
            ),
            tier: "pro".into(),
            language: "hi".into(),
            consent_utility: true,
            consent_marketing: false,
            opted_in_at: None,
            attributes: BTreeMap::new(),
        };
        let printed = format!("{recipient:?} {recipient} {:?} {}", recipient.address, recipient.id);
        for secret in ["9876543210", "Asha", "48812", "134912"] {
            assert!(!printed.contains(secret), "{secret} in {printed}");
        }
        assert!(printed.contains(&recipient.id.tag()));
    }

    #[test]
    fn phones_are_e164_or_nothing() {
        for good in ["+919876543210", "+14155550100", "+6591234567"] {
            assert!(Phone::try_new(good).is_ok(), "{good}");
        }
        for bad in ["919876543210", "+0919876543210", "+91 98765", "+91987654321012345", "", "+"] {
            assert_eq!(Phone::try_new(bad), Err(NotE164), "{bad}");
        }
    }

    #[test]
    fn a_masked_phone_keeps_the_country_and_two_digits() {
        assert_eq!(Phone::try_new("+919876543210").unwrap().masked(), "+91••••••••10");
    }
}
