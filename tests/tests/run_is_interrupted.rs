//! Goal: a run that is stopped half-way, started again, or started twice at once is one
//! run: one plan, each message once, nothing left over.

use std::time::Duration;

use tests::install::{Install, Times};
use tests::until;

const TIMES: Times = Times { opens_in: Duration::from_secs(3), length: Duration::from_secs(12) };

fn accepted(install: &Install) -> u64 {
    install.oracle()["oracle"]["accepted"].as_u64().unwrap()
}

#[test]
fn a_run_killed_with_sigterm_and_started_again_finishes_the_rest() {
    let install = Install::new(300, TIMES);
    let mut first = install.start(&["run"]);
    until("some deliveries", || (accepted(&install) > 40).then_some(()));
    first.terminate();
    assert_eq!(first.wait(), 1, "interrupted is not done");
    let so_far = accepted(&install);
    assert!(so_far < 300, "it was interrupted half-way: {so_far}");
    let report = install.report().unwrap();
    assert_eq!(report["states"]["leased"], 0, "claims were given back: {report}");

    let output = install.output(&["run", "--format", "json"]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{errors}");
    let oracle = install.oracle();
    assert_eq!(oracle["oracle"]["accepted"], 300, "{oracle}");
    assert_eq!(oracle["oracle"]["duplicates"], 0, "{oracle}");
    let report = install.report().unwrap();
    assert_eq!(report["by_deadline"]["accepted"], 300, "{report}");
    let again = install.ok(&["run", "--if-not-started"]);
    assert!(again.contains("has nothing left to send"), "{again}");
}

#[test]
fn several_runs_at_once_make_one_plan_and_send_each_message_once() {
    let install = Install::new(200, TIMES);
    let log = |n: u32| install.path(&format!("log-{n}"));
    let start = |n| {
        let told = std::fs::File::create(log(n)).unwrap();
        tests::install::Running(install.command(&["run"]).stderr(told).spawn().unwrap())
    };
    let mut runs: Vec<_> = (0..4).map(start).collect();
    for (n, run) in (0..).zip(&mut runs) {
        let told = || std::fs::read_to_string(log(n)).unwrap();
        assert_eq!(run.wait(), 0, "one sends, the others leave it to that one: {}", told());
    }
    let oracle = install.oracle();
    assert_eq!(oracle["oracle"]["accepted"], 200, "{oracle}");
    assert_eq!(oracle["oracle"]["duplicates"], 0, "{oracle}");
    let report = install.report().unwrap();
    assert_eq!(
        (&report["planned"], &report["by_deadline"]["accepted"]),
        (&200.into(), &200.into())
    );
}

/// The sender's lock decides who sends: a receiver has the inbox, and statuses are its work.
#[test]
fn a_run_beside_a_receiver_sends_and_leaves_the_webhooks_to_it() {
    let install = Install::new(20, TIMES);
    let receiver = install.start(&["serve", "--role", "receiver"]);
    until("the receiver", || install.get("/readyz"));
    assert_eq!(install.start(&["run"]).wait(), 0);
    let report = install.report().unwrap();
    assert_eq!(report["by_deadline"]["delivered"], 20, "{report}");
    drop(receiver);
}
