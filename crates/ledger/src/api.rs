//! The ledger's trait and the words it speaks.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::facts::Ended;
use domain::{
    Attempt, DeliveryId, Facts, Http, Nonce, NumberId, Policy, Resolution, RunId, State, Timestamp,
    Window,
};
use serde::{Deserialize, Serialize};

use crate::error::LedgerError;
use crate::record::Message;
use crate::transition::Refusal;

pub type Result<T, E = LedgerError> = std::result::Result<T, E>;

/// What is fixed about a run when its planning begins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunHeader {
    pub id: RunId,
    /// IANA name of the zone that people read times in.
    pub zone: String,
    pub window: Window,
    /// Nothing starts after this: the deadline, or later for a run that catches up.
    pub stop_at: Timestamp,
    /// When undecided attempts become `Unknown`: `stop_at` plus the longest answer.
    pub close_at: Timestamp,
    /// Our numbers; a record names its lane by position here.
    pub lanes: Vec<NumberId>,
    /// Deliveries, suppressed ones included.
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
    /// Deliveries planned so far; equals `header.total` once sealed.
    pub cursor: u32,
    pub sealed_at: Option<Timestamp>,
    /// When a sender first took it up.
    pub started_at: Option<Timestamp>,
    /// Set when an operator opened it once more, for deliveries that were put back.
    pub until: Option<Timestamp>,
    /// Resends after lost answers so far: they have a budget.
    pub lost_resends: u32,
}

impl Run {
    /// A run of which nothing is planned yet.
    pub fn new(header: Arc<RunHeader>) -> Self {
        Run {
            header,
            phase: Phase::Planning,
            cursor: 0,
            sealed_at: None,
            started_at: None,
            until: None,
            lost_resends: 0,
        }
    }

    /// Nothing starts after this.
    pub fn stop_at(&self) -> Timestamp {
        self.until.unwrap_or(self.header.stop_at)
    }

    /// Whether what hosts know about it may still have to be merged.
    pub fn is_recoverable(&self, now: Timestamp) -> bool {
        self.close_at() + RECOVERABLE > now
    }

    /// When undecided attempts become `Unknown`.
    pub fn close_at(&self) -> Timestamp {
        self.stop_at() + self.header.close_at.since(self.header.stop_at)
    }
}

/// Answer to [`Ledger::begin_run`].
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

/// One planned delivery.
#[derive(Clone, Debug)]
pub struct PlanRow {
    pub lane: u16,
    pub due_at: Timestamp,
    pub message: Message,
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
    pub bodies: BTreeMap<String, Arc<str>>,
}

/// Answer to [`Ledger::discard`].
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
    Fenced,
}

impl fmt::Display for WhyKept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            WhyKept::Planning => "its plan is being written",
            WhyKept::Opened => "its window has opened",
            WhyKept::Tried => "a sender has had some of its deliveries in hand",
            WhyKept::Fenced => "the store may have forgotten what was sent",
        })
    }
}

/// What a claim brought.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// Earliest first.
    pub claims: Vec<Claim>,
    /// When the earliest of those that still wait in the lane is due.
    pub next_due: Option<Timestamp>,
    /// The store's own time.
    pub now: Timestamp,
}

/// A leased delivery and everything needed to send it.
#[derive(Clone, Debug)]
pub struct Claim {
    pub id: DeliveryId,
    pub lane: NumberId,
    /// Grows with every claim; names this lease.
    pub fence: u32,
    /// When the plan wanted it to go.
    pub due_at: Timestamp,
    pub message: Message,
    pub body: Arc<str>,
    pub header: Arc<RunHeader>,
    /// Attempts that count against the policy's maximum.
    pub attempts_spent: u32,
    /// Tries that did not.
    pub defers_spent: u32,
    /// A worker died while it had this one: it is handled with care, in case it did that.
    pub suspicious: bool,
}

#[derive(Clone, Debug)]
pub struct IntentRequest {
    pub id: DeliveryId,
    pub fence: u32,
    pub nonce: Nonce,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntentAnswer {
    /// You, and only you, may send now.
    Granted,
    Refused(Refusal),
}

/// What one attempt's HTTP try gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptResult {
    pub id: DeliveryId,
    pub nonce: Nonce,
    pub http: Http,
    pub dispatched_at: Option<Timestamp>,
    pub accepted_at: Option<Timestamp>,
    /// When another try may go, if the state allows one.
    pub retry_at: Option<Timestamp>,
    /// The provider's own words, without personal data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<String>,
}

/// A claim given back without a try.
#[derive(Clone, Debug)]
pub struct Release {
    pub id: DeliveryId,
    pub fence: u32,
    pub next_at: Timestamp,
}

