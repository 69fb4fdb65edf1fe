//! The journal on the local disk: a [`segment_log`], one segment at least per process
//! start.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use domain::{DeliveryId, Nonce, RunId};
use segment_log::{LogError, Options, Position, Reader, Writer};

use super::{Entry, Journal, Read, Sync, Which, Writes};

const NAME: &str = "journal";
/// The segment before which everything is in the ledger.
const MERGED_FILE: &str = "merged";
/// As long as Meta repeats its webhooks, and a day more.
const KEPT: Duration = Duration::from_secs(8 * 24 * 3_600);
/// Far above a day of a million deliveries; a bound all the same.
const BYTES_MAX: u64 = 64 * 1024 * 1024 * 1024;
/// Names the machine's start; `SUBAH_BOOT_ID` does where /proc/sys is hidden.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

pub struct FileJournal {
    dir: PathBuf,
    writer: Writer,
    /// The first segment of this process.
    first: u64,
    boot: String,
}

impl FileJournal {
    /// Opens or makes the folder and locks it: one process sends from one folder. `boot`
    /// names the machine's start; [`FileJournal::machine_boot`] knows it.
    ///
    /// # Errors
    /// [`LogError::Locked`] when another process has it; otherwise what the disk said.
    pub fn open(dir: &Path, boot: &str) -> Result<Self, LogError> {
        let options = Options { name: NAME, go_on: false, bytes_max: BYTES_MAX };
        let writer = Writer::open(dir, &options)?;
        let first = writer.synced().segment;
        let journal = FileJournal { dir: dir.to_owned(), writer, first, boot: boot.to_owned() };
        let merged = Position { segment: Journal::merged_before(&journal), offset: 0 };
        Reader::new(dir, NAME, merged).forget_before(merged, KEPT)?;
        Ok(journal)
    }

    /// Whether this folder's journal speaks of a run: it was sent from here.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn has_sent(dir: &Path, run: &domain::RunId) -> Result<bool, LogError> {
        let mut reader = Reader::new(dir, NAME, Position::default());
        loop {
            let payloads = reader.next_batch(Position::END)?;
            if payloads.is_empty() {
                return Ok(false);
            }
            let of_run = |payload: &Vec<u8>| matches!(decode(payload), Some(Entry::Intent { id, .. }) if id.run == *run);
            if payloads.iter().any(of_run) {
                return Ok(true);
            }
        }
    }

    /// Everything that a folder's journal keeps, read from outside while a process may be
    /// writing: what has no outcome yet is taken to be under way.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn entries(dir: &Path) -> Result<Vec<Read>, LogError> {
        let reader = Reader::new(dir, NAME, Position::default());
        read_all(reader, |_| Some(true))
    }

    /// The machine's start, from `SUBAH_BOOT_ID` or the kernel. Where neither tells, a name that
    /// never comes again: every crash is then taken for a power cut, which is safe.
    pub fn machine_boot(otherwise: &str) -> String {
        let given = std::env::var("SUBAH_BOOT_ID").ok().filter(|id| !id.is_empty());
        let kernel = || std::fs::read_to_string(BOOT_ID).ok();
        let boot = given.or_else(kernel).map(|id| id.trim().replace('-', ""));
        boot.unwrap_or_else(|| otherwise.to_owned())
    }
}

/// Reads one record; `None` for what another version wrote.
pub fn decode(payload: &[u8]) -> Option<Entry> {
    serde_json::from_slice(payload).ok()
}

/// Reads until there is nothing more. `own` says whether a segment is the reader's own; `None`:
/// it is not read.
fn read_all(mut reader: Reader, own: impl Fn(u64) -> Option<bool>) -> Result<Vec<Read>, LogError> {
    let (mut entries, mut segments, mut unread) = (Vec::new(), Vec::new(), None);
    loop {
        let payloads = reader.next_batch(Position::END)?;
        let segment = reader.position.segment;
        let Some(own) = own(segment).filter(|_| !payloads.is_empty()) else { break };
        for payload in &payloads {
            match decode(payload) {
                Some(entry) => {
                    entries.push(Read { entry, own, doubtful: false });
                    segments.push(segment);
                }
                // Another version's, maybe the note that a request was written.
                None => unread = Some(segment),
            }
        }
    }
    let damaged = reader.damaged.max(unread);
    for (read, segment) in entries.iter_mut().zip(segments) {
        read.doubtful = Some(segment) <= damaged;
    }
    Ok(entries)
}

#[async_trait]
impl Journal for FileJournal {
    async fn append(&self, entry: &Entry, sync: Sync) -> Result<(), LogError> {
        let payload = serde_json::to_vec(entry).expect("entries are plain data");
        self.writer.append(&payload, sync).await
    }

    async fn read(&self, which: Which) -> Result<Vec<Read>, LogError> {
        let from = match which {
            Which::All => 0,
            Which::Since(segment) => segment,
        };
        let start = Position { segment: from, offset: 0 };
        let reader = Reader::new(&self.dir, NAME, start);
        read_all(reader, |segment| {
            let own = segment >= self.first;
            (which == Which::All || !own).then_some(own)
        })
    }

