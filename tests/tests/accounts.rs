//! Goal: a key or session lets in whom it was made for, with no more than their role, until it is over,
//! revoked, or its operator is disabled; a request is answered once, whoever asks at the same time.
//! Method: the same over sqlite and a real PostgreSQL; tasks that race; then the command line.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use accounts::idempotency::{self, Seen};
use accounts::keys::{self, Wanted};
use accounts::{AccountsError, Role, Secret, operators, sessions};
use domain::{TenantId, Timestamp};
use rand::SeedableRng;
use rand::rngs::StdRng;
use records::{Place, Records, Tries, Tx};
use tests::install::{Install, Times};
use tests::postgres::Postgres;

const NOW: Timestamp = Timestamp::from_secs(1_795_822_200);
const HOUR: Duration = Duration::from_secs(3_600);

/// Another one each time: two secrets never meet.
fn rng() -> StdRng {
    static SEED: AtomicU64 = AtomicU64::new(1);
    StdRng::seed_from_u64(SEED.fetch_add(1, Ordering::Relaxed))
}

fn tenant(name: &str) -> TenantId {
    TenantId::try_new(name).unwrap()
}

/// One transaction.
async fn done<T>(
    records: &Records,
    act: impl AsyncFn(&mut Tx) -> accounts::Result<T>,
) -> accounts::Result<T> {
    let mut tx = records.begin("a test").await?;
    let answer = act(&mut tx).await?;
    tx.commit("a test").await?;
    Ok(answer)
}

async fn add(records: &Records, of: &TenantId, name: &str, role: Role) {
    done(records, async |tx: &mut Tx| operators::add(tx, of, name, role, NOW).await).await.unwrap();
}

async fn key(records: &Records, of: &TenantId, wanted: Wanted) -> accounts::Result<Secret> {
    let made =
        done(records, async |tx: &mut Tx| keys::create(tx, of, &wanted, NOW, &mut rng()).await);
    made.await.map(|(_, secret)| secret)
}

fn wanted(operator: &str, role: Option<Role>) -> Wanted {
    Wanted { operator: operator.to_owned(), label: "pager".to_owned(), role, expires_at: None }
}

fn is_shut_out<T>(answer: accounts::Result<T>) -> bool {
    matches!(answer, Err(AccountsError::NotLetIn))
}

async fn keys_let_in_whom_they_were_made_for(records: &Records) {
    let (asha, binod) = (tenant("asha"), tenant("binod"));
    add(records, &asha, "duty", Role::Operator).await;
    add(records, &asha, "chief", Role::Admin).await;
    add(records, &binod, "duty", Role::Admin).await;
    let twice = done(records, async |tx: &mut Tx| {
        operators::add(tx, &asha, "duty", Role::Admin, NOW).await
    });
    assert!(matches!(twice.await, Err(AccountsError::ThereAlready { .. })));
    let secret = key(records, &asha, wanted("duty", None)).await.unwrap();
    let other = key(records, &binod, wanted("duty", Some(Role::Viewer))).await.unwrap();
    let found = keys::let_in(records, secret.reveal(), NOW).await.unwrap();
    assert_eq!((found.tenant.as_str(), found.role), ("asha", Role::Operator));
    let found = keys::let_in(records, other.reveal(), NOW).await.unwrap();
    assert_eq!((found.tenant.as_str(), found.role), ("binod", Role::Viewer));
    let more = key(records, &asha, wanted("duty", Some(Role::Admin))).await;
    assert!(matches!(more, Err(AccountsError::MoreThanRole { .. })));
    // What is not quite the secret.
    let text = secret.reveal().to_owned();
    let near = [
        String::new(),
        text[..text.len() - 1].to_owned(),
        text.to_uppercase(),
        format!("{text} "),
        text.replace("sbk_", "sbs_"),
        "sbk_' OR '1'='1".to_owned(),
    ];
    for text in near {
        assert!(is_shut_out(keys::let_in(records, &text, NOW).await), "{text:?}");
    }
    assert!(is_shut_out(sessions::let_in(records, &text, NOW).await));
    what_changes_counts_from_the_next_request_on(records, &asha, &text).await;
    assert!(keys::let_in(records, other.reveal(), NOW).await.is_ok(), "another tenant's namesake");
    what_is_revoked_or_over_lets_nobody_in(records, [&asha, &binod], &text).await;
    nobody_can_lock_everybody_out(records, &asha).await;
    // No secret is in what is kept.
    for kept in keys::list(records, &asha).await.unwrap() {
        assert!(!format!("{kept:?}").contains(&text[4..20]));
    }
    assert_eq!(format!("{secret:?}"), "Secret(…)");
}

