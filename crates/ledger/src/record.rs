//! One delivery as it is stored: a small mutable [`Record`] and an immutable [`crate::Envelope`].

use std::sync::Arc;

use domain::facts::Ended;
use domain::state::{Standing, standing, state};
use domain::{Attempt, Facts, Policy, RunId, State, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::api::{Note, RunHeader};
use crate::body_hash::BodyHash;
use crate::error::{LedgerError, Result};

/// The damage of [`Record::forgotten`]; its flag is in the stored bytes.
const FORGOTTEN: &str = "the store has forgotten its row";

/// What changes. `stored.rs` says how it is stored; earlier versions wrote it as
/// JSON, with the names that are given here.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Record {
    /// Position in the run's list of lanes.
    pub lane: u16,
    /// When the plan wanted the first attempt to go.
    #[serde(rename = "due")]
    pub due_at: Timestamp,
    /// When it may be claimed next; in doubt, when the sweeper looks for evidence.
    #[serde(rename = "next")]
    pub next_at: Timestamp,
    /// Nothing of it starts after this, whatever the run's own end.
    #[serde(rename = "expires", default)]
    pub expires_at: Option<Timestamp>,
    /// Derived from the facts by [`domain::state::state`]; kept because indexes need it.
    pub state: State,
    /// Claims so far: names the present lease.
    #[serde(rename = "fence", default)]
    pub lease_token: u32,
    #[serde(rename = "lease", default)]
    pub lease_until: Option<Timestamp>,
    /// Leases that ran out: its worker died, and maybe because of it.
    #[serde(rename = "lost", default)]
    pub lost_leases: u32,
    /// Workers that it took down.
    #[serde(default)]
    pub strikes: u32,
    /// Why it was put into quarantine unread: of the record or of its message, where reading
    /// ended. The bytes that were stored are kept beside the records.
    #[serde(default)]
    pub damage: Option<String>,
    /// What people did to it.
    #[serde(default)]
    pub notes: Vec<Note>,
    #[serde(flatten)]
    pub facts: Facts,
}

/// Where a record waits, so that nothing can be forgotten: every open delivery is in at least
/// one of the two indexes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// May be claimed from the first instant, and must be ended by the sweeper from the second:
    /// its own end, if it has one.
    Due(Timestamp, Option<Timestamp>),
    /// The sweeper must look at it from this instant.
    Review(Timestamp),
    Done,
}

impl Schedule {
    /// When it may be claimed.
    pub fn due(self) -> Option<Timestamp> {
        match self {
            Schedule::Due(at, _) => Some(at),
            Schedule::Review(_) | Schedule::Done => None,
        }
    }

    /// When the sweeper must look at it.
    pub fn look(self) -> Option<Timestamp> {
        match self {
            Schedule::Due(_, ends) => ends,
            Schedule::Review(at) => Some(at),
            Schedule::Done => None,
        }
    }
}

impl Record {
    pub fn new(lane: u16, due_at: Timestamp, facts: Facts, policy: &Policy) -> Self {
        let state = state(&facts, false, policy);
        Record {
            lane,
            due_at,
            next_at: due_at,
            expires_at: None,
            state,
            lease_token: 0,
            lease_until: None,
            lost_leases: 0,
            strikes: 0,
            damage: None,
            notes: Vec::new(),
            facts,
        }
    }

    /// Stands for a row of a rolling run that the store has forgotten: it holds its news, and is not
    /// sent before its row is appended again.
    pub fn forgotten(at: Timestamp, policy: &Policy) -> Self {
        let facts = Facts { ended: Some(Ended::Quarantined), ..Facts::default() };
        let mut record = Record::new(0, at, facts, policy);
        record.damage = Some(FORGOTTEN.to_owned());
        record
    }

    pub fn is_forgotten(&self) -> bool {
        self.damage.as_deref() == Some(FORGOTTEN)
    }

    /// Puts a readable record whose message is not readable into quarantine.
    pub fn quarantine(&mut self, why: &str, policy: &Policy) {
        self.facts.ended = self.facts.ended.max(Some(Ended::Quarantined));
        self.lease_until = None;
        self.damage = Some(why.to_owned());
        self.settle(policy);
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
            State::Planned | State::RetryWait => Schedule::Due(self.next_at, self.expires_at),
            State::Leased => Schedule::Review(self.lease_until.unwrap_or(self.next_at)),
            State::Intent => Schedule::Review(self.oldest_intent() + policy.intent_timeout),
            State::Ambiguous => Schedule::Review(self.next_at),
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

/// Reads a run's header.
///
/// # Errors
/// [`LedgerError::Corrupt`] when it makes no sense.
pub(crate) fn parse_header(run: &RunId, stored: &[u8]) -> Result<RunHeader> {
    let header: RunHeader = decode(run, || "header".to_owned(), stored)?;
    if header.lanes.is_empty() {
        let (run, what) = (run.clone(), "header".to_owned());
        return Err(LedgerError::Corrupt { run, what, why: "it has no lanes".to_owned() });
    }
    Ok(header)
}

/// The body if it is the one that `hash` names: other words must not be sent.
pub(crate) fn checked_body(
    run: &RunId,
    hash: &BodyHash,
    body: Option<Arc<str>>,
) -> Result<Arc<str>> {
    let why = match body {
        Some(body) if hash.names(&body) => return Ok(body),
        Some(_) => "it is not what its hash names",
        None => "it is missing",
    };
    let (run, what) = (run.clone(), format!("content {hash}"));
    Err(LedgerError::Corrupt { run, what, why: why.to_owned() })
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
    stored: &[u8],
) -> Result<T> {
    serde_json::from_slice(stored).map_err(|error| LedgerError::Corrupt {
        run: run.clone(),
        what: what(),
        why: format!("{:?} error at byte {}", error.classify(), error.column()),
    })
}
