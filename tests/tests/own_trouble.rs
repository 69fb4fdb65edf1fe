//! Goal: our own trouble costs no delivery a try. A slow disk slows sending down; one that is
//! too slow stops it, aloud, until it is better.
//! Method: the real daemon over sqlite on a disk whose syncs take as long as the test says.

use std::path::PathBuf;
use std::time::Duration;

use tests::install::{Install, Running, Times};
use tests::{pause, power, until};

const PEOPLE: u64 = 200;

fn accepted(install: &Install) -> u64 {
    install.oracle()["oracle"]["accepted"].as_u64().unwrap()
}

fn blocked(install: &Install, reason: &str) -> bool {
    let (_, text) = install.get("/metrics").unwrap_or_default();
    text.contains(&format!("subah_sending_blocked{{reason=\"{reason}\"}} 1"))
}

/// Replaces lines of the configuration.
fn configure(install: &Install, changes: &[(&str, &str)]) {
    let path = install.path("subah.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let changed = changes.iter().fold(text, |text, (from, to)| text.replace(from, to));
    std::fs::write(path, changed).unwrap();
}

/// A daemon that has sent its first message, and the file that says how long its syncs take;
/// it logs to `log`.
fn serve_on_a_slow_disk(install: &Install) -> (PathBuf, Running) {
    let dial = install.path("slow");
    let log = std::fs::File::create(install.path("log")).unwrap();
    let shim = power::build_slow_shim(&install.path(""));
    let mut command = install.command(&["serve"]);
    command.env("LD_PRELOAD", shim).env("SLOW_SYNC", &dial);
    let daemon = Running(command.stderr(log).spawn().unwrap());
    until("a first message", || (accepted(install) > 0).then_some(()));
    (dial, daemon)
}

/// Nothing is granted to a claim whose lease is over: that is said, and nobody pays for it.
#[test]
fn claims_that_take_longer_than_their_lease_are_own_trouble() {
    let times = Times { opens_in: Duration::from_secs(5), length: Duration::from_secs(60) };
    let install = Install::new(60, times);
    configure(&install, &[("lease = \"2s\"", "lease = \"1s\"")]);
    let (dial, _daemon) = serve_on_a_slow_disk(&install);
    std::fs::write(&dial, "1400").unwrap();
    until("a closed gate", || blocked(&install, "store_slow").then_some(()));
    until("the cause", || {
        let log = std::fs::read_to_string(install.path("log")).unwrap();
        log.contains("a claim outlived its lease of 1s").then_some(())
    });
    std::fs::remove_file(&dial).unwrap();
    until("every message", || (accepted(&install) == 60).then_some(()));
    assert_eq!(install.oracle()["oracle"]["duplicates"], 0);
}

#[test]
fn a_disk_that_is_slow_for_a_while_fails_nobody() {
    let times = Times { opens_in: Duration::from_secs(6), length: Duration::from_secs(60) };
    let install = Install::new(PEOPLE as u32, times);
    // A claim must outlive a slow commit, as it does by default.
    let patient = ("intent_timeout = \"3s\"", "intent_timeout = \"4s\"");
    configure(&install, &[("lease = \"2s\"", "lease = \"10s\""), patient]);
    let (dial, _daemon) = serve_on_a_slow_disk(&install);

    // Slower than the budget of one second, but not too slow to be sure: it goes on.
    std::fs::write(&dial, "700").unwrap();
    let before = accepted(&install);
    until("sending over a slow disk", || (accepted(&install) > before + 20).then_some(()));

    // So slow that an intent is too old when it is granted.
    std::fs::write(&dial, "3000").unwrap();
    until("a closed gate", || blocked(&install, "store_slow").then_some(()));
    pause(Duration::from_secs(8)); // the harm itself
    std::fs::remove_file(&dial).unwrap();
    until("an open gate", || (!blocked(&install, "store_slow")).then_some(()));

    until("every message", || (accepted(&install) == PEOPLE).then_some(()));
    let report = || install.report().unwrap();
    until("every arrival", || {
        let states = &report()["states"];
        let arrived = states["delivered"].as_u64().unwrap() + states["read"].as_u64().unwrap();
        (arrived == PEOPLE).then_some(())
    });
    let attempts = &report()["attempts"];
    assert!(attempts["not_sent"].as_u64().unwrap() < PEOPLE, "few tried in vain: {attempts}");
    assert_eq!(install.oracle()["oracle"]["duplicates"], 0);
    let log = std::fs::read_to_string(install.path("log")).unwrap();
    let said = log.matches("nothing is sent: ").count();
    assert!((1..10).contains(&said), "said once for each trouble, not for each delivery: {log}");
    assert!(log.contains("sending goes on"), "{log}");
}
