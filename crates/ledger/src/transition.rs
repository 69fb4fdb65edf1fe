//! What may happen to a delivery, as pure functions: the only place where records change.
//!
//! Each takes the record and the store's time and answers what became of it. All checks
//! come before the first change, so a refusal leaves the record as it was.

use domain::facts::{Doubt, Ended};
use domain::state::attempts_spent;
use domain::{Attempt, Facts, Http, Nonce, State, Timestamp};
use serde::{Deserialize, Serialize};

use crate::api::{Applied, AttemptResult, Phase, Run, WebhookFact};
use crate::record::Record;

/// Why an intent was not granted. None of these may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The delivery is not leased: someone else moved it on.
    State(State),
    /// The lease is another's, or has run out.
    Fence,
    /// All attempts are spent.
    Spent,
    /// The deadline has passed.
    TooLate,
    /// The run is paused, cancelled or closed.
    RunNotOpen,
    /// The ledger does not know the delivery.
    NoDelivery,
}

/// Leases a due delivery. False when it is not there to be had.
pub fn claim(record: &mut Record, run: &Run, now: Timestamp) -> bool {
    let due = record.state.is_waiting() && record.next_at <= now;
    if !due || run.phase != Phase::Open || now >= run.header.stop_at {
        return false;
    }
    record.fence += 1;
    record.lease_until = Some(now + run.header.policy.lease);
    record.settle(&run.header.policy);
    true
}

/// Grants the right to send once.
///
/// # Errors
/// The reason for a refusal; the record is unchanged.
pub fn intent(
    record: &mut Record,
    run: &Run,
    fence: u32,
    nonce: Nonce,
    now: Timestamp,
) -> Result<(), Refusal> {
    if record.facts.attempt(nonce).is_some_and(|a| a.intent_at.is_some())
        && record.state == State::Intent
        && record.fence == fence
    {
        return Ok(()); // the same request again: its first answer was lost
    }
    if run.phase != Phase::Open {
        return Err(Refusal::RunNotOpen);
    }
    if record.state != State::Leased {
        return Err(Refusal::State(record.state));
    }
    if record.fence != fence || record.lease_until.is_none_or(|until| until <= now) {
        return Err(Refusal::Fence);
    }
    if attempts_spent(&record.facts) >= run.header.policy.attempts_max {
        return Err(Refusal::Spent);
    }
    if now >= run.header.stop_at {
        return Err(Refusal::TooLate);
    }
    record.facts.merge_attempt(&Attempt { intent_at: Some(now), ..Attempt::new(nonce) });
    record.lease_until = None;
    record.settle(&run.header.policy);
    Ok(())
}

/// Records what an attempt gave. An unknown nonce is evidence of a send and is kept.
pub fn result(record: &mut Record, run: &Run, result: &AttemptResult, now: Timestamp) {
    let news = Attempt {
        http: result.http.clone(),
        dispatched_at: result.dispatched_at,
        accepted_at: result.accepted_at,
        ..Attempt::new(result.nonce)
    };
    merge(record, run, &news, result.retry_at, now);
}

/// Gives a lease back untried. False when it is not this lease any more.
pub fn release(record: &mut Record, run: &Run, fence: u32, next_at: Timestamp) -> bool {
    if record.state != State::Leased || record.fence != fence {
        return false;
    }
    record.lease_until = None;
    record.next_at = next_at;
    record.settle(&run.header.policy);
    true
}

/// Merges what a webhook reported.
pub fn apply(record: &mut Record, run: &Run, fact: &WebhookFact, now: Timestamp) -> Applied {
    let from = record.state;
    if !merge(record, run, &fact.news, fact.retry_at, now) {
        return Applied::Stale;
    }
    if record.state == from { Applied::Noted } else { Applied::Changed { from, to: record.state } }
}

/// Adds news. A failure that comes after the end opens nothing: nobody would ever close it.
fn merge(
    record: &mut Record,
    run: &Run,
    news: &Attempt,
    retry_at: Option<Timestamp>,
    now: Timestamp,
) -> bool {
    let before = record.state;
    if !record.facts.merge_attempt(news) {
        return false;
    }
    record.settle(&run.header.policy);
    if record.state == State::RetryWait && before != State::RetryWait {
        record.next_at = retry_at.unwrap_or(record.next_at);
    }
    end_if_over(record, run, now);
    true
}

/// What a sweep found to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sweep {
    pub lease_expired: bool,
    pub intent_lost: bool,
    pub ended: bool,
}

impl Sweep {
    pub fn changed(self) -> bool {
        self.lease_expired || self.intent_lost || self.ended
    }
}

/// Frees an expired lease, doubts a lost intent, ends what may not be tried any more.
pub fn sweep(record: &mut Record, run: &Run, now: Timestamp) -> Sweep {
    let policy = &run.header.policy;
    let mut done = Sweep::default();
    if record.state == State::Leased && record.lease_until.is_none_or(|until| until <= now) {
        record.lease_until = None;
        done.lease_expired = true;
    }
    if record.state == State::Intent && record.oldest_intent() + policy.intent_timeout <= now {
        doubt_lost_intents(&mut record.facts, now, policy.intent_timeout);
        done.intent_lost = true;
    }
    record.settle(policy);
    done.ended = end_if_over(record, run, now);
    done
}

fn end_if_over(record: &mut Record, run: &Run, now: Timestamp) -> bool {
    let Some(ended) = must_end(record, run, now) else { return false };
    record.facts.ended = record.facts.ended.max(Some(ended));
    record.lease_until = None;
    record.settle(&run.header.policy);
    true
}

/// Whether, and how, sending is over for this record.
fn must_end(record: &Record, run: &Run, now: Timestamp) -> Option<Ended> {
    let cancelled = run.phase == Phase::Cancelled;
    let over = match record.state {
        State::Planned | State::RetryWait | State::Leased => cancelled || now >= run.header.stop_at,
        State::Ambiguous => now >= run.header.close_at,
        _ => false,
    };
    over.then_some(if cancelled { Ended::Cancelled } else { Ended::Closed })
}

fn doubt_lost_intents(facts: &mut Facts, now: Timestamp, timeout: std::time::Duration) {
    for attempt in &mut facts.attempts {
        let lost = attempt.intent_at.is_none_or(|at| at + timeout <= now);
        if attempt.http == Http::None && lost {
            attempt.http = Http::Ambiguous(Doubt::Crash);
        }
    }
}
