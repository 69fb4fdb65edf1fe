//! Goal: each status counts for whom it is about, and stops what its code speaks of; a STOP
//! holds from the moment it is applied. Method: bodies as they come, over the model ledger.

use std::collections::BTreeMap;

use cloud_api::error_codes::NO_CODE;
use domain::callback::Callback;
use domain::clock::ManualClock;
use domain::{
    Address, DeliveryId, Http, Nonce, Phone, Policy, RecipientId, State, Timestamp, Window,
};
use ledger::halts::{self, Thing};
use ledger::{
    AttemptResult, Envelope, Filter, IntentRequest, Model, PlanChunk, PlanRow, RunHeader,
};
use rand::SeedableRng;
use serde_json::{Value, json};

use super::*;
use crate::people::{OptOutDesk, People};
use inbox::endpoint::SpeaksOf;
use telemetry::labels::{Pair, StatusKind, Verdict};

const BODY: &str = r#"{"name": "daily_pack", "language": "hi"}"#;
pub const BEGIN: Timestamp = Timestamp::from_secs(1_795_750_000);

pub struct Stage {
    pub applier: Applier,
    pub people: People,
    pub ledger: Arc<Model>,
    clock: Arc<ManualClock>,
    keys: [CallbackKey; 2],
}

fn number(id: &str) -> NumberId {
    NumberId::try_new(id).unwrap()
}

pub fn phone(n: u32) -> String {
    format!("9198765{n:05}")
}

/// Of three deliveries on number 1001.
fn header() -> RunHeader {
    let at = |secs| BEGIN + Duration::from_secs(secs);
    RunHeader {
        id: run(),
        kind: ledger::RunKind::Planned,
        zone: "Asia/Kolkata".into(),
        window: Window {
            opens: at(0),
            target: at(10),
            spread_until: at(200),
            closes: at(280),
            deadline: at(300),
        },
        stop_at: at(300),
        close_at: at(320),
        catch_up_until: None,
        lanes: vec![number("1001")],
        total: 3,
        snapshot: "s".into(),
        planning: 0,
        policy: Policy::default(),
        target_ratio: 0.99,
    }
}

impl Stage {
    /// A run of three deliveries on number 1001, all due.
    pub async fn new() -> Self {
        let clock = Arc::new(ManualClock::at(BEGIN));
        let ledger = Arc::new(Model::new(Arc::clone(&clock) as Arc<dyn Clock>));
        let header = header();
        ledger::store_mark::settle_new(ledger.as_ref()).await.unwrap();
        ledger.begin_run(&header).await.unwrap();
        let row = |n: u32| PlanRow {
            lane: 0,
            due_at: BEGIN,
            message: Envelope {
                recipient: RecipientId::new(format!("r{n}")),
                to: Address::Phone(Phone::try_new(format!("+{}", phone(n))).unwrap()),
                body: ledger::BodyHash::of(BODY),
            },
            ended: None,
        };
        let bodies = BTreeMap::from([(ledger::BodyHash::of(BODY), Arc::from(BODY))]);
        let (snapshot, rows) = (header.snapshot.clone(), (0..3).map(row).collect());
        let chunk = PlanChunk { snapshot, from: 0, rows, bodies };
        ledger.plan_chunk(&run(), &chunk).await.unwrap();
        ledger.seal(&run()).await.unwrap();
        let keys = ["ours", "theirs"].map(|id| CallbackKey::derive(b"app", id));
        let applier = Applier {
            ledger: Arc::clone(&ledger) as Arc<dyn Ledger>,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            metrics: Arc::default(),
            endpoints: Endpoints::default().with(
                "webhooks",
                Arc::new(cloud_api::MetaWebhooks),
                SpeaksOf::TheRest,
                [],
            ),
            callback_keys: vec![keys[0].clone()],
            backoff: Backoff { jitter: 0.0, ..Backoff::default() },
            rng: Mutex::new(StdRng::seed_from_u64(1)),
            numbers: vec![number("1001")],
            matcher: Mutex::default(),
            time: StoreTime::default(),
        };
        let campaign = "daily-pack".to_owned().try_into().unwrap();
        let people = People {
            ledger: Arc::clone(&ledger) as Arc<dyn Ledger>,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            metrics: Arc::default(),
            endpoints: applier.endpoints.clone(),
            opt_outs: OptOutDesk::new(
                None,
                BTreeMap::from([(campaign, domain::campaign::Category::Utility)]),
            ),
            time: StoreTime::default(),
        };
        Stage { applier, people, ledger, clock, keys }
    }

