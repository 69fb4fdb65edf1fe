//! The ledger's calls over the model's tables.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::NaiveDate;
use domain::{NumberId, RunId, State, Timestamp};

use super::{Model, RunTable};
use crate::api::{
    Amended, Amendment, Appended, Applied, AttemptResult, Begun, Claimed, Counts, DeliveryView,
    Discarded, Filter, Health, IntentAnswer, IntentRequest, Ledger, NewRow, Phase, PlanChunk,
    Purged, Release, RowKey, Run, RunHeader, Swept, WebhookFact,
};
use crate::body_hash::BodyHash;
use crate::core::{self, Rows};
use crate::error::Result;
use crate::view::view;

#[async_trait]
impl Ledger for Model {
    fn engine(&self) -> &'static str {
        "model"
    }

    async fn now(&self) -> Result<Timestamp> {
        Ok(self.clock.now())
    }

    async fn begin_run(&self, header: &RunHeader) -> Result<Begun> {
        core::begin_run(&mut *self.tables(), header, self.clock.now())
    }

    async fn plan_chunk(&self, run: &RunId, chunk: &PlanChunk) -> Result<u32> {
        core::plan_chunk(&mut *self.tables(), run, chunk)
    }

    async fn seal(&self, run: &RunId) -> Result<Run> {
        core::seal(&mut *self.tables(), run, self.clock.now())
    }

    async fn append(&self, run: &RunId, rows: &[NewRow]) -> Result<Vec<Appended>> {
        self.call(|tables, now| core::append(tables, run, rows, now))
    }

    async fn by_keys(&self, run: &RunId, keys: &[RowKey]) -> Result<Vec<Option<u32>>> {
        core::by_keys(&mut *self.tables(), run, keys)
    }

    async fn to_people(&self, run: &RunId, people: &[String]) -> Result<Vec<u32>> {
        core::to_people(&mut *self.tables(), run, people)
    }

    async fn doubt_rows(&self, run: &RunId) -> Result<Run> {
        core::doubt_rows(&mut *self.tables(), run, self.clock.now())
    }

    async fn add_lanes(&self, run: &RunId, lanes: &[NumberId]) -> Result<Run> {
        core::add_lanes(&mut *self.tables(), run, lanes)
    }

    async fn mark_started(&self, run: &RunId) -> Result<Run> {
        let now = self.clock.now();
        core::change_run(&mut *self.tables(), run, |run| {
            run.started_at = run.started_at.or(Some(now));
        })
    }

    async fn set_phase(&self, run: &RunId, phase: Phase) -> Result<Run> {
        core::change_run(&mut *self.tables(), run, |run| run.phase = phase)
    }

    async fn discard(&self, run: &RunId) -> Result<Discarded> {
        core::discard(&mut *self.tables(), run, self.clock.now())
    }

    async fn purge(&self, run: &RunId, limit: usize) -> Result<Purged> {
        self.call(|tables, now| core::purge(tables, run, limit, now))
    }

    async fn run(&self, run: &RunId) -> Result<Option<Run>> {
        self.call(|tables, _| tables.run(run))
    }

    async fn runs_since(&self, date: NaiveDate) -> Result<Vec<Run>> {
        let since =
            |(id, table): (&RunId, &RunTable)| (id.date() >= date).then(|| table.run.clone());
        let mut runs: Vec<Run> =
            self.call(|tables, _| tables.runs.iter().filter_map(since).collect());
        runs.sort_by_key(|run| run.header.window.opens);
        Ok(runs)
    }

    async fn active_runs(&self) -> Result<Vec<Run>> {
        let runs = self.runs().await?;
        Ok(runs.into_iter().filter(|run| run.phase != Phase::Closed).collect())
    }

    async fn claim(&self, lane: &NumberId, k: usize) -> Result<Claimed> {
        self.call(|tables, now| core::claim(tables, lane, k, now))
    }

    async fn intent(&self, requests: &[IntentRequest]) -> Result<Vec<IntentAnswer>> {
        self.call(|tables, now| core::intent(tables, requests, now))
    }

    async fn result(&self, results: &[AttemptResult]) -> Result<Vec<State>> {
        self.call(|tables, now| core::result(tables, results, now))
    }

    async fn release(&self, releases: &[Release]) -> Result<()> {
        self.call(|tables, now| core::release(tables, releases, now))
    }

    async fn apply(&self, facts: &[WebhookFact]) -> Result<Vec<Applied>> {
        self.call(|tables, now| core::apply(tables, facts, now))
    }

    async fn amend(&self, amendments: &[Amendment]) -> Result<Vec<Amended>> {
        self.call(|tables, now| core::amend(tables, amendments, now))
    }

    async fn reopen(&self, run: &RunId, until: Timestamp) -> Result<Run> {
        core::reopen(&mut *self.tables(), run, until, self.clock.now())
    }

    async fn sweep(&self, run: &RunId, limit: usize) -> Result<Swept> {
        self.call(|tables, now| core::sweep(tables, run, limit, now))
    }

    async fn counts(&self, run: &RunId) -> Result<Counts> {
        self.tables().counts(run)
    }

    async fn recount(&self, run: &RunId) -> Result<Counts> {
        let mut counts = Counts::default();
        for row in self.tables().table(run)?.rows.values() {
            counts.add(row.record.state, 1);
        }
        Ok(counts)
    }

    async fn list(
        &self,
        run: &RunId,
        filter: &Filter,
        after: Option<u32>,
        limit: usize,
    ) -> Result<Vec<DeliveryView>> {
        let mut tables = self.tables();
        let table = tables.table(run)?;
        let header = Arc::clone(&table.run.header);
        let from = after.map_or(0, |index| index.saturating_add(1));
        let rows = table
            .rows
            .range(from..)
            .map(|(index, row)| view(&header, *index, row.shown(), row.message.clone()));
        Ok(rows.filter(|view| filter.admits(view)).take(limit).collect())
    }

    async fn content(&self, run: &RunId, hash: &BodyHash) -> Result<Arc<str>> {
        self.tables().body(run, hash)
    }

    async fn health(&self) -> Result<Health> {
        Ok(Health { engine: "model", ..Health::default() })
    }

    async fn count_anew(&self, _: &RunId) -> Result<()> {
        Ok(()) // it cannot miscount: its records tell their states
    }

    async fn check_schema(&self) -> Result<()> {
        Ok(())
    }

    async fn run_ids(&self) -> Result<Vec<RunId>> {
        Ok(self.tables().runs.keys().cloned().collect())
    }

    async fn incarnation(&self) -> Result<Option<String>> {
        Ok(Some(self.tables().incarnation()))
    }

    async fn fenced_runs(&self) -> Result<Vec<RunId>> {
        let tables = self.tables();
        let present = tables.incarnation();
        let fenced = tables.runs.iter().filter(|(_, table)| table.incarnation != present);
        Ok(fenced.map(|(id, _)| id.clone()).collect())
    }

    async fn lift_fence(&self, incarnation: &str) -> Result<()> {
        let mut tables = self.tables();
        let present = tables.incarnation();
        if incarnation == present {
            tables.runs.values_mut().for_each(|table| table.incarnation.clone_from(&present));
        }
        Ok(())
    }

    async fn read_cell(&self, name: &str) -> Result<Option<String>> {
        self.tables().cell(name)
    }

    async fn swap_cell(&self, name: &str, expected: Option<&str>, new: &str) -> Result<bool> {
        core::swap_cell(&mut *self.tables(), name, expected, new)
    }
}
