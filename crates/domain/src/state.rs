//! What a set of facts means: one pure function.
//!
//! `Read > Delivered > Sent > Accepted | Held > Failed > Unknown`; open while sending:
//! `Planned → Leased → Intent → (Accepted | RetryWait | Ambiguous)`; never sent:
//! `Suppressed, Expired, Cancelled`. Within one attempt a reported failure outranks
//! *accepted* and *sent* but not *delivered*: a phone cannot un-receive a message.
//! `Failed` and `Unknown` still take facts: terminal for sending, never for knowing.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::facts::{Attempt, Ended, Facts, Http};
use crate::failure::FailureClass;

/// The visible state of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Planned,
    Leased,
    Intent,
    Ambiguous,
    RetryWait,
    Held,
    Accepted,
    Sent,
    Delivered,
    Read,
    Failed,
    Unknown,
    Suppressed,
    Expired,
    Cancelled,
}

impl State {
    pub const ALL: [State; 15] = [
        State::Planned,
        State::Leased,
        State::Intent,
        State::Ambiguous,
        State::RetryWait,
        State::Held,
        State::Accepted,
        State::Sent,
        State::Delivered,
        State::Read,
        State::Failed,
        State::Unknown,
        State::Suppressed,
        State::Expired,
        State::Cancelled,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            State::Planned => "planned",
            State::Leased => "leased",
            State::Intent => "intent",
            State::Ambiguous => "ambiguous",
            State::RetryWait => "retry_wait",
            State::Held => "held",
            State::Accepted => "accepted",
            State::Sent => "sent",
            State::Delivered => "delivered",
            State::Read => "read",
            State::Failed => "failed",
            State::Unknown => "unknown",
            State::Suppressed => "suppressed",
            State::Expired => "expired",
            State::Cancelled => "cancelled",
        }
    }

    pub fn parse(text: &str) -> Option<State> {
        State::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Sending is not over: someone still has to act.
    pub const fn is_open(self) -> bool {
        matches!(
            self,
            State::Planned | State::Leased | State::Intent | State::Ambiguous | State::RetryWait
        )
    }

    /// May be claimed when due.
    pub const fn is_waiting(self) -> bool {
        matches!(self, State::Planned | State::RetryWait)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a recipient was left out when the run was planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Suppression {
    NoContent,
    NotApproved,
    NoConsent,
    BadParameters,
    BadMedia,
    NoNumber,
}

impl Suppression {
    pub const ALL: [Suppression; 6] = [
        Suppression::NoContent,
        Suppression::NotApproved,
        Suppression::NoConsent,
        Suppression::BadParameters,
        Suppression::BadMedia,
        Suppression::NoNumber,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Suppression::NoContent => "no_content",
            Suppression::NotApproved => "not_approved",
            Suppression::NoConsent => "no_consent",
            Suppression::BadParameters => "bad_parameters",
            Suppression::BadMedia => "bad_media",
            Suppression::NoNumber => "no_number",
        }
    }
}

/// What to do about an attempt whose outcome nobody knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnAmbiguous {
    /// Never resend by itself; `Unknown` when the window ends.
    #[default]
    Hold,
}

/// The rules that facts are read by; fixed for a run when it is planned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// Attempts that may reach the far side, 1 to 10.
    pub attempts_max: u32,
    /// Tries that spend no attempt (throttled, not sent, given back) before giving up.
    pub defers_max: u32,
    pub on_ambiguous: OnAmbiguous,
    /// How long a claim is ours before someone else may take it.
    pub lease: Duration,
    /// An intent without an answer is ambiguous after this. Must exceed budget + HTTP total.
    pub intent_timeout: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            attempts_max: 3,
            defers_max: 20,
            on_ambiguous: OnAmbiguous::Hold,
            lease: Duration::from_secs(10),
            intent_timeout: Duration::from_secs(15), // 2 s budget + 10 s HTTP + margin
        }
    }
}

/// What one attempt amounts to, given everything known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Granted, no answer yet.
    InFlight,
    Doubtful,
    /// Never reached the far side, or was turned away for pace: no attempt spent.
    Unspent,
    /// Spent, and another may follow.
    Closed,
    /// Spent, and no other can succeed.
    Rejected,
    /// Taken by Meta, in this state.
    Taken(State),
}

/// Reads one attempt.
pub fn standing(attempt: &Attempt) -> Standing {
    if attempt.read_at.is_some() {
        return Standing::Taken(State::Read);
    }
    if attempt.delivered_at.is_some() {
        return Standing::Taken(State::Delivered);
    }
    if let Some(reported) = attempt.failed {
        return match reported.failure.class {
            FailureClass::Retryable | FailureClass::Throttled | FailureClass::Halted => {
                Standing::Closed
            }
            FailureClass::Rejected => Standing::Rejected,
        };
    }
    if attempt.sent_at.is_some() {
        return Standing::Taken(State::Sent);
    }
    match &attempt.http {
        Http::None => Standing::InFlight,
        Http::Ambiguous(_) => Standing::Doubtful,
        Http::NotSent(_) => Standing::Unspent,
        Http::Refused(failure) => match failure.class {
            FailureClass::Throttled | FailureClass::Halted => Standing::Unspent,
            FailureClass::Retryable => Standing::Closed,
            FailureClass::Rejected => Standing::Rejected,
        },
        Http::Accepted { held: true, .. } => Standing::Taken(State::Held),
        Http::Accepted { held: false, .. } => Standing::Taken(State::Accepted),
    }
}

/// How many attempts count against [`Policy::attempts_max`].
pub fn attempts_spent(facts: &Facts) -> u32 {
    count(facts, |standing| standing != Standing::Unspent)
}

/// How many tries count against [`Policy::defers_max`].
pub fn defers_spent(facts: &Facts) -> u32 {
    count(facts, |standing| standing == Standing::Unspent)
}

fn count(facts: &Facts, which: impl Fn(Standing) -> bool) -> u32 {
    let n = facts.attempts.iter().filter(|attempt| which(standing(attempt))).count();
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// The visible state. `leased` tells whether a worker holds the claim.
pub fn state(facts: &Facts, leased: bool, policy: &Policy) -> State {
    let standings = || facts.attempts.iter().map(standing);
    let taken = standings().filter_map(|s| match s {
        Standing::Taken(state) => Some(state),
        _ => None,
    });
    if let Some(best) = taken.max() {
        return best;
    }
    if matches!(facts.ended, Some(Ended::Suppressed(_))) {
        return State::Suppressed;
    }
    if standings().any(|s| s == Standing::InFlight) {
        return State::Intent;
    }
    let spent = attempts_spent(facts);
    let doubtful = standings().any(|s| s == Standing::Doubtful);
    if standings().any(|s| s == Standing::Rejected) {
        return State::Failed;
    }
    if doubtful {
        return if facts.ended.is_some() { State::Unknown } else { State::Ambiguous };
    }
    if spent >= policy.attempts_max {
        return State::Failed;
    }
    match facts.ended {
        Some(_) if spent > 0 => State::Failed,
        Some(Ended::Cancelled) => State::Cancelled,
        Some(_) => State::Expired,
        None if defers_spent(facts) > policy.defers_max => State::Failed,
        None if leased => State::Leased,
        None if facts.attempts.is_empty() => State::Planned,
        None => State::RetryWait,
    }
}

#[cfg(test)]
mod tests;
