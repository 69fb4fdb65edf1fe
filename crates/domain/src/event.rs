//! What a provider's webhook says, in no provider's words.

mod describe;
mod inbound;
mod news;

pub use inbound::{Inbound, Link};
pub use news::News;

use crate::clock::Timestamp;
use crate::failure::Failure;
use crate::message_id::MessageId;
use crate::number::NumberId;
use crate::recipient::Address;

/// One thing that a webhook told us.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    Status(StatusReport),
    Inbound(Inbound),
    /// A message that someone typed on the phone of a coexistence number.
    Echo {
        number: Option<NumberId>,
        kind: String,
    },
    Call {
        number: Option<NumberId>,
        event: String,
        direction: String,
    },
    /// A user stopped or resumed a category of messages.
    Preference(Preference),
    Group {
        event: String,
    },
    /// An error about the number or account rather than one message.
    Error {
        number: Option<NumberId>,
        error: ReportedError,
    },
    /// News about a template: status, quality, category or components.
    Template(News),
    /// News about a number or the account.
    Account(News),
    /// A part of the body that cannot be read: kept for a person.
    Odd {
        why: String,
    },
    /// A field that this version does not know.
    Other {
        field: String,
        event: String,
    },
}

/// What a user wants no more, or again. Personal data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preference {
    pub number: Option<NumberId>,
    pub who: Option<Address>,
    /// `stop` or `resume`.
    pub value: String,
    pub category: String,
    pub at: Option<Timestamp>,
}

/// One error of a status or a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportedError {
    /// `None` when the error names none, which is not code 0.
    pub code: Option<i32>,
    /// What the provider means by the code, for a message that was certainly not delivered.
    pub failure: Failure,
    /// The code in words.
    pub meaning: &'static str,
    /// The provider's own words, without personal data.
    pub words: String,
}

/// One status of one message.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusReport {
    pub number: Option<NumberId>,
    pub id: MessageId,
    pub status: Status,
    /// The provider's event time, grain 1 s; `None` when missing or unreadable.
    pub at: Option<Timestamp>,
    /// Our own tag back, if we sent one.
    pub tag: Option<String>,
    /// Of a failure, first one first; may be empty even for `failed`.
    pub errors: Vec<ReportedError>,
    pub pricing: Option<Pricing>,
    /// `payment` or `call` statuses are not about messages; `message` ones are, as are
    /// those without a type.
    pub kind: Option<String>,
    pub group: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    Sent,
    Delivered,
    Read,
    /// A voice message was listened to; implies read.
    Played,
    Failed,
    /// `deleted`, `warning`, call and payment statuses, and whatever comes next.
    Other(String),
}

/// What the provider says that it charges. Shown, never decided on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pricing {
    pub model: String,
    pub kind: Option<String>,
    pub category: Option<String>,
    pub billable: Option<bool>,
}

impl StatusReport {
    /// Whether it speaks of a message.
    pub fn is_of_a_message(&self) -> bool {
        self.kind.as_deref().is_none_or(|kind| kind == "message")
    }
}

impl Event {
    /// The number of ours that it is about, where it names one.
    pub fn number(&self) -> Option<&NumberId> {
        match self {
            Event::Status(StatusReport { number, .. })
            | Event::Inbound(Inbound { number, .. })
            | Event::Echo { number, .. }
            | Event::Call { number, .. }
            | Event::Preference(Preference { number, .. })
            | Event::Error { number, .. } => number.as_ref(),
            Event::Group { .. }
            | Event::Template(_)
            | Event::Account(_)
            | Event::Odd { .. }
            | Event::Other { .. } => None,
        }
    }

    /// Something that a person said or chose, or that happened to a message: whoever tells it must
    /// name the number that it happened at.
    pub fn is_of_a_person(&self) -> bool {
        matches!(
            self,
            Event::Status(_)
                | Event::Inbound(_)
                | Event::Echo { .. }
                | Event::Call { .. }
                | Event::Preference(_)
        )
    }
}
