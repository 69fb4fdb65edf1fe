//! The ledger in memory: the plainest engine, the one that the others are held against.
//! Nothing survives the process.

mod calls;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use domain::{Clock, DeliveryId, RunId, State, Timestamp};

use crate::api::{Counts, Envelope, Phase, RowKey, Run};
use crate::body_hash::BodyHash;
use crate::core::Rows;
use crate::error::{LedgerError, Result};
use crate::record::{Record, Schedule, checked_body};
use crate::store_mark::{self, StoreMark};
use crate::stored;
use crate::transition::{Sighting, Witness};

pub struct Model {
    clock: Arc<dyn Clock>,
    tables: Arc<Mutex<Tables>>,
    /// How much each run was seen to know by this client: see `redis/generation.rs`.
    seen: Mutex<BTreeMap<RunId, u64>>,
}

#[derive(Clone, Default)]
struct Tables {
    runs: BTreeMap<RunId, RunTable>,
    cells: BTreeMap<String, String>,
    /// Grows when the model loses its memory, as a server's run id changes.
    incarnation: u64,
}

#[derive(Clone)]
struct RunTable {
    run: Run,
    /// Grows with every change of a record.
    generation: u64,
    /// The incarnation that it may be sent from under.
    incarnation: String,
    rows: BTreeMap<u32, Row>,
    bodies: BTreeMap<BodyHash, Arc<str>>,
    keys: BTreeMap<RowKey, u32>,
    people: BTreeSet<(String, u32)>,
    due: BTreeSet<(u16, Timestamp, u32)>,
    looks: BTreeSet<(Timestamp, u32)>,
    counts: Counts,
    witnesses: BTreeMap<u16, Witness>,
}

#[derive(Clone)]
struct Row {
    record: Record,
    /// `None`: only news is known of it.
    message: Option<Envelope>,
    /// Where it is indexed now.
    schedule: Schedule,
    /// Its record cannot be read any more.
    is_damaged: bool,
}

/// A copy of everything at one instant: what a store that loses its last writes comes
/// back with.
pub struct Memory(Tables);

impl Model {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Model { clock, tables: Arc::default(), seen: Mutex::default() }
    }

    /// Another process's way to the same store.
    #[must_use]
    pub fn client(&self) -> Self {
        let (clock, tables) = (Arc::clone(&self.clock), Arc::clone(&self.tables));
        Model { clock, tables, seen: Mutex::default() }
    }

    pub fn memory(&self) -> Memory {
        Memory(self.tables().clone())
    }

    /// Restarts the store: with `memory`, everything answered since is forgotten.
    pub fn restart(&self, memory: Option<Memory>) {
        let mut tables = self.tables();
        let incarnation = tables.incarnation + 1;
        if let Some(Memory(old)) = memory {
            *tables = old;
        }
        tables.incarnation = incarnation;
    }

    /// Puts the store back to what it held, without a word: no restart, no new incarnation.
    /// Without a memory it is empty.
    pub fn put_back(&self, memory: Option<Memory>) {
        let mut tables = self.tables();
        let incarnation = tables.incarnation;
        *tables = memory.map(|Memory(old)| old).unwrap_or_default();
        tables.incarnation = incarnation;
    }

    /// Makes the record of one delivery unreadable; false when there is no such delivery.
    pub fn damage(&self, id: &DeliveryId) -> bool {
        let mut tables = self.tables();
        let row = tables.runs.get_mut(&id.run).and_then(|table| table.rows.get_mut(&id.index));
        row.map(|row| row.is_damaged = true).is_some()
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().expect("no call panics while it holds the tables")
    }

    /// One call of this client: the store is doubted first where a run knows less than this
    /// client has seen of it.
    fn call<T>(&self, call: impl FnOnce(&mut Tables, Timestamp) -> T) -> T {
        let (mut tables, now) = (self.tables(), self.clock.now());
        if self.see(&tables) {
            let held = tables.cells.get(store_mark::CELL).map(String::as_str);
            let mut mark = StoreMark::parse(held);
            mark.doubt(now);
            tables.cells.insert(store_mark::CELL.to_owned(), mark.text());
        }
        let answer = call(&mut tables, now);
        self.see(&tables);
        answer
    }

    /// Notes how much each run knows; true when an open one knows less than was seen.
    fn see(&self, tables: &Tables) -> bool {
        let incarnation = tables.incarnation();
        let mut seen = self.seen.lock().expect("no panic while held");
        seen.retain(|run, _| tables.runs.contains_key(run));
        let mut knows_less = false;
        for (id, table) in &tables.runs {
            let seen = seen.entry(id.clone()).or_default();
            let fenced = table.incarnation != incarnation;
            knows_less |= !fenced && table.generation < *seen;
            *seen = if fenced { table.generation } else { table.generation.max(*seen) };
        }
        knows_less
    }
}

