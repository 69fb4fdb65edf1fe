//! Read, step, compare, swap: how one record changes in Redis.

use domain::{DeliveryId, RunId, State, Timestamp};
use redis::aio::ConnectionManager;
use redis::{AsyncCommands, RedisResult};

use super::{CACHE_MAX, Redis, failed, scores, unexpected};
use crate::api::{Ledger, Phase, Run};
use crate::error::{LedgerError, Result};
use crate::record::Record;
use crate::store_mark;
use crate::stored;
use crate::transition::Sighting;

/// Far below the budget from intent to write.
const REPLICAS_WITHIN_MS: u32 = 1_000;

/// Whether a step may only be taken while the run may be sent from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Fence {
    Checked,
    /// Checked, and the change must be where a lost server cannot take it along.
    Durable,
    /// Facts are taken at any time.
    Ignored,
}

impl Fence {
    const fn as_str(self) -> &'static str {
        match self {
            Fence::Checked | Fence::Durable => "1",
            Fence::Ignored => "",
        }
    }
}

/// What else must hold when a record is stored, and what is stored with it.
#[derive(Clone, Copy, Default)]
pub struct Guards {
    /// Not at or after this instant.
    pub not_after: Option<Timestamp>,
    /// What a webhook says of its lane.
    pub witness: Option<Sighting>,
    /// It resends on evidence, which a run may do so often.
    pub resends_max: Option<u32>,
    /// The lane that it leaves for another.
    pub left: Option<u16>,
}

/// What a pure step wants.
pub enum Step<T> {
    /// Store the changed record.
    Put(T, Guards),
    /// Leave it as it is.
    Keep(T),
}

/// One replacement, as `swap.lua` takes it.
#[derive(Clone)]
pub struct Swap {
    index: u32,
    expected: Vec<u8>,
    new: Vec<u8>,
    was: State,
    is: State,
    lane: u16,
    due: String,
    look: String,
    not_after: String,
    witness: String,
    lag: String,
    resends_max: String,
    left: String,
    keep: bool,
}

