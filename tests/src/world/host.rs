//! The hosts and what runs on them: three senders, a receiver, a scheduler. Each process is
//! the product's own code on faulty seams; killing one leaves its host's disk.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use cloud_api::{CloudApi, Meta, MetaWebhooks};
use domain::callback::CallbackKey;
use domain::campaign::{CampaignId, Category};
use domain::{
    Address, Backoff, BusinessNumber, NumberId, Phone, Policy, Recipient, RecipientId, Timestamp,
    Window,
};
use ledger::recovery::Recoverer;
use ledger::{Amendment, Change, Ledger};
use provider::{Outgoing, Registry};
use queue::{Lane, LaneBackend, LaneOptions};
use rand::SeedableRng;
use rand::rngs::StdRng;
use scheduler::intake::Content;

use inbox::endpoint::{Endpoints, SpeaksOf};
use inbox::{Consumer, Source};
use scheduler::planner::Frame;
use scheduler::{Planner, Snapshot};
use secrecy::SecretString;
use sender::{Options, Sender};
use status::people::OptOutDesk;
use status::store_time::StoreTime;
use status::{Applier, People, Sweeper, merger};
use telemetry::Metrics;
use tokio::time::Instant;

use super::disks::{JournalDisk, SimJournal, SimTail};
use super::far::{Far, MISSING, Wire};
use super::life::Life;
use super::receiver::Receiver;
use super::store::{Link, Store, Told};
use super::{DAWN, SkewedClock, World};
use crate::install::campaign;

const LANES: usize = 3;
/// Longest time that a dead process stays away.
const AWAY_MAX: Duration = Duration::from_secs(5);
/// Longest time that a host speaks to a store that is not the right one.
const MISTAKEN_MAX: Duration = Duration::from_secs(40);
/// Clocks of hosts are off by up to this …
const SKEW_MAX: Duration = Duration::from_secs(2);
/// … and where hosts are apart, by this, one way or the other.
const APART: Duration = Duration::from_secs(600);

static METRICS: LazyLock<Arc<Metrics>> = LazyLock::new(Arc::default);
/// Renders; never called otherwise.
static META: LazyLock<Arc<Meta>> = LazyLock::new(|| {
    let options = cloud_api::Options::default();
    let api = CloudApi::new(&options, SecretString::from("none")).expect("a client");
    Arc::new(Meta::new(api, "nowhere".into()))
});

fn endpoints() -> Endpoints {
    Endpoints::default().with("webhooks", Arc::new(MetaWebhooks), SpeaksOf::TheRest, [])
}

fn key() -> CallbackKey {
    CallbackKey::derive(b"simulated", "ours")
}

pub fn numbers() -> Vec<BusinessNumber> {
    let number = |n: usize| BusinessNumber {
        id: NumberId::try_new(format!("10{n}")).expect("digits"),
        throughput: 80,
        weight: 1,
    };
    (1..=LANES).map(number).collect()
}

/// The phone number of recipient `n`.
pub fn phone(n: u32) -> String {
    format!("+9198{n:08}")
}

/// So long after the day began.
pub fn at(secs: u64) -> Timestamp {
    DAWN + Duration::from_secs(secs)
}

fn snapshot(deliveries: u32, missing_translation: bool) -> Snapshot {
    let language = |n: u32| if missing_translation && n % 12 == 11 { MISSING } else { "en" };
    let recipient = |n: u32| Recipient {
        id: RecipientId::new(format!("r{n:05}")),
        name: "Asha Rao".into(),
        address: Address::Phone(Phone::try_new(phone(n)).expect("E.164")),
        tier: "".into(),
        language: language(n).into(),
        consent_utility: true,
        consent_marketing: false,
        opted_in_at: None,
        attributes: BTreeMap::new(),
    };
    let everyone = Content {
        recipient_id: RecipientId::new("*"),
        params: BTreeMap::from([("headline".to_owned(), "NIFTY up".to_owned())]),
        header: None,
        media: None,
        filename: None,
        buttons: BTreeMap::new(),
        approved_by: Some("Meera".into()),
        approved_at: Some(Timestamp::from_secs(1)),
        held_back: None,
    };
    let mut campaign = campaign("daily-pack", &["headline"], numbers());
    campaign.template.languages.push(MISSING.into());
    Snapshot::take(campaign, (0..deliveries).map(recipient), [everyone]).snapshot
}

/// A window of two minutes, with one for repairs.
fn window() -> Window {
    Window {
        opens: at(5),
        target: at(20),
        spread_until: at(65),
        closes: at(110),
        deadline: at(125),
    }
}