async fn what_changes_counts_from_the_next_request_on(
    records: &Records,
    asha: &TenantId,
    text: &str,
) {
    done(records, async |tx: &mut Tx| operators::set_role(tx, asha, "duty", Role::Viewer).await)
        .await
        .unwrap();
    assert_eq!(keys::let_in(records, text, NOW).await.unwrap().role, Role::Viewer);
    done(records, async |tx: &mut Tx| operators::disable(tx, asha, "duty", NOW).await)
        .await
        .unwrap();
    assert!(is_shut_out(keys::let_in(records, text, NOW).await));
    assert!(matches!(
        key(records, asha, wanted("duty", None)).await,
        Err(AccountsError::Disabled { .. })
    ));
    done(records, async |tx: &mut Tx| operators::enable(tx, asha, "duty").await).await.unwrap();
    assert!(keys::let_in(records, text, NOW).await.is_ok());
}

async fn what_is_revoked_or_over_lets_nobody_in(
    records: &Records,
    [asha, binod]: [&TenantId; 2],
    text: &str,
) {
    // Revoked by another tenant's hand it goes on, by its own it is over.
    let id = keys::list(records, asha).await.unwrap()[0].id.clone();
    let foreign = done(records, async |tx: &mut Tx| keys::revoke(tx, binod, &id, NOW).await).await;
    assert!(matches!(foreign, Err(AccountsError::NoKey { .. })));
    assert!(keys::let_in(records, text, NOW).await.is_ok());
    done(records, async |tx: &mut Tx| keys::revoke(tx, asha, &id, NOW).await).await.unwrap();
    assert!(is_shut_out(keys::let_in(records, text, NOW).await));
    // One that ends.
    let short = Wanted { expires_at: Some(NOW + HOUR), ..wanted("chief", None) };
    let short = key(records, asha, short).await.unwrap();
    assert!(keys::let_in(records, short.reveal(), NOW + HOUR / 2).await.is_ok());
    assert!(is_shut_out(keys::let_in(records, short.reveal(), NOW + HOUR).await));
}

async fn nobody_can_lock_everybody_out(records: &Records, asha: &TenantId) {
    for change in [Role::Viewer, Role::Operator] {
        let last =
            done(records, async |tx: &mut Tx| operators::set_role(tx, asha, "chief", change).await);
        assert!(matches!(last.await, Err(AccountsError::LastAdmin { .. })));
    }
    let last = done(records, async |tx: &mut Tx| operators::disable(tx, asha, "chief", NOW).await);
    assert!(matches!(last.await, Err(AccountsError::LastAdmin { .. })));
}

async fn sessions_end_by_themselves(records: &Records) {
    let of = tenant("chandra");
    add(records, &of, "night", Role::Operator).await;
    let begin = async || {
        done(records, async |tx: &mut Tx| {
            let mut rng = rng();
            sessions::begin(tx, &of, "night", NOW, &mut rng).await
        })
        .await
        .unwrap()
    };
    let (busy, idle, out) = (begin().await, begin().await, begin().await);
    let let_in = async |secret: &Secret, at| sessions::let_in(records, secret.reveal(), at).await;
    let mut at = NOW;
    while at < NOW + sessions::AGE_MAX {
        assert!(let_in(&busy, at).await.is_ok(), "{at}");
        at = at + sessions::IDLE_MAX / 2;
    }
    assert!(is_shut_out(let_in(&busy, at).await), "however busy");
    assert!(let_in(&idle, NOW + sessions::IDLE_MAX / 2).await.is_ok());
    assert!(is_shut_out(let_in(&idle, NOW + sessions::IDLE_MAX * 2).await));
    done(records, async |tx: &mut Tx| sessions::end(tx, out.reveal()).await).await.unwrap();
    assert!(is_shut_out(let_in(&out, NOW).await));
    let gone =
        done(records, async |tx: &mut Tx| sessions::tidy(tx, NOW + sessions::AGE_MAX * 2).await);
    assert_eq!(gone.await.unwrap(), 2);
}

