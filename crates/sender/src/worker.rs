//! One delivery's way: permit → journal → intent → POST → decide → result.
//!
//! Invariants: nothing is written to the network before this host has noted it and the
//! ledger has granted this nonce; an intent that was refused, unanswered or too old is not
//! sent; whatever the far side said is recorded, however long the store takes to come back.

use std::collections::HashSet;
use std::fmt::Display;
use std::time::{Duration, Instant};

use cloud_api::Outcome;
use cloud_api::error_codes::NO_CODE;
use cloud_api::messages::template_message;
use domain::callback::Callback;
use domain::facts::NotSent;
use domain::hash::stable64;
use domain::{FailureClass, Http, Nonce, Scope, State};
use ledger::halts::Thing;
use ledger::{AttemptResult, Claim, IntentAnswer, IntentRequest, Refusal, Release};
use quality::Pace;
use templates::TemplateCall;

use crate::decide::{Decision, Effect, Spent, decide};
use crate::gate::{TROUBLE_PAUSE, Trouble};
use crate::journal::{Entry, Sync};
use crate::lane::{NumberLane, Stopped};
use crate::{failpoint, monotonic, recovery, since_boot};

/// First and longest pause while the store does not take a result.
const STORE_PAUSE: Duration = Duration::from_millis(50);
const STORE_PAUSE_MAX: Duration = Duration::from_secs(2);
/// A body that cannot be read is a defect: looked at again when a fixed version runs.
const DEFECT_PAUSE: Duration = Duration::from_secs(30);
/// Before another look at what is due only by a clock that jumped.
const EARLY_PAUSE: Duration = Duration::from_millis(500);

pub async fn deliver(lane: &NumberLane, claim: Claim) {
    let shared = &lane.shared;
    let in_hand = shared.unsettled.take(|| shared.journal.end());
    handle(lane, claim).await;
    shared.unsettled.settle(&in_hand);
}

async fn handle(lane: &NumberLane, claim: Claim) {
    let shared = &lane.shared;
    if shared.gate.is_early(claim.due_at, since_boot()) {
        return give_back(lane, &claim, EARLY_PAUSE).await;
    }
    if shared.grants.is_forgotten(&claim) {
        return recovery::doubt_the_store(shared, &claim.id).await;
    }
    let nonce = shared.with_rng(Nonce::new);
    let Some(prepared) = prepare(lane, &claim, nonce).await else { return };
    lane.permit_wanted();
    let permit = permit(lane, &claim, &prepared.things).await;
    lane.permit_settled();
    if let Err(hold) = permit {
        return give_back(lane, &claim, hold).await;
    }
    if let Err(wait) = shared.gate.pass(monotonic()) {
        return give_back(lane, &claim, wait).await;
    }
    let intended = since_boot();
    if !journal_intent(lane, &claim, nonce).await {
        return give_back(lane, &claim, TROUBLE_PAUSE).await;
    }
    let journalled = since_boot() - intended;
    failpoint::pass("intent");
    let request = IntentRequest { id: claim.id.clone(), fence: claim.fence, nonce };
    match shared.ledger.intent(&[request]).await.as_deref() {
        Ok([IntentAnswer::Granted]) => shared.grants.note(&claim.id, nonce),
        Ok([IntentAnswer::Refused(refusal)]) => {
            shared.metrics.intents_refused.inc();
            tracing::debug!(delivery.id = %claim.id, ?refusal, "delivery {} was not ours to send", claim.id);
            let waiting = Refusal::State(State::Planned);
            if [Refusal::Fence, waiting, Refusal::State(State::RetryWait)].contains(refusal) {
                // Its lease ended in our hands: claims take longer than they last.
                let lease = claim.header.policy.lease;
                let cause = format_args!("a claim outlived its lease of {lease:?}");
                own_trouble(lane, Trouble::StoreSlow, cause);
            }
            note(lane, &Entry::Result(aborted(lane, &claim, nonce))).await;
            return;
        }
        answer => {
            // It may have been granted without our hearing of it: close it by its nonce.
            shared.metrics.ledger_errors.inc();
            let cause = answer.err().map_or("no answer".to_owned(), ToString::to_string);
            own_trouble(lane, Trouble::StoreRefuses, cause);
            return abort(lane, &claim, nonce).await;
        }
    }
    failpoint::pass("granted");
    let noted = note(lane, &Entry::Write { nonce }).await;
    let (took, limit) = (since_boot() - intended, shared.budget.limit());
    shared.budget.observe(took);
    if !noted {
        return abort(lane, &claim, nonce).await; // the gate knows
    }
    if took > limit {
        let slow = journalled > took / 2;
        let trouble = if slow { Trouble::JournalSlow } else { Trouble::StoreSlow };
        own_trouble(lane, trouble, format_args!("{took:?}, at most {limit:?}"));
        return abort(lane, &claim, nonce).await;
    }
    own_works(lane, |trouble| trouble != Trouble::Descriptors);
    failpoint::pass("write");
    attempt(lane, &claim, prepared, nonce).await
}

