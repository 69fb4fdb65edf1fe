//! Goal: two tenants with the same people, lists, campaigns and ids share a database, and neither sees
//! or changes anything of the other's.
//! Method: random acts of both over one database; whatever each can read must be what the same acts
//! alone leave in a database of its own. Over sqlite and a real PostgreSQL.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use desk::consents::Word;
use desk::draft::{Draft, Guard};
use desk::sets::{Copies, Set};
use desk::{Desk, Mode};
use domain::campaign::{CampaignId, Category};
use domain::clock::ManualClock;
use domain::{Clock, ListName, TenantId, Timestamp};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use records::consents::Wish;
use records::{Place, Records, audit, imports, outbox};
use serde_json::json;
use tests::postgres::Postgres;
use tests::records::phone;

const BEGIN: Timestamp = Timestamp::from_secs(1_795_822_200);
const ACTS: usize = 60;
const YES: Guard = Guard { shrink_max: 1.0, yes: true, dry_run: false };

/// What somebody does.
#[derive(Clone, Debug)]
enum Act {
    Import { set: usize, rows: Vec<(u8, u8)>, dry_run: bool },
    Undo { set: usize },
    Say { who: u32, wish: Wish, proof: u8 },
    LetGo,
    Relay,
}

fn random(rng: &mut StdRng) -> Act {
    match rng.random_range(0..10) {
        0..4 => Act::Import {
            set: rng.random_range(0..3),
            rows: (0..6)
                .filter_map(|id| Some((id, rng.random_range(0..6))).filter(|(_, n)| *n < 3))
                .collect(),
            dry_run: rng.random_range(0..5) == 0,
        },
        4 => Act::Undo { set: rng.random_range(0..3) },
        5..8 => Act::Say {
            who: rng.random_range(0..4),
            wish: if rng.random() { Wish::Given } else { Wish::Withdrawn },
            proof: rng.random_range(0..3),
        },
        8 => Act::LetGo,
        _ => Act::Relay,
    }
}

fn sets() -> [Set; 3] {
    let campaign = CampaignId::try_new("daily-pack").unwrap();
    let date = |text: &str| Set::Content(campaign.clone(), text.parse().unwrap());
    [Set::Recipients(ListName::default()), date("2026-11-28"), date("2026-10-01")]
}

/// Somebody's seat, with a folder of its own.
struct Seat {
    desk: Desk,
    copies: Copies,
}

impl Seat {
    fn at(records: &Records, tenant: &str, dir: &Path, clock: Arc<dyn Clock>) -> Self {
        let desk = Desk {
            records: records.clone(),
            clock,
            rng: Mutex::new(StdRng::seed_from_u64(7)),
            tenant: TenantId::try_new(tenant).unwrap(),
            actor: "asha".to_owned(),
        };
        let dir = dir.join(tenant);
        Seat { desk, copies: Copies::below(&dir, CampaignId::try_new("daily-pack").unwrap()) }
    }

    /// Does it; what was answered, without ids.
    async fn act(&self, act: &Act) -> String {
        let desk = &self.desk;
        match act {
            Act::Import { set, rows, dry_run } => {
                let set = &sets()[*set];
                desk.refresh(&self.copies, set).await.unwrap();
                let mut draft = Draft::new(&self.copies.path(set)).unwrap();
                for (id, text) in rows {
                    draft.add(&json!({"id": format!("r{id}"), "text": text}));
                }
                let guard = Guard { dry_run: *dry_run, ..YES };
                format!("{:?}", desk.import(set, draft, guard).await.map_err(|e| e.to_string()))
            }
            Act::Undo { set } => {
                let undone = desk.undo_import(&self.copies, &sets()[*set]).await;
                format!("{:?}", undone.map_err(|error| error.to_string()))
            }
            Act::Say { who, wish, proof } => {
                let word = Word {
                    who: phone(*who),
                    categories: vec![Category::Utility],
                    wish: *wish,
                    said_at: None,
                    source: "form".to_owned(),
                    proof: format!("form {proof}"),
                };
                format!("{:?}", desk.record_consents(&[word], Mode::Do).await.unwrap())
            }
            Act::LetGo => {
                let first = "2026-11-01".parse().unwrap();
                format!("{}", desk.let_go(first, BEGIN).await.unwrap())
            }
            Act::Relay => {
                let letters = self.letters().await;
                outbox::told(&desk.records, &letters).await.unwrap();
                format!("{}", letters.len())
            }
        }
    }

