//! The ledger's contract, told once and held against every engine.
//!
//! Time is the store's own, so the suite never sets it: what must be due lies in the past,
//! what must not lies hours ahead, and a lease that must run out is one millisecond long.

pub mod damaged_news;
pub mod discard;
mod more;
mod purge;
mod rolling;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::facts::{Doubt, Ended, NotSent};
use domain::failure::{Failure, ReportedFailure};
use domain::{
    Address, Attempt, DeliveryId, FailureClass, Http, Nonce, NumberId, Phone, Policy, RecipientId,
    RunId, Scope, State, Suppression, Timestamp, Window,
};
use ledger::{
    Applied, AttemptResult, Begun, Claim, Counts, Envelope, Filter, IntentAnswer, IntentRequest,
    Ledger, LedgerError, Phase, PlanChunk, PlanRow, Refusal, Release, RunHeader, WebhookFact,
};

const HOUR: Duration = Duration::from_secs(3_600);

/// One run on one ledger, named after the case so that cases share a store.
pub struct Stage<'a> {
    pub ledger: &'a dyn Ledger,
    pub run: RunId,
    pub header: RunHeader,
    pub lane: NumberId,
}

impl<'a> Stage<'a> {
    /// A run of `total` deliveries whose window is open now.
    pub async fn new(ledger: &'a dyn Ledger, case: &str, total: u32) -> Self {
        Self::with(ledger, case, total, |_| {}).await
    }

    pub async fn with(
        ledger: &'a dyn Ledger,
        case: &str,
        total: u32,
        change: impl FnOnce(&mut RunHeader),
    ) -> Self {
        let now = ledger.now().await.unwrap();
        let run: RunId = format!("{case}@2026-11-21").parse().unwrap();
        let lane = NumberId::try_new(format!("lane-{case}")).unwrap();
        let window = Window {
            opens: now - HOUR,
            target: now,
            spread_until: now + HOUR,
            closes: now + HOUR,
            deadline: now + HOUR * 2,
        };
        let mut header = RunHeader {
            id: run.clone(),
            kind: ledger::RunKind::Planned,
            zone: "Asia/Kolkata".into(),
            window,
            stop_at: window.deadline,
            close_at: window.deadline + Duration::from_secs(15),
            catch_up_until: None,
            lanes: vec![lane.clone()],
            total,
            snapshot: "abc".into(),
            planning: 0,
            policy: Policy::default(),
            target_ratio: 0.99,
        };
        change(&mut header);
        // A run of a store that nobody vouches for is fenced.
        ledger::store_mark::settle_new(ledger).await.unwrap();
        Stage { ledger, run, header, lane }
    }

    pub fn id(&self, index: u32) -> DeliveryId {
        DeliveryId { run: self.run.clone(), index }
    }

    /// Rows from `from`, each due an hour ago plus its index in seconds.
    pub fn chunk(&self, from: u32, n: u32) -> PlanChunk {
        let rows = (from..from + n).map(|index| self.row(index, None)).collect();
        let bodies = BTreeMap::from([(ledger::BodyHash::of("body"), Arc::from("body"))]);
        PlanChunk { snapshot: self.header.snapshot.clone(), from, rows, bodies }
    }

    pub fn row(&self, index: u32, ended: Option<Ended>) -> PlanRow {
        PlanRow {
            lane: 0,
            due_at: self.header.window.opens + Duration::from_secs(u64::from(index)),
            message: Envelope {
                recipient: RecipientId::new(format!("r{index}")),
                to: Address::Phone(Phone::try_new(format!("+9198{index:08}")).unwrap()),
                body: ledger::BodyHash::of("body"),
            },
            ended,
        }
    }

    pub async fn plan(&self) {
        self.ledger.begin_run(&self.header).await.unwrap();
        let chunk = self.chunk(0, self.header.total);
        self.ledger.plan_chunk(&self.run, &chunk).await.unwrap();
        self.ledger.seal(&self.run).await.unwrap();
    }

    pub async fn claim(&self, k: usize) -> Vec<Claim> {
        self.ledger.claim(&self.lane, k).await.unwrap().claims
    }

    pub async fn next_due(&self) -> Option<Timestamp> {
        self.ledger.claim(&self.lane, 0).await.unwrap().next_due
    }

