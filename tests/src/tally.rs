//! What deliveries came to: the ledger's word held against the far side's own record. The
//! simulated world and the fleet of real processes are judged by the same rules.

use domain::{Nonce, State};
use ledger::DeliveryView;
use serde::Serialize;

/// Counts; they add up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    pub planned: u64,
    /// Delivered or read, by the ledger.
    pub delivered: u64,
    pub unknown: u64,
    pub failed: u64,
    pub expired: u64,
    pub quarantined: u64,
    pub suppressed: u64,
    pub cancelled: u64,
    /// Requests that reached the far side.
    pub requests: u64,
    /// Messages beyond the first of a delivery that a recipient could receive.
    pub duplicates: u64,
    /// Must be 0: duplicates that nobody marked as possible.
    pub unflagged: u64,
    /// Must be 0: messages that were taken and that the ledger does not know of.
    pub lost: u64,
    /// Must be 0 in the end: deliveries without a named end.
    pub open: u64,
    /// Must be 0: counters that differ from a recount or from the plan.
    pub miscounted: u64,
}

/// A message that the far side took.
#[derive(Clone, Copy, Debug)]
pub struct Message {
    /// `None` when its callback data named none.
    pub nonce: Option<Nonce>,
    /// Whether a recipient could receive it.
    pub arrives: bool,
}

impl Tally {
    /// Counts one delivery and the messages that were taken for it.
    pub fn judge(&mut self, delivery: &DeliveryView, messages: &[Message]) {
        self.planned += 1;
        match delivery.state {
            State::Delivered | State::Read => self.delivered += 1,
            State::Unknown => self.unknown += 1,
            State::Failed => self.failed += 1,
            State::Expired => self.expired += 1,
            State::Quarantined => self.quarantined += 1,
            State::Suppressed => self.suppressed += 1,
            State::Cancelled => self.cancelled += 1,
            state => self.open += u64::from(state.is_open()),
        }
        let facts = &delivery.facts;
        let arriving = messages.iter().filter(|message| message.arrives).count() as u64;
        let surplus = arriving.saturating_sub(1);
        self.duplicates += surplus;
        if !facts.possible_duplicate() {
            self.unflagged += surplus;
        }
        // What a record knew that cannot be read any more is named as damage, not lost unseen.
        let known = messages.iter().filter(|_| delivery.damage.is_none());
        for message in known {
            let attempt = message.nonce.and_then(|nonce| facts.attempt(nonce));
            self.lost += u64::from(attempt.is_none_or(|a| a.taken_at().is_none()));
        }
    }

    /// Everything of it that must be 0, whatever the policy.
    pub fn faults(&self) -> u64 {
        self.unflagged + self.lost + self.open + self.miscounted
    }

    pub fn add(&mut self, other: &Tally) {
        let pairs = [
            (&mut self.planned, other.planned),
            (&mut self.delivered, other.delivered),
            (&mut self.unknown, other.unknown),
            (&mut self.failed, other.failed),
            (&mut self.expired, other.expired),
            (&mut self.quarantined, other.quarantined),
            (&mut self.suppressed, other.suppressed),
            (&mut self.cancelled, other.cancelled),
            (&mut self.requests, other.requests),
            (&mut self.duplicates, other.duplicates),
            (&mut self.unflagged, other.unflagged),
            (&mut self.lost, other.lost),
            (&mut self.open, other.open),
            (&mut self.miscounted, other.miscounted),
        ];
        pairs.into_iter().for_each(|(sum, n)| *sum += n);
    }
}
