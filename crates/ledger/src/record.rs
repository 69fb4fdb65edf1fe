//! One delivery as it is stored: a small mutable [`Record`] and an immutable [`Message`].

use domain::state::state;
use domain::{Address, Facts, Policy, RecipientId, State, Timestamp};
use serde::{Deserialize, Serialize};

/// What changes. Stored as JSON so that a person with `sqlite3` or `redis-cli` can read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Position in the run's list of lanes.
    pub lane: u16,
    /// When the plan wanted the first attempt to go.
    #[serde(rename = "due")]
    pub due_at: Timestamp,
    /// When it may be claimed next.
    #[serde(rename = "next")]
    pub next_at: Timestamp,
    /// Derived from the facts by [`domain::state::state`]; kept because indexes need it.
    pub state: State,
    /// Claims so far: names the present lease.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub fence: u32,
    #[serde(rename = "lease", default, skip_serializing_if = "Option::is_none")]
    pub lease_until: Option<Timestamp>,
    #[serde(flatten)]
    pub facts: Facts,
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// Where a record waits, so that nothing can be forgotten: every open delivery is in
/// exactly one of the two indexes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// May be claimed from this instant.
    Due(Timestamp),
    /// The sweeper must look at it from this instant.
    Look(Timestamp),
    Done,
}

impl Record {
    pub fn new(lane: u16, due_at: Timestamp, facts: Facts, policy: &Policy) -> Self {
        let state = state(&facts, false, policy);
        Record { lane, due_at, next_at: due_at, state, fence: 0, lease_until: None, facts }
    }

    /// Recomputes the visible state; a lease ends with the wait it belongs to.
    pub fn settle(&mut self, policy: &Policy) {
        self.state = state(&self.facts, self.lease_until.is_some(), policy);
        if self.state != State::Leased {
            self.lease_until = None;
        }
    }

    /// `close_at` is the run's.
    pub fn schedule(&self, policy: &Policy, close_at: Timestamp) -> Schedule {
        match self.state {
            State::Planned | State::RetryWait => Schedule::Due(self.next_at),
            State::Leased => Schedule::Look(self.lease_until.unwrap_or(self.next_at)),
            State::Intent => Schedule::Look(self.oldest_intent() + policy.intent_timeout),
            State::Ambiguous => Schedule::Look(close_at),
            _ => Schedule::Done,
        }
    }

    /// When the first attempt still in flight was granted.
    pub fn oldest_intent(&self) -> Timestamp {
        let flying = self.facts.attempts.iter().filter(|a| a.http == domain::Http::None);
        flying.filter_map(|a| a.intent_at).min().unwrap_or(self.next_at)
    }
}

/// What to send to whom. Holds personal data; its `Debug` shows none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    #[serde(rename = "id")]
    pub recipient: RecipientId,
    pub to: Address,
    /// Hash of the body, which is stored once per distinct text. Empty when suppressed.
    pub body: String,
}
