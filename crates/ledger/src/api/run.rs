//! A run and its plan, as the ledger speaks of them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::NaiveDate;
use domain::facts::Ended;
use domain::{Address, NumberId, Policy, RecipientId, RunId, Timestamp, Window, retention};
use serde::{Deserialize, Serialize};

use crate::body_hash::BodyHash;

/// How a run comes by its rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunKind {
    /// All of them are written before it is sealed.
    #[default]
    Planned,
    /// They are appended one by one while it is open, each with an end of its own.
    Rolling,
}

impl RunKind {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    fn is_planned(&self) -> bool {
        *self == RunKind::Planned
    }
}

/// What is fixed about a run when it begins; only lanes may be added later.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunHeader {
    pub id: RunId,
    #[serde(default, skip_serializing_if = "RunKind::is_planned")]
    pub kind: RunKind,
    /// IANA name of the zone that people read times in.
    pub zone: String,
    pub window: Window,
    /// Nothing starts after this: the deadline, or later for a run that catches up.
    pub stop_at: Timestamp,
    /// When undecided attempts become `Unknown`: `stop_at` plus the longest answer.
    pub close_at: Timestamp,
    /// When nobody was there to send at `stop_at`, deliveries may start until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catch_up_until: Option<Timestamp>,
    /// Our numbers; a record names its lane by position here.
    pub lanes: Vec<NumberId>,
    /// Deliveries, suppressed ones included; 0 in a rolling run, which has no fixed number.
    pub total: u32,
    /// SHA-256 of the recipient snapshot and content that the plan was made from.
    pub snapshot: String,
    /// How the rows follow from the snapshot: two planners of one run must agree.
    #[serde(default)]
    pub planning: u16,
    pub policy: Policy,
    /// The share of addressed recipients that must be delivered by the deadline, 0 to 1.
    pub target_ratio: f64,
}

impl RunHeader {
    /// Position of a number in the run's list of lanes.
    pub fn lane_of(&self, number: &NumberId) -> Option<u16> {
        let at = self.lanes.iter().position(|lane| lane == number)?;
        u16::try_from(at).ok()
    }

    pub fn is_rolling(&self) -> bool {
        self.kind == RunKind::Rolling
    }

    pub fn first_phase(&self) -> Phase {
        if self.is_rolling() { Phase::Open } else { Phase::Planning }
    }
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Rows are still being inserted; nothing is sent.
    Planning,
    /// Sealed: due deliveries may be claimed.
    Open,
    /// An operator stopped it for now.
    Paused,
    /// An operator stopped it for good.
    Cancelled,
    /// The window is over and every delivery has a named end.
    Closed,
}

impl Phase {
    pub const fn as_str(self) -> &'static str {
        match self {
            Phase::Planning => "planning",
            Phase::Open => "open",
            Phase::Paused => "paused",
            Phase::Cancelled => "cancelled",
            Phase::Closed => "closed",
        }
    }

    pub fn parse(text: &str) -> Option<Phase> {
        [Phase::Planning, Phase::Open, Phase::Paused, Phase::Cancelled, Phase::Closed]
            .into_iter()
            .find(|phase| phase.as_str() == text)
    }
}

/// A run as the ledger holds it.
#[derive(Clone, Debug)]
pub struct Run {
    pub header: Arc<RunHeader>,
    pub phase: Phase,
    /// Deliveries written so far; equals `header.total` once sealed.
    pub cursor: u32,
    pub sealed_at: Option<Timestamp>,
    /// When a sender first took it up.
    pub started_at: Option<Timestamp>,
    /// Set when an operator opened it once more, for deliveries that were put back.
    pub reopened_until: Option<Timestamp>,
    /// Resends after lost answers so far: they have a budget.
    pub resends: u32,
    /// Rows of a rolling run that were first asked for before this may have been there, and sent,
    /// without the store's knowledge.
    pub rows_doubted_at: Option<Timestamp>,
}

impl Run {
    /// A run that begins: one that is planned is not open before it is sealed. `forgotten`: the
    /// store may have had it before.
    pub fn begun(header: Arc<RunHeader>, forgotten: bool, now: Timestamp) -> Self {
        let rolling = header.is_rolling();
        let doubted = rolling && forgotten && now > header.window.opens;
        Run {
            phase: header.first_phase(),
            sealed_at: rolling.then_some(now),
            rows_doubted_at: doubted.then_some(now),
            ..Run::new(header)
        }
    }

