//! Random lists of ledger commands, and one ledger's answers to them.
//!
//! The same list is given to the model, sqlite and Redis on one manual clock: every answer
//! and every record must be the same. A list follows from its seed alone.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use domain::clock::ManualClock;
use domain::facts::{Doubt, Ended, NotSent};
use domain::failure::{Failure, ReportedFailure};
use domain::{
    Address, Attempt, Clock, DeliveryId, Evidence, FailureClass, Http, Nonce, NumberId,
    OnAmbiguous, Phone, Policy, RecipientId, Resolution, RunId, Scope, Suppression, TemplateName,
    Timestamp, Window,
};
use ledger::opt_outs;
use ledger::rehome::rehome;
use ledger::{
    Amendment, AttemptResult, Change, Claim, Claimed, Envelope, Filter, IntentRequest, Ledger,
    LedgerError, NewRow, Phase, PlanChunk, PlanRow, Release, RowKey, RunHeader, RunKind,
    WebhookFact,
};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

/// When every list begins.
pub const BEGIN: Timestamp = Timestamp::from_secs(1_795_220_000);
const DELIVERIES: u32 = 6;

#[derive(Clone, Copy, Debug)]
pub enum Command {
    Advance(Duration),
    Claim {
        lane: usize,
        k: usize,
    },
    /// For one of the claims made so far, by position.
    Intent {
        claim: usize,
        nonce: u64,
    },
    Result {
        index: u32,
        nonce: u64,
        http: usize,
        retry_in: u64,
    },
    Release {
        claim: usize,
        wait: u64,
    },
    Apply {
        index: u32,
        nonce: u64,
        what: usize,
        retry_in: u64,
    },
    Amend {
        index: u32,
        change: usize,
    },
    Sweep,
    /// To a rolling run; a planned one refuses.
    Append {
        key: u32,
        lane: u16,
        due_in: u64,
        lasts: u64,
    },
    /// Moves the delivery with this key, and its end, or looks where it is.
    Move {
        key: u32,
        due_in: u64,
        lasts: Option<u64>,
    },
    Rehome {
        from: usize,
        to: usize,
    },
    AddLane,
    People {
        person: u32,
    },
    SetPhase(Phase),
    Reopen {
        until_in: u64,
    },
    Cell {
        expected: usize,
        new: usize,
    },
}

/// The list of a seed.
pub fn list(seed: u64) -> Vec<Command> {
    let mut rng = SmallRng::seed_from_u64(seed);
    let length = rng.random_range(10..50);
    (0..length).map(|_| command(&mut rng)).collect()
}

fn command(rng: &mut SmallRng) -> Command {
    let index = rng.random_range(0..=DELIVERIES); // one that is not there
    let nonce = rng.random_range(1..12);
    let lane = rng.random_range(0..3);
    let claim = rng.random_range(0..8);
    // Odd spans, so that no two instants are ever equal by accident.
    let span = rng.random_range(1..20_000u64) * 2 + 1;
    match rng.random_range(0..100) {
        0..15 => Command::Advance(Duration::from_millis(span)),
        15..30 => Command::Claim { lane, k: rng.random_range(1..4) },
        30..48 => Command::Intent { claim, nonce },
        48..62 => Command::Result { index, nonce, http: rng.random_range(0..9), retry_in: span },
        62..66 => Command::Release { claim, wait: span },
        66..80 => Command::Apply { index, nonce, what: rng.random_range(0..5), retry_in: span },
        80..86 => Command::Amend { index, change: rng.random_range(0..CHANGES.len()) },
        86..91 => Command::Sweep,
        91 | 92 => one_by_one(rng, span),
        93 => Command::SetPhase(Phase::Paused),
        94 | 95 => Command::SetPhase(Phase::Open),
        96 => Command::Reopen { until_in: span },
        97 => Command::Claim { lane, k: 0 },
        98 => Command::Cell { expected: rng.random_range(0..3), new: rng.random_range(1..3) },
        _ => Command::SetPhase(if rng.random::<bool>() { Phase::Cancelled } else { Phase::Open }),
    }
}

