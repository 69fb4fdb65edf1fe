//! From the POST to its result: what the answer means for the delivery, the number, the template
//! and the account.

use std::collections::HashSet;
use std::time::Instant;

use domain::facts::NotSent;
use domain::failure::NO_CODE;
use domain::{FailureClass, Http, Nonce, Outcome, Scope, TemplateCall};
use ledger::halts::Thing;
use ledger::{AttemptResult, Claim};
use telemetry::labels::AttemptOutcome;

use super::{Prepared, own_trouble, own_works, settle};
use crate::decide::{Decision, Effect, Spent, decide};
use crate::gate::Trouble;
use crate::lane::{NumberLane, Stopped};
use crate::{failpoint, monotonic};

/// Sends what was granted, and records what came of the request.
pub(super) async fn attempt(lane: &NumberLane, claim: &Claim, prepared: Prepared, nonce: Nonce) {
    let shared = &lane.shared;
    let dispatched_at = shared.store_now();
    let started = monotonic();
    let Prepared { call, things, body, .. } = prepared;
    let outcome = lane.provider.send(&lane.number, body).await;
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
        Outcome::Accepted { held: false, .. } => AttemptOutcome::Accepted,
        Outcome::Accepted { held: true, .. } => AttemptOutcome::Held,
        Outcome::Refused { failure, .. } => match failure.class {
            Throttled => AttemptOutcome::Throttled,
            Retryable | Rejected => AttemptOutcome::Refused,
            Halted => AttemptOutcome::Halted,
        },
        Outcome::Ambiguous { .. } => AttemptOutcome::Ambiguous,
        Outcome::NotSent(_) => AttemptOutcome::NotSent,
    };
    metrics.sending.attempts.of(label).inc();
    let took = (monotonic() - started).as_secs_f64();
    metrics.sending.attempt_duration.of(label).observe(took);
    if claim.attempts_spent + claim.defers_spent == 0 {
        metrics.sending.lateness.observe(late);
    }
    match outcome {
        Outcome::Refused { failure, words, .. } => {
            let meaning = lane.provider.meaning(failure.code);
            tracing::debug!(delivery.id = %claim.id, code = failure.code, "delivery {} refused: code {}, {meaning}: {words}", claim.id, failure.code);
        }
        Outcome::NotSent(why) => lane.shared.unsent.note(*why, monotonic()),
        _ => {}
    }
}
