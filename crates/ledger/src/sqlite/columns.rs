//! What stands in the columns beside a record, and what is read from them.

use domain::Timestamp;
use rusqlite::Row;
use rusqlite::types::ValueRef;

use crate::api::Run;
use crate::record::Record;
use crate::view::needs_attention;

/// A text as its bytes: one that is damaged need not be UTF-8.
pub fn bytes(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<u8>> {
    Ok(match row.get_ref(column)? {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.to_vec(),
        _ => Vec::new(),
    })
}

/// Whether the look that is stored does for the one that is wanted.
pub fn stays(stored: Option<i64>, wanted: Option<i64>) -> bool {
    match (stored, wanted) {
        (None, None) => true,
        (Some(stored), Some(wanted)) => stored <= wanted,
        _ => false,
    }
}

/// Its state, if a person may want to look at that end.
pub fn attention(record: &Record) -> Option<&'static str> {
    needs_attention(record.state).then(|| record.state.as_str())
}

pub fn indexes(run: &Run, record: &Record) -> (Option<i64>, Option<i64>) {
    let schedule = record.schedule(&run.header.policy);
    (schedule.due().map(Timestamp::micros), schedule.look().map(Timestamp::micros))
}