/// A status report about one attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookFact {
    pub id: DeliveryId,
    /// The news; its nonce names the attempt. An unknown nonce creates the attempt.
    pub news: Attempt,
    /// When another try may go, if the news is a failure that allows one: what a sender had
    /// decided before it died.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Timestamp>,
    /// The same for a failure that a status reports; grows with the tries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryIn>,
    /// The number that the status names: it must be that of the delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<NumberId>,
    /// When it came in: event times are held against it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received_at: Option<Timestamp>,
    /// Tagged before there were installations: counts only for an attempt that is known.
    #[serde(default)]
    pub is_first_tag: bool,
}

impl WebhookFact {
    pub fn new(id: DeliveryId, news: Attempt) -> Self {
        WebhookFact {
            id,
            news,
            retry_at: None,
            retry: None,
            number: None,
            received_at: None,
            is_first_tag: false,
        }
    }
}

/// A wait that grows with the tries that were spent. A span, not an instant: the store's
/// clock counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryIn {
    /// After the first try, its jitter included.
    pub first: Duration,
    pub factor: u32,
    pub max: Duration,
}

impl RetryIn {
    /// After the `n`-th try, counted from 1.
    pub fn after(&self, n: u32) -> Duration {
        let grown = self.factor.saturating_pow(n.max(1) - 1);
        self.first.saturating_mul(grown).min(self.max)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    Changed {
        from: State,
        to: State,
    },
    /// New facts, same visible state.
    Noted,
    /// Merged, and the store did not know the attempt: it has forgotten that it was granted.
    Forgotten,
    /// Another installation's, or of another number than the delivery's: nothing changed.
    Foreign,
    /// Old or repeated news: normal traffic.
    Stale,
    /// No such delivery in the ledger.
    Unknown,
}

/// What one sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    pub leases_expired: u32,
    pub intents_lost: u32,
    /// Doubts that evidence resolved: these deliveries wait for another attempt.
    pub written_off: u32,
    pub ended: u32,
    /// More is left: sweep again.
    pub more: bool,
}

/// What a person, or a recovery, does to one delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Says how an undecided delivery ended.
    Resolve(Resolution),
    /// Sends an undecided one again, whatever became of the first try.
    Resend,
    /// Puts one that failed, expired or was quarantined back, with fresh limits.
    Requeue,
    /// It took its worker down: one more, and it may be quarantined.
    Strike,
    /// A lost host may have tried it: see [`domain::Facts::suspect`].
    Suspect,
    /// The person said STOP: nothing more is sent to them.
    OptOut,
}

/// Who did what to a delivery, and why; kept with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    pub at: Timestamp,
    pub by: String,
    pub change: Change,
    pub why: String,
}

#[derive(Clone, Debug)]
pub struct Amendment {
    pub id: DeliveryId,
    pub change: Change,
    /// Absent for what the machine does by itself.
    pub note: Option<Note>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amended {
    Done(State),
    /// Not in a state that allows it.
    Refused(State),
    /// No such delivery in the ledger.
    Unknown,
}

/// Deliveries by state; always sums to the rows planned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<State, u64>);

impl Counts {
    pub fn get(&self, state: State) -> u64 {
        self.0.get(&state).copied().unwrap_or(0)
    }

    pub fn set(&mut self, state: State, n: u64) {
        if n == 0 {
            self.0.remove(&state)
        } else {
            self.0.insert(state, n)
        };
    }

    pub fn add(&mut self, state: State, n: i64) {
        self.set(state, self.get(state).saturating_add_signed(n));
    }

    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    pub fn open(&self) -> u64 {
        self.sum(State::is_open)
    }

    pub fn sum(&self, which: impl Fn(State) -> bool) -> u64 {
        self.0.iter().filter(|(state, _)| which(**state)).map(|(_, n)| n).sum()
    }
}

/// Which deliveries to list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Empty means all.
    pub states: Vec<State>,
    pub lane: Option<NumberId>,
}

/// One delivery, whole.
#[derive(Clone, Debug)]
pub struct DeliveryView {
    pub id: DeliveryId,
    pub lane: NumberId,
    pub state: State,
    pub due_at: Timestamp,
    pub next_at: Timestamp,
    pub facts: Facts,
    pub message: Message,
    /// Workers that it took down.
    pub strikes: u32,
    pub notes: Vec<Note>,
}

/// How safe the store is, in words for `check`.
#[derive(Clone, Debug, Default)]
pub struct Health {
    pub engine: &'static str,
    /// Facts worth showing: version, file, durability.
    pub facts: Vec<(String, String)>,
    /// Settings that could lose acknowledged writes.
    pub problems: Vec<String>,
}

/// Facts in one call: bounds the time that it takes.
const FACTS_MAX: usize = 500;

/// How long after its close a run may still be recovered: as long as webhooks are kept.
const RECOVERABLE: std::time::Duration = std::time::Duration::from_secs(8 * 24 * 3_600);

/// The truth about every delivery. All calls are idempotent; time is the store's own.
///
/// # Errors
/// Every call may answer [`LedgerError::Unavailable`]; repeat it.
#[async_trait]
pub trait Ledger: Send + Sync {
    fn engine(&self) -> &'static str;

    /// The store's clock.
    async fn now(&self) -> Result<Timestamp>;

