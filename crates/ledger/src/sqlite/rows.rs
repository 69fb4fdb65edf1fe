//! Rows of the embedded ledger, inside one transaction.

use std::sync::Arc;
use std::time::Duration;

use chrono::NaiveDate;
use domain::{RunId, State, Timestamp};
use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use crate::api::{Counts, Envelope, Phase, RowKey, Run, RunHeader};
use crate::body_hash::BodyHash;
use crate::core::{Rows, readable_run};
use crate::error::{LedgerError, Result};
use crate::record::{Record, checked_body, encode, parse_header};
use crate::sqlite::cache::{Cache, Known};
use crate::sqlite::columns::{attention, bytes, indexes, stays};
use crate::sqlite::failed;
use crate::stored;
use crate::transition::{FORGET, Sighting, Witness};

pub struct SqlRows<'a> {
    conn: &'a Connection,
    cache: &'a mut Cache,
}

type RunRow = (String, u32, [Option<i64>; 4], u32);

impl<'a> SqlRows<'a> {
    pub fn new(conn: &'a Connection, cache: &'a mut Cache) -> Self {
        SqlRows { conn, cache }
    }

    /// Ids of runs, oldest first.
    pub fn run_ids(&self, filter: &str) -> Result<Vec<RunId>> {
        let sql = format!("SELECT id FROM runs {filter} ORDER BY key");
        let ids: Vec<String> = self.all("list runs", &sql, [], |row| row.get(0))?;
        Ok(ids.iter().filter_map(|id| id.parse().ok()).collect())
    }

    /// Runs, oldest first; `filter` is a WHERE clause of ours, or empty.
    pub fn runs_since(&mut self, filter: &str, date: NaiveDate) -> Result<Vec<Run>> {
        let mut ids = self.run_ids(filter)?;
        ids.retain(|id| id.date() >= date);
        let mut runs = Vec::with_capacity(ids.len());
        for id in ids {
            runs.extend(readable_run(self.run(&id))?);
        }
        runs.sort_by_key(|run| run.header.window.opens);
        Ok(runs)
    }

    /// The version of the file's shape.
    pub fn schema(&self) -> Result<u32> {
        let found = self.one("read the schema", "PRAGMA user_version", [], |row| row.get(0))?;
        Ok(found.unwrap_or(0))
    }

    /// Writes the counters' changes; the last step before the commit.
    pub fn flush(&mut self) -> Result<()> {
        let sql = "INSERT INTO counts (run, state, n) VALUES (?1, ?2, ?3)
                   ON CONFLICT DO UPDATE SET n = n + excluded.n";
        for ((key, state), by) in std::mem::take(&mut self.cache.counts_before) {
            if by != 0 {
                self.change("count deliveries", sql, params![key, state.as_str(), by])?;
            }
        }
        Ok(())
    }

    pub(super) fn header(&mut self, id: &RunId) -> Result<(i64, Arc<RunHeader>)> {
        if let Some((key, header)) = self.cache.headers.get(id) {
            return Ok((*key, Arc::clone(header)));
        }
        let sql = "SELECT key, header FROM runs WHERE id = ?1";
        let columns = |row: &Row<'_>| Ok((row.get(0)?, bytes(row, 1)?));
        let found: Option<(i64, Vec<u8>)> = self.one("read run", sql, [id.as_str()], columns)?;
        let (key, text) = found.ok_or_else(|| LedgerError::NoRun(id.clone()))?;
        let header: Arc<RunHeader> = Arc::new(parse_header(id, &text)?);
        self.cache.headers.insert(id.clone(), (key, Arc::clone(&header)));
        Ok((key, header))
    }

    pub(super) fn key(&mut self, id: &RunId) -> Result<i64> {
        Ok(self.header(id)?.0)
    }

