//! Goal: what an earlier version left behind is taken over whole, by number of schema.
//! Method: the state folder of a real morning of the version before (40 people over sqlite), and
//! a Redis with keys as that version wrote them.

use std::process::Command;
use std::time::Duration;

use domain::State;
use ledger::redis::Options;
use ledger::{Filter, Ledger, LedgerError, Phase, Redis};
use rusqlite::Connection;
use serde_json::Value;
use tests::conformance::Stage;
use tests::install::{Install, Times};
use tests::redis_server::RedisServer;

/// The morning's date.
const DATE: &str = include_str!("upgrade/date");
const REPORT: &str = include_str!("upgrade/report.json");

/// An installation whose state folder is the earlier version's.
fn taken_over() -> Install {
    let times = Times { opens_in: Duration::from_secs(6), length: Duration::from_secs(8) };
    let install = Install::new(40, times);
    std::fs::remove_dir_all(install.path("state")).unwrap();
    let archive = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/upgrade/state.tar.gz");
    let mut tar = Command::new("tar");
    tar.arg("-xzf").arg(archive).arg("-C").arg(install.path(""));
    assert!(tar.status().unwrap().success());
    let schema = |wanted| {
        let ledger = Connection::open(install.path("state/ledger.db")).unwrap();
        let found: u32 = ledger.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
        assert_eq!(found, wanted);
    };
    schema(3);
    install.ok(&["ledger", "verify"]);
    schema(5);
    install
}

#[test]
fn a_morning_of_the_version_before_is_there_and_the_next_one_is_done() {
    let install = taken_over();
    let report = install.output(&["report", "--date", DATE.trim(), "--format", "json"]);
    let report: Value = serde_json::from_slice(&report.stdout).unwrap();
    let before: Value = serde_json::from_str(REPORT).unwrap();
    for part in ["run", "states", "by_deadline", "missed"] {
        assert_eq!(report[part], before[part], "{part}");
    }
    let list = ["deliveries", "list", "--date", DATE.trim(), "--format", "csv"];
    assert_eq!(install.ok(&list).lines().count(), 41);

    for name in ["recipients.csv", "content.ndjson"] {
        let list = name.split('.').next().unwrap();
        install.ok(&[list, "import", install.path(name).to_str().unwrap()]);
    }
    install.ok(&["run"]);
    let today = install.report().expect("today's run");
    assert_eq!(today["by_deadline"]["delivered"], 40, "{today}");
    assert_ne!(today["run"], before["run"]);
}

/// As the version before wrote it.
fn json_record(index: u32, due: i64, state: State) -> String {
    let body = format!(r#"{{"lane":0,"due":{due},"next":{due},"state":"{state}","fence":{index}"#);
    let sum = crc32c::crc32c(format!("{body}}}").as_bytes());
    format!("{body},\"sum\":{sum}}}")
}

#[tokio::test]
async fn a_redis_of_the_version_before_is_taken_over_once_no_run_is_open() {
    let server = RedisServer::start();
    let options = Options::new(&server.url(), "before", false);
    let connect = async || Redis::connect(&options).await;
    let first = connect().await.unwrap();
    let stage = Stage::new(&first, "before", 3).await;
    stage.plan().await;
    let key = |what: &str| format!("before:{{{}}}:{what}", stage.run);
    let schema = || server.command(&["GET", "before:schema"]).trim().to_owned();
    server.command(&["SET", "before:schema", "3"]);
    server.command(&["HDEL", &key("meta"), "attention"]);
    for index in 0..3 {
        let due = stage.header.window.opens.micros() + i64::from(index) * 1_000_000;
        let record = json_record(index, due, State::Planned);
        server.command(&["HSET", &key("d"), &index.to_string(), &record]);
    }
    let open = connect().await;
    assert!(matches!(open, Err(LedgerError::Schema { .. })), "a run is open");
    assert_eq!(schema(), "3");

    first.set_phase(&stage.run, Phase::Closed).await.unwrap();
    let second = connect().await.unwrap();
    assert_eq!(schema(), "5");
    let all = second.list(&stage.run, &Filter::default(), None, 10).await.unwrap();
    assert_eq!(all.len(), 3);
    assert!(all.iter().all(|delivery| delivery.state == State::Planned));
    assert!(all.iter().all(|delivery| delivery.damage.is_none()), "{all:?}");
    second.count_anew(&stage.run).await.unwrap();
    assert_eq!(second.counts(&stage.run).await.unwrap().get(State::Planned), 3);
    let failed = Filter { states: vec![State::Failed], lane: None };
    assert!(second.list(&stage.run, &failed, None, 10).await.unwrap().is_empty());
    // Whoever reads with another number than the store's is refused, whichever is higher.
    server.command(&["SET", "before:schema", "6"]);
    assert!(matches!(second.check_schema().await, Err(LedgerError::Schema { .. })));
    assert!(matches!(connect().await, Err(LedgerError::Schema { .. })));
}
