//! Every act of an operator, once: checked, audited, with a dry run. Whoever faces people (the
//! command line, later an API and a console) parses, calls one act here, and shows its answer.
//!
//! An act writes the records, its audit entry and what the ledger has to hear in one transaction;
//! [`relay`] tells the ledger. [`recorder`] brings what people say over webhooks into the records.

pub mod consents;
pub mod draft;
mod error;
pub mod imports;
pub mod recorder;
mod refresh;
pub mod relay;
mod replacement;
pub mod sets;
pub mod snapshots;
pub mod witness;

use std::sync::{Arc, Mutex};

use domain::{Clock, TenantId};
use rand::SeedableRng;
use rand::rngs::StdRng;
use records::Records;

pub use error::{DeskError, Result};
pub use replacement::Replacement;

/// Somebody's seat: whose rows they act on, and under which name.
pub struct Desk {
    pub records: Records,
    pub clock: Arc<dyn Clock>,
    pub rng: Mutex<StdRng>,
    pub tenant: TenantId,
    /// Who acts, for the audit.
    pub actor: String,
}

/// Whether an act is done, or only said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    DryRun,
    Do,
}

impl Desk {
    fn fork_rng(&self) -> StdRng {
        fork(&self.rng)
    }
}

/// A source of chance of its own for one transaction: no lock is held while a database is asked.
fn fork(rng: &Mutex<StdRng>) -> StdRng {
    StdRng::from_rng(&mut *rng.lock().expect("no panic while held"))
}
