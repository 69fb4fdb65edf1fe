//! Goal: what was imported on one host can be planned from on any: the records have lists and content,
//! each host a copy; records that are away cost no morning, and are never silent.
//! Method: two folders over one Redis and one PostgreSQL, both real; the database is killed.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tests::install::{Install, Running, Times};
use tests::postgres::Postgres;
use tests::redis_server::RedisServer;
use tests::until;

const PEOPLE: u32 = 40;
const LATER: Times = Times { opens_in: Duration::from_secs(900), length: Duration::from_secs(10) };
const SOON: Times = Times { opens_in: Duration::from_secs(8), length: Duration::from_secs(10) };

/// A host of its own name over both.
fn host(name: &str, people: u32, times: Times, redis: &RedisServer, server: &Postgres) -> Install {
    let install = Install::new(people, times);
    over(&install, name, redis, server);
    install
}

fn over(install: &Install, name: &str, redis: &RedisServer, server: &Postgres) {
    let path = install.path("subah.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let shared = format!(
        "host = \"{name}\"\n[store]\nengine = \"redis\"\nredis_url = \"{}\"\naccept_risk = true\n\
         [records]\nengine = \"postgresql\"\npostgresql_url = \"{}\"\n",
        redis.url(),
        server.url()
    );
    std::fs::write(path, shared + &text).unwrap();
}

fn import(install: &Install, name: &str, rows: &str) {
    let path = install.path(name);
    std::fs::write(&path, format!("id,name,phone,language,consent_utility\n{rows}")).unwrap();
    let country = ["--default-country", "IN", "--yes"];
    install.ok(&[&["recipients", "import", path.to_str().unwrap()][..], &country].concat());
}

fn ids(install: &Install) -> Vec<String> {
    let list = install.ok(&["recipients", "list", "--format", "json"]);
    let list: Vec<Value> = serde_json::from_str(&list).unwrap();
    list.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
}

/// Without its own copies, as a host that has just joined.
fn forget(install: &Install) {
    for name in ["state/recipients.ndjson", "state/content", "state/records.db"] {
        let path = install.path(name);
        if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }
            .unwrap();
    }
}

