//! One record of the inbox: `received_at i64 · body`, microseconds since 1970, little
//! endian.

use bytes::Bytes;
use domain::Timestamp;

const TIME_BYTES: usize = 8;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub received_at: Timestamp,
    pub body: Bytes,
}

/// Not a record of ours, although its checksum was right: another version wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an inbox record is too short to hold its time")]
pub struct BadRecord;

impl Record {
    pub fn encode(&self) -> Vec<u8> {
        let mut payload = Vec::with_capacity(TIME_BYTES + self.body.len());
        payload.extend(self.received_at.micros().to_le_bytes());
        payload.extend(&self.body);
        payload
    }

    /// # Errors
    /// When it is too short.
    pub fn decode(payload: &[u8]) -> Result<Record, BadRecord> {
        let (time, body) = payload.split_first_chunk::<TIME_BYTES>().ok_or(BadRecord)?;
        let received_at = Timestamp::from_micros(i64::from_le_bytes(*time));
        Ok(Record { received_at, body: Bytes::copy_from_slice(body) })
    }
}
