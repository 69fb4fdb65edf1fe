//! What imports and blobs must do.

use std::time::Duration;

use domain::TenantId;
use records::imports::{Draft, Import, Keyed, Rows};
use records::{Records, RecordsError, Tx, blobs, imports};

use super::{NOW, rng, tenant, transact};

pub async fn conform(records: &Records) {
    a_version_shows_its_own_rows(records).await;
    an_import_is_taken_back_and_that_too(records).await;
    of_two_imports_at_once_one_is_told(records).await;
    what_makes_no_sense_changes_nothing(records).await;
    blobs_come_back_whole_or_not_at_all(records).await;
}

fn row(key: &str, body: &str) -> Keyed {
    (key.to_owned(), body.to_owned())
}

/// One import: what is added, changed and removed.
struct Step<'a> {
    add: &'a [(&'a str, &'a str)],
    change: &'a [(&'a str, &'a str)],
    remove: &'a [&'a str],
}

async fn step(records: &Records, of: &TenantId, base: i64, step: &Step<'_>) -> Import {
    let keyed = |rows: &[(&str, &str)]| rows.iter().map(|(k, b)| row(k, b)).collect::<Vec<_>>();
    let change = async |tx: &mut Tx| {
        let mut draft = Draft::begin(tx, of, "people", base).await?;
        draft.remove(step.remove.iter().map(|key| (*key).to_owned()).collect()).await?;
        draft.change(keyed(step.change)).await?;
        draft.add(keyed(step.add)).await?;
        draft.finish("asha", "import", NOW, &mut rng(base.unsigned_abs())).await
    };
    transact(records, change).await.unwrap()
}

async fn undo(records: &Records, of: &TenantId, base: i64) -> Import {
    let change = async |tx: &mut Tx| {
        let mut draft = Draft::begin(tx, of, "people", base).await?;
        draft.undo().await?;
        draft.finish("asha", "undo", NOW, &mut rng(100 + base.unsigned_abs())).await
    };
    transact(records, change).await.unwrap()
}

