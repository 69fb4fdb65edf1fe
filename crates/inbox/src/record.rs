//! One record of the inbox: when, where and for whom a body came in, and the body.
//!
//! Version 2: `-2 i64 · received_at i64 · endpoint (len u8, text) · tenant (len u8, text) · body`.
//! Version 1, which is still read: `received_at i64 · body`; its time is never negative.
//! Instants are microseconds since 1970; everything is little endian.

use bytes::Bytes;
use domain::{TenantId, Timestamp};

const NUMBER_BYTES: usize = 8;
/// Stands where version 1 has its time.
const VERSION_2: i64 = -2;
/// Longest name of an endpoint, in bytes.
pub const ENDPOINT_BYTES_MAX: usize = 64;
/// Where webhooks came in before there were others.
pub const FIRST_ENDPOINT: &str = "webhooks";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub received_at: Timestamp,
    /// The endpoint that took the body, and whose secret it was signed with: at most
    /// [`ENDPOINT_BYTES_MAX`] bytes.
    pub endpoint: String,
    pub tenant: TenantId,
    pub body: Bytes,
}

/// Not a record of ours, although its checksum was right: another version wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRecord {
    #[error("an inbox record is too short to hold its head")]
    Short,
    #[error("an inbox record is of version {0}, which this program does not read")]
    Version(i64),
    #[error("an inbox record's endpoint or tenant is no plain word")]
    Name,
}

impl Record {
    /// A body that came in at the first endpoint.
    pub fn new(received_at: Timestamp, body: impl Into<Bytes>) -> Self {
        let (endpoint, tenant) = (FIRST_ENDPOINT.to_owned(), TenantId::default());
        Record { received_at, endpoint, tenant, body: body.into() }
    }

    pub fn encode(&self) -> Vec<u8> {
        let names = [self.endpoint.as_str(), self.tenant.as_str()];
        let head = 2 * NUMBER_BYTES + names.iter().map(|name| 1 + name.len()).sum::<usize>();
        let mut payload = Vec::with_capacity(head + self.body.len());
        payload.extend(VERSION_2.to_le_bytes());
        payload.extend(self.received_at.micros().to_le_bytes());
        for name in names {
            payload.push(u8::try_from(name.len()).expect("names are at most 64 bytes"));
            payload.extend(name.as_bytes());
        }
        payload.extend(&self.body);
        payload
    }

    /// # Errors
    /// When it is too short, of a later version, or not what was written.
    pub fn decode(payload: &[u8]) -> Result<Record, BadRecord> {
        let (first, rest) = number(payload)?;
        if first >= 0 {
            let received_at = Timestamp::from_micros(first);
            return Ok(Record::new(received_at, Bytes::copy_from_slice(rest)));
        }
        if first != VERSION_2 {
            return Err(BadRecord::Version(-first));
        }
        let (received_at, rest) = number(rest)?;
        let (endpoint, rest) = name(rest)?;
        let (tenant, body) = name(rest)?;
        Ok(Record {
            received_at: Timestamp::from_micros(received_at),
            endpoint: endpoint.to_owned(),
            tenant: TenantId::try_new(tenant).map_err(|_| BadRecord::Name)?,
            body: Bytes::copy_from_slice(body),
        })
    }
}

fn number(bytes: &[u8]) -> Result<(i64, &[u8]), BadRecord> {
    let (number, rest) = bytes.split_first_chunk::<NUMBER_BYTES>().ok_or(BadRecord::Short)?;
    Ok((i64::from_le_bytes(*number), rest))
}

fn name(bytes: &[u8]) -> Result<(&str, &[u8]), BadRecord> {
    let (length, rest) = bytes.split_first().ok_or(BadRecord::Short)?;
    let (name, rest) = rest.split_at_checked(usize::from(*length)).ok_or(BadRecord::Short)?;
    Ok((std::str::from_utf8(name).map_err(|_| BadRecord::Name)?, rest))
}
