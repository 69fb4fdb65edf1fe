//! What comes in: webhooks are taken, kept, and read by whoever they concern.
//!
//! [`receiver`] answers Meta only after [`Inbox`] has the raw body on the disk. Each [`Consumer`]
//! reads the same records at its own pace, from a place of its own that is noted behind what it
//! has done: a crash repeats news, which changes nothing, and a consumer that is behind holds up
//! nobody. [`endpoint`] says whose word a body is.

mod consumer;
pub mod endpoint;
mod quota;
pub mod receiver;
mod record;
mod segments;
mod tail;
#[cfg(test)]
mod tests;

pub use consumer::{Consumer, ReplayError, Round, rest};
pub use quota::{Volume, quota};
pub use record::{BadRecord, ENDPOINT_BYTES_MAX, FIRST_ENDPOINT, Record};
pub use segment_log::{LogError, Position};
pub use segments::Inbox;
pub use tail::{Parked, Source, Tail, place_name};
