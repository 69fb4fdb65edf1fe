//! Goal: a body that was accepted is read back exactly once per position, whatever
//! happened to the file's tail.

use super::*;

fn at(n: i64) -> Timestamp {
    Timestamp::from_secs(n)
}

async fn fill(dir: &Path, bodies: &[&'static str]) {
    let inbox = Inbox::open(dir).unwrap();
    for (n, body) in bodies.iter().enumerate() {
        inbox.append(at(n as i64), Bytes::from_static(body.as_bytes())).await.unwrap();
    }
}

const EVERYTHING: Position = Position { segment: u64::MAX, offset: 0 };

fn read_all(reader: &mut Reader) -> Vec<String> {
    let mut bodies = Vec::new();
    loop {
        let (records, _) = reader.next_batch(EVERYTHING).unwrap();
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
    let mut reader = Reader::open(dir.path()).unwrap();
    assert_eq!(read_all(&mut reader), ["a", "b"]);
    let mut again = Reader::open(dir.path()).unwrap();
    assert_eq!(read_all(&mut again), ["a", "b"], "a crash before the note repeats");
    again.applied(again.position()).unwrap();
    fill(dir.path(), &["c"]).await;
    assert_eq!(read_all(&mut Reader::open(dir.path()).unwrap()), ["c"]);
}

#[tokio::test]
async fn every_torn_tail_is_cut_off_and_the_rest_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), &["first", "second"]).await;
    let path = segment_path(dir.path(), 1);
    let whole = std::fs::read(&path).unwrap();
    let first = Record::decode(&whole).unwrap().1;
    for cut in first + 1..whole.len() {
        std::fs::write(&path, &whole[..cut]).unwrap();
        fill(dir.path(), &["third"]).await;
        let bodies = read_all(&mut Reader::open(dir.path()).unwrap());
        assert_eq!(bodies, ["first", "third"], "cut at {cut}");
    }
}

#[tokio::test]
async fn damage_in_a_closed_segment_costs_only_what_was_damaged() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), &["first", "second"]).await;
    let path = segment_path(dir.path(), 1);
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let mut next = Vec::new();
    Record { received_at: at(9), body: Bytes::from_static(b"third") }.encode(&mut next);
    std::fs::write(segment_path(dir.path(), 2), next).unwrap();
    assert_eq!(read_all(&mut Reader::open(dir.path()).unwrap()), ["first", "third"]);
}

#[test]
fn no_bytes_can_panic_the_decoder() {
    let mut bytes = Vec::new();
    Record { received_at: at(1), body: Bytes::from_static(b"body") }.encode(&mut bytes);
    for cut in 0..bytes.len() {
        assert!(Record::decode(&bytes[..cut]).is_err());
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[cut] ^= 1 << bit;
            assert!(Record::decode(&flipped).is_err(), "byte {cut}, bit {bit}");
        }
    }
}

#[test]
fn two_processes_never_write_one_inbox() {
    let dir = tempfile::tempdir().unwrap();
    let first = Inbox::open(dir.path()).unwrap();
    assert!(matches!(Inbox::open(dir.path()), Err(InboxError::Locked { .. })));
    drop(first);
    assert!(Inbox::open(dir.path()).is_ok());
}

#[tokio::test]
async fn what_is_not_surely_on_the_disk_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), &["first", "second"]).await;
    let first = Record::decode(&std::fs::read(segment_path(dir.path(), 1)).unwrap()).unwrap().1;
    let mut reader = Reader::open(dir.path()).unwrap();
    let synced = Position { segment: 1, offset: first as u64 };
    let (records, position) = reader.next_batch(synced).unwrap();
    assert_eq!((records.len(), position), (1, synced));
    assert!(reader.next_batch(synced).unwrap().0.is_empty());
}