    /// Inserts the run if no one did.
    async fn begin_run(&self, header: &RunHeader) -> Result<Begun>;

    /// Inserts the rows that are not there and moves the cursor, in one step. Returns the
    /// cursor. A chunk that lies below the cursor changes nothing.
    async fn plan_chunk(&self, run: &RunId, chunk: &PlanChunk) -> Result<u32>;

    /// Opens a completely planned run; again does no harm.
    async fn seal(&self, run: &RunId) -> Result<Run>;

    /// Notes that a sender took the run up; the first one counts.
    async fn mark_started(&self, run: &RunId) -> Result<Run>;

    async fn set_phase(&self, run: &RunId, phase: Phase) -> Result<Run>;

    /// Forgets a sealed run of which nothing was ever in a sender's hands, so that the same
    /// date can be planned anew; only before its window opens.
    async fn discard(&self, run: &RunId) -> Result<Discarded>;

    async fn run(&self, run: &RunId) -> Result<Option<Run>>;

    /// All runs, oldest first.
    async fn runs(&self) -> Result<Vec<Run>>;

    /// Runs that are not closed: what loops look at many times a minute.
    async fn active_runs(&self) -> Result<Vec<Run>>;

    /// Leases up to `k` due deliveries of a lane, earliest first, and tells when the next
    /// claim can succeed; with `k` 0 only that.
    async fn claim(&self, lane: &NumberId, k: usize) -> Result<Claimed>;

    /// Asks leave to send, in a strict compare-and-set. Refused or unanswered: do not send.
    async fn intent(&self, requests: &[IntentRequest]) -> Result<Vec<IntentAnswer>>;

    /// Records outcomes by nonce; returns the states that follow.
    async fn result(&self, results: &[AttemptResult]) -> Result<Vec<State>>;

    /// Gives claims back untried. A lease that is no longer ours is left alone.
    async fn release(&self, releases: &[Release]) -> Result<()>;

    /// Merges webhook facts.
    async fn apply(&self, facts: &[WebhookFact]) -> Result<Vec<Applied>>;

    /// Changes deliveries by hand; each is judged alone.
    async fn amend(&self, amendments: &[Amendment]) -> Result<Vec<Amended>>;

    /// Opens a run whose window is over once more, for deliveries that are put back. One
    /// that is open, or reopened for longer, stays as it is.
    async fn reopen(&self, run: &RunId, until: Timestamp) -> Result<Run>;

    /// Frees expired leases, turns lost intents into doubt, ends what the window left over.
    async fn sweep(&self, run: &RunId, limit: usize) -> Result<Swept>;

    /// The counters that every state change keeps.
    async fn counts(&self, run: &RunId) -> Result<Counts>;

    /// The same, counted row by row: must always be equal.
    async fn recount(&self, run: &RunId) -> Result<Counts>;

    /// Deliveries by index, after `after`.
    async fn list(
        &self,
        run: &RunId,
        filter: &Filter,
        after: Option<u32>,
        limit: usize,
    ) -> Result<Vec<DeliveryView>>;

    /// What was planned to be said, by its hash; empty when there is none.
    async fn content(&self, run: &RunId, hash: &str) -> Result<Arc<str>>;

    async fn health(&self) -> Result<Health>;

    /// Names the store's incarnation where a new one may have forgotten answered writes;
    /// `None` where that cannot be.
    async fn incarnation(&self) -> Result<Option<String>>;

    /// Runs of the last days that were last sent from under another incarnation: what is
    /// known about them must be merged, and those that are open are not sent from before.
    async fn fenced_runs(&self) -> Result<Vec<RunId>>;

    /// Lets all of them go on under `incarnation`, if it still is the store's.
    async fn lift_fence(&self, incarnation: &str) -> Result<()>;

    /// A small named text: what processes share beside deliveries. See [`crate::cell`].
    async fn read_cell(&self, name: &str) -> Result<Option<String>>;

    /// Replaces a cell that is still as `expected`; false when it is not.
    async fn swap_cell(&self, name: &str, expected: Option<&str>, new: &str) -> Result<bool>;
}

/// Applies any number of facts, a bounded number in one call.
///
/// # Errors
/// As every ledger call; what was applied before stays, and may be applied again.
pub async fn apply_all(ledger: &dyn Ledger, facts: &[WebhookFact]) -> Result<Vec<Applied>> {
    let mut applied = Vec::with_capacity(facts.len());
    for chunk in facts.chunks(FACTS_MAX) {
        applied.extend(ledger.apply(chunk).await?);
    }
    Ok(applied)
}

/// Reads one delivery, or `None`.
///
/// # Errors
/// As every ledger call.
pub async fn find(ledger: &dyn Ledger, id: &DeliveryId) -> Result<Option<DeliveryView>> {
    let after = id.index.checked_sub(1);
    let found = ledger.list(&id.run, &Filter::default(), after, 1).await?;
    Ok(found.into_iter().find(|view| view.id == *id))
}
