//! What every database of records must do: one suite over sqlite and PostgreSQL.

mod imports;

use std::time::Duration;

use domain::campaign::Category;
use domain::{Address, Phone, TenantId, Timestamp, UserId};
use rand::SeedableRng;
use rand::rngs::StdRng;
use records::consents::{Saying, Wish};
use records::people::PersonId;
use records::{Records, RecordsError, Tries, Tx, audit, consents, outbox, people, pool, tenants};

/// 28 November 2026, 05:00 IST.
const NOW: Timestamp = Timestamp::from_secs(1_795_822_200);

/// One transaction, made anew when another writer was faster.
///
/// # Errors
/// Those of `change` and of the database.
pub async fn transact<T>(
    records: &Records,
    change: impl AsyncFn(&mut Tx) -> records::Result<T>,
) -> records::Result<T> {
    let mut tries = Tries::default();
    loop {
        let once = async {
            let mut tx = records.begin("test").await?;
            let answer = change(&mut tx).await?;
            tx.commit("test").await?;
            Ok(answer)
        };
        match once.await {
            Err(error) if tries.again(&error) => {}
            done => return done,
        }
    }
}

fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

fn tenant(name: &str) -> TenantId {
    TenantId::try_new(name).expect("a plain word")
}

pub fn phone(n: u32) -> Address {
    Address::Phone(Phone::try_new(format!("+9198765{n:05}")).expect("E.164"))
}

/// Runs the whole suite over an empty database.
///
/// # Panics
/// When anything differs from what it must be.
pub async fn conforms(records: &Records) {
    a_person_is_one_under_every_key(records).await;
    a_saying_is_kept_once_and_the_last_one_holds(records).await;
    lists_go_on_where_they_stopped(records).await;
    the_audit_shows_what_was_changed_or_taken_away(records).await;
    writers_at_once_leave_no_gap(records).await;
    what_failed_half_way_left_nothing(records).await;
    letters_wait_until_they_are_told(records).await;
    many_rows_are_more_than_one_statement(records).await;
    imports::conform(records).await;
}

async fn persons(records: &Records, of: &TenantId, all: &[&Address], seed: u64) -> Vec<PersonId> {
    let change = async |tx: &mut Tx| people::ensure(tx, of, all, NOW, &mut rng(seed)).await;
    transact(records, change).await.unwrap()
}

async fn a_person_is_one_under_every_key(records: &Records) {
    let ours = tenant("keys");
    let user = UserId::try_new("IN.13491208655302741918").unwrap();
    let (by_phone, by_id) = (phone(1), Address::UserId(user.clone()));
    let Address::Phone(number) = by_phone.clone() else { unreachable!() };
    let both = Address::Both(number, user);
    let first = persons(records, &ours, &[&by_phone, &phone(2)], 1).await;
    assert_ne!(first[0], first[1]);
    assert_eq!(persons(records, &ours, &[&both], 2).await, [first[0].clone()], "by the phone");
    assert_eq!(persons(records, &ours, &[&by_id], 3).await, [first[0].clone()], "and so by the id");
    assert_ne!(persons(records, &tenant("keys-2"), &[&by_phone], 4).await, [first[0].clone()]);
    assert_eq!(people::of(records, &ours, &by_id).await.unwrap(), Some(first[0].clone()));
    assert_eq!(people::of(records, &ours, &phone(3)).await.unwrap(), None);
    let erase = async |tx: &mut Tx| people::erase(tx, &ours, &first[0]).await;
    assert_eq!(transact(records, erase).await.unwrap(), 2);
    assert_eq!(people::of(records, &ours, &by_phone).await.unwrap(), None);
    let again = persons(records, &ours, &[&by_phone], 5).await;
    assert_ne!(again, [first[0].clone()], "nothing leads back to who was erased");
}

fn saying(person: &PersonId, wish: Wish, secs: u64, proof: &str) -> Saying {
    Saying {
        person: person.clone(),
        category: Category::Utility,
        wish,
        said_at: NOW + Duration::from_secs(secs),
        source: "form".into(),
        proof: proof.into(),
        actor: "asha".into(),
    }
}