    pub(super) fn one<T>(
        &self,
        doing: &'static str,
        sql: &str,
        params: impl Params,
        columns: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>> {
        let mut statement = self.conn.prepare_cached(sql).map_err(|e| failed(doing, e))?;
        statement.query_row(params, columns).optional().map_err(|e| failed(doing, e))
    }

    pub(super) fn all<T>(
        &self,
        doing: &'static str,
        sql: &str,
        params: impl Params,
        columns: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        self.first(usize::MAX, doing, sql, params, columns)
    }

    /// The first `k` rows. Not by `LIMIT ?`: SQLite prepares such a statement anew each time,
    /// in case another limit wants another plan.
    fn first<T>(
        &self,
        k: usize,
        doing: &'static str,
        sql: &str,
        params: impl Params,
        columns: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        let mut statement = self.conn.prepare_cached(sql).map_err(|e| failed(doing, e))?;
        let rows = statement.query_map(params, columns).map_err(|e| failed(doing, e))?;
        rows.take(k).collect::<rusqlite::Result<_>>().map_err(|e| failed(doing, e))
    }

    fn change(&self, doing: &'static str, sql: &str, params: impl Params) -> Result<usize> {
        let mut statement = self.conn.prepare_cached(sql).map_err(|e| failed(doing, e))?;
        statement.execute(params).map_err(|e| failed(doing, e))
    }

    pub(super) fn count(&mut self, key: i64, state: State, by: i64) {
        *self.cache.counts.entry((key, state)).or_default() += by;
    }
}

impl Rows for SqlRows<'_> {
    fn run(&mut self, id: &RunId) -> Result<Option<Run>> {
        if let Some(run) = self.cache.runs.get(id) {
            return Ok(Some(run.clone()));
        }
        let sql = "SELECT phase, cursor, sealed_at, started_at, until, rows_doubted_at, resends
                   FROM runs WHERE id = ?1";
        let columns = |row: &Row<'_>| {
            let instants = [row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?];
            Ok((row.get(0)?, row.get(1)?, instants, row.get(6)?))
        };
        let found: Option<RunRow> = self.one("read run", sql, [id.as_str()], columns)?;
        let Some((phase, cursor, instants, resends)) = found else {
            return Ok(None);
        };
        let [sealed_at, started_at, reopened_until, rows_doubted_at] =
            instants.map(|at| at.map(Timestamp::from_micros));
        let phase = Phase::parse(&phase).ok_or_else(|| LedgerError::Corrupt {
            run: id.clone(),
            what: "phase".to_owned(),
            why: format!("unknown phase {phase:?}"),
        })?;
        let (_, header) = self.header(id)?;
        let run = Run {
            header,
            phase,
            cursor,
            sealed_at,
            started_at,
            reopened_until,
            resends,
            rows_doubted_at,
        };
        self.cache.runs.insert(id.clone(), run.clone());
        Ok(Some(run))
    }

    fn put_run(&mut self, run: &Run) -> Result<()> {
        self.cache.runs.remove(&run.header.id);
        let sql = "INSERT INTO runs
                       (id, header, phase, cursor, sealed_at, started_at, until, resends,
                        rows_doubted_at)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
                   ON CONFLICT (id) DO UPDATE SET phase = excluded.phase,
                       cursor = excluded.cursor, sealed_at = excluded.sealed_at,
                       started_at = excluded.started_at, until = excluded.until,
                       resends = excluded.resends,
                       rows_doubted_at = excluded.rows_doubted_at";
        let micros = |at: Option<Timestamp>| at.map(Timestamp::micros);
        let row = params![
            run.header.id.as_str(),
            encode(&*run.header),
            run.phase.as_str(),
            run.cursor,
            micros(run.sealed_at),
            micros(run.started_at),
            micros(run.reopened_until),
            run.resends,
            micros(run.rows_doubted_at),
        ];
        self.change("write run", sql, row).map(drop)
    }

    fn put_header(&mut self, run: &Run) -> Result<()> {
        let id = &run.header.id;
        self.cache.runs.remove(id);
        self.cache.headers.remove(id);
        let sql = "UPDATE runs SET header = ?2 WHERE id = ?1";
        self.change("write run", sql, params![id.as_str(), encode(&*run.header)]).map(drop)
    }

    fn remove_run(&mut self, id: &RunId) -> Result<()> {
        let key = self.key(id)?;
        self.cache.forget(id, key);
        for sql in [
            "DELETE FROM deliveries WHERE run = ?1",
            "DELETE FROM bodies WHERE run = ?1",
            "DELETE FROM counts WHERE run = ?1",
            "DELETE FROM damaged WHERE run = ?1",
            "DELETE FROM witnesses WHERE run = ?1",
            "DELETE FROM row_keys WHERE run = ?1",
            "DELETE FROM people WHERE run = ?1",
            "DELETE FROM runs WHERE key = ?1",
        ] {
            self.change("remove run", sql, [key])?;
        }
        Ok(())
    }

    fn remove_deliveries(&mut self, id: &RunId, limit: usize) -> Result<bool> {
        let key = self.key(id)?;
        let sql = "DELETE FROM deliveries WHERE run = ?1 AND idx IN
                   (SELECT idx FROM deliveries WHERE run = ?1 ORDER BY idx LIMIT ?2)";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let gone = self.change("purge run", sql, params![key, limit])?;
        Ok(i64::try_from(gone).is_ok_and(|gone| gone == limit))
    }

    fn counts(&mut self, run: &RunId) -> Result<Counts> {
        let sql = "SELECT state, n FROM counts WHERE run = ?1";
        let mut counts = self.tally("count deliveries", run, sql)?;
        let key = self.key(run)?;
        for ((of, state), by) in self.cache.counts_before.iter().chain(&self.cache.counts) {
            if *of == key {
                counts.set(*state, counts.get(*state).saturating_add_signed(*by));
            }
        }
        Ok(counts)
    }

    fn open_runs(&mut self) -> Result<Vec<RunId>> {
        self.run_ids("WHERE phase = 'open'")
    }

    fn insert(
        &mut self,
        run: &Run,
        index: u32,
        record: &Record,
        message: Option<&Envelope>,
    ) -> Result<()> {
        let key = self.key(&run.header.id)?;
        let (due, look) = indexes(run, record);
        let sql = "INSERT INTO deliveries
                       (run, idx, lane, state, due, look, record, message, attention)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO NOTHING";
        let state = record.state.as_str();
        let (text, message) =
            (stored::record(record), message.map(stored::message).unwrap_or_default());
        let row =
            params![key, index, record.lane, state, due, look, text, message, attention(record)];
        if self.change("plan delivery", sql, row)? == 1 {
            self.count(key, record.state, 1);
        }
        Ok(())
    }

    fn put_message(&mut self, run: &RunId, index: u32, message: &Envelope) -> Result<()> {
        let key = self.key(run)?;
        let sql = "UPDATE deliveries SET message = ?3 WHERE run = ?1 AND idx = ?2";
        self.change("append row", sql, params![key, index, stored::message(message)]).map(drop)
    }

    fn index_of(&mut self, run: &RunId, key: &RowKey) -> Result<Option<u32>> {
        let of = self.key(run)?;
        let sql = "SELECT idx FROM row_keys WHERE run = ?1 AND key = ?2";
        self.one("look for a key", sql, params![of, key.as_str()], |row| row.get(0))
    }

    fn put_key(&mut self, run: &RunId, key: &RowKey, index: u32) -> Result<()> {
        let of = self.key(run)?;
        let sql = "INSERT INTO row_keys (run, key, idx) VALUES (?1, ?2, ?3)";
        self.change("append row", sql, params![of, key.as_str(), index]).map(drop)
    }

    fn indexes_to(&mut self, run: &RunId, person: &str) -> Result<Vec<u32>> {
        let key = self.key(run)?;
        let sql = "SELECT idx FROM people WHERE run = ?1 AND person = ?2 ORDER BY idx";
        self.all("look for a person", sql, params![key, person], |row| row.get(0))
    }

    fn put_person(&mut self, run: &RunId, person: &str, index: u32) -> Result<()> {
        let key = self.key(run)?;
        let sql = "INSERT INTO people (run, person, idx) VALUES (?1, ?2, ?3)
                   ON CONFLICT DO NOTHING";
        self.change("append row", sql, params![key, person, index]).map(drop)
    }

    fn put_body(&mut self, run: &RunId, hash: &BodyHash, body: &Arc<str>) -> Result<()> {
        let key = self.key(run)?;
        let sql = "INSERT INTO bodies (run, hash, body) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
        self.change("plan content", sql, params![key, hash.as_str(), &**body]).map(drop)
    }

    fn body(&mut self, run: &RunId, hash: &BodyHash) -> Result<Arc<str>> {
        let key = (self.key(run)?, hash.clone());
        if let Some(body) = self.cache.bodies.get(&key) {
            return Ok(Arc::clone(body));
        }
        let sql = "SELECT body FROM bodies WHERE run = ?1 AND hash = ?2";
        let found =
            self.one("read content", sql, params![key.0, hash.as_str()], |row| bytes(row, 0))?;
        let found = found.map(|stored| Arc::from(String::from_utf8_lossy(&stored)));
        let body = checked_body(run, hash, found)?;
        self.cache.bodies.insert(key, Arc::clone(&body));
        Ok(body)
    }

    fn record(&mut self, run: &RunId, index: u32) -> Result<Option<Record>> {
        let key = self.key(run)?;
        if let Some(known) = self.cache.records.get(&(key, index)) {
            return Ok(Some(known.record.clone()));
        }
        let sql = "SELECT record FROM deliveries WHERE run = ?1 AND idx = ?2";
        let found: Option<Vec<u8>> =
            self.one("read delivery", sql, params![key, index], |row| bytes(row, 0))?;
        let Some(bytes) = found else { return Ok(None) };
        let (_, header) = self.header(run)?;
        stored::read_record(&header, index, &bytes).map(Some)
    }

    fn message(&mut self, run: &RunId, index: u32) -> Result<Envelope> {
        let key = self.key(run)?;
        let sql = "SELECT message FROM deliveries WHERE run = ?1 AND idx = ?2";
        let found: Option<Vec<u8>> =
            self.one("read message", sql, params![key, index], |row| bytes(row, 0))?;
        stored::read_message(run, &format!("message {index}"), &found.unwrap_or_default())
    }

    fn has_message(&mut self, run: &RunId, index: u32) -> Result<bool> {
        let key = self.key(run)?;
        let sql = "SELECT length(message) > 0 FROM deliveries WHERE run = ?1 AND idx = ?2";
        let found = self.one("look for a message", sql, params![key, index], |row| row.get(0))?;
        Ok(found.unwrap_or(false))
    }

    /// An index that need not change is not written. A look may then come too early, never
    /// too late; the sweeper puts it right.
    fn put(&mut self, run: &Run, index: u32, record: &Record, was: State) -> Result<()> {
        let key = self.key(&run.header.id)?;
        let (due, mut look) = indexes(run, record);
        let before = self.cache.records.get(&(key, index));
        let kept = before.filter(|b| due.is_none() && b.due.is_none() && stays(b.look, look));
        let text = stored::record(record);
        let state = record.state.as_str();
        if let Some(kept) = kept {
            look = kept.look;
            let sql = "UPDATE deliveries SET state = ?3, record = ?4, attention = ?5
                       WHERE run = ?1 AND idx = ?2";
            self.change(
                "write delivery",
                sql,
                params![key, index, state, text, attention(record)],
            )?;
        } else {
            let sql = "UPDATE deliveries
                       SET lane = ?3, state = ?4, due = ?5, look = ?6, record = ?7, attention = ?8
                       WHERE run = ?1 AND idx = ?2";
            let row = params![key, index, record.lane, state, due, look, text, attention(record)];
            self.change("write delivery", sql, row)?;
        }
        self.cache.records.insert((key, index), Known { record: record.clone(), due, look });
        if was != record.state {
            self.count(key, was, -1);
            self.count(key, record.state, 1);
        }
        Ok(())
    }

    fn replace_damaged(&mut self, run: &Run, index: u32, why: &str) -> Result<Record> {
        let key = self.key(&run.header.id)?;
        let doing = "quarantine delivery";
        let sql = "SELECT state, lane, record FROM deliveries WHERE run = ?1 AND idx = ?2";
        let columns = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, bytes(row, 2)?));
        let found: Option<(String, u16, Vec<u8>)> =
            self.one(doing, sql, params![key, index], columns)?;
        let (state, lane, bytes) =
            found.ok_or_else(|| LedgerError::NoRun(run.header.id.clone()))?;
        let was = State::parse(&state);
        let mut record = stored::in_place_of(&bytes, was, why, &run.header);
        if usize::from(lane) < run.header.lanes.len() {
            record.lane = lane;
        }
        let sql = "INSERT OR REPLACE INTO damaged (run, idx, record, why) VALUES (?1, ?2, ?3, ?4)";
        self.change(doing, sql, params![key, index, bytes, why])?;
        self.put(run, index, &record, was.unwrap_or(record.state))?;
        Ok(record)
    }

    fn due(&mut self, run: &RunId, lane: u16, now: Timestamp, k: usize) -> Result<Vec<u32>> {
        let key = self.key(run)?;
        let sql = "SELECT idx FROM deliveries
                   WHERE run = ?1 AND lane = ?2 AND due IS NOT NULL AND due <= ?3
                   ORDER BY due";
        let row = params![key, lane, now.micros()];
        self.first(k, "claim deliveries", sql, row, |row| row.get(0))
    }

    fn looks(&mut self, run: &RunId, now: Timestamp, k: usize) -> Result<Vec<u32>> {
        let key = self.key(run)?;
        let sql = "SELECT idx FROM deliveries
                   WHERE run = ?1 AND look IS NOT NULL AND look <= ?2 ORDER BY look";
        let found: Vec<u32> =
            self.first(k, "sweep run", sql, params![key, now.micros()], |row| row.get(0))?;
        for index in &found {
            self.cache.records.remove(&(key, *index)); // so that its look is written again
        }
        Ok(found)
    }

    fn waiting(&mut self, run: &RunId, k: usize) -> Result<Vec<u32>> {
        let key = self.key(run)?;
        let sql = "SELECT idx FROM deliveries WHERE run = ?1 AND due IS NOT NULL";
        self.first(k, "sweep run", sql, [key], |row| row.get(0))
    }

    fn next_due(&mut self, run: &RunId, lane: u16) -> Result<Option<Timestamp>> {
        let key = self.key(run)?;
        let sql = "SELECT min(due) FROM deliveries
                   WHERE run = ?1 AND lane = ?2 AND due IS NOT NULL";
        let found = self.one("look for due deliveries", sql, params![key, lane], |row| {
            row.get::<_, Option<i64>>(0)
        })?;
        Ok(found.flatten().map(Timestamp::from_micros))
    }

    fn witness(&mut self, run: &RunId, lane: u16) -> Result<Witness> {
        let key = self.key(run)?;
        let sql = "SELECT at, slow FROM witnesses WHERE run = ?1 AND lane = ?2";
        let columns = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let found: Option<(i64, i64)> =
            self.one("look for evidence", sql, [key, lane.into()], columns)?;
        Ok(found.map_or_else(Witness::default, |(at, slow)| Witness {
            sent_at: Some(Timestamp::from_micros(at)),
            slow: Duration::from_micros(slow.max(0).unsigned_abs()),
        }))
    }

    fn put_witness(&mut self, run: &RunId, lane: u16, seen: Sighting) -> Result<()> {
        let key = self.key(run)?;
        let sql = "INSERT INTO witnesses (run, lane, at, slow) VALUES (?1, ?2, ?3, ?4)
                   ON CONFLICT DO UPDATE SET at = max(at, excluded.at), slow = CASE
                       WHEN excluded.slow >= slow THEN excluded.slow
                       WHEN excluded.slow = 0 THEN slow
                       ELSE slow - (slow - excluded.slow) / ?5 END";
        let lag = i64::try_from(seen.lag.as_micros()).unwrap_or(i64::MAX);
        let row = params![key, lane, seen.sent_at.micros(), lag, FORGET];
        self.change("note evidence", sql, row).map(drop)
    }

    /// What was answered is on the disk: this store forgets nothing.
    fn fenced(&mut self, _: &RunId) -> Result<bool> {
        Ok(false)
    }

    fn fence(&mut self, _: &RunId) -> Result<()> {
        Ok(())
    }

    fn cell(&mut self, name: &str) -> Result<Option<String>> {
        self.one("read cell", "SELECT text FROM cells WHERE name = ?1", [name], |row| row.get(0))
    }

    fn put_cell(&mut self, name: &str, text: &str) -> Result<()> {
        let sql = "INSERT INTO cells (name, text) VALUES (?1, ?2)
                   ON CONFLICT DO UPDATE SET text = excluded.text";
        self.change("change cell", sql, params![name, text]).map(drop)
    }
}
