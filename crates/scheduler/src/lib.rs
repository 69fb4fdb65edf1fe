//! Decides who gets what, when, and through which number.
//!
//! [`intake`] reads what people send us, [`snapshot`] freezes it, [`plan`] turns it into
//! deliveries (pure), [`capacity`] says whether that fits the window, [`planner`] writes it
//! into the ledger, [`kept`] lets it do so once more, [`daily`] says when (pure).

pub mod campaign;
pub mod capacity;
pub mod daily;
pub mod intake;
pub mod kept;
pub mod plan;
pub mod planner;
pub mod snapshot;

pub use campaign::Campaign;
pub use plan::Plan;
pub use planner::{PlanError, Planner};
pub use snapshot::Snapshot;
