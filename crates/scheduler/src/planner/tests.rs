//! Goal: twice, at once, or after dying half-way: one plan.

use domain::clock::ManualClock;
use ledger::Model;

use super::*;
use crate::plan::tests::{at, campaign, content, recipient, window};

fn snapshot(people: u32) -> Snapshot {
    let people = (0..people).map(recipient).collect();
    Snapshot::take(campaign(), people, vec![content("*")]).snapshot
}

fn frame() -> Frame {
    Frame {
        run: "daily-pack@2026-11-21".parse().unwrap(),
        zone: "Asia/Kolkata".into(),
        window: window(),
        stop_at: window().deadline,
        grace: Duration::from_secs(12),
        policy: Policy::default(),
        target_ratio: 0.99,
    }
}

fn planner(dir: &Path) -> Planner {
    let ledger = Arc::new(Model::new(Arc::new(ManualClock::at(at(900)))));
    Planner { ledger, api: None, state_dir: dir.to_owned() }
}

#[tokio::test]
async fn planning_twice_and_at_once_gives_one_plan() {
    let dir = tempfile::tempdir().unwrap();
    let planner = planner(dir.path());
    let (snapshot, frame) = (snapshot(2_500), frame());
    let plan = || planner.plan(&snapshot, &frame, at(900), &|_| {});
    let (a, b, c) = tokio::join!(plan(), plan(), plan());
    for planned in [a, b, c, plan().await] {
        let run = planned.unwrap().run;
        assert_eq!((run.phase, run.cursor), (Phase::Open, 2_500));
    }
    assert_eq!(planner.ledger.counts(&frame.run).await.unwrap().total(), 2_500);
}

#[tokio::test]
async fn a_second_planner_finishes_the_firsts_plan_even_when_the_files_changed() {
    let dir = tempfile::tempdir().unwrap();
    let planner = planner(dir.path());
    let (first, changed, frame) = (snapshot(1_500), snapshot(1_400), frame());
    first.save(&planner.snapshots()).unwrap();
    planner.ledger.begin_run(&header(&first, &frame)).await.unwrap();
    let plan = Plan::new(&first, frame.run.clone(), frame.window, at(900));
    let chunk = plan.chunk(0, 700, &MediaIds::default());
    planner.ledger.plan_chunk(&frame.run, &chunk).await.unwrap();

    let planned = planner.plan(&changed, &frame, at(901), &|_| {}).await.unwrap();
    assert!(planned.differs, "the caller is told");
    assert_eq!((planned.run.phase, planned.run.cursor), (Phase::Open, 1_500));
}

#[tokio::test]
async fn a_run_for_nobody_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let error = planner(dir.path()).plan(&snapshot(0), &frame(), at(900), &|_| {}).await;
    assert!(matches!(error, Err(PlanError::Nobody(_))));
}
