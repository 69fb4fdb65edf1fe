//! Goal: wherever a sender dies on a delivery's way, the message goes once; only a death
//! between writing a request and reading its answer leaves anything unknown.
//! Method: debug builds abort at named places (`SUBAH_FAILPOINT`); the next start finishes.

use std::time::Duration;

use serde_json::Value;
use tests::install::{Install, Times};
use tests::until;

const TIMES: Times = Times { opens_in: Duration::from_secs(2), length: Duration::from_secs(10) };
const PEOPLE: u64 = 12;

/// Dies at the third passing of `place`, starts again, and runs to the end.
fn die_at(place: &str) -> (Value, Value) {
    let install = Install::new(u32::try_from(PEOPLE).unwrap(), TIMES);
    let mut command = install.command(&["run"]);
    let died = command.env("SUBAH_FAILPOINT", format!("{place}:3")).output().unwrap();
    assert_eq!(died.status.code(), None, "{place}: it did not die");
    let output = install.output(&["run", "--format", "json"]);
    // By then the far side's statuses have come, late ones too.
    until("statuses", || {
        let report = install.report()?;
        let states = &report["states"];
        let awaited = states["accepted"].as_u64()? + states["sent"].as_u64()?;
        (awaited == 0 || !output.status.success()).then_some(())
    });
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{place}: {e}: {}", String::from_utf8_lossy(&output.stderr)));
    (report, install.oracle()["oracle"].clone())
}

#[test]
fn before_the_request_was_written_it_is_simply_tried_again() {
    for place in ["intent", "granted"] {
        let (report, oracle) = die_at(place);
        assert_eq!(oracle["accepted"], PEOPLE, "{place}: {oracle}");
        assert_eq!(oracle["duplicates"], 0, "{place}: {oracle}");
        assert_eq!(report["states"]["unknown"], 0, "{place}: {report}");
        assert_eq!(report["attempts"]["ambiguous"], 0, "{place}: {report}");
    }
}

#[test]
fn after_the_answer_was_noted_it_is_not_lost() {
    let (report, oracle) = die_at("noted");
    assert_eq!(oracle["accepted"], PEOPLE, "{oracle}");
    assert_eq!(oracle["requests"], PEOPLE, "nothing was asked twice: {oracle}");
    assert_eq!(report["attempts"]["ambiguous"], 0, "{report}");
}

#[test]
fn in_between_it_is_in_doubt_and_a_webhook_may_settle_it() {
    let (report, oracle) = die_at("answered");
    assert_eq!((&oracle["accepted"], &oracle["duplicates"]), (&PEOPLE.into(), &0.into()));
    assert_eq!(report["states"]["unknown"], 0, "the webhook told: {report}");

    // Killed before the first byte: nobody can know that, and silence is no proof.
    let (report, oracle) = die_at("write");
    assert_eq!(oracle["duplicates"], 0, "{oracle}");
    let unknown = report["states"]["unknown"].as_u64().unwrap();
    let accepted = oracle["accepted"].as_u64().unwrap();
    assert_eq!(unknown + accepted, PEOPLE, "what did not go is named: {report}");
}
