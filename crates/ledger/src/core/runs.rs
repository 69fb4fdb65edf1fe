//! Calls about a whole run: from its beginning to its end.

use std::sync::Arc;

use domain::{Facts, NumberId, RunId, State, Timestamp};

use super::rows::{Rows, change_run, existing};
use crate::api::{
    Begun, Counts, Discarded, Phase, PlanChunk, Purged, Run, RunHeader, WhyKept, is_purgeable,
};
use crate::error::{LedgerError, Result};
use crate::record::Record;
use crate::store_mark::{self, StoreMark};

pub fn begin_run(rows: &mut impl Rows, header: &RunHeader, now: Timestamp) -> Result<Begun> {
    if let Some(run) = rows.run(&header.id)? {
        return Ok(Begun::Exists(run));
    }
    let mut mark = StoreMark::parse(rows.cell(store_mark::CELL)?.as_deref());
    let forgotten = mark.may_have_forgotten(header.window.opens);
    let run = Run::begun(Arc::new(header.clone()), forgotten, now);
    rows.put_run(&run)?;
    if forgotten {
        mark.doubt(now); // who has merged already merges once more, for this run
        rows.put_cell(store_mark::CELL, &mark.text())?;
        rows.fence(&header.id)?;
    }
    Ok(Begun::Created(run))
}

pub fn plan_chunk(rows: &mut impl Rows, id: &RunId, chunk: &PlanChunk) -> Result<u32> {
    let mut run = existing(rows, id)?;
    let Some(skip) = unplanned_from(&run, chunk)? else { return Ok(run.cursor) };
    for (hash, body) in &chunk.bodies {
        rows.put_body(id, hash, body)?;
    }
    for row in &chunk.rows[skip..] {
        rows.insert(&run, run.cursor, &new_record(&run, row), Some(&row.message))?;
        run.cursor += 1;
    }
    rows.put_run(&run)?;
    Ok(run.cursor)
}

/// How many rows of the chunk are planned already; `None` when all are.
pub fn unplanned_from(run: &Run, chunk: &PlanChunk) -> Result<Option<usize>> {
    if chunk.snapshot != run.header.snapshot {
        return Err(LedgerError::OtherPlan(run.header.id.clone()));
    }
    if chunk.from > run.cursor {
        let (run_id, from) = (run.header.id.clone(), chunk.from);
        return Err(LedgerError::Gap { run: run_id, from, cursor: run.cursor });
    }
    let skip = (run.cursor - chunk.from) as usize;
    Ok((run.phase == Phase::Planning && skip < chunk.rows.len()).then_some(skip))
}

pub fn new_record(run: &Run, row: &crate::api::PlanRow) -> Record {
    let facts = Facts { ended: row.ended, ..Facts::default() };
    Record::new(row.lane, row.due_at, facts, &run.header.policy)
}

pub fn seal(rows: &mut impl Rows, id: &RunId, now: Timestamp) -> Result<Run> {
    let mut run = existing(rows, id)?;
    if sealed(&mut run, now)? {
        rows.put_run(&run)?;
    }
    Ok(run)
}

/// Opens a completely planned run; false when it was open already.
pub fn sealed(run: &mut Run, now: Timestamp) -> Result<bool> {
    if run.phase != Phase::Planning {
        return Ok(false);
    }
    let (planned, total) = (run.cursor, run.header.total);
    if planned != total {
        return Err(LedgerError::Unfinished { run: run.header.id.clone(), planned, total });
    }
    run.phase = Phase::Open;
    run.sealed_at = Some(now);
    Ok(true)
}

pub fn discard(rows: &mut impl Rows, id: &RunId, now: Timestamp) -> Result<Discarded> {
    let Some(run) = rows.run(id)? else { return Ok(Discarded::Unknown) };
    let kept = match why_kept(&run, &rows.counts(id)?, now) {
        None if rows.fenced(id)? => Some(WhyKept::StoreRestarted),
        kept => kept,
    };
    if let Some(why) = kept {
        return Ok(Discarded::Kept(why));
    }
    rows.remove_run(id)?;
    Ok(Discarded::Done)
}

pub fn purge(rows: &mut impl Rows, id: &RunId, limit: usize, now: Timestamp) -> Result<Purged> {
    match rows.run(id)? {
        None => Ok(Purged::Unknown),
        Some(run) if !is_purgeable(&run, now) => Ok(Purged::Kept),
        Some(_) if rows.remove_deliveries(id, limit)? => Ok(Purged::More),
        Some(_) => {
            rows.remove_run(id)?;
            Ok(Purged::Done)
        }
    }
}

/// Before the window opens nothing is due, so no sender has had anything in hand, and a
/// lease of the old plan cannot be taken for one of the new plan.
pub fn why_kept(run: &Run, counts: &Counts, now: Timestamp) -> Option<WhyKept> {
    let untouched = |state| matches!(state, State::Planned | State::Suppressed | State::Cancelled);
    if run.phase == Phase::Planning {
        Some(WhyKept::Planning)
    } else if now >= run.header.window.opens {
        Some(WhyKept::Opened)
    } else if counts.sum(|state| !untouched(state)) > 0 {
        Some(WhyKept::Tried)
    } else {
        None
    }
}

/// Opens a run that is over until `until`; false when there is nothing to change. A paused
/// one gets its time and stays paused.
pub fn reopened(run: &mut Run, until: Timestamp, now: Timestamp) -> bool {
    let over = run.phase == Phase::Closed || now >= run.stop_at();
    let phase = match run.phase {
        Phase::Open | Phase::Closed => Phase::Open,
        Phase::Paused => Phase::Paused,
        Phase::Planning | Phase::Cancelled => return false,
    };
    if !over || until <= run.stop_at() {
        return false;
    }
    (run.reopened_until, run.phase) = (Some(until), phase);
    true
}

pub fn reopen(rows: &mut impl Rows, id: &RunId, until: Timestamp, now: Timestamp) -> Result<Run> {
    let mut run = existing(rows, id)?;
    if reopened(&mut run, until, now) {
        rows.put_run(&run)?;
    }
    Ok(run)
}

/// The header with these lanes too; `None` when it has all of them.
pub fn with_lanes(header: &RunHeader, lanes: &[NumberId]) -> Option<RunHeader> {
    let mut header = header.clone();
    let before = header.lanes.len();
    for lane in lanes {
        if header.lane_of(lane).is_none() {
            header.lanes.push(lane.clone());
        }
    }
    (header.lanes.len() > before).then_some(header)
}

pub fn add_lanes(rows: &mut impl Rows, id: &RunId, lanes: &[NumberId]) -> Result<Run> {
    let mut run = existing(rows, id)?;
    if let Some(header) = with_lanes(&run.header, lanes) {
        run.header = Arc::new(header);
        rows.put_header(&run)?;
    }
    Ok(run)
}

pub fn doubt_rows(rows: &mut impl Rows, id: &RunId, now: Timestamp) -> Result<Run> {
    change_run(rows, id, |run| run.rows_doubted_at = run.rows_doubted_at.max(Some(now)))
}

pub fn swap_cell(
    rows: &mut impl Rows,
    name: &str,
    expected: Option<&str>,
    new: &str,
) -> Result<bool> {
    let same = rows.cell(name)?.as_deref() == expected;
    if same {
        rows.put_cell(name, new)?;
    }
    Ok(same)
}
