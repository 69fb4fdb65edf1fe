//! Goal: a record, message, body or run that cannot be read costs itself: everything else is
//! sent, the run closes, and the person is told which one and why. Both engines.
//! Method: a planned morning whose store is damaged by hand before its window opens.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::Value;
use tests::install::{Install, Times};
use tests::redis_server::RedisServer;
use tests::until;

const PEOPLE: u32 = 60;
const TIMES: Times = Times { opens_in: Duration::from_secs(6), length: Duration::from_secs(15) };

/// Where the ledger of an installation is.
enum Store {
    Sqlite,
    Redis(RedisServer),
}

/// Of which part of a delivery.
#[derive(Clone, Copy)]
enum Part {
    Record,
    Message,
}

impl Store {
    fn redis() -> Self {
        Store::Redis(RedisServer::start_on_port(&[
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
        ]))
    }

    fn install(&self) -> Install {
        let install = Install::new(PEOPLE, TIMES);
        if let Store::Redis(server) = self {
            let config = install.path("subah.toml");
            let text = std::fs::read_to_string(&config).unwrap();
            let store = format!("[store]\nengine = \"redis\"\nredis_url = \"{}\"\n", server.url());
            std::fs::write(&config, store + &text).unwrap();
        }
        let mut planner = install.start(&["serve", "--role", "scheduler"]);
        until("a plan", || install.report().filter(|report| planned(report) == u64::from(PEOPLE)));
        planner.terminate();
        planner.wait();
        install
    }

    fn damage(&self, install: &Install, part: Part, index: u32, bytes: &[u8]) {
        match self {
            Store::Sqlite => {
                let column = match part {
                    Part::Record => "record",
                    Part::Message => "message",
                };
                let sql = format!("UPDATE deliveries SET {column} = ?1 WHERE idx = ?2");
                let changed = sqlite(install).execute(&sql, (bytes, index)).unwrap();
                assert_eq!(changed, 1);
            }
            Store::Redis(server) => {
                let key = match part {
                    Part::Record => "d",
                    Part::Message => "m",
                };
                let key = format!("subah:{{{}}}:{key}", run_id(install));
                let mut connection =
                    redis::Client::open(server.url()).unwrap().get_connection().unwrap();
                let mut set = redis::cmd("HSET");
                let _: i64 = set.arg(key).arg(index).arg(bytes).query(&mut connection).unwrap();
            }
        }
    }
}

fn sqlite(install: &Install) -> Connection {
    Connection::open(install.path("state/ledger.db")).unwrap()
}

fn run_id(install: &Install) -> String {
    install.report().unwrap()["run"].as_str().unwrap().to_owned()
}

fn planned(report: &Value) -> u64 {
    report["states"]["planned"].as_u64().unwrap_or(0)
}

fn states(install: &Install) -> Value {
    install.report().expect("there is a run")["states"].clone()
}

fn damage_six(store: &Store, install: &Install) {
    let records: [&[u8]; 4] = [b"", b"{\"lane\":0,\"due", b"\xff\xfe\x00", b"{\"lane\":77}"];
    for (index, bytes) in records.into_iter().enumerate() {
        store.damage(install, Part::Record, 5 + u32::try_from(index).unwrap(), bytes);
    }
    store.damage(install, Part::Message, 20, b"nothing");
    store.damage(install, Part::Message, 21, b"\xff");
}

fn six_cost_themselves(store: &Store) {
    let install = store.install();
    install.ok(&["ledger", "verify"]);
    damage_six(store, &install);

    let said = install.output(&["ledger", "verify"]);
    let lines = String::from_utf8(said.stdout).unwrap();
    assert_eq!(said.status.code(), Some(1), "{lines}");
    for index in [5, 6, 7, 8, 20, 21] {
        assert!(lines.contains(&format!("#{index}:")), "{index} is named: {lines}");
    }
    let checked = String::from_utf8(install.output(&["check"]).stdout).unwrap();
    let words = "6 deliveries cannot be read: `subah ledger verify`";
    assert!(checked.contains(words), "{checked}");

    let run = install.output(&["run"]);
    let log = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(log.contains("#7 cannot be read from the store"), "{log}");
    assert!(!log.contains("+91"), "no numbers in the log");
    let found = states(&install);
    let arrived = found["delivered"].as_u64().unwrap() + found["read"].as_u64().unwrap();
    assert_eq!((arrived, &found["quarantined"]), (u64::from(PEOPLE) - 6, &6.into()), "{found}");
    let oracle = install.oracle()["oracle"].clone();
    assert_eq!((&oracle["accepted"], &oracle["duplicates"]), (&(PEOPLE - 6).into(), &0.into()));
    let report = String::from_utf8(install.output(&["report"]).stdout).unwrap();
    assert!(report.contains("damaged"), "the report says why: {report}");
    let listed = install.ok(&["deliveries", "list", "--cause", "damaged", "--format", "csv"]);
    let ids: BTreeSet<&str> = listed
        .lines()
        .skip(1)
        .filter_map(|line| line.split(',').next()?.split('#').nth(1))
        .collect();
    assert_eq!(ids, BTreeSet::from(["5", "6", "7", "8", "20", "21"]), "{listed}");

    let repaired = install.ok(&["ledger", "repair", "--yes"]);
    assert!(repaired.contains("have no attempt in this host's journal"), "{repaired}");
    assert_eq!(install.oracle()["oracle"]["accepted"], oracle["accepted"], "nothing is sent");
}