    /// Delivery `index`, accepted by the far side through an attempt of that nonce.
    pub async fn sent(&self, nonce: u64) -> u32 {
        let claim = self.ledger.claim(&number("1001"), 1).await.unwrap().claims.remove(0);
        let request = IntentRequest {
            id: claim.id.clone(),
            lease_token: claim.lease_token,
            nonce: Nonce::from(nonce),
            sent_as: None,
        };
        self.ledger.intent(&[request]).await.unwrap();
        let result = AttemptResult {
            id: claim.id.clone(),
            nonce: nonce.into(),
            http: Http::Accepted {
                id: domain::MessageId::new(format!("wamid.{nonce}")),
                held: false,
            },
            dispatched_at: Some(self.clock.now()),
            accepted_at: Some(self.clock.now()),
            retry_in: None,
            words: None,
        };
        self.ledger.result(&[result]).await.unwrap();
        claim.id.index
    }

    pub fn callback(&self, index: u32, nonce: u64, key: usize) -> String {
        Callback { delivery: id(index), nonce: nonce.into() }.encode(&self.keys[key])
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn hear(&self, value: Value) {
        let value = json!({"field": "messages", "value": value});
        let body = json!({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [value]}]});
        let record = Record::new(self.clock.now(), body.to_string());
        self.applier.merge_bodies(std::slice::from_ref(&record)).await.unwrap();
        self.people.honour(&[record]).await.unwrap();
    }

    async fn status(&self, number: &str, mut status: Value) {
        if status["timestamp"].is_null() {
            status["timestamp"] = json!(self.clock.now().secs().to_string());
        }
        self.hear(json!({"metadata": {"phone_number_id": number}, "statuses": [status]})).await;
    }

    pub async fn view(&self, index: u32) -> ledger::DeliveryView {
        let all = self.ledger.list(&run(), &Filter::default(), None, 10).await.unwrap();
        all.into_iter().nth(index as usize).unwrap()
    }

    fn counted(&self, status: StatusKind, verdict: Verdict) -> u64 {
        self.applier.metrics.news.status_reports.of(Pair(status, verdict)).get()
    }

    async fn halted(&self) -> Vec<Thing> {
        halts::read(self.ledger.as_ref()).await.unwrap().into_iter().map(|h| h.thing).collect()
    }
}

fn run() -> RunId {
    "daily-pack@2026-11-27".parse().unwrap()
}

fn id(index: u32) -> DeliveryId {
    DeliveryId { run: run(), index }
}

#[tokio::test]
async fn a_status_counts_for_its_own_installation_number_and_attempt() {
    let stage = Stage::new().await;
    let index = stage.sent(7).await;
    let delivered = |callback: String| json!({"id": "x", "status": "delivered", "biz_opaque_callback_data": callback});
    stage.status("1001", delivered(stage.callback(index, 7, 1))).await;
    assert_eq!(stage.counted(StatusKind::Delivered, Verdict::Foreign), 1, "another installation's");
    stage.status("9", delivered(stage.callback(index, 7, 0))).await;
    assert_eq!(stage.counted(StatusKind::Delivered, Verdict::Foreign), 2, "another number's");
    stage.status("1001", delivered("tracker".into())).await;
    assert_eq!(stage.counted(StatusKind::Delivered, Verdict::Foreign), 3, "another program's");
    assert_eq!(stage.view(index).await.state, State::Accepted, "none of them counts");
    stage.status("1001", delivered(stage.callback(index, 7, 0))).await;
    assert_eq!(stage.view(index).await.state, State::Delivered);
    stage.status("1001", delivered(stage.callback(1, 99, 0))).await;
    assert_eq!(
        stage.counted(StatusKind::Delivered, Verdict::Forgotten),
        1,
        "the store did not know the attempt"
    );
    assert_eq!(stage.view(1).await.state, State::Delivered, "the fact is merged all the same");
}

#[tokio::test]
async fn a_status_without_callback_data_is_found_by_its_message_id() {
    let stage = Stage::new().await;
    let index = stage.sent(7).await;
    stage.status("1001", json!({"id": "wamid.7", "status": "read", "type": "message"})).await;
    assert_eq!(stage.view(index).await.state, State::Read);
    stage.status("1001", json!({"id": "wamid.8", "status": "read"})).await;
    assert_eq!(stage.counted(StatusKind::Read, Verdict::Unmatched), 1);
}