/// A delivery that can go: what the breakers ask about, and the bytes.
struct Prepared {
    call: TemplateCall,
    things: Vec<Thing>,
    body: Vec<u8>,
}

/// Builds the body. A delivery that may have taken a worker down is built between two
/// notes, so that the next process knows which one it was. `None`: it cannot be read.
async fn prepare(lane: &NumberLane, claim: &Claim, nonce: Nonce) -> Option<Prepared> {
    let id = &claim.id;
    if claim.suspicious {
        note(lane, &Entry::Handling { id: id.clone() }).await;
    }
    let prepared = build(lane, claim, nonce);
    if claim.suspicious {
        note(lane, &Entry::Handled { id: id.clone() }).await;
    }
    match prepared {
        Ok(prepared) => Some(prepared),
        Err(error) => {
            tracing::error!(delivery.id = %id, "content of {id} cannot be read: line {}, column {}", error.line(), error.column());
            give_back(lane, claim, DEFECT_PAUSE).await;
            None
        }
    }
}

fn build(lane: &NumberLane, claim: &Claim, nonce: Nonce) -> serde_json::Result<Prepared> {
    failpoint::pass(format_args!("prepare#{}", claim.id.index));
    let call: TemplateCall = serde_json::from_str(&claim.body)?;
    let callback = Callback { delivery: claim.id.clone(), nonce }.encode(&lane.shared.callback_key);
    let body = serde_json::to_vec(&template_message(&claim.message.to, &call, &callback))?;
    Ok(Prepared { things: lane.things(&call), call, body })
}

/// Notes that the ledger will be asked. A store that may forget needs the note on the
/// disk first; one that cannot is its own note. False: the journal cannot be written, so
/// nothing may be sent.
async fn journal_intent(lane: &NumberLane, claim: &Claim, nonce: Nonce) -> bool {
    let shared = &lane.shared;
    let entry = Entry::Intent {
        id: claim.id.clone(),
        nonce,
        at: shared.store_now(),
        boot: shared.journal.boot().to_owned(),
    };
    let sync = if shared.options.ledger_forgets { Sync::Yes } else { Sync::No };
    append(lane, &entry, sync).await
}

/// A note that need not survive the machine.
async fn note(lane: &NumberLane, entry: &Entry) -> bool {
    append(lane, entry, Sync::No).await
}

async fn append(lane: &NumberLane, entry: &Entry, sync: Sync) -> bool {
    let written = lane.shared.journal.append(entry, sync).await;
    if let Err(error) = &written {
        own_trouble(lane, Trouble::JournalFails, error);
    }
    written.is_ok()
}

/// Closes the gate for a moment: the cause is ours, so no delivery pays for it. Said once,
/// and once more with a count when it is over.
fn own_trouble(lane: &NumberLane, trouble: Trouble, cause: impl Display) {
    let (shared, reason) = (&lane.shared, trouble.as_str());
    if shared.gate.trouble(trouble, monotonic()) {
        for other in Trouble::ALL {
            let blocked = shared.metrics.sending_blocked.with_label_values(&[other.as_str()]);
            blocked.set(i64::from(other == trouble));
        }
        tracing::error!(
            reason,
            "nothing is sent: {} ({cause}); it is tried again each second",
            trouble.said()
        );
    }
}

fn own_works(lane: &NumberLane, past: impl Fn(Trouble) -> bool) {
    let shared = &lane.shared;
    if let Some((over, met)) = shared.gate.works(past) {
        let reason = over.as_str();
        shared.metrics.sending_blocked.with_label_values(&[reason]).set(0);
        tracing::info!(reason, met, "sending goes on: {met} deliveries met that {}", over.said());
    }
}

