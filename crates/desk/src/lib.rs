//! Every act of an operator, once: checked, audited, with a dry run. Whoever faces people (the
//! command line, later an API and a console) parses, calls one act here, and shows its answer.
//!
//! An act writes the records, its audit entry and what the ledger has to hear in one transaction;
//! [`relay`] tells the ledger. [`recorder`] brings what people say over webhooks into the records.

pub mod accounts;
pub mod amend;
mod archive;
pub mod audit;
pub mod backup;
pub mod consent_forms;
pub mod consents;
pub mod content;
pub mod deliveries;
pub mod did;
pub mod draft;
pub mod error;
pub mod files;
pub mod findings;
pub mod foresight;
pub mod imports;
pub mod intake;
mod media;
pub mod named;
pub mod notes;
pub mod numbers;
mod phones;
pub mod preflight;
pub mod pull;
pub mod purge;
pub mod recipients;
pub mod recorder;
pub mod recover;
mod refresh;
pub mod relay;
mod replacement;
pub mod reports;
pub mod runs;
pub mod select;
pub mod sets;
pub mod snapshots;
pub mod store;
pub mod survey;
pub mod table;
pub mod templates;
pub mod terminal;
mod told;
pub mod verify;
pub mod webhooks;
pub mod witness;

use std::sync::{Arc, Mutex};

use domain::{Clock, TenantId};
use rand::SeedableRng;
use rand::rngs::StdRng;
use records::Records;

pub use error::{DeskError, Result};
pub use replacement::Replacement;
pub use told::{Answer, Told};

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

impl Mode {
    pub const fn of_yes(yes: bool) -> Self {
        if yes { Mode::Do } else { Mode::DryRun }
    }
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
