//! Goal: a delivery that kills its worker is put aside and the rest go on; a person can put
//! it back.
//! Method: a debug build aborts whenever it builds delivery 3; as under systemd, it is
//! started again each time.

use std::time::Duration;

use serde_json::Value;
use tests::install::{Install, Times};

const TIMES: Times = Times { opens_in: Duration::from_secs(2), length: Duration::from_secs(40) };
/// Far more than it may take.
const STARTS_MAX: usize = 12;

fn states(install: &Install) -> Value {
    install.report().expect("there is a run")["states"].clone()
}

#[test]
fn a_delivery_that_kills_its_worker_three_times_is_quarantined() {
    let install = Install::new(10, TIMES);
    let mut deaths = 0;
    let last = (0..STARTS_MAX).find_map(|_| {
        let mut command = install.command(&["run"]);
        let output = command.env("SUBAH_FAILPOINT", "prepare#3").output().unwrap();
        let died = output.status.code().is_none();
        deaths += usize::from(died);
        (!died).then_some(output)
    });
    assert!(last.is_some(), "it never stopped dying");
    assert_eq!(deaths, 3, "the first death cannot be blamed on anyone, the third is the last");
    let found = states(&install);
    assert_eq!(found["quarantined"], 1, "{found}");
    // What was being posted at a death is in doubt at worst.
    let count = |state: &str| found[state].as_u64().unwrap();
    let arrived = count("delivered") + count("read");
    assert!(arrived + count("unknown") == 9 && count("unknown") <= 3, "the rest went: {found}");
    let oracle = install.oracle();
    assert_eq!(oracle["oracle"]["duplicates"], 0, "{oracle}");
    let went = oracle["oracle"]["accepted"].as_u64().unwrap();

    let listed = install.ok(&["deliveries", "list", "--state", "quarantined", "--format", "csv"]);
    let id = listed.lines().nth(1).unwrap().split(',').next().unwrap().to_owned();
    let why = ["--reason", "fixed the template"];
    let said = install.ok(&["deliveries", "requeue", &id, why[0], why[1]]);
    assert!(said.contains("would be sent again") && said.contains("nothing was changed"), "{said}");
    assert_eq!(states(&install)["quarantined"], 1, "it was only said");
    let done = install.ok(&["deliveries", "requeue", &id, why[0], why[1], "--yes"]);
    assert!(done.contains("quarantined → "), "{done}");
    install.output(&["run"]);
    assert_eq!(install.oracle()["oracle"]["accepted"], went + 1, "and now it went");
    let shown = install.ok(&["deliveries", "show", &id]);
    assert!(shown.contains("fixed the template"), "who and why is kept: {shown}");
    let again = install.output(&["deliveries", "requeue", &id, why[0], why[1]]);
    assert_eq!(again.status.code(), Some(1), "a delivered one is no dead letter");
}