    pub async fn intent(&self, claim: &Claim, nonce: u64) -> IntentAnswer {
        let (id, lease_token) = (claim.id.clone(), claim.lease_token);
        let request = IntentRequest { id, lease_token, nonce: nonce.into(), sent_as: None };
        self.ledger.intent(&[request]).await.unwrap()[0]
    }

    pub async fn result(&self, index: u32, nonce: u64, http: Http) -> State {
        let result = AttemptResult {
            id: self.id(index),
            nonce: nonce.into(),
            http,
            dispatched_at: None,
            accepted_at: None,
            retry_in: Some(Duration::ZERO),
            words: None,
        };
        self.ledger.result(&[result]).await.unwrap()[0]
    }

    /// Claims one and is granted its intent.
    pub async fn fly(&self, nonce: u64) -> u32 {
        let claim = self.claim(1).await.remove(0);
        assert_eq!(self.intent(&claim, nonce).await, IntentAnswer::Granted);
        claim.id.index
    }

    pub async fn apply(&self, index: u32, news: Attempt) -> Applied {
        let retry_in = Some(Duration::ZERO);
        let fact = WebhookFact { retry_in, ..WebhookFact::new(self.id(index), news) };
        self.ledger.apply(&[fact]).await.unwrap()[0]
    }

    pub async fn state(&self, index: u32) -> State {
        let found = ledger::api::find(self.ledger, &self.id(index)).await.unwrap();
        found.expect("it was planned").state
    }

    /// The counters, after holding them against a recount.
    pub async fn counts(&self) -> Counts {
        let counts = self.ledger.counts(&self.run).await.unwrap();
        assert_eq!(counts, self.ledger.recount(&self.run).await.unwrap(), "counters = recount");
        counts
    }

    /// Returns once the store's clock has moved on.
    pub async fn tick(&self) {
        let begun = self.ledger.now().await.unwrap();
        while self.ledger.now().await.unwrap() <= begun + Duration::from_millis(2) {
            tokio::task::yield_now().await;
        }
    }
}

pub(crate) fn accepted() -> Http {
    Http::Accepted { id: domain::MessageId::new("wamid.A"), held: false }
}

pub(crate) fn refused(class: FailureClass) -> Http {
    Http::Refused(Failure { code: 1, class, scope: Scope::Message })
}

pub(crate) fn news(nonce: u64) -> Attempt {
    Attempt::new(Nonce::from(nonce))
}

/// Holds an engine against every case.
pub async fn run(ledger: &dyn Ledger) {
    a_run_is_begun_planned_and_sealed_once(ledger).await;
    a_plan_has_no_gaps_and_repeats_change_nothing(ledger).await;
    claims_are_due_ordered_and_exclusive(ledger).await;
    only_the_lease_holder_gets_one_intent(ledger).await;
    an_expired_lease_goes_back_and_its_holder_is_refused(ledger).await;
    outcomes_lead_where_the_policy_says(ledger).await;
    three_attempts_are_the_end(ledger).await;
    webhooks_in_any_order_and_number_change_nothing_twice(ledger).await;
    a_webhook_before_the_answer_and_for_a_forgotten_attempt_counts(ledger).await;
    a_lost_intent_becomes_doubt_and_is_never_sent_again(ledger).await;
    a_paused_or_cancelled_run_sends_nothing(ledger).await;
    the_end_of_the_window_names_every_end(ledger).await;
    listings_filter_and_page(ledger).await;
    discard::run(ledger).await;
    purge::run(ledger).await;
    rolling::run(ledger).await;
    more::run(ledger).await;
}

