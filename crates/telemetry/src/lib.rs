//! What the daemon tells the people who watch it.
//!
//! [`metrics`] holds every metric's name, help, labels and buckets, [`log`] the tracing
//! set-up. Neither ever sees a recipient, a text or a token.

pub mod fault;
pub mod log;
pub mod metrics;

pub use fault::Fault;
pub use metrics::Metrics;
