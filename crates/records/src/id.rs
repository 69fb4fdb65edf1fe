//! Ids of rows: UUIDs of version 7, which grow with time, so that new rows lie together in an
//! index and a list in order of ids is in order of time. Source: RFC 9562, 5.7.

use std::fmt;

use domain::Timestamp;
use rand::{Rng, RngExt};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(String);

impl Id {
    pub fn new(now: Timestamp, rng: &mut impl Rng) -> Self {
        let millis = u64::try_from(now.micros() / 1_000).unwrap_or(0);
        let random: [u8; 10] = rng.random();
        let id = uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid();
        Id(id.hyphenated().to_string())
    }

    /// As a database gave it.
    pub(crate) fn known(text: String) -> Self {
        Id(text)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
