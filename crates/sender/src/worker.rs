//! One delivery's way: permit → journal → intent → POST → decide → result.
//!
//! Invariants: nothing is written to the network before this host has noted it and the
//! ledger has granted this nonce; an intent that was refused, unanswered or too old is not
//! sent; whatever the far side said is recorded, however long the store takes to come back.

mod attempt;

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use domain::callback::Callback;
use domain::facts::NotSent;
use domain::hash::stable64;
use domain::outbound::NoMediaId;
use domain::{Http, Nonce, NumberId, Outbound, State, TemplateCall, TemplateName};
use ledger::halts::Thing;
use ledger::{AttemptResult, Claim, IntentAnswer, IntentRequest, Refusal, Release};
use quality::{BreakerState, Pace};
use queue::{BoxError, Lane, Room};
use telemetry::labels::{Label, Loop};
use tokio::sync::Notify;

use self::attempt::attempt;
use crate::gate::{Admission, TROUBLE_PAUSE, Trouble};
use crate::journal::{Entry, Sync};
use crate::lane::NumberLane;
use crate::{failpoint, monotonic, recovery, since_boot};

/// First and longest pause while the store does not take a result.
const STORE_PAUSE: Duration = Duration::from_millis(50);
const STORE_PAUSE_MAX: Duration = Duration::from_secs(2);
/// A body that cannot be read is a defect: looked at again when a fixed version runs.
const DEFECT_PAUSE: Duration = Duration::from_secs(30);
/// Before another look at what is due only by a clock that jumped.
const EARLY_PAUSE: Duration = Duration::from_millis(500);

/// Claims wait for their permit at most about this long, far below the lease.
const AHEAD: Duration = Duration::from_millis(250);

#[async_trait]
impl Lane for NumberLane {
    fn number(&self) -> &NumberId {
        &self.number
    }

    fn room(&self) -> Room {
        failpoint::pass("panic-claims");
        if self.throughput.is_paused() {
            return Room::Wait(AHEAD);
        }
        let waiting = self.permits_wanted();
        let room = match self.with_breaker(|breaker| breaker.state(monotonic())) {
            BreakerState::Open => Room::Wait(AHEAD),
            BreakerState::HalfOpen if waiting > 0 => Room::Wait(AHEAD),
            BreakerState::HalfOpen => Room::UpTo(1),
            BreakerState::Closed => {
                let ahead = (self.throughput.rate() * AHEAD.as_secs_f64()).ceil() as usize;
                match ahead.max(1).saturating_sub(waiting) {
                    0 => Room::Wait(Duration::from_millis(10)),
                    room => Room::UpTo(room),
                }
            }
        };
        let Room::UpTo(room) = room else { return room };
        match self.shared.gate.entry(&self.number, monotonic()) {
            Admission::Wait(wait) => Room::Wait(wait),
            Admission::One => Room::UpTo(1),
            Admission::Open => Room::UpTo(room),
        }
    }

    async fn deliver(&self, claim: Claim) -> Result<(), BoxError> {
        let in_flight =
            self.shared.metrics.sending.lane_in_flight.with_label_values(&[self.number.as_str()]);
        in_flight.inc();
        deliver(self, claim).await;
        in_flight.dec();
        Ok(())
    }

    fn wake(&self) -> &Arc<Notify> {
        &self.wake
    }

    fn looked(&self) {
        let now = self.shared.clock.now();
        self.shared.metrics.process.loop_success.of(Loop::Sender).set(now.secs_f64());
        self.shared.progress.store(now.micros(), Ordering::Relaxed);
        self.export(monotonic());
    }
}

async fn deliver(lane: &NumberLane, claim: Claim) {
    let shared = &lane.shared;
    let in_hand = shared.unsettled.take(|| shared.journal.end());
    handle(lane, claim).await;
    shared.unsettled.settle(&in_hand);
}

