//! What is known of a delivery's attempts, merged from answers and webhooks.
//!
//! Invariants: merging commutes, associates and repeats harmlessly, so the order and
//! number of reports never matter. Instants keep their minimum, HTTP outcomes only climb
//! (`none < ambiguous < not_sent < refused < accepted`), the earliest failure is kept.
//! A fact is never taken back.

use std::fmt;
use std::str::FromStr;

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::failure::{Failure, ReportedFailure};
use crate::message_id::MessageId;
use crate::names::TemplateName;
use crate::suppression::Suppression;

/// Names one attempt: 64 random bits, carried in the callback data. Unlike a counter it
/// cannot roll back with the store.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Nonce(u64);

#[derive(Debug, thiserror::Error)]
#[error("not a nonce: expected 16 hex digits")]
pub struct BadNonce;

impl Nonce {
    pub fn new(rng: &mut impl Rng) -> Self {
        Nonce(rng.random())
    }
}

impl From<Nonce> for u64 {
    fn from(nonce: Nonce) -> u64 {
        nonce.0
    }
}

impl From<u64> for Nonce {
    fn from(bits: u64) -> Self {
        Nonce(bits)
    }
}

impl FromStr for Nonce {
    type Err = BadNonce;
    fn from_str(text: &str) -> Result<Self, BadNonce> {
        if text.len() != 16 {
            return Err(BadNonce);
        }
        u64::from_str_radix(text, 16).map(Nonce).map_err(|_| BadNonce)
    }
}

impl TryFrom<String> for Nonce {
    type Error = BadNonce;
    fn try_from(text: String) -> Result<Self, BadNonce> {
        text.parse()
    }
}

impl From<Nonce> for String {
    fn from(nonce: Nonce) -> String {
        nonce.to_string()
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Why an attempt's HTTP outcome is undecidable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Doubt {
    /// A Graph error whose code does not say whether the message was taken: usually not.
    GraphError,
    /// No answer in time.
    Timeout,
    /// The connection broke after the request was written.
    Reset,
    /// An error status without a Graph error: something in between may have passed it on.
    ServerError,
    /// A 200 that does not carry a message id.
    Unreadable,
    /// The sender stopped between intent and answer.
    Crash,
}

/// Why a request certainly never left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotSent {
    /// No connection, for another reason than those below.
    Connect,
    /// We gave up before writing (budget, shutdown, journal).
    Aborted,
    /// The name of the far side was not found.
    Dns,
    /// Nobody listens there.
    Refused,
    /// The far side's certificate or protocol was not accepted.
    Tls,
    /// This process has no file descriptor left.
    Descriptors,
    /// No connection in time.
    ConnectTimeout,
}

impl NotSent {
    pub const ALL: [NotSent; 7] = [
        NotSent::Connect,
        NotSent::Aborted,
        NotSent::Dns,
        NotSent::Refused,
        NotSent::Tls,
        NotSent::Descriptors,
        NotSent::ConnectTimeout,
    ];

    /// The cause lies in this process or its store: no delivery pays for it.
    pub const fn is_ours(self) -> bool {
        matches!(self, NotSent::Aborted | NotSent::Descriptors)
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            NotSent::Connect => "no_connection",
            NotSent::Aborted => "aborted_here",
            NotSent::Dns => "name_not_found",
            NotSent::Refused => "connection_refused",
            NotSent::Tls => "tls_failed",
            NotSent::Descriptors => "no_descriptors",
            NotSent::ConnectTimeout => "connect_timeout",
        }
    }
}

/// What the HTTP try gave. Declared from least to most knowledge: the order is the merge.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Http {
    /// Written or about to be; no answer yet.
    #[default]
    None,
    Ambiguous(Doubt),
    NotSent(NotSent),
    Refused(Failure),
    /// The provider took the message.
    Accepted {
        #[serde(rename = "wamid")]
        id: MessageId,
        held: bool,
    },
}

/// One HTTP try and everything reported about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    pub nonce: Nonce,
    /// When the intent was granted; `None` when only a webhook knows of this attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent_at: Option<Timestamp>,
    /// When the request was handed to the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dispatched_at: Option<Timestamp>,
    /// When this attempt, whose outcome nobody knows, stopped standing in the way of
    /// another: by evidence that it did not go, or by an operator. It may still turn out
    /// to have gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written_off_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "is_none")]
    pub http: Http,
    /// When Cloud API's 200 arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<ReportedFailure>,
    /// The provider's own words about a refusal, a doubt or a failure, without personal
    /// data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<String>,
    /// A status gave an impossible event time; the time of its receipt stands for it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub time_doubted: bool,
    /// Position of the number that it went through in the run's list of lanes, where that is not
    /// the delivery's present lane: the delivery has moved since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<u16>,
    /// The template that went, where that is not the planned one: another version of the same
    /// words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_as: Option<TemplateName>,
}

