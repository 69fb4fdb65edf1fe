//! Goal: what somebody agrees to or takes back takes effect at once, is kept with its proof, and
//! costs no morning: over sqlite and PostgreSQL, also when the records are away.
//! Method: real processes; a real PostgreSQL that is killed before the window opens.

use std::time::Duration;

use serde_json::{Value, json};
use tests::install::{Install, Times, post_signed};
use tests::postgres::Postgres;
use tests::until;

const PEOPLE: u64 = 100;
const TIMES: Times = Times { opens_in: Duration::from_secs(6), length: Duration::from_secs(40) };

fn over(server: &Postgres, times: Times) -> Install {
    let install = Install::new(PEOPLE as u32, times);
    let config = install.path("subah.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let records =
        format!("[records]\nengine = \"postgresql\"\npostgresql_url = \"{}\"\n", server.url());
    std::fs::write(&config, text + &records).unwrap();
    install
}

fn states(install: &Install) -> Option<Value> {
    Some(install.report()?["states"].clone())
}

fn arrived(install: &Install) -> u64 {
    let states = states(install).unwrap_or_default();
    states["delivered"].as_u64().unwrap_or(0) + states["read"].as_u64().unwrap_or(0)
}

/// Somebody whose message still waits: who it is, and the state of their delivery.
fn waiting(install: &Install) -> String {
    let list = ["deliveries", "list", "--state", "planned", "--limit", "1000", "--format", "json"];
    let all: Value = serde_json::from_str(&install.ok(&list)).unwrap();
    let last = all.as_array().unwrap().last().expect("one waits").clone();
    last["recipient"].as_str().unwrap().to_owned()
}

fn state_of(install: &Install, recipient: &str) -> String {
    let list = ["deliveries", "list", "--recipient", recipient, "--format", "json"];
    let all: Value = serde_json::from_str(&install.ok(&list)).unwrap();
    all[0]["state"].as_str().unwrap().to_owned()
}

/// How many acts about consents the audit has; it is whole.
fn consents_in_audit(install: &Install) -> usize {
    assert!(install.ok(&["audit", "verify"]).contains("entries"));
    install.ok(&["audit", "list", "--format", "csv"]).matches("consents record").count()
}

/// Takes a consent back by hand in the middle of the run.
fn by_hand(install: &Install) {
    let _daemon = install.start(&["serve"]);
    until("some messages", || (arrived(install) > 3).then_some(()));
    let person = waiting(install);
    let word = ["consents", "record", &person, "withdrawn", "--source", "call"];
    let proof = ["--proof", "ticket 4711"];
    let said = install.ok(&[&word[..], &proof].concat());
    assert!(said.contains("nothing was changed"), "{said}");
    let said = install.ok(&[&word[..], &proof, &["--yes"]].concat());
    assert!(said.contains("2 of 2 sayings are new"), "{said}");
    until("the STOP", || (state_of(install, &person) == "suppressed").then_some(()));
    let said = install.ok(&[&word[..], &proof, &["--yes"]].concat());
    assert!(said.contains("0 of 2 sayings are new"), "told again: {said}");
    let shown = install.ok(&["consents", "show", &person, "--format", "json"]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown.as_array().unwrap().len(), 2);
    assert_eq!(
        (&shown[0]["said"], &shown[0]["proof"]),
        (&json!("withdrawn"), &json!("ticket 4711"))
    );
    until("everybody else", || (arrived(install) == PEOPLE - 1).then_some(()));
    assert_eq!(consents_in_audit(install), 1);
    let listed = install.ok(&["audit", "list", "--format", "json"]);
    assert!(listed.contains("consents record") && !listed.contains("90000000"), "{listed}");
}

#[test]
fn a_consent_that_is_taken_back_by_hand_ends_what_waits_over_sqlite() {
    by_hand(&Install::new(PEOPLE as u32, TIMES));
}

#[test]
fn a_consent_that_is_taken_back_by_hand_ends_what_waits_over_postgresql() {
    by_hand(&over(&Postgres::start(), TIMES));
}

fn stop(from: &str) -> String {
    let message = json!({"from": from, "id": "wamid.stop", "type": "text",
        "timestamp": "1800000000", "text": {"body": "STOP"}});
    json!({"entry": [{"changes": [{"field": "messages", "value": {
        "metadata": {"phone_number_id": "1001"}, "messages": [message]}}]}]})
    .to_string()
}

#[test]
fn a_morning_is_met_without_the_records_and_a_stop_is_recorded_once_they_are_back() {
    let mut server = Postgres::start();
    let install = over(&server, TIMES);
    install.ok(&[
        "consents", "record", "r00001", "given", "--source", "form", "--proof", "f1", "--yes",
    ]);
    let _daemon = install.start(&["serve"]);
    until("a plan", || states(&install).filter(|states| states["planned"] == PEOPLE));
    server.kill();
    let away = install.output(&["consents", "show", "r00001"]);
    assert_eq!(away.status.code(), Some(69), "{}", String::from_utf8_lossy(&away.stderr));
    until("some messages", || (arrived(&install) > 3).then_some(()));
    let person = waiting(&install);
    let number =
        format!("{}", 9_000_000_000u64 + person.trim_start_matches('r').parse::<u64>().unwrap());
    let posted =
        post_signed(install.receiver, "/webhooks", "secret-app", &stop(&format!("91{number}")));
    assert_eq!(posted, Some(200));
    until("the STOP", || (state_of(&install, &person) == "suppressed").then_some(()));
    until("everybody else", || (arrived(&install) == PEOPLE - 1).then_some(()));
    let health = install.get("/healthz").map(|(status, _)| status);
    assert_eq!(health, Some(200), "the records are no part of a morning");
    server.restart();
    let recorded = || {
        let shown = install.output(&["consents", "show", &person, "--format", "json"]);
        let shown: Value = serde_json::from_slice(&shown.stdout).ok()?;
        (shown[0]["said"] == "withdrawn" && shown[0]["source"] == "reply").then_some(())
    };
    until("the STOP in the records", recorded);
}

#[test]
fn lines_that_make_no_sense_are_said_and_the_others_are_kept() {
    let times = Times { opens_in: Duration::from_secs(600), length: Duration::from_secs(60) };
    let install = Install::new(3, times);
    let file = install.path("consents.csv");
    let text = "phone,category,said,source,proof,at\n\
        +919000000001,marketing,given,form,f-1,2026-11-01T10:00:00+05:30\n\
        +919000000002,marketing,maybe,form,f-2,\n\
        12,marketing,given,form,f-3,\n\
        +919000000003,promotions,given,form,f-4,\n\
        +919000000003,\"utility,marketing\",withdrawn,form,f-5,yesterday\n\
        +919000000003,\"utility,marketing\",withdrawn,form,f-6,\n";
    std::fs::write(&file, text).unwrap();
    let import = |more: &[&str]| {
        let file = file.to_str().unwrap().to_owned();
        let output = install.output(&[&["consents", "import", &file], more].concat());
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    };
    let (code, said) = import(&[]);
    assert_eq!(code, Some(1), "{said}");
    for want in ["line 3: said: expected", "line 4: ", "line 5: category: expected", "line 6: "] {
        assert!(said.contains(want), "{want}: {said}");
    }
    assert!(
        said.contains("2 lines can be read, 4 are refused") && said.contains("3 sayings would"),
        "{said}"
    );
    assert!(!said.contains("900000000"), "no number is printed: {said}");
    let (_, said) = import(&["--yes"]);
    assert!(said.contains("3 of 3 sayings are new"), "{said}");
    let (_, said) = import(&["--yes"]);
    assert!(said.contains("0 of 3 sayings are new"), "{said}");
    let refused = |args: &[&str], want: &str| {
        let word = ["consents", "record", "r00001", "given", "--yes"];
        let output = install.output(&[&word[..], args].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && said.contains(want), "{args:?}: {said}");
    };
    refused(&["--source", "a form", "--proof", "x"], "source: expected how");
    refused(&["--source", "form", "--proof", " "], "proof: expected");
    refused(&["--source", "form", "--proof", "x", "--at", "2126-01-01T00:00:00Z"], "in the future");
    refused(
        &["--source", "form", "--proof", "x", "--at", "1999-01-01T00:00:00Z"],
        "before there was",
    );
    refused(&["--source", "form", "--proof", "x", "--category", "news"], "category: expected");
}

#[test]
fn a_backup_holds_the_records() {
    let times = Times { opens_in: Duration::from_secs(600), length: Duration::from_secs(60) };
    let install = Install::new(3, times);
    let _daemon = install.start(&["serve"]);
    until("a plan", || states(&install).filter(|states| states["planned"] == 3));
    install.ok(&[
        "consents", "record", "r00002", "given", "--source", "form", "--proof", "f1", "--yes",
    ]);
    let copy = install.path("copy");
    install.ok(&["backup", copy.to_str().unwrap()]);
    drop(_daemon);
    std::fs::remove_dir_all(install.path("state")).unwrap();
    install.ok(&["restore", copy.to_str().unwrap(), "--yes"]);
    assert!(install.ok(&["consents", "show", "r00002"]).contains("f1"));
    assert_eq!(consents_in_audit(&install), 1);
}

#[test]
fn who_took_it_back_before_the_run_is_left_out_though_no_daemon_runs() {
    let times = Times { opens_in: Duration::from_secs(8), length: Duration::from_secs(20) };
    let install = Install::new(6, times);
    let withdraw = |who: &str, proof: &str| {
        let word = ["consents", "record", who, "withdrawn", "--source", "call", "--proof", proof];
        install.ok(&[&word[..], &["--yes"]].concat())
    };
    let given =
        ["consents", "record", "r00002", "given", "--source", "call", "--proof", "t2", "--yes"];
    install.ok(&given);
    withdraw("r00001", "t1");
    let said = withdraw("r00002", "t2");
    assert!(said.contains("2 of 2 sayings are new"), "the same proof, another wish: {said}");
    install.ok(&["run"]);
    let states = states(&install).unwrap();
    assert_eq!((states["suppressed"].as_u64(), arrived(&install)), (Some(2), 4), "{states}");
    assert_eq!(install.oracle()["oracle"]["accepted"], 4);

    assert_eq!(consents_in_audit(&install), 3);
    let records = rusqlite::Connection::open(install.path("state/records.db")).unwrap();
    assert_eq!(
        records.execute("DELETE FROM audit WHERE seq = (SELECT MAX(seq) FROM audit)", []).unwrap(),
        1
    );
    let verified = install.output(&["audit", "verify"]);
    let said = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert!(verified.status.code() == Some(1) && said.contains("entry 5 is missing"), "{said}");
}

#[test]
fn an_open_quote_is_said_and_no_line_is_swallowed_in_silence() {
    let times = Times { opens_in: Duration::from_secs(600), length: Duration::from_secs(60) };
    let install = Install::new(1, times);
    let file = install.path("open.csv");
    let text = "phone,category,said,source,proof\n\
        +919000000001,both,GIVEN,form,f-1\n\
        +919000000002,both,given,form,\"f-2\n\
        +919000000003,both,given,form,f-3\n";
    std::fs::write(&file, text).unwrap();
    let output = install.output(&["consents", "import", file.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.code() == Some(1) && said.contains("is a quote left open?"), "{said}");
    assert!(said.contains("2 sayings would"), "{said}");
}
