//! Goal: the three engines are one ledger.
//! Method: one suite against each, over a real file and a real redis-server.

use std::collections::BTreeSet;
use std::sync::Arc;

use std::time::Duration;

use domain::{DeliveryId, NumberId, SystemClock, Window};
use ledger::members::{self, Excused};
use ledger::recovery::{Progress, Recoverer};
use ledger::redis::Options;
use ledger::{Discarded, IntentAnswer, Ledger, LedgerError, Model, Redis, RunHeader, Sqlite};
use tests::conformance;
use tests::conformance::damaged_news::{Told, a_forgotten_row_whose_news_is_damaged_is_one_row};
use tests::redis_server::RedisServer;

#[tokio::test]
async fn the_model_conforms() {
    conformance::run(&Model::new(Arc::new(SystemClock))).await;
}

#[tokio::test]
async fn sqlite_conforms() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Sqlite::open(&dir.path().join("ledger.db"), Arc::new(SystemClock)).unwrap();
    conformance::run(&ledger).await;
}

#[tokio::test]
async fn redis_conforms() {
    let server = RedisServer::start();
    let options = Options::new(&server.url(), "conformance", false);
    conformance::run(&Redis::connect(&options).await.unwrap()).await;
}

#[tokio::test]
async fn a_redis_that_could_forget_is_refused_by_name() {
    let server = RedisServer::start_with(&["--appendonly", "yes", "--appendfsync", "everysec"]);
    let connect =
        async |accept_risk| Redis::connect(&Options::new(&server.url(), "weak", accept_risk)).await;
    let Err(error) = connect(false).await else { panic!("a weak server was accepted") };
    assert!(matches!(error, LedgerError::Unsafe { .. }));
    let text = error.to_string();
    assert!(text.contains("appendfsync is everysec, expected always"), "{text}");
    assert!(connect(true).await.is_ok(), "the operator may accept the risk");
}

/// A store that forgot a part of the plan cannot be told what became of that part yet.
#[tokio::test]
async fn a_fence_stays_until_a_forgotten_plan_is_written_again() {
    let model = Model::new(Arc::new(SystemClock));
    let stage = conformance::Stage::new(&model, "plan", 4).await;
    model.begin_run(&stage.header).await.unwrap();
    model.plan_chunk(&stage.run, &stage.chunk(0, 2)).await.unwrap();
    let half = model.memory();
    stage.plan().await;
    model.restart(Some(half));

    let mut recoverer = Recoverer::new("h1/sender/a");
    let job = recoverer.due(&model).await.unwrap().expect("it was restarted");
    let unmatched = BTreeSet::from([stage.run.clone()]);
    let progress = recoverer.merged(&model, &job, &unmatched).await.unwrap();
    assert_eq!(progress, Progress::WaitingForPlan(stage.run.clone()));
    assert_eq!(model.fenced_runs().await.unwrap().len(), 1);
    stage.plan().await;
    let progress = recoverer.merged(&model, &job, &unmatched).await.unwrap();
    assert_eq!(progress, Progress::Open);
    assert!(model.fenced_runs().await.unwrap().is_empty());
}

/// A host's name is not its memory.
#[tokio::test]
async fn a_host_that_comes_back_with_an_empty_disk_does_not_speak_for_the_old_one() {
    let model = Model::new(Arc::new(SystemClock));
    let stage = conformance::Stage::new(&model, "disk", 1).await;
    stage.plan().await;
    let now = model.now().await.unwrap();
    let (old, new) = (members::name("h1", "sender", "a"), members::name("h1", "sender", "b"));
    members::join(&model, &old, now).await.unwrap();
    model.restart(None);
    let mut recoverer = Recoverer::new(&new);
    let job = recoverer.due(&model).await.unwrap().expect("it was restarted");
    let progress = recoverer.merged(&model, &job, &BTreeSet::new()).await.unwrap();
    assert_eq!(progress, Progress::WaitingFor(vec![old.clone()]));
    let lost = Excused { host: "h1".into(), at: now, by: "op".into(), why: "new disk".into() };
    assert_eq!(members::excuse(&model, &lost).await.unwrap(), [old, new]);
    let progress = recoverer.merged(&model, &job, &BTreeSet::new()).await.unwrap();
    assert_eq!(progress, Progress::Open, "it is a member again by its report");
}

