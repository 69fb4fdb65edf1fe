//! Why a delivery did not arrive by the deadline. What was tried says so itself; why others
//! were never tried is read from what last happened to their number.

use std::collections::HashMap;
use std::time::Duration;

use domain::facts::Http;
use domain::failure::Failure;
use domain::state::attempts_spent;
use domain::{Attempt, FailureClass, NumberId, Scope, State, Timestamp};
use ledger::DeliveryView;

/// A number that had a message accepted this long before the deadline worked to its end.
const TO_THE_END: Duration = Duration::from_secs(30);

/// Every cause, as reports name it.
pub const CAUSES: [&str; 20] = [
    "delivered_late",
    "recipient_unreachable",
    "no_status",
    "held_for_quality",
    "unanswered",
    "cancelled",
    "quarantined",
    "damaged",
    "pending",
    "network",
    "attempts_spent",
    "throttled",
    "recipient_refused",
    "message_refused",
    "template_stopped",
    "number_stopped",
    "account_stopped",
    "auth_refused",
    "not_enough_time",
    "not_reached",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missed {
    Because(&'static str),
    /// Never tried: [`Causes`] says why.
    NotReached,
}

/// The causes of a run's misses, after [`Causes::see`] has seen all of its deliveries.
pub struct Causes {
    deadline: Timestamp,
    lanes: HashMap<NumberId, LaneEnd>,
}

/// What last happened to a number.
#[derive(Clone, Copy, Default)]
struct LaneEnd {
    taken_at: Option<Timestamp>,
    throttled_at: Option<Timestamp>,
    stopped: Option<(Timestamp, &'static str)>,
}

impl Causes {
    pub fn new(deadline: Timestamp) -> Self {
        Causes { deadline, lanes: HashMap::new() }
    }

    pub fn see(&mut self, delivery: &DeliveryView) {
        if delivery.facts.attempts.is_empty() {
            return;
        }
        let lane = self.lanes.entry(delivery.lane.clone()).or_default();
        for attempt in &delivery.facts.attempts {
            lane.see(attempt);
        }
    }

    pub fn of(&self, delivery: &DeliveryView) -> Option<&'static str> {
        match miss(delivery, self.deadline)? {
            Missed::Because(cause) => Some(cause),
            Missed::NotReached => Some(self.unreached(&delivery.lane)),
        }
    }

    /// Why deliveries of a number were never tried.
    pub fn unreached(&self, lane: &NumberId) -> &'static str {
        let lane = self.lanes.get(lane).copied().unwrap_or_default();
        let late = |at: Option<Timestamp>| at.is_some_and(|at| at + TO_THE_END >= self.deadline);
        match lane.stopped {
            Some((at, cause)) if lane.taken_at.is_none_or(|taken| taken < at) => cause,
            _ if late(lane.throttled_at) => "throttled",
            _ if late(lane.taken_at) => "not_enough_time",
            _ => "not_reached",
        }
    }
}

impl LaneEnd {
    fn see(&mut self, attempt: &Attempt) {
        self.taken_at = self.taken_at.max(attempt.taken_at());
        let Some(failure) = failure(attempt) else { return };
        let reported = attempt.failed.map(|failed| failed.at);
        let Some(at) = reported.or(attempt.dispatched_at).or(attempt.intent_at) else { return };
        match (failure.class, failure.scope) {
            (FailureClass::Throttled, _) => self.throttled_at = self.throttled_at.max(Some(at)),
            (FailureClass::Retryable, _) | (_, Scope::Recipient) => {}
            // Many equal refusals of messages stop the number too.
            _ => self.stopped = self.stopped.max(Some((at, named(failure)))),
        }
    }
}

/// Why an addressed delivery was not delivered by the deadline; `None` when it was, or was
/// never addressed.
pub fn miss(delivery: &DeliveryView, deadline: Timestamp) -> Option<Missed> {
    let arrived = delivery.facts.attempts.iter().filter_map(Attempt::arrived_at).min();
    let cause = match delivery.state {
        State::Suppressed => return None,
        State::Delivered | State::Read if arrived.is_some_and(|at| at <= deadline) => return None,
        State::Delivered | State::Read => "delivered_late",
        State::Sent => "recipient_unreachable",
        State::Accepted => "no_status",
        State::Held => "held_for_quality",
        State::Unknown => "unanswered",
        State::Cancelled => "cancelled",
        State::Quarantined if delivery.damage.is_some() => "damaged",
        State::Quarantined => "quarantined",
        State::Failed | State::Expired => return Some(failed_cause(delivery)),
        State::Planned | State::Leased | State::Intent | State::Ambiguous | State::RetryWait => {
            "pending"
        }
    };
    Some(Missed::Because(cause))
}

/// The last thing that was said about a delivery that failed or ran out of time.
fn failed_cause(delivery: &DeliveryView) -> Missed {
    let last = delivery.facts.attempts.iter().max_by_key(|attempt| attempt.intent_at);
    Missed::Because(match last.and_then(failure) {
        Some(failure) => named(failure),
        None if last.is_some_and(|attempt| matches!(attempt.http, Http::NotSent(_))) => "network",
        None if attempts_spent(&delivery.facts) > 0 => "attempts_spent",
        None => return Missed::NotReached,
    })
}

fn failure(attempt: &Attempt) -> Option<Failure> {
    match (&attempt.failed, &attempt.http) {
        (Some(reported), _) => Some(reported.failure),
        (None, Http::Refused(failure)) => Some(*failure),
        _ => None,
    }
}

fn named(failure: Failure) -> &'static str {
    match (failure.class, failure.scope) {
        (FailureClass::Throttled, _) => "throttled",
        (FailureClass::Retryable, _) => "attempts_spent",
        (_, Scope::Recipient) => "recipient_refused",
        (_, Scope::Message) => "message_refused",
        (_, Scope::Template) => "template_stopped",
        (_, Scope::Number) => "number_stopped",
        (_, Scope::Account) => "account_stopped",
        (_, Scope::Auth) => "auth_refused",
    }
}