/// What is done to rows by their keys, and to lanes.
fn one_by_one(rng: &mut SmallRng, span: u64) -> Command {
    let key = rng.random_range(0..8);
    match rng.random_range(0..10) {
        0..4 => {
            let lane = rng.random_range(0..3);
            Command::Append { key, lane, due_in: span, lasts: rng.random_range(0..30_000) * 2 }
        }
        4..7 => {
            let lasts = rng.random::<bool>().then(|| rng.random_range(1..30_000) * 2);
            Command::Move { key, due_in: span, lasts }
        }
        7 => Command::Rehome { from: rng.random_range(0..2), to: rng.random_range(0..3) },
        8 => Command::AddLane,
        _ => Command::People { person: key },
    }
}

/// Every third list is of a rolling run.
fn is_rolling(seed: u64) -> bool {
    seed.is_multiple_of(3)
}

/// One list on one ledger.
pub struct Player<'a> {
    ledger: &'a dyn Ledger,
    clock: &'a ManualClock,
    seed: u64,
    run: RunId,
    lanes: Vec<NumberId>,
    claims: Vec<Claim>,
    answers: Vec<String>,
}

/// Plays a list from the beginning; returns every answer, and every record at the end.
pub async fn play(ledger: &dyn Ledger, clock: &Arc<ManualClock>, seed: u64) -> Vec<String> {
    clock.set(BEGIN);
    let lane = |n: u32| NumberId::try_new(format!("lane-{seed}-{n}")).expect("plain");
    let mut player = Player {
        ledger,
        clock,
        seed,
        run: format!("list-{seed}@2026-11-21").parse().expect("a run's name"),
        lanes: vec![lane(0), lane(1), lane(2)],
        claims: Vec::new(),
        answers: Vec::new(),
    };
    player.begin().await;
    for command in list(seed) {
        let answer = player.step(command).await;
        player.answers.push(format!("{command:?}: {answer}"));
    }
    player.end().await;
    player.answers
}

const CHANGES: [Change; 9] = [
    Change::Resolve(Resolution::Delivered),
    Change::Resolve(Resolution::NotDelivered),
    Change::Resend,
    Change::Requeue,
    Change::Strike,
    Change::Suspect,
    Change::Cancel,
    Change::OptOut,
    Change::Rehome { lane: 1 },
];

