//! One delivery's way: permit → intent → POST → decide → result.
//!
//! Invariants: nothing is written to the network before the ledger granted this nonce; an
//! intent that was refused, unanswered or too old is not sent; whatever the far side said
//! is recorded, however long the store takes to come back.

use std::time::{Duration, Instant};

use cloud_api::Outcome;
use cloud_api::messages::template_message;
use domain::callback::Callback;
use domain::facts::NotSent;
use domain::hash::stable64;
use domain::{Http, Nonce, State};
use ledger::{AttemptResult, Claim, IntentAnswer, IntentRequest, Release};
use quality::Pace;
use queue::BoxError;
use templates::TemplateCall;

use crate::decide::{Decision, Effect, Spent, decide};
use crate::lane::NumberLane;

/// First and longest pause while the store does not take a result.
const STORE_PAUSE: Duration = Duration::from_millis(50);
const STORE_PAUSE_MAX: Duration = Duration::from_secs(2);
/// A body that cannot be read is a defect: looked at again when a fixed version runs.
const DEFECT_PAUSE: Duration = Duration::from_secs(30);

pub async fn deliver(lane: &NumberLane, claim: Claim) -> Result<(), BoxError> {
    let call: TemplateCall = match serde_json::from_str(&claim.body) {
        Ok(call) => call,
        Err(error) => {
            tracing::error!(delivery.id = %claim.id, "content of {} cannot be read: line {}, column {}", claim.id, error.line(), error.column());
            return give_back(lane, &claim, DEFECT_PAUSE).await;
        }
    };
    lane.permit_wanted();
    let permit = permit(lane, &claim, &call).await;
    lane.permit_settled();
    if let Err(hold) = permit {
        return give_back(lane, &claim, hold).await;
    }
    let nonce = lane.shared.with_rng(Nonce::new);
    let intended = Instant::now();
    let request = IntentRequest { id: claim.id.clone(), fence: claim.fence, nonce };
    match lane.shared.ledger.intent(&[request]).await.as_deref() {
        Ok([IntentAnswer::Granted]) => {}
        Ok([IntentAnswer::Refused(refusal)]) => {
            lane.shared.metrics.intents_refused.inc();
            tracing::debug!(delivery.id = %claim.id, ?refusal, "delivery {} was not ours to send", claim.id);
            return Ok(());
        }
        Ok(_) | Err(_) => {
            // It may have been granted without our hearing of it: close it by its nonce.
            lane.shared.metrics.ledger_errors.inc();
            return abort(lane, &claim, nonce).await;
        }
    }
    if intended.elapsed() > lane.shared.options.budget {
        return abort(lane, &claim, nonce).await;
    }
    attempt(lane, &claim, &call, nonce).await
}

/// Waits for rate and pair permits. Err: a breaker holds, or the wait would eat the lease.
async fn permit(lane: &NumberLane, claim: &Claim, call: &TemplateCall) -> Result<(), Duration> {
    let until = Instant::now() + claim.header.policy.lease / 2;
    let pair = stable64(&[lane.number.as_str(), claim.message.recipient.as_str()]);
    if let Pace::Wait(wait) | Pace::Hold(wait) = lane.shared.pairs.check(pair, Instant::now()) {
        return Err(wait);
    }
    loop {
        let now = Instant::now();
        match lane.throughput.check(now) {
            Pace::Go => break,
            Pace::Wait(wait) | Pace::Hold(wait) if now + wait > until => return Err(wait),
            Pace::Wait(wait) | Pace::Hold(wait) => tokio::time::sleep(wait).await,
        }
    }
    // Last, because a breaker that is half-open hands out its one probe here.
    match lane.breakers(&call.name, Instant::now()) {
        Pace::Go => Ok(()),
        Pace::Wait(wait) | Pace::Hold(wait) => Err(wait),
    }
}

async fn attempt(
    lane: &NumberLane,
    claim: &Claim,
    call: &TemplateCall,
    nonce: Nonce,
) -> Result<(), BoxError> {
    let shared = &lane.shared;
    let callback = Callback { delivery: claim.id.clone(), nonce }.encode(&shared.callback_key);
    let body = serde_json::to_vec(&template_message(&claim.message.to, call, &callback))?;
    let dispatched_at = shared.clock.now();
    let started = Instant::now();
    let outcome = shared.api.send(&lane.number, body).await;
    measure(lane, claim, &outcome, dispatched_at.millis_after(claim.due_at) / 1e3, started);

    let spent = Spent { attempts: claim.attempts_spent, defers: claim.defers_spent };
    let decision = {
        let now = shared.clock.now();
        shared.with_rng(|rng| decide(outcome, spent, now, &shared.options, rng))
    };
    react(lane, call, &decision);
    let Decision { http, accepted_at, retry_at, .. } = decision;
    let dispatched_at = Some(dispatched_at).filter(|_| !matches!(http, Http::NotSent(_)));
    let id = claim.id.clone();
    record(lane, AttemptResult { id, nonce, http, dispatched_at, accepted_at, retry_at }).await;
    Ok(())
}

/// What the outcome means for the number, the template and the account.
fn react(lane: &NumberLane, call: &TemplateCall, decision: &Decision) {
    let now = Instant::now();
    match decision.effect {
        Effect::None => {}
        Effect::Flows => lane.flows(&call.name, now),
        Effect::SlowDown => lane.throughput.cut(now),
        Effect::Trip(scope) => {
            let code = if let Http::Refused(failure) = &decision.http { failure.code } else { 0 };
            lane.trip(scope, &call.name, code, now);
        }
    }
}

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
    let took = started.elapsed().as_secs_f64();
    metrics.attempt_duration.with_label_values(&[label]).observe(took);
    if claim.attempts_spent + claim.defers_spent == 0 {
        metrics.lateness.observe(late);
    }
    if let Outcome::Refused { failure, trace, .. } = outcome {
        let meaning = cloud_api::error_codes::meaning(failure.code);
        tracing::debug!(delivery.id = %claim.id, code = failure.code, trace, "delivery {} refused: code {}, {meaning}", claim.id, failure.code);
    }
}

/// Closes an intent that was not used.
async fn abort(lane: &NumberLane, claim: &Claim, nonce: Nonce) -> Result<(), BoxError> {
    let now = lane.shared.clock.now();
    let wait = lane.shared.with_rng(|rng| lane.shared.options.defer.delay(1, rng));
    let result = AttemptResult {
        id: claim.id.clone(),
        nonce,
        http: Http::NotSent(NotSent::Aborted),
        dispatched_at: None,
        accepted_at: None,
        retry_at: Some(now + wait),
    };
    record(lane, result).await;
    Ok(())
}

async fn give_back(lane: &NumberLane, claim: &Claim, wait: Duration) -> Result<(), BoxError> {
    let next_at = lane.shared.clock.now() + wait;
    let release = Release { id: claim.id.clone(), fence: claim.fence, next_at };
    lane.shared.ledger.release(&[release]).await?;
    Ok(())
}

/// Repeats until the store has it. If this process dies first, the sweeper turns the
/// intent into doubt, which is the truth then.
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