async fn a_request_is_answered_once(records: &Records) {
    let (asha, binod) = (tenant("asha"), tenant("binod"));
    let begin = async |of: &TenantId, key: &str, print: &str, at: Timestamp| {
        let mut tries = Tries::default();
        loop {
            let once =
                done(records, async |tx: &mut Tx| idempotency::begin(tx, of, key, print, at).await);
            match once.await {
                Err(AccountsError::Records(error)) if tries.again(&error) => {}
                answer => return answer.unwrap(),
            }
        }
    };
    // Eight at once: one does it.
    let mut all = Vec::new();
    for seen in futures::future::join_all((0..8).map(|_| begin(&asha, "k1", "a", NOW))).await {
        all.push(seen);
    }
    assert_eq!(all.iter().filter(|seen| **seen == Seen::New).count(), 1, "{all:?}");
    assert_eq!(all.iter().filter(|seen| **seen == Seen::Running).count(), 7, "{all:?}");
    assert_eq!(begin(&binod, "k1", "a", NOW).await, Seen::New, "another tenant's key of that name");
    done(records, async |tx: &mut Tx| idempotency::finish(tx, &asha, "k1", "{\"id\":7}").await)
        .await
        .unwrap();
    assert_eq!(begin(&asha, "k1", "a", NOW + HOUR).await, Seen::Done("{\"id\":7}".to_owned()));
    assert_eq!(begin(&asha, "k1", "b", NOW + HOUR).await, Seen::Other);
    assert_eq!(begin(&asha, "k1", "b", NOW + idempotency::KEPT_FOR).await, Seen::New, "long ago");
    // Given back, and cut off.
    assert_eq!(begin(&asha, "k2", "a", NOW).await, Seen::New);
    done(records, async |tx: &mut Tx| idempotency::give_back(tx, &asha, "k2").await).await.unwrap();
    assert_eq!(begin(&asha, "k2", "a", NOW).await, Seen::New);
    assert_eq!(begin(&asha, "k2", "a", NOW + HOUR).await, Seen::New, "its process died");
    assert!(idempotency::tidy(records, NOW + idempotency::KEPT_FOR * 2).await.unwrap() >= 3);
}