    async fn letters(&self) -> Vec<outbox::Letter> {
        let kind = desk::consents::LETTER;
        outbox::waiting(&self.desk.records, &self.desk.tenant, kind, 1_000).await.unwrap()
    }

    /// Everything that can be read of a tenant, without ids.
    async fn sees(&self) -> Vec<String> {
        let (records, tenant) = (&self.desk.records, &self.desk.tenant);
        let mut seen = imports::sets(records, tenant, "").await.unwrap();
        for set in sets() {
            for import in self.desk.imports_of(&set, 100).await.unwrap() {
                seen.push(format!("{} {:?} {}", import.version, import.rows, import.act));
                let (name, version) = (set.name(), import.version);
                let page = imports::page(records, tenant, &name, version, None, 100);
                seen.push(format!("{:?}", page.await.unwrap()));
            }
            seen.push(std::fs::read_to_string(self.copies.path(&set)).unwrap_or_default());
        }
        for who in 0..4 {
            let said = self.desk.consents_of(&phone(who)).await.unwrap().unwrap_or_default();
            seen.extend(said.iter().map(|c| {
                format!("{who} {:?} {} {:?}", c.saying.wish, c.saying.proof, c.saying.said_at)
            }));
        }
        for entry in audit::list(records, tenant, 0, 1_000).await.unwrap() {
            seen.push(format!("{} {} {}", entry.seq, entry.act, entry.detail));
        }
        seen.push(format!("{:?}", audit::verify(records, tenant).await.unwrap()));
        seen.extend(self.letters().await.into_iter().map(|letter| letter.payload));
        seen
    }
}

async fn each_is_alone(place: &Place, alone: [&Place; 2], seed: u64) {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let clock = Arc::new(ManualClock::at(BEGIN));
    let shared = Records::open(place).await.unwrap();
    let names = ["default", "partner"];
    let mut seats = Vec::new();
    for (name, own) in names.iter().zip(alone) {
        let own = Records::open(own).await.unwrap();
        let of = |records, dir: &tempfile::TempDir| {
            Seat::at(records, name, dir.path(), Arc::clone(&clock) as Arc<dyn Clock>)
        };
        seats.push((of(&shared, &dirs[0]), of(&own, &dirs[1])));
    }
    let mut rng = StdRng::seed_from_u64(seed);
    for n in 0..ACTS {
        let (act, who) = (random(&mut rng), rng.random_range(0..2));
        clock.advance(Duration::from_secs(1));
        let (shared, own) = &seats[who];
        assert_eq!(shared.act(&act).await, own.act(&act).await, "seed {seed}, act {n}: {act:?}");
    }
    for (shared, own) in &seats {
        let (shared, own) = (shared.sees().await, own.sees().await);
        assert_eq!(shared, own, "seed {seed}");
        assert!(own.len() > 20, "there is something to see: {own:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_tenant_meets_the_other_over_sqlite() {
    for seed in 0..12 {
        let dir = tempfile::tempdir().unwrap();
        let place = |name: &str| Place::Sqlite(dir.path().join(name));
        let (shared, one, other) = (place("shared.db"), place("one.db"), place("other.db"));
        each_is_alone(&shared, [&one, &other], seed).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_tenant_meets_the_other_over_postgresql() {
    let (shared, one, other) = (Postgres::start(), Postgres::start(), Postgres::start());
    each_is_alone(&shared.place(), [&one.place(), &other.place()], 99).await;
}
