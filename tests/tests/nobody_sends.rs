//! Goal: that a run once had a sender says nothing about now. Whoever is asked whether
//! somebody sends asks for a live sender; what waited while nobody was there still goes.
//! Method: processes that are killed before the opening, with a far side that counts.

use std::process::Output;
use std::time::Duration;

use tests::install::{Install, Running, Times};
use tests::{pause, until};

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn accepted(install: &Install) -> u64 {
    install.oracle()["oracle"]["accepted"].as_u64().unwrap()
}

/// A daemon that has planned the run and is its sender.
fn taken_up(install: &Install) -> Running {
    let daemon = install.start(&["serve"]);
    let shown = || text(&install.output(&["runs", "show", "today", "--format", "csv"]));
    until("a sender", || {
        let shown = shown();
        (shown.contains("phase,open\n") && !shown.contains("no sender yet")).then_some(())
    });
    daemon
}

fn times(opens_in: u64, length: u64) -> Times {
    Times { opens_in: Duration::from_secs(opens_in), length: Duration::from_secs(length) }
}

#[test]
fn the_belt_takes_over_a_run_whose_sender_died_before_the_opening() {
    let install = Install::new(100, times(12, 12));
    let mut daemon = taken_up(&install);
    daemon.0.kill().unwrap();
    daemon.wait();
    // Its lease outlives it by seconds; after that the answer is a send.
    let belt = || {
        let output = install.output(&["run", "--if-not-started"]);
        let said = text(&output);
        assert!(output.status.code() == Some(0), "{said}");
        (!said.contains("has a sender that is alive")).then_some(said)
    };
    let said = until("a take-over", belt);
    assert!(said.contains("100 of 100 delivered"), "{said}");
    assert_eq!(accepted(&install), 100);
    let again = install.ok(&["run", "--if-not-started"]);
    assert!(again.contains("nothing to do"), "{again}");
    assert_eq!(install.oracle()["oracle"]["duplicates"], 0);
}

#[test]
fn what_waited_at_a_deadline_without_a_sender_goes_out_late() {
    let install = Install::new(100, times(6, 5));
    let mut daemon = taken_up(&install);
    daemon.0.kill().unwrap();
    daemon.wait();
    let status = || text(&install.output(&["status"]));
    until("the deadline", || status().contains("MISSED").then_some(()));
    assert_eq!(accepted(&install), 0);
    pause(Duration::from_secs(2)); // event times have a grain of a second
    let _daemon = install.start(&["serve"]);
    until("every message", || (accepted(&install) == 100).then_some(()));
    let report = || install.report().unwrap_or_default();
    until("every arrival", || {
        let late = report()["misses"][0].clone();
        (late["cause"] == "delivered_late" && late["count"] == 100).then_some(())
    });
    assert_eq!(report()["sla"]["met"], false, "the promise is judged at the deadline");
    assert_eq!(install.oracle()["oracle"]["duplicates"], 0);
}

#[test]
fn a_daemon_beside_a_foreground_run_waits_for_it_and_goes_on() {
    let install = Install::new(60, times(5, 12));
    let mut run = install.start(&["run"]);
    until("a first message", || (accepted(&install) > 0).then_some(()));
    let mut daemon = install.start(&["serve"]);
    assert_eq!(run.wait(), 0);
    until("the daemon", || install.get("/readyz").filter(|(status, _)| *status == 200));
    assert!(daemon.0.try_wait().unwrap().is_none(), "it did not give up");
    assert_eq!(accepted(&install), 60);
    let second = install.output(&["serve"]);
    let said = text(&second);
    assert!(second.status.code() == Some(69), "of two daemons one is a mistake: {said}");
}
