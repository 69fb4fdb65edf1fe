//! Goal: each scenario that comes with Subah plays, and comes out as its file says; one that does not
//! is told.
//! Method: the real command. Each is a test of its own, so that they share the machine's cores.

use std::path::Path;

use serde_json::Value;
use tests::subah;

fn play(name: &str) -> (Option<i32>, Value) {
    let dir = tempfile::tempdir().unwrap();
    let output = subah()
        .args(["-q", "rehearse", "--scenario", name, "--format", "json", "--dir"])
        .arg(dir.path())
        .output()
        .unwrap();
    let told = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| {
        panic!("{name}: {e}: {}", String::from_utf8_lossy(&output.stderr));
    });
    (output.status.code(), told)
}

fn comes_out(name: &str) {
    let (code, told) = play(name);
    let compared = told["compared"].as_array().unwrap();
    let wrong: Vec<&Value> = compared.iter().filter(|one| one["good"] != true).collect();
    assert!(wrong.is_empty(), "{name}: {wrong:?}; {}", told["report"]);
    assert_eq!(code, Some(0));
    assert!(compared.len() >= 4, "{name}: {compared:?}");
}

#[test]
fn a_template_that_is_paused_in_the_middle_of_the_run() {
    comes_out("template-paused-mid-run");
}

#[test]
fn a_template_that_is_rejected_overnight() {
    comes_out("template-rejected-overnight");
}

#[test]
fn a_template_that_is_moved_to_another_category() {
    comes_out("template-recategorised");
}

#[test]
fn no_version_that_is_left() {
    comes_out("no-template-left");
}

#[test]
fn a_number_that_is_banned_in_the_middle_of_the_run() {
    comes_out("number-banned-mid-run");
}

#[test]
fn a_rating_that_drops() {
    comes_out("rating-drop");
}

#[test]
fn every_number_banned() {
    comes_out("all-numbers-banned");
}

#[test]
fn numbers_that_are_throttled() {
    comes_out("throttle");
}

#[test]
fn a_token_that_is_revoked_and_restored() {
    comes_out("token-revoked-and-restored");
}

#[test]
fn people_who_write_stop() {
    comes_out("stop-mid-run");
}

#[test]
fn the_list_names_every_file_and_each_has_a_test() {
    let output = subah().args(["rehearse", "--scenario", "list", "--format", "json"]).output();
    let listed: Vec<Value> = serde_json::from_slice(&output.unwrap().stdout).unwrap();
    let mut names: Vec<&str> = listed.iter().map(|one| one["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/scenarios");
    let stem = |entry: std::fs::DirEntry| entry.path().file_stem()?.to_str().map(str::to_owned);
    let mut files: Vec<String> =
        std::fs::read_dir(folder).unwrap().filter_map(|entry| stem(entry.unwrap())).collect();
    files.sort_unstable();
    assert_eq!(names, files);
    let own = include_str!("scenarios.rs");
    for name in names {
        assert!(own.contains(&format!("comes_out(\"{name}\")")), "{name} has no test");
    }
}

/// What is not as the file says makes the command say so; a file that is none is refused by name.
#[test]
fn a_scenario_that_comes_out_otherwise_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("mine.toml");
    let text =
        "title = \"Nothing happens\"\npeople = 40\n[expected]\nsla = \"missed\"\nexit_code = 1\n";
    std::fs::write(&file, text).unwrap();
    let (code, told) = play(file.to_str().unwrap());
    assert_eq!(code, Some(1));
    assert_eq!(told["good"], false);
    assert_eq!(told["report"]["sla"]["met"], true);
    for (name, text) in [("odd.toml", "title = 7"), ("more.toml", "title = \"x\"\nfoo = 1\n")] {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        let output = subah().args(["rehearse", "--scenario"]).arg(&path).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{name}");
    }
    let unknown = subah().args(["rehearse", "--scenario", "nothing"]).output().unwrap();
    let said = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert_eq!(unknown.status.code(), Some(2));
    assert!(said.contains("rating-drop"), "{said}");
}
