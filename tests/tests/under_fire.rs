//! Goal: a slice of what `tests/reliability` measures: simulated mornings of each kind, and
//! real processes that are killed.

use std::process::Command;

use domain::OnAmbiguous;
use tests::world::{Chaos, Setup, Verdict, run};

fn mornings(policy: OnAmbiguous, chaos: Chaos, seeds: std::ops::Range<u64>) -> Verdict {
    let mut sum = Verdict::default();
    for seed in seeds {
        let verdict = run(Setup::of(seed, policy, chaos));
        let good = verdict.is_good(policy == OnAmbiguous::Hold);
        assert!(good, "seed {seed} under {} ({chaos:?}): {verdict:?}", policy.as_str());
        sum.add(&verdict);
    }
    sum
}

#[test]
fn absurd_mornings_lose_and_repeat_nothing() {
    let hold = mornings(OnAmbiguous::Hold, Chaos::Absurd, 1..150);
    assert!(hold.tally.unknown > 0, "the world is not hostile enough to prove anything");
    let evidence = mornings(OnAmbiguous::Evidence, Chaos::Absurd, 1..150);
    assert!(evidence.written_off > 0 && evidence.tally.delivered > hold.tally.delivered);
}

/// FLUSHALL, SWAPDB, RESTORE or a backup, while everything runs and nobody is told.
#[test]
fn a_store_that_is_emptied_or_put_back_while_it_runs_repeats_and_loses_nothing() {
    mornings(OnAmbiguous::Hold, Chaos::Forgetful, 1..120);
    mornings(OnAmbiguous::Evidence, Chaos::Forgetful, 1..120);
}

#[test]
fn calm_and_realistic_mornings_deliver() {
    let calm = mornings(OnAmbiguous::Evidence, Chaos::None, 1..20);
    let (calm, n) = (&calm.tally, calm.tally.planned);
    assert_eq!((calm.delivered, calm.requests), (n - calm.cancelled, n - calm.cancelled));
    let real = mornings(OnAmbiguous::Evidence, Chaos::Realistic, 1..50);
    let asked = real.tally.planned - real.tally.cancelled;
    assert!(real.tally.delivered * 100 >= asked * 98, "{real:?}");
}

#[test]
fn equal_seeds_take_equal_courses() {
    for seed in 1..10 {
        let setup = Setup::of(seed, OnAmbiguous::Evidence, Chaos::Absurd);
        assert_eq!(run(setup), run(setup), "seed {seed}");
    }
    let other = |seed| run(Setup::of(seed, OnAmbiguous::Hold, Chaos::Absurd)).trace;
    assert_ne!(other(1), other(2));
}

/// The harness beside this test, as `tests/reliability` calls it.
fn harm(kind: &str, times: u32) {
    let crash = env!("CARGO_BIN_EXE_crash");
    let args = ["--harm", kind, "--times", &times.to_string(), "--people", "300"];
    let output = Command::new(crash).args(args).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{kind}: {said}\n{errors}");
}

#[test]
fn killed_processes_lose_and_repeat_nothing() {
    harm("kills", 30);
}

#[test]
fn a_killed_process_over_sqlite_loses_and_repeats_nothing() {
    harm("sqlite-kills", 20);
}

#[test]
fn a_killed_redis_and_a_bad_network_lose_and_repeat_nothing() {
    harm("redis-kills", 3);
}

/// FLUSHALL, SWAPDB to an empty one, and back to what it was.
#[test]
fn a_redis_that_is_not_the_one_it_was_loses_and_repeats_nothing() {
    harm("store-lost", 3);
}

#[test]
fn power_cuts_lose_and_repeat_nothing() {
    harm("power-cuts", 4);
    harm("sqlite-power-cuts", 3);
}

#[test]
fn whoever_says_stop_gets_nothing_more_while_many_hosts_send() {
    for (seed, chaos) in [(1, Chaos::None), (2, Chaos::None), (3, Chaos::Realistic)] {
        let few = Setup::of(seed, OnAmbiguous::Hold, chaos);
        let verdict = run(Setup { deliveries: 120, senders: 8, stops: 90, ..few });
        assert!(verdict.is_good(true), "seed {seed}: {verdict:#?}");
        assert!(verdict.stops >= 90, "seed {seed}: each was answered");
    }
}
