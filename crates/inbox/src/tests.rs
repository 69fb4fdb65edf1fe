//! Goal: a body that was accepted is read back exactly once per position, whatever
//! happened to the file's tail.

use domain::Timestamp;
use ledger::WebhookFact;

use std::path::Path;

use tokio_util::sync::CancellationToken;

use super::*;

fn at(n: i64) -> Timestamp {
    Timestamp::from_secs(n)
}

async fn fill(dir: &Path, bodies: &[&'static str]) {
    let inbox = Inbox::open(dir, u64::MAX).unwrap();
    for (n, body) in bodies.iter().enumerate() {
        inbox.append(&Record::new(at(n as i64), *body)).await.unwrap();
    }
}

fn first_segment(dir: &Path) -> std::path::PathBuf {
    dir.join("inbox-00000001.log")
}

fn resume(dir: &Path) -> Tail {
    Tail::resume(&Inbox::open(dir, u64::MAX).unwrap(), Consumer::Status)
}

fn read_all(tail: &mut Tail) -> Vec<String> {
    let mut bodies = Vec::new();
    loop {
        let records = tail.next_batch().unwrap();
        if records.is_empty() {
            return bodies;
        }
        bodies.extend(records.iter().map(|r| String::from_utf8_lossy(&r.body).into_owned()));
    }
}

#[tokio::test]
async fn what_was_appended_is_read_once_and_again_until_it_is_noted() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), &["a", "b"]).await;
    assert_eq!(read_all(&mut resume(dir.path())), ["a", "b"]);
    let mut again = resume(dir.path());
    assert_eq!(read_all(&mut again), ["a", "b"], "a crash before the note repeats");
    again.applied().unwrap();
    drop(again);
    fill(dir.path(), &["c"]).await;
    assert_eq!(read_all(&mut resume(dir.path())), ["c"]);
    assert_eq!(read_all(&mut Tail::from_start(dir.path())), ["a", "b", "c"], "replayed");
}

#[tokio::test]
async fn every_torn_tail_is_cut_off_and_the_rest_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), &["first", "second"]).await;
    let path = first_segment(dir.path());
    let whole = std::fs::read(&path).unwrap();
    let first = segment_log::decode(&whole).unwrap().1;
    for cut in first + 1..whole.len() {
        std::fs::write(&path, &whole[..cut]).unwrap();
        fill(dir.path(), &["third"]).await;
        let bodies = read_all(&mut resume(dir.path()));
        assert_eq!(bodies, ["first", "third"], "cut at {cut}");
    }
}

#[tokio::test]
async fn damage_in_a_closed_segment_costs_only_what_was_damaged() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), &["first", "second"]).await;
    let path = first_segment(dir.path());
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let mut next = Vec::new();
    let third = Record::new(at(9), "third");
    segment_log::encode(&third.encode(), &mut next);
    std::fs::write(dir.path().join("inbox-00000002.log"), next).unwrap();
    assert_eq!(read_all(&mut resume(dir.path())), ["first", "third"]);
}

#[test]
fn two_processes_never_write_one_inbox() {
    let dir = tempfile::tempdir().unwrap();
    let first = Inbox::open(dir.path(), u64::MAX).unwrap();
    assert!(matches!(Inbox::open(dir.path(), u64::MAX), Err(LogError::Locked { .. })));
    drop(first);
    assert!(Inbox::open(dir.path(), u64::MAX).is_ok());
}

#[tokio::test]
async fn a_full_inbox_refuses_and_keeps_what_it_has() {
    let dir = tempfile::tempdir().unwrap();
    let inbox = Inbox::open(dir.path(), 40).unwrap();
    let body = |n| Record::new(at(n), "a body of some length, more than the quota");
    inbox.append(&body(1)).await.unwrap();
    let refused = inbox.append(&body(2)).await;
    assert!(matches!(refused, Err(LogError::Full { .. })), "{refused:?}");
    assert_eq!(read_all(&mut Tail::resume(&inbox, Consumer::Status)).len(), 1);
}

#[test]
fn parked_facts_survive_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let mut tail = resume(dir.path());
    assert!(tail.parked().is_empty());
    let id = "daily-pack@2026-11-21#7".parse().unwrap();
    let fact = WebhookFact::new(id, domain::Attempt::new(7.into()));
    let parked = vec![Parked { until: at(5), fact }];
    tail.park(&parked);
    drop(tail);
    assert_eq!(resume(dir.path()).parked(), parked);
}

