//! Single deliveries: claims, attempts, news and acts, as the ledger speaks of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::{
    Attempt, DeliveryId, Facts, Http, Nonce, NumberId, Resolution, State, TemplateName, Timestamp,
};
use serde::{Deserialize, Serialize};

use super::{Envelope, RunHeader};

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
    pub lease_token: u32,
    /// When the plan wanted it to go.
    pub due_at: Timestamp,
    pub message: Envelope,
    pub body: Arc<str>,
    pub header: Arc<RunHeader>,
    /// Attempts that count against the policy's maximum.
    pub attempts_spent: u32,
    /// Tries that did not.
    pub defers_spent: u32,
    /// All attempts that the store knows of.
    pub attempts: u32,
    /// A worker died while it had this one: it is handled with care, in case it did that.
    pub worker_died: bool,
}

#[derive(Clone, Debug)]
pub struct IntentRequest {
    pub id: DeliveryId,
    pub lease_token: u32,
    pub nonce: Nonce,
    /// The template that is about to go, where that is not the planned one.
    pub sent_as: Option<TemplateName>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntentAnswer {
    /// You, and only you, may send now.
    Granted,
    Refused(Refusal),
}

/// Why an intent was not granted. None of these may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The delivery is not leased: someone else moved it on.
    State(State),
    /// The lease is another's, or has run out.
    LeaseToken,
    /// All attempts are spent.
    Spent,
    /// The deadline has passed.
    TooLate,
    /// The run is paused, cancelled or closed.
    RunNotOpen,
    /// The ledger does not know the delivery.
    NoDelivery,
    /// The store may have forgotten answers: see [`crate::LedgerError::StoreRestarted`].
    StoreRestarted,
}

/// What one attempt's HTTP try gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptResult {
    pub id: DeliveryId,
    pub nonce: Nonce,
    pub http: Http,
    pub dispatched_at: Option<Timestamp>,
    pub accepted_at: Option<Timestamp>,
    /// After how long another try may go, if the state allows one. A span, not an instant: the
    /// store's clock counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_in: Option<Duration>,
    /// The provider's own words, without personal data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<String>,
}

/// A claim given back without a try.
#[derive(Clone, Debug)]
pub struct Release {
    pub id: DeliveryId,
    pub lease_token: u32,
    /// After how long it may be claimed again; zero: as before.
    pub wait: Duration,
}

/// A status report about one attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookFact {
    pub id: DeliveryId,
    /// The news; its nonce names the attempt. An unknown nonce creates the attempt.
    pub news: Attempt,
    /// After how long another try may go, if the news is a failure that allows one: what a
    /// sender had decided before it died.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_in: Option<Duration>,
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
            retry_in: None,
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
    NoDelivery,
}

/// What one sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    pub leases_expired: u32,
    pub intents_lost: u32,
    /// Doubts that evidence resolved: these deliveries wait for another attempt.
    pub written_off: u32,
    pub ended: u32,
    /// Of these, so many may have been sent: a host that the store waits for may know.
    pub suspected: u32,
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
    /// Nothing, but a record that cannot be read is quarantined.
    Touch,
    /// Takes back what was not sent yet.
    Cancel,
    /// Moves one that was never tried to another instant, and its end with it.
    Move {
        due_at: Timestamp,
        /// Its end stays as it is without one.
        expires_at: Option<Timestamp>,
    },
    /// Gives one that waits, and that nobody can have got, to another lane: its position in the
    /// run's list.
    Rehome { lane: u16 },
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
    NoDelivery,
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
    /// Nothing of it starts after this, whatever the run's own end.
    pub expires_at: Option<Timestamp>,
    pub facts: Facts,
    /// `None` when it cannot be read.
    pub message: Option<Envelope>,
    /// Workers that it took down.
    pub strikes: u32,
    /// Why it could not be read, if it was quarantined for that.
    pub damage: Option<String>,
    pub notes: Vec<Note>,
}