/// Another process that had read the old plan's header neither sends nor reads by it.
async fn a_plan_made_anew_by_one_is_seen_by_the_other(one: &dyn Ledger, other: &dyn Ledger) {
    let soon = |header: &mut RunHeader| {
        let shift = Duration::from_secs(3_600) + Duration::from_millis(400);
        let opens = header.window.opens + shift;
        header.window = Window { opens, target: opens, ..header.window };
    };
    let stage = conformance::Stage::with(one, "two-plans", 5, soon).await;
    stage.plan().await;
    let (x, y) = (NumberId::try_new("x").unwrap(), NumberId::try_new("y").unwrap());
    let seen = other.claim(&stage.lane, 5).await.unwrap();
    assert!(seen.claims.is_empty() && seen.next_due.is_some(), "{seen:?}");
    assert_eq!(one.discard(&stage.run).await.unwrap(), Discarded::Done);
    conformance::discard::plan_anew(&stage).await;
    while one.now().await.unwrap() < stage.header.window.opens + Duration::from_secs(1) {
        assert!(other.claim(&stage.lane, 5).await.unwrap().claims.is_empty());
        tokio::task::yield_now().await;
    }
    assert!(other.claim(&x, 5).await.unwrap().claims.is_empty());
    let claims = other.claim(&y, 5).await.unwrap().claims;
    assert_eq!(claims.len(), 2, "the lanes are those of the new plan");
    assert!(claims.iter().all(|claim| claim.header.snapshot == "def"));
}

/// What one process was granted and another has only seen: a store that lost it since, without
/// a restart, grants nothing to either.
async fn put_back(
    one: &dyn Ledger,
    other: &dyn Ledger,
    keep: impl AsyncFn(),
    back: impl AsyncFn(),
) {
    let stage = conformance::Stage::new(one, "put-back", 5).await;
    stage.plan().await;
    let claims = one.claim(&stage.lane, 1).await.unwrap().claims;
    keep().await;
    assert_eq!(stage.intent(&claims[0], 1).await, IntentAnswer::Granted);
    let seen = other.claim(&stage.lane, 1).await.unwrap().claims;
    assert_eq!(seen.len(), 1);
    back().await;
    let refused = other.claim(&stage.lane, 5).await;
    assert!(matches!(refused, Err(LedgerError::StoreRestarted { .. })), "{refused:?}");
    assert_eq!(other.fenced_runs().await.unwrap(), std::slice::from_ref(&stage.run));
    assert!(one.claim(&stage.lane, 5).await.is_err(), "the other one's doubt is everybody's");
}

#[tokio::test]
async fn a_model_that_is_put_back_grants_nothing_to_who_has_seen_more() {
    let model = Model::new(Arc::new(SystemClock));
    let kept = std::sync::Mutex::new(None);
    let keep = async || *kept.lock().unwrap() = Some(model.memory());
    let back = async || model.put_back(kept.lock().unwrap().take());
    put_back(&model, &model.client(), keep, back).await;
}

#[tokio::test]
async fn a_redis_that_is_put_back_grants_nothing_to_who_has_seen_more() {
    let server = RedisServer::start();
    let options = Options::new(&server.url(), "back", false);
    let one = Redis::connect(&options).await.unwrap();
    let other = Redis::connect(&options).await.unwrap();
    let con = redis::Client::open(server.url()).unwrap();
    let con = con.get_multiplexed_async_connection().await.unwrap();
    let kept = std::sync::Mutex::new(Vec::new());
    let keep = async || {
        let mut con = con.clone();
        let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut con).await.unwrap();
        for key in keys {
            let dump: Vec<u8> = redis::cmd("DUMP").arg(&key).query_async(&mut con).await.unwrap();
            kept.lock().unwrap().push((key, dump));
        }
    };
    let back = async || {
        let mut con = con.clone();
        let kept = kept.lock().unwrap().clone();
        for (key, dump) in kept {
            let mut restore = redis::cmd("RESTORE");
            let restore = restore.arg(&key).arg(0).arg(dump).arg("REPLACE");
            let () = restore.query_async(&mut con).await.unwrap();
        }
    };
    put_back(&one, &other, keep, back).await;
}

