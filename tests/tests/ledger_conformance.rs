//! Goal: the three engines are one ledger.
//! Method: one suite against each, over a real file and a real redis-server.

use std::sync::Arc;

use domain::SystemClock;
use ledger::redis::Options;
use ledger::{LedgerError, Model, Redis, Sqlite};
use tests::conformance;
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
    use ledger::Ledger;
    assert_eq!(second.counts(&run).await.unwrap(), before);
    let id = domain::DeliveryId { run, index: flying };
    let found = ledger::api::find(&second, &id).await.unwrap().unwrap();
    assert_eq!(found.state, domain::State::Intent);
}