#[test]
fn damaged_rows_cost_themselves_over_sqlite() {
    six_cost_themselves(&Store::Sqlite);
}

#[test]
fn damaged_rows_cost_themselves_over_redis() {
    six_cost_themselves(&Store::redis());
}

/// What arrived is found again in the journal and the inbox.
#[test]
fn a_record_that_is_damaged_after_its_delivery_is_repaired_from_this_hosts_disk() {
    let install = Store::Sqlite.install();
    install.output(&["run"]);
    assert_eq!(planned(&install.report().unwrap()), 0);
    Store::Sqlite.damage(&install, Part::Record, 9, b"{");
    let before = install.output(&["ledger", "verify"]);
    assert_eq!(before.status.code(), Some(1));
    let repaired = install.ok(&["ledger", "repair", "--yes"]);
    assert!(
        repaired.contains("#9: delivered now") || repaired.contains("#9: read now"),
        "{repaired}"
    );
    let found = states(&install);
    assert_eq!(found["quarantined"], 0, "{found}");
}

/// Other words than those that were approved are never sent.
#[test]
fn a_body_that_is_not_what_its_hash_names_is_not_sent() {
    let install = Store::Sqlite.install();
    let changed = sqlite(&install)
        .execute("UPDATE bodies SET body = replace(body, 'name', 'nome')", ())
        .unwrap();
    assert!(changed > 0);
    let run = install.output(&["run"]);
    let log = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(log.contains("it is not what its hash names"), "{log}");
    assert_eq!(states(&install)["quarantined"], PEOPLE);
    assert_eq!(install.oracle()["oracle"]["requests"], 0);
}

/// A run of another day whose header cannot be read stops neither today's run nor the lists.
#[test]
fn a_run_that_cannot_be_read_stops_no_other_run() {
    let install = Store::Sqlite.install();
    let columns = "id, header, phase, cursor";
    let sql =
        format!("INSERT INTO runs ({columns}) VALUES ('daily-pack@2020-01-01', 'x', 'open', 1)");
    sqlite(&install).execute(&sql, ()).unwrap();
    install.output(&["run"]);
    let found = states(&install);
    let arrived = found["delivered"].as_u64().unwrap() + found["read"].as_u64().unwrap();
    assert_eq!(arrived, u64::from(PEOPLE), "{found}");
    install.ok(&["runs", "list"]);
    let said = install.output(&["ledger", "verify"]);
    let lines = String::from_utf8(said.stdout).unwrap();
    assert!(lines.contains("2020-01-01: the run itself cannot be read"), "{lines}");
}

/// An older program would lose what it does not know of: it stops as a whole.
#[test]
fn a_store_that_a_newer_version_has_changed_is_left_alone_before_the_window() {
    let store = Store::redis();
    for store in [&Store::Sqlite, &store] {
        let install = store.install();
        let mut command = install.command(&["run"]);
        let run = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        until("a sender", || install.get("/healthz").or_else(|| locked(&install)).map(drop));
        match store {
            Store::Sqlite => sqlite(&install).pragma_update(None, "user_version", 9).unwrap(),
            Store::Redis(server) => drop(server.command(&["SET", "subah:schema", "9"])),
        }
        let output = run.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let words = "has schema 9, this program reads schema";
        assert!(
            output.status.code() != Some(0) && said.contains(words),
            "{:?} {said}",
            output.status
        );
        assert_eq!(install.oracle()["oracle"]["requests"], 0, "nothing is sent");
    }
}

/// Something, once a process has the folder.
fn locked(install: &Install) -> Option<(u16, String)> {
    install.path("state/holder").exists().then(|| (0, String::new()))
}