impl Tables {
    fn incarnation(&self) -> String {
        let mark = StoreMark::parse(self.cells.get(store_mark::CELL).map(String::as_str));
        format!("{}-{mark}", self.incarnation)
    }

    fn table(&mut self, id: &RunId) -> Result<&mut RunTable> {
        self.runs.get_mut(id).ok_or_else(|| LedgerError::NoRun(id.clone()))
    }
}

/// What a damaged record of the model says of itself.
const DAMAGE: &str = "damaged on purpose";

impl Row {
    fn shown(&self) -> Record {
        let mut record = self.record.clone();
        record.damage = record.damage.or(self.is_damaged.then(|| DAMAGE.to_owned()));
        record
    }
}

impl RunTable {
    fn index(&mut self, index: u32, lane: u16, schedule: Schedule) {
        if let Some(at) = schedule.due() {
            self.due.insert((lane, at, index));
        }
        if let Some(at) = schedule.look() {
            self.looks.insert((at, index));
        }
    }

    fn unindex(&mut self, index: u32, lane: u16, schedule: Schedule) {
        if let Some(at) = schedule.due() {
            self.due.remove(&(lane, at, index));
        }
        if let Some(at) = schedule.look() {
            self.looks.remove(&(at, index));
        }
    }
}

impl Rows for Tables {
    fn run(&mut self, id: &RunId) -> Result<Option<Run>> {
        Ok(self.runs.get(id).map(|table| table.run.clone()))
    }

    fn put_run(&mut self, run: &Run) -> Result<()> {
        let incarnation = self.incarnation();
        let fresh = || RunTable {
            run: run.clone(),
            generation: 0,
            incarnation,
            witnesses: BTreeMap::new(),
            rows: BTreeMap::new(),
            bodies: BTreeMap::new(),
            keys: BTreeMap::new(),
            people: BTreeSet::new(),
            due: BTreeSet::new(),
            looks: BTreeSet::new(),
            counts: Counts::default(),
        };
        self.runs.entry(run.header.id.clone()).or_insert_with(fresh).run = run.clone();
        Ok(())
    }

    fn put_header(&mut self, run: &Run) -> Result<()> {
        self.put_run(run)
    }

    fn remove_run(&mut self, id: &RunId) -> Result<()> {
        self.runs.remove(id);
        Ok(())
    }

    fn remove_deliveries(&mut self, id: &RunId, limit: usize) -> Result<bool> {
        let table = self.table(id)?;
        let gone: Vec<u32> = table.rows.keys().take(limit).copied().collect();
        gone.iter().for_each(|index| drop(table.rows.remove(index)));
        Ok(gone.len() == limit)
    }

    fn counts(&mut self, run: &RunId) -> Result<Counts> {
        Ok(self.table(run)?.counts.clone())
    }

    fn open_runs(&mut self) -> Result<Vec<RunId>> {
        let open = self.runs.iter().filter(|(_, table)| table.run.phase == Phase::Open);
        Ok(open.map(|(id, _)| id.clone()).collect())
    }

    fn insert(
        &mut self,
        run: &Run,
        index: u32,
        record: &Record,
        message: Option<&Envelope>,
    ) -> Result<()> {
        let table = self.table(&run.header.id)?;
        let schedule = record.schedule(&run.header.policy);
        let (record, message) = (record.clone(), message.cloned());
        let (state, lane) = (record.state, record.lane);
        let row = Row { record, message, schedule, is_damaged: false };
        table.rows.insert(index, row);
        table.counts.add(state, 1);
        table.index(index, lane, schedule);
        Ok(())
    }

    fn put_message(&mut self, run: &RunId, index: u32, message: &Envelope) -> Result<()> {
        if let Some(row) = self.table(run)?.rows.get_mut(&index) {
            row.message = Some(message.clone());
        }
        Ok(())
    }

    fn index_of(&mut self, run: &RunId, key: &RowKey) -> Result<Option<u32>> {
        Ok(self.table(run)?.keys.get(key).copied())
    }

    fn put_key(&mut self, run: &RunId, key: &RowKey, index: u32) -> Result<()> {
        let table = self.table(run)?;
        table.generation += 1;
        table.keys.insert(key.clone(), index);
        Ok(())
    }

    fn indexes_to(&mut self, run: &RunId, person: &str) -> Result<Vec<u32>> {
        let range = (person.to_owned(), 0)..=(person.to_owned(), u32::MAX);
        Ok(self.table(run)?.people.range(range).map(|(_, index)| *index).collect())
    }

    fn put_person(&mut self, run: &RunId, person: &str, index: u32) -> Result<()> {
        self.table(run)?.people.insert((person.to_owned(), index));
        Ok(())
    }