/// Waits for rate and pair permits. Err: a breaker holds, or the wait would eat the lease.
async fn permit(lane: &NumberLane, claim: &Claim, things: &[Thing]) -> Result<(), Duration> {
    let until = monotonic() + claim.header.policy.lease / 2;
    let pair = stable64(&[lane.number.as_str(), claim.message.recipient.as_str()]);
    if let Pace::Wait(wait) | Pace::Hold(wait) = lane.shared.pairs.check(pair, monotonic()) {
        return Err(wait);
    }
    loop {
        let now = monotonic();
        match lane.throughput.check(now) {
            Pace::Go => break,
            Pace::Wait(wait) | Pace::Hold(wait) if now + wait > until => return Err(wait),
            Pace::Wait(wait) | Pace::Hold(wait) => tokio::time::sleep(wait).await,
        }
    }
    // Last, because a breaker that is half-open hands out its one probe here.
    match lane.breakers(things, monotonic()) {
        Pace::Go => Ok(()),
        Pace::Wait(wait) | Pace::Hold(wait) => Err(wait),
    }
}

async fn attempt(lane: &NumberLane, claim: &Claim, prepared: Prepared, nonce: Nonce) {
    let shared = &lane.shared;
    let dispatched_at = shared.store_now();
    let started = monotonic();
    let Prepared { call, things, body } = prepared;
    let outcome = shared.transport.send(&lane.number, body).await;
    failpoint::pass("answered");
    match outcome {
        Outcome::NotSent(why @ NotSent::Descriptors) => {
            own_trouble(lane, Trouble::Descriptors, why.as_str());
        }
        _ => own_works(lane, |trouble| trouble == Trouble::Descriptors),
    }
    let outcome = unspent_if_stopped(lane, &things, outcome);
    measure(lane, claim, &outcome, dispatched_at.millis_after(claim.due_at) / 1e3, started);

    let words = match &outcome {
        Outcome::Refused { words, .. } | Outcome::Ambiguous { words, .. } => words.clone(),
        _ => String::new(),
    };
    let code = match &outcome {
        Outcome::Refused { failure, .. } => failure.code,
        Outcome::Ambiguous { code, .. } => code.unwrap_or(NO_CODE),
        _ => NO_CODE,
    };
    let spent = Spent { attempts: claim.attempts_spent, defers: claim.defers_spent };
    let decision = {
        let now = shared.store_now();
        shared.with_rng(|rng| decide(outcome, spent, now, &shared.options, rng))
    };
    react(lane, (&call, &things), &decision, Stopped { code, words: &words });
    let Decision { http, accepted_at, retry_in, .. } = decision;
    let dispatched_at = Some(dispatched_at).filter(|_| !matches!(http, Http::NotSent(_)));
    let id = claim.id.clone();
    let words = Some(words).filter(|words| !words.is_empty());
    let result = AttemptResult { id, nonce, http, dispatched_at, accepted_at, retry_in, words };
    settle(lane, result).await;
}

/// While a streak has stopped one of these, its probes are not paid for by recipients.
fn unspent_if_stopped(lane: &NumberLane, things: &[Thing], outcome: Outcome) -> Outcome {
    let Outcome::Refused { mut failure, retry_after, words } = outcome else { return outcome };
    let stopped = |by_streak: &mut HashSet<Thing>| things.iter().any(|t| by_streak.contains(t));
    let is_ours = failure.class == FailureClass::Rejected && failure.scope == Scope::Message;
    if is_ours && lane.shared.with_by_streak(stopped) {
        failure.class = FailureClass::Halted;
    }
    Outcome::Refused { failure, retry_after, words }
}

