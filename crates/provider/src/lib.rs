//! The seam between what we want said and whoever carries it.
//!
//! A provider renders and sends ([`Outgoing`]), verifies and reads ([`Incoming`]), and says what
//! its codes mean: a code becomes a class and a scope inside of the provider's own room, and
//! nobody else matches on one. What a provider cannot do is in its [`Capabilities`]; nobody
//! matches on a name either.

mod incoming;
mod outgoing;

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::NumberId;

pub use incoming::{BadSignature, Incoming, Unreadable};
pub use outgoing::{Capabilities, Outgoing, ProviderError, Uploaded};

/// Which provider, with which credentials, each number of ours is sent from.
#[derive(Clone, Default)]
pub struct Registry(BTreeMap<NumberId, Arc<dyn Outgoing>>);

impl Registry {
    pub fn new(numbers: impl IntoIterator<Item = (NumberId, Arc<dyn Outgoing>)>) -> Self {
        Registry(numbers.into_iter().collect())
    }

    /// `None`: no number of ours.
    pub fn of(&self, number: &NumberId) -> Option<&Arc<dyn Outgoing>> {
        self.0.get(number)
    }
}
