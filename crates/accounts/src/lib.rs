//! Who may do what: operators with roles, their API keys and sessions, and requests that are answered
//! once. Kept in the records, each row with its tenant.
//!
//! Invariants: a secret is shown once, when it is made, and kept as its hash alone; whoever is disabled
//! is let in by none of their keys and sessions; a key never allows more than its operator's role.

mod error;
pub mod idempotency;
pub mod keys;
pub mod operators;
mod role;
mod secret;
pub mod sessions;

pub use error::{AccountsError, Result};
pub use role::{Permission, Role};
pub use secret::Secret;

use domain::TenantId;

/// Somebody who was let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub tenant: TenantId,
    pub operator: String,
    pub role: Role,
    /// The key's or the session's; in the audit, never a secret.
    pub by: String,
}
