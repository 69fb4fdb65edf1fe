//! Why an attempt did not deliver, in the classes that decide what happens next.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// What a refusal means for the delivery. Declared from mildest to hardest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// Known not to have been taken, because we went too fast: wait, spend no attempt.
    Throttled,
    /// Known not to have been delivered, and another attempt may succeed.
    Retryable,
    /// The thing named by the [`Scope`] is unusable: trip its breaker, give the delivery
    /// back unspent.
    Halted,
    /// This message to this recipient will never succeed unchanged.
    Rejected,
}

/// What a failure speaks about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    Recipient,
    Message,
    Template,
    Number,
    Account,
    Auth,
}

/// Stands for a failure without a code, which happens; no code of anybody's.
pub const NO_CODE: i32 = -1;

/// A refusal with a code, from an HTTP answer or a `failed` webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Failure {
    /// The provider's own; [`NO_CODE`] without one. Only the provider knows what it means.
    pub code: i32,
    pub class: FailureClass,
    pub scope: Scope,
}

/// A failure that a webhook reported, with Meta's event time. Ordered by time first, so
/// that the earliest is the one kept when two are merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ReportedFailure {
    pub at: Timestamp,
    pub failure: Failure,
}

impl Failure {
    /// Of a message that was certainly not delivered, for no reason that was given.
    pub const WITHOUT_A_CODE: Failure =
        Failure { code: NO_CODE, class: FailureClass::Rejected, scope: Scope::Message };
}