    /// A run of which nothing is planned yet.
    pub fn new(header: Arc<RunHeader>) -> Self {
        Run {
            header,
            phase: Phase::Planning,
            cursor: 0,
            sealed_at: None,
            started_at: None,
            reopened_until: None,
            resends: 0,
            rows_doubted_at: None,
        }
    }

    /// Deliveries, suppressed ones included.
    pub fn total(&self) -> u32 {
        if self.header.is_rolling() { self.cursor } else { self.header.total }
    }

    /// Nothing starts after this; a row may have an earlier end of its own.
    pub fn stop_at(&self) -> Timestamp {
        self.reopened_until.unwrap_or(self.header.stop_at)
    }

    /// Whether what hosts know about it may still have to be merged.
    pub fn is_recoverable(&self, now: Timestamp) -> bool {
        self.close_at() + retention::NEWS > now
    }

    /// When undecided attempts become `Unknown`.
    pub fn close_at(&self) -> Timestamp {
        self.stop_at() + self.grace()
    }

    /// From the end of sending to the end of waiting for answers.
    pub fn grace(&self) -> Duration {
        self.header.close_at.since(self.header.stop_at)
    }

    /// From when it is closed as soon as nothing of it is open: a rolling run takes rows until
    /// its day is over, and ends with the last of them.
    pub fn may_close_at(&self) -> Timestamp {
        if self.header.is_rolling() { self.header.window.deadline } else { self.close_at() }
    }
}

/// Answer to [`Ledger::begin_run`](super::Ledger::begin_run).
#[derive(Clone, Debug)]
pub enum Begun {
    Created(Run),
    /// Someone began it before: this is theirs, and it stands.
    Exists(Run),
}

impl Begun {
    pub fn run(&self) -> &Run {
        match self {
            Begun::Created(run) | Begun::Exists(run) => run,
        }
    }
}

/// What to send to whom. Holds personal data; its `Debug` shows none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    #[serde(rename = "id")]
    pub recipient: RecipientId,
    pub to: Address,
    /// Hash of the body, which is stored once per distinct text. Empty when suppressed.
    pub body: BodyHash,
}

/// One planned delivery.
#[derive(Clone, Debug)]
pub struct PlanRow {
    pub lane: u16,
    pub due_at: Timestamp,
    pub message: Envelope,
    /// Set when the recipient is left out.
    pub ended: Option<Ended>,
}

/// Consecutive rows from index `from`, with the bodies they name.
#[derive(Clone, Debug, Default)]
pub struct PlanChunk {
    /// What the rows follow from: the run's header must name the same.
    pub snapshot: String,
    pub from: u32,
    pub rows: Vec<PlanRow>,
    /// Body hash → body.
    pub bodies: BTreeMap<BodyHash, Arc<str>>,
}

/// Answer to [`Ledger::discard`](super::Ledger::discard).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discarded {
    Done,
    /// There is no such run.
    Unknown,
    Kept(WhyKept),
}

/// Why a run's plan is not thrown away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyKept {
    /// A planner is at work: the next one finishes the plan.
    Planning,
    /// The window has opened.
    Opened,
    /// A sender has had a delivery in hand.
    Tried,
    /// The store may have forgotten what was sent.
    StoreRestarted,
}

impl fmt::Display for WhyKept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            WhyKept::Planning => "its plan is being written",
            WhyKept::Opened => "its window has opened",
            WhyKept::Tried => "a sender has had some of its deliveries in hand",
            WhyKept::StoreRestarted => "the store may have forgotten what was sent",
        })
    }
}

/// Answer to [`Ledger::purge`](super::Ledger::purge).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purged {
    /// Nothing of it is left.
    Done,
    /// There is more of it: call again.
    More,
    /// It is not closed, or hosts may still have to merge what they know of it.
    Kept,
    /// There is no such run.
    Unknown,
}

/// Whether a run may be purged: it is over, and no journal or inbox speaks of it any more.
pub fn is_purgeable(run: &Run, now: Timestamp) -> bool {
    run.phase == Phase::Closed && !run.is_recoverable(now)
}

/// Runs before this date are not recoverable any more: nobody looks at them each second. A run
/// may close days after its date, when a person reopened it.
pub fn maybe_recoverable_since(now: Timestamp) -> NaiveDate {
    (now - retention::NEWS * 2).to_utc().date_naive()
}
