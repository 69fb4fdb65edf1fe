//! Reads over a whole run: listings, recounts, and what SQLite finds wrong with the file.

use domain::{RunId, State};
use rusqlite::Row;
use rusqlite::types::Value;

use crate::api::{Counts, DeliveryView, Filter};
use crate::core::Rows;
use crate::error::Result;
use crate::sqlite::columns::bytes;
use crate::sqlite::rows::SqlRows;
use crate::view::{needs_attention, view_stored};

impl SqlRows<'_> {
    pub fn recount(&mut self, run: &RunId) -> Result<Counts> {
        let sql = "SELECT state, count(*) FROM deliveries WHERE run = ?1 GROUP BY state";
        self.tally("recount deliveries", run, sql)
    }

    /// Sets the counters to a recount; changes that are not written yet are in that already.
    pub fn count_anew(&mut self, run: &RunId) -> Result<()> {
        let counted = self.recount(run)?;
        let held = self.counts(run)?;
        let key = self.key(run)?;
        for state in State::ALL {
            let by = i64::try_from(counted.get(state)).unwrap_or(0)
                - i64::try_from(held.get(state)).unwrap_or(0);
            self.count(key, state, by);
        }
        Ok(())
    }

    /// What SQLite itself finds wrong with the file.
    pub fn damage(&self) -> Result<Vec<String>> {
        let found: Vec<String> =
            self.all("check the file", "PRAGMA quick_check(5)", [], |row| row.get(0))?;
        Ok(found
            .into_iter()
            .filter(|line| line != "ok")
            .map(|line| format!("damaged: {line}"))
            .collect())
    }

    pub fn list(
        &mut self,
        run: &RunId,
        filter: &Filter,
        after: Option<u32>,
        limit: usize,
    ) -> Result<Vec<DeliveryView>> {
        let (key, header) = self.header(run)?;
        let mut sql =
            String::from("SELECT idx, record, message FROM deliveries WHERE run = ?1 AND idx > ?2");
        let mut values = vec![Value::from(key), Value::from(after.map_or(-1, i64::from))];
        if !filter.states.is_empty() {
            let names: Vec<String> = filter.states.iter().map(|s| format!("'{s}'")).collect();
            // A few of a million have an index.
            let few = filter.states.iter().all(|state| needs_attention(*state));
            let column = if few { "attention" } else { "state" };
            sql.push_str(&format!(" AND {column} IN ({})", names.join(",")));
        }
        if let Some(lane) = &filter.lane {
            let at = header.lanes.iter().position(|l| l == lane).map_or(-1, |at| at as i64);
            values.push(Value::from(at));
            sql.push_str(" AND lane = ?3");
        }
        sql.push_str(&format!(" ORDER BY idx LIMIT {limit}"));
        let columns = |row: &Row<'_>| Ok((row.get(0)?, bytes(row, 1)?, bytes(row, 2)?));
        let rows: Vec<(u32, Vec<u8>, Vec<u8>)> =
            self.all("list deliveries", &sql, rusqlite::params_from_iter(values), columns)?;
        rows.iter()
            .map(|(index, record, message)| view_stored(&header, *index, record, message))
            .collect()
    }

    pub(super) fn tally(&mut self, doing: &'static str, run: &RunId, sql: &str) -> Result<Counts> {
        let (key, _) = self.header(run)?;
        let columns = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?));
        let mut counts = Counts::default();
        for (state, n) in self.all(doing, sql, [key], columns)? {
            if let Some(state) = State::parse(&state) {
                counts.set(state, n.max(0).unsigned_abs());
            }
        }
        Ok(counts)
    }
}