    fn put_body(&mut self, run: &RunId, hash: &BodyHash, body: &Arc<str>) -> Result<()> {
        self.table(run)?.bodies.insert(hash.clone(), Arc::clone(body));
        Ok(())
    }

    fn body(&mut self, run: &RunId, hash: &BodyHash) -> Result<Arc<str>> {
        let body = self.table(run)?.bodies.get(hash).cloned();
        checked_body(run, hash, body)
    }

    fn record(&mut self, run: &RunId, index: u32) -> Result<Option<Record>> {
        let Some(row) = self.table(run)?.rows.get(&index) else { return Ok(None) };
        if row.is_damaged {
            let (run, what) = (run.clone(), format!("delivery {index}"));
            return Err(LedgerError::Corrupt { run, what, why: DAMAGE.to_owned() });
        }
        Ok(Some(row.record.clone()))
    }

    fn message(&mut self, run: &RunId, index: u32) -> Result<Envelope> {
        let held = self.table(run)?.rows.get(&index).and_then(|row| row.message.clone());
        held.ok_or_else(|| LedgerError::Corrupt {
            run: run.clone(),
            what: "message".to_owned(),
            why: "it is missing".to_owned(),
        })
    }

    fn has_message(&mut self, run: &RunId, index: u32) -> Result<bool> {
        Ok(self.table(run)?.rows.get(&index).is_some_and(|row| row.message.is_some()))
    }

    fn put(&mut self, run: &Run, index: u32, record: &Record, was: State) -> Result<()> {
        let table = self.table(&run.header.id)?;
        let schedule = record.schedule(&run.header.policy);
        table.generation += 1;
        let Some(row) = table.rows.get_mut(&index) else { return Ok(()) };
        let (lane, before) = (row.record.lane, row.schedule);
        row.record = record.clone();
        row.schedule = schedule;
        table.unindex(index, lane, before);
        table.index(index, record.lane, schedule);
        table.counts.add(was, -1);
        table.counts.add(record.state, 1);
        Ok(())
    }

    fn replace_damaged(&mut self, run: &Run, index: u32, why: &str) -> Result<Record> {
        let id = &run.header.id;
        let row = self.table(id)?.rows.get_mut(&index);
        let row = row.ok_or_else(|| LedgerError::NoRun(id.clone()))?;
        row.is_damaged = false;
        let (bytes, was) = (stored::record(&row.record), row.record.state);
        let record = stored::in_place_of(&bytes, Some(was), why, &run.header);
        self.put(run, index, &record, was)?;
        Ok(record)
    }

    fn due(&mut self, run: &RunId, lane: u16, now: Timestamp, k: usize) -> Result<Vec<u32>> {
        let range = (lane, Timestamp::MIN, 0)..=(lane, now, u32::MAX);
        Ok(self.table(run)?.due.range(range).take(k).map(|(_, _, index)| *index).collect())
    }

    fn looks(&mut self, run: &RunId, now: Timestamp, k: usize) -> Result<Vec<u32>> {
        let range = (Timestamp::MIN, 0)..=(now, u32::MAX);
        Ok(self.table(run)?.looks.range(range).take(k).map(|(_, index)| *index).collect())
    }

    fn waiting(&mut self, run: &RunId, k: usize) -> Result<Vec<u32>> {
        Ok(self.table(run)?.due.iter().take(k).map(|(_, _, index)| *index).collect())
    }

    fn next_due(&mut self, run: &RunId, lane: u16) -> Result<Option<Timestamp>> {
        let range = (lane, Timestamp::MIN, 0)..=(lane, Timestamp::MAX, u32::MAX);
        Ok(self.table(run)?.due.range(range).next().map(|(_, at, _)| *at))
    }

    fn witness(&mut self, run: &RunId, lane: u16) -> Result<Witness> {
        Ok(self.table(run)?.witnesses.get(&lane).copied().unwrap_or_default())
    }

    fn put_witness(&mut self, run: &RunId, lane: u16, seen: Sighting) -> Result<()> {
        self.table(run)?.witnesses.entry(lane).or_default().see(seen);
        Ok(())
    }

    fn fenced(&mut self, run: &RunId) -> Result<bool> {
        let incarnation = self.incarnation();
        Ok(self.table(run)?.incarnation != incarnation)
    }

    fn fence(&mut self, run: &RunId) -> Result<()> {
        self.table(run)?.incarnation = String::new();
        Ok(())
    }

    fn cell(&mut self, name: &str) -> Result<Option<String>> {
        Ok(self.cells.get(name).cloned())
    }

    fn put_cell(&mut self, name: &str, text: &str) -> Result<()> {
        self.cells.insert(name.to_owned(), text.to_owned());
        Ok(())
    }
}
