//! Goal: what is older than its age leaves the ledger, and its facts are in a file that anybody
//! can read and check.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use domain::{RunId, SystemClock, Window};
use ledger::{Ledger, Phase, Sqlite};
use serde_json::Value;
use tests::conformance::Stage;
use tests::install::{Install, Times};

const DAY: Duration = Duration::from_secs(24 * 3_600);

/// A closed run whose window was so many days ago; its id.
async fn close_one(ledger: &dyn Ledger, case: &str, days: u32) -> RunId {
    let stage = Stage::with(ledger, case, 5, |header| {
        let opens = header.window.target - DAY * days;
        let window = Window { opens, target: opens, spread_until: opens, ..header.window };
        header.window = Window { closes: opens, deadline: opens, ..window };
        (header.stop_at, header.close_at) = (opens, opens);
    });
    let mut stage = stage.await;
    let date = stage.header.window.opens.to_utc().date_naive();
    stage.run = format!("{case}@{date}").parse().unwrap();
    stage.header.id = stage.run.clone();
    stage.plan().await;
    while ledger.sweep(&stage.run, 1_000).await.unwrap().more {}
    ledger.set_phase(&stage.run, Phase::Closed).await.unwrap();
    stage.run
}

#[test]
fn an_old_run_is_exported_and_purged_and_a_young_one_stays() {
    let times = Times { opens_in: Duration::from_secs(3_000), length: Duration::from_secs(60) };
    let install = Install::new(1, times);
    let path = install.path("state/ledger.db");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let (old, young) = {
        let ledger = Sqlite::open(&path, Arc::new(SystemClock)).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let close = |case, days| runtime.block_on(close_one(&ledger, case, days)).to_string();
        (close("old", 40), close("young", 12))
    };
    let purge = ["runs", "purge", "--older-than-days", "30", "--reason", "the test"];
    let said = install.ok(&purge);
    assert!(said.contains(&format!("{old}: 5 deliveries would be exported and purged")), "{said}");
    assert!(!said.contains("young"), "{said}");
    assert!(install.ok(&["runs", "list"]).contains(&old), "nothing was changed");

    let said = install.ok(&[&purge[..], &["--yes"]].concat());
    assert!(said.contains("no more in the ledger"), "{said}");
    let left = install.ok(&["runs", "list"]);
    assert!(!left.contains(&old) && left.contains(&young), "{left}");

    let exports = install.path("state/exports");
    let check = Command::new("sha256sum")
        .args(["-c", "--status", &format!("{old}.ndjson.gz.sha256")])
        .current_dir(&exports)
        .status();
    assert!(check.unwrap().success(), "the checksum is that of the file");
    let export = exports.join(format!("{old}.ndjson.gz"));
    let text = Command::new("gzip").arg("-dc").arg(&export).output().unwrap().stdout;
    let text = String::from_utf8(text).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 6, "the run and its deliveries");
    assert_eq!(lines[0]["run"]["id"], *old);
    assert!(lines[1..].iter().all(|line| line["state"] == "expired"), "{text}");
    assert!(!text.contains("+9"), "no number of anybody is in it: {text}");
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(&export).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "others cannot read it");

    let again = install.ok(&[&purge[..], &["--yes"]].concat());
    assert!(again.contains("no closed run is older than 30 days"), "{again}");
}
