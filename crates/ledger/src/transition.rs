//! What may happen to a delivery, as pure functions: the only place where records change.
//!
//! Each takes the record and the store's time and answers what became of it. All checks
//! come before the first change, so a refusal leaves the record as it was.

use std::time::Duration;

use domain::facts::{Doubt, Ended};
use domain::state::{Standing, attempts_spent, defers_spent, standing};
use domain::{Attempt, Evidence, Facts, Http, Nonce, OnAmbiguous, State, Suppression, Timestamp};

use crate::api::{Applied, AttemptResult, Change, Phase, Refusal, Release, Run, WebhookFact};
use crate::record::Record;

/// Leases a due delivery. False when it is not there to be had.
pub fn claim(record: &mut Record, run: &Run, now: Timestamp) -> bool {
    let due = record.state.is_waiting() && record.next_at <= now;
    if !due || run.phase != Phase::Open || now >= run.stop_at() {
        return false;
    }
    record.lease_token += 1;
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
    lease_token: u32,
    nonce: Nonce,
    now: Timestamp,
) -> Result<(), Refusal> {
    if record.facts.attempt(nonce).is_some_and(|a| a.intent_at.is_some())
        && record.state == State::Intent
        && record.lease_token == lease_token
    {
        return Ok(()); // the same request again: its first answer was lost
    }
    if record.state != State::Leased {
        return Err(Refusal::State(record.state));
    }
    if record.lease_token != lease_token || record.lease_until.is_none_or(|until| until <= now) {
        return Err(Refusal::LeaseToken);
    }
    if attempts_spent(&record.facts) >= run.header.policy.attempts_max {
        return Err(Refusal::Spent);
    }
    if run.phase != Phase::Open {
        return Err(Refusal::RunNotOpen);
    }
    if now >= run.stop_at() {
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
        words: result.words.clone(),
        ..Attempt::new(result.nonce)
    };
    merge(record, run, &news, |_| result.retry_in.map(|wait| now + wait), now);
}

/// Gives a lease back untried. False when it is not this lease any more.
pub fn release(record: &mut Record, run: &Run, release: &Release, now: Timestamp) -> bool {
    if record.state != State::Leased || record.lease_token != release.lease_token {
        return false;
    }
    record.lease_until = None;
    if !release.wait.is_zero() {
        record.next_at = now + release.wait;
    }
    record.settle(&run.header.policy);
    true
}

/// Merges what a webhook reported.
pub fn apply(record: &mut Record, run: &Run, fact: &WebhookFact, now: Timestamp) -> Applied {
    let from = record.state;
    let held = record.facts.attempt(fact.news.nonce);
    let number = fact.number.as_ref();
    if record.damage.is_some() {
        // Its lane may have been lost with it: the number that reports it is its own.
        record.lane = number.and_then(|n| run.header.lane_of(n)).unwrap_or(record.lane);
    }
    let lane = run.header.lanes.get(usize::from(record.lane));
    let other_number = number.is_some_and(|number| Some(number) != lane);
    if other_number || (held.is_none() && fact.is_first_tag) {
        return Applied::Foreign;
    }
    let is_known = held.is_some();
    let news = believable(&fact.news, held, fact.received_at);
    let retry_at = |facts: &Facts| {
        let tries = attempts_spent(facts).max(defers_spent(facts));
        fact.retry.map(|retry| retry.after(tries)).or(fact.retry_in).map(|wait| now + wait)
    };
    if !merge(record, run, &news, retry_at, now) {
        return Applied::Stale;
    }
    match record.state {
        // The store has forgotten, unless it has said so: its record was damaged.
        _ if !is_known && record.damage.is_none() => Applied::Forgotten,
        to if to == from => Applied::Noted,
        to => Applied::Changed { from, to },
    }
}

