//! What the daemon tells the people who watch it.
//!
//! [`metrics`] holds every metric's name, help and buckets, [`labels`] what they are told apart
//! by, [`log`] the tracing set-up. Neither ever sees a recipient, a text or a token.

pub mod fault;
pub mod labels;
pub mod log;
pub mod metrics;

pub use fault::Fault;
pub use metrics::Metrics;
