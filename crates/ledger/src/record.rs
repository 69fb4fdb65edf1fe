//! One delivery as it is stored: a small mutable [`Record`] and an immutable [`Message`].

use domain::state::{Standing, standing, state};
use domain::{Address, Attempt, Facts, Policy, RecipientId, RunId, State, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::api::{Note, Result};
use crate::error::LedgerError;

/// What changes. Stored as JSON so that a person with `sqlite3` or `redis-cli` can read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Position in the run's list of lanes.
    pub lane: u16,
    /// When the plan wanted the first attempt to go.
    #[serde(rename = "due")]
    pub due_at: Timestamp,
    /// When it may be claimed next; in doubt, when the sweeper looks for evidence.
    #[serde(rename = "next")]
    pub next_at: Timestamp,
    /// Derived from the facts by [`domain::state::state`]; kept because indexes need it.
    pub state: State,
    /// Claims so far: names the present lease.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub fence: u32,
    #[serde(rename = "lease", default, skip_serializing_if = "Option::is_none")]
    pub lease_until: Option<Timestamp>,
    /// Leases that ran out: its worker died, and maybe because of it.
    #[serde(rename = "lost", default, skip_serializing_if = "is_zero")]
    pub lost_leases: u32,
    /// Workers that it took down.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub strikes: u32,
    /// What people did to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note>,
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

impl Schedule {
    pub fn is_after(self, now: Timestamp) -> bool {
        matches!(self, Schedule::Due(at) | Schedule::Look(at) if at > now)
    }
}

impl Record {
    pub fn new(lane: u16, due_at: Timestamp, facts: Facts, policy: &Policy) -> Self {
        let state = state(&facts, false, policy);
        Record {
            lane,
            due_at,
            next_at: due_at,
            state,
            fence: 0,
            lease_until: None,
            lost_leases: 0,
            strikes: 0,
            notes: Vec::new(),
            facts,
        }
    }

    /// Recomputes the visible state; a lease ends with the wait it belongs to.
    pub fn settle(&mut self, policy: &Policy) {
        self.state = state(&self.facts, self.lease_until.is_some(), policy);
        if self.state != State::Leased {
            self.lease_until = None;
        }
    }

    pub fn schedule(&self, policy: &Policy) -> Schedule {
        match self.state {
            State::Planned | State::RetryWait => Schedule::Due(self.next_at),
            State::Leased => Schedule::Look(self.lease_until.unwrap_or(self.next_at)),
            State::Intent => Schedule::Look(self.oldest_intent() + policy.intent_timeout),
            State::Ambiguous => Schedule::Look(self.next_at),
            _ => Schedule::Done,
        }
    }

    /// When the first attempt still in flight was granted.
    pub fn oldest_intent(&self) -> Timestamp {
        let flying = |a: &&Attempt| standing(a) == Standing::InFlight;
        let granted = self.facts.attempts.iter().filter(flying).filter_map(|a| a.intent_at);
        granted.min().unwrap_or(self.next_at)
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

/// As it is stored.
pub(crate) fn encode(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("ledger types have no maps with odd keys")
}

/// Reads what was stored. The error says where it stopped making sense, not what stood
/// there: that may be a phone number.
pub(crate) fn decode<T: DeserializeOwned>(
    run: &RunId,
    what: impl FnOnce() -> String,
    text: &str,
) -> Result<T> {
    serde_json::from_str(text).map_err(|error| LedgerError::Corrupt {
        run: run.clone(),
        what: what(),
        why: format!("{:?} error at byte {}", error.classify(), error.column()),
    })
}