fn is_none(http: &Http) -> bool {
    *http == Http::None
}

impl Attempt {
    /// An attempt of which only the name is known.
    pub fn new(nonce: Nonce) -> Self {
        Attempt {
            nonce,
            intent_at: None,
            dispatched_at: None,
            written_off_at: None,
            http: Http::None,
            accepted_at: None,
            sent_at: None,
            delivered_at: None,
            read_at: None,
            failed: None,
            words: None,
            time_doubted: false,
            lane: None,
            sent_as: None,
        }
    }

    /// Adds what `other` knows of the same attempt. True when anything was new.
    pub fn merge(&mut self, other: &Attempt) -> bool {
        let mut news = earliest(&mut self.intent_at, other.intent_at);
        news |= earliest(&mut self.dispatched_at, other.dispatched_at);
        news |= earliest(&mut self.written_off_at, other.written_off_at);
        news |= earliest(&mut self.accepted_at, other.accepted_at);
        news |= earliest(&mut self.sent_at, other.sent_at);
        news |= earliest(&mut self.delivered_at, other.delivered_at);
        news |= earliest(&mut self.read_at, other.read_at);
        news |= earliest(&mut self.failed, other.failed);
        if other.http > self.http {
            self.http = other.http.clone();
            news = true;
        }
        // Any rule does that gives the same words in any order.
        if other.words > self.words {
            self.words.clone_from(&other.words);
            news = true;
        }
        news |= largest(&mut self.time_doubted, other.time_doubted);
        news |= largest(&mut self.lane, other.lane);
        if other.sent_as > self.sent_as {
            self.sent_as.clone_from(&other.sent_as);
            news = true;
        }
        news
    }

    /// The message reached a device: delivered or read (Meta leaves `delivered` out when
    /// the chat was open).
    pub fn arrived_at(&self) -> Option<Timestamp> {
        match (self.delivered_at, self.read_at) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Left Meta's server, or more.
    pub fn left_at(&self) -> Option<Timestamp> {
        match (self.sent_at, self.arrived_at()) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Meta has it: by our own answer or by any webhook that proves it.
    pub fn taken_at(&self) -> Option<Timestamp> {
        self.accepted_at.or(self.left_at()).or(self.failed.map(|f| f.at))
    }
}

/// Keeps the smaller of two; true when `held` changed.
fn earliest<T: Ord + Copy>(held: &mut Option<T>, news: Option<T>) -> bool {
    let Some(news) = news else { return false };
    if held.is_some_and(|held| held <= news) {
        return false;
    }
    *held = Some(news);
    true
}

/// Keeps the larger of two; true when `held` changed.
fn largest<T: Ord>(held: &mut T, news: T) -> bool {
    if news <= *held {
        return false;
    }
    *held = news;
    true
}

/// Why sending ended without a word from the network. Declared by rank: the larger wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// The window is over.
    Closed,
    /// The run was cancelled.
    Cancelled,
    /// It stopped its worker again and again: kept for a person, so that the rest go on.
    Quarantined,
    /// Left out when the run was planned.
    Suppressed(Suppression),
}

/// What an operator found out where no answer and no webhook would say. Webhooks outrank it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    NotDelivered,
    Delivered,
}

/// Everything known of one delivery. Attempts are sorted by nonce.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<Attempt>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<Resolution>,
    /// When an operator last put it back: refusals and limits from before count no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requeued_at: Option<Timestamp>,
    /// A host whose journal is lost may have tried it without the ledger's knowledge.
    #[serde(default, skip_serializing_if = "is_false")]
    pub suspect: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl Facts {
    /// Adds one attempt's news. True when anything was new.
    pub fn merge_attempt(&mut self, news: &Attempt) -> bool {
        match self.attempts.binary_search_by_key(&news.nonce, |a| a.nonce) {
            Ok(at) => self.attempts[at].merge(news),
            Err(at) => {
                self.attempts.insert(at, news.clone());
                true
            }
        }
    }

    /// Adds everything `other` knows.
    pub fn merge(&mut self, other: &Facts) -> bool {
        let mut news = false;
        for attempt in &other.attempts {
            news |= self.merge_attempt(attempt);
        }
        news |= largest(&mut self.ended, other.ended);
        news |= largest(&mut self.resolved, other.resolved);
        news |= largest(&mut self.requeued_at, other.requeued_at);
        news |= largest(&mut self.suspect, other.suspect);
        news
    }

    /// Messages beyond the first that Meta says it passed on.
    pub fn proven_duplicates(&self) -> usize {
        let passed_on =
            |a: &&Attempt| a.arrived_at().is_some() || (a.failed.is_none() && a.sent_at.is_some());
        self.attempts.iter().filter(passed_on).count().saturating_sub(1)
    }

    pub fn attempt(&self, nonce: Nonce) -> Option<&Attempt> {
        self.attempts.iter().find(|a| a.nonce == nonce)
    }
}

#[cfg(test)]
mod tests;
