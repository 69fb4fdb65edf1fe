//! Claims: what a lane has due is read, each record takes its step, and all of them are swapped
//! in one script.

use std::sync::Arc;

use domain::{NumberId, RunId, Timestamp};
use redis::RedisResult;

use super::{Redis, failed, swap, unexpected};
use crate::api::{Claim, Claimed, Envelope, Phase, Run};
use crate::core::{is_of_a_later_day, new_claim, readable_run, sooner};
use crate::error::{LedgerError, Result};
use crate::record::Record;
use crate::store_mark;
use crate::stored;
use crate::transition::{self, Taken};

impl Redis {
    /// What a lane of a run has due; leases it.
    pub(super) async fn claim_from(
        &self,
        id: &RunId,
        lane: &NumberId,
        k: usize,
        claimed: &mut Claimed,
    ) -> Result<()> {
        let Some(mut run) = readable_run(self.remembered(id).await)? else { return Ok(()) };
        let Some(at) = run.header.lane_of(lane) else { return self.ask_for_lanes(id).await };
        if is_of_a_later_day(&run, claimed.now) {
            // Told too early costs a look; a claim of its day asks the store.
            let read = self.with_cache(|cache| cache.phases.get(id).copied());
            if read.is_some_and(|phase| phase != Phase::Open) {
                return Ok(());
            }
            let opens = Some(run.header.window.opens);
            claimed.next_due = sooner(claimed.next_due, opens, &run, claimed.now);
            return Ok(());
        }
        let peeked = self.peek(id, at, k - claimed.claims.len()).await?;
        if self.with_cache(|cache| cache.is_other_plan(id, &peeked.begun_at)) {
            claimed.next_due = Some(peeked.now); // the next claim reads its header
            return Ok(());
        }
        (run.phase, run.reopened_until) = (peeked.phase.unwrap_or(Phase::Closed), peeked.until);
        claimed.now = peeked.now;
        let (mut swaps, mut taken) = (Vec::new(), Vec::new());
        // Of a run that is not open nothing is told.
        let mut next = sooner(claimed.next_due, peeked.next, &run, peeked.now);
        for row in peeked.rows {
            let due_at = row.due_at;
            match self.take(&run, lane, row, peeked.now).await? {
                Took::Claim(swap, claim) => {
                    swaps.push(swap);
                    taken.push((due_at, Some(claim)));
                }
                Took::End(swap) => {
                    swaps.push(swap);
                    taken.push((due_at, None));
                }
                Took::Nothing => next = sooner(next, Some(due_at), &run, peeked.now),
                Took::Quarantined => {}
            }
        }
        let verdicts = self.swap(id, Phase::Open, swap::Fence::Checked, &swaps).await?;
        if verdicts.contains(&swap::Verdict::Fenced) {
            return Err(LedgerError::StoreRestarted { engine: "redis", run: id.clone() });
        }
        for (verdict, (due_at, claim)) in verdicts.into_iter().zip(taken) {
            if verdict == swap::Verdict::Done {
                claimed.claims.extend(claim);
            } else {
                next = sooner(next, Some(due_at), &run, peeked.now);
            }
        }
        claimed.next_due = next;
        Ok(())
    }

    /// One row's step, not taken yet.
    async fn take(&self, run: &Run, lane: &NumberId, row: DueRow, now: Timestamp) -> Result<Took> {
        let mut record = match stored::read_record(&run.header, row.index, &row.record) {
            Err(LedgerError::Corrupt { why, .. }) => {
                self.replace_damaged(run, row.index, &row.record, &why).await?;
                return Ok(Took::Quarantined);
            }
            read => read?,
        };
        let before = record.clone();
        let swap = |record: &Record, row: DueRow| {
            let guards = swap::Guards::default();
            swap::Swap::new(run, row.index, row.record, before.state, record, guards)
        };
        match transition::claim(&mut record, run, now) {
            Taken::Left => return Ok(Took::Nothing),
            Taken::Ended => return Ok(Took::End(swap(&record, row))),
            Taken::Leased => {}
        }
        let Some((message, body)) = self.said_in(run, &row, &before).await? else {
            return Ok(Took::Quarantined);
        };
        let claim = new_claim(run, lane, row.index, &record, message, body);
        Ok(Took::Claim(swap(&record, row), claim))
    }

