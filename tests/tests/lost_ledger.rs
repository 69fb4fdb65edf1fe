//! Goal: a ledger that is gone is made again from what its host's disk keeps, and a backup
//! brings a morning back; nobody gets a message twice by it.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tests::install::{Install, Times};
use tests::until;

const PEOPLE: u64 = 200;
const TIMES: Times = Times { opens_in: Duration::from_secs(5), length: Duration::from_secs(25) };

fn oracle(install: &Install) -> Value {
    install.oracle()["oracle"].clone()
}

fn accepted(install: &Install) -> u64 {
    oracle(install)["accepted"].as_u64().unwrap()
}

fn hold(install: &Install) {
    let config = install.path("subah.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("[sender]", "[sender]\non_ambiguous = \"hold\"")).unwrap();
}

/// Killed once so many were taken.
fn live_until(install: &Install, taken: u64) {
    let mut daemon = install.start(&["serve"]);
    until("more messages", || (accepted(install) >= taken).then_some(()));
    daemon.0.kill().unwrap();
    daemon.wait();
}

fn states(install: &Install) -> Value {
    install.report().expect("there is a run")["states"].clone()
}

fn count(states: &Value, names: &[&str]) -> u64 {
    names.iter().map(|name| states[name].as_u64().unwrap()).sum()
}

fn today(install: &Install) -> String {
    let id = install.report().unwrap()["run"].as_str().unwrap().to_owned();
    id.split_once('@').unwrap().1.to_owned()
}

fn lose_the_ledger(install: &Install) {
    for name in ["ledger.db", "ledger.db-wal", "ledger.db-shm"] {
        let _ = std::fs::remove_file(install.path("state").join(name));
    }
}

fn resume(install: &Install) {
    let id = install.report().unwrap()["run"].as_str().unwrap().to_owned();
    install.ok(&["runs", "resume", &id, "--reason", "it is whole again", "--yes"]);
}

#[test]
fn a_ledger_that_is_gone_is_made_again_from_header_snapshot_journal_and_inbox() {
    let install = Install::new(PEOPLE as u32, TIMES);
    hold(&install);
    live_until(&install, 80);
    let date = today(&install);
    lose_the_ledger(&install);
    let run = install.output(&["run"]);
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(run.status.code() != Some(0) && said.contains("recover --rebuild"), "{said}");

    let dry = install.ok(&["recover", "--rebuild", &date]);
    assert!(dry.contains("200 deliveries from snapshot") && dry.contains("nothing was changed"));
    assert!(install.report().is_none_or(|report| report["run"].is_null()), "it only said so");
    let done = install.ok(&["recover", "--rebuild", &date, "--yes"]);
    assert!(done.contains("is in the ledger again, and paused"), "{done}");
    resume(&install);
    let again = install.output(&["recover", "--rebuild", &date, "--yes"]);
    assert_eq!(again.status.code(), Some(1), "it is there");
    install.output(&["run"]);
    let (oracle, states) = (oracle(&install), states(&install));
    assert_eq!(oracle["duplicates"], 0, "{oracle} {states}");
    let ends = ["delivered", "read", "unknown", "sent", "accepted", "expired", "failed"];
    assert_eq!(count(&states, &ends), PEOPLE, "{states}");
    assert!(count(&states, &["delivered", "read"]) >= PEOPLE - 30, "{states}");
    assert_eq!(count(&states, &["failed"]), 0, "{states}");
}

/// Files that came in meanwhile are another plan: its rows are other people.
#[test]
fn a_run_that_was_sent_from_is_not_planned_again_from_other_files() {
    let install = Install::new(PEOPLE as u32, TIMES);
    hold(&install);
    live_until(&install, 60);
    let date = today(&install);
    let other = tests::install::recipients(PEOPLE as u32 + 40);
    std::fs::write(install.path("recipients.csv"), other).unwrap();
    install.ok(&["recipients", "import", install.path("recipients.csv").to_str().unwrap()]);
    lose_the_ledger(&install);
    install.ok(&["recover", "--rebuild", &date, "--yes"]);
    resume(&install);
    install.output(&["run"]);
    let (oracle, states) = (oracle(&install), states(&install));
    assert_eq!(oracle["duplicates"], 0, "{oracle} {states}");
    let all = states.as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum::<u64>();
    assert_eq!(all, PEOPLE, "the plan that was sent from: {states}");
}

