//! Goal: a sqlite file that was put back from a backup sends nothing twice and forgets no
//! status: this host's own disk gives it what it lost.
//! Method: the daemon is killed, the file is put back as it was two starts ago.

use std::path::PathBuf;
use std::time::Duration;

use tests::install::{Install, Times};
use tests::until;

const PEOPLE: u64 = 200;
const TIMES: Times = Times { opens_in: Duration::from_secs(5), length: Duration::from_secs(25) };

fn accepted(install: &Install) -> u64 {
    install.oracle()["oracle"]["accepted"].as_u64().unwrap()
}

/// A daemon's life: ends by kill -9 once so many were taken.
fn live_until(install: &Install, taken: u64) {
    let mut daemon = install.start(&["serve"]);
    until("more messages", || (accepted(install) >= taken).then_some(()));
    daemon.0.kill().unwrap();
    daemon.wait();
}

fn files(install: &Install) -> [PathBuf; 2] {
    ["state/ledger.db", "state/ledger.db-wal"].map(|name| install.path(name))
}

fn hold() -> Install {
    let install = Install::new(PEOPLE as u32, TIMES);
    let config = install.path("subah.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("[sender]", "[sender]\non_ambiguous = \"hold\"")).unwrap();
    install
}

/// An installation whose ledger is as it was two starts ago.
fn put_back() -> Install {
    let install = hold();
    live_until(&install, 20);
    let backup: Vec<Option<Vec<u8>>> =
        files(&install).iter().map(|path| std::fs::read(path).ok()).collect();
    live_until(&install, 70);
    live_until(&install, 110);
    for (path, bytes) in files(&install).iter().zip(&backup) {
        let _ = std::fs::remove_file(path);
        if let Some(bytes) = bytes {
            std::fs::write(path, bytes).unwrap();
        }
    }
    let _ = std::fs::remove_file(install.path("state/ledger.db-shm"));
    install
}

fn count(report: &serde_json::Value, names: &[&str]) -> u64 {
    names.iter().map(|name| report["states"][name].as_u64().unwrap()).sum()
}

/// Without a receiver only the journal can tell.
#[test]
fn the_journal_alone_keeps_a_file_that_was_put_back_from_sending_twice() {
    let install = put_back();
    let mut daemon = install.start(&["serve", "--role", "scheduler,sender"]);
    until("nothing that waits", || {
        let report = install.report()?;
        (count(&report, &["planned", "leased", "intent", "retry_wait"]) == 0).then_some(())
    });
    let oracle = install.oracle()["oracle"].clone();
    assert_eq!(oracle["duplicates"], 0, "{oracle} {}", install.report().unwrap());

    // And when it is gone altogether, nobody is told that the day has not begun.
    daemon.0.kill().unwrap();
    daemon.wait();
    files(&install).iter().for_each(|path| drop(std::fs::remove_file(path)));
    let status = install.output(&["status"]);
    let said = String::from_utf8_lossy(&status.stderr).into_owned();
    assert!(status.status.code() == Some(1) && said.contains("was sent from this host"), "{said}");
    let run = install.output(&["run"]);
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(run.status.code() != Some(0) && said.contains("was it emptied?"), "{said}");
    assert_eq!(install.oracle()["oracle"]["requests"], oracle["requests"], "nothing is sent");
}

#[test]
fn a_sqlite_file_that_is_put_back_sends_nothing_twice() {
    let install = put_back();
    let _daemon = install.start(&["serve"]);
    until("a named end for everybody", || {
        let report = install.report()?;
        let ended = count(&report, &["delivered", "read", "unknown", "ambiguous"]);
        (ended == PEOPLE).then_some(())
    });
    let report = install.report().unwrap();
    let oracle = install.oracle()["oracle"].clone();
    assert_eq!(oracle["duplicates"], 0, "{oracle} {report}");
    // Whoever got it is known to have got it; only what died on its way is in doubt.
    let arrived = count(&report, &["delivered", "read"]);
    assert_eq!(arrived, oracle["distinct_deliveries"].as_u64().unwrap(), "{oracle} {report}");
    assert!(count(&report, &["unknown", "ambiguous"]) < 20, "{report}");
}

/// As when a folder is tidied, or copied without its `-wal`: the file alone is a ledger of some
/// time ago that reads well.
#[test]
fn a_write_ahead_log_that_is_removed_after_a_crash_sends_nothing_twice() {
    let install = hold();
    live_until(&install, 40);
    live_until(&install, 90);
    for name in ["state/ledger.db-wal", "state/ledger.db-shm"] {
        std::fs::remove_file(install.path(name)).unwrap();
    }
    let taken = accepted(&install);
    let log = std::fs::File::create(install.path("log")).unwrap();
    let _daemon = tests::install::Running(install.command(&["serve"]).stderr(log).spawn().unwrap());
    // Where the file itself was never written, the run is not planned or sent from again by
    // itself; where it was, the journal heals it.
    let healed = until("a named end for everybody, or the words of a loss", || {
        let log = std::fs::read_to_string(install.path("log")).unwrap();
        if log.contains("recover --rebuild") {
            return Some(false);
        }
        let report = install.report()?;
        let ended = count(&report, &["delivered", "read", "unknown", "ambiguous"]);
        (ended == PEOPLE).then_some(true)
    });
    let oracle = install.oracle()["oracle"].clone();
    assert_eq!(oracle["duplicates"], 0, "{oracle}");
    assert!(healed || accepted(&install) == taken, "nothing is sent before a person has seen it");
}

fn journal_segments(install: &Install) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(install.path("state/journal")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|end| end == "log")).collect()
}

/// The file is put back, and the journal that would heal it cannot tell everything: nobody knows
/// what has gone of that which was due, so nothing of it goes again.
#[test]
fn a_file_that_is_put_back_beside_a_journal_that_is_cut_damaged_or_gone_sends_nothing_twice() {
    type Harm = fn(&Install);
    let harms: [(&str, Harm); 4] = [
        ("cut", |install| {
            for path in journal_segments(install) {
                let bytes = std::fs::read(&path).unwrap();
                std::fs::write(path, &bytes[..bytes.len() * 2 / 3]).unwrap();
            }
        }),
        ("damaged", |install| {
            for path in journal_segments(install) {
                let mut bytes = std::fs::read(&path).unwrap();
                let middle = bytes.len() / 2;
                bytes.get_mut(middle).into_iter().for_each(|byte| *byte ^= 0x40);
                std::fs::write(path, bytes).unwrap();
            }
        }),
        ("emptied", |install| {
            journal_segments(install).iter().for_each(|path| std::fs::write(path, "").unwrap());
        }),
        ("gone", |install| std::fs::remove_dir_all(install.path("state/journal")).unwrap()),
    ];
    std::thread::scope(|scope| {
        for (name, harm) in harms {
            scope.spawn(move || {
                let install = put_back();
                harm(&install);
                let log = std::fs::File::create(install.path("log")).unwrap();
                let mut command = install.command(&["serve", "--role", "scheduler,sender"]);
                let _daemon = tests::install::Running(command.stderr(log).spawn().unwrap());
                until("nothing that waits", || {
                    let report = install.report()?;
                    let waits = count(&report, &["planned", "leased", "intent", "retry_wait"]);
                    (waits == 0).then_some(())
                });
                let (oracle, report) = (install.oracle()["oracle"].clone(), install.report());
                assert_eq!(oracle["duplicates"], 0, "{name}: {oracle} {report:?}");
                let log = std::fs::read_to_string(install.path("log")).unwrap();
                assert!(log.contains("may have been sent"), "{name}: {log}");
            });
        }
    });
}