async fn handle(lane: &NumberLane, claim: Claim) {
    let shared = &lane.shared;
    if shared.gate.is_early(claim.due_at, since_boot()) {
        return give_back(lane, &claim, EARLY_PAUSE).await;
    }
    if shared.grants.is_forgotten(&claim) {
        return recovery::doubt_the_store(shared, &claim.id).await;
    }
    let nonce = shared.with_rng(Nonce::new);
    let Some(prepared) = prepare(lane, &claim, nonce).await else { return };
    lane.permit_wanted();
    let permit = permit(lane, &claim, &prepared.things).await;
    lane.permit_settled();
    if let Err(hold) = permit {
        return give_back(lane, &claim, hold).await;
    }
    if let Err(wait) = shared.gate.pass(monotonic()) {
        return give_back(lane, &claim, wait).await;
    }
    if ask(lane, &claim, nonce, &prepared).await == Permission::Granted {
        failpoint::pass("write");
        attempt(lane, &claim, prepared, nonce).await;
    }
}

/// Whether the request may go out.
#[derive(PartialEq, Eq)]
enum Permission {
    Granted,
    /// The claim is given back or closed already.
    Denied,
}

/// Notes the intent here, asks the ledger for leave, and notes that the request is written.
/// Whatever took too long on the way closes the intent instead: the store's picture of this
/// attempt is too old by then.
async fn ask(lane: &NumberLane, claim: &Claim, nonce: Nonce, prepared: &Prepared) -> Permission {
    let shared = &lane.shared;
    let intended = since_boot();
    if !journal_intent(lane, claim, nonce, prepared.sent_as.clone()).await {
        give_back(lane, claim, TROUBLE_PAUSE).await;
        return Permission::Denied;
    }
    let journalled = since_boot() - intended;
    failpoint::pass("intent");
    if !granted(lane, claim, nonce, prepared.sent_as.clone()).await {
        return Permission::Denied;
    }
    failpoint::pass("granted");
    let noted = note(lane, &Entry::Write { nonce }).await;
    let (took, limit) = (since_boot() - intended, shared.budget.limit());
    shared.budget.observe(took);
    if took > limit && noted {
        let slow = journalled > took / 2;
        let trouble = if slow { Trouble::JournalSlow } else { Trouble::StoreSlow };
        own_trouble(lane, trouble, format_args!("{took:?}, at most {limit:?}"));
    }
    if took > limit || !noted {
        abort(lane, claim, nonce).await;
        return Permission::Denied;
    }
    own_works(lane, |trouble| trouble != Trouble::Descriptors);
    Permission::Granted
}

/// Asks the ledger. False: refused, or not answered; the intent is closed then.
async fn granted(
    lane: &NumberLane,
    claim: &Claim,
    nonce: Nonce,
    sent_as: Option<TemplateName>,
) -> bool {
    let shared = &lane.shared;
    let (id, lease_token) = (claim.id.clone(), claim.lease_token);
    let request = IntentRequest { id, lease_token, nonce, sent_as };
    match shared.ledger.intent(&[request]).await.as_deref() {
        Ok([IntentAnswer::Granted]) => {
            shared.grants.note(&claim.id, nonce);
            true
        }
        Ok([IntentAnswer::Refused(refusal)]) => {
            shared.metrics.sending.intents_refused.inc();
            tracing::debug!(delivery.id = %claim.id, ?refusal, "delivery {} was not ours to send", claim.id);
            let waiting = Refusal::State(State::Planned);
            if [Refusal::LeaseToken, waiting, Refusal::State(State::RetryWait)].contains(refusal) {
                // Its lease ended in our hands: claims take longer than they last.
                let lease = claim.header.policy.lease;
                let cause = format_args!("a claim outlived its lease of {lease:?}");
                own_trouble(lane, Trouble::StoreSlow, cause);
            }
            note(lane, &Entry::Result(aborted(lane, claim, nonce))).await;
            false
        }
        answer => {
            // It may have been granted without our hearing of it: close it by its nonce.
            shared.metrics.process.ledger_errors.inc();
            let cause = answer.err().map_or("no answer".to_owned(), ToString::to_string);
            own_trouble(lane, Trouble::StoreRefuses, cause);
            abort(lane, claim, nonce).await;
            false
        }
    }
}