    /// Whom a row is for, and its body. `None`: one of them cannot be read, and the delivery is
    /// in quarantine.
    async fn said_in(
        &self,
        run: &Run,
        row: &DueRow,
        record: &Record,
    ) -> Result<Option<(Envelope, Arc<str>)>> {
        let id = &run.header.id;
        let message: Envelope = match stored::read_message(id, "message", &row.message) {
            Ok(message) => message,
            Err(error) => {
                self.quarantine(run, row, record.clone(), None, error).await?;
                return Ok(None);
            }
        };
        match self.body(id, &message.body).await {
            Ok(body) => Ok(Some((message, body))),
            Err(error) => {
                let body = Some(&message.body);
                self.quarantine(run, row, record.clone(), body, error).await?;
                Ok(None)
            }
        }
    }

    /// # Errors
    /// [`LedgerError::StoreRestarted`] when the run is open and may not be sent from.
    async fn peek(&self, id: &RunId, lane: u16, k: usize) -> Result<Peeked> {
        let mut con = self.con();
        let mut call = self.scripts.peek.key(self.keys.meta(id));
        call.key(self.keys.due(id, lane)).key(self.keys.records(id)).key(self.keys.messages(id));
        call.key(self.keys.cell(store_mark::CELL));
        let answer: RedisResult<Vec<Vec<u8>>> =
            call.arg(self.test_time()).arg(self.seen(id)).arg(k).invoke_async(&mut con).await;
        let answer = answer.map_err(|e| failed("claim deliveries", e))?;
        let text = |at: usize| String::from_utf8_lossy(answer.get(at).map_or(&[], Vec::as_slice));
        let Some(rows) = answer.get(7..) else {
            return Err(unexpected("claim deliveries", "peek.lua", answer.len()));
        };
        let (phase, now, fenced, until, next) = (text(0), text(1), text(2), text(3), text(4));
        let begun_at = text(5).into_owned();
        let (phase, now) = (Phase::parse(&phase), self.heard(&now));
        self.saw(id, &text(6), fenced == "1");
        if fenced == "1" && phase == Some(Phase::Open) {
            return Err(LedgerError::StoreRestarted { engine: "redis", run: id.clone() });
        }
        let instant = |text: &str| text.parse().ok().map(Timestamp::from_micros);
        let until = instant(&until);
        self.with_cache(|cache| cache.until.insert(id.clone(), until));
        let row = |row: &[Vec<u8>]| {
            let [index, due_at] = [&row[0], &row[1]].map(|text| String::from_utf8_lossy(text));
            let (index, due_at) = index.parse().ok().zip(instant(&due_at))?;
            Some(DueRow { index, due_at, record: row[2].clone(), message: row[3].clone() })
        };
        let rows = rows.chunks_exact(4).filter_map(row).collect();
        Ok(Peeked { phase, now, until, begun_at, next: instant(&next), rows })
    }
}

/// What becomes of a row that is due.
enum Took {
    Claim(swap::Swap, Claim),
    /// Its own end has passed.
    End(swap::Swap),
    Nothing,
    Quarantined,
}

/// What a lane of a run has due.
struct Peeked {
    phase: Option<Phase>,
    now: Timestamp,
    until: Option<Timestamp>,
    begun_at: String,
    /// When the first of those that are not in `rows` is due.
    next: Option<Timestamp>,
    /// What is due, earliest first.
    rows: Vec<DueRow>,
}

pub(super) struct DueRow {
    pub(super) index: u32,
    pub(super) due_at: Timestamp,
    pub(super) record: Vec<u8>,
    pub(super) message: Vec<u8>,
}
