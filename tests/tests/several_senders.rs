//! Goal: numbers belong to one process at a time, another takes them over within ten
//! seconds of its death, and a rolling restart leaves no gap above fifteen.
//! Method: three real senders over a real Redis.

use std::time::Duration;

use domain::Timestamp;
use ledger::lanes::{CELL, Lanes};
use ledger::{Filter, Ledger, cell};
use tests::fleet::{Fleet, Spec, Store};
use tests::install::Times;
use tests::redis_server::RedisServer;
use tests::until;

struct Scene {
    fleet: Fleet,
    ledger: std::sync::Arc<dyn Ledger>,
    runtime: tokio::runtime::Runtime,
    _server: RedisServer,
}

impl Scene {
    fn new(people: u32, length: Duration) -> Self {
        let server = RedisServer::start();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let fleet = Fleet::start(&Spec {
            store: Store::Redis { url: server.url() },
            people,
            times: Times { opens_in: Duration::from_secs(6), length },
            faults: "none",
            on_ambiguous: "hold",
            preload: None,
            disk_mib: None,
        });
        let ledger = until("the ledger", || runtime.block_on(fleet.ledger(None)).ok());
        Scene { fleet, ledger, runtime, _server: server }
    }

    /// Who has the four numbers.
    fn owners(&self) -> Vec<Option<String>> {
        let lanes: Lanes = self.runtime.block_on(cell::read(self.ledger.as_ref(), CELL)).unwrap();
        let number = |n: u32| domain::NumberId::try_new(format!("100{n}")).unwrap();
        (1..=4).map(|n| lanes.owner(&number(n)).map(str::to_owned)).collect()
    }

    fn owned_by(&self, name: &str) -> usize {
        self.owners().iter().filter(|owner| owner.as_deref() == Some(name)).count()
    }

    /// When each delivery was dispatched, in order.
    fn dispatches(&self) -> Vec<Timestamp> {
        let runs = self.runtime.block_on(self.ledger.runs()).unwrap();
        let Some(run) = runs.first().map(|run| run.header.id.clone()) else { return Vec::new() };
        let everything = Filter::default();
        let list = self.ledger.list(&run, &everything, None, 100_000);
        let deliveries = self.runtime.block_on(list).unwrap();
        let attempts = deliveries.iter().flat_map(|d| &d.facts.attempts);
        let mut at: Vec<Timestamp> = attempts.filter_map(|a| a.dispatched_at).collect();
        at.sort();
        at
    }
}

#[test]
fn a_dead_senders_numbers_are_taken_over_within_ten_seconds() {
    let mut scene = Scene::new(400, Duration::from_secs(40));
    until("every sender has a share", || {
        let shares = ["sender-1", "sender-2", "sender-3"].map(|name| scene.owned_by(name));
        (shares.iter().sum::<usize>() == 4 && shares.iter().all(|n| (1..=2).contains(n)))
            .then_some(())
    });
    until("sending", || (scene.dispatches().len() > 20).then_some(()));
    scene.fleet.host("sender-2").kill();
    let died = scene.runtime.block_on(scene.ledger.now()).unwrap();
    let taken = until("its numbers are taken over", || {
        let owners = scene.owners();
        let by_others = |owner: &Option<String>| owner.as_deref().is_some_and(|o| o != "sender-2");
        owners.iter().all(by_others).then(|| scene.runtime.block_on(scene.ledger.now()).unwrap())
    });
    // By the store's clock, which the leases run on: their length, a beat, and a margin.
    let took = taken.since(died);
    assert!(took < Duration::from_secs(11), "it took {took:?}");
}

#[test]
fn a_rolling_restart_leaves_no_gap() {
    let mut scene = Scene::new(600, Duration::from_secs(40));
    until("sending", || (scene.dispatches().len() > 20).then_some(()));
    for name in ["sender-1", "sender-2", "sender-3"] {
        scene.fleet.host(name).signal("-TERM");
        until("it stopped", || scene.fleet.host(name).has_ended().then_some(()));
        assert_eq!(scene.owned_by(name), 0, "{name} gave its numbers back");
        scene.fleet.host(name).start();
        until("it is back", || (scene.owned_by(name) > 0).then_some(()));
    }
    until("the run is over", || {
        scene.runtime.block_on(scene.fleet.closed_run(scene.ledger.as_ref())).ok().flatten()
    });
    let at = scene.dispatches();
    let gap = at.windows(2).map(|pair| pair[1].since(pair[0])).max().unwrap();
    assert!(gap < Duration::from_secs(15), "nothing went for {gap:?}");
    let compared = scene.fleet.compare(scene.ledger.as_ref());
    let compared = scene.runtime.block_on(compared).unwrap();
    assert_eq!((compared.duplicates, compared.lost, compared.open), (0, 0, 0), "{compared:?}");
    assert_eq!(compared.unknown, 0, "what was under way was finished: {compared:?}");
}