/// The one machine is lost during the window, its disk with it: a standby goes on from the
/// last backup. What was due since then may have gone.
#[test]
fn a_standby_goes_on_from_the_last_backup() {
    let times = Times { opens_in: Duration::from_secs(5), length: Duration::from_secs(40) };
    let install = Install::new(PEOPLE as u32, times);
    hold(&install);
    let mut daemon = install.start(&["serve"]);
    until("some messages", || (accepted(&install) >= 40).then_some(()));
    let backup = install.path("backup");
    install.ok(&["backup", backup.to_str().unwrap()]); // while it sends
    let taken = accepted(&install);
    until("more messages", || (accepted(&install) >= taken + 40).then_some(()));
    daemon.0.kill().unwrap();
    daemon.wait();
    let ours = install.path("state");
    std::fs::rename(&ours, install.path("lost")).unwrap();

    let dry = install.ok(&["restore", backup.to_str().unwrap()]);
    assert!(dry.contains("nothing was changed") && !ours.join("ledger.db").exists(), "{dry}");
    let done = install.ok(&["restore", backup.to_str().unwrap(), "--yes"]);
    assert!(done.contains("may have been sent"), "{done}");
    assert_private(&ours);
    install.output(&["run"]);
    let (oracle, states) = (oracle(&install), states(&install));
    assert_eq!(oracle["duplicates"], 0, "{oracle} {states}");
    assert!(count(&states, &["unknown"]) > 0, "those since the backup: {states}");
    assert!(count(&states, &["delivered", "read"]) >= 80, "and the rest went: {states}");
}

/// With the host's own journal and inbox still there, nothing is in doubt.
#[test]
fn a_ledger_that_is_restored_beside_its_journal_doubts_nothing() {
    let install = Install::new(PEOPLE as u32, TIMES);
    hold(&install);
    live_until(&install, 40);
    let backup = install.path("backup");
    install.ok(&["backup", backup.to_str().unwrap()]);
    live_until(&install, 90);
    lose_the_ledger(&install);
    let done = install.ok(&["restore", backup.to_str().unwrap(), "--yes"]);
    assert!(done.contains("this host's journal"), "{done}");
    install.output(&["run"]);
    let (oracle, states) = (oracle(&install), states(&install));
    assert_eq!(oracle["duplicates"], 0, "{oracle} {states}");
    assert!(count(&states, &["unknown"]) < 30, "only what was under way at a kill: {states}");
}

#[test]
fn a_backup_that_was_changed_is_refused_and_a_ledger_is_not_overwritten() {
    let install = Install::new(20, TIMES);
    install.output(&["run"]);
    let backup = install.path("backup");
    install.ok(&["backup", backup.to_str().unwrap()]);
    let again = install.output(&["backup", backup.to_str().unwrap()]);
    assert_ne!(again.status.code(), Some(0), "a backup is not written over");
    let over = install.output(&["restore", backup.to_str().unwrap(), "--yes"]);
    let said = String::from_utf8_lossy(&over.stderr).into_owned();
    assert!(over.status.code() != Some(0) && said.contains("there is a ledger"), "{said}");
    lose_the_ledger(&install);
    let file = backup.join("ledger.db");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[5000] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let bad = install.output(&["restore", backup.to_str().unwrap(), "--yes"]);
    let said = String::from_utf8_lossy(&bad.stderr).into_owned();
    assert!(bad.status.code() != Some(0) && said.contains("ledger.db"), "{said}");
    assert!(!install.path("state/ledger.db").exists(), "nothing of it was restored");
}

