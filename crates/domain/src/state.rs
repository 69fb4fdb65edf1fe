//! What a set of facts means: one pure function.
//!
//! `Read > Delivered > Sent > Accepted | Held > Failed > Unknown`; open while sending:
//! `Planned → Leased → Intent → (Accepted | RetryWait | Ambiguous)`; never sent:
//! `Suppressed, Expired, Cancelled, Quarantined`. Within one attempt a reported failure outranks
//! *accepted* and *sent* but not *delivered*: a phone cannot un-receive a message.
//! `Failed` and `Unknown` still take facts: terminal for sending, never for knowing.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::facts::{Attempt, Doubt, Ended, Facts, Http, Resolution};
use crate::failure::{FailureClass, Scope};

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
    Quarantined,
}

impl State {
    pub const ALL: [State; 16] = [
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
        State::Quarantined,
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
            State::Quarantined => "quarantined",
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

/// What to do about an attempt whose outcome nobody knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnAmbiguous {
    /// Never resend by itself; `Unknown` when the window ends.
    Hold,
    /// Resend when there is evidence that it did not go, see [`Evidence`].
    #[default]
    Evidence,
}

impl OnAmbiguous {
    pub const fn as_str(self) -> &'static str {
        match self {
            OnAmbiguous::Hold => "hold",
            OnAmbiguous::Evidence => "evidence",
        }
    }
}

/// When silence counts as evidence that an attempt did not go. Needed besides: a *witness*,
/// a webhook for a send that the same lane made at least half the wait later, which shows
/// that the pipeline would have told us.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// Silence after a Graph error that does not say whether the message was taken.
    pub error_wait: Duration,
    /// Silence after a lost answer. Must exceed the longest time that Meta may take to
    /// accept a request whose client has gone.
    pub lost_wait: Duration,
    /// All resends on evidence, as a share of the run's deliveries, 0 to 1.
    #[serde(alias = "lost_budget")]
    pub budget: f64,
}

impl Default for Evidence {
    fn default() -> Self {
        Evidence {
            error_wait: Duration::from_secs(10),
            lost_wait: Duration::from_secs(45),
            budget: 0.005,
        }
    }
}

impl Evidence {
    pub fn wait(&self, doubt: Doubt) -> Duration {
        match doubt {
            Doubt::GraphError => self.error_wait,
            _ => self.lost_wait,
        }
    }

    /// Resends on evidence in a run of `total` deliveries, rounded up.
    pub fn resends_max(&self, total: u32) -> u32 {
        (f64::from(total) * self.budget).ceil() as u32
    }
}

/// The rules that facts are read by; fixed for a run when it is planned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// Attempts that may reach the far side, 1 to 10.
    pub attempts_max: u32,
    /// Tries that spend no attempt (throttled, not sent, given back) before giving up.
    pub defers_max: u32,
    pub on_ambiguous: OnAmbiguous,
    #[serde(default)]
    pub evidence: Evidence,
    /// Workers that a delivery may take down before it is quarantined.
    #[serde(default = "strikes_max")]
    pub strikes_max: u32,
    /// How long a claim is ours before someone else may take it.
    pub lease: Duration,
    /// An intent without an answer is ambiguous after this. Must exceed budget + HTTP total.
    pub intent_timeout: Duration,
}

const fn strikes_max() -> u32 {
    3
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            attempts_max: 3,
            defers_max: 20,
            on_ambiguous: OnAmbiguous::default(),
            evidence: Evidence::default(),
            strikes_max: strikes_max(),
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
    /// Spent, in doubt, and no longer in the way of another.
    WrittenOff,
    /// Never reached the far side, or was turned away for pace: no attempt spent.
    Unspent,
    /// Given up here before anything was written: our own trouble, which costs nothing.
    Ours,
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
        // The same class decides as for an answer; what pacing has dropped after holding it
        // back stays dropped.
        let held = matches!(attempt.http, Http::Accepted { held: true, .. });
        return match (reported.failure.class, reported.failure.scope) {
            (FailureClass::Halted, Scope::Template) if held => Standing::Rejected,
            (FailureClass::Throttled | FailureClass::Halted, _) => Standing::Unspent,
            (FailureClass::Retryable, _) => Standing::Closed,
            (FailureClass::Rejected, _) => Standing::Rejected,
        };
    }
    if attempt.sent_at.is_some() {
        return Standing::Taken(State::Sent);
    }
    match &attempt.http {
        Http::None | Http::Ambiguous(_) if attempt.written_off_at.is_some() => Standing::WrittenOff,
        Http::None => Standing::InFlight,
        Http::Ambiguous(_) => Standing::Doubtful,
        Http::NotSent(why) if why.is_ours() => Standing::Ours,
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
    count(facts, |standing| !matches!(standing, Standing::Unspent | Standing::Ours))
}