/// All rows of a version, read in pages of two.
async fn rows(records: &Records, of: &TenantId, version: i64) -> Vec<Keyed> {
    let mut all: Vec<Keyed> = Vec::new();
    loop {
        let after = all.last().map(|(key, _)| key.clone());
        let page =
            imports::page(records, of, "people", version, after.as_deref(), 2).await.unwrap();
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

const FIRST: Step<'static> =
    Step { add: &[("a", "1"), ("b", "1"), ("c", "1")], change: &[], remove: &[] };
const SECOND: Step<'static> =
    Step { add: &[("d", "1"), ("e", "1")], change: &[("b", "2")], remove: &["c"] };

async fn a_version_shows_its_own_rows(records: &Records) {
    let (ours, theirs) = (tenant("imports"), tenant("imports-2"));
    assert_eq!(imports::head(records, &ours, "people").await.unwrap(), None);
    let first = step(records, &ours, 0, &FIRST).await;
    assert_eq!((first.version, first.rows.total), (1, 3));
    let second = step(records, &ours, 1, &SECOND).await;
    assert_eq!(second.rows, Rows { total: 4, added: 2, changed: 1, removed: 1 });
    assert_eq!(imports::head(records, &ours, "people").await.unwrap(), Some(second.clone()));
    let history = imports::history(records, &ours, "people", 9).await.unwrap();
    assert_eq!(history, [second, first]);
    let want = [row("a", "1"), row("b", "2"), row("d", "1"), row("e", "1")];
    assert_eq!(rows(records, &ours, 2).await, want);
    let before = [row("a", "1"), row("b", "1"), row("c", "1")];
    assert_eq!(rows(records, &ours, 1).await, before, "the one before is still there");
    let same = step(records, &ours, 2, &Step { add: &[], change: &[], remove: &[] }).await;
    assert_eq!(same.rows, Rows { total: 4, ..Rows::default() });
    assert_eq!(rows(records, &ours, 3).await, want);
    assert_eq!(rows(records, &ours, 1).await, [row("a", "1")], "and older ones are let go of");
    // Another tenant's set of that name is another one.
    assert!(rows(records, &theirs, 1).await.is_empty());
    step(records, &theirs, 0, &FIRST).await;
    assert_eq!(rows(records, &ours, 3).await, want);
    assert_eq!(imports::sets(records, &ours, "peo").await.unwrap(), ["people"]);
    assert!(imports::sets(records, &ours, "content/").await.unwrap().is_empty());
    let forget = async |tx: &mut Tx| imports::forget(tx, &ours, "people").await;
    assert!(transact(records, forget).await.unwrap() >= 4);
    assert!(imports::sets(records, &ours, "").await.unwrap().is_empty());
    assert_eq!(rows(records, &theirs, 1).await.len(), 3);
}

async fn an_import_is_taken_back_and_that_too(records: &Records) {
    let ours = tenant("imports-undo");
    step(records, &ours, 0, &FIRST).await;
    step(records, &ours, 1, &SECOND).await;
    let (first, second) = (rows(records, &ours, 1).await, rows(records, &ours, 2).await);
    let back = undo(records, &ours, 2).await;
    assert_eq!(back.rows, Rows { total: 3, added: 1, changed: 1, removed: 2 });
    assert_eq!(rows(records, &ours, 3).await, first);
    let again = undo(records, &ours, 3).await;
    assert_eq!(again.rows, Rows { total: 4, added: 2, changed: 1, removed: 1 });
    assert_eq!(rows(records, &ours, 4).await, second);
}

async fn of_two_imports_at_once_one_is_told(records: &Records) {
    let ours = tenant("imports-twice");
    step(records, &ours, 0, &FIRST).await;
    let late = async |tx: &mut Tx| Draft::begin(tx, &ours, "people", 0).await.map(drop);
    let told = transact(records, late).await;
    assert!(matches!(told, Err(RecordsError::Overtaken)), "{told:?}");
    // Both begin from one version, in two transactions, with the same keys: one is made, the other is
    // told that somebody was faster, and not that its rows are at fault.
    let import = async |base: i64, seed: u64| {
        let change = async |tx: &mut Tx| {
            let mut draft = Draft::begin(tx, &ours, "people", base).await?;
            draft.change(vec![row("a", &format!("{base}-{seed}"))]).await?;
            draft.add(vec![row(&format!("new-{base}"), "1")]).await?;
            draft.finish("asha", "import", NOW, &mut rng(seed)).await
        };
        transact(records, change).await
    };
    for base in 1..=20 {
        let (one, other) = tokio::join!(import(base, 1), import(base, 2));
        let made = [&one, &other].into_iter().filter(|done| done.is_ok()).count();
        assert_eq!(made, 1, "{one:?} {other:?}");
        let told = [one, other].into_iter().find_map(Result::err);
        assert!(matches!(told, Some(RecordsError::Overtaken)), "{told:?}");
        assert_eq!(rows(records, &ours, base + 1).await.len() as i64, 3 + base);
    }
}

async fn what_makes_no_sense_changes_nothing(records: &Records) {
    let ours = tenant("imports-bad");
    step(records, &ours, 0, &FIRST).await;
    let twice = async |tx: &mut Tx| {
        let mut draft = Draft::begin(tx, &ours, "people", 1).await?;
        draft.add(vec![row("x", "1"), row("x", "2")]).await
    };
    let nobody = async |tx: &mut Tx| {
        let mut draft = Draft::begin(tx, &ours, "people", 1).await?;
        draft.remove(vec!["a".into(), "z".into()]).await
    };
    assert!(matches!(transact(records, twice).await, Err(RecordsError::Corrupt { .. })));
    assert!(matches!(transact(records, nobody).await, Err(RecordsError::Corrupt { .. })));
    assert_eq!(rows(records, &ours, 1).await.len(), 3);
    assert_eq!(rows(records, &ours, 2).await.len(), 3);
}

async fn blobs_come_back_whole_or_not_at_all(records: &Records) {
    let ours = tenant("blobs");
    let bytes: Vec<u8> = (0..2_500_000_u32).map(|n| (n % 251) as u8).collect();
    let put = async |name: &str, bytes: &[u8]| {
        blobs::put(records, &ours, "snapshot", name, bytes, NOW).await.unwrap()
    };
    let get = async |of: &TenantId, name: &str| blobs::get(records, of, "snapshot", name).await;
    assert!(put("one", &bytes).await);
    assert!(!put("one", b"another").await, "what is there stays");
    assert!(put("nothing", b"").await);
    assert_eq!(get(&ours, "one").await.unwrap(), Some(bytes));
    assert_eq!(get(&ours, "nothing").await.unwrap(), Some(vec![]));
    assert_eq!(get(&ours, "two").await.unwrap(), None);
    assert_eq!(get(&tenant("blobs-2"), "one").await.unwrap(), None);
    let cut = async |tx: &mut Tx| {
        let sql = "DELETE FROM blobs WHERE tenant = 'blobs' AND name = 'one' AND part = 1";
        tx.execute("cut", sql, vec![]).await
    };
    transact(records, cut).await.unwrap();
    assert!(matches!(get(&ours, "one").await, Err(RecordsError::Corrupt { .. })));
    let forget = async |tx: &mut Tx| {
        blobs::forget_before(tx, &ours, "snapshot", NOW + Duration::from_secs(1)).await
    };
    transact(records, forget).await.unwrap();
    assert_eq!(get(&ours, "nothing").await.unwrap(), None);
}
