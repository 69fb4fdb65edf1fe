//! What may happen to a delivery, as pure functions: the only place where records change.
//!
//! Each takes the record and the store's time and answers what became of it. All checks
//! come before the first change, so a refusal leaves the record as it was.

mod by_hand;
mod ends;
mod evidence;
mod rolling;

use std::time::Duration;

use domain::state::{attempts_spent, defers_spent};
use domain::{Attempt, Facts, State, Timestamp};

pub use self::by_hand::amend;
pub use self::ends::stop_at;
use self::ends::{doubt_lost_intents, end_if_over, suspect_at_the_end};
pub use self::evidence::{FORGET, Sighting, Witness, witness};
use self::evidence::{Weighed, settle, weigh};
pub use self::rolling::{adopt, appended, stub};
use crate::api::{
    Applied, AttemptResult, IntentRequest, Phase, Refusal, Release, Run, WebhookFact,
};
use crate::record::Record;

/// What a claim did with a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    Leased,
    /// Its own end has passed: it is over, and out of the way of the others.
    Ended,
    /// It is not there to be had, and as it was.
    Left,
}

/// Leases a due delivery.
pub fn claim(record: &mut Record, run: &Run, now: Timestamp) -> Taken {
    let due = record.state.is_waiting() && record.next_at <= now;
    if !due || run.phase != Phase::Open || now >= run.stop_at() {
        return Taken::Left;
    }
    if end_if_over(record, run, now) {
        return Taken::Ended;
    }
    record.lease_token += 1;
    record.lease_until = Some(now + run.header.policy.lease);
    record.settle(&run.header.policy);
    Taken::Leased
}

/// Grants the right to send once.
///
/// # Errors
/// The reason for a refusal; the record is unchanged.
pub fn intent(
    record: &mut Record,
    run: &Run,
    request: &IntentRequest,
    now: Timestamp,
) -> Result<(), Refusal> {
    let IntentRequest { lease_token, nonce, .. } = *request;
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
    if now >= stop_at(record, run) {
        return Err(Refusal::TooLate);
    }
    // Last: over Redis the phase is known only where the step is taken.
    if run.phase != Phase::Open {
        return Err(Refusal::RunNotOpen);
    }
    let sent_as = request.sent_as.clone();
    record.facts.merge_attempt(&Attempt { intent_at: Some(now), sent_as, ..Attempt::new(nonce) });
    record.lease_until = None;
    record.settle(&run.header.policy);
    Ok(())
}

/// Records what an attempt gave. An unknown nonce is evidence of a send and is kept.
pub fn result(record: &mut Record, run: &Run, result: &AttemptResult, now: Timestamp) {
    merge(record, run, &news_in(result), |_| result.retry_in.map(|wait| now + wait), now);
}

/// What a result says of its attempt.
pub fn news_in(result: &AttemptResult) -> Attempt {
    Attempt {
        http: result.http.clone(),
        dispatched_at: result.dispatched_at,
        accepted_at: result.accepted_at,
        words: result.words.clone(),
        ..Attempt::new(result.nonce)
    }
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
    if record.damage.is_some() {
        // Its lane may have been lost with it: the number that reports it is its own.
        let number = fact.number.as_ref();
        record.lane = number.and_then(|n| run.header.lane_of(n)).unwrap_or(record.lane);
    }
    let Some(through) = through(record, run, fact) else { return Applied::Foreign };
    if held.is_none() && fact.is_first_tag {
        return Applied::Foreign;
    }
    let is_known = held.is_some();
    let mut news = believable(&fact.news, held, fact.received_at);
    news.lane = (through != record.lane).then_some(through);
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

/// The lane that the news came through; `None`: it is another's. An attempt of a delivery that has
/// moved since is bound to its number. Any other one may have gone through each number of the run:
/// the store may have forgotten that the delivery had moved. (Its tag says that it is ours.)
fn through(record: &Record, run: &Run, fact: &WebhookFact) -> Option<u16> {
    let held = record.facts.attempt(fact.news.nonce).and_then(|held| held.lane);
    let Some(number) = &fact.number else { return Some(held.unwrap_or(record.lane)) };
    let named = run.header.lane_of(number)?;
    held.is_none_or(|held| held == named).then_some(named)
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
    /// It ended while the store waits for a host that may have sent it.
    pub suspected: bool,
}

impl Sweep {
    pub fn changed(self) -> bool {
        self.lease_expired || self.intent_lost || self.written_off || self.reviewed || self.ended
    }
}

/// Frees an expired lease, doubts a lost intent, writes off a doubt that evidence
/// resolves, ends what may not be tried any more. `fenced`: the store may have forgotten what a
/// host did, so what was due when it ended may have been sent.
pub fn sweep(
    record: &mut Record,
    run: &Run,
    now: Timestamp,
    witness: Witness,
    fenced: bool,
) -> Sweep {
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
    done.suspected = fenced && suspect_at_the_end(record, run, now);
    done.ended = end_if_over(record, run, now);
    if record.state == State::Ambiguous && record.next_at <= now {
        match weigh(record, run, now, witness) {
            Weighed::WrittenOff => done.written_off = true,
            Weighed::LookAgain => done.reviewed = true,
        }
    }
    done
}
