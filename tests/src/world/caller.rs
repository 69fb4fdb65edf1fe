//! Somebody who asks for single messages while the morning goes on: appends them to a rolling run,
//! takes some back, moves some to a later instant, moves what waits to another number, and puts
//! another version of the template in the planned one's place, for some numbers and for a while.
//!
//! What it has asked for it keeps, as a caller's own records do, and asks for again every few
//! seconds: the store may have forgotten.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::outbound::{Param, TemplateCall};
use domain::{
    Address, Language, Phone, Policy, RecipientId, RunId, TemplateName, Timestamp, Window,
};
use ledger::orders::{self, Decider, Order};
use ledger::rehome::rehome;
use ledger::standing::{self, Substitute};
use ledger::{
    Amended, Amendment, Appended, BodyHash, Change, Envelope, Ledger, LedgerError, NewRow,
    NotAppended, RowKey, RunHeader, RunKind,
};
use rand::RngExt;

use super::host::{at, numbers};
use super::store::{Link, Store, Told};
use super::{DAWN, World};

/// Messages that it asks for in a morning.
pub const MESSAGES: u32 = 5;
/// How often it asks again for everything.
const AGAIN: Duration = Duration::from_secs(5);
/// The template of every message of the morning, and the version that goes in its place.
pub const PLANNED: &str = "daily_pack";
const OTHER: &str = "daily_pack_v2";
/// How long a message may wait to be sent.
const LASTS: Duration = Duration::from_secs(30);

struct Caller {
    world: Arc<World>,
    ledger: Link,
    header: RunHeader,
    asked: Vec<Asked>,
    acknowledged: Acknowledged,
}

/// What the store has said that it has, and not refused since: forgotten, and over by then.
pub type Acknowledged = Arc<Mutex<BTreeSet<RowKey>>>;

/// One message, and what it wants with it.
struct Asked {
    /// When it asks first.
    from: Timestamp,
    due_at: Timestamp,
    lane: u16,
    person: u32,
    wish: Wish,
    /// The store has answered; asked again all the same.
    wished: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wish {
    Send,
    Cancel(Timestamp),
    Move(Timestamp),
}

pub fn run_id() -> RunId {
    "messages@2026-11-21".parse().expect("a run's name")
}

fn key(n: u32) -> RowKey {
    RowKey::of(&format!("message {n}"))
}

/// Asks until the run is over.
pub async fn call(world: Arc<World>, store: Arc<Store>, acknowledged: Acknowledged) {
    let ledger = Link::new(&store, &Arc::default(), "caller", Told::Right);
    let header = header(&world);
    let asked = (0..MESSAGES).map(|n| Asked::drawn(&world, n)).collect();
    let mut caller = Caller { world, ledger, header, asked, acknowledged };
    let rehome_at = DAWN + caller.world.span(Duration::from_secs(110));
    let mut rehomed = false;
    while !store.is_closed(&run_id()) {
        let round = caller.round().await;
        if round.is_ok() && !rehomed && caller.world.now() > rehome_at {
            rehomed = caller.rehome().await.is_ok();
        }
        let _ = caller.keep_standing().await; // a store that does not answer is asked again
        let pause = if round.is_ok() { AGAIN } else { Duration::from_secs(1) };
        tokio::time::sleep(pause).await;
    }
}

impl Asked {
    fn drawn(world: &World, n: u32) -> Self {
        let from = DAWN + world.span(Duration::from_secs(90));
        let due_at = from + world.span(Duration::from_secs(20));
        let soon = from + world.span(Duration::from_secs(25));
        let wish = world.draw(|rng| match rng.random_range(0..4) {
            0 => Wish::Cancel(soon),
            1 => Wish::Move(soon),
            _ => Wish::Send,
        });
        let lane = u16::try_from(n % 3).expect("three lanes");
        Asked { from, due_at: due_at.max(at(6)), lane, person: 500 + n, wish, wished: false }
    }

