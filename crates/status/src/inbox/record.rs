//! One record of a segment: `len u32 · crc32c u32 · received_at i64 · body`, little endian.
//! The checksum covers the time and the body.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use bytes::Bytes;
use domain::Timestamp;

/// Meta's largest body is 3 MB; anything larger in a segment is damage.
pub const BODY_BYTES_MAX: usize = 3 * 1024 * 1024;
const HEAD_BYTES: usize = 8;
const TIME_BYTES: usize = 8;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub received_at: Timestamp,
    pub body: Bytes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The segment ends within the record: not written yet, or torn.
    #[error("the segment ends within a record")]
    Short,
    #[error("a record's checksum does not match")]
    Damaged,
}

impl Record {
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut content = Vec::with_capacity(TIME_BYTES + self.body.len());
        content.extend(self.received_at.micros().to_le_bytes());
        content.extend(&self.body);
        let len = u32::try_from(content.len()).expect("the receiver bounds bodies");
        out.extend(len.to_le_bytes());
        out.extend(crc32c::crc32c(&content).to_le_bytes());
        out.extend(content);
    }

    /// Reads the first record; returns it and its size in bytes.
    ///
    /// # Errors
    /// When the bytes end too early, or are not what was written.
    pub fn decode(bytes: &[u8]) -> Result<(Record, usize), RecordError> {
        let head = bytes.get(..HEAD_BYTES).ok_or(RecordError::Short)?;
        let len = u32::from_le_bytes(head[..4].try_into().expect("four bytes")) as usize;
        let sum = u32::from_le_bytes(head[4..].try_into().expect("four bytes"));
        if !(TIME_BYTES..=TIME_BYTES + BODY_BYTES_MAX).contains(&len) {
            return Err(RecordError::Damaged);
        }
        let content = bytes.get(HEAD_BYTES..HEAD_BYTES + len).ok_or(RecordError::Short)?;
        if crc32c::crc32c(content) != sum {
            return Err(RecordError::Damaged);
        }
        let (time, body) = content.split_at(TIME_BYTES);
        let received_at = i64::from_le_bytes(time.try_into().expect("eight bytes"));
        let received_at = Timestamp::from_micros(received_at);
        let record = Record { received_at, body: Bytes::copy_from_slice(body) };
        Ok((record, HEAD_BYTES + len))
    }
}

/// How many bytes from the start are whole records.
pub fn whole_bytes(file: &mut File) -> std::io::Result<u64> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut bytes)?;
    let mut whole = 0;
    while let Ok((_, size)) = Record::decode(&bytes[whole..]) {
        whole += size;
    }
    Ok(whole as u64)
}
