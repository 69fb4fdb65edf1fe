//! Goal: what a person does beside the daily run does what was said, and nothing else.
//! Method: the built commands against a simulated Cloud API.

use std::process::Output;
use std::time::Duration;

use tests::install::{Install, Times};
use tests::until;

const LATER: Times = Times { opens_in: Duration::from_secs(900), length: Duration::from_secs(60) };
const NOW: Times = Times { opens_in: Duration::from_secs(4), length: Duration::from_secs(12) };

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Exit code and everything that was printed.
fn said(install: &Install, args: &[&str]) -> (i32, String) {
    let output = install.output(args);
    (output.status.code().unwrap(), text(&output))
}

#[test]
fn a_list_that_comes_after_the_seal_is_taken_up_by_replan() {
    let install = Install::new(5, LATER);
    let _scheduler = install.start(&["serve", "--role", "scheduler"]);
    let sealed = || install.output(&["runs", "show", "today", "--format", "csv"]);
    until("the seal", || text(&sealed()).contains("phase,open\n").then_some(()));

    let list = install.path("later.csv");
    std::fs::write(
        &list,
        "id,name,phone,consent_utility\nb1,Asha,+919876511001,yes\nb2,Ravi,+919876511002,yes\n",
    )
    .unwrap();
    let (code, told) = said(&install, &["recipients", "import", list.to_str().unwrap(), "--yes"]);
    assert!(code == 0 && told.contains("subah runs replan"), "{told}");
    let replan = ["runs", "replan", "today", "--reason", "a late list"];
    let (code, told) = said(&install, &replan);
    assert!(code == 0 && told.contains("5 planned before, 2 now, 2 of them"), "{told}");
    assert!(install.ok(&["deliveries", "list"]).matches("daily-pack@").count() == 5);

    let (code, told) = said(&install, &[&replan[..], &["--yes"]].concat());
    assert!(code == 0 && told.contains("2 now; it is open"), "{told}");
    let listed = install.ok(&["deliveries", "list", "--format", "csv"]);
    assert!(listed.contains(",b1,") && listed.contains(",b2,"), "{listed}");
    assert_eq!(listed.lines().count(), 3, "{listed}");
    let (code, told) = said(&install, &replan);
    assert!(code == 0 && told.contains("these very files"), "{told}");
    // Who stopped it lets it go on.
    install.ok(&["runs", "pause", "today", "--reason", "hold it", "--yes"]);
    let (_, told) = said(&install, &["status"]);
    assert!(told.contains("at risk: the run is paused"), "{told}");
    let (code, told) = said(&install, &["run"]);
    assert!(code == 1 && told.contains("is paused by hand"), "{told}");
    install.ok(&["recipients", "undo"]);
    let (code, told) = said(&install, &[&replan[..], &["--yes"]].concat());
    assert!(code == 0 && told.contains("5 now; it is paused"), "{told}");
    install.ok(&["recipients", "undo"]);
    said(&install, &[&replan[..], &["--yes"]].concat());
    install.ok(&["runs", "resume", "today", "--reason", "go on", "--yes"]);
    let audit = std::fs::read_to_string(install.path("state/audit.ndjson")).unwrap();
    assert!(audit.contains("a late list"), "{audit}");

    // What is wrong with the new files is found before the old plan goes.
    std::fs::write(&list, "id,name,phone,consent_utility\nb1,Asha,+919876511001,no\n").unwrap();
    said(&install, &["recipients", "import", list.to_str().unwrap(), "--yes"]);
    let (code, told) = said(&install, &[&replan[..], &["--yes"]].concat());
    assert!(code != 0 && told.contains("nothing can be sent to anybody"), "{told}");
    assert_eq!(install.ok(&["deliveries", "list", "--format", "csv"]).lines().count(), 3);
}