    fn row(&self, n: u32, now: Timestamp) -> NewRow {
        let call = TemplateCall {
            name: PLANNED.into(),
            language: "en".into(),
            header: None,
            body: vec![Param::named("headline", "Your order is on its way")],
            buttons: vec![],
        };
        let body = serde_json::to_string(&call).expect("plain data");
        let phone = Phone::try_new(format!("+9198{:08}", self.person)).expect("E.164");
        NewRow {
            key: key(n),
            lane: self.lane,
            due_at: self.due_at,
            expires_at: self.due_at + LASTS,
            message: Envelope {
                recipient: RecipientId::new(format!("m{n}")),
                to: Address::Phone(phone),
                body: BodyHash::of(&body),
            },
            body: body.into(),
            asked_ago: now.since(self.from),
        }
    }
}

impl Caller {
    async fn round(&mut self) -> Result<(), LedgerError> {
        let now = self.world.now();
        let due = (0u32..).zip(&self.asked).filter(|(_, asked)| asked.from <= now);
        let rows: Vec<NewRow> = due.map(|(n, asked)| asked.row(n, now)).collect();
        let appended = match self.ledger.append(&run_id(), &rows).await {
            // Not begun yet, or lost with the store.
            Err(LedgerError::NoRun(_)) => {
                self.ledger.begin_run(&self.header).await?;
                self.ledger.append(&run_id(), &rows).await?
            }
            appended => appended?,
        };
        for (row, appended) in rows.iter().zip(appended) {
            let mut acknowledged = self.acknowledged.lock().expect("one thread");
            match appended {
                Appended::Added(_) | Appended::There(_) => {
                    acknowledged.insert(row.key.clone());
                }
                Appended::Refused(NotAppended::Expiry | NotAppended::RunOver) => {
                    acknowledged.remove(&row.key);
                }
                Appended::Refused(other) => panic!("its own row is refused: {other}"),
            }
        }
        for n in 0..MESSAGES {
            self.wish(n).await?;
        }
        Ok(())
    }

    /// Takes one back, or moves it, until it has an answer.
    async fn wish(&mut self, n: u32) -> Result<(), LedgerError> {
        let asked = &self.asked[n as usize];
        let change = match asked.wish {
            Wish::Cancel(from) if from <= self.world.now() => Change::Cancel,
            Wish::Move(from) if from <= self.world.now() => {
                let due_at = asked.due_at + Duration::from_secs(15);
                Change::Move { due_at, expires_at: Some(due_at + LASTS) }
            }
            _ => return Ok(()),
        };
        if asked.wished {
            return Ok(());
        }
        let found = self.ledger.by_keys(&run_id(), &[key(n)]).await?;
        let [Some(index)] = found[..] else { return Ok(()) };
        let id = domain::DeliveryId { run: run_id(), index };
        let amended = self.ledger.amend(&[Amendment { id, change, note: None }]).await?;
        self.asked[n as usize].wished = amended != [Amended::NoDelivery];
        Ok(())
    }

    async fn keep_standing(&self) -> Result<(), LedgerError> {
        let language = Language::from("en");
        if self.world.chance(0.3) {
            let planned = TemplateName::from(PLANNED);
            return standing::restore(&self.ledger, &planned, &language).await.map(drop);
        }
        let lanes = &self.header.lanes;
        let which = self.world.draw(|rng| rng.random_range(0..1_usize << lanes.len()));
        let chosen = lanes.iter().enumerate().filter(|(at, _)| which >> at & 1 == 1);
        let one = Substitute {
            planned: PLANNED.into(),
            language,
            live: OTHER.into(),
            numbers: chosen.map(|(_, number)| number.clone()).collect(),
            since: self.world.now(),
            by: "the keeper".into(),
            why: "it was paused".into(),
        };
        standing::substitute(&self.ledger, one).await
    }

    /// A number is to send nothing, or little, for a while: what waits there goes to another one.
    async fn rehome(&self) -> Result<(), LedgerError> {
        let lanes = &self.header.lanes;
        let from = self.world.draw(|rng| rng.random_range(0..lanes.len()));
        let to = (from + 1) % lanes.len();
        let pair = (&lanes[from], &lanes[to]);
        let (percent, secs) =
            self.world.draw(|rng| (rng.random_range(0..=2) * 25, rng.random_range(1..=10)));
        let since = self.ledger.now().await?;
        let order = Order {
            number: lanes[from].clone(),
            decider: Decider::Keeper,
            percent,
            since,
            until: Some(since + Duration::from_secs(secs)),
            by: "the keeper".into(),
            why: "its rating dropped".into(),
        };
        orders::give(&self.ledger, &order).await?;
        rehome(&self.ledger, &run_id(), pair, None, 100, None).await?;
        // Of the campaign's run too: what is planned moves as what is appended does.
        rehome(&self.ledger, &self.world.run, pair, None, 100, None).await.map(drop)
    }
}

/// Begun before its day begins, and by whoever begins it again after the store was emptied, after.
fn header(world: &World) -> RunHeader {
    let window = Window {
        opens: at(5),
        target: at(5),
        spread_until: at(140),
        closes: at(140),
        deadline: at(140),
    };
    let stop_at = at(200);
    let policy = Policy { on_ambiguous: world.setup.policy, ..Policy::default() };
    RunHeader {
        id: run_id(),
        kind: RunKind::Rolling,
        zone: "Asia/Kolkata".into(),
        window,
        stop_at,
        close_at: stop_at + Duration::from_secs(17),
        catch_up_until: None,
        lanes: numbers().into_iter().map(|number| number.id).collect(),
        total: 0,
        snapshot: String::new(),
        planning: 0,
        policy: Policy { evidence: world.setup.evidence(), ..policy },
        target_ratio: 0.99,
    }
}