/// An event cannot come before its dispatch, give or take the grain of a second, or lie
/// ahead of its receipt by more than clocks differ. One that does counts as of its receipt.
fn believable(news: &Attempt, held: Option<&Attempt>, received_at: Option<Timestamp>) -> Attempt {
    let mut news = news.clone();
    let Some(received_at) = received_at else { return news };
    let begin = held.and_then(|held| held.dispatched_at.or(held.intent_at));
    let mut doubted = false;
    let mut hold = |at: &mut Timestamp| {
        let early = begin.is_some_and(|begin| *at + EVENT_EARLY_MAX < begin);
        if early || *at > received_at + EVENT_AHEAD_MAX {
            *at = received_at;
            doubted = true;
        }
    };
    let instants = [&mut news.sent_at, &mut news.delivered_at, &mut news.read_at];
    instants.into_iter().flatten().for_each(&mut hold);
    if let Some(failed) = &mut news.failed {
        hold(&mut failed.at);
    }
    news.time_doubted |= doubted;
    news
}

/// Event times have a grain of one second, and clocks differ.
const EVENT_EARLY_MAX: Duration = Duration::from_secs(2);
const EVENT_AHEAD_MAX: Duration = Duration::from_secs(120);

fn merge(
    record: &mut Record,
    run: &Run,
    news: &Attempt,
    retry_at: impl Fn(&Facts) -> Option<Timestamp>,
    now: Timestamp,
) -> bool {
    let before = record.state;
    if !record.facts.merge_attempt(news) {
        return false;
    }
    settle(record, run, before);
    if record.state == State::Intent {
        // An attempt that nobody looks after any more comes to light when another fails.
        doubt_lost_intents(&mut record.facts, run, now);
        settle(record, run, State::Intent);
    }
    if record.state == State::RetryWait && before != State::RetryWait {
        record.next_at = retry_at(&record.facts).unwrap_or(record.next_at);
    }
    end_if_over(record, run, now);
    true
}

/// Recomputes the state; a new doubt is looked at when silence about it means something.
fn settle(record: &mut Record, run: &Run, before: State) {
    let policy = &run.header.policy;
    record.settle(policy);
    if record.state == State::Ambiguous && before != State::Ambiguous {
        record.next_at = match policy.on_ambiguous {
            OnAmbiguous::Hold => run.close_at(),
            OnAmbiguous::Evidence => ripe_at(record, &policy.evidence).min(run.close_at()),
        };
    }
}

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
    let spoken_of = attempt.left_at().is_some() || attempt.failed.is_some();
    let sent_at = sent_at(attempt).filter(|_| spoken_of)?;
    let received_at = fact.received_at.filter(|_| fact.news.sent_at.is_some());
    let lag = received_at.map_or(Duration::ZERO, |at| at.since(sent_at));
    Some(Sighting { sent_at, lag })
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

/// What a sweep found to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sweep {
    pub lease_expired: bool,
    pub intent_lost: bool,
    /// A doubt was resolved by evidence.
    pub written_off: bool,
    /// There is no evidence yet: it will be looked for again.
    pub reviewed: bool,
    pub ended: bool,
}

impl Sweep {
    pub fn changed(self) -> bool {
        self.lease_expired || self.intent_lost || self.written_off || self.reviewed || self.ended
    }
}

/// Frees an expired lease, doubts a lost intent, writes off a doubt that evidence
/// resolves, ends what may not be tried any more.
pub fn sweep(record: &mut Record, run: &Run, now: Timestamp, witness: Witness) -> Sweep {
    let policy = &run.header.policy;
    let mut done = Sweep::default();
    if record.state == State::Leased && record.lease_until.is_none_or(|until| until <= now) {
        record.lease_until = None;
        record.lost_leases += 1;
        done.lease_expired = true;
    }
    if record.state == State::Intent && record.oldest_intent() + policy.intent_timeout <= now {
        doubt_lost_intents(&mut record.facts, run, now);
        done.intent_lost = true;
    }
    let before = record.state;
    settle(record, run, before);
    done.ended = end_if_over(record, run, now);
    if record.state == State::Ambiguous && record.next_at <= now {
        weigh(record, run, now, witness, &mut done);
    }
    done
}

/// Looks for evidence that a doubtful attempt did not go; without it, looks again later.
fn weigh(record: &mut Record, run: &Run, now: Timestamp, witness: Witness, done: &mut Sweep) {
    let policy = &run.header.policy;
    let evidence = &policy.evidence;
    let doubts = doubts(record, evidence);
    let silent = |(sent, wait): &(Timestamp, Duration)| {
        let wait = (*wait).max(witness.slow * 2);
        let witnessed = witness.sent_at.is_some_and(|at| at >= *sent + wait / 2);
        *sent + wait <= now && witnessed
    };
    let affordable = run.resends < evidence.resends_max(run.header.total);
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
        && now < run.stop_at();
    if resend {
        write_off(&mut record.facts, now);
        record.next_at = now;
        record.settle(policy);
        done.written_off = true;
    } else {
        let again = (evidence.error_wait / 10).max(LOOK_AGAIN_MIN);
        record.next_at = (now + again).min(run.close_at()).max(now + LOOK_AGAIN_MIN);
        done.reviewed = true;
    }
}