async fn a_run_is_begun_planned_and_sealed_once(ledger: &dyn Ledger) {
    let stage = Stage::new(ledger, "once", 3).await;
    assert!(ledger.run(&stage.run).await.unwrap().is_none());
    assert!(matches!(ledger.seal(&stage.run).await, Err(LedgerError::NoRun(_))));
    assert!(matches!(ledger.begin_run(&stage.header).await.unwrap(), Begun::Created(_)));
    let other = RunHeader { snapshot: "other".into(), ..stage.header.clone() };
    let Begun::Exists(run) = ledger.begin_run(&other).await.unwrap() else {
        panic!("a second begin made a second run");
    };
    assert_eq!(run.header.snapshot, "abc", "the first one stands");
    ledger.plan_chunk(&stage.run, &stage.chunk(0, 2)).await.unwrap();
    let unfinished = ledger.seal(&stage.run).await;
    assert!(matches!(unfinished, Err(LedgerError::Unfinished { planned: 2, total: 3, .. })));
    assert!(stage.claim(5).await.is_empty(), "nothing goes before the seal");
    ledger.plan_chunk(&stage.run, &stage.chunk(2, 1)).await.unwrap();
    let sealed = ledger.seal(&stage.run).await.unwrap();
    assert_eq!((sealed.phase, sealed.cursor), (Phase::Open, 3));
    let again = ledger.seal(&stage.run).await.unwrap();
    assert_eq!(again.sealed_at, sealed.sealed_at, "sealing again changes nothing");
    let started = ledger.mark_started(&stage.run).await.unwrap();
    stage.tick().await;
    let restarted = ledger.mark_started(&stage.run).await.unwrap();
    assert!(started.started_at.is_some());
    assert_eq!(restarted.started_at, started.started_at, "the first start counts");
    let runs = ledger.runs().await.unwrap();
    assert!(runs.iter().any(|run| run.header.id == stage.run));
}

async fn a_plan_has_no_gaps_and_repeats_change_nothing(ledger: &dyn Ledger) {
    let stage = Stage::new(ledger, "gaps", 10).await;
    ledger.begin_run(&stage.header).await.unwrap();
    let gap = ledger.plan_chunk(&stage.run, &stage.chunk(4, 2)).await;
    assert!(matches!(gap, Err(LedgerError::Gap { from: 4, cursor: 0, .. })));
    assert_eq!(ledger.plan_chunk(&stage.run, &stage.chunk(0, 6)).await.unwrap(), 6);
    assert_eq!(ledger.plan_chunk(&stage.run, &stage.chunk(0, 6)).await.unwrap(), 6, "repeated");
    assert_eq!(ledger.plan_chunk(&stage.run, &stage.chunk(4, 4)).await.unwrap(), 8, "overlapping");
    let mut last = stage.chunk(8, 2);
    last.rows[1] = stage.row(9, Some(Ended::Suppressed(Suppression::NoConsent)));
    assert_eq!(ledger.plan_chunk(&stage.run, &last).await.unwrap(), 10);
    ledger.seal(&stage.run).await.unwrap();
    let counts = stage.counts().await;
    assert_eq!((counts.get(State::Planned), counts.get(State::Suppressed)), (9, 1));
}

async fn claims_are_due_ordered_and_exclusive(ledger: &dyn Ledger) {
    let stage = Stage::new(ledger, "claims", 5).await;
    ledger.begin_run(&stage.header).await.unwrap();
    let mut chunk = stage.chunk(0, 5);
    let now = ledger.now().await.unwrap();
    chunk.rows[0].due_at = now + HOUR;
    chunk.rows.swap(1, 4); // due in another order than by index
    ledger.plan_chunk(&stage.run, &chunk).await.unwrap();
    ledger.seal(&stage.run).await.unwrap();
    let next = stage.next_due().await;
    assert_eq!(next, Some(chunk.rows[4].due_at), "the earliest of all");
    let first = stage.claim(2).await;
    let order: Vec<u32> = first.iter().map(|claim| claim.id.index).collect();
    assert_eq!(order, [4, 2], "earliest first");
    assert_eq!(&*first[0].body, "body");
    assert_eq!(first[0].message.recipient, RecipientId::new("r1"));
    let second = stage.claim(10).await;
    assert_eq!(second.len(), 2, "the rest that is due, and nothing twice");
    assert!(stage.claim(10).await.is_empty());
    assert_eq!(stage.next_due().await, Some(chunk.rows[0].due_at));
    let other = NumberId::try_new("lane-of-nobody").unwrap();
    assert!(ledger.claim(&other, 10).await.unwrap().claims.is_empty());
    assert_eq!(stage.counts().await.get(State::Leased), 4);
}