impl Swap {
    pub fn new(
        run: &Run,
        index: u32,
        expected: Vec<u8>,
        was: State,
        record: &Record,
        guards: Guards,
    ) -> Self {
        let (due, look) = scores(run, record);
        let micros = |at: Option<Timestamp>| at.map(|at| at.micros().to_string());
        Swap {
            index,
            expected,
            new: stored::record(record),
            was,
            is: record.state,
            lane: record.lane,
            due,
            look,
            not_after: micros(guards.not_after).unwrap_or_default(),
            witness: micros(guards.witness.map(|seen| seen.sent_at)).unwrap_or_default(),
            lag: guards.witness.map_or(0, |seen| seen.lag.as_micros()).to_string(),
            resends_max: guards.resends_max.map(|max| max.to_string()).unwrap_or_default(),
            left: guards.left.map(|lane| lane.to_string()).unwrap_or_default(),
            keep: record.state.is_open(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Done,
    /// The record is another one by now.
    Changed(Vec<u8>),
    /// The limit has passed by the server's clock.
    Late,
    /// The run is in this phase.
    Phase(Option<Phase>),
    /// The store may have forgotten what it answered.
    Fenced,
    /// The run has no resends on evidence left.
    Budget,
    Gone,
}

impl Redis {
    /// Tries replacements of one run in one script; all or none of each.
    pub(super) async fn swap(
        &self,
        id: &RunId,
        phase: Phase,
        fence: Fence,
        swaps: &[Swap],
    ) -> Result<Vec<Verdict>> {
        if swaps.is_empty() {
            return Ok(Vec::new());
        }
        let waits = fence == Fence::Durable && self.replicas > 0;
        let mut con = if waits { self.link.waiting() } else { self.con() };
        let mut call = self.scripts.swap.key(self.keys.meta(id));
        call.key(self.keys.records(id)).key(self.keys.counts(id));
        call.key(self.keys.look(id)).key(self.keys.due_prefix(id)).key(self.keys.witnesses(id));
        call.key(self.keys.attention(id)).key(self.keys.cell(store_mark::CELL));
        call.arg(self.test_time()).arg(self.seen(id)).arg(phase.as_str()).arg(fence.as_str());
        for s in swaps {
            call.arg(s.index).arg(&s.expected).arg(&s.new).arg(s.was.as_str()).arg(s.is.as_str());
            call.arg(s.lane).arg(&s.due).arg(&s.look).arg(&s.not_after);
            call.arg(&s.witness).arg(&s.resends_max).arg(&s.lag).arg(&s.left);
        }
        let answer: RedisResult<Vec<Vec<u8>>> = call.invoke_async(&mut con).await;
        let answer = answer.map_err(|e| failed("change deliveries", e))?;
        let [phase, now, generation, fenced, verdicts @ ..] = answer.as_slice() else {
            return Err(unexpected("change deliveries", "swap.lua", answer.len()));
        };
        if verdicts.len() != swaps.len() {
            return Err(unexpected("change deliveries", "swap.lua", answer.len()));
        }
        self.heard(&String::from_utf8_lossy(now));
        self.saw(id, &String::from_utf8_lossy(generation), fenced == b"1");
        if waits {
            self.wait_for_replicas(&mut con).await?;
        }
        let phase = Phase::parse(&String::from_utf8_lossy(phase));
        let verdicts: Vec<Verdict> = verdicts.iter().map(|text| verdict(text, phase)).collect();
        self.with_cache(|cache| {
            if cache.records.len() >= CACHE_MAX {
                cache.records.clear();
            }
            for (swap, verdict) in swaps.iter().zip(&verdicts) {
                let key = (id.clone(), swap.index);
                match verdict {
                    Verdict::Done if swap.keep => cache.records.insert(key, swap.new.clone()),
                    _ => cache.records.remove(&key),
                };
            }
        });
        Ok(verdicts)
    }

    /// Takes a step on one record until it is stored or refused; `None` when there is no
    /// such delivery. Each repetition means that someone else's step went through.
    ///
    /// # Errors
    /// [`LedgerError::StoreRestarted`] only when the `fence` is checked.
    pub(super) async fn update<T>(
        &self,
        id: &DeliveryId,
        fence: Fence,
        step: impl Fn(&mut Record, &Run, Timestamp) -> Step<T>,
    ) -> Result<Option<T>> {
        let Some(mut run) = self.remembered(&id.run).await? else { return Ok(None) };
        let key = (id.run.clone(), id.index);
        let mut guess = self.with_cache(|cache| cache.records.get(&key).cloned());
        let mut now = self.reckoned();
        loop {
            let text = match guess.take() {
                Some(text) => text,
                None => match self.read(id).await? {
                    Some(text) => text,
                    None => return Ok(None),
                },
            };
            let mut record = match stored::read_record(&run.header, id.index, &text) {
                Err(LedgerError::Corrupt { why, .. }) => {
                    // Its lane may be one that was added since the header was read.
                    let Some(now) = self.run(&id.run).await? else { return Ok(None) };
                    if now.header.lanes.len() > run.header.lanes.len() {
                        (run, guess) = (now, Some(text));
                        continue;
                    }
                    self.replace_damaged(&run, id.index, &text, &why).await?;
                    continue;
                }
                read => read?,
            };
            let was = record.state;
            let (value, guards) = match step(&mut record, &run, now) {
                Step::Put(value, guards) => (value, guards),
                Step::Keep(value) => {
                    // A refusal must be based on the record as it is, not on a guess.
                    if self.with_cache(|cache| cache.records.remove(&key)).is_some() {
                        continue;
                    }
                    return Ok(Some(value));
                }
            };
            let swap = Swap::new(&run, id.index, text.clone(), was, &record, guards);
            match self.swap_one(&id.run, run.phase, fence, &swap).await? {
                Verdict::Done => return Ok(Some(value)),
                Verdict::Changed(current) => guess = Some(current),
                Verdict::Late => now = self.reckoned(),
                Verdict::Phase(phase) => run.phase = phase.unwrap_or(Phase::Closed),
                Verdict::Fenced => {
                    return Err(LedgerError::StoreRestarted {
                        engine: "redis",
                        run: id.run.clone(),
                    });
                }
                Verdict::Budget => (run.resends, guess) = (u32::MAX, Some(text)),
                Verdict::Gone => return Ok(None),
            }
        }
    }

    /// Returns once the replicas have everything that this connection wrote. Without them
    /// nobody may rely on it: the caller is told that there was no answer.
    async fn wait_for_replicas(&self, con: &mut ConnectionManager) -> Result<()> {
        let doing = "wait for replicas";
        let have: u32 = redis::cmd("WAIT")
            .arg(self.replicas)
            .arg(REPLICAS_WITHIN_MS)
            .query_async(con)
            .await
            .map_err(|e| failed(doing, e))?;
        if have < self.replicas {
            let cause = format!("{have} of {} replicas have it", self.replicas);
            return Err(LedgerError::Unavailable { engine: "redis", doing, cause });
        }
        Ok(())
    }

    async fn read(&self, id: &DeliveryId) -> Result<Option<Vec<u8>>> {
        let mut con = self.con();
        let records = self.keys.records(&id.run);
        con.hget(records, id.index).await.map_err(|e| failed("read delivery", e))
    }
}

fn verdict(text: &[u8], phase: Option<Phase>) -> Verdict {
    match text {
        b"ok" => Verdict::Done,
        b"late" => Verdict::Late,
        b"phase" => Verdict::Phase(phase),
        b"fenced" => Verdict::Fenced,
        b"budget" => Verdict::Budget,
        b"gone" => Verdict::Gone,
        changed => Verdict::Changed(changed.strip_prefix(b"=").unwrap_or(changed).to_vec()),
    }
}