async fn add(records: &Records, of: &TenantId, all: &[Saying], seed: u64) -> u64 {
    let change = async |tx: &mut Tx| {
        tenants::ensure(tx, of, NOW).await?;
        consents::add(tx, of, all, NOW, &mut rng(seed)).await
    };
    transact(records, change).await.unwrap()
}

async fn a_saying_is_kept_once_and_the_last_one_holds(records: &Records) {
    let ours = tenant("sayings");
    let person = persons(records, &ours, &[&phone(1)], 1).await.remove(0);
    let holds = async || {
        let latest = consents::latest(records, &ours, &person, Category::Utility).await.unwrap();
        latest.map(|consent| consent.saying.wish)
    };
    assert_eq!(holds().await, None, "nobody has agreed by saying nothing");
    let given = saying(&person, Wish::Given, 10, "form 1");
    assert_eq!(add(records, &ours, &[given.clone(), given.clone()], 2).await, 1);
    assert_eq!(add(records, &ours, std::slice::from_ref(&given), 3).await, 0, "told again");
    assert_eq!(holds().await, Some(Wish::Given));
    // Told late: it was said before.
    add(records, &ours, &[saying(&person, Wish::Withdrawn, 5, "call 1")], 4).await;
    assert_eq!(holds().await, Some(Wish::Given));
    add(records, &ours, &[saying(&person, Wish::Withdrawn, 10, "call 2")], 5).await;
    assert_eq!(holds().await, Some(Wish::Withdrawn), "of one instant the no counts");
    let marketing = consents::latest(records, &ours, &person, Category::Marketing).await.unwrap();
    assert_eq!(marketing, None, "one category says nothing of the other");
    let history = consents::history(records, &ours, &person).await.unwrap();
    assert_eq!(history.len(), 3);
    assert_eq!(history[0].saying.proof, "call 1", "in the order in which it was said");
    assert!(history.iter().any(|consent| consent.saying == given), "as it was given");
    let elsewhere = consents::history(records, &tenant("sayings-2"), &person).await.unwrap();
    assert!(elsewhere.is_empty());
}

async fn lists_go_on_where_they_stopped(records: &Records) {
    let ours = tenant("lists");
    let person = persons(records, &ours, &[&phone(1)], 1).await.remove(0);
    let all: Vec<Saying> =
        (0..25).map(|n| saying(&person, Wish::Given, n, &format!("form {n}"))).collect();
    add(records, &ours, &all, 2).await;
    let (mut after, mut seen) = (None, Vec::new());
    loop {
        let page = consents::list(records, &ours, after.as_ref(), 10).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.id.clone());
        seen.extend(page.into_iter().map(|consent| consent.saying.proof));
    }
    seen.sort();
    let mut wanted: Vec<String> = all.into_iter().map(|saying| saying.proof).collect();
    wanted.sort();
    assert_eq!(seen, wanted);
}

async fn act(records: &Records, of: &TenantId, what: &str) {
    let done = audit::Done {
        actor: "asha",
        act: "consents record",
        object: what,
        detail: serde_json::json!({"proof": "फॉर्म"}),
    };
    let change = async |tx: &mut Tx| audit::add(tx, of, &done, NOW).await;
    transact(records, change).await.unwrap();
}

async fn the_audit_shows_what_was_changed_or_taken_away(records: &Records) {
    let ours = tenant("audit");
    for n in 1..=4 {
        act(records, &ours, &format!("person {n}")).await;
        act(records, &tenant("audit-2"), "somebody else").await;
    }
    assert_eq!(audit::verify(records, &ours).await.unwrap(), Ok(4));
    let spoil = async |sql: &'static str| {
        let change = async |tx: &mut Tx| tx.execute("spoil", sql, vec![]).await;
        assert_eq!(transact(records, change).await.unwrap(), 1, "{sql}");
    };
    spoil("UPDATE audit SET actor = 'ravi' WHERE tenant = 'audit' AND seq = 3").await;
    assert_eq!(audit::verify(records, &ours).await.unwrap(), Err(3));
    spoil("UPDATE audit SET actor = 'asha' WHERE tenant = 'audit' AND seq = 3").await;
    assert_eq!(audit::verify(records, &ours).await.unwrap(), Ok(4));
    spoil("DELETE FROM audit WHERE tenant = 'audit' AND seq = 2").await;
    assert_eq!(audit::verify(records, &ours).await.unwrap(), Err(2));
    assert_eq!(audit::verify(records, &tenant("audit-2")).await.unwrap(), Ok(4));
}

