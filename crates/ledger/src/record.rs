//! One delivery as it is stored: a small mutable [`Record`] and an immutable [`crate::Envelope`].

use std::fmt::Write;
use std::sync::Arc;

use domain::facts::Ended;
use domain::state::{Standing, standing, state};
use domain::{Attempt, Facts, Policy, RunId, State, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::api::{Note, RunHeader};
use crate::body_hash::BodyHash;
use crate::error::{LedgerError, Result};

/// The newest shape of [`Record`] that this program writes; raised when an older program would
/// misread what a newer one writes.
const VERSION: u8 = 2;

/// The damage of [`Record::forgotten`]; `append.lua` looks for it.
pub(crate) const FORGOTTEN: &str = "the store has forgotten its row";

/// What changes. Stored as JSON so that a person with `sqlite3` or `redis-cli` can read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    #[serde(rename = "v", default = "first", skip_serializing_if = "is_first")]
    version: u8,
    /// Position in the run's list of lanes.
    pub lane: u16,
    /// When the plan wanted the first attempt to go.
    #[serde(rename = "due")]
    pub due_at: Timestamp,
    /// When it may be claimed next; in doubt, when the sweeper looks for evidence.
    #[serde(rename = "next")]
    pub next_at: Timestamp,
    /// Nothing of it starts after this, whatever the run's own end. Since version 2.
    #[serde(rename = "expires", default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Derived from the facts by [`domain::state::state`]; kept because indexes need it.
    pub state: State,
    /// Claims so far: names the present lease.
    #[serde(rename = "fence", default, skip_serializing_if = "is_zero")]
    pub lease_token: u32,
    #[serde(rename = "lease", default, skip_serializing_if = "Option::is_none")]
    pub lease_until: Option<Timestamp>,
    /// Leases that ran out: its worker died, and maybe because of it.
    #[serde(rename = "lost", default, skip_serializing_if = "is_zero")]
    pub lost_leases: u32,
    /// Workers that it took down.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub strikes: u32,
    /// Why it was put into quarantine unread: of the record or of its message, where reading
    /// ended. The bytes that were stored are kept beside the records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damage: Option<String>,
    /// What people did to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note>,
    #[serde(flatten)]
    pub facts: Facts,
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

fn first() -> u8 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_first(version: &u8) -> bool {
    *version == 1
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
            version: 1,
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

    /// Gives it an end of its own, or takes that away.
    pub fn end_at(&mut self, expires_at: Option<Timestamp>) {
        self.expires_at = expires_at;
        if expires_at.is_some() {
            self.outgrow_version_1();
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

    /// It holds what version 1 does not know of.
    pub fn outgrow_version_1(&mut self) {
        self.version = VERSION;
    }

    /// Reads what was stored of delivery `index`.
    ///
    /// # Errors
    /// [`LedgerError::Corrupt`] when it makes no sense, [`LedgerError::Newer`] when a newer
    /// version of this program wrote it.
    pub fn parse(header: &RunHeader, index: u32, stored: &[u8]) -> Result<Record> {
        let what = || format!("delivery {index}");
        let corrupt =
            |why: String| LedgerError::Corrupt { run: header.id.clone(), what: what(), why };
        let parsed = unsealed::<Record>(&header.id, what, stored);
        let found = match &parsed {
            Ok(record) => record.version,
            Err(_) => serde_json::from_slice(stored).map_or(0, |Versioned { version }| version),
        };
        if found > VERSION {
            let run = header.id.clone();
            return Err(LedgerError::Newer { run, found, known: VERSION });
        }
        let record = parsed?;
        if usize::from(record.lane) >= header.lanes.len() && record.state != State::Suppressed {
            let lanes = header.lanes.len();
            return Err(corrupt(format!("lane {} of {lanes}", record.lane)));
        }
        Ok(record)
    }

    /// Stands for a record that cannot be read. What was stored may still tell its lane and its
    /// due instant; `was` is the state that the store's own indexes give it.
    ///
    /// It may have been tried unless it was never claimed, so a second try is a possible
    /// duplicate.
    pub fn in_place_of(stored: &[u8], was: Option<State>, why: &str, header: &RunHeader) -> Self {
        let hints = Hints::find(stored);
        let lane = hints.lane.filter(|lane| usize::from(*lane) < header.lanes.len());
        let due_at = hints.due_at.unwrap_or(header.window.opens);
        let suspect = was.or(hints.state) != Some(State::Planned);
        let facts = Facts { ended: Some(Ended::Quarantined), suspect, ..Facts::default() };
        let mut record = Record::new(lane.unwrap_or(0), due_at, facts, &header.policy);
        record.damage = Some(why.to_owned());
        record
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

#[derive(Deserialize)]
struct Versioned {
    #[serde(rename = "v", default = "first")]
    version: u8,
}

/// What can be found in a record that cannot be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    pub state: Option<State>,
    pub lane: Option<u16>,
    pub due_at: Option<Timestamp>,
}

impl Hints {
    pub fn find(stored: &[u8]) -> Self {
        let text = String::from_utf8_lossy(stored);
        let after = |key: &str| {
            let (_, rest) = text.split_once(key)?;
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-');
            end.map(|end| rest[..end].to_owned())
        };
        Hints {
            state: after("\"state\":\"").and_then(|name| State::parse(&name)),
            lane: after("\"lane\":").and_then(|n| n.parse().ok()),
            due_at: after("\"due\":").and_then(|n| n.parse().ok()).map(Timestamp::from_micros),
        }
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

/// As a record or a message is stored: with a checksum, because a flipped digit of a number
/// makes sense too, and is another person.
pub(crate) fn sealed(value: &impl Serialize) -> String {
    let mut text = encode(value);
    let sum = crc32c::crc32c(text.as_bytes());
    text.pop(); // the closing brace
    write!(text, "{SUM}{sum}}}").expect("a String takes any text");
    text
}

/// Stands before the checksum, which is the last thing in a sealed text.
const SUM: &str = ",\"sum\":";

/// Whether the checksum fits; a text of an earlier version has none.
fn is_whole(stored: &[u8]) -> bool {
    let sum = stored.windows(SUM.len()).rposition(|window| window == SUM.as_bytes());
    let Some((at, digits)) = sum.and_then(|at| {
        let digits = stored[at + SUM.len()..].strip_suffix(b"}")?;
        digits.iter().all(u8::is_ascii_digit).then_some((at, digits))
    }) else {
        return true;
    };
    let seen = crc32c::crc32c_append(crc32c::crc32c(&stored[..at]), b"}");
    std::str::from_utf8(digits).is_ok_and(|digits| digits.parse() == Ok(seen))
}

/// Reads a sealed text.
pub(crate) fn unsealed<T: DeserializeOwned>(
    run: &RunId,
    what: impl Fn() -> String,
    stored: &[u8],
) -> Result<T> {
    if is_whole(stored) {
        return decode(run, what, stored);
    }
    let why = "its checksum does not fit".to_owned();
    Err(LedgerError::Corrupt { run: run.clone(), what: what(), why })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Envelope;
    use domain::{Address, RecipientId};

    #[test]
    fn every_flipped_bit_of_a_sealed_message_is_noticed() {
        let message = Envelope {
            recipient: RecipientId::new("r1"),
            to: Address::Phone(domain::Phone::try_new("+919876543210").unwrap()),
            body: BodyHash::of("a body"),
        };
        let run: RunId = "daily-pack@2026-11-27".parse().unwrap();
        let read = |stored: &[u8]| unsealed::<Envelope>(&run, || "message".to_owned(), stored);
        let stored = sealed(&message).into_bytes();
        assert_eq!(read(&stored).unwrap(), message);
        assert_eq!(read(encode(&message).as_bytes()).unwrap(), message, "an earlier version's");
        for bit in 0..stored.len() * 8 {
            let mut flipped = stored.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let same = read(&flipped).is_ok_and(|found| found != message);
            assert!(!same, "bit {bit} makes another message");
        }
    }
}