    async fn written(&self, runs: &[RunId]) -> Result<Vec<(DeliveryId, Nonce)>, LogError> {
        let mut reader = Reader::new(&self.dir, NAME, Position::default());
        let (mut writes, mut found) = (Writes::default(), Vec::new());
        loop {
            let payloads = reader.next_batch(Position::END)?;
            if payloads.is_empty() || reader.position.segment >= self.first {
                return Ok(found);
            }
            let entries = payloads.iter().filter_map(|payload| decode(payload));
            found.extend(entries.filter_map(|entry| writes.fold(&entry, runs)));
        }
    }

    fn merged_before(&self) -> u64 {
        let text = std::fs::read_to_string(self.dir.join(MERGED_FILE)).unwrap_or_default();
        text.trim().parse().unwrap_or(0)
    }

    fn start(&self) -> u64 {
        self.first
    }

    async fn merged(&self) -> Result<(), LogError> {
        let (path, temporary) = (self.dir.join(MERGED_FILE), self.dir.join("merged.tmp"));
        std::fs::write(&temporary, format!("{}\n", self.first))
            .and_then(|()| std::fs::rename(&temporary, &path))
            .map_err(|source| LogError::Io { doing: "note in", name: NAME, path, source })?;
        let first = Position { segment: self.first, offset: 0 };
        Reader::new(&self.dir, NAME, first).forget_before(first, KEPT)
    }

    fn note(&self) -> Option<PathBuf> {
        Some(self.dir.join("store.json"))
    }

    fn boot(&self) -> &str {
        &self.boot
    }

    fn disk(&self) -> &str {
        self.writer.identity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Timestamp;

    fn intent(nonce: u64) -> Entry {
        Entry::Intent {
            id: "daily-pack@2026-11-21#7".parse().unwrap(),
            nonce: nonce.into(),
            at: Timestamp::from_secs(5),
            boot: "b".to_owned(),
        }
    }

    #[tokio::test]
    async fn a_process_reads_what_those_before_it_left_until_it_is_merged() {
        let dir = tempfile::tempdir().unwrap();
        let first = FileJournal::open(dir.path(), "b").unwrap();
        first.append(&intent(1), Sync::Yes).await.unwrap();
        assert!(first.read(Which::Since(0)).await.unwrap().is_empty(), "its own are under way");
        assert!(matches!(FileJournal::open(dir.path(), "b"), Err(LogError::Locked { .. })));
        drop(first);
        let second = FileJournal::open(dir.path(), "b").unwrap();
        second.append(&intent(2), Sync::No).await.unwrap();
        let left = [Read { entry: intent(1), own: false, doubtful: false }];
        assert_eq!(second.read(Which::Since(second.merged_before())).await.unwrap(), left);
        second.merged().await.unwrap();
        assert!(second.read(Which::Since(second.merged_before())).await.unwrap().is_empty());
        let all = second.read(Which::All).await.unwrap();
        assert_eq!(all, [left[0].clone(), Read { entry: intent(2), own: true, doubtful: false }]);
        let run = "daily-pack@2026-11-21".parse().unwrap();
        assert!(FileJournal::has_sent(dir.path(), &run).unwrap());
        let other = "daily-pack@2026-11-22".parse().unwrap();
        assert!(!FileJournal::has_sent(dir.path(), &other).unwrap());
    }

    /// A write's note may lie behind the damage: what has no outcome may have gone.
    #[tokio::test]
    async fn a_damaged_segment_speaks_of_nothing_after_the_damage() {
        use crate::journal::replay;
        use domain::Http;
        use domain::facts::{Doubt, NotSent};

        let dir = tempfile::tempdir().unwrap();
        let first = FileJournal::open(dir.path(), "b").unwrap();
        let segment = first.start();
        for entry in [intent(1), intent(2), Entry::Write { nonce: 2.into() }, intent(3)] {
            first.append(&entry, Sync::Yes).await.unwrap();
        }
        drop(first);
        let outcomes = || async {
            let second = FileJournal::open(dir.path(), "b").unwrap();
            let read = second.read(Which::Since(0)).await.unwrap();
            let facts = replay(&read, "b").facts;
            facts.into_iter().map(|fact| fact.news.http).collect::<Vec<_>>()
        };
        let aborted = Http::NotSent(NotSent::Aborted);
        let doubt = Http::Ambiguous(Doubt::Crash);
        let whole = [aborted.clone(), doubt.clone(), aborted];
        assert_eq!(outcomes().await, whole, "nothing is damaged");

        let segment = format!("{segment:08}");
        let mut files = std::fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().path());
        let path = files.find(|path| path.to_string_lossy().contains(&segment)).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        let note = bytes.windows(5).position(|w| w == b"write").expect("the note of the write");
        bytes[note] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(outcomes().await, [doubt.clone(), doubt]);
    }
}
