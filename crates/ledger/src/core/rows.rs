//! What an engine gives: rows that can be read and written in place, under exclusion. A row that
//! cannot be read costs itself.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use domain::{DeliveryId, RunId, State, Timestamp};

use crate::api::{Counts, Envelope, RowKey, Run};
use crate::body_hash::BodyHash;
use crate::error::{LedgerError, Result};
use crate::record::Record;
use crate::transition::{Sighting, Witness};

/// Rows under exclusion. `put` keeps the counters and the indexes in step with the record.
pub trait Rows {
    fn run(&mut self, id: &RunId) -> Result<Option<Run>>;
    fn put_run(&mut self, run: &Run) -> Result<()>;
    /// The same with a header that has changed.
    fn put_header(&mut self, run: &Run) -> Result<()>;
    /// Removes the run and all that belongs to it.
    fn remove_run(&mut self, id: &RunId) -> Result<()>;
    /// Removes at most `limit` deliveries; true when there may be more.
    fn remove_deliveries(&mut self, id: &RunId, limit: usize) -> Result<bool>;
    fn counts(&mut self, run: &RunId) -> Result<Counts>;
    /// Ids of runs whose phase is open.
    fn open_runs(&mut self) -> Result<Vec<RunId>>;
    /// Without a message: only news is known of it.
    fn insert(
        &mut self,
        run: &Run,
        index: u32,
        record: &Record,
        message: Option<&Envelope>,
    ) -> Result<()>;
    fn put_message(&mut self, run: &RunId, index: u32, message: &Envelope) -> Result<()>;
    /// Which delivery of a rolling run has the key.
    fn index_of(&mut self, run: &RunId, key: &RowKey) -> Result<Option<u32>>;
    fn put_key(&mut self, run: &RunId, key: &RowKey, index: u32) -> Result<()>;
    /// Deliveries of a rolling run to this person, by index.
    fn indexes_to(&mut self, run: &RunId, person: &str) -> Result<Vec<u32>>;
    fn put_person(&mut self, run: &RunId, person: &str, index: u32) -> Result<()>;
    fn put_body(&mut self, run: &RunId, hash: &BodyHash, body: &Arc<str>) -> Result<()>;
    fn body(&mut self, run: &RunId, hash: &BodyHash) -> Result<Arc<str>>;
    fn record(&mut self, run: &RunId, index: u32) -> Result<Option<Record>>;
    fn message(&mut self, run: &RunId, index: u32) -> Result<Envelope>;
    /// Whether one is stored, readable or not: without one only news is known of the row.
    fn has_message(&mut self, run: &RunId, index: u32) -> Result<bool>;
    fn put(&mut self, run: &Run, index: u32, record: &Record, was: State) -> Result<()>;
    /// Puts a quarantined record in place of one that cannot be read, and keeps the latter's
    /// bytes apart.
    fn replace_damaged(&mut self, run: &Run, index: u32, why: &str) -> Result<Record>;
    /// Waiting deliveries of a lane due by `now`, earliest first.
    fn due(&mut self, run: &RunId, lane: u16, now: Timestamp, k: usize) -> Result<Vec<u32>>;
    /// Deliveries that the sweeper must look at by `now`.
    fn looks(&mut self, run: &RunId, now: Timestamp, k: usize) -> Result<Vec<u32>>;
    /// Waiting deliveries of every lane.
    fn waiting(&mut self, run: &RunId, k: usize) -> Result<Vec<u32>>;
    fn next_due(&mut self, run: &RunId, lane: u16) -> Result<Option<Timestamp>>;
    /// The latest send of a lane that a webhook has spoken of.
    fn witness(&mut self, run: &RunId, lane: u16) -> Result<Witness>;
    /// As [`Witness::see`].
    fn put_witness(&mut self, run: &RunId, lane: u16, seen: Sighting) -> Result<()>;
    /// Whether sends of the run are refused; see [`LedgerError::StoreRestarted`].
    fn fenced(&mut self, run: &RunId) -> Result<bool>;
    /// Refuses sends of the run until its fence is lifted.
    fn fence(&mut self, run: &RunId) -> Result<()>;
    fn cell(&mut self, name: &str) -> Result<Option<String>>;
    fn put_cell(&mut self, name: &str, text: &str) -> Result<()>;
}

pub fn existing(rows: &mut impl Rows, id: &RunId) -> Result<Run> {
    rows.run(id)?.ok_or_else(|| LedgerError::NoRun(id.clone()))
}

pub fn find(rows: &mut impl Rows, id: &DeliveryId) -> Result<Option<(Run, Record)>> {
    let Some(run) = rows.run(&id.run)? else { return Ok(None) };
    Ok(readable(rows, &run, id.index)?.map(|record| (run, record)))
}

pub fn change_run(rows: &mut impl Rows, id: &RunId, change: impl FnOnce(&mut Run)) -> Result<Run> {
    let mut run = existing(rows, id)?;
    change(&mut run);
    rows.put_run(&run)?;
    Ok(run)
}

/// The record; one that cannot be read is put into quarantine, so that it costs itself only.
pub fn readable(rows: &mut impl Rows, run: &Run, index: u32) -> Result<Option<Record>> {
    match rows.record(&run.header.id, index) {
        Err(LedgerError::Corrupt { why, .. }) => {
            let why = format!("record: {why}");
            let record = rows.replace_damaged(run, index, &why)?;
            say_damaged(run, index, &why);
            Ok(Some(record))
        }
        found => found,
    }
}

/// A run that cannot be read costs itself: it is said once, and the others go on.
pub fn readable_run(found: Result<Option<Run>>) -> Result<Option<Run>> {
    static SAID: Mutex<BTreeSet<RunId>> = Mutex::new(BTreeSet::new());
    let Err(LedgerError::Corrupt { run, what, why }) = found else { return found };
    if SAID.lock().is_ok_and(|mut said| said.insert(run.clone())) {
        tracing::error!(run = %run, "the {what} of run {run} cannot be read from the store ({why}): nothing of it is sent, listed or closed, and other runs go on; `subah ledger verify` says more");
    }
    Ok(None)
}

pub fn message_and_body(
    rows: &mut impl Rows,
    run: &RunId,
    index: u32,
) -> Result<(Envelope, Arc<str>)> {
    let message = rows.message(run, index)?;
    let body = rows.body(run, &message.body)?;
    Ok((message, body))
}

/// Says it once: from then on the record says it.
pub fn say_damaged(run: &Run, index: u32, why: &str) {
    let id = DeliveryId { run: run.header.id.clone(), index };
    tracing::error!(delivery.id = %id, "delivery {id} cannot be read from the store ({why}): it is quarantined and everything else goes on; `subah ledger verify` lists what is damaged, `subah ledger repair` takes what journals and inboxes know");
}