/// One that is behind finds what it has not read, whatever the others are done with.
#[tokio::test]
async fn each_consumer_goes_on_from_its_own_place() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), &["a"]).await;
    let mut status = resume(dir.path());
    assert_eq!(read_all(&mut status), ["a"]);
    status.applied().unwrap();
    drop(status);
    fill(dir.path(), &["b"]).await;
    let inbox = Inbox::open(dir.path(), u64::MAX).unwrap();
    // New since then: an earlier version did its work up to the place of the other.
    let mut people = Tail::resume(&inbox, Consumer::People);
    let mut status = Tail::resume(&inbox, Consumer::Status);
    inbox.append(&Record::new(at(2), "c")).await.unwrap();
    assert_eq!(read_all(&mut status), ["b", "c"]);
    status.applied().unwrap();
    assert_eq!(read_all(&mut Tail::resume(&inbox, Consumer::Status)), Vec::<String>::new());
    assert_eq!(read_all(&mut Tail::resume(&inbox, Consumer::People)), ["b", "c"]);
    assert_eq!(read_all(&mut people), ["b", "c"], "nobody moves its place");
    people.applied().unwrap();
    assert_eq!(read_all(&mut Tail::resume(&inbox, Consumer::People)), Vec::<String>::new());
    let names = [status.name().unwrap(), people.name().unwrap()];
    assert_ne!(names[0], names[1], "the ledger knows each by a name of its own");
}

/// Both wait for one inbox: each is told of every group, also of one that came before it waited.
#[tokio::test]
async fn every_consumer_is_woken() {
    let dir = tempfile::tempdir().unwrap();
    let inbox = Inbox::open(dir.path(), u64::MAX).unwrap();
    let waiting = [inbox.written(), inbox.written()];
    inbox.append(&Record::new(at(1), "a")).await.unwrap();
    let stop = CancellationToken::new();
    for written in &waiting {
        written.notified().await; // each has been told
    }
    stop.cancel();
    assert!(rest(Round::Applied, &waiting[0], &stop).await, "what is left is read first");
    assert!(!rest(Round::Empty, &waiting[0], &stop).await);
    assert!(!rest(Round::Halted, &waiting[0], &stop).await);
}

/// As the versions before endpoints wrote them.
fn version_1(received_at: Timestamp, body: &str) -> Vec<u8> {
    let mut payload = received_at.micros().to_le_bytes().to_vec();
    payload.extend(body.as_bytes());
    payload
}

#[test]
fn records_of_both_versions_are_read_and_later_ones_are_named() {
    let record = Record {
        endpoint: "partner".to_owned(),
        tenant: domain::TenantId::try_new("north").unwrap(),
        ..Record::new(at(7), "{}")
    };
    assert_eq!(Record::decode(&record.encode()), Ok(record.clone()));
    assert_eq!(Record::decode(&version_1(at(7), "{}")), Ok(Record::new(at(7), "{}")));
    let mut later = record.encode();
    later[..8].copy_from_slice(&(-3i64).to_le_bytes());
    assert_eq!(Record::decode(&later), Err(BadRecord::Version(3)));
    for cut in 0..record.encode().len() - 2 {
        assert!(Record::decode(&record.encode()[..cut]).is_err(), "cut at {cut}");
    }
}

/// An inbox that an earlier version wrote goes on; one of a later version is not skipped.
#[tokio::test]
async fn an_inbox_of_another_version_is_read_or_waits() {
    let dir = tempfile::tempdir().unwrap();
    let path = first_segment(dir.path());
    let mut bytes = Vec::new();
    segment_log::encode(&version_1(at(1), "old"), &mut bytes);
    std::fs::create_dir_all(dir.path()).unwrap();
    std::fs::write(&path, &bytes).unwrap();
    fill(dir.path(), &["new"]).await;
    assert_eq!(read_all(&mut resume(dir.path())), ["old", "new"]);

    let mut later = Record::new(at(2), "later").encode();
    later[..8].copy_from_slice(&(-9i64).to_le_bytes());
    segment_log::encode(&later, &mut bytes);
    std::fs::write(&path, &bytes).unwrap();
    let mut tail = resume(dir.path());
    let refused = tail.next_batch();
    let said = refused.err().map(|error| with_causes(&error)).unwrap_or_default();
    assert!(said.contains("version 9"), "{said}");
    assert_eq!(tail.position(), Position::default(), "and nothing before it is lost");
}

/// An error with its causes.
fn with_causes(error: &dyn std::error::Error) -> String {
    let cause = error.source().map(with_causes).unwrap_or_default();
    format!("{error}: {cause}")
}