async fn only_the_lease_holder_gets_one_intent(ledger: &dyn Ledger) {
    let stage = Stage::new(ledger, "intent", 2).await;
    stage.plan().await;
    let claim = stage.claim(1).await.remove(0);
    let stranger = Claim { lease_token: claim.lease_token + 1, ..claim.clone() };
    assert_eq!(stage.intent(&stranger, 9).await, IntentAnswer::Refused(Refusal::LeaseToken));
    assert_eq!(stage.intent(&claim, 1).await, IntentAnswer::Granted);
    assert_eq!(stage.intent(&claim, 1).await, IntentAnswer::Granted, "its answer was lost");
    let second = IntentAnswer::Refused(Refusal::State(State::Intent));
    assert_eq!(stage.intent(&claim, 2).await, second, "another nonce is another message");
    let (id, sent_as) = (stage.id(77), None);
    let nobody = IntentRequest { id, lease_token: 1, nonce: 1.into(), sent_as };
    let answer = ledger.intent(&[nobody]).await.unwrap();
    assert_eq!(answer, [IntentAnswer::Refused(Refusal::NoDelivery)]);

    let released = stage.claim(1).await.remove(0);
    let before = ledger.now().await.unwrap();
    let release =
        Release { id: released.id.clone(), lease_token: released.lease_token, wait: HOUR };
    ledger.release(&[release.clone(), release]).await.unwrap();
    assert_eq!(stage.state(1).await, State::Planned, "given back untried");
    let late = stage.intent(&released, 3).await;
    assert_eq!(late, IntentAnswer::Refused(Refusal::State(State::Planned)));
    let due = stage.next_due().await.expect("it waits");
    assert!(due >= before + HOUR && due < before + HOUR + HOUR, "by the store's clock: {due}");
    stage.counts().await;
}

async fn an_expired_lease_goes_back_and_its_holder_is_refused(ledger: &dyn Ledger) {
    let brief = |header: &mut RunHeader| header.policy.lease = Duration::from_millis(1);
    let stage = Stage::with(ledger, "lease", 1, brief).await;
    stage.plan().await;
    let slow = stage.claim(1).await.remove(0);
    stage.tick().await;
    assert_eq!(
        stage.intent(&slow, 1).await,
        IntentAnswer::Refused(Refusal::LeaseToken),
        "too late"
    );
    let swept = ledger.sweep(&stage.run, 10).await.unwrap();
    assert_eq!((swept.leases_expired, swept.ended), (1, 0));
    assert_eq!(stage.state(0).await, State::Planned);
    let quick = stage.claim(1).await.remove(0);
    assert!(quick.lease_token > slow.lease_token);
    assert_eq!(stage.counts().await.get(State::Leased), 1);
}

async fn outcomes_lead_where_the_policy_says(ledger: &dyn Ledger) {
    use FailureClass::{Halted, Rejected, Retryable, Throttled};
    let cases = [
        (accepted(), State::Accepted),
        (Http::Accepted { id: domain::MessageId::new("w"), held: true }, State::Held),
        (refused(Rejected), State::Failed),
        (refused(Retryable), State::RetryWait),
        (refused(Throttled), State::RetryWait),
        (refused(Halted), State::RetryWait),
        (Http::NotSent(NotSent::Connect), State::RetryWait),
        (Http::Ambiguous(Doubt::Timeout), State::Ambiguous),
    ];
    let total = u32::try_from(cases.len()).unwrap();
    let stage = Stage::new(ledger, "outcomes", total).await;
    stage.plan().await;
    let mut flying = Vec::new();
    for nonce in 0..total {
        flying.push(stage.fly(u64::from(nonce)).await);
    }
    for ((nonce, (http, want)), index) in (0u64..).zip(&cases).zip(flying) {
        let got = stage.result(index, nonce, http.clone()).await;
        assert_eq!(got, *want, "{http:?}");
        assert_eq!(stage.result(index, nonce, http.clone()).await, *want, "{http:?} repeated");
    }
    let again = stage.claim(20).await;
    assert_eq!(again.len(), 4, "those that wait are due again");
    let spent: u32 = again.iter().map(|claim| claim.attempts_spent).sum();
    let defers: u32 = again.iter().map(|claim| claim.defers_spent).sum();
    assert_eq!((spent, defers), (1, 3), "only the retryable refusal spent an attempt");
    stage.counts().await;
}

