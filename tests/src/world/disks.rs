//! The disks of the hosts: what a crash leaves and what a power cut takes.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use domain::Timestamp;
use inbox::{Consumer, LogError, Parked, Record, Source};
use segment_log::Position;
use sender::journal::{Entries, Entry, Journal, Read, Sync, Which};
use tokio::sync::Notify;

use super::World;
use super::life::Life;

/// A sender's journal as it is on its disk.
#[derive(Default)]
pub struct JournalDisk {
    entries: Vec<(u32, Entry)>,
    synced: usize,
    merged_before: Position,
    starts: u32,
    boots: u32,
    /// Where the host keeps what it has seen of the store.
    note: Option<PathBuf>,
}

impl JournalDisk {
    pub fn noting(note: PathBuf) -> Self {
        JournalDisk { note: Some(note), ..JournalDisk::default() }
    }

    /// What was not synced is gone, and the machine's start has another name.
    pub fn lose_power(&mut self) {
        self.entries.truncate(self.synced);
        self.boots += 1;
    }
}

/// One process's journal.
pub struct SimJournal {
    world: Arc<World>,
    disk: Arc<Mutex<JournalDisk>>,
    life: Arc<Life>,
    start: u32,
    boot: String,
}

impl SimJournal {
    pub fn open(world: &Arc<World>, disk: &Arc<Mutex<JournalDisk>>, life: &Arc<Life>) -> Self {
        let mut held = disk.lock().expect("one thread");
        held.starts += 1;
        let (start, boot) = (held.starts, format!("boot-{}", held.boots));
        drop(held);
        SimJournal {
            world: Arc::clone(world),
            disk: Arc::clone(disk),
            life: Arc::clone(life),
            start,
            boot,
        }
    }
}

#[async_trait]
impl Journal for SimJournal {
    async fn append(&self, entry: &Entry, sync: Sync) -> Result<(), LogError> {
        self.life.pass().await;
        if self.world.chance(self.world.setup.chaos.rates().disk_refuses) {
            return Err(LogError::Stopped { name: "simulated journal" });
        }
        let mut disk = self.disk.lock().expect("one thread");
        disk.entries.push((self.start, entry.clone()));
        if sync == Sync::Yes {
            disk.synced = disk.entries.len();
        }
        Ok(())
    }

    fn read(&self, which: Which) -> Box<dyn Entries> {
        let disk = self.disk.lock().expect("one thread");
        let (from, own) = match which {
            Which::All => (0, true),
            Which::Since(place) => (index(place), false),
        };
        let entries =
            disk.entries.iter().skip(from).filter(|(start, _)| own || *start < self.start);
        let read = |(start, entry): &(u32, Entry)| Read {
            entry: entry.clone(),
            segment: u64::from(*start),
            own: *start == self.start,
        };
        Box::new(SimEntries(entries.map(read).collect()))
    }

    fn end(&self) -> Position {
        place(self.disk.lock().expect("one thread").entries.len())
    }

    fn merged_before(&self) -> Position {
        self.disk.lock().expect("one thread").merged_before
    }

    fn merged(&self, place: Position) -> Result<(), LogError> {
        self.disk.lock().expect("one thread").merged_before = place;
        Ok(())
    }

    fn note(&self) -> Option<PathBuf> {
        self.disk.lock().expect("one thread").note.clone()
    }

    fn machine_boot(&self) -> &str {
        &self.boot
    }

    fn disk(&self) -> &str {
        "disk"
    }
}

/// A place in the simulated journal: so many entries lie before it.
fn place(entries: usize) -> Position {
    Position { segment: 0, offset: entries as u64 }
}

fn index(place: Position) -> usize {
    usize::try_from(place.offset).expect("few entries")
}

/// Entries, a few at a time.
struct SimEntries(VecDeque<Read>);

impl Entries for SimEntries {
    fn next_batch(&mut self) -> Result<Vec<Read>, LogError> {
        let n = self.0.len().min(BATCH);
        Ok(self.0.drain(..n).collect())
    }

    fn damaged(&self) -> Option<u64> {
        None
    }
}

/// The receiver's inbox. Bodies are synced before they are answered for; the place of the
/// applier is not.
#[derive(Default)]
pub struct InboxDisk {
    records: Vec<Record>,
    /// The place of each consumer, and the one that a power cut goes back to.
    applied: [(usize, usize); Consumer::ALL.len()],
    parked: Vec<Parked>,
    /// One of each consumer.
    written: [Arc<Notify>; Consumer::ALL.len()],
}

impl InboxDisk {
    pub fn append(&mut self, received_at: Timestamp, body: Vec<u8>) {
        self.records.push(Record::new(received_at, body));
        self.written.iter().for_each(|consumer| consumer.notify_one());
    }

    pub fn lose_power(&mut self) {
        for (applied, surely) in &mut self.applied {
            *applied = *surely;
        }
    }

    pub fn is_applied(&self) -> bool {
        let all = self.records.len();
        let waited_for = Consumer::ALL.into_iter().filter(|consumer| consumer.is_waited_for());
        let mut places = waited_for.map(|consumer| self.applied[consumer as usize].0);
        places.all(|place| place == all) && self.parked.is_empty()
    }
}

/// Reads the inbox, from a consumer's place or from the start.
pub struct SimTail {
    disk: Arc<Mutex<InboxDisk>>,
    at: usize,
    /// Whose place is noted.
    consumer: Option<Consumer>,
}

/// Records in one batch: small, so that crashes fall between batches.
const BATCH: usize = 4;

impl SimTail {
    pub fn resume(disk: &Arc<Mutex<InboxDisk>>, consumer: Consumer) -> Self {
        let (at, _) = disk.lock().expect("one thread").applied[consumer as usize];
        SimTail { disk: Arc::clone(disk), at, consumer: Some(consumer) }
    }

    pub fn from_start(disk: &Arc<Mutex<InboxDisk>>) -> Self {
        SimTail { disk: Arc::clone(disk), at: 0, consumer: None }
    }
}

impl Source for SimTail {
    fn next_batch(&mut self) -> Result<Vec<Record>, LogError> {
        let disk = self.disk.lock().expect("one thread");
        let batch: Vec<Record> = disk.records.iter().skip(self.at).take(BATCH).cloned().collect();
        self.at += batch.len();
        Ok(batch)
    }

    fn name(&self) -> Option<String> {
        self.consumer.map(|consumer| format!("inbox/disk/{consumer}"))
    }

    fn position(&self) -> Position {
        Position { segment: 0, offset: self.at as u64 }
    }

    fn rewind(&mut self, position: Position) {
        self.at = usize::try_from(position.offset).expect("few records");
    }

    fn applied(&mut self) -> Result<(), LogError> {
        if let Some(consumer) = self.consumer {
            let mut disk = self.disk.lock().expect("one thread");
            let place = &mut disk.applied[consumer as usize];
            *place = (self.at, place.0);
        }
        Ok(())
    }

    fn poison(&self, _: &Record) {
        unreachable!("the far side sends nothing that cannot be read");
    }

    fn parked(&self) -> Vec<Parked> {
        self.disk.lock().expect("one thread").parked.clone()
    }

    fn park(&mut self, parked: &[Parked]) {
        self.disk.lock().expect("one thread").parked = parked.to_vec();
    }

    fn written(&self) -> Arc<Notify> {
        let consumer = self.consumer.unwrap_or(Consumer::Status);
        Arc::clone(&self.disk.lock().expect("one thread").written[consumer as usize])
    }
}
