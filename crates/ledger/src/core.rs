//! The ledger's calls, written once for engines whose rows can be read and written in
//! place under exclusion: `model` under its lock, `sqlite` inside a write transaction.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use domain::state::{attempts_spent, defers_spent};
use domain::{DeliveryId, Facts, NumberId, RunId, State, Timestamp};

use crate::api::{
    Amended, Amendment, Applied, AttemptResult, Begun, Claim, Claimed, Counts, Discarded, Envelope,
    IntentAnswer, IntentRequest, Phase, PlanChunk, Purged, Refusal, Release, Run, RunHeader, Swept,
    WebhookFact, WhyKept, is_purgeable,
};
use crate::body_hash::BodyHash;
use crate::error::{LedgerError, Result};
use crate::record::Record;
use crate::store_mark::{self, StoreMark};
use crate::transition::{self, Sighting, Witness};

/// Rows under exclusion. `put` keeps the counters and the indexes in step with the record.
pub trait Rows {
    fn run(&mut self, id: &RunId) -> Result<Option<Run>>;
    fn put_run(&mut self, run: &Run) -> Result<()>;
    /// Removes the run and all that belongs to it.
    fn remove_run(&mut self, id: &RunId) -> Result<()>;
    /// Removes at most `limit` deliveries; true when there may be more.
    fn remove_deliveries(&mut self, id: &RunId, limit: usize) -> Result<bool>;
    fn counts(&mut self, run: &RunId) -> Result<Counts>;
    /// Ids of runs whose phase is open.
    fn open_runs(&mut self) -> Result<Vec<RunId>>;
    fn insert(&mut self, run: &Run, index: u32, record: &Record, message: &Envelope) -> Result<()>;
    fn put_body(&mut self, run: &RunId, hash: &BodyHash, body: &Arc<str>) -> Result<()>;
    fn body(&mut self, run: &RunId, hash: &BodyHash) -> Result<Arc<str>>;
    fn record(&mut self, run: &RunId, index: u32) -> Result<Option<Record>>;
    fn message(&mut self, run: &RunId, index: u32) -> Result<Envelope>;
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

pub fn begin_run(rows: &mut impl Rows, header: &RunHeader, now: Timestamp) -> Result<Begun> {
    if let Some(run) = rows.run(&header.id)? {
        return Ok(Begun::Exists(run));
    }
    let run = Run::new(Arc::new(header.clone()));
    rows.put_run(&run)?;
    let mut mark = StoreMark::parse(rows.cell(store_mark::CELL)?.as_deref());
    if !mark.settled {
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
        rows.insert(&run, run.cursor, &new_record(&run, row), &row.message)?;
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

pub fn change_run(rows: &mut impl Rows, id: &RunId, change: impl FnOnce(&mut Run)) -> Result<Run> {
    let mut run = existing(rows, id)?;
    change(&mut run);
    rows.put_run(&run)?;
    Ok(run)
}

pub fn claim(rows: &mut impl Rows, lane: &NumberId, k: usize, now: Timestamp) -> Result<Claimed> {
    let mut claimed = Claimed { claims: Vec::new(), next_due: None, now };
    for id in rows.open_runs()? {
        let Some(run) = readable_run(rows.run(&id))? else { continue };
        let Some(at) = run.header.lane_of(lane) else { continue };
        if rows.fenced(&id)? {
            if claimed.claims.is_empty() {
                return Err(LedgerError::StoreRestarted { engine: "model", run: id });
            }
            claimed.next_due = Some(now); // what is leased is handed out
            break;
        }
        let room = k - claimed.claims.len();
        for index in rows.due(&id, at, now, room)? {
            let Some(mut record) = readable(rows, &run, index)? else { continue };
            let was = record.state;
            if !transition::claim(&mut record, &run, now) {
                continue;
            }
            match message_and_body(rows, &id, index) {
                Ok((message, body)) => {
                    rows.put(&run, index, &record, was)?;
                    claimed.claims.push(new_claim(&run, lane, index, &record, message, body));
                }
                Err(LedgerError::Corrupt { what, why, .. }) => {
                    let why = format!("{what}: {why}");
                    record.quarantine(&why, &run.header.policy);
                    rows.put(&run, index, &record, was)?;
                    say_damaged(&run, index, &why);
                }
                Err(error) => return Err(error),
            }
        }
        let next = rows.next_due(&id, at)?;
        claimed.next_due = sooner(claimed.next_due, next, &run, now);
    }
    Ok(claimed)
}

/// The earlier of two instants; the second one counts if its run is not over by then.
pub fn sooner(
    a: Option<Timestamp>,
    b: Option<Timestamp>,
    run: &Run,
    now: Timestamp,
) -> Option<Timestamp> {
    let b = b.filter(|due| now.max(*due) < run.stop_at());
    [a, b].into_iter().flatten().min()
}

pub fn new_claim(
    run: &Run,
    lane: &NumberId,
    index: u32,
    record: &Record,
    message: Envelope,
    body: Arc<str>,
) -> Claim {
    Claim {
        id: DeliveryId { run: run.header.id.clone(), index },
        lane: lane.clone(),
        lease_token: record.lease_token,
        due_at: record.due_at,
        message,
        body,
        header: Arc::clone(&run.header),
        attempts_spent: attempts_spent(&record.facts),
        defers_spent: defers_spent(&record.facts),
        attempts: u32::try_from(record.facts.attempts.len()).unwrap_or(u32::MAX),
        worker_died: record.lost_leases + record.strikes > 0,
    }
}

pub fn intent(
    rows: &mut impl Rows,
    requests: &[IntentRequest],
    now: Timestamp,
) -> Result<Vec<IntentAnswer>> {
    let mut answers = Vec::with_capacity(requests.len());
    for request in requests {
        let Some((run, mut record)) = find(rows, &request.id)? else {
            answers.push(IntentAnswer::Refused(Refusal::NoDelivery));
            continue;
        };
        if rows.fenced(&request.id.run)? {
            answers.push(IntentAnswer::Refused(Refusal::StoreRestarted));
            continue;
        }
        let was = record.state;
        let answer = transition::intent(&mut record, &run, request.lease_token, request.nonce, now);
        answers.push(match answer {
            Ok(()) => {
                rows.put(&run, request.id.index, &record, was)?;
                IntentAnswer::Granted
            }
            Err(refusal) => IntentAnswer::Refused(refusal),
        });
    }
    Ok(answers)
}

pub fn result(
    rows: &mut impl Rows,
    results: &[AttemptResult],
    now: Timestamp,
) -> Result<Vec<State>> {
    let mut states = Vec::with_capacity(results.len());
    for result in results {
        let Some((run, mut record)) = find(rows, &result.id)? else {
            return Err(LedgerError::NoRun(result.id.run.clone()));
        };
        let was = record.state;
        transition::result(&mut record, &run, result, now);
        rows.put(&run, result.id.index, &record, was)?;
        states.push(record.state);
    }
    Ok(states)
}

pub fn release(rows: &mut impl Rows, releases: &[Release], now: Timestamp) -> Result<()> {
    for release in releases {
        let Some((run, mut record)) = find(rows, &release.id)? else { continue };
        let was = record.state;
        if transition::release(&mut record, &run, release, now) {
            rows.put(&run, release.id.index, &record, was)?;
        }
    }
    Ok(())
}

pub fn apply(rows: &mut impl Rows, facts: &[WebhookFact], now: Timestamp) -> Result<Vec<Applied>> {
    let mut applied = Vec::with_capacity(facts.len());
    for fact in facts {
        let Some((run, mut record)) = find(rows, &fact.id)? else {
            applied.push(Applied::NoDelivery);
            continue;
        };
        let was = record.state;
        let verdict = transition::apply(&mut record, &run, fact, now);
        if !matches!(verdict, Applied::Stale | Applied::Foreign) {
            rows.put(&run, fact.id.index, &record, was)?;
            if let Some(seen) = transition::witness(&record, fact) {
                rows.put_witness(&fact.id.run, record.lane, seen)?;
            }
        }
        applied.push(verdict);
    }
    Ok(applied)
}

pub fn amend(
    rows: &mut impl Rows,
    amendments: &[Amendment],
    now: Timestamp,
) -> Result<Vec<Amended>> {
    let mut amended = Vec::with_capacity(amendments.len());
    for amendment in amendments {
        let Some((run, mut record)) = find(rows, &amendment.id)? else {
            amended.push(Amended::NoDelivery);
            continue;
        };
        let was = record.state;
        amended.push(if amend_one(&mut record, &run, amendment, now) {
            rows.put(&run, amendment.id.index, &record, was)?;
            Amended::Done(record.state)
        } else {
            Amended::Refused(was)
        });
    }
    Ok(amended)
}

/// The change and its note, or neither.
pub fn amend_one(record: &mut Record, run: &Run, amendment: &Amendment, now: Timestamp) -> bool {
    let done = transition::amend(record, run, amendment.change, now);
    if done {
        record.notes.extend(amendment.note.clone());
    }
    done
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

pub fn sweep(rows: &mut impl Rows, id: &RunId, limit: usize, now: Timestamp) -> Result<Swept> {
    let mut run = existing(rows, id)?;
    let mut found = rows.looks(id, now, limit)?;
    if must_end_waiting(&run, now) {
        found.extend(rows.waiting(id, limit.saturating_sub(found.len()))?);
    }
    let mut swept = Swept { more: found.len() >= limit, ..Swept::default() };
    for index in found {
        let Some(mut record) = readable(rows, &run, index)? else { continue };
        let was = record.state;
        let witness = rows.witness(id, record.lane)?;
        let did = transition::sweep(&mut record, &run, now, witness);
        // What need not change yet was looked at too early, and is put back in its place.
        if did.changed() || record.schedule(&run.header.policy).is_after(now) {
            rows.put(&run, index, &record, was)?;
        }
        note(&mut swept, did);
        if did.written_off {
            run.resends += 1;
            rows.put_run(&run)?;
        }
    }
    Ok(swept)
}

/// From the deadline, or a cancel, deliveries that still wait are ended.
pub fn must_end_waiting(run: &Run, now: Timestamp) -> bool {
    now >= run.stop_at() || run.phase == Phase::Cancelled
}

pub fn note(swept: &mut Swept, did: transition::Sweep) {
    swept.leases_expired += u32::from(did.lease_expired);
    swept.intents_lost += u32::from(did.intent_lost);
    swept.written_off += u32::from(did.written_off);
    swept.ended += u32::from(did.ended);
}

fn existing(rows: &mut impl Rows, id: &RunId) -> Result<Run> {
    rows.run(id)?.ok_or_else(|| LedgerError::NoRun(id.clone()))
}

fn find(rows: &mut impl Rows, id: &DeliveryId) -> Result<Option<(Run, Record)>> {
    let Some(run) = rows.run(&id.run)? else { return Ok(None) };
    Ok(readable(rows, &run, id.index)?.map(|record| (run, record)))
}

/// The record; one that cannot be read is put into quarantine, so that it costs itself only.
fn readable(rows: &mut impl Rows, run: &Run, index: u32) -> Result<Option<Record>> {
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

fn message_and_body(rows: &mut impl Rows, run: &RunId, index: u32) -> Result<(Envelope, Arc<str>)> {
    let message = rows.message(run, index)?;
    let body = rows.body(run, &message.body)?;
    Ok((message, body))
}

/// Says it once: from then on the record says it.
pub fn say_damaged(run: &Run, index: u32, why: &str) {
    let id = DeliveryId { run: run.header.id.clone(), index };
    tracing::error!(delivery.id = %id, "delivery {id} cannot be read from the store ({why}): it is quarantined and everything else goes on; `subah ledger verify` lists what is damaged, `subah ledger repair` takes what journals and inboxes know");
}
