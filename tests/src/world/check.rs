//! What became of the morning: the ledger against the far side's own record.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use domain::clock::EARLY_MAX;
use domain::{Address, DeliveryId, Phone, Recipient, RecipientId, RunId, State, Timestamp};
use ledger::opt_outs::OptOuts;
use ledger::{DeliveryView, Filter, Ledger, RowKey};
use serde::Serialize;

use super::crowd::HEARD_WITHIN;
use super::far::{Far, Taken};
use super::store::Store;
use super::{Chaos, World, caller};
use crate::tally::{Message, Tally};

/// From the end of a row to the last request that was granted before: the sender's budget, and a
/// process that is held up.
const LATE_MAX: Duration = Duration::from_secs(10);

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
    /// Must be 0: messages to people whose STOP had been answered for a while, and STOPs that nobody
    /// remembers at the end; judged where no process dies and no store goes away.
    pub after_stop: u64,
    /// STOPs that were answered.
    pub stops: u64,
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
        self.tally.faults() + self.stuck + self.wrong + self.early + self.too_many + self.after_stop
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
            (&mut self.after_stop, other.after_stop),
            (&mut self.stops, other.stops),
        ];
        pairs.into_iter().for_each(|(sum, n)| *sum += n);
        self.trace = self.trace.rotate_left(7) ^ other.trace;
    }
}

/// Reads the ledger directly: the morning is over and its links do not matter any more.
pub async fn verdict(
    world: &World,
    store: &Store,
    far: &Far,
    acknowledged: &caller::Acknowledged,
    ended: bool,
) -> Verdict {
    let (taken, requests) = {
        let oracle = far.oracle.lock().expect("one thread");
        (oracle.taken.clone(), oracle.requests.clone())
    };
    let mut verdict = Verdict {
        seeds: 1,
        tally: Tally { requests: requests.len() as u64, ..Tally::default() },
        stuck: u64::from(!ended),
        ..Verdict::default()
    };
    let mut by_delivery: HashMap<&DeliveryId, Vec<&Taken>> = HashMap::new();
    taken.iter().for_each(|one| by_delivery.entry(&one.delivery).or_default().push(one));
    let mut deliveries = Vec::new();
    for run in [world.run.clone(), caller::run_id()] {
        deliveries.extend(judge_run(world, store, &run, &mut by_delivery, &mut verdict).await);
    }
    let due: BTreeMap<&DeliveryId, &DeliveryView> = deliveries.iter().map(|d| (&d.id, d)).collect();
    for (delivery, at) in &requests {
        // What the store has forgotten, or a caller has moved since, had another instant.
        let planned = delivery.run == world.run;
        let early = |d: &&DeliveryView| planned && *at + EARLY_MAX < d.due_at;
        verdict.early += u64::from(due.get(delivery).is_none_or(early));
        // By a clock that steps, anything may be over or not.
        let steady = world.setup.chaos != Chaos::Absurd;
        let over = |d: &&DeliveryView| d.expires_at.is_some_and(|ends| *at > ends + LATE_MAX);
        verdict.wrong += u64::from(steady && due.get(delivery).is_some_and(over));
    }
    verdict.tally.lost += by_delivery.len() as u64; // messages for deliveries that are not there
    missing_rows(store, acknowledged, &mut verdict).await;
    judge_stops(world, store, far, &taken, &mut verdict).await;
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

/// Whoever said STOP gets nothing more, and is remembered.
async fn judge_stops(
    world: &World,
    store: &Store,
    far: &Far,
    taken: &[Taken],
    verdict: &mut Verdict,
) {
    let stops = far.oracle.lock().expect("one thread").stops.clone();
    verdict.stops = stops.len() as u64;
    if world.setup.chaos != Chaos::None {
        return;
    }
    let mut latest: HashMap<&str, Timestamp> = HashMap::new();
    // Whoever appends a row asks for consent before that; the simulated caller does not.
    for one in taken.iter().filter(|one| one.delivery.run == world.run) {
        let at = latest.entry(&one.to).or_insert(one.at);
        *at = one.at.max(*at);
    }
    let heard = OptOuts::read(&store.model).await.expect("the model answers");
    for (who, answered) in &stops {
        let late = latest.get(who.as_str()).is_some_and(|at| *at > *answered + HEARD_WITHIN);
        let mut person = stranger(who);
        heard.apply(&mut person);
        verdict.after_stop += u64::from(late) + u64::from(person.consent_utility);
    }
}

/// Somebody of that number who has agreed to everything.
fn stranger(phone: &str) -> Recipient {
    Recipient {
        id: RecipientId::new("anybody"),
        name: String::new(),
        address: Address::Phone(Phone::try_new(phone).expect("E.164")),
        tier: "".into(),
        language: "en".into(),
        consent_utility: true,
        consent_marketing: true,
        opted_in_at: None,
        attributes: BTreeMap::new(),
    }
}

/// Holds one run against the far side; returns its deliveries.
async fn judge_run(
    world: &World,
    store: &Store,
    id: &RunId,
    taken: &mut HashMap<&DeliveryId, Vec<&Taken>>,
    verdict: &mut Verdict,
) -> Vec<DeliveryView> {
    let everything = store.model.list(id, &Filter::default(), None, usize::MAX).await;
    let deliveries = everything.unwrap_or_default();
    let counts = store.model.counts(id).await.unwrap_or_default();
    let recount = store.model.recount(id).await.unwrap_or_default();
    let run = store.model.run(id).await.ok().flatten();
    let total = run.map_or(0, |run| u64::from(run.total()));
    let rows = match *id == world.run {
        true => total == u64::from(world.setup.deliveries),
        // One row a key, whatever was forgotten and asked for again.
        false => total <= u64::from(caller::MESSAGES),
    };
    let whole = rows && counts.total() == total;
    verdict.tally.miscounted += u64::from(counts != recount || !whole);
    let before = verdict.written_off;
    for delivery in &deliveries {
        let messages = taken.remove(&delivery.id).unwrap_or_default();
        judge(delivery, &messages, verdict);
    }
    let written_off = verdict.written_off - before;
    let budget = u64::from(world.setup.evidence().resends_max(u32::try_from(total).unwrap_or(0)));
    if written_off > budget {
        verdict.too_many += 1;
        let complaint = format!("{id}: {written_off} resends on evidence, {budget} are allowed");
        verdict.complaints.push(complaint);
    }
    deliveries
}

/// Whatever the store forgot of what it had acknowledged, the caller has asked for again.
async fn missing_rows(store: &Store, acknowledged: &caller::Acknowledged, verdict: &mut Verdict) {
    let keys: Vec<RowKey> = acknowledged.lock().expect("one thread").iter().cloned().collect();
    let found = store.model.by_keys(&caller::run_id(), &keys).await;
    let missing = found.map_or(1, |found| found.iter().filter(|index| index.is_none()).count());
    if missing > 0 {
        verdict.tally.lost += 1;
        verdict.complaints.push(format!("{missing} messages that were asked for are not there"));
    }
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
    // What went is what the attempt says that went.
    let other = |message: &&&Taken| {
        let attempt = delivery.facts.attempt(message.nonce).filter(|a| a.intent_at.is_some());
        let planned = caller::PLANNED;
        attempt.is_some_and(|a| a.sent_as.as_deref().unwrap_or(planned) != message.template)
    };
    verdict.wrong += messages.iter().filter(other).count() as u64;
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
