//! The journal on the local disk: a [`segment_log`], one segment at least per process
//! start.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use domain::retention;
use segment_log::{LogError, Options, Position, Reader, Writer, whole};

use super::{Entries, Entry, Journal, Read, Sync, Which};

const NAME: &str = "journal";
/// Segment and byte before which everything is in the ledger.
const MERGED_FILE: &str = "merged";
/// Far above a day of a million deliveries; a bound all the same.
const BYTES_MAX: u64 = 64 * 1024 * 1024 * 1024;
/// Names the machine's start; `SUBAH_BOOT_ID` does where /proc/sys is hidden.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

pub struct FileJournal {
    dir: PathBuf,
    writer: Writer,
    /// The first segment of this process.
    first: u64,
    machine_boot: String,
}

impl FileJournal {
    /// Opens or makes the folder and locks it: one process sends from one folder. `machine_boot`
    /// names the machine's start; [`FileJournal::machine_boot`] knows it.
    ///
    /// # Errors
    /// [`LogError::Locked`] when another process has it; otherwise what the disk said.
    pub fn open(dir: &Path, machine_boot: &str) -> Result<Self, LogError> {
        let options = Options { name: NAME, go_on: false, bytes_max: BYTES_MAX };
        let writer = Writer::open(dir, &options)?;
        let first = writer.synced().segment;
        let journal = FileJournal {
            dir: dir.to_owned(),
            writer,
            first,
            machine_boot: machine_boot.to_owned(),
        };
        let merged = journal.merged_before();
        Reader::new(dir, NAME, merged).forget_before(merged, retention::NEWS)?;
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
    pub fn entries(dir: &Path) -> impl Entries + use<> {
        FileEntries { own_from: 0, ..FileEntries::new(dir, Position::default()) }
    }

    /// The machine's start, from `SUBAH_BOOT_ID` or the kernel. Where neither tells, a name that
    /// never comes again: every crash is then taken for a power cut, which is safe.
    pub fn machine_boot_or(otherwise: &str) -> String {
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

/// Reads from a place on.
struct FileEntries {
    reader: Reader,
    /// Segments from here on are the reader's own …
    own_from: u64,
    /// … and are left out.
    without_own: bool,
    /// The latest segment with an entry of another version, maybe the note that a request was
    /// written.
    unread: Option<u64>,
}

impl FileEntries {
    fn new(dir: &Path, from: Position) -> Self {
        let reader = Reader::new(dir, NAME, from);
        FileEntries { reader, own_from: u64::MAX, without_own: false, unread: None }
    }
}

impl Entries for FileEntries {
    fn next_batch(&mut self) -> Result<Vec<Read>, LogError> {
        loop {
            let payloads = self.reader.next_batch(Position::END)?;
            let segment = self.reader.position.segment;
            let own = segment >= self.own_from;
            if payloads.is_empty() || (own && self.without_own) {
                return Ok(Vec::new());
            }
            let entries: Vec<Entry> = payloads.iter().filter_map(|text| decode(text)).collect();
            if entries.len() < payloads.len() {
                self.unread = Some(segment);
            }
            if !entries.is_empty() {
                let read = |entry| Read { entry, segment, own };
                return Ok(entries.into_iter().map(read).collect());
            }
        }
    }

    fn damaged(&self) -> Option<u64> {
        self.reader.damaged.max(self.unread)
    }
}

#[async_trait]
impl Journal for FileJournal {
    async fn append(&self, entry: &Entry, sync: Sync) -> Result<(), LogError> {
        let payload = serde_json::to_vec(entry).expect("entries are plain data");
        self.writer.append(&payload, sync).await
    }

    fn read(&self, which: Which) -> Box<dyn Entries> {
        let (from, without_own) = match which {
            Which::All => (Position::default(), false),
            Which::Since(place) => (place, true),
        };
        let entries = FileEntries::new(&self.dir, from);
        Box::new(FileEntries { own_from: self.first, without_own, ..entries })
    }

    fn end(&self) -> Position {
        self.writer.end()
    }

    fn merged_before(&self) -> Position {
        let text = std::fs::read_to_string(self.dir.join(MERGED_FILE)).unwrap_or_default();
        let mut numbers = text.split_whitespace().map(|number| number.parse().unwrap_or(0));
        let mut next = || numbers.next().unwrap_or(0); // earlier versions noted the segment alone
        Position { segment: next(), offset: next() }
    }

    fn merged(&self, place: Position) -> Result<(), LogError> {
        let path = self.dir.join(MERGED_FILE);
        let Position { segment, offset } = place;
        whole::put_bytes(&path, segment_log::Sync::No, format!("{segment} {offset}\n").as_bytes())
            .map_err(|source| LogError::Io { doing: "note in", name: NAME, path, source })?;
        Reader::new(&self.dir, NAME, place).forget_before(place, retention::NEWS)
    }

    fn holds(&self, place: Position) -> bool {
        Reader::new(&self.dir, NAME, place).holds_position()
    }

    fn note(&self) -> Option<PathBuf> {
        Some(self.dir.join("store.json"))
    }

    fn machine_boot(&self) -> &str {
        &self.machine_boot
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
            machine_boot: "b".to_owned(),
            sent_as: None,
        }
    }

    #[tokio::test]
    async fn a_process_reads_what_those_before_it_left_until_it_is_merged() {
        let dir = tempfile::tempdir().unwrap();
        let first = FileJournal::open(dir.path(), "b").unwrap();
        first.append(&intent(1), Sync::Yes).await.unwrap();
        let all = |entries: Box<dyn Entries>| {
            let mut entries = entries;
            std::iter::from_fn(|| Some(entries.next_batch().unwrap()).filter(|b| !b.is_empty()))
                .flatten()
                .collect::<Vec<_>>()
        };
        let since =
            |journal: &FileJournal| all(journal.read(Which::Since(journal.merged_before())));
        assert!(since(&first).is_empty(), "its own are under way");
        assert!(matches!(FileJournal::open(dir.path(), "b"), Err(LogError::Locked { .. })));
        drop(first);
        let second = FileJournal::open(dir.path(), "b").unwrap();
        second.append(&intent(2), Sync::No).await.unwrap();
        let left = Read { entry: intent(1), segment: 1, own: false };
        assert_eq!(since(&second), std::slice::from_ref(&left));
        let before = second.end();
        second.append(&intent(3), Sync::No).await.unwrap();
        second.merged(before).unwrap();
        assert!(since(&second).is_empty());
        let own = |nonce| Read { entry: intent(nonce), segment: 2, own: true };
        assert_eq!(all(second.read(Which::All)), [left, own(2), own(3)]);
        let run = "daily-pack@2026-11-21".parse().unwrap();
        assert!(FileJournal::has_sent(dir.path(), &run).unwrap());
        let other = "daily-pack@2026-11-22".parse().unwrap();
        assert!(!FileJournal::has_sent(dir.path(), &other).unwrap());
        drop(second);
        let third = FileJournal::open(dir.path(), "b").unwrap();
        let left = Read { entry: intent(3), segment: 2, own: false };
        assert_eq!(since(&third), [left], "what was settled before the place is not read again");
        std::fs::write(dir.path().join(MERGED_FILE), "2\n").unwrap();
        assert_eq!(since(&third).len(), 2, "a note of the version before this one");
    }

    /// A write's note may lie behind the damage: what has no outcome may have gone.
    #[tokio::test]
    async fn a_damaged_segment_speaks_of_nothing_after_the_damage() {
        use crate::journal::Facts;
        use domain::Http;
        use domain::facts::{Doubt, NotSent};

        let dir = tempfile::tempdir().unwrap();
        let first = FileJournal::open(dir.path(), "b").unwrap();
        let segment = first.first;
        for entry in [intent(1), intent(2), Entry::Write { nonce: 2.into() }, intent(3)] {
            first.append(&entry, Sync::Yes).await.unwrap();
        }
        drop(first);
        let outcomes = || async {
            let second = FileJournal::open(dir.path(), "b").unwrap();
            let read = second.read(Which::Since(Position::default()));
            let mut facts = Facts::new(read, "b").all(|_| true).unwrap();
            facts.sort_by_key(|fact| fact.news.nonce);
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