async fn three_attempts_are_the_end(ledger: &dyn Ledger) {
    let stage = Stage::new(ledger, "spent", 1).await;
    stage.plan().await;
    for (nonce, want) in [(1, State::RetryWait), (2, State::RetryWait), (3, State::Failed)] {
        let index = stage.fly(nonce).await;
        assert_eq!(stage.result(index, nonce, refused(FailureClass::Retryable)).await, want);
    }
    assert!(stage.claim(1).await.is_empty());
    let late = Attempt { delivered_at: Some(Timestamp::from_secs(9)), ..news(2) };
    let changed = Applied::Changed { from: State::Failed, to: State::Delivered };
    assert_eq!(stage.apply(0, late).await, changed, "late truth wins");
}

async fn webhooks_in_any_order_and_number_change_nothing_twice(ledger: &dyn Ledger) {
    let stage = Stage::new(ledger, "webhooks", 1).await;
    stage.plan().await;
    let index = stage.fly(1).await;
    stage.result(index, 1, accepted()).await;
    let at = |secs| Some(Timestamp::from_secs(secs));
    let read = Attempt { read_at: at(30), ..news(1) };
    let delivered = Attempt { delivered_at: at(20), ..news(1) };
    let sent = Attempt { sent_at: at(10), ..news(1) };
    let changed = Applied::Changed { from: State::Accepted, to: State::Read };
    assert_eq!(stage.apply(0, read.clone()).await, changed);
    assert_eq!(stage.apply(0, delivered.clone()).await, Applied::Noted);
    assert_eq!(stage.apply(0, sent.clone()).await, Applied::Noted);
    let before = stage.counts().await;
    for repeat in [sent, read, delivered] {
        assert_eq!(stage.apply(0, repeat).await, Applied::Stale);
    }
    assert_eq!(stage.counts().await, before);
    let fact = WebhookFact::new(stage.id(99), news(1));
    let stranger: RunId = "nobody@2026-11-21".parse().unwrap();
    let other = WebhookFact { id: DeliveryId { run: stranger, index: 0 }, ..fact.clone() };
    let verdicts = ledger.apply(&[fact, other]).await.unwrap();
    assert_eq!(verdicts, [Applied::NoDelivery, Applied::NoDelivery]);
}

async fn a_webhook_before_the_answer_and_for_a_forgotten_attempt_counts(ledger: &dyn Ledger) {
    let stage = Stage::new(ledger, "early", 2).await;
    stage.plan().await;
    let index = stage.fly(1).await;
    let sent = Attempt { sent_at: Some(Timestamp::from_secs(5)), ..news(1) };
    stage.apply(index, sent).await;
    assert_eq!(stage.state(index).await, State::Sent, "before its own answer");
    let lost = stage.result(index, 1, Http::Ambiguous(Doubt::Timeout)).await;
    assert_eq!(lost, State::Sent, "doubt does not take evidence back");
    let forgotten = Attempt { delivered_at: Some(Timestamp::from_secs(6)), ..news(42) };
    stage.apply(1, forgotten).await;
    assert_eq!(stage.state(1).await, State::Delivered);
    assert!(stage.claim(5).await.is_empty(), "what arrived is not sent again");
    let failure = Failure { code: 131_000, class: FailureClass::Retryable, scope: Scope::Message };
    let failed = ReportedFailure { at: Timestamp::from_secs(7), failure };
    stage.apply(index, Attempt { failed: Some(failed), ..news(1) }).await;
    assert_eq!(stage.state(index).await, State::RetryWait, "not delivered after all");
    assert_eq!(stage.claim(5).await.len(), 1);
    stage.counts().await;
}

async fn a_lost_intent_becomes_doubt_and_is_never_sent_again(ledger: &dyn Ledger) {
    let brief = |header: &mut RunHeader| header.policy.intent_timeout = Duration::from_millis(1);
    let stage = Stage::with(ledger, "lost", 1, brief).await;
    stage.plan().await;
    let index = stage.fly(1).await;
    stage.tick().await;
    assert!(stage.claim(5).await.is_empty(), "an intent outlives any lease");
    assert_eq!(ledger.sweep(&stage.run, 10).await.unwrap().intents_lost, 1);
    assert_eq!(stage.state(index).await, State::Ambiguous);
    assert_eq!(ledger.sweep(&stage.run, 10).await.unwrap().intents_lost, 0, "once");
    assert!(stage.claim(5).await.is_empty(), "hold never resends");
    stage.result(index, 1, accepted()).await;
    assert_eq!(stage.state(index).await, State::Accepted, "the answer was late, not lost");
    stage.counts().await;
}

