//! What goes wrong, how often, and the hand that does it.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use simulator::faults::{Profile, Shares};

use super::host::Hosts;
use super::store::Store;
use super::{DAWN, World};

/// A kind of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chaos {
    /// Nothing goes wrong: the world itself is checked.
    None,
    /// What a bad but real morning may bring, once in a while.
    Realistic,
    /// Everything, far more often than in life.
    Absurd,
    /// A realistic day on a store that is emptied or put back while it runs, and beside
    /// another one that hosts are told to use by mistake.
    Forgetful,
}

/// Shares are 0 to 1; spans between events are means.
pub struct Rates {
    pub far: Shares,
    /// Of sends: the connection is refused, so nothing left.
    pub unreachable: f64,
    /// Of requests without an answer, the message is never taken.
    pub never_taken: f64,
    /// Of ledger calls: the request, or its reply, is lost.
    pub lost_request: f64,
    pub lost_reply: f64,
    /// Of steps of the protocol: the gap before it is stretched, and up to how long.
    pub stretch: f64,
    pub stretch_max: Duration,
    /// Of webhooks: how many come late, and up to how late.
    pub late_webhook: f64,
    pub late_webhook_max: Duration,
    pub crash_every: Option<Duration>,
    /// Of crashes, those that take the machine's power.
    pub power_cut: f64,
    pub freeze_every: Option<Duration>,
    pub freeze_max: Duration,
    pub store_every: Option<Duration>,
    pub store_down_max: Duration,
    /// Of store outages, those that forget up to a second.
    pub forgets: f64,
    /// The store loses up to a second without a word, or everything.
    pub put_back_every: Option<Duration>,
    /// Of these, those that leave it empty.
    pub empties: f64,
    /// A host is started with a store that is not the right one.
    pub misled_every: Option<Duration>,
    /// The record of one delivery becomes unreadable.
    pub damage_every: Option<Duration>,
    /// The receiver cannot be reached.
    pub outage_every: Option<Duration>,
    pub outage_max: Duration,
    /// Of seeds, those whose store's clock steps for a while.
    pub clock_steps: f64,
    /// Of hosts, those whose clock is ten minutes off.
    pub hosts_apart: f64,
    /// Of journal appends, those that the disk refuses.
    pub disk_refuses: f64,
    /// Of requests: a status of another installation for the same delivery comes besides.
    pub foreign: f64,
    /// Of requests: their recipient says STOP.
    pub stops: f64,
    /// Of requests: their picture is refused.
    pub bad_media: f64,
    /// One recipient in twelve wants a translation that the far side does not have.
    pub missing_translation: bool,
}

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

impl Chaos {
    pub const fn as_str(self) -> &'static str {
        match self {
            Chaos::None => "none",
            Chaos::Realistic => "realistic",
            Chaos::Absurd => "absurd",
            Chaos::Forgetful => "forgetful",
        }
    }

    pub fn rates(self) -> Rates {
        match self {
            Chaos::None => CALM,
            Chaos::Realistic => Rates {
                far: Profile::Morning.shares(),
                unreachable: 0.0005,
                foreign: 0.02,
                stops: 0.005,
                lost_request: 0.0001,
                lost_reply: 0.0001,
                stretch: 0.0002,
                stretch_max: secs(5),
                late_webhook: 0.005,
                late_webhook_max: secs(60),
                // Means in a morning of two minutes: one crash in 50 mornings, and so on.
                crash_every: Some(secs(6_000)),
                power_cut: 0.05,
                freeze_every: Some(secs(12_000)),
                freeze_max: secs(20),
                store_every: Some(secs(12_000)),
                store_down_max: secs(5),
                forgets: 0.02,
                outage_every: Some(secs(6_000)),
                outage_max: secs(60),
                ..CALM
            },
            Chaos::Forgetful => Rates {
                put_back_every: Some(secs(30)),
                empties: 0.5,
                misled_every: Some(secs(60)),
                // It remembers how it was only if it may be asked to.
                forgets: 0.02,
                ..Chaos::Realistic.rates()
            },
            Chaos::Absurd => absurd(),
        }
    }
}