/// What the outcome means for the number, the template and the account.
fn react(
    lane: &NumberLane,
    (call, things): (&TemplateCall, &[Thing]),
    decision: &Decision,
    stopped: Stopped<'_>,
) {
    let now = monotonic();
    match decision.effect {
        Effect::None => {}
        Effect::Flows => lane.flows(things, now),
        Effect::SlowDown => lane.throughput.cut(now),
        Effect::Trip(Scope::Message) => {
            // A probe of what a streak has stopped.
            let by_streak = lane.shared.with_by_streak(|by_streak| {
                things.iter().find(|thing| by_streak.contains(thing)).cloned()
            });
            if let Some(thing) = by_streak {
                lane.trip_by_streak(thing, stopped, now);
            }
        }
        Effect::Trip(scope) => lane.trip(scope, call, stopped, now),
        Effect::Streak => {
            let doubt = matches!(decision.http, Http::Ambiguous(_));
            // Doubts come from what lies between: they speak of the way, not of the message.
            let own = [Thing::Number(lane.number.clone())];
            let share = if doubt { &own[..] } else { things };
            let code = if doubt { DOUBTS } else { stopped.code };
            let full = lane.shared.with_streaks(|streaks| streaks.refused(share, code));
            if let Some(thing) = full {
                lane.trip_by_streak(thing, stopped, now);
            }
        }
    }
}

/// Doubts of any kind are counted as one.
const DOUBTS: i32 = -2;

fn measure(lane: &NumberLane, claim: &Claim, outcome: &Outcome, late: f64, started: Instant) {
    use domain::FailureClass::{Halted, Rejected, Retryable, Throttled};
    let metrics = &lane.shared.metrics;
    let label = match outcome {
        Outcome::Accepted { held: false, .. } => "accepted",
        Outcome::Accepted { held: true, .. } => "held",
        Outcome::Refused { failure, .. } => match failure.class {
            Throttled => "throttled",
            Retryable | Rejected => "refused",
            Halted => "halted",
        },
        Outcome::Ambiguous { .. } => "ambiguous",
        Outcome::NotSent(_) => "not_sent",
    };
    metrics.attempts.with_label_values(&[label]).inc();
    let took = (monotonic() - started).as_secs_f64();
    metrics.attempt_duration.with_label_values(&[label]).observe(took);
    if claim.attempts_spent + claim.defers_spent == 0 {
        metrics.lateness.observe(late);
    }
    match outcome {
        Outcome::Refused { failure, words, .. } => {
            let meaning = cloud_api::error_codes::meaning(failure.code);
            tracing::debug!(delivery.id = %claim.id, code = failure.code, "delivery {} refused: code {}, {meaning}: {words}", claim.id, failure.code);
        }
        Outcome::NotSent(why) => lane.shared.unsent.note(*why, monotonic()),
        _ => {}
    }
}

/// Closes an intent that was not used.
async fn abort(lane: &NumberLane, claim: &Claim, nonce: Nonce) {
    settle(lane, aborted(lane, claim, nonce)).await;
}

fn aborted(lane: &NumberLane, claim: &Claim, nonce: Nonce) -> AttemptResult {
    let wait = lane.shared.with_rng(|rng| lane.shared.options.defer.delay(1, rng));
    AttemptResult {
        id: claim.id.clone(),
        nonce,
        http: Http::NotSent(NotSent::Aborted),
        dispatched_at: None,
        accepted_at: None,
        retry_in: Some(wait),
        words: None,
    }
}

/// A claim that cannot be given back waits for its lease to end.
async fn give_back(lane: &NumberLane, claim: &Claim, wait: Duration) {
    let release = Release { id: claim.id.clone(), fence: claim.fence, wait };
    if let Err(error) = lane.shared.ledger.release(&[release]).await {
        lane.shared.metrics.ledger_errors.inc();
        tracing::warn!(delivery.id = %claim.id, error = %error, "delivery {} waits for its lease to end: {error}", claim.id);
    }
}

/// Notes the outcome here, then records it.
async fn settle(lane: &NumberLane, result: AttemptResult) {
    note(lane, &Entry::Result(result.clone())).await;
    failpoint::pass("noted");
    record(lane, result).await;
}

/// Repeats until the store has it. If this process dies first, the next one finds the
/// outcome in the journal.
async fn record(lane: &NumberLane, result: AttemptResult) {
    let results = [result];
    let mut pause = STORE_PAUSE;
    loop {
        match lane.shared.ledger.result(&results).await {
            Ok(states) => {
                if states.contains(&State::RetryWait) {
                    queue::Lane::wake(lane).notify_one();
                }
                return;
            }
            Err(error) => {
                lane.shared.metrics.ledger_errors.inc();
                let id = &results[0].id;
                tracing::warn!(delivery.id = %id, error = %error, "result of {id} is not recorded yet: {error}");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(STORE_PAUSE_MAX);
            }
        }
    }
}
