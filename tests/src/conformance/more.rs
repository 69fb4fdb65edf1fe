//! The contract's second half: evidence, quarantine, acts by hand, shared cells.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::facts::Doubt;
use domain::{Attempt, Evidence, FailureClass, Http, OnAmbiguous, Resolution, State};
use ledger::lanes::{Lanes, Owner};
use ledger::{Amended, Amendment, Change, Ledger, Note, Phase, RunHeader, cell, lanes, members};

use super::{HOUR, Stage, accepted, news, refused};

pub async fn run(ledger: &dyn Ledger) {
    doubt_is_resolved_by_silence_with_a_witness(ledger).await;
    without_a_witness_or_under_hold_doubt_stays(ledger).await;
    resends_on_evidence_have_a_budget(ledger).await;
    doubt_in_a_cancelled_run_costs_no_budget(ledger).await;
    what_takes_workers_down_is_quarantined_and_can_be_put_back(ledger).await;
    a_person_settles_what_nobody_knows(ledger).await;
    a_run_that_is_over_is_opened_once_more(ledger).await;
    nothing_opens_in_a_closed_run(ledger).await;
    cells_and_lanes_are_changed_by_one_at_a_time(ledger).await;
    counters_are_the_same_when_they_are_counted_anew(ledger).await;
}

/// Silence of a millisecond is evidence.
fn hasty(header: &mut RunHeader) {
    let wait = Duration::from_millis(1);
    header.policy.on_ambiguous = OnAmbiguous::Evidence;
    header.policy.evidence = Evidence { error_wait: wait, lost_wait: wait * 2, budget: 0.005 };
}

/// Sweeps until something was written off, or for as many looks as a doubt may get.
async fn sweep(stage: &Stage<'_>) -> u32 {
    let mut written_off = 0;
    for _ in 0..3 {
        stage.tick().await;
        written_off += stage.ledger.sweep(&stage.run, 100).await.unwrap().written_off;
    }
    written_off
}

/// A later send of the lane, of which a webhook has spoken.
async fn witness(stage: &Stage<'_>, nonce: u64) -> u32 {
    stage.tick().await;
    let index = stage.fly(nonce).await;
    stage.result(index, nonce, accepted()).await;
    let at = stage.ledger.now().await.unwrap();
    stage.apply(index, Attempt { sent_at: Some(at), ..news(nonce) }).await;
    index
}

async fn doubt_is_resolved_by_silence_with_a_witness(ledger: &dyn Ledger) {
    let stage = Stage::with(ledger, "evidence", 2, hasty).await;
    stage.plan().await;
    let index = stage.fly(1).await;
    stage.result(index, 1, Http::Ambiguous(Doubt::GraphError)).await;
    witness(&stage, 2).await;
    assert_eq!(sweep(&stage).await, 1);
    assert_eq!(stage.state(index).await, State::RetryWait);
    let again = stage.claim(5).await;
    assert_eq!((again.len(), again[0].attempts_spent), (1, 1), "the doubt spent an attempt");
    stage.intent(&again[0], 3).await;
    stage.result(index, 3, accepted()).await;
    let delivery = ledger::api::find(ledger, &stage.id(index)).await.unwrap().unwrap();
    assert!(delivery.facts.possible_duplicate(), "marked, whatever comes");
    assert_eq!(delivery.facts.proven_duplicates(), 0);
    let at = ledger.now().await.unwrap();
    stage.apply(index, Attempt { delivered_at: Some(at), ..news(1) }).await;
    stage.apply(index, Attempt { delivered_at: Some(at), ..news(3) }).await;
    let delivery = ledger::api::find(ledger, &stage.id(index)).await.unwrap().unwrap();
    assert_eq!(delivery.facts.proven_duplicates(), 1, "and seen");
    stage.counts().await;
}

async fn without_a_witness_or_under_hold_doubt_stays(ledger: &dyn Ledger) {
    let stage = Stage::with(ledger, "witness", 2, hasty).await;
    stage.plan().await;
    witness(&stage, 2).await;
    stage.tick().await;
    let index = stage.fly(1).await;
    stage.result(index, 1, Http::Ambiguous(Doubt::GraphError)).await;
    assert_eq!(sweep(&stage).await, 0, "that send came before");
    assert_eq!(stage.state(index).await, State::Ambiguous);

    let hold = |header: &mut RunHeader| {
        hasty(header);
        header.policy.on_ambiguous = OnAmbiguous::Hold;
    };
    let stage = Stage::with(ledger, "hold", 2, hold).await;
    stage.plan().await;
    let index = stage.fly(1).await;
    stage.result(index, 1, Http::Ambiguous(Doubt::GraphError)).await;
    witness(&stage, 2).await;
    assert_eq!(sweep(&stage).await, 0);
    assert_eq!(stage.state(index).await, State::Ambiguous);
}

