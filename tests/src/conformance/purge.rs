//! The contract's part about runs that are older than their age.

use std::time::Duration;

use domain::{Attempt, RunId, Window};
use ledger::{Applied, Begun, Ledger, Phase, Purged, RunHeader};

use super::{HOUR, Stage};

const DAY: Duration = Duration::from_secs(24 * 3_600);

pub async fn run(ledger: &dyn Ledger) {
    a_run_that_may_still_be_recovered_stays(ledger).await;
    an_old_run_goes_piece_by_piece_and_leaves_nothing(ledger).await;
    runs_are_found_from_a_date_on(ledger).await;
}

/// A window of three weeks ago.
fn long_ago(header: &mut RunHeader) {
    let opens = header.window.target - 21 * DAY;
    let deadline = opens + HOUR;
    header.window =
        Window { opens, target: opens, spread_until: opens, closes: deadline, deadline };
    (header.stop_at, header.close_at) = (deadline, deadline);
}

async fn close(stage: &Stage<'_>) {
    while stage.ledger.sweep(&stage.run, 1_000).await.unwrap().more {}
    assert_eq!(stage.counts().await.open(), 0);
    stage.ledger.set_phase(&stage.run, Phase::Closed).await.unwrap();
}

async fn a_run_that_may_still_be_recovered_stays(ledger: &dyn Ledger) {
    let stage = Stage::new(ledger, "purge-young", 3).await;
    assert_eq!(ledger.purge(&stage.run, 10).await.unwrap(), Purged::Unknown);
    stage.plan().await;
    assert_eq!(ledger.purge(&stage.run, 10).await.unwrap(), Purged::Kept, "it is open");
    ledger.set_phase(&stage.run, Phase::Closed).await.unwrap();
    assert_eq!(ledger.purge(&stage.run, 10).await.unwrap(), Purged::Kept, "it closed just now");
    assert_eq!(stage.counts().await.total(), 3);
}

async fn an_old_run_goes_piece_by_piece_and_leaves_nothing(ledger: &dyn Ledger) {
    let stage = Stage::with(ledger, "purge-old", 5, long_ago).await;
    stage.plan().await;
    assert_eq!(ledger.purge(&stage.run, 2).await.unwrap(), Purged::Kept, "it is open");
    close(&stage).await;
    let mut calls = 0;
    while ledger.purge(&stage.run, 2).await.unwrap() == Purged::More {
        calls += 1;
        assert!(calls < 5, "two at a time");
    }
    assert_eq!(ledger.purge(&stage.run, 2).await.unwrap(), Purged::Unknown);
    assert!(ledger.run(&stage.run).await.unwrap().is_none());
    assert!(!ledger.run_ids().await.unwrap().contains(&stage.run));
    assert!(!ledger.active_runs().await.unwrap().iter().any(|run| run.header.id == stage.run));
    // A status that comes late is about nobody.
    assert_eq!(stage.apply(0, Attempt::new(7.into())).await, Applied::NoDelivery);
    assert!(matches!(ledger.begin_run(&stage.header).await.unwrap(), Begun::Created(_)));
    stage.plan().await;
    assert_eq!(stage.counts().await.total(), 5, "nothing of the old one is counted");
}

async fn runs_are_found_from_a_date_on(ledger: &dyn Ledger) {
    let stage = Stage::new(ledger, "since", 1).await;
    stage.plan().await;
    let date = stage.run.date();
    let has = async |date| {
        let runs = ledger.runs_since(date).await.unwrap();
        runs.iter().any(|run| run.header.id == stage.run)
    };
    assert!(has(date).await && !has(date.succ_opt().unwrap()).await);
    let all: Vec<RunId> =
        ledger.runs().await.unwrap().iter().map(|run| run.header.id.clone()).collect();
    assert!(all.contains(&stage.run));
}