async fn all(place: &Place) {
    let records = Records::open(place).await.unwrap();
    keys_let_in_whom_they_were_made_for(&records).await;
    sessions_end_by_themselves(&records).await;
    a_request_is_answered_once(&records).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_sqlite_nobody_is_let_in_who_should_not_be() {
    let dir = tempfile::tempdir().unwrap();
    all(&Place::Sqlite(dir.path().join("records.db"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_postgresql_nobody_is_let_in_who_should_not_be() {
    all(&Postgres::start().place()).await;
}

#[test]
fn operators_and_keys_by_hand_are_audited_and_a_secret_is_shown_once() {
    let times = Times { opens_in: Duration::from_secs(900), length: Duration::from_secs(60) };
    let install = Install::new(2, times);
    install.ok(&["operators", "add", "asha", "--role", "admin", "--reason", "first"]);
    let secret = install.ok(&["keys", "create", "asha", "--label", "pager", "--days", "90"]);
    let secret = secret.trim();
    assert!(secret.starts_with("sbk_") && secret.len() == 68, "{secret}");
    let listed = install.ok(&["keys", "list", "--format", "json"]);
    assert!(listed.contains("pager") && !listed.contains(&secret[4..]), "{listed}");
    let id = serde_json::from_str::<serde_json::Value>(&listed).unwrap()[0]["key"].clone();
    install.ok(&["keys", "revoke", id.as_str().unwrap(), "--reason", "lost the phone"]);
    let refused: [(&[&str], i32, &str); 6] = [
        (&["operators", "add", "Asha Rao", "--role", "admin", "--reason", "x"], 2, "small letters"),
        (&["operators", "add", "asha", "--role", "admin", "--reason", "x"], 1, "is there already"),
        (&["operators", "disable", "asha", "--reason", "x"], 1, "the last admin"),
        (&["operators", "role", "asha", "--role", "root", "--reason", "x"], 2, "viewer, content"),
        (&["operators", "disable", "nobody", "--reason", "x"], 1, "no operator nobody"),
        (&["keys", "create", "asha", "--label", " "], 2, "--label"),
    ];
    for (args, code, why) in refused {
        let output = install.output(args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(
            (output.status.code(), said.contains(why)),
            (Some(code), true),
            "{args:?}: {said}"
        );
    }
    let audit = install.ok(&["audit", "list", "--format", "csv"]);
    for act in ["operators add", "keys create", "keys revoke"] {
        assert!(audit.contains(act), "{act} is not in {audit}");
    }
    assert!(!audit.contains(&secret[4..]), "a secret in the audit");
    assert!(install.ok(&["audit", "verify"]).contains("entries"));
    let files = std::fs::read(install.path("state/records.db")).unwrap();
    let kept = files.windows(32).any(|bytes| bytes == &secret.as_bytes()[4..36]);
    assert!(!kept, "a secret in the file");
}

#[test]
fn acts_reach_the_chain_once_whatever_happens_to_their_file_and_a_missing_end_is_noticed() {
    let times = Times { opens_in: Duration::from_secs(900), length: Duration::from_secs(60) };
    let install = Install::new(2, times);
    let notes = install.path("state/audit.ndjson");
    let pause = |why: &str| install.ok(&["numbers", "pause", "1001", "--reason", why]);
    let chain = || install.ok(&["audit", "list", "--limit", "1000", "--format", "csv"]);
    let times_in = |what: &str| chain().matches(what).count();
    pause("one, asked by +91 98765-00001");
    let long = install.output(&["numbers", "pause", "1001", "--reason", &"x".repeat(600)]);
    assert_eq!(long.status.code(), Some(2));
    let unseen = install.output(&["numbers", "pause", "1001", "--reason", "\u{200b}"]);
    assert_eq!(unseen.status.code(), Some(2));
    assert_eq!(times_in("1001: one, asked by"), 1);
    assert!(!chain().contains("00001"), "a phone number in the chain");
    // Rotated: the new file is longer than the old one before anybody looks.
    std::fs::rename(&notes, install.path("state/audit.1")).unwrap();
    (0..6).for_each(|n| drop(pause(&format!("new {n}."))));
    for n in 0..6 {
        assert_eq!(times_in(&format!("new {n}.")), 1, "{}", chain());
    }
    // A half line, and one that is longer than any note.
    let append = |text: &str| {
        let mut file = std::fs::File::options().append(true).open(&notes).unwrap();
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    };
    append("{\"at\":\"2026\",\"did\":\"ha");
    pause("after half a line.");
    append(&format!("{}\n", "z".repeat(600_000)));
    pause("after a long one.");
    assert_eq!(
        (times_in("after half a line."), times_in("after a long one.")),
        (1, 1),
        "{}",
        chain()
    );
    assert!(install.ok(&["audit", "verify"]).contains("entries"));
    // The end is taken away.
    let records = rusqlite::Connection::open(install.path("state/records.db")).unwrap();
    records.execute("DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit)", ()).unwrap();
    let verify = || {
        let output = install.output(&["audit", "verify"]);
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, said) = verify();
    assert_eq!((code, said.contains("this host has seen it")), (Some(1), true), "{said}");
    records.execute("DELETE FROM audit", ()).unwrap();
    assert_eq!(verify().0, Some(1), "also when nothing is left");
}