async fn resends_on_evidence_have_a_budget(ledger: &dyn Ledger) {
    let stage = Stage::with(ledger, "budget", 4, hasty).await;
    stage.plan().await;
    for nonce in [1, 2, 3] {
        let index = stage.fly(nonce).await;
        stage.result(index, nonce, Http::Ambiguous(Doubt::Timeout)).await;
    }
    stage.tick().await;
    witness(&stage, 4).await;
    assert_eq!(sweep(&stage).await, 1, "0.5 % of four, rounded up");
    assert_eq!(stage.counts().await.get(State::Ambiguous), 2);
    assert_eq!(ledger.run(&stage.run).await.unwrap().unwrap().resends, 1);
}

async fn doubt_in_a_cancelled_run_costs_no_budget(ledger: &dyn Ledger) {
    let stage = Stage::with(ledger, "cancelled-doubt", 2, hasty).await;
    stage.plan().await;
    let index = stage.fly(1).await;
    stage.result(index, 1, Http::Ambiguous(Doubt::GraphError)).await;
    witness(&stage, 2).await;
    ledger.set_phase(&stage.run, Phase::Cancelled).await.unwrap();
    assert_eq!(sweep(&stage).await, 0, "it is never sent again");
    assert_eq!(stage.state(index).await, State::Ambiguous);
    assert_eq!(ledger.run(&stage.run).await.unwrap().unwrap().resends, 0);
}

async fn change(stage: &Stage<'_>, index: u32, change: Change) -> Amended {
    let note = Note {
        at: stage.ledger.now().await.unwrap(),
        by: "asha".into(),
        change,
        why: "a test".into(),
    };
    let amendment = Amendment { id: stage.id(index), change, note: Some(note) };
    stage.ledger.amend(&[amendment]).await.unwrap()[0]
}

async fn what_takes_workers_down_is_quarantined_and_can_be_put_back(ledger: &dyn Ledger) {
    let stage = Stage::new(ledger, "poison", 2).await;
    stage.plan().await;
    let claim = stage.claim(1).await.remove(0);
    let index = claim.id.index;
    assert!(!claim.worker_died);
    assert_eq!(change(&stage, index, Change::Strike).await, Amended::Done(State::Planned));
    assert_eq!(change(&stage, index, Change::Strike).await, Amended::Done(State::Planned));
    assert_eq!(change(&stage, index, Change::Strike).await, Amended::Done(State::Quarantined));
    let refused = Amended::Refused(State::Quarantined);
    assert_eq!(change(&stage, index, Change::Strike).await, refused);
    let rest = stage.claim(5).await;
    assert_eq!(rest.len(), 1, "the rest go on");
    assert_ne!(rest[0].id.index, index);
    assert_eq!(change(&stage, index, Change::Requeue).await, Amended::Done(State::Planned));
    let again = stage.claim(5).await;
    assert_eq!(again.len(), 1);
    let delivery = ledger::api::find(ledger, &stage.id(index)).await.unwrap().unwrap();
    assert_eq!((delivery.strikes, delivery.notes.len()), (0, 4), "who did what is kept");
    stage.counts().await;
}

async fn a_person_settles_what_nobody_knows(ledger: &dyn Ledger) {
    let stage = Stage::new(ledger, "person", 3).await;
    stage.plan().await;
    let mut doubtful = Vec::new();
    for nonce in [1, 2, 3] {
        let index = stage.fly(nonce).await;
        stage.result(index, nonce, Http::Ambiguous(Doubt::Timeout)).await;
        doubtful.push(index);
    }
    let resolve = Change::Resolve(Resolution::Delivered);
    assert_eq!(change(&stage, doubtful[0], resolve).await, Amended::Done(State::Delivered));
    let resolve = Change::Resolve(Resolution::NotDelivered);
    assert_eq!(change(&stage, doubtful[1], resolve).await, Amended::Done(State::Failed));
    assert_eq!(change(&stage, doubtful[2], Change::Resend).await, Amended::Done(State::RetryWait));
    let requeue = change(&stage, doubtful[0], Change::Requeue).await;
    assert_eq!(requeue, Amended::Refused(State::Delivered));
    let at = ledger.now().await.unwrap();
    stage.apply(doubtful[1], Attempt { read_at: Some(at), ..news(2) }).await;
    assert_eq!(stage.state(doubtful[1]).await, State::Read, "a webhook outranks a person");
    let nobody = Amendment { id: stage.id(99), change: Change::Resend, note: None };
    assert_eq!(ledger.amend(&[nobody]).await.unwrap(), [Amended::NoDelivery]);
    stage.counts().await;
}

