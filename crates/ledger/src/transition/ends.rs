//! When sending is over for a delivery, and how it ends then. Pure.

use domain::facts::{Doubt, Ended};
use domain::state::{Standing, standing};
use domain::{Facts, Http, State, Timestamp};

use crate::api::{Phase, Run};
use crate::record::Record;

/// Nothing of this delivery starts after this: its own end, or the run's.
pub fn stop_at(record: &Record, run: &Run) -> Timestamp {
    record.expires_at.map_or(run.stop_at(), |own| own.min(run.stop_at()))
}

/// When what is undecided about it becomes `Unknown`.
pub fn close_at(record: &Record, run: &Run) -> Timestamp {
    stop_at(record, run) + run.grace()
}

pub fn end_if_over(record: &mut Record, run: &Run, now: Timestamp) -> bool {
    let Some(ended) = must_end(record, run, now) else { return false };
    record.facts.ended = record.facts.ended.max(Some(ended));
    record.lease_until = None;
    record.settle(&run.header.policy);
    true
}

/// What was due and never cancelled is not simply expired when a host may have sent it.
pub fn suspect_at_the_end(record: &mut Record, run: &Run, now: Timestamp) -> bool {
    let waits = record.state.is_waiting() || record.state == State::Leased;
    let ends = must_end(record, run, now) == Some(Ended::Closed);
    let suspect = waits && ends && record.due_at <= now && !record.facts.suspect;
    if suspect {
        record.facts.suspect = true;
        record.facts.requeued_at = None;
    }
    suspect
}

/// Whether, and how, sending is over for this record.
fn must_end(record: &Record, run: &Run, now: Timestamp) -> Option<Ended> {
    let cancelled = run.phase == Phase::Cancelled;
    // A closed run stays over, even by a clock that was put back.
    let closed = run.phase == Phase::Closed;
    let over = match record.state {
        State::Planned | State::RetryWait | State::Leased => {
            cancelled || closed || now >= stop_at(record, run)
        }
        State::Ambiguous => closed || now >= close_at(record, run),
        _ => false,
    };
    over.then_some(if cancelled { Ended::Cancelled } else { Ended::Closed })
}

/// In a closed run no attempt is under way.
pub fn doubt_lost_intents(facts: &mut Facts, run: &Run, now: Timestamp) {
    let timeout = run.header.policy.intent_timeout;
    for attempt in &mut facts.attempts {
        let lost = attempt.intent_at.is_none_or(|at| at + timeout <= now);
        if standing(attempt) == Standing::InFlight && (lost || run.phase == Phase::Closed) {
            attempt.http = Http::Ambiguous(Doubt::Crash);
        }
    }
}
