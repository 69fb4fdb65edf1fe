//! The store and the way to it: the model ledger behind a network that loses requests and
//! replies, on a server that goes away and may forget its last second.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::NaiveDate;
use domain::{Clock, NumberId, RunId, State, Timestamp};
use ledger::model::Memory;
use ledger::{
    Amended, Amendment, Appended, Applied, AttemptResult, Begun, BodyHash, Claimed, Counts,
    DeliveryView, Discarded, Filter, Health, IntentAnswer, IntentRequest, Ledger, LedgerError,
    Model, NewRow, Phase, PlanChunk, Purged, Release, RowKey, Run, RunHeader, Swept, WebhookFact,
};
use rand::RngExt;
use tokio::time::Instant;

use super::World;
use super::life::Life;

type Result<T> = std::result::Result<T, LedgerError>;

/// How far back a store that forgets can go.
const HORIZON: Duration = Duration::from_secs(1);

pub struct Store {
    world: Arc<World>,
    pub model: Model,
    /// Another store, which a host speaks to by mistake.
    wrong: Model,
    clock: Arc<StoreClock>,
    down_until: Mutex<Option<Instant>>,
    /// What it held lately.
    memories: Mutex<VecDeque<(Instant, Memory)>>,
}

/// Which store a process was told to speak to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Told {
    #[default]
    Right,
    /// As with another `/db` in its configuration: a store that answers, and knows nothing.
    Wrong,
}

/// The store's own time: true, but for steps.
struct StoreClock {
    world: Arc<World>,
    step_secs: AtomicI64,
}

impl Clock for StoreClock {
    fn now(&self) -> Timestamp {
        let micros = self.step_secs.load(Ordering::Relaxed) * 1_000_000;
        Timestamp::from_micros(self.world.now().micros() + micros)
    }
}

impl Store {
    pub fn new(world: Arc<World>) -> Self {
        let clock =
            Arc::new(StoreClock { world: Arc::clone(&world), step_secs: AtomicI64::new(0) });
        let model = Model::new(Arc::clone(&clock) as Arc<dyn Clock>);
        let wrong = Model::new(Arc::clone(&clock) as Arc<dyn Clock>);
        let (down_until, memories) = (Mutex::default(), Mutex::default());
        Store { world, model, wrong, clock, down_until, memories }
    }

    pub fn step(&self, secs: i64) {
        self.clock.step_secs.store(secs, Ordering::Relaxed);
    }

    pub fn is_closed(&self, run: &RunId) -> bool {
        let runs = now_or_never(self.model.run(run));
        matches!(runs, Ok(Some(run)) if run.phase == Phase::Closed)
    }

    /// Every member has given the present incarnation what it knows.
    pub fn is_recovered(&self) -> bool {
        let incarnation = now_or_never(self.model.incarnation());
        let Ok(Some(incarnation)) = incarnation else { return false };
        let members = now_or_never(ledger::members::read(&self.model));
        let fenced = now_or_never(self.model.fenced_runs());
        members.is_ok_and(|members| members.missing(&incarnation).is_empty())
            && fenced.is_ok_and(|fenced| fenced.is_empty())
    }

    /// Goes away for a while and comes back as another incarnation, perhaps without what it
    /// answered last.
    pub fn fail(&self, down: Duration, forgets: bool) {
        *self.down_until.lock().expect("one thread") = Some(Instant::now() + down);
        let mut memories = self.memories.lock().expect("one thread");
        let horizon = Instant::now() - HORIZON;
        memories.retain(|(at, _)| *at >= horizon);
        let back = self.world.span(HORIZON);
        let chosen = memories.iter().position(|(at, _)| *at + back >= Instant::now());
        let memory = chosen.and_then(|at| memories.remove(at)).map(|(_, memory)| memory);
        self.model.restart(memory.filter(|_| forgets));
        memories.clear();
    }

    /// Loses what it answered last, or everything, while it runs: no connection breaks, and it
    /// says nothing of it. As after FLUSHALL, SWAPDB, RESTORE or a backup that was put back.
    pub fn put_back(&self, empty: bool) {
        let mut memories = self.memories.lock().expect("one thread");
        let horizon = Instant::now() - HORIZON;
        memories.retain(|(at, _)| *at >= horizon);
        let memory = memories.pop_front().map(|(_, memory)| memory);
        if empty {
            self.model.put_back(None);
        } else if memory.is_some() {
            self.model.put_back(memory);
        }
        memories.clear();
    }

    /// Damages the record of one delivery.
    pub fn damage_one(&self) {
        let Ok(runs) = now_or_never(self.model.runs()) else { return };
        for run in runs {
            let (id, all) = (&run.header.id, Filter::default());
            let Ok(all) = now_or_never(self.model.list(id, &all, None, usize::MAX)) else {
                continue;
            };
            if !all.is_empty() {
                let which = self.world.draw(|rng| rng.random_range(0..all.len()));
                self.model.damage(&all[which].id);
            }
        }
    }