#[tokio::test]
async fn a_failed_status_stops_what_its_code_speaks_of_and_spends_what_it_must() {
    let stage = Stage::new().await;
    let failed = |callback: Option<String>, code: Value| {
        let errors = json!([{"code": code, "title": "x", "message": "Locked for +919876500001"}]);
        json!({"id": "x", "status": "failed", "errors": errors, "biz_opaque_callback_data": callback})
    };
    stage.status("1001", failed(None, json!(131_031))).await;
    assert_eq!(stage.halted().await, [Thing::Account], "whoever it was reported for");
    stage.status("5", failed(None, json!(131_045))).await;
    assert_eq!(stage.halted().await.len(), 1, "a number that is none of ours");
    let index = stage.sent(7).await;
    stage.status("1001", failed(Some(stage.callback(index, 7, 0)), json!("132015"))).await;
    let translation = Thing::Translation("daily_pack".into(), "hi".into());
    assert!(stage.halted().await.contains(&translation));
    let view = stage.view(index).await;
    assert_eq!(view.state, State::RetryWait, "given back unspent");
    assert_eq!(domain::state::attempts_spent(&view.facts), 0);
    let words = view.facts.attempts[0].words.clone().unwrap();
    assert!(words.contains("Locked") && !words.contains("98765"), "{words}");
    let index = stage.sent(8).await;
    let nameless = json!({"id": "x", "status": "failed", "errors": [{"title": "x"}], "biz_opaque_callback_data": stage.callback(index, 8, 0)});
    stage.status("1001", nameless).await;
    let failure = stage.view(index).await.facts.attempts[0].failed.unwrap().failure;
    assert_eq!(failure.code, NO_CODE, "no code is not code 0");
}

#[tokio::test]
async fn waits_after_reported_failures_grow_with_the_tries() {
    let stage = Stage::new().await;
    let mut waits = Vec::new();
    for nonce in [1, 2] {
        let index = stage.sent(nonce).await;
        assert_eq!(index, 0);
        let callback = stage.callback(index, nonce, 0);
        let failed = json!({"id": "x", "status": "failed", "errors": [{"code": 131_000}], "biz_opaque_callback_data": callback});
        stage.status("1001", failed).await;
        let wait = stage.view(index).await.next_at.since(stage.clock.now());
        waits.push(wait.as_secs());
        // The others are out of the way, so that the same one is claimed again.
        for other in 1..3 {
            let change = ledger::Change::OptOut;
            let amendment = ledger::Amendment { id: id(other), change, note: None };
            stage.ledger.amend(&[amendment]).await.unwrap();
        }
        stage.clock.advance(wait);
    }
    assert_eq!(waits, [1, 4]);
}

#[tokio::test]
async fn an_impossible_event_time_counts_as_that_of_the_receipt() {
    let stage = Stage::new().await;
    let index = stage.sent(7).await;
    stage.clock.advance(Duration::from_secs(30));
    let now = stage.clock.now();
    for (status, timestamp) in [("sent", json!("1")), ("delivered", json!(now.secs() + 9_999))] {
        let callback = stage.callback(index, 7, 0);
        let status = json!({"id": "x", "status": status, "timestamp": timestamp, "biz_opaque_callback_data": callback});
        stage.status("1001", status).await;
    }
    let attempt = stage.view(index).await.facts.attempts[0].clone();
    assert_eq!((attempt.sent_at, attempt.delivered_at), (Some(now), Some(now)));
    assert!(attempt.time_doubted);
}

#[tokio::test]
async fn a_stop_ends_what_is_still_to_be_sent_to_that_person() {
    let stage = Stage::new().await;
    let message = |n: u32, text: &str| json!({"from": phone(n), "id": "m", "type": "text", "text": {"body": text}});
    let heard =
        |message: Value| json!({"metadata": {"phone_number_id": "1001"}, "messages": [message]});
    stage.hear(heard(message(1, "Stop please!"))).await;
    stage.hear(heard(message(2, "do not stop"))).await;
    assert_eq!(stage.view(1).await.state, State::Suppressed);
    assert_eq!(stage.view(2).await.state, State::Planned);
    // Marketing alone: this campaign is utility.
    let preference = json!({"wa_id": phone(2), "category": "marketing_messages", "value": "stop", "timestamp": BEGIN.secs()});
    stage.hear(json!({"user_preferences": [preference]})).await;
    assert_eq!(stage.view(2).await.state, State::Planned);
    let opt_outs = ledger::opt_outs::OptOuts::read(stage.ledger.as_ref()).await.unwrap();
    assert_eq!(opt_outs.since(Timestamp::MIN).len(), 2, "both are remembered for later plans");
}
