//! What became of one request to a provider.

use std::time::Duration;

use crate::facts::{Doubt, NotSent};
use crate::failure::Failure;
use crate::message_id::MessageId;

/// What one send gave: the rows of the design's table of outcomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Taken, with the provider's own id. `held`: kept back for quality assessment.
    Accepted { id: MessageId, held: bool },
    /// A well-formed error with a code that says the message was not taken.
    /// `words` are the provider's own, without personal data, with its trace.
    Refused { failure: Failure, retry_after: Option<Duration>, words: String },
    /// Nobody knows whether the message was taken. `code` is `None` without an error of the
    /// provider's own.
    Ambiguous { doubt: Doubt, code: Option<i32>, words: String },
    /// The request certainly never left.
    NotSent(NotSent),
}
