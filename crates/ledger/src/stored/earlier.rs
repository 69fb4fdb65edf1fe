//! What earlier versions have written: JSON, in later ones with a checksum at its end.

use domain::{State, Timestamp};
use serde::de::DeserializeOwned;

/// Whether stored bytes are in that form.
pub fn is_json(stored: &[u8]) -> bool {
    stored.first() == Some(&b'{')
}

/// # Errors
/// Where it stopped making sense, without what stood there: that may be a phone number.
pub fn read<T: DeserializeOwned>(stored: &[u8]) -> Result<T, String> {
    if !is_whole(stored) {
        return Err("its checksum does not fit".to_owned());
    }
    serde_json::from_slice(stored)
        .map_err(|error| format!("{:?} error at byte {}", error.classify(), error.column()))
}

/// Stands before the checksum, which is the last thing in such a text.
const SUM: &str = ",\"sum\":";

fn is_whole(stored: &[u8]) -> bool {
    let sum = stored.windows(SUM.len()).rposition(|window| window == SUM.as_bytes());
    let Some((at, digits)) = sum.and_then(|at| {
        let digits = stored[at + SUM.len()..].strip_suffix(b"}")?;
        digits.iter().all(u8::is_ascii_digit).then_some((at, digits))
    }) else {
        return true;
    };
    let seen = crc32c::crc32c_append(crc32c::crc32c(&stored[..at]), b"}");
    std::str::from_utf8(digits).is_ok_and(|digits| digits.parse() == Ok(seen))
}

/// What a record that cannot be read still tells.
pub fn hints(stored: &[u8]) -> (Option<State>, Option<u16>, Option<Timestamp>) {
    let text = String::from_utf8_lossy(stored);
    let after = |key: &str| {
        let (_, rest) = text.split_once(key)?;
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-');
        end.map(|end| rest[..end].to_owned())
    };
    (
        after("\"state\":\"").and_then(|name| State::parse(&name)),
        after("\"lane\":").and_then(|n| n.parse().ok()),
        after("\"due\":").and_then(|n| n.parse().ok()).map(Timestamp::from_micros),
    )
}
