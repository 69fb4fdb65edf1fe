//! Goal: a whole morning on each engine holds the report's identities, and nothing is sent
//! twice or lost, on good days and bad.
//! Method: the command as a person types it, with a short window; real redis-server.

use serde_json::Value;
use tests::subah;

fn demo(engine: &str, faults: &str, seed: u32) -> (i32, Value) {
    let dir = tempfile::tempdir().unwrap();
    let output = subah()
        .args(["demo", "--format", "json", "--recipients", "400", "--window", "6s"])
        .args(["--engine", engine, "--faults", faults, "--seed", &seed.to_string()])
        .arg("--dir")
        .arg(dir.path())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    let report = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{engine} {faults} {seed}: {e}: {errors}"));
    (output.status.code().unwrap(), report)
}

fn n(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no count"))
}

fn sum(values: &Value) -> u64 {
    values.as_object().unwrap().values().map(n).sum()
}

fn assert_identities(name: &str, report: &Value) {
    let states = &report["states"];
    assert_eq!(sum(states), n(&report["planned"]), "{name}: states sum to planned");
    for open in ["planned", "leased", "intent", "ambiguous", "retry_wait"] {
        assert_eq!(n(&states[open]), 0, "{name}: {open} is open after the window");
    }
    let attempts = &report["attempts"];
    assert_eq!(sum(attempts), 2 * n(&attempts["total"]), "{name}: outcomes sum to the total");
    let by = &report["by_deadline"];
    let ladder = [n(&by["accepted"]), n(&by["sent"]), n(&by["delivered"])];
    assert!(ladder.is_sorted_by(|a, b| a >= b), "{name}: {ladder:?}");
    let denominator = n(&report["sla"]["denominator"]);
    assert_eq!(denominator, n(&report["planned"]) - n(&states["suppressed"]), "{name}");
    let misses: u64 = report["misses"].as_array().unwrap().iter().map(|m| n(&m["count"])).sum();
    assert_eq!(misses, denominator - ladder[2], "{name}: each miss has a cause");
    let planned: u64 = report["numbers"].as_array().unwrap().iter().map(|l| n(&l["planned"])).sum();
    assert_eq!(planned, denominator, "{name}: each addressed delivery has a number");
    assert_eq!(n(&report["lateness_ms"]["early"]), 0, "{name}: never early");
    let oracle = &report["oracle"];
    assert_eq!((n(&oracle["duplicates"]), n(&oracle["lost"])), (0, 0), "{name}: {oracle}");
    let reached = n(&attempts["total"]) - n(&attempts["not_sent"]);
    assert!(n(&oracle["requests"]) <= reached, "{name}: every request has its attempt");
}

#[test]
fn a_calm_morning_delivers_everything_on_sqlite() {
    let (code, report) = demo("sqlite", "none", 1);
    assert_identities("none", &report);
    assert_eq!((code, n(&report["by_deadline"]["delivered"])), (0, 400), "{report}");
    assert_eq!(report["engine"], "sqlite");
}

#[test]
fn a_morning_on_redis_is_the_same_morning() {
    let (_, report) = demo("redis", "morning", 2);
    assert_identities("redis morning", &report);
    assert_eq!(report["engine"], "redis");
}

#[test]
fn a_hostile_day_sends_nothing_twice_and_loses_nothing_on_sqlite() {
    let (_, report) = demo("sqlite", "hostile", 3);
    assert_identities("sqlite hostile", &report);
    assert!(n(&report["attempts"]["ambiguous"]) > 0, "the day was hostile: {report}");
}

#[test]
fn a_hostile_day_sends_nothing_twice_and_loses_nothing_on_redis() {
    let (_, report) = demo("redis", "hostile", 4);
    assert_identities("redis hostile", &report);
    assert!(n(&report["attempts"]["ambiguous"]) > 0, "the day was hostile: {report}");
}