#[test]
fn a_stopped_run_expires_and_is_put_back_by_a_filter() {
    let install = Install::new(400, NOW);
    let mut run = install.start(&["run"]);
    let taken = || install.oracle()["oracle"]["accepted"].as_u64().unwrap();
    until("a first message", || (taken() > 0).then_some(()));
    let (code, told) = said(&install, &["run", "--stop"]);
    assert!(code == 0 && told.contains("nothing is under way"), "{told}");
    let at_stop = taken();
    assert!(at_stop < 400, "stopped in the middle");
    run.wait(); // its deadline ends what waited
    assert_eq!(taken(), at_stop, "nothing is sent after the stop");

    let requeue = ["deliveries", "requeue", "--state", "expired", "--reason", "stopped by hand"];
    let (code, told) = said(&install, &requeue);
    let left = 400 - at_stop;
    assert!(code == 0 && told.contains(&format!("{left} fit, {left} of them may")), "{told}");
    assert!(told.contains("--yes does it"), "{told}");
    let (code, told) = said(&install, &["deliveries", "requeue", "--reason", "x"]);
    assert!(code == 2 && told.contains("say which"), "neither ids nor a filter: {told}");
    let (code, told) = said(&install, &[&requeue[..], &["daily-pack@2026-01-01#1"]].concat());
    assert!(code == 2 && told.contains("not both"), "{told}");

    for typo in [["--cause", "expird"], ["--number", "999"], ["--state", "expird"]] {
        let (code, told) = said(&install, &[&["deliveries", "list"][..], &typo].concat());
        assert!(code == 2 && told.contains("expir") | told.contains("1001"), "{typo:?}: {told}");
    }

    // One that may not be changed keeps all that are named from it.
    let rows = install.ok(&["deliveries", "list", "--limit", "400", "--format", "csv"]);
    let id = |state: &str| {
        let row = rows.lines().find(|row| row.contains(&format!(",{state},")));
        row.unwrap_or_else(|| panic!("none is {state}")).split(',').next().unwrap().to_owned()
    };
    let (expired, delivered) = (id("expired"), id("delivered"));
    let named = ["deliveries", "requeue", &expired, &delivered, "--reason", "x", "--yes"];
    let (code, told) = said(&install, &named);
    assert!(code == 1 && told.contains("nothing was changed"), "{told}");

    let (code, told) = said(&install, &[&requeue[..], &["--yes"]].concat());
    assert!(
        code == 0 && told.contains(&format!("{left} of {left} deliveries are changed")),
        "{told}"
    );
    assert!(told.contains("is paused: nothing is sent until"), "{told}");
    install.ok(&["runs", "resume", "today", "--reason", "go on", "--yes"]);
    let (code, told) = said(&install, &["run"]);
    assert!(code == 1 && told.contains("MISSED"), "late is late: {told}");
    let oracle = install.oracle()["oracle"].clone();
    assert_eq!(
        (oracle["distinct_deliveries"].as_u64(), oracle["duplicates"].as_u64()),
        (Some(400), Some(0))
    );
}

#[test]
fn a_test_message_is_sent_now_and_kept_in_the_history() {
    let install = Install::new(5, LATER);
    let (code, told) = said(&install, &["send-test", "--to", "r00003"]);
    assert!(
        code == 0 && told.contains("nothing was sent") && told.contains("daily_pack"),
        "{told}"
    );
    assert_eq!(install.oracle()["oracle"]["accepted"], 0);
    // What did not begin leaves nothing for others to send.
    let port = std::net::TcpListener::bind(("127.0.0.1", install.receiver)).unwrap();
    let (code, told) = said(&install, &["send-test", "--to", "r00003", "--yes"]);
    assert!(code == 69 && told.contains("in use"), "{told}");
    drop(port);
    assert!(!install.ok(&["runs", "list"]).contains("-test-"));
    let (code, told) = said(&install, &["send-test", "--to", "r00003", "--yes"]);
    assert!(code == 0 && told.contains(": delivered"), "{told}");
    assert_eq!(install.oracle()["oracle"]["accepted"], 1);
    let (code, told) = said(&install, &["recipients", "show", "r00003"]);
    assert!(code == 0 && told.contains("daily-pack-test-") && told.contains("delivered"), "{told}");
    let (code, told) = said(&install, &["send-test", "--to", "+919999900000", "--yes"]);
    assert!(code == 1 && told.contains("nobody in the list") && !told.contains("99999"), "{told}");
    let (code, told) = said(&install, &["status"]);
    assert!(code == 0 && told.contains("not started"), "a test is not the day's run: {told}");
}

#[test]
fn quiet_is_quiet_and_shells_are_helped() {
    let install = Install::new(1, LATER);
    let output = install.output(&["--quiet", "status"]);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    for shell in ["bash", "zsh", "fish"] {
        assert!(install.ok(&["completions", shell]).contains("send-test"), "{shell}");
    }
    let man = install.path("man");
    install.ok(&["man", man.to_str().unwrap()]);
    let page = std::fs::read_to_string(man.join("subah-runs-replan.1")).unwrap();
    assert!(page.contains("reason"), "{page}");
}