fn absurd() -> Rates {
    Rates {
        far: Profile::Hostile.shares(),
        unreachable: 0.02,
        foreign: 0.2,
        stops: 0.05,
        bad_media: 0.02,
        missing_translation: true,
        lost_request: 0.01,
        lost_reply: 0.01,
        stretch: 0.04,
        stretch_max: secs(40),
        late_webhook: 0.05,
        late_webhook_max: secs(90),
        crash_every: Some(secs(10)),
        power_cut: 0.3,
        freeze_every: Some(secs(40)),
        freeze_max: secs(60),
        store_every: Some(secs(30)),
        store_down_max: secs(6),
        forgets: 0.5,
        damage_every: Some(secs(100)),
        outage_every: Some(secs(40)),
        outage_max: secs(60),
        clock_steps: 0.1,
        hosts_apart: 0.05,
        disk_refuses: 0.002,
        ..CALM
    }
}

const CALM: Rates = Rates {
    far: Profile::None.shares(),
    unreachable: 0.0,
    never_taken: 0.5,
    lost_request: 0.0,
    lost_reply: 0.0,
    stretch: 0.0,
    stretch_max: secs(0),
    late_webhook: 0.0,
    late_webhook_max: secs(0),
    crash_every: None,
    power_cut: 0.0,
    freeze_every: None,
    freeze_max: secs(0),
    store_every: None,
    store_down_max: secs(0),
    forgets: 0.0,
    put_back_every: None,
    empties: 0.0,
    misled_every: None,
    damage_every: None,
    outage_every: None,
    outage_max: secs(0),
    clock_steps: 0.0,
    hosts_apart: 0.0,
    disk_refuses: 0.0,
    foreign: 0.0,
    stops: 0.0,
    bad_media: 0.0,
    missing_translation: false,
};

/// The harm of a store that is put back without a word …
const PUT_BACK: usize = 4;
const DAMAGE: usize = 5;
const MISLEAD: usize = 6;
/// … and how long no other harm is done, so that the hosts can notice.
const NOTICED: Duration = secs(3);

/// Does harm until it is aborted.
pub async fn reign(world: Arc<World>, store: Arc<Store>, hosts: Arc<Hosts>) {
    let rates = world.setup.chaos.rates();
    let events = [
        rates.crash_every,
        rates.freeze_every,
        rates.store_every,
        rates.outage_every,
        rates.put_back_every,
        rates.damage_every,
        rates.misled_every,
    ];
    if world.chance(rates.clock_steps) {
        tokio::spawn(step_the_clock(Arc::clone(&world), Arc::clone(&store)));
    }
    let rate: f64 = events.iter().flatten().map(|mean| 1.0 / mean.as_secs_f64()).sum();
    if rate == 0.0 {
        return;
    }
    loop {
        let draw: f64 = world.draw(|rng| rng.random_range(1e-9..1.0));
        tokio::time::sleep(Duration::from_secs_f64(-draw.ln() / rate)).await;
        let mut pick = world.draw(|rng| rng.random::<f64>()) * rate;
        for (at, mean) in events.iter().enumerate() {
            let share = mean.map_or(0.0, |mean| 1.0 / mean.as_secs_f64());
            if pick < share {
                harm(at, &world, &rates, &store, &hosts);
                if at == PUT_BACK {
                    tokio::time::sleep(NOTICED).await;
                }
                break;
            }
            pick -= share;
        }
    }
}

fn harm(what: usize, world: &Arc<World>, rates: &Rates, store: &Arc<Store>, hosts: &Arc<Hosts>) {
    tracing::debug!(at = world.seconds(), "harm {what}");
    match what {
        0 => hosts.crash_one(world.chance(rates.power_cut)),
        1 => hosts.freeze_one(world.span(rates.freeze_max)),
        2 => {
            let forgets = world.chance(rates.forgets);
            store.fail(world.span(rates.store_down_max), forgets);
        }
        // A plan that is lost when its time is over is made again by a person; and what only a
        // host knows that is down in the same second, nobody can miss.
        PUT_BACK if world.now() < DAWN + secs(80) && hosts.are_all_up() => {
            store.put_back(world.chance(rates.empties));
        }
        PUT_BACK => {}
        DAMAGE => store.damage_one(),
        MISLEAD => hosts.mislead_one(),
        _ => hosts.cut_off_receiver(world.span(rates.outage_max)),
    }
}

/// The store's clock jumps ahead within the window, or far back, and is put right before
/// long.
async fn step_the_clock(world: Arc<World>, store: Arc<Store>) {
    tokio::time::sleep(world.span(secs(100))).await;
    let ahead = world.chance(0.5);
    store.step(if ahead { 40 } else { -3_600 });
    tokio::time::sleep(world.span(secs(40))).await;
    store.step(0);
}