async fn a_run_that_is_over_is_opened_once_more(ledger: &dyn Ledger) {
    let over = |header: &mut RunHeader| {
        header.stop_at = header.window.opens;
        header.close_at = header.window.opens + Duration::from_secs(1);
    };
    let stage = Stage::with(ledger, "reopen", 2, over).await;
    stage.plan().await;
    while ledger.sweep(&stage.run, 10).await.unwrap().more {}
    assert_eq!(stage.counts().await.get(State::Expired), 2);
    ledger.set_phase(&stage.run, Phase::Closed).await.unwrap();
    let until = ledger.now().await.unwrap() + HOUR;
    let run = ledger.reopen(&stage.run, until).await.unwrap();
    assert_eq!((run.phase, run.stop_at()), (Phase::Open, until));
    let again = ledger.reopen(&stage.run, until - HOUR / 2).await.unwrap();
    assert_eq!(again.stop_at(), until, "never shortened");
    assert_eq!(change(&stage, 0, Change::Requeue).await, Amended::Done(State::Planned));
    assert!(ledger.active_runs().await.unwrap().iter().any(|run| run.header.id == stage.run));
    assert!(stage.next_due().await.is_some());
    assert_eq!(stage.fly(1).await, 0);
    let state = stage.result(0, 1, refused(FailureClass::Retryable)).await;
    assert_eq!(state, State::RetryWait);
    ledger.sweep(&stage.run, 10).await.unwrap();
    assert_eq!(stage.counts().await.get(State::Expired), 1, "the other one stays as it was");

    let stage = Stage::with(ledger, "reopen-paused", 2, over).await;
    stage.plan().await;
    for (phase, then) in [(Phase::Paused, Some(until)), (Phase::Cancelled, None)] {
        ledger.set_phase(&stage.run, phase).await.unwrap();
        let run = ledger.reopen(&stage.run, until).await.unwrap();
        assert_eq!(run.phase, phase, "who stopped it lets it go on");
        assert!(then.is_none_or(|until| run.stop_at() == until), "{run:?}");
        assert!(stage.claim(2).await.is_empty());
    }
}

async fn nothing_opens_in_a_closed_run(ledger: &dyn Ledger) {
    let stage = Stage::new(ledger, "closed", 1).await;
    stage.plan().await;
    let index = stage.fly(1).await;
    stage.result(index, 1, accepted()).await;
    // Before its time by the store's clock, as after a clock that was put back.
    ledger.set_phase(&stage.run, Phase::Closed).await.unwrap();
    let at = ledger.now().await.unwrap();
    let failure = domain::Failure {
        code: 131_000,
        class: FailureClass::Retryable,
        scope: domain::Scope::Message,
    };
    let failed = Some(domain::failure::ReportedFailure { at, failure });
    stage.apply(index, Attempt { failed, ..news(1) }).await;
    assert_eq!(stage.state(index).await, State::Failed, "nobody would ever send it again");
    stage.counts().await;
}

async fn counters_are_the_same_when_they_are_counted_anew(ledger: &dyn Ledger) {
    let stage = Stage::new(ledger, "counted", 3).await;
    stage.plan().await;
    stage.fly(1).await;
    let before = ledger.counts(&stage.run).await.unwrap();
    ledger.count_anew(&stage.run).await.unwrap();
    assert_eq!(ledger.counts(&stage.run).await.unwrap(), before);
    stage.fly(2).await;
    stage.counts().await;
}

async fn cells_and_lanes_are_changed_by_one_at_a_time(ledger: &dyn Ledger) {
    assert_eq!(ledger.read_cell("empty").await.unwrap(), None);
    assert!(ledger.swap_cell("cell", None, "a").await.unwrap());
    assert!(!ledger.swap_cell("cell", None, "b").await.unwrap(), "it is there by now");
    assert!(!ledger.swap_cell("cell", Some("x"), "b").await.unwrap());
    assert!(ledger.swap_cell("cell", Some("a"), "b").await.unwrap());
    assert_eq!(ledger.read_cell("cell").await.unwrap().as_deref(), Some("b"));

    let now = ledger.now().await.unwrap();
    let wanted = [super::NumberId::try_new("1065").unwrap()];
    let beat = |owner: &'static str| {
        let wanted = wanted.clone();
        let owner = Owner { name: owner, disk: owner };
        let hold = move |lanes: &mut Lanes| lanes.beat(owner, &wanted, HOUR, now).unwrap();
        async move { cell::update(ledger, lanes::CELL, hold).await.unwrap() }
    };
    let (a, b) = tokio::join!(beat("a"), beat("b"));
    assert_eq!(a.len() + b.len(), 1, "a number belongs to one");

    let joined_at = members::join(ledger, "h1/sender", now).await.unwrap();
    assert_eq!(members::join(ledger, "h1/sender", now + HOUR).await.unwrap(), joined_at);
    let known = BTreeSet::new();
    let report = |has_merged| members::Report { incarnation: "inc-2", has_merged, known: &known };
    let before = members::report(ledger, "h2/sender", &report(false), now).await.unwrap();
    assert!(before.missing("inc-2").contains(&"h2/sender".to_owned()), "it has merged nothing yet");
    let after = members::report(ledger, "h2/sender", &report(true), now).await.unwrap();
    assert_eq!(after.missing("inc-2"), ["h1/sender"]);
}