fn planner(world: &Arc<World>, ledger: Arc<dyn Ledger>) -> (Planner, Frame) {
    let policy = Policy { on_ambiguous: world.setup.policy, ..Policy::default() };
    let evidence = world.setup.evidence();
    let frame = Frame {
        run: world.run.clone(),
        zone: "Asia/Kolkata".into(),
        window: window(),
        stop_at: window().deadline,
        catch_up_until: None,
        grace: Duration::from_secs(17),
        policy: Policy { evidence, ..policy },
        target_ratio: 0.99,
    };
    let state_dir = world.disks.path().join("planner");
    (Planner { ledger, providers: Registry::default(), state_dir }, frame)
}

/// Three planners at once, each on its own bad line, until each has seen the plan sealed.
pub async fn plan_thrice(world: &Arc<World>, store: &Arc<Store>) {
    let plan = || plan(world, store, Told::Right);
    tokio::join!(biased; plan(), plan(), plan());
}

async fn plan(world: &Arc<World>, store: &Arc<Store>, told: Told) {
    let missing = world.setup.chaos.rates().missing_translation;
    let snapshot = snapshot(world.setup.deliveries, missing);
    let link = Link::new(store, &Arc::default(), "planner", told);
    let (planner, frame) = planner(world, Arc::new(link));
    let begun = Instant::now();
    while planner.plan(&snapshot, &frame, world.now(), &|_| {}).await.is_err() {
        if told == Told::Wrong && begun.elapsed() > MISTAKEN_MAX {
            return;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// One sending host.
struct SenderHost {
    name: String,
    disk: Arc<Mutex<JournalDisk>>,
    life: Mutex<Arc<Life>>,
    told: Mutex<Told>,
    /// Its clock minus the world's, microseconds.
    skew: i64,
}

/// How far a host's clock is off, in microseconds.
fn skew(world: &World) -> i64 {
    let apart = world.chance(world.setup.chaos.rates().hosts_apart);
    let by = if apart { APART } else { world.span(SKEW_MAX) };
    let micros = i64::try_from(by.as_micros()).expect("ten minutes");
    if apart && world.chance(0.5) { -micros } else { micros }
}

pub struct Hosts {
    world: Arc<World>,
    store: Arc<Store>,
    far: Arc<Far>,
    senders: Vec<Arc<SenderHost>>,
    receiver: Arc<Receiver>,
}

impl Hosts {
    pub fn new(world: &Arc<World>, store: &Arc<Store>, far: &Arc<Far>) -> Self {
        let sender = |n: usize| {
            let note = world.disks.path().join(format!("host-{n}.json"));
            Arc::new(SenderHost {
                name: format!("host-{n}"),
                disk: Arc::new(Mutex::new(JournalDisk::noting(note))),
                life: Mutex::default(),
                told: Mutex::default(),
                skew: skew(world),
            })
        };
        let receiver = Arc::new(Receiver {
            world: Arc::clone(world),
            disk: Arc::default(),
            life: Mutex::default(),
            told: Mutex::default(),
            cut_off_until: Mutex::default(),
            skew: skew(world),
        });
        far.reports_to(Arc::clone(&receiver));
        Hosts {
            world: Arc::clone(world),
            store: Arc::clone(store),
            far: Arc::clone(far),
            senders: (1..=world.setup.senders).map(sender).collect(),
            receiver,
        }
    }

    pub fn start_all(&self) {
        for host in &self.senders {
            self.start_sender(host);
        }
        self.start_receiver();
        self.start_scheduler();
    }

    pub fn inbox_is_applied(&self) -> bool {
        self.receiver.disk.lock().expect("one thread").is_applied()
    }

    /// Kills a process, or takes its host's power, and starts it again a little later.
    pub fn crash_one(self: &Arc<Self>, power: bool) {
        let which = self.pick(self.senders.len() + 1);
        self.kill(which);
        if power {
            match self.senders.get(which) {
                Some(host) => host.disk.lock().expect("one thread").lose_power(),
                None => self.receiver.disk.lock().expect("one thread").lose_power(),
            }
        }
        let (hosts, away) = (Arc::clone(self), self.world.span(AWAY_MAX));
        tokio::spawn(async move {
            tokio::time::sleep(away).await;
            hosts.start(which);
        });
    }

    /// Starts a host anew with a store that is not the right one, and after a while, when
    /// somebody has noticed, as before. A scheduler beside it may make the same mistake.
    pub fn mislead_one(self: &Arc<Self>) {
        let which = self.pick(self.senders.len() + 1);
        let planned = self.world.chance(0.5);
        let (hosts, span) = (Arc::clone(self), self.world.span(MISTAKEN_MAX));
        tokio::spawn(async move {
            hosts.tell(which, Told::Wrong);
            if planned {
                let (world, store) = (Arc::clone(&hosts.world), Arc::clone(&hosts.store));
                tokio::spawn(async move { plan(&world, &store, Told::Wrong).await });
            }
            tokio::time::sleep(span).await;
            hosts.tell(which, Told::Right);
        });
    }

    fn tell(&self, which: usize, told: Told) {
        self.kill(which);
        *self.told(which).lock().expect("one thread") = told;
        self.start(which);
    }

    fn told(&self, which: usize) -> &Mutex<Told> {
        self.senders.get(which).map_or(&self.receiver.told, |host| &host.told)
    }

    fn life(&self, which: usize) -> &Mutex<Arc<Life>> {
        self.senders.get(which).map_or(&self.receiver.life, |host| &host.life)
    }

    fn kill(&self, which: usize) {
        self.life(which).lock().expect("one thread").kill();
    }

    fn start(&self, which: usize) {
        match self.senders.get(which) {
            Some(host) => self.start_sender(host),
            None => self.start_receiver(),
        }
    }

    pub fn are_all_up(&self) -> bool {
        self.are_all_told_right()
            && (0..=self.senders.len()).all(|n| self.life(n).lock().expect("one thread").is_up())
    }

    /// Everybody speaks to the right store.
    pub fn are_all_told_right(&self) -> bool {
        (0..=self.senders.len()).all(|n| *self.told(n).lock().expect("one thread") == Told::Right)
    }

    pub fn freeze_one(&self, span: Duration) {
        let which = self.pick(self.senders.len() + 1);
        self.life(which).lock().expect("one thread").freeze(Instant::now() + span);
    }

    pub fn cut_off_receiver(&self, span: Duration) {
        *self.receiver.cut_off_until.lock().expect("one thread") = Some(Instant::now() + span);
    }

    /// Everything that is still wrong is put right. Processes that are away come back by
    /// themselves.
    pub fn heal(&self) {
        self.store.mend();
        *self.receiver.cut_off_until.lock().expect("one thread") = None;
        for which in 0..=self.senders.len() {
            self.life(which).lock().expect("one thread").thaw();
        }
    }

    fn pick(&self, n: usize) -> usize {
        use rand::RngExt;
        self.world.draw(|rng| rng.random_range(0..n))
    }

    /// A new process takes the place of whatever ran on the host.
    fn new_life(
        &self,
        host: &str,
        slot: &Mutex<Arc<Life>>,
        told: &Mutex<Told>,
    ) -> (Arc<Life>, Arc<dyn Ledger>) {
        let life = Arc::new(Life::default());
        let before = std::mem::replace(&mut *slot.lock().expect("one thread"), Arc::clone(&life));
        before.kill();
        let link = Link::new(&self.store, &life, host, *told.lock().expect("one thread"));
        (life, Arc::new(link))
    }

    fn start_sender(&self, host: &Arc<SenderHost>) {
        let (life, ledger) = self.new_life(&host.name, &host.life, &host.told);
        let clock = SkewedClock { world: Arc::clone(&self.world), ahead: host.skew };
        let options = Options { ledger_forgets: true, concurrency: 4, ..Options::default() };
        let sender = Sender {
            ledger: Arc::clone(&ledger),
            providers: self.providers(&life),
            journal: Arc::new(SimJournal::open(&self.world, &host.disk, &life)),
            host: host.name.clone(),
            clock: Arc::new(clock),
            callback_key: key(),
            metrics: Arc::clone(&METRICS),
            options: options.clone(),
            numbers: numbers(),
            rng: StdRng::seed_from_u64(self.world.process_seed()),
            process_start: String::new(),
            progress: Arc::default(),
        };
        tokio::spawn(send(sender, Arc::clone(&ledger), options, Arc::clone(&life)));
        if host.name == "host-1" {
            self.start_sweeper(ledger, &life);
        }
    }

    /// The far side, for all numbers.
    fn providers(&self, life: &Arc<Life>) -> Registry {
        let (far, life) = (Arc::clone(&self.far), Arc::clone(life));
        let wire: Arc<dyn Outgoing> = Arc::new(Wire { far, life, meta: Arc::clone(&META) });
        Registry::new(numbers().into_iter().map(|number| (number.id, Arc::clone(&wire))))
    }

    fn start_sweeper(&self, ledger: Arc<dyn Ledger>, life: &Arc<Life>) {
        let clock = SkewedClock { world: Arc::clone(&self.world), ahead: 0 };
        let sweeper = Sweeper {
            ledger,
            clock: Arc::new(clock),
            metrics: Arc::clone(&METRICS),
            every: Duration::from_secs(1),
        };
        tokio::spawn(sweeper.run(life.stop.clone()));
    }

    fn applier(&self, ledger: Arc<dyn Ledger>) -> Applier {
        let clock = SkewedClock { world: Arc::clone(&self.world), ahead: self.receiver.skew };
        Applier {
            ledger,
            clock: Arc::new(clock),
            metrics: Arc::clone(&METRICS),
            endpoints: endpoints(),
            callback_keys: vec![key()],
            backoff: Backoff::default(),
            rng: Mutex::new(StdRng::seed_from_u64(self.world.process_seed())),
            numbers: numbers().into_iter().map(|number| number.id).collect(),
            matcher: Mutex::default(),
            time: StoreTime::default(),
        }
    }

    fn people(&self, ledger: Arc<dyn Ledger>) -> People {
        let clock = SkewedClock { world: Arc::clone(&self.world), ahead: self.receiver.skew };
        let campaign = CampaignId::try_new("daily-pack").expect("a plain name");
        People {
            ledger,
            clock: Arc::new(clock),
            metrics: Arc::clone(&METRICS),
            endpoints: endpoints(),
            opt_outs: OptOutDesk::new(None, BTreeMap::from([(campaign, Category::Utility)])),
            time: StoreTime::default(),
        }
    }

    fn start_receiver(&self) {
        let (life, ledger) = self.new_life("receiver", &self.receiver.life, &self.receiver.told);
        self.start_sweeper(Arc::clone(&ledger), &life);
        let (applier, people) = (self.applier(Arc::clone(&ledger)), self.people(ledger.clone()));
        let (disk, stop) = (&self.receiver.disk, life.stop.clone());
        let mut tail = SimTail::resume(disk, Consumer::Status);
        tokio::spawn(async move { applier.run(&mut tail, stop).await });
        let (mut tail, stop) = (SimTail::resume(disk, Consumer::People), life.stop.clone());
        tokio::spawn(async move { people.run(&mut tail, stop).await });
        let (applier, people) = (self.applier(Arc::clone(&ledger)), self.people(ledger));
        let disk = Arc::clone(disk);
        let note = self.world.disks.path().join("receiver.json");
        tokio::spawn(async move {
            let mut recoverer = Recoverer::new("receiving/receiver").noting(note);
            while !life.stop.is_cancelled() {
                let tail = || Box::new(SimTail::from_start(&disk)) as Box<dyn Source>;
                let consumers = (&applier, &people);
                let merge = merger::merge(consumers, &mut recoverer, "receiving/receiver", tail);
                let _ = merge.await; // repeated
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        });
    }

    /// Plans again whatever the store forgot of the plan.
    fn start_scheduler(&self) {
        let (world, store) = (Arc::clone(&self.world), Arc::clone(&self.store));
        tokio::spawn(async move {
            while !store.is_closed(&world.run) {
                plan(&world, &store, Told::Right).await;
                tokio::time::sleep(Duration::from_secs(5)).await;
            }
        });
    }
}

/// The sender's lanes, driven as the queue's workers drive them.
async fn send(sender: Sender, ledger: Arc<dyn Ledger>, options: Options, life: Arc<Life>) {
    let running = sender.prepare();
    running.settle_the_past(&life.stop).await;
    let lanes = running.lanes.clone();
    tokio::spawn(running.keep(life.stop.clone(), life.stop.clone()));
    let lane_options =
        LaneOptions { concurrency: options.concurrency, timeout: options.handling_timeout };
    for lane in lanes {
        let backend = LaneBackend::start(
            Arc::clone(&ledger),
            Arc::clone(&lane),
            &lane_options,
            &life.stop,
            &Default::default(),
        );
        tokio::spawn(work(backend, lane, Arc::clone(&ledger), options.handling_timeout));
    }
}

async fn work(
    mut backend: LaneBackend,
    lane: Arc<dyn Lane>,
    ledger: Arc<dyn Ledger>,
    timeout: Duration,
) {
    while let Some(job) = backend.next().await {
        let (lane, ledger) = (Arc::clone(&lane), Arc::clone(&ledger));
        tokio::spawn(async move {
            let id = job.claim.id.clone();
            // As in `queue`: the worker gives up, the delivery's own task goes on.
            let task = tokio::spawn(queue::deliver(lane, job));
            let handled = tokio::time::timeout(timeout, task).await;
            if !matches!(handled, Ok(Ok(Ok(())))) {
                let strike = Amendment { id, change: Change::Strike, note: None };
                let _ = ledger.amend(&[strike]).await; // else its lease ends
            }
        });
    }
}
