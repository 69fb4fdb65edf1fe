//! A record, message or body that cannot be read costs its delivery: it is quarantined, and
//! the rest go on.

use domain::State;
use redis::{AsyncCommands, RedisResult};

use super::claim::DueRow;
use super::{Redis, failed};
use crate::api::Run;
use crate::body_hash::BodyHash;
use crate::core::say_damaged;
use crate::error::{LedgerError, Result};
use crate::record::Record;
use crate::store_mark;
use crate::stored;

/// What was found damaged: only while the store still holds it is anything changed.
struct Damage<'a> {
    key: String,
    field: &'a str,
    /// Empty when it is missing.
    value: &'a [u8],
    /// The message that names a damaged body; else empty.
    message: &'a [u8],
    why: String,
}

impl Redis {
    /// Puts a quarantined record in place of the one that was read, if it still stands there.
    pub(super) async fn replace_damaged(
        &self,
        run: &Run,
        index: u32,
        bytes: &[u8],
        why: &str,
    ) -> Result<()> {
        let (key, field) = (self.keys.records(&run.header.id), index.to_string());
        let why = format!("record: {why}");
        let damage = Damage { key, field: &field, value: bytes, message: b"", why };
        let was = stored::hints(bytes).0;
        let record = stored::in_place_of(bytes, was, &damage.why, &run.header);
        self.put_quarantined(run, index, bytes, was, &record, damage).await
    }

    /// Quarantines a delivery whose record was read and whose message or body was not; `error`
    /// says which. Other errors are given back.
    pub(super) async fn quarantine(
        &self,
        run: &Run,
        row: &DueRow,
        mut record: Record,
        body: Option<&BodyHash>,
        error: LedgerError,
    ) -> Result<()> {
        let LedgerError::Corrupt { what, why, .. } = error else { return Err(error) };
        let (id, field) = (&run.header.id, row.index.to_string());
        let why = format!("{what}: {why}");
        let held: Option<Vec<u8>> = match body {
            Some(hash) => {
                let held = self.con().hget(self.keys.bodies(id), hash.as_str()).await;
                held.map_err(|e| failed("read content", e))?
            }
            None => None,
        };
        let held = held.unwrap_or_default();
        let damage = match body {
            Some(hash) if hash.names(&String::from_utf8_lossy(&held)) => return Ok(()),
            Some(hash) => {
                let (key, message) = (self.keys.bodies(id), row.message.as_slice());
                Damage { key, field: hash.as_str(), value: &held, message, why }
            }
            None => {
                let key = self.keys.messages(id);
                Damage { key, field: &field, value: &row.message, message: b"", why }
            }
        };
        let was = record.state;
        record.quarantine(&damage.why, &run.header.policy);
        self.put_quarantined(run, row.index, &row.record, Some(was), &record, damage).await
    }

    async fn put_quarantined(
        &self,
        run: &Run,
        index: u32,
        expected: &[u8],
        was: Option<State>,
        record: &Record,
        damage: Damage<'_>,
    ) -> Result<()> {
        let id = &run.header.id;
        let mut call = self.scripts.quarantine.key(self.keys.records(id));
        call.key(self.keys.counts(id)).key(self.keys.look(id)).key(self.keys.damaged(id));
        call.key(damage.key).key(self.keys.messages(id)).key(self.keys.attention(id));
        for lane in 0..run.header.lanes.len() {
            call.key(self.keys.due(id, u16::try_from(lane).unwrap_or(u16::MAX)));
        }
        call.key(self.keys.cell(store_mark::CELL)).arg(self.test_time()).arg(index).arg(expected);
        call.arg(stored::record(record))
            .arg(was.map_or("", State::as_str))
            .arg(record.state.as_str());
        call.arg(damage.field).arg(damage.value).arg(damage.message);
        let mut con = self.con();
        let done: RedisResult<i64> = call.invoke_async(&mut con).await;
        self.with_cache(|cache| cache.records.remove(&(id.clone(), index)));
        if done.map_err(|e| failed("quarantine delivery", e))? == 1 {
            say_damaged(run, index, &damage.why);
        }
        Ok(())
    }
}
