//! What became of the morning: the ledger against the far side's own record.

use std::collections::{BTreeMap, HashMap};

use domain::clock::EARLY_MAX;
use domain::{DeliveryId, State};
use ledger::{DeliveryView, Filter, Ledger};
use serde::Serialize;

use super::World;
use super::far::{Far, Taken};
use super::store::Store;
use crate::tally::{Message, Tally};

/// Counts; added up over seeds. Those that must be zero say so.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    pub seeds: u64,
    #[serde(flatten)]
    pub tally: Tally,
    /// Of the requests, how many the sender could not know the outcome of.
    pub ambiguous: u64,
    /// Attempts that evidence let be followed by another.
    pub written_off: u64,
    /// Must be 0: mornings that never end.
    pub stuck: u64,
    /// Must be 0: states that contradict what the far side knows.
    pub wrong: u64,
    /// Must be 0: requests before their delivery was due, by more than a clock that jumped
    /// can make them.
    pub early: u64,
    /// Must be 0: deliveries with more messages than attempts are allowed.
    pub too_many: u64,
    /// What was wrong, in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub complaints: Vec<String>,
    /// Identifies the whole course of events; equal for equal seeds.
    pub trace: u64,
}

impl Verdict {
    /// Nothing that must not happen has happened. Under `hold` a duplicate is one of them.
    pub fn is_good(&self, hold: bool) -> bool {
        self.faults() == 0 && (!hold || self.tally.duplicates == 0)
    }

    fn faults(&self) -> u64 {
        self.tally.faults() + self.stuck + self.wrong + self.early + self.too_many
    }

    pub fn add(&mut self, other: &Verdict) {
        self.tally.add(&other.tally);
        let pairs = [
            (&mut self.seeds, other.seeds),
            (&mut self.ambiguous, other.ambiguous),
            (&mut self.written_off, other.written_off),
            (&mut self.stuck, other.stuck),
            (&mut self.wrong, other.wrong),
            (&mut self.early, other.early),
            (&mut self.too_many, other.too_many),
        ];
        pairs.into_iter().for_each(|(sum, n)| *sum += n);
        self.trace = self.trace.rotate_left(7) ^ other.trace;
    }
}

/// Reads the ledger directly: the morning is over and its links do not matter any more.
pub async fn verdict(world: &World, store: &Store, far: &Far, ended: bool) -> Verdict {
    let (taken, requests) = {
        let oracle = far.oracle.lock().expect("one thread");
        (oracle.taken.clone(), oracle.requests.clone())
    };
    let everything = store.model.list(&world.run, &Filter::default(), None, usize::MAX).await;
    let deliveries = everything.unwrap_or_default();
    let mut verdict = Verdict {
        seeds: 1,
        tally: Tally { requests: requests.len() as u64, ..Tally::default() },
        stuck: u64::from(!ended),
        ..Verdict::default()
    };
    let counts = store.model.counts(&world.run).await.unwrap_or_default();
    let recount = store.model.recount(&world.run).await.unwrap_or_default();
    let whole = counts.total() == u64::from(world.setup.deliveries);
    verdict.tally.miscounted += u64::from(counts != recount || !whole);

    let mut by_delivery: HashMap<&DeliveryId, Vec<&Taken>> = HashMap::new();
    taken.iter().for_each(|one| by_delivery.entry(&one.delivery).or_default().push(one));
    let due: BTreeMap<&DeliveryId, _> = deliveries.iter().map(|d| (&d.id, d.due_at)).collect();
    for (delivery, at) in &requests {
        let early = |due: &domain::Timestamp| *at + EARLY_MAX < *due;
        verdict.early += u64::from(due.get(delivery).is_none_or(early));
    }
    for delivery in &deliveries {
        let messages = by_delivery.remove(&delivery.id).unwrap_or_default();
        judge(delivery, &messages, &mut verdict);
    }
    let budget = world.setup.resends_max();
    if verdict.written_off > budget {
        verdict.too_many += 1;
        let n = verdict.written_off;
        verdict.complaints.push(format!("{n} resends on evidence, {budget} are allowed"));
    }
    verdict.tally.lost += by_delivery.len() as u64; // messages for deliveries that were never planned
    if !ended {
        verdict.complaints.push(format!(
            "it never ended: phase {:?}, far side idle {}, fenced {:?}",
            store.model.run(&world.run).await.map(|run| run.map(|run| run.phase)),
            far.is_idle(),
            store.model.fenced_runs().await,
        ));
        if std::env::var_os("WORLD_DEBUG").is_some() {
            eprintln!(
                "{:?}\n{:?}",
                store.model.incarnation().await,
                ledger::members::read(&store.model).await
            );
        }
    }
    verdict.trace = trace(&deliveries, &requests);
    verdict
}

fn judge(delivery: &DeliveryView, messages: &[&Taken], verdict: &mut Verdict) {
    let before = verdict.faults();
    let seen = |one: &&Taken| Message { nonce: Some(one.nonce), arrives: one.arrives };
    verdict.tally.judge(delivery, &messages.iter().map(seen).collect::<Vec<_>>());
    for attempt in &delivery.facts.attempts {
        verdict.ambiguous += u64::from(matches!(attempt.http, domain::Http::Ambiguous(_)));
        verdict.written_off += u64::from(attempt.written_off_at.is_some());
    }
    let arrived = messages.iter().any(|message| message.reported);
    let says_arrived = matches!(delivery.state, State::Delivered | State::Read);
    let says_taken = matches!(delivery.state, State::Sent | State::Accepted | State::Held);
    // What a damaged record knew is gone with it, and it says so.
    let contradicted = delivery.damage.is_none()
        && (arrived != says_arrived || (says_taken && !messages.iter().any(|m| m.arrives)));
    // Whoever was left out by their own word did not get it.
    let left_out = delivery.state == State::Suppressed && messages.iter().any(|m| m.arrives);
    verdict.wrong += u64::from(contradicted || left_out);
    // Whoever may have got two must not be sent a third one.
    let written_off = |attempt: &&domain::Attempt| attempt.written_off_at.is_some();
    let resent_twice = delivery.facts.attempts.iter().filter(written_off).count() > 1;
    verdict.too_many += u64::from(messages.len() > 3 || resent_twice);
    if verdict.faults() > before {
        verdict.complaints.push(format!(
            "{} is {} at {}: {:?}; the far side took {messages:?}",
            delivery.id, delivery.state, delivery.next_at, delivery.facts
        ));
    }
}

/// Order matters: two runs of one seed must take the very same course.
fn trace(deliveries: &[DeliveryView], requests: &[(DeliveryId, domain::Timestamp)]) -> u64 {
    let mut trace = 0u64;
    let mut mix = |n: u64| trace = domain::hash::mix64(trace ^ n);
    for (delivery, at) in requests {
        mix(u64::from(delivery.index));
        mix(at.micros().unsigned_abs());
    }
    for delivery in deliveries {
        mix(delivery.state as u64);
        for attempt in &delivery.facts.attempts {
            mix(attempt.intent_at.map_or(0, |at| at.micros().unsigned_abs()));
        }
    }
    trace
}