/// How many tries count against [`Policy::defers_max`].
pub fn defers_spent(facts: &Facts) -> u32 {
    count(facts, |standing| standing == Standing::Unspent)
}

fn count(facts: &Facts, which: impl Fn(Standing) -> bool) -> u32 {
    u32::try_from(standings(facts).filter(|s| which(*s)).count()).unwrap_or(u32::MAX)
}

/// Attempts that count. Putting a delivery back sets aside what was refused before.
fn standings(facts: &Facts) -> impl Iterator<Item = Standing> {
    let set_aside = |a: &Attempt| facts.requeued_at.is_some_and(|at| a.intent_at < Some(at));
    facts.attempts.iter().filter_map(move |attempt| {
        let standing = standing(attempt);
        let settled =
            !matches!(standing, Standing::Taken(_) | Standing::InFlight | Standing::Doubtful);
        (!(settled && set_aside(attempt))).then_some(standing)
    })
}

/// An attempt may have gone, and no one knows.
fn undecided(facts: &Facts) -> bool {
    facts.attempts.iter().any(|a| standing(a) == Standing::WrittenOff)
}

/// The visible state. `leased` tells whether a worker holds the claim.
pub fn state(facts: &Facts, leased: bool, policy: &Policy) -> State {
    let any = |wanted| standings(facts).any(|standing| standing == wanted);
    let taken = standings(facts).filter_map(|s| match s {
        Standing::Taken(state) => Some(state),
        _ => None,
    });
    if let Some(best) = taken.max() {
        return best;
    }
    // Left out by their own word, unless something may have gone before.
    let may_have_gone = any(Standing::InFlight) || any(Standing::Doubtful) || undecided(facts);
    match (facts.ended, facts.resolved) {
        (Some(Ended::Suppressed(_)), _) if !may_have_gone => return State::Suppressed,
        (_, Some(Resolution::Delivered)) => return State::Delivered,
        (_, Some(Resolution::NotDelivered)) => return State::Failed,
        _ => {}
    }
    if any(Standing::InFlight) {
        return State::Intent;
    }
    if any(Standing::Rejected) {
        return State::Failed;
    }
    let suspect = facts.suspect && facts.requeued_at.is_none();
    // What is in quarantine is looked at by a person, who sees the suspicion.
    let over = facts.ended.is_some_and(|ended| ended != Ended::Quarantined);
    let holds = policy.on_ambiguous == OnAmbiguous::Hold || over;
    if any(Standing::Doubtful) || (suspect && holds) {
        return if facts.ended.is_some() { State::Unknown } else { State::Ambiguous };
    }
    if facts.ended == Some(Ended::Quarantined) {
        return State::Quarantined;
    }
    let failed = if undecided(facts) { State::Unknown } else { State::Failed };
    let spent = attempts_spent(facts);
    if spent >= policy.attempts_max {
        return failed;
    }
    match facts.ended {
        // One that was sent again by hand and then was not: the first try may have arrived.
        Some(_) if spent > 0 || undecided(facts) => failed,
        Some(Ended::Cancelled) => State::Cancelled,
        Some(_) => State::Expired,
        None if defers_spent(facts) > policy.defers_max => State::Failed,
        None if leased => State::Leased,
        None if facts.attempts.is_empty() => State::Planned,
        None => State::RetryWait,
    }
}

impl Facts {
    /// More than one message may have gone: two attempts of which neither is known to have
    /// failed. Every duplicate that we can cause shows here, whatever became of it.
    pub fn possible_duplicate(&self) -> bool {
        let may_have_gone = |a: &&Attempt| {
            use Standing::{Closed, Ours, Rejected, Unspent};
            !matches!(standing(a), Unspent | Ours | Closed | Rejected)
        };
        let gone = self.attempts.iter().filter(may_have_gone).count();
        gone > 1 || (self.suspect && gone == 1)
    }
}

#[cfg(test)]
mod tests;