async fn writers_at_once_leave_no_gap(records: &Records) {
    let ours = tenant("at-once");
    let one = async |n: u32| {
        act(records, &ours, &format!("person {n}")).await;
        persons(records, &ours, &[&phone(n % 5), &phone(4 - n % 5)], u64::from(n)).await
    };
    let all = futures::future::join_all((0..40).map(one)).await;
    assert_eq!(audit::verify(records, &ours).await.unwrap(), Ok(40));
    for (n, ids) in (0u32..).zip(&all) {
        for (address, id) in [phone(n % 5), phone(4 - n % 5)].iter().zip(ids) {
            let known = people::of(records, &ours, address).await.unwrap();
            assert_eq!(known.as_ref(), Some(id), "everybody was told the id that is kept");
        }
    }
}

async fn what_failed_half_way_left_nothing(records: &Records) {
    let ours = tenant("half-way");
    let change = async |tx: &mut Tx| {
        people::ensure(tx, &ours, &[&phone(1)], NOW, &mut rng(1)).await?;
        Err::<(), _>(RecordsError::Corrupt { what: "a test", why: "it fails here".to_owned() })
    };
    assert!(transact(records, change).await.is_err());
    assert_eq!(people::of(records, &ours, &phone(1)).await.unwrap(), None);
    assert_eq!(persons(records, &ours, &[&phone(1)], 2).await.len(), 1, "and nothing is held");
}

async fn letters_wait_until_they_are_told(records: &Records) {
    let ours = tenant("letters");
    assert_eq!(outbox::backlog(records).await.unwrap(), (0, None));
    let put = async |payloads: &[&str], seed: u64| {
        let payloads: Vec<String> = payloads.iter().map(|text| (*text).to_owned()).collect();
        let change = async |tx: &mut Tx| {
            let later = NOW + Duration::from_secs(seed);
            outbox::put(tx, &ours, "consent", payloads.clone(), later, &mut rng(seed)).await
        };
        transact(records, change).await.unwrap();
    };
    put(&["a", "b", "c"], 1).await;
    put(&["d"], 2).await;
    assert_eq!(outbox::backlog(records).await.unwrap(), (4, Some(NOW + Duration::from_secs(1))));
    let first = outbox::waiting(records, &ours, "consent", 3).await.unwrap();
    let mut told: Vec<&str> = first.iter().map(|letter| letter.payload.as_str()).collect();
    told.sort_unstable();
    assert_eq!(told, ["a", "b", "c"], "what was put in earlier comes first");
    outbox::told(records, &first).await.unwrap();
    outbox::told(records, &first).await.unwrap();
    let rest = outbox::waiting(records, &ours, "consent", 3).await.unwrap();
    assert_eq!(rest.len(), 1);
    assert_eq!((rest[0].tenant.as_str(), rest[0].kind.as_str()), ("letters", "consent"));
    outbox::told(records, &rest).await.unwrap();
}

async fn many_rows_are_more_than_one_statement(records: &Records) {
    let ours = tenant("many");
    let addresses: Vec<Address> = (0..9_000).map(phone).collect();
    assert!(addresses.len() * 4 > pool::PARAMETERS_MAX);
    let all: Vec<&Address> = addresses.iter().collect();
    let ids = persons(records, &ours, &all, 1).await;
    let distinct: std::collections::BTreeSet<&PersonId> = ids.iter().collect();
    assert_eq!(distinct.len(), addresses.len());
    assert_eq!(persons(records, &ours, &all, 2).await, ids);
}
