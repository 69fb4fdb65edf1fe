//! Goal: bad input gets a clear answer with the right exit code, and loses nothing.

use std::net::TcpListener;
use std::process::Output;
use std::time::Duration;

use tests::install::{Install, Times};
use tests::subah;

const LATER: Times =
    Times { opens_in: Duration::from_secs(3_000), length: Duration::from_secs(60) };

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn a_wrong_configuration_is_answered_once_with_exit_64() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("subah.toml");
    std::fs::write(&file, "[store]\nengine = \"oracle\"\n[sender]\nbudget = \"soon\"\n").unwrap();
    let output = subah().arg("--config").arg(&file).arg("plan").output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    let text = text(&output);
    for want in
        ["store.engine", "sender.budget: \"soon\"", "numbers: nothing", "campaign.template.name"]
    {
        assert!(text.contains(want), "{want} in {text}");
    }
    let missing = subah().args(["--config", "/nowhere/subah.toml", "plan"]).output().unwrap();
    assert_eq!(missing.status.code(), Some(64));
    assert_eq!(subah().arg("pln").output().unwrap().status.code(), Some(2), "wrong use");
}

#[test]
fn a_missing_credential_says_where_it_is_looked_for() {
    let install = Install::new(1, LATER);
    std::fs::remove_file(install.path("token")).unwrap();
    let output = install.output(&["serve"]);
    assert_eq!(output.status.code(), Some(64), "{}", text(&output));
    assert!(text(&output).contains("credential meta_token"), "{}", text(&output));
}

#[test]
fn a_taken_port_and_an_unreachable_store_exit_69_by_name() {
    let install = Install::new(1, LATER);
    let _taken = TcpListener::bind(("127.0.0.1", install.receiver)).unwrap();
    let output = install.output(&["serve"]);
    assert_eq!(output.status.code(), Some(69), "{}", text(&output));
    assert!(text(&output).contains("receiver.listen"), "{}", text(&output));

    let config = std::fs::read_to_string(install.path("subah.toml")).unwrap();
    let nowhere = format!(
        "[store]\nengine = \"redis\"\nredis_url = \"redis+unix:///nowhere.sock\"\n{config}"
    );
    std::fs::write(install.path("subah.toml"), nowhere).unwrap();
    let output = install.output(&["status"]);
    assert_eq!(output.status.code(), Some(69), "{}", text(&output));
    assert!(text(&output).contains("redis store is unavailable"), "{}", text(&output));

    let file = format!("[store]\npath = \"/proc/nowhere/ledger.db\"\n{config}");
    std::fs::write(install.path("subah.toml"), file).unwrap();
    assert_eq!(install.output(&["status"]).status.code(), Some(69));
}

#[test]
fn bad_rows_are_listed_beside_the_import_and_keep_what_is_stored() {
    let install = Install::new(3, LATER);
    let import = install.path("next.csv");
    let rows =
        "id,name,phone,consent_utility\nr00000,New Name,9.19E+11,yes\nr00001,Usha,9000000777,yes\n";
    std::fs::write(&import, rows).unwrap();
    let path = import.to_str().unwrap();
    let strict = install.output(&["recipients", "import", path, "--strict", "--yes"]);
    assert_eq!(strict.status.code(), Some(1));
    let list = || install.ok(&["recipients", "list", "--format", "csv", "--reveal"]);
    assert!(list().contains("r00002"), "--strict changed nothing: {}", list());

    let output = install.output(&["recipients", "import", path, "--yes"]);
    assert_eq!(output.status.code(), Some(1), "a row was left out: {}", text(&output));
    let errors = std::fs::read_to_string(install.path("next.csv.errors.csv")).unwrap();
    assert!(errors.contains("2,phone was rounded"), "{errors}");
    let now = list();
    assert!(now.contains("r00000,Asha Rao,'+919000000000"), "kept as stored: {now}");
    assert!(now.contains("r00001,Usha,'+919000000777") && !now.contains("r00002"), "{now}");
    let masked = install.ok(&["recipients", "list"]);
    assert!(!masked.contains("9000000777") && !masked.contains("Usha"), "{masked}");
}

#[test]
fn what_cannot_be_sent_is_named_when_planned() {
    let install = Install::new(2, LATER);
    let content = install.path("content.ndjson");
    let rows = "{\"recipient_id\":\"r00000\",\"params\":{\"mood\":\"good\"},\"approved_by\":\"D\",\"approved_at\":\"2026-01-01\"}\n\
                {\"recipient_id\":\"stranger\",\"params\":{}}\n";
    std::fs::write(&content, rows).unwrap();
    install.ok(&["content", "import", content.to_str().unwrap(), "--yes"]);
    let output = install.output(&["plan"]);
    assert_eq!(output.status.code(), Some(1), "nothing can be sent");
    let text = text(&output);
    for want in [
        "2 recipients: 0 to be sent, 2 left out",
        "1 of 2 rows of content are for nobody in the list: stranger",
        "r00000: parameter \"headline\" is missing (132000)",
        "r00001: no content for this recipient",
    ] {
        assert!(text.contains(want), "{want} in {text}");
    }
    assert!(install.report().is_none(), "plan changes nothing");
}

#[test]
fn check_looks_at_everything_and_answers() {
    let install = Install::new(2, LATER);
    let good = install.ok(&["check"]);
    assert!(good.contains("number 1001") && !good.contains("PROBLEM"), "{good}");
    std::fs::remove_file(install.path("app")).unwrap();
    let output = install.output(&["check", "--offline"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("PROBLEM credential app_secret"), "{}", text(&output));
}

#[test]
fn a_folder_made_by_init_can_be_planned_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("desk");
    assert!(subah().arg("init").arg(&home).output().unwrap().status.success());
    let run = |args: &[&str]| subah().current_dir(&home).args(args).output().unwrap();
    assert_eq!(run(&["recipients", "import", "recipients.csv"]).status.code(), Some(0));
    assert_eq!(run(&["content", "import", "content.ndjson"]).status.code(), Some(0));
    let plan = run(&["plan"]);
    assert_eq!(plan.status.code(), Some(0), "{}", text(&plan));
    assert!(text(&plan).contains("4 recipients: 3 to be sent, 1 left out"), "{}", text(&plan));
    let again = subah().arg("init").arg(&home).output().unwrap();
    assert!(text(&again).contains("kept"), "existing files are left alone");
}
