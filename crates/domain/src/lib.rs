//! The field's words as types.
//!
//! Pure: no async, no I/O, no framework. Time and chance come in as arguments.
//! Read in this order: [`recipient`], [`window`], [`run`], [`facts`], [`state`].

pub mod backoff;
pub mod callback;
pub mod campaign;
pub mod clock;
pub mod consent;
pub mod event;
pub mod facts;
pub mod failure;
pub mod hash;
pub mod message_id;
pub mod names;
pub mod number;
pub mod outbound;
pub mod outcome;
pub mod person;
pub mod recipient;
pub mod retention;
pub mod run;
pub mod state;
pub mod suppression;
pub mod tenant;
pub mod text;
pub mod window;
pub mod words;

pub use backoff::Backoff;
pub use clock::{Clock, StepWatch, SystemClock, Timestamp};
pub use facts::{Attempt, Facts, Http, Nonce, Resolution};
pub use failure::{Failure, FailureClass, Scope};
pub use message_id::MessageId;
pub use names::{Language, ListName, TemplateName, Tier};
pub use number::{BusinessNumber, NumberId};
pub use outbound::{Outbound, TemplateCall};
pub use outcome::Outcome;
pub use recipient::{Address, Phone, Recipient, RecipientId, UserId};
pub use run::{DeliveryId, RunId};
pub use state::{Evidence, OnAmbiguous, Policy, State};
pub use suppression::Suppression;
pub use tenant::TenantId;
pub use window::{Window, WindowSpec};