#[tokio::test]
async fn a_plan_made_anew_is_seen_by_another_process_over_sqlite() {
    let dir = tempfile::tempdir().unwrap();
    let open = || Sqlite::open(&dir.path().join("ledger.db"), Arc::new(SystemClock)).unwrap();
    a_plan_made_anew_by_one_is_seen_by_the_other(&open(), &open()).await;
}

#[tokio::test]
async fn a_plan_made_anew_is_seen_by_another_process_over_redis() {
    let server = RedisServer::start();
    let options = Options::new(&server.url(), "anew", false);
    let connect = || Redis::connect(&options);
    let (one, other) = (connect().await.unwrap(), connect().await.unwrap());
    a_plan_made_anew_by_one_is_seen_by_the_other(&one, &other).await;
}

#[tokio::test]
async fn what_sqlite_answered_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.db");
    let open = || Sqlite::open(&path, Arc::new(SystemClock)).unwrap();
    let first = open();
    let stage = conformance::Stage::new(&first, "restart", 3).await;
    stage.plan().await;
    let flying = stage.fly(1).await;
    let (run, before) = (stage.run.clone(), stage.counts().await);
    drop(first);
    let second = open();
    assert_eq!(second.counts(&run).await.unwrap(), before);
    let id = domain::DeliveryId { run, index: flying };
    let found = ledger::api::find(&second, &id).await.unwrap().unwrap();
    assert_eq!(found.state, domain::State::Intent);
}

/// What is left of a record: nothing, one byte, and the beginning of an old one.
const LEFT: [&[u8]; 3] = [b"", b"x", b"{"];

#[tokio::test]
async fn damaged_news_of_a_forgotten_row_makes_no_second_row_in_the_model() {
    let model = Model::new(Arc::new(SystemClock));
    let damage = async |id: &DeliveryId| assert!(model.damage(id));
    a_forgotten_row_whose_news_is_damaged_is_one_row(&model, "damaged", Told::State, damage).await;
}

#[tokio::test]
async fn damaged_news_of_a_forgotten_row_makes_no_second_row_over_sqlite() {
    for (n, left) in LEFT.into_iter().enumerate() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.db");
        let ledger = Sqlite::open(&path, Arc::new(SystemClock)).unwrap();
        let damage = async |id: &DeliveryId| {
            let other = rusqlite::Connection::open(&path).unwrap();
            let sql = "UPDATE deliveries SET record = ?1 WHERE idx = ?2";
            assert_eq!(other.execute(sql, (left, id.index)).unwrap(), 1);
        };
        let case = format!("damaged-{n}");
        a_forgotten_row_whose_news_is_damaged_is_one_row(&ledger, &case, Told::State, damage).await;
    }
}

#[tokio::test]
async fn damaged_news_of_a_forgotten_row_makes_no_second_row_over_redis() {
    let server = RedisServer::start();
    let ledger = Redis::connect(&Options::new(&server.url(), "damaged", false)).await.unwrap();
    let client = redis::Client::open(server.url()).unwrap();
    for (n, left) in LEFT.into_iter().enumerate() {
        let damage = async |id: &DeliveryId| {
            let mut connection = client.get_multiplexed_async_connection().await.unwrap();
            let key = format!("damaged:{{{}}}:d", id.run);
            let mut set = redis::cmd("HSET");
            let set = set.arg(key).arg(id.index).arg(left);
            let new: i64 = set.query_async(&mut connection).await.unwrap();
            assert_eq!(new, 0, "it was there");
        };
        let case = format!("damaged-{n}");
        a_forgotten_row_whose_news_is_damaged_is_one_row(&ledger, &case, Told::Nothing, damage)
            .await;
    }
}
