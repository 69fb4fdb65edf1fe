//! What silence about an attempt without an answer means: when it is evidence that the attempt did
//! not go. Pure.

use std::time::Duration;

use domain::state::{Standing, attempts_spent, standing};
use domain::{Attempt, Evidence, Facts, Http, OnAmbiguous, State, Timestamp};

use super::ends::{close_at, stop_at};
use crate::api::{Phase, Run, WebhookFact};
use crate::record::Record;

/// What the ledger knows besides the record when it judges a doubt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Witness {
    /// The latest send of the lane that a webhook has spoken of.
    pub sent_at: Option<Timestamp>,
    /// How long the slow ones of the lane's first statuses take lately, from the grant of the
    /// send to the receipt of the webhook: a new slowest one counts at once, and is forgotten by
    /// a 32nd with each faster one, which keeps it above their 95th percentile.
    pub slow: Duration,
}

/// What one webhook says of its lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The send of which it speaks.
    pub sent_at: Timestamp,
    /// From there to its receipt, for a first status; zero for others.
    pub lag: Duration,
}

impl Witness {
    /// The step that every engine takes, in its own words.
    pub fn see(&mut self, seen: Sighting) {
        self.sent_at = self.sent_at.max(Some(seen.sent_at));
        if seen.lag >= self.slow {
            self.slow = seen.lag;
        } else if !seen.lag.is_zero() {
            let beyond = (self.slow - seen.lag).as_micros() / u128::from(FORGET);
            self.slow -= Duration::from_micros(u64::try_from(beyond).unwrap_or(u64::MAX));
        }
    }
}

/// Each faster status closes one part in so many of the gap to the slowest one.
pub const FORGET: u32 = 32;

/// What a fact that was just merged says of its lane: the send may bear witness.
pub fn witness(record: &Record, fact: &WebhookFact) -> Option<Sighting> {
    let attempt = record.facts.attempt(fact.news.nonce)?;
    if attempt.lane.is_some() {
        return None; // it speaks of another lane than the delivery's
    }
    let spoken_of = attempt.left_at().is_some() || attempt.failed.is_some();
    let sent_at = sent_at(attempt).filter(|_| spoken_of)?;
    let received_at = fact.received_at.filter(|_| fact.news.sent_at.is_some());
    let lag = received_at.map_or(Duration::ZERO, |at| at.since(sent_at));
    Some(Sighting { sent_at, lag })
}

/// Recomputes the state; a new doubt is looked at when silence about it means something.
pub fn settle(record: &mut Record, run: &Run, before: State) {
    let policy = &run.header.policy;
    record.settle(policy);
    if record.state == State::Ambiguous && before != State::Ambiguous {
        record.next_at = match policy.on_ambiguous {
            OnAmbiguous::Hold => close_at(record, run),
            OnAmbiguous::Evidence => ripe_at(record, &policy.evidence).min(close_at(record, run)),
        };
    }
}

/// What a look at a doubtful attempt found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weighed {
    /// Evidence: another attempt may follow.
    WrittenOff,
    LookAgain,
}

/// Looks for evidence that a doubtful attempt did not go; without it, looks again later.
pub fn weigh(record: &mut Record, run: &Run, now: Timestamp, witness: Witness) -> Weighed {
    let policy = &run.header.policy;
    let evidence = &policy.evidence;
    let doubts = doubts(record, evidence);
    let silent = |(sent, wait): &(Timestamp, Duration)| {
        let wait = (*wait).max(witness.slow * 2);
        let witnessed = witness.sent_at.is_some_and(|at| at >= *sent + wait / 2);
        *sent + wait <= now && witnessed
    };
    let affordable = run.resends < evidence.resends_max(run.total());
    // Whoever may have got two is not sent a third one by a machine.
    let written_off = |attempt: &&Attempt| standing(attempt) == Standing::WrittenOff;
    let before = record.facts.attempts.iter().filter(written_off).count();
    let may_have = doubts.len() + before + usize::from(record.facts.suspect);
    let resend = policy.on_ambiguous == OnAmbiguous::Evidence
        && !doubts.is_empty()
        && doubts.iter().all(silent)
        && affordable
        && may_have < 2
        && attempts_spent(&record.facts) < policy.attempts_max
        && run.phase != Phase::Cancelled
        && now < stop_at(record, run);
    if resend {
        write_off(&mut record.facts, now);
        record.next_at = now;
        record.settle(policy);
        Weighed::WrittenOff
    } else {
        let again = (evidence.error_wait / 10).max(LOOK_AGAIN_MIN);
        record.next_at = (now + again).min(close_at(record, run)).max(now + LOOK_AGAIN_MIN);
        Weighed::LookAgain
    }
}

pub fn write_off(facts: &mut Facts, now: Timestamp) {
    for attempt in &mut facts.attempts {
        if standing(attempt) == Standing::Doubtful {
            attempt.written_off_at = Some(now);
        }
    }
}

/// By the store's clock where it can be: the request follows the intent at once, or never.
fn sent_at(attempt: &Attempt) -> Option<Timestamp> {
    attempt.intent_at.or(attempt.dispatched_at)
}

/// The doubtful attempts of a record, each with its send and the silence that it needs.
fn doubts(record: &Record, evidence: &Evidence) -> Vec<(Timestamp, Duration)> {
    let doubt = |attempt: &Attempt| match (&attempt.http, standing(attempt)) {
        (Http::Ambiguous(doubt), Standing::Doubtful) => {
            let sent = sent_at(attempt).unwrap_or(record.next_at);
            Some((sent, evidence.wait(*doubt)))
        }
        _ => None,
    };
    record.facts.attempts.iter().filter_map(doubt).collect()
}

fn ripe_at(record: &Record, evidence: &Evidence) -> Timestamp {
    let ripe = doubts(record, evidence).into_iter().map(|(sent, wait)| sent + wait).max();
    ripe.unwrap_or(record.next_at)
}

/// How soon evidence is looked for again at the earliest.
const LOOK_AGAIN_MIN: Duration = Duration::from_millis(50);
