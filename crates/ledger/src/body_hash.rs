//! What names a body, which is stored once for all deliveries that say the same.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Hexadecimal digits of a name: 128 bits, so that two texts never meet.
const DIGITS: usize = 32;
/// Digits of the names that earlier versions gave; they stay valid.
const DIGITS_BEFORE: usize = 16;

/// The first 128 bits of the body's SHA-256 in hexadecimal digits. Empty for a delivery that says
/// nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BodyHash(String);

impl BodyHash {
    pub fn of(body: &str) -> Self {
        let mut digits = domain::hash::sha256_hex(body.as_bytes());
        digits.truncate(DIGITS);
        BodyHash(digits)
    }

    /// Whether this is the body's name, in this version's form or in that of earlier ones.
    pub fn names(&self, body: &str) -> bool {
        let known = [DIGITS, DIGITS_BEFORE].contains(&self.0.len());
        known && domain::hash::sha256_hex(body.as_bytes()).starts_with(&self.0)
    }

    /// As it is stored.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        hex::decode(&self.0).unwrap_or_default()
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        BodyHash(hex::encode(bytes))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BodyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_both_lengths_name_their_body_and_no_other() {
        let hash = BodyHash::of("NIFTY up");
        assert_eq!(hash.as_str().len(), 32);
        assert!(hash.names("NIFTY up") && !hash.names("NIFTY down"));
        assert!(BodyHash(hash.as_str()[..16].to_owned()).names("NIFTY up"), "an earlier version's");
        for short in ["", "a", &hash.as_str()[..15]] {
            assert!(!BodyHash(short.to_owned()).names("NIFTY up"), "{short:?}");
        }
    }
}
