//! Goal: what people and machines do to a running morning does not end it: a token that is
//! replaced, a terminal that is closed, a second Ctrl-C, a machine that slept.
//! Method: the real process; signals, files and clocks are changed under it.

use std::process::{Command, Stdio};
use std::time::Duration;

use tests::install::{Install, Running, Times};
use tests::{power, until};

const PEOPLE: u64 = 120;
const TIMES: Times = Times { opens_in: Duration::from_secs(4), length: Duration::from_secs(40) };

fn accepted(install: &Install) -> u64 {
    install.oracle()["oracle"]["accepted"].as_u64().unwrap()
}

fn signal(process: &Running, name: &str) {
    let id = process.0.id().to_string();
    assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
}

fn arrived(install: &Install) -> u64 {
    let states = &install.report().unwrap()["states"];
    states["delivered"].as_u64().unwrap() + states["read"].as_u64().unwrap()
}

#[test]
fn a_token_that_is_replaced_while_it_runs_is_used_within_seconds() {
    let install = Install::new(PEOPLE as u32, TIMES);
    let _daemon = install.start(&["serve"]);
    until("a first message", || (accepted(&install) > 0).then_some(()));
    std::fs::write(install.path("valid-token"), "the-new-one").unwrap();
    let refused = || {
        let status = install.output(&["status"]);
        let said = String::from_utf8_lossy(&status.stdout).into_owned();
        said.contains("code 190, access token expired").then_some(())
    };
    until("the stop to be said", refused);
    let probed = install.ok(&["numbers", "probe"]);
    assert!(probed.contains("is stopped: code 190"), "{probed}");
    std::fs::write(install.path("token"), "the-new-one").unwrap();
    until("everybody", || (accepted(&install) == PEOPLE).then_some(()));
    until("every arrival", || (arrived(&install) == PEOPLE).then_some(()));
}

#[test]
fn a_terminal_that_is_closed_does_not_end_a_run() {
    let install = Install::new(PEOPLE as u32, TIMES);
    let mut run = install.start(&["run"]);
    until("a first message", || (accepted(&install) > 0).then_some(()));
    signal(&run, "-HUP");
    assert_eq!(run.wait(), 0, "it went on to its end");
    assert_eq!(arrived(&install), PEOPLE);
}

#[test]
fn asked_to_stop_twice_it_stops_at_once_and_nothing_is_sent_twice() {
    let install = Install::new(PEOPLE as u32, TIMES);
    let mut run = install.start(&["run"]);
    until("some messages", || (accepted(&install) > 10).then_some(()));
    signal(&run, "-TERM");
    signal(&run, "-TERM");
    assert_eq!(run.wait(), 1);
    install.output(&["run"]);
    let oracle = install.oracle()["oracle"].clone();
    assert_eq!(oracle["duplicates"], 0, "{oracle}");
    let states = install.report().unwrap()["states"].clone();
    assert_eq!(arrived(&install) + states["unknown"].as_u64().unwrap(), PEOPLE, "{states}");
}

/// As after a suspend: wall clock and boot clock went on, the monotonic one stood still.
#[test]
fn a_machine_that_slept_through_the_opening_sends_as_soon_as_it_wakes() {
    let times = Times { opens_in: Duration::from_secs(600), length: Duration::from_secs(300) };
    let install = Install::new(PEOPLE as u32, times);
    let (tools, dial) = (tempfile::tempdir().unwrap(), install.path("slept"));
    let mut command = install.command(&["run"]);
    command.env("LD_PRELOAD", power::build_sleep_shim(tools.path())).env("SLEPT", &dial);
    let _run = Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    until("a plan", || install.report().filter(|r| r["states"]["planned"] == PEOPLE));
    assert_eq!(accepted(&install), 0);
    std::fs::write(&dial, "640").unwrap();
    let woke = std::time::Instant::now();
    until("a first message", || (accepted(&install) > 0).then_some(()));
    // A clock that is taken for one that stepped is not believed for a minute.
    assert!(woke.elapsed() < Duration::from_secs(30), "{:?}", woke.elapsed());
}

/// A list of today must not be planned for tomorrow: the far side's clock says so.
#[test]
fn a_host_that_is_a_day_ahead_plans_nothing_until_its_clock_is_put_right() {
    let times = Times { opens_in: Duration::from_secs(600), length: Duration::from_secs(300) };
    let install = Install::new(PEOPLE as u32, times);
    let (tools, dial) = (tempfile::tempdir().unwrap(), install.path("slept"));
    std::fs::write(&dial, "86400").unwrap();
    let log = std::fs::File::create(install.path("log")).unwrap();
    let mut command = install.command(&["serve", "--role", "scheduler"]);
    command.env("LD_PRELOAD", power::build_sleep_shim(tools.path())).env("SLEPT", &dial);
    let _daemon = Running(command.stdout(Stdio::null()).stderr(log).spawn().unwrap());
    until("a word about the clock", || {
        let log = std::fs::read_to_string(install.path("log")).unwrap();
        // Meta's Date has a grain of one second.
        let said = |secs| {
            log.contains(&format!("is not planned: this host's clock is {secs} s ahead of Meta"))
        };
        (said(86_400) || said(86_401)).then_some(())
    });
    let runs = install.ok(&["runs", "list"]);
    assert!(!runs.contains("daily-pack@"), "nothing is sealed: {runs}");
    std::fs::remove_file(&dial).unwrap();
    until("today's plan", || install.report().filter(|r| r["states"]["planned"] == PEOPLE));
}