impl Player<'_> {
    fn header(&self) -> RunHeader {
        let mut rng = SmallRng::seed_from_u64(self.seed ^ 0x5eed);
        let evidence = Evidence {
            error_wait: Duration::from_secs(5),
            lost_wait: Duration::from_secs(12),
            budget: 0.3,
        };
        let policy = Policy {
            attempts_max: rng.random_range(1..4),
            defers_max: rng.random_range(0..4),
            on_ambiguous: if rng.random() { OnAmbiguous::Hold } else { OnAmbiguous::Evidence },
            evidence,
            strikes_max: 2,
            ..Policy::default()
        };
        let at = |secs| BEGIN + Duration::from_secs(secs);
        let stop_at = at(rng.random_range(30..400));
        let rolling = is_rolling(self.seed);
        RunHeader {
            id: self.run.clone(),
            kind: if rolling { RunKind::Rolling } else { RunKind::Planned },
            zone: "Asia/Kolkata".into(),
            window: Window {
                opens: at(1),
                target: at(10),
                spread_until: at(40),
                closes: at(80),
                deadline: at(100),
            },
            stop_at,
            close_at: stop_at + Duration::from_secs(17),
            catch_up_until: None,
            lanes: self.lanes[..2].to_vec(),
            total: if rolling { 0 } else { DELIVERIES },
            snapshot: "abc".into(),
            planning: 0,
            policy,
            target_ratio: 0.99,
        }
    }

    fn new_row(&self, key: u32, lane: u16, due_in: u64, lasts: u64) -> NewRow {
        let due_at = self.clock.now() + Duration::from_millis(due_in);
        NewRow {
            key: self::key(key),
            lane,
            due_at,
            expires_at: due_at + Duration::from_millis(lasts),
            message: message(key % 5),
            body: Arc::from("body"),
            asked_ago: Duration::from_millis(lasts % 40_000),
        }
    }

    async fn begin(&mut self) {
        ledger::store_mark::settle_new(self.ledger).await.expect("settle");
        self.ledger.begin_run(&self.header()).await.expect("begin");
        if !is_rolling(self.seed) {
            return self.plan().await;
        }
        let row = |key: u32| {
            let lane = u16::try_from(key % 2).expect("two lanes");
            let at = u64::from(key);
            self.new_row(key, lane, at * 3_000 + 1_000, (at * 7_919 + self.seed * 977) % 60_000)
        };
        let rows: Vec<NewRow> = (0..DELIVERIES).map(row).collect();
        let appended = self.ledger.append(&self.run, &rows).await;
        self.answers.push(said(appended));
    }

    async fn plan(&mut self) {
        let row = |index: u32| PlanRow {
            lane: u16::try_from(index % 2).expect("two lanes"),
            due_at: BEGIN + Duration::from_millis(u64::from(index) * 3_000 + 1_000),
            message: message(index),
            ended: (index == 5).then_some(Ended::Suppressed(Suppression::NoConsent)),
        };
        let chunk = PlanChunk {
            snapshot: self.header().snapshot,
            from: 0,
            rows: (0..DELIVERIES).map(row).collect(),
            bodies: BTreeMap::from([(ledger::BodyHash::of("body"), Arc::from("body"))]),
        };
        self.ledger.plan_chunk(&self.run, &chunk).await.expect("plan");
        self.ledger.seal(&self.run).await.expect("seal");
    }

    fn id(&self, index: u32) -> DeliveryId {
        let index = if is_rolling(self.seed) { key(index).index() } else { index };
        DeliveryId { run: self.run.clone(), index }
    }

    async fn claim(&mut self, lane: usize, k: usize) -> String {
        match self.ledger.claim(&self.lanes[lane], k).await {
            Ok(Claimed { claims, next_due, .. }) => {
                let shown: Vec<String> = claims.iter().map(shown).collect();
                self.claims.extend(claims);
                format!("{}; next {next_due:?}", shown.join(", "))
            }
            Err(error) => error.to_string(),
        }
    }

    async fn swap_cell(&self, expected: usize, new: usize) -> String {
        let texts = [None, Some("a"), Some("b")];
        let name = format!("cell-{}", self.seed);
        let new = texts[new].expect("never none");
        said(self.ledger.swap_cell(&name, texts[expected], new).await)
    }

    async fn step(&mut self, command: Command) -> String {
        let now = self.clock.now();
        let later = |millis: u64| now + Duration::from_millis(millis);
        match command {
            Command::Advance(span) => {
                self.clock.advance(span);
                String::new()
            }
            Command::Claim { lane, k } => self.claim(lane, k).await,
            Command::Intent { claim, nonce } => {
                let Some(claim) = self.claims.get(claim) else { return String::new() };
                let (id, lease_token) = (claim.id.clone(), claim.lease_token);
                let sent_as = (nonce % 3 == 0).then(|| TemplateName::from("pack_v2"));
                let nonce = Nonce::from(nonce);
                let request = IntentRequest { id, lease_token, nonce, sent_as };
                said(self.ledger.intent(&[request]).await)
            }
            Command::Result { index, nonce, http, retry_in } => {
                let result = AttemptResult {
                    id: self.id(index),
                    nonce: nonce.into(),
                    http: outcome(http),
                    dispatched_at: Some(now),
                    accepted_at: (http == 0).then_some(now),
                    retry_in: Some(Duration::from_millis(retry_in)),
                    words: None,
                };
                said(self.ledger.result(&[result]).await)
            }
            Command::Release { claim, wait } => {
                let Some(claim) = self.claims.get(claim) else { return String::new() };
                let (id, lease_token) = (claim.id.clone(), claim.lease_token);
                let wait = Duration::from_millis(wait);
                said(self.ledger.release(&[Release { id, lease_token, wait }]).await)
            }
            Command::Apply { index, nonce, what, retry_in } => {
                let news = news(nonce, what, now);
                let retry_in = news.failed.map(|_| Duration::from_millis(retry_in));
                let fact = WebhookFact { retry_in, ..WebhookFact::new(self.id(index), news) };
                said(self.ledger.apply(&[fact]).await)
            }
            Command::Amend { index, change } => {
                let change = CHANGES[change];
                let amendment = Amendment { id: self.id(index), change, note: None };
                said(self.ledger.amend(&[amendment]).await)
            }
            Command::Sweep => said(self.ledger.sweep(&self.run, 1_000).await),
            Command::SetPhase(phase) => {
                said(self.ledger.set_phase(&self.run, phase).await.map(|run| run.phase))
            }
            Command::Reopen { until_in } => {
                let run = self.ledger.reopen(&self.run, later(until_in)).await;
                said(run.map(|run| (run.phase, run.stop_at())))
            }
            Command::Cell { expected, new } => self.swap_cell(expected, new).await,
            rows => self.step_of_rows(rows).await,
        }
    }

    /// Those about rows by their keys, and about lanes.
    async fn step_of_rows(&self, command: Command) -> String {
        match command {
            Command::Append { key, lane, due_in, lasts } => {
                let row = self.new_row(key, lane, due_in, lasts);
                said(self.ledger.append(&self.run, &[row]).await)
            }
            Command::Move { key, due_in, lasts } => {
                self.move_row(key, self.clock.now() + Duration::from_millis(due_in), lasts).await
            }
            Command::Rehome { from, to } => {
                let pair = (&self.lanes[from], &self.lanes[to]);
                said(rehome(self.ledger, &self.run, pair, None, 100, None).await)
            }
            Command::AddLane => {
                let run = self.ledger.add_lanes(&self.run, &self.lanes[2..]).await;
                said(run.map(|run| run.header.lanes.len()))
            }
            Command::People { person } => {
                let people: Vec<String> = opt_outs::hashes(&message(person).to).collect();
                said(self.ledger.to_people(&self.run, &people).await)
            }
            other => unreachable!("{other:?} is about deliveries"),
        }
    }

    async fn move_row(&self, key: u32, due_at: Timestamp, lasts: Option<u64>) -> String {
        let found = self.ledger.by_keys(&self.run, &[self::key(key)]).await;
        let Ok([Some(index)]) = found.as_deref() else { return said(found) };
        let expires_at = lasts.map(|lasts| due_at + Duration::from_millis(lasts));
        let change = Change::Move { due_at, expires_at };
        let id = DeliveryId { run: self.run.clone(), index: *index };
        let amendment = Amendment { id, change, note: None };
        said(self.ledger.amend(&[amendment]).await)
    }

    /// Everything that there is to see, and out of the way of the next list.
    async fn end(&mut self) {
        let all = self.ledger.list(&self.run, &Filter::default(), None, 100).await;
        for delivery in all.expect("list") {
            self.answers.push(format!("{delivery:?}"));
        }
        let counts = self.ledger.counts(&self.run).await.expect("counts");
        let recount = self.ledger.recount(&self.run).await.expect("recount");
        assert_eq!(counts, recount, "list {}: counters = recount", self.seed);
        self.answers.push(format!("{counts:?}"));
        let run = self.ledger.set_phase(&self.run, Phase::Closed).await.expect("close");
        self.answers.push(format!("{:?} {}", run.reopened_until, run.resends));
    }
}