#[test]
fn a_list_that_one_host_imports_is_there_on_the_other_and_undone_by_any() {
    let (redis, mut server) = (RedisServer::start(), Postgres::start());
    let one = host("one", 3, LATER, &redis, &server);
    let other = host("other", 3, LATER, &redis, &server);
    assert_eq!(ids(&one).len(), 3, "its file of before is taken up by the records");
    forget(&other);
    assert_eq!(ids(&other), ids(&one), "a host that has just joined");
    import(&one, "next.csv", "a1,Asha,9876500001,en,yes\nb2,Bina,9876500002,en,yes\n");
    assert_eq!(ids(&other), ["a1", "b2"]);
    let history = other.ok(&["recipients", "history", "--format", "json"]);
    let history: Vec<Value> = serde_json::from_str(&history).unwrap();
    assert_eq!((&history[0]["version"], &history[0]["rows"]), (&"2".into(), &"2".into()));
    let undone = other.ok(&["recipients", "undo"]);
    assert!(undone.starts_with("+3 −2 ~0 =0"), "{undone}");
    assert_eq!(ids(&one).len(), 3);
    one.ok(&["recipients", "undo"]);
    assert_eq!(ids(&other), ["a1", "b2"], "and that is taken back too");
    // Whoever changes a copy by hand changes nothing.
    std::fs::write(one.path("state/recipients.ndjson"), "\u{0}garbage\n").unwrap();
    assert_eq!(ids(&one), ["a1", "b2"]);
    // Away: what is known is shown, and said to be old; nothing can be imported.
    server.kill();
    let listed = one.output(&["recipients", "list", "--format", "json"]);
    let said = String::from_utf8_lossy(&listed.stderr).into_owned();
    assert!(said.contains("may be old"), "{said}");
    assert_eq!(listed.status.code(), Some(0));
    let refused = one.output(&["recipients", "import", one.path("next.csv").to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(69), "{}", String::from_utf8_lossy(&refused.stderr));
    server.restart();
    assert_eq!(ids(&one), ["a1", "b2"]);
}

#[test]
fn an_import_on_another_host_is_refused_when_it_was_made_from_an_older_list() {
    let (redis, server) = (RedisServer::start(), Postgres::start());
    let one = host("one", 3, LATER, &redis, &server);
    ids(&one);
    let other = host("other", 3, LATER, &redis, &server);
    forget(&other);
    // Both at once, many times: no import is lost without a word.
    std::thread::scope(|scope| {
        for host in [&one, &other] {
            scope.spawn(move || {
                for n in 0..5 {
                    let path = host.path("at-once.csv");
                    let row = format!("x{n},Asha,98765{n:05},en,yes\n");
                    let text = format!("id,name,phone,language,consent_utility\n{row}");
                    std::fs::write(&path, text).unwrap();
                    let import = ["recipients", "import", path.to_str().unwrap(), "--yes"];
                    let done = host.output(&[&import[..], &["--default-country", "IN"]].concat());
                    let said = String::from_utf8_lossy(&done.stderr).into_owned();
                    let told = said.contains("somebody else has imported meanwhile");
                    assert!(done.status.success() || told, "{said}");
                }
            });
        }
    });
    assert_eq!(ids(&one), ids(&other));
    assert!(one.ok(&["audit", "verify"]).contains("entries"));
}

fn serve(install: &Install, log: &Path) -> Running {
    let log = std::fs::File::options().append(true).create(true).open(log).unwrap();
    let mut command = install.command(&["serve"]);
    Running(command.stdout(std::process::Stdio::null()).stderr(log).spawn().unwrap())
}

fn met(install: &Install, people: u64) {
    let report = until("everybody", || {
        install.report().filter(|report| report["by_deadline"]["delivered"] == people)
    });
    assert_eq!(report["planned"], people, "{report}");
    assert_eq!(install.oracle()["oracle"]["duplicates"], 0);
}

#[test]
fn a_morning_is_planned_and_met_from_copies_while_the_records_are_away() {
    let (redis, mut server) = (RedisServer::start(), Postgres::start());
    let install = host("one", PEOPLE, SOON, &redis, &server);
    ids(&install);
    install.ok(&["content", "list"]);
    server.kill(); // before anything is planned
    let log = install.path("serve.log");
    let _daemon = serve(&install, &log);
    met(&install, u64::from(PEOPLE));
    let said = std::fs::read_to_string(log).unwrap();
    assert!(said.contains("may be old, and are used"), "{said}");
}

/// The first host dies in the middle of its plan, and its disk with it; the second has another list
/// by then, and finishes what was begun.
#[test]
fn a_second_host_finishes_a_plan_that_the_first_began() {
    const MANY: u32 = 20_000;
    let (redis, server) = (RedisServer::start(), Postgres::start());
    let one = host("one", MANY, LATER, &redis, &server);
    ids(&one);
    let mut first = one.start(&["run"]);
    let begun = until("a part of the plan", || {
        let runs = one.output(&["runs", "list", "--format", "json"]);
        let runs: Vec<Value> = serde_json::from_slice(&runs.stdout).ok()?;
        let planned: u32 = runs.first()?["planned"].as_str()?.parse().ok()?;
        Some(planned)
    });
    first.0.kill().unwrap();
    first.wait();
    assert!(begun < MANY, "it was killed in the middle: {begun}");
    let other = host("other", 3, LATER, &redis, &server);
    forget(&other);
    import(&other, "next.csv", "a1,Asha,9876500001,en,yes\n");
    std::fs::remove_dir_all(one.path("state")).unwrap();
    let log = other.path("serve.log");
    let _daemon = serve(&other, &log);
    let planned = until("the whole plan", || {
        let runs = other.output(&["runs", "list", "--format", "json"]);
        let runs: Vec<Value> = serde_json::from_slice(&runs.stdout).ok()?;
        let run = runs.into_iter().next().filter(|run| run["phase"] == "open")?;
        Some(run["planned"].clone())
    });
    assert_eq!(planned, MANY.to_string(), "{}", std::fs::read_to_string(log).unwrap());
}