async fn a_paused_or_cancelled_run_sends_nothing(ledger: &dyn Ledger) {
    let stage = Stage::new(ledger, "paused", 3).await;
    stage.plan().await;
    let claim = stage.claim(1).await.remove(0);
    ledger.set_phase(&stage.run, Phase::Paused).await.unwrap();
    assert_eq!(stage.intent(&claim, 1).await, IntentAnswer::Refused(Refusal::RunNotOpen));
    assert!(stage.claim(5).await.is_empty());
    ledger.set_phase(&stage.run, Phase::Open).await.unwrap();
    assert_eq!(stage.intent(&claim, 1).await, IntentAnswer::Granted);
    ledger.set_phase(&stage.run, Phase::Cancelled).await.unwrap();
    ledger.sweep(&stage.run, 10).await.unwrap();
    let counts = stage.counts().await;
    assert_eq!((counts.get(State::Cancelled), counts.get(State::Intent)), (2, 1));
}

async fn the_end_of_the_window_names_every_end(ledger: &dyn Ledger) {
    let stage = Stage::new(ledger, "window", 5).await;
    stage.plan().await;
    let mut flying = Vec::new();
    for nonce in 1..=3 {
        flying.push(stage.fly(nonce).await);
    }
    stage.result(flying[0], 1, Http::Ambiguous(Doubt::Reset)).await;
    stage.result(flying[1], 2, refused(FailureClass::Retryable)).await;
    stage.result(flying[2], 3, accepted()).await;
    assert_eq!(ledger.sweep(&stage.run, 10).await.unwrap().ended, 0, "the window is open");

    // The same deliveries in a run whose window is over.
    let over = |header: &mut RunHeader| {
        header.stop_at = header.window.opens;
        header.close_at = header.window.opens;
    };
    let late = Stage::with(ledger, "over", 3, over).await;
    late.plan().await;
    assert!(late.claim(5).await.is_empty(), "nothing starts after the end");
    assert_eq!(late.next_due().await, None);
    let mut news = news(7);
    news.http = Http::Ambiguous(Doubt::Timeout);
    late.apply(0, news).await;
    let swept = ledger.sweep(&late.run, 2).await.unwrap();
    assert!(swept.more, "bounded work, and it says that more is left");
    while ledger.sweep(&late.run, 2).await.unwrap().more {}
    let failure = Failure { code: 131_000, class: FailureClass::Retryable, scope: Scope::Message };
    let failed = ReportedFailure { at: Timestamp::from_secs(7), failure };
    late.apply(1, Attempt { failed: Some(failed), ..Attempt::new(8.into()) }).await;
    assert_eq!(late.state(1).await, State::Failed, "late news of a failure reopens nothing");
    late.apply(1, Attempt { sent_at: Some(Timestamp::from_secs(1)), ..Attempt::new(9.into()) })
        .await;
    assert_eq!(late.state(1).await, State::Sent, "late news of success counts");
    let counts = late.counts().await;
    assert_eq!((counts.get(State::Unknown), counts.get(State::Expired)), (1, 1));
    assert_eq!(counts.open(), 0);
}

async fn listings_filter_and_page(ledger: &dyn Ledger) {
    let stage = Stage::new(ledger, "lists", 25).await;
    stage.plan().await;
    stage.fly(1).await;
    let list = async |filter: Filter, after, limit| {
        let views = ledger.list(&stage.run, &filter, after, limit).await.unwrap();
        views.iter().map(|view| view.id.index).collect::<Vec<u32>>()
    };
    assert_eq!(list(Filter::default(), None, 3).await, [0, 1, 2]);
    assert_eq!(list(Filter::default(), Some(22), 10).await, [23, 24]);
    let intents = Filter { states: vec![State::Intent], ..Filter::default() };
    assert_eq!(list(intents, None, 10).await, [0]);
    let elsewhere = Filter { lane: NumberId::try_new("x").ok(), ..Filter::default() };
    assert!(list(elsewhere, None, 10).await.is_empty());
    let missing = ledger::api::find(ledger, &stage.id(25)).await.unwrap();
    assert!(missing.is_none());
}
