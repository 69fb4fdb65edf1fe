//! Read, step, compare, swap: how one record changes in Redis.

use domain::{DeliveryId, RunId, State, Timestamp};
use redis::{AsyncCommands, RedisResult};

use super::{CACHE_MAX, Redis, decode, encode, failed, scores, unexpected};
use crate::api::{Phase, Result, Run};
use crate::record::Record;

/// What a pure step wants.
pub enum Step<T> {
    /// Store the changed record, but not at or after the instant.
    Put(T, Option<Timestamp>),
    /// Leave it as it is.
    Keep(T),
}

/// One replacement, as `swap.lua` takes it.
pub struct Swap {
    index: u32,
    expected: String,
    new: String,
    was: State,
    is: State,
    lane: u16,
    due: String,
    look: String,
    not_after: String,
    keep: bool,
}

impl Swap {
    pub fn new(
        run: &Run,
        index: u32,
        expected: String,
        was: State,
        record: &Record,
        not_after: Option<Timestamp>,
    ) -> Self {
        let (due, look) = scores(run, record);
        Swap {
            index,
            expected,
            new: encode(record),
            was,
            is: record.state,
            lane: record.lane,
            due,
            look,
            not_after: not_after.map(|at| at.micros().to_string()).unwrap_or_default(),
            keep: record.state.is_open(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Done,
    /// The record is another one by now.
    Changed(String),
    /// The limit has passed by the server's clock.
    Late,
    /// The run is in this phase.
    Phase(Option<Phase>),
    Gone,
}

impl Redis {
    /// Tries replacements of one run in one script; all or none of each.
    pub(super) async fn swap(
        &self,
        id: &RunId,
        guard: Option<Phase>,
        swaps: &[Swap],
    ) -> Result<Vec<Verdict>> {
        if swaps.is_empty() {
            return Ok(Vec::new());
        }
        let mut con = self.con();
        let mut call = self.scripts.swap.key(self.keys.meta(id));
        call.key(self.keys.records(id)).key(self.keys.counts(id));
        call.key(self.keys.look(id)).key(self.keys.due_prefix(id));
        call.arg(guard.map_or("", Phase::as_str));
        for s in swaps {
            call.arg(s.index).arg(&s.expected).arg(&s.new).arg(s.was.as_str()).arg(s.is.as_str());
            call.arg(s.lane).arg(&s.due).arg(&s.look).arg(&s.not_after);
        }
        let answer: RedisResult<Vec<String>> = call.invoke_async(&mut con).await;
        let answer = answer.map_err(|e| failed("change deliveries", e))?;
        let [phase, now, verdicts @ ..] = answer.as_slice() else {
            return Err(unexpected("change deliveries", "swap.lua", answer.len()));
        };
        self.heard(now);
        let phase = Phase::parse(phase);
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
    pub(super) async fn update<T>(
        &self,
        id: &DeliveryId,
        guard: Option<Phase>,
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
            let mut record: Record = decode(&id.run, id.index, &text)?;
            let was = record.state;
            let (value, not_after) = match step(&mut record, &run, now) {
                Step::Put(value, not_after) => (value, not_after),
                Step::Keep(value) => {
                    // A refusal must be based on the record as it is, not on a guess.
                    if self.with_cache(|cache| cache.records.remove(&key)).is_some() {
                        continue;
                    }
                    return Ok(Some(value));
                }
            };
            let swap = Swap::new(&run, id.index, text, was, &record, not_after);
            let verdicts = self.swap(&id.run, guard, &[swap]).await?;
            match verdicts.into_iter().next() {
                Some(Verdict::Done) => return Ok(Some(value)),
                Some(Verdict::Changed(current)) => guess = Some(current),
                Some(Verdict::Late) => now = self.reckoned(),
                Some(Verdict::Phase(phase)) => run.phase = phase.unwrap_or(Phase::Closed),
                Some(Verdict::Gone) | None => return Ok(None),
            }
        }
    }

    async fn read(&self, id: &DeliveryId) -> Result<Option<String>> {
        let mut con = self.con();
        let records = self.keys.records(&id.run);
        con.hget(records, id.index).await.map_err(|e| failed("read delivery", e))
    }
}

fn verdict(text: &str, phase: Option<Phase>) -> Verdict {
    match text {
        "ok" => Verdict::Done,
        "late" => Verdict::Late,
        "phase" => Verdict::Phase(phase),
        "gone" => Verdict::Gone,
        changed => Verdict::Changed(changed.strip_prefix('=').unwrap_or(changed).to_owned()),
    }
}