fn key(n: u32) -> RowKey {
    RowKey::of(&n.to_string())
}

fn message(person: u32) -> Envelope {
    Envelope {
        recipient: RecipientId::new(format!("r{person}")),
        to: Address::Phone(Phone::try_new(format!("+9198{person:08}")).expect("E.164")),
        body: ledger::BodyHash::of("body"),
    }
}

fn shown(claim: &Claim) -> String {
    let Claim { id, lease_token, due_at, attempts_spent, defers_spent, worker_died, .. } = claim;
    format!("{id} {lease_token} {due_at} {attempts_spent} {defers_spent} {worker_died}")
}

fn said<T: Debug>(answer: Result<T, LedgerError>) -> String {
    match answer {
        Ok(value) => format!("{value:?}"),
        Err(error) => error.to_string(),
    }
}

fn outcome(which: usize) -> Http {
    let refused = |class| Http::Refused(Failure { code: 1, class, scope: Scope::Message });
    match which {
        0 => Http::Accepted { id: domain::MessageId::new("wamid.A"), held: false },
        1 => Http::Accepted { id: domain::MessageId::new("wamid.H"), held: true },
        2 => refused(FailureClass::Retryable),
        3 => refused(FailureClass::Throttled),
        4 => refused(FailureClass::Rejected),
        5 => Http::NotSent(NotSent::Connect),
        6 => Http::Ambiguous(Doubt::GraphError),
        7 => Http::Ambiguous(Doubt::Timeout),
        _ => Http::None,
    }
}

fn news(nonce: u64, what: usize, at: Timestamp) -> Attempt {
    let mut news = Attempt::new(nonce.into());
    let failed = |class| {
        let failure = Failure { code: 131_000, class, scope: Scope::Message };
        Some(ReportedFailure { at, failure })
    };
    match what {
        0 => news.sent_at = Some(at),
        1 => news.delivered_at = Some(at),
        2 => news.read_at = Some(at),
        3 => news.failed = failed(FailureClass::Retryable),
        _ => news.failed = failed(FailureClass::Rejected),
    }
    news
}
