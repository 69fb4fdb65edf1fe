//! The only crate that knows apalis.
//!
//! apalis gives us workers, tower layers, a monitor and a graceful stop. Its storages are
//! not used (see `crates/ARCHITECTURE.md`): [`LaneBackend`] claims from the ledger
//! instead. A queue entry is a hint that says "look at this delivery"; whether it may be
//! sent is decided by the intent, in the ledger.

mod backend;
mod lanes;
mod settle;

pub use backend::{Job, LaneBackend, LaneOptions};
pub use lanes::{LanesEnded, deliver, run_lanes};

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::NumberId;
use ledger::Claim;
use tokio::sync::Notify;

/// Why a delivery could not be handled. The claim goes back unless an intent was granted.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How many deliveries a lane can take right now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    UpTo(usize),
    /// Nothing for this long: a breaker is open.
    Wait(Duration),
}

/// What a lane does with its deliveries: the sender.
#[async_trait]
pub trait Lane: Send + Sync + 'static {
    fn number(&self) -> &NumberId;

    /// Asked before each claim, so that nothing is leased that cannot go soon.
    fn room(&self) -> Room;

    /// Handles one claim to its end: sent and recorded, or given back.
    async fn deliver(&self, claim: Claim) -> Result<(), BoxError>;

    /// Woken when something may be due earlier than the lane knows.
    fn wake(&self) -> &Arc<Notify>;

    /// Told after each round of the claim loop: the loop lives.
    fn looked(&self) {}
}