    pub fn mend(&self) {
        *self.down_until.lock().expect("one thread") = None;
        self.step(0);
    }

    fn is_down(&self) -> bool {
        self.down_until.lock().expect("one thread").is_some_and(|until| until > Instant::now())
    }

    /// Remembers how it was, a few times a second, if it may ever be asked to.
    fn remember(&self) {
        if self.world.setup.chaos.rates().forgets == 0.0 {
            return;
        }
        let mut memories = self.memories.lock().expect("one thread");
        let now = Instant::now();
        if memories.back().is_none_or(|(at, _)| now - *at > Duration::from_millis(150)) {
            memories.push_back((now, self.model.memory()));
            memories.retain(|(at, _)| *at + HORIZON >= now);
        }
    }
}

/// The model never waits, so its calls are over at the first poll.
fn now_or_never<T>(call: impl Future<Output = T>) -> T {
    let mut call = std::pin::pin!(call);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match call.as_mut().poll(&mut context) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => unreachable!("the model never waits"),
    }
}

/// One process's way to the store.
pub struct Link {
    store: Arc<Store>,
    life: Arc<Life>,
    host: String,
    model: Model,
}

/// How careful a call has to be simulated: those of the send path have gaps that matter.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Gap {
    Short,
    /// The process may be held up before it.
    Stretched,
    /// The process may be held up after it: what it learnt may be out of date.
    Late,
}

impl Link {
    pub fn new(store: &Arc<Store>, life: &Arc<Life>, host: &str, told: Told) -> Self {
        let (store, life) = (Arc::clone(store), Arc::clone(life));
        let model = match told {
            Told::Right => store.model.client(),
            Told::Wrong => store.wrong.client(),
        };
        Link { model, store, life, host: host.to_owned() }
    }

    async fn call<T>(
        &self,
        doing: &'static str,
        gap: Gap,
        call: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let world = &self.store.world;
        let rates = world.setup.chaos.rates();
        self.life.pass().await;
        if gap == Gap::Stretched {
            tokio::time::sleep(Duration::from_micros(300)).await;
            if world.chance(rates.stretch) {
                tokio::time::sleep(world.span(rates.stretch_max)).await;
            }
            self.life.pass().await;
        }
        if self.store.is_down() || world.chance(rates.lost_request) {
            tokio::time::sleep(Duration::from_millis(200)).await;
            self.life.pass().await;
            return Err(lost(doing));
        }
        self.store.remember();
        self.store.remember();
        let answer = call.await;
        tracing::debug!(at = world.seconds(), host = self.host, ok = answer.is_ok(), "{doing}");
        if world.chance(rates.lost_reply) {
            tokio::time::sleep(Duration::from_millis(500)).await;
            self.life.pass().await;
            return Err(lost(doing));
        }
        if gap == Gap::Late && world.chance(rates.stretch) {
            tokio::time::sleep(world.span(rates.stretch_max)).await;
        }
        self.life.pass().await;
        answer
    }
}

fn lost(doing: &'static str) -> LedgerError {
    LedgerError::Unavailable { engine: "simulated", doing, cause: "simulated outage".to_owned() }
}

