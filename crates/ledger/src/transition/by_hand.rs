//! What a person, or a recovery, may do to a delivery. Pure.

use std::time::Duration;

use domain::facts::Ended;
use domain::state::{Standing, standing};
use domain::{Attempt, State, Suppression, Timestamp};

use super::ends::end_if_over;
use super::evidence::{settle, write_off};
use crate::api::{Change, Phase, Run};
use crate::record::Record;

/// Changes a delivery by hand. False when its state does not allow that; the record is
/// unchanged then.
pub fn amend(record: &mut Record, run: &Run, change: Change, now: Timestamp) -> bool {
    let undecided = matches!(record.state, State::Unknown | State::Ambiguous);
    let dead = matches!(record.state, State::Failed | State::Expired | State::Quarantined);
    let unsent = record.state.is_waiting() || record.state == State::Leased;
    let opted_out = matches!(record.facts.ended, Some(Ended::Suppressed(_)));
    let before = record.state;
    match change {
        Change::OptOut if record.state.is_open() && !opted_out => {
            record.facts.ended = Some(Ended::Suppressed(Suppression::OptedOut));
            record.lease_until = None;
        }
        Change::Resolve(resolution) if undecided => record.facts.resolved = Some(resolution),
        // Nobody knows what is to be sent before its row comes back.
        Change::Resend | Change::Requeue if opted_out || record.is_forgotten() => return false,
        Change::Resend if undecided && run.phase != Phase::Cancelled => {
            put_back(record, run, now);
        }
        Change::Requeue if dead && run.phase != Phase::Cancelled => put_back(record, run, now),
        Change::Strike if unsent => strike(record, run, now),
        Change::Suspect if unsent && record.due_at <= now => {
            record.lease_until = None;
            record.facts.suspect = true;
            // Put back before the doubt: that does not set the doubt aside.
            record.facts.requeued_at = None;
        }
        Change::Cancel if unsent => {
            record.facts.ended = record.facts.ended.max(Some(Ended::Cancelled));
            record.lease_until = None;
        }
        Change::Move { due_at, expires_at } => {
            let ends = expires_at.or(record.expires_at);
            if !may_move(record, run, due_at, ends) {
                return false;
            }
            record.lease_until = None;
            (record.due_at, record.next_at) = (due_at, due_at);
            record.expires_at = ends;
        }
        Change::Rehome { lane } if may_rehome(record, run, lane) => rehome(record, lane),
        _ => return false,
    }
    settle(record, run, before);
    end_if_over(record, run, now);
    true
}

/// It took its worker down.
fn strike(record: &mut Record, run: &Run, now: Timestamp) {
    record.strikes += 1;
    record.lease_until = None;
    record.next_at = now + STRIKE_PAUSE;
    // The first time nobody knew whom to blame.
    let strikes = record.strikes + u32::from(record.lost_leases > 0);
    if strikes >= run.header.policy.strikes_max {
        record.facts.ended = record.facts.ended.max(Some(Ended::Quarantined));
    }
}

/// What was tried stays bound to the number that it went through.
fn rehome(record: &mut Record, lane: u16) {
    for attempt in &mut record.facts.attempts {
        attempt.lane.get_or_insert(record.lane);
    }
    record.lane = lane;
}

/// Only what was never tried has a plan that can be another one.
fn may_move(record: &Record, run: &Run, due_at: Timestamp, ends: Option<Timestamp>) -> bool {
    let untried = matches!(record.state, State::Planned | State::Leased)
        && record.facts.attempts.is_empty()
        && !record.facts.suspect;
    let stop_at = ends.map_or(run.stop_at(), |own| own.min(run.stop_at()));
    untried && due_at >= run.header.window.opens && due_at < stop_at
}

/// An attempt that may have gone stays with the number that its news will name.
fn may_rehome(record: &Record, run: &Run, lane: u16) -> bool {
    let in_doubt = |attempt: &Attempt| {
        use Standing::{Doubtful, InFlight, Taken, WrittenOff};
        matches!(standing(attempt), InFlight | Doubtful | WrittenOff | Taken(_))
    };
    record.state.is_waiting()
        && !record.facts.suspect
        && !record.facts.attempts.iter().any(in_doubt)
        && lane != record.lane
        && usize::from(lane) < run.header.lanes.len()
}

/// Our own decision to end is the one thing that is taken back.
fn put_back(record: &mut Record, run: &Run, now: Timestamp) {
    // One that a person said was not delivered may still be in doubt.
    write_off(&mut record.facts, now);
    record.facts.ended = None;
    record.facts.resolved = None;
    record.facts.requeued_at = Some(now);
    record.damage = None;
    // A person wants it sent now: its own end is over, or would be the next in its way.
    record.expires_at = run.header.is_rolling().then_some(now + PUT_BACK_FOR);
    (record.strikes, record.lost_leases) = (0, 0);
    record.next_at = now;
}

/// What took a worker down is not handed to the next one at once.
const STRIKE_PAUSE: Duration = Duration::from_secs(1);

/// How long a delivery of a rolling run that a person has put back may still be sent.
const PUT_BACK_FOR: Duration = Duration::from_secs(3_600);