/// How soon evidence is looked for again at the earliest.
const LOOK_AGAIN_MIN: Duration = Duration::from_millis(50);

fn write_off(facts: &mut Facts, now: Timestamp) {
    for attempt in &mut facts.attempts {
        if standing(attempt) == Standing::Doubtful {
            attempt.written_off_at = Some(now);
        }
    }
}

/// Changes a delivery by hand. False when its state does not allow that; the record is
/// unchanged then.
pub fn amend(record: &mut Record, run: &Run, change: Change, now: Timestamp) -> bool {
    let undecided = matches!(record.state, State::Unknown | State::Ambiguous);
    let dead = matches!(record.state, State::Failed | State::Expired | State::Quarantined);
    let opted_out = matches!(record.facts.ended, Some(Ended::Suppressed(_)));
    let before = record.state;
    match change {
        Change::OptOut if record.state.is_open() && !opted_out => {
            record.facts.ended = Some(Ended::Suppressed(Suppression::OptedOut));
            record.lease_until = None;
        }
        Change::Resolve(resolution) if undecided => record.facts.resolved = Some(resolution),
        Change::Resend | Change::Requeue if opted_out => return false,
        Change::Resend if undecided && run.phase != Phase::Cancelled => {
            write_off(&mut record.facts, now);
            put_back(record, now);
        }
        Change::Requeue if dead && run.phase != Phase::Cancelled => {
            // One that a person said was not delivered may still be in doubt.
            write_off(&mut record.facts, now);
            put_back(record, now);
        }
        Change::Strike if record.state.is_waiting() || record.state == State::Leased => {
            record.strikes += 1;
            record.lease_until = None;
            record.next_at = now + STRIKE_PAUSE;
            // The first time nobody knew whom to blame.
            let strikes = record.strikes + u32::from(record.lost_leases > 0);
            if strikes >= run.header.policy.strikes_max {
                record.facts.ended = record.facts.ended.max(Some(Ended::Quarantined));
            }
        }
        Change::Suspect
            if (record.state.is_waiting() || record.state == State::Leased)
                && record.due_at <= now =>
        {
            record.lease_until = None;
            record.facts.suspect = true;
            // Put back before the doubt: that does not set the doubt aside.
            record.facts.requeued_at = None;
        }
        _ => return false,
    }
    settle(record, run, before);
    end_if_over(record, run, now);
    true
}

/// What took a worker down is not handed to the next one at once.
const STRIKE_PAUSE: Duration = Duration::from_secs(1);

/// Our own decision to end is the one thing that is taken back.
fn put_back(record: &mut Record, now: Timestamp) {
    record.facts.ended = None;
    record.facts.resolved = None;
    record.facts.requeued_at = Some(now);
    record.damage = None;
    (record.strikes, record.lost_leases) = (0, 0);
    record.next_at = now;
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
    // A closed run stays over, even by a clock that was put back.
    let closed = run.phase == Phase::Closed;
    let over = match record.state {
        State::Planned | State::RetryWait | State::Leased => {
            cancelled || closed || now >= run.stop_at()
        }
        State::Ambiguous => closed || now >= run.close_at(),
        _ => false,
    };
    over.then_some(if cancelled { Ended::Cancelled } else { Ended::Closed })
}

/// In a closed run no attempt is under way.
fn doubt_lost_intents(facts: &mut Facts, run: &Run, now: Timestamp) {
    let timeout = run.header.policy.intent_timeout;
    for attempt in &mut facts.attempts {
        let lost = attempt.intent_at.is_none_or(|at| at + timeout <= now);
        if standing(attempt) == Standing::InFlight && (lost || run.phase == Phase::Closed) {
            attempt.http = Http::Ambiguous(Doubt::Crash);
        }
    }
}