#[async_trait]
impl Ledger for Link {
    fn engine(&self) -> &'static str {
        "simulated"
    }

    async fn now(&self) -> Result<Timestamp> {
        self.call("now", Gap::Short, self.model.now()).await
    }

    async fn begin_run(&self, header: &RunHeader) -> Result<Begun> {
        self.call("begin", Gap::Stretched, self.model.begin_run(header)).await
    }

    async fn plan_chunk(&self, run: &RunId, chunk: &PlanChunk) -> Result<u32> {
        self.call("plan", Gap::Stretched, self.model.plan_chunk(run, chunk)).await
    }

    async fn seal(&self, run: &RunId) -> Result<Run> {
        self.call("seal", Gap::Stretched, self.model.seal(run)).await
    }

    async fn append(&self, run: &RunId, rows: &[NewRow]) -> Result<Vec<Appended>> {
        self.call("append", Gap::Short, self.model.append(run, rows)).await
    }

    async fn by_keys(&self, run: &RunId, keys: &[RowKey]) -> Result<Vec<Option<u32>>> {
        self.call("keys", Gap::Short, self.model.by_keys(run, keys)).await
    }

    async fn to_people(&self, run: &RunId, people: &[String]) -> Result<Vec<u32>> {
        self.call("people", Gap::Short, self.model.to_people(run, people)).await
    }

    async fn doubt_rows(&self, run: &RunId) -> Result<Run> {
        self.call("doubt", Gap::Short, self.model.doubt_rows(run)).await
    }

    async fn add_lanes(&self, run: &RunId, lanes: &[NumberId]) -> Result<Run> {
        self.call("lanes", Gap::Stretched, self.model.add_lanes(run, lanes)).await
    }

    async fn mark_started(&self, run: &RunId) -> Result<Run> {
        self.call("start", Gap::Short, self.model.mark_started(run)).await
    }

    async fn set_phase(&self, run: &RunId, phase: Phase) -> Result<Run> {
        self.call("phase", Gap::Short, self.model.set_phase(run, phase)).await
    }

    async fn discard(&self, run: &RunId) -> Result<Discarded> {
        self.call("discard", Gap::Stretched, self.model.discard(run)).await
    }

    async fn run(&self, run: &RunId) -> Result<Option<Run>> {
        self.call("run", Gap::Short, self.model.run(run)).await
    }

    async fn runs_since(&self, date: NaiveDate) -> Result<Vec<Run>> {
        self.call("runs", Gap::Short, self.model.runs_since(date)).await
    }

    async fn purge(&self, run: &RunId, limit: usize) -> Result<Purged> {
        self.call("purge", Gap::Short, self.model.purge(run, limit)).await
    }

    async fn active_runs(&self) -> Result<Vec<Run>> {
        self.call("runs", Gap::Short, self.model.active_runs()).await
    }

    async fn claim(&self, lane: &NumberId, k: usize) -> Result<Claimed> {
        self.call("claim", Gap::Late, self.model.claim(lane, k)).await
    }

    async fn intent(&self, requests: &[IntentRequest]) -> Result<Vec<IntentAnswer>> {
        self.call("intent", Gap::Stretched, self.model.intent(requests)).await
    }

    async fn result(&self, results: &[AttemptResult]) -> Result<Vec<State>> {
        self.call("result", Gap::Stretched, self.model.result(results)).await
    }

    async fn release(&self, releases: &[Release]) -> Result<()> {
        self.call("release", Gap::Stretched, self.model.release(releases)).await
    }

    async fn apply(&self, facts: &[WebhookFact]) -> Result<Vec<Applied>> {
        self.call("apply", Gap::Stretched, self.model.apply(facts)).await
    }

    async fn amend(&self, amendments: &[Amendment]) -> Result<Vec<Amended>> {
        self.call("amend", Gap::Short, self.model.amend(amendments)).await
    }

    async fn reopen(&self, run: &RunId, until: Timestamp) -> Result<Run> {
        self.call("reopen", Gap::Short, self.model.reopen(run, until)).await
    }

    async fn sweep(&self, run: &RunId, limit: usize) -> Result<Swept> {
        self.call("sweep", Gap::Short, self.model.sweep(run, limit)).await
    }

    async fn counts(&self, run: &RunId) -> Result<Counts> {
        self.call("counts", Gap::Short, self.model.counts(run)).await
    }

    async fn recount(&self, run: &RunId) -> Result<Counts> {
        self.call("recount", Gap::Short, self.model.recount(run)).await
    }

    async fn list(
        &self,
        run: &RunId,
        filter: &Filter,
        after: Option<u32>,
        limit: usize,
    ) -> Result<Vec<DeliveryView>> {
        let list = self.model.list(run, filter, after, limit);
        self.call("list", Gap::Short, list).await
    }

    async fn content(&self, run: &RunId, hash: &BodyHash) -> Result<Arc<str>> {
        self.model.content(run, hash).await
    }

    async fn health(&self) -> Result<Health> {
        self.model.health().await
    }

    async fn incarnation(&self) -> Result<Option<String>> {
        self.call("incarnation", Gap::Short, self.model.incarnation()).await
    }

    async fn count_anew(&self, run: &RunId) -> Result<()> {
        self.call("count", Gap::Short, self.model.count_anew(run)).await
    }

    async fn check_schema(&self) -> Result<()> {
        Ok(())
    }

    async fn run_ids(&self) -> Result<Vec<RunId>> {
        self.call("runs", Gap::Short, self.model.run_ids()).await
    }

    async fn fenced_runs(&self) -> Result<Vec<RunId>> {
        self.call("fenced", Gap::Short, self.model.fenced_runs()).await
    }

    async fn lift_fence(&self, incarnation: &str) -> Result<()> {
        self.call("lift", Gap::Stretched, self.model.lift_fence(incarnation)).await
    }

    async fn read_cell(&self, name: &str) -> Result<Option<String>> {
        self.call("cell", Gap::Short, self.model.read_cell(name)).await
    }

    async fn swap_cell(&self, name: &str, expected: Option<&str>, new: &str) -> Result<bool> {
        self.call("cell", Gap::Short, self.model.swap_cell(name, expected, new)).await
    }
}