/// A delivery that can go: what the breakers ask about, and the bytes.
struct Prepared {
    call: TemplateCall,
    things: Vec<Thing>,
    body: Vec<u8>,
    /// The template, where that is not the planned one.
    sent_as: Option<TemplateName>,
}

/// Builds the body. A delivery that may have taken a worker down is built between two
/// notes, so that the next process knows which one it was. `None`: it cannot be read.
async fn prepare(lane: &NumberLane, claim: &Claim, nonce: Nonce) -> Option<Prepared> {
    let id = &claim.id;
    if claim.worker_died {
        note(lane, &Entry::Handling { id: id.clone() }).await;
    }
    let prepared = build(lane, claim, nonce);
    if claim.worker_died {
        note(lane, &Entry::Handled { id: id.clone() }).await;
    }
    match prepared {
        Ok(prepared) => Some(prepared),
        Err(error) => {
            tracing::error!(delivery.id = %id, "delivery {id} cannot be sent and waits: {error}");
            give_back(lane, claim, DEFECT_PAUSE).await;
            None
        }
    }
}

/// Why a delivery cannot be sent now.
#[derive(Debug, thiserror::Error)]
enum Unbuilt {
    #[error("its content cannot be read: line {}, column {}", .0.line(), .0.column())]
    Content(#[from] serde_json::Error),
    #[error(transparent)]
    Media(#[from] NoMediaId),
}

/// Chooses what the number sends now: the version that stands for the planned one, and its own id
/// of the file.
fn build(lane: &NumberLane, claim: &Claim, nonce: Nonce) -> Result<Prepared, Unbuilt> {
    failpoint::pass(format_args!("prepare#{}", claim.id.index));
    let mut planned: TemplateCall = serde_json::from_str(&claim.body)?;
    let sent_as = lane.shared.in_place_of(&planned, &lane.number);
    if let Some(live) = &sent_as {
        planned.name.clone_from(live);
    }
    let things = lane.things(&planned);
    let call = planned.through(&lane.number)?;
    let tag = Callback { delivery: claim.id.clone(), nonce }.encode(&lane.shared.callback_key);
    let outbound = Outbound { to: &claim.message.to, call: &call, tag: &tag };
    let body = lane.provider.render(outbound);
    Ok(Prepared { things, call: call.into_owned(), body, sent_as })
}

/// Notes that the ledger will be asked. A store that may forget needs the note on the
/// disk first; one that cannot is its own note. False: the journal cannot be written, so
/// nothing may be sent.
async fn journal_intent(
    lane: &NumberLane,
    claim: &Claim,
    nonce: Nonce,
    sent_as: Option<TemplateName>,
) -> bool {
    let shared = &lane.shared;
    let entry = Entry::Intent {
        id: claim.id.clone(),
        nonce,
        at: shared.store_now(),
        machine_boot: shared.journal.machine_boot().to_owned(),
        sent_as,
    };
    let sync = if shared.options.ledger_forgets { Sync::Yes } else { Sync::No };
    append(lane, &entry, sync).await
}

/// A note that need not survive the machine.
async fn note(lane: &NumberLane, entry: &Entry) -> bool {
    append(lane, entry, Sync::No).await
}

async fn append(lane: &NumberLane, entry: &Entry, sync: Sync) -> bool {
    let written = lane.shared.journal.append(entry, sync).await;
    if let Err(error) = &written {
        own_trouble(lane, Trouble::JournalFails, error);
    }
    written.is_ok()
}

/// Closes the gate for a moment: the cause is ours, so no delivery pays for it. Said once,
/// and once more with a count when it is over.
fn own_trouble(lane: &NumberLane, trouble: Trouble, cause: impl Display) {
    let (shared, reason) = (&lane.shared, trouble.blocked().as_str());
    if shared.gate.trouble(trouble, monotonic()) {
        for other in Trouble::ALL {
            let blocked = shared.metrics.sending.blocked.of(other.blocked());
            blocked.set(i64::from(other == trouble));
        }
        tracing::error!(
            reason,
            "nothing is sent: {} ({cause}); it is tried again each second",
            trouble.said()
        );
    }
}

fn own_works(lane: &NumberLane, past: impl Fn(Trouble) -> bool) {
    let shared = &lane.shared;
    if let Some((over, met)) = shared.gate.works(past) {
        shared.metrics.sending.blocked.of(over.blocked()).set(0);
        let reason = over.blocked().as_str();
        tracing::info!(reason, met, "sending goes on: {met} deliveries met that {}", over.said());
    }
}

/// Waits for rate and pair permits. Err: a breaker holds, or the wait would eat the lease.
async fn permit(lane: &NumberLane, claim: &Claim, things: &[Thing]) -> Result<(), Duration> {
    let until = monotonic() + claim.header.policy.lease / 2;
    let pair = stable64(&[lane.number.as_str(), claim.message.recipient.as_str()]);
    if let Pace::Wait(wait) | Pace::Hold(wait) = lane.shared.pairs.check(pair, monotonic()) {
        return Err(wait);
    }
    loop {
        let now = monotonic();
        match lane.throughput.check(now) {
            Pace::Go => break,
            Pace::Wait(wait) | Pace::Hold(wait) if now + wait > until => return Err(wait),
            Pace::Wait(wait) | Pace::Hold(wait) => tokio::time::sleep(wait).await,
        }
    }
    // Last, because a breaker that is half-open hands out its one probe here.
    match lane.breakers(things, monotonic()) {
        Pace::Go => Ok(()),
        Pace::Wait(wait) | Pace::Hold(wait) => Err(wait),
    }
}

/// Closes an intent that was not used.
async fn abort(lane: &NumberLane, claim: &Claim, nonce: Nonce) {
    settle(lane, aborted(lane, claim, nonce)).await;
}

fn aborted(lane: &NumberLane, claim: &Claim, nonce: Nonce) -> AttemptResult {
    let wait = lane.shared.with_rng(|rng| lane.shared.options.defer.delay(1, rng));
    AttemptResult {
        id: claim.id.clone(),
        nonce,
        http: Http::NotSent(NotSent::Aborted),
        dispatched_at: None,
        accepted_at: None,
        retry_in: Some(wait),
        words: None,
    }
}

/// A claim that cannot be given back waits for its lease to end.
async fn give_back(lane: &NumberLane, claim: &Claim, wait: Duration) {
    let release = Release { id: claim.id.clone(), lease_token: claim.lease_token, wait };
    if let Err(error) = lane.shared.ledger.release(&[release]).await {
        lane.shared.metrics.process.ledger_errors.inc();
        tracing::warn!(delivery.id = %claim.id, error = %error, "delivery {} waits for its lease to end: {error}", claim.id);
    }
}

/// Notes the outcome here, then records it.
async fn settle(lane: &NumberLane, result: AttemptResult) {
    note(lane, &Entry::Result(result.clone())).await;
    failpoint::pass("noted");
    record(lane, result).await;
}

/// Repeats until the store has it. If this process dies first, the next one finds the
/// outcome in the journal.
async fn record(lane: &NumberLane, result: AttemptResult) {
    let results = [result];
    let mut pause = STORE_PAUSE;
    loop {
        match lane.shared.ledger.result(&results).await {
            Ok(states) => {
                if states.contains(&State::RetryWait) {
                    queue::Lane::wake(lane).notify_one();
                }
                return;
            }
            Err(error) => {
                lane.shared.metrics.process.ledger_errors.inc();
                let id = &results[0].id;
                tracing::warn!(delivery.id = %id, error = %error, "result of {id} is not recorded yet: {error}");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(STORE_PAUSE_MAX);
            }
        }
    }
}