/// Killed half way, at the last step or the one before: what is here is half of a backup, and the
/// same command makes it whole.
#[test]
fn a_restore_that_was_interrupted_goes_on() {
    for place in ["restore-files", "restore-ledger"] {
        let install = Install::new(PEOPLE as u32, TIMES);
        hold(&install);
        live_until(&install, 60);
        let backup = install.path("backup");
        install.ok(&["backup", backup.to_str().unwrap()]);
        std::fs::rename(install.path("state"), install.path("lost")).unwrap();
        let args = ["restore", backup.to_str().unwrap(), "--yes"];
        let died = install.command(&args).env("SUBAH_FAILPOINT", place).output().unwrap();
        assert_ne!(died.status.code(), Some(0), "{place}");
        assert!(!install.path("state/ledger.db").exists(), "{place}: a ledger comes whole or not");
        let run = install.output(&["run"]);
        let said = String::from_utf8_lossy(&run.stderr).into_owned();
        assert!(run.status.code() != Some(0) && said.contains("subah restore"), "{place}: {said}");
        install.ok(&args);
        install.output(&["run"]);
        let (oracle, states) = (oracle(&install), states(&install));
        assert_eq!(oracle["duplicates"], 0, "{place}: {oracle} {states}");
        assert!(count(&states, &["delivered", "read"]) >= 60, "{place}: {states}");
    }
}

fn assert_private(dir: &Path) {
    use std::os::unix::fs::PermissionsExt;
    for entry in std::fs::read_dir(dir).unwrap() {
        let mode = entry.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{mode:o}");
    }
}

/// The lost machine may have planned and sent what the backup has never heard of.
#[test]
fn a_run_that_the_backup_does_not_hold_is_not_planned_once_its_window_has_opened() {
    let install = Install::new(20, TIMES);
    let backup = install.path("backup");
    let mut before = install.start(&["serve", "--role", "receiver"]); // makes the ledger
    until("a ledger", || install.path("state/ledger.db").exists().then_some(()));
    install.ok(&["backup", backup.to_str().unwrap()]);
    before.terminate();
    before.wait();
    install.output(&["run"]);
    assert_eq!(accepted(&install), 20);
    std::fs::rename(install.path("state"), install.path("lost")).unwrap();
    install.ok(&["restore", backup.to_str().unwrap(), "--yes"]);
    let run = install.output(&["run"]);
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(run.status.code() != Some(0) && said.contains("may have sent it"), "{said}");
    assert_eq!(oracle(&install)["duplicates"], 0);
}

/// What the journal knew is gone with it: statuses prove that, and nobody who was due is sent
/// anything again.
#[test]
fn a_rebuild_without_its_journal_doubts_what_was_due() {
    let install = Install::new(PEOPLE as u32, TIMES);
    hold(&install);
    live_until(&install, 60);
    let date = today(&install);
    lose_the_ledger(&install);
    std::fs::remove_dir_all(install.path("state/journal")).unwrap();
    let done = install.ok(&["recover", "--rebuild", &date, "--yes"]);
    assert!(done.contains("may have gone without a trace"), "{done}");
    resume(&install);
    install.output(&["run"]);
    let (oracle, states) = (oracle(&install), states(&install));
    assert_eq!(oracle["duplicates"], 0, "{oracle} {states}");
}

/// An unlinked file would be written to until the machine stops.
#[test]
fn a_daemon_whose_ledger_is_deleted_stops_aloud() {
    let install = Install::new(PEOPLE as u32, TIMES);
    let log = std::fs::File::create(install.path("log")).unwrap();
    let mut command = install.command(&["serve"]);
    let mut daemon = tests::install::Running(command.stderr(log).spawn().unwrap());
    until("some messages", || (accepted(&install) >= 20).then_some(()));
    lose_the_ledger(&install);
    assert_ne!(daemon.wait(), 0);
    let log = std::fs::read_to_string(install.path("log")).unwrap();
    assert!(log.contains("is gone or another one"), "{log}");
}
