//! The contract's part about plans that are thrown away before their window opens.

use std::collections::BTreeMap;

use domain::{NumberId, State, Window};
use ledger::{Discarded, Ledger, LedgerError, Phase, RunHeader, WhyKept};

use super::{HOUR, Stage};

pub async fn run(ledger: &dyn Ledger) {
    a_sealed_plan_is_discarded_before_its_window(ledger).await;
    a_plan_that_is_written_or_open_stays(ledger).await;
    rows_of_a_discarded_plan_never_enter_the_next_one(ledger).await;
}

/// A window that opens in an hour.
fn tomorrow(header: &mut RunHeader) {
    let now = header.window.target;
    header.window = Window {
        opens: now + HOUR,
        target: now + HOUR,
        spread_until: now + HOUR * 2,
        closes: now + HOUR * 2,
        deadline: now + HOUR * 3,
    };
    (header.stop_at, header.close_at) = (header.window.deadline, header.window.deadline);
}

/// Plans `stage`'s run once more from other files: two rows over other lanes.
pub async fn plan_anew(stage: &Stage<'_>) {
    let lanes = ["x", "y"].map(|lane| NumberId::try_new(lane).unwrap());
    let header = RunHeader {
        snapshot: "def".into(),
        total: 2,
        lanes: lanes.to_vec(),
        ..stage.header.clone()
    };
    stage.ledger.begin_run(&header).await.unwrap();
    let mut chunk = stage.chunk(0, 2);
    chunk.snapshot = header.snapshot;
    (chunk.rows[0].lane, chunk.rows[1].lane) = (1, 1);
    stage.ledger.plan_chunk(&stage.run, &chunk).await.unwrap();
    stage.ledger.seal(&stage.run).await.unwrap();
}

async fn a_sealed_plan_is_discarded_before_its_window(ledger: &dyn Ledger) {
    for phase in [Phase::Open, Phase::Paused, Phase::Cancelled] {
        let stage = Stage::with(ledger, &format!("anew-{}", phase.as_str()), 5, tomorrow).await;
        assert_eq!(ledger.discard(&stage.run).await.unwrap(), Discarded::Unknown);
        stage.plan().await;
        ledger.set_phase(&stage.run, phase).await.unwrap();
        assert_eq!(ledger.discard(&stage.run).await.unwrap(), Discarded::Done);
        assert!(ledger.run(&stage.run).await.unwrap().is_none());
        assert!(!ledger.runs().await.unwrap().iter().any(|run| run.header.id == stage.run));
        assert!(stage.claim(5).await.is_empty());
        plan_anew(&stage).await;
        let run = ledger.run(&stage.run).await.unwrap().unwrap();
        assert_eq!((run.phase, run.cursor, run.header.lanes.len()), (Phase::Open, 2, 2));
        assert_eq!(stage.counts().await.get(State::Planned), 2);
        let rows = ledger.list(&stage.run, &Default::default(), None, 10).await.unwrap();
        assert!(rows.len() == 2 && rows.iter().all(|row| row.lane.as_str() == "y"), "{rows:?}");
    }
}

async fn a_plan_that_is_written_or_open_stays(ledger: &dyn Ledger) {
    let stage = Stage::with(ledger, "writing", 5, tomorrow).await;
    ledger.begin_run(&stage.header).await.unwrap();
    ledger.plan_chunk(&stage.run, &stage.chunk(0, 3)).await.unwrap();
    let kept = ledger.discard(&stage.run).await.unwrap();
    assert_eq!(kept, Discarded::Kept(WhyKept::Planning));
    let stage = Stage::new(ledger, "opened", 5).await;
    stage.plan().await;
    assert_eq!(ledger.discard(&stage.run).await.unwrap(), Discarded::Kept(WhyKept::Opened));
    assert_eq!(stage.counts().await.get(State::Planned), 5);
}

/// A planner that was slow writes into the plan that followed its own.
async fn rows_of_a_discarded_plan_never_enter_the_next_one(ledger: &dyn Ledger) {
    let stage = Stage::with(ledger, "slow", 5, tomorrow).await;
    stage.plan().await;
    ledger.discard(&stage.run).await.unwrap();
    let late = ledger.plan_chunk(&stage.run, &stage.chunk(0, 5)).await;
    assert!(matches!(late, Err(LedgerError::NoRun(_))), "{late:?}");
    let header = RunHeader { snapshot: "def".into(), ..stage.header.clone() };
    ledger.begin_run(&header).await.unwrap();
    let late = ledger.plan_chunk(&stage.run, &stage.chunk(0, 5)).await;
    assert!(matches!(late, Err(LedgerError::OtherPlan(_))), "{late:?}");
    assert_eq!(stage.counts().await, ledger::Counts::default());
    let mut chunk = stage.chunk(0, 5);
    (chunk.snapshot, chunk.bodies) = (header.snapshot, BTreeMap::new());
    assert_eq!(ledger.plan_chunk(&stage.run, &chunk).await.unwrap(), 5);
}
