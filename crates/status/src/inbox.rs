//! Raw webhook bodies on the local disk, before anyone is told that we have them.
//!
//! A segment is a run of records: length, CRC32C, time of receipt, body. A writer thread
//! appends all that wait and syncs once for the group. The reader keeps its place in a
//! file of its own, written after what it read was applied, so a crash repeats news (which
//! changes nothing) and never loses any. A torn last record is cut off at the start.

mod reader;
mod record;

pub use reader::{Position, Reader};
pub use record::{Record, RecordError};

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use bytes::Bytes;
use domain::Timestamp;
use tokio::sync::{Notify, oneshot};

/// A segment is closed above this size.
const SEGMENT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Bodies that may wait for the disk; beyond it Meta is told to come again.
const WAITING_MAX: usize = 4_096;

#[derive(Debug, thiserror::Error)]
pub enum InboxError {
    #[error("{doing} the webhook inbox {path}")]
    Io {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the webhook inbox {path} belongs to another subah that is running")]
    Locked { path: PathBuf },
    #[error("the webhook inbox is busy: {WAITING_MAX} bodies wait for the disk")]
    Busy,
    #[error("the webhook inbox has stopped")]
    Stopped,
}

/// Appends bodies; clone freely.
#[derive(Clone)]
pub struct Inbox {
    dir: PathBuf,
    /// Held while any clone lives: two writers would overwrite each other.
    _lock: Arc<File>,
    waiting: SyncSender<Waiting>,
    written: Arc<Notify>,
    /// End of what is on the disk for sure; nothing behind it is read.
    synced: Arc<Mutex<Position>>,
    _thread: Arc<Thread>,
}

struct Waiting {
    record: Record,
    done: oneshot::Sender<Result<(), InboxError>>,
}

/// Joined when the last clone goes, so that what was accepted is on the disk.
struct Thread(Option<JoinHandle<()>>);

impl Drop for Thread {
    fn drop(&mut self) {
        // The channel closes with the last sender, which is dropped just before us.
        drop(self.0.take());
    }
}

impl Inbox {
    /// Opens or makes the folder, locks it and cuts a torn tail off the newest segment.
    ///
    /// # Errors
    /// [`InboxError::Locked`] when another process has it; otherwise when the folder cannot
    /// be made, or the newest segment cannot be read or written.
    pub fn open(dir: &Path) -> Result<Self, InboxError> {
        let io = |source| InboxError::Io { doing: "open", path: dir.to_owned(), source };
        std::fs::create_dir_all(dir).map_err(io)?;
        let lock = File::create(dir.join("lock")).map_err(io)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(InboxError::Locked { path: dir.to_owned() });
            }
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        let number = segments(dir).map_err(io)?.last().copied().unwrap_or(1);
        let segment = Segment::open(dir, number).map_err(io)?;
        let synced = Arc::new(Mutex::new(segment.position()));
        let publish = Arc::clone(&synced);
        let (waiting, queue) = sync_channel(WAITING_MAX);
        let written = Arc::new(Notify::new());
        let notify = Arc::clone(&written);
        let thread = std::thread::Builder::new()
            .name("inbox-writer".to_owned())
            .spawn(move || serve(segment, &queue, &publish, &notify))
            .map_err(io)?;
        let thread = Arc::new(Thread(Some(thread)));
        Ok(Inbox {
            dir: dir.to_owned(),
            _lock: Arc::new(lock),
            waiting,
            written,
            synced,
            _thread: thread,
        })
    }

    /// Appends one body; returns when it is on the disk.
    ///
    /// # Errors
    /// [`InboxError::Busy`] when too many wait; otherwise what the disk said. In both cases
    /// the body is not ours and Meta must send it again.
    pub async fn append(&self, received_at: Timestamp, body: Bytes) -> Result<(), InboxError> {
        let (done, answer) = oneshot::channel();
        let record = Record { received_at, body };
        self.waiting.try_send(Waiting { record, done }).map_err(|_| InboxError::Busy)?;
        answer.await.unwrap_or(Err(InboxError::Stopped))
    }

    /// Woken after each group of bodies that reached the disk.
    pub fn written(&self) -> &Arc<Notify> {
        &self.written
    }

    /// The end of what is on the disk for sure.
    pub fn synced(&self) -> Position {
        *self.synced.lock().expect("no panic while held")
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

struct Segment {
    dir: PathBuf,
    number: u64,
    file: File,
    bytes: u64,
}

impl Segment {
    /// Opens a segment for appending after its last whole record.
    fn open(dir: &Path, number: u64) -> std::io::Result<Self> {
        let path = segment_path(dir, number);
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
        let whole = record::whole_bytes(&mut file)?;
        if file.metadata()?.len() > whole {
            tracing::warn!(
                segment = number,
                "webhook inbox: a torn record was cut off segment {number}; Meta sends it again"
            );
            file.set_len(whole)?;
        }
        file.seek(SeekFrom::End(0))?;
        File::open(dir)?.sync_all()?; // the file's name is durable too
        Ok(Segment { dir: dir.to_owned(), number, file, bytes: whole })
    }

    /// Its end; every byte before it is on the disk.
    fn position(&self) -> Position {
        Position { segment: self.number, offset: self.bytes }
    }

    fn append(&mut self, group: &[Waiting]) -> std::io::Result<()> {
        if self.bytes > SEGMENT_BYTES_MAX {
            *self = Segment::open(&self.dir, self.number + 1)?;
        }
        let mut bytes = Vec::new();
        for waiting in group {
            waiting.record.encode(&mut bytes);
        }
        let written = self.file.write_all(&bytes).and_then(|()| self.file.sync_data());
        if written.is_err() {
            // Leave no half record behind that later ones would hide behind.
            self.file.set_len(self.bytes)?;
            self.file.seek(SeekFrom::Start(self.bytes))?;
            return written;
        }
        self.bytes += bytes.len() as u64;
        Ok(())
    }
}

fn serve(
    mut segment: Segment,
    queue: &Receiver<Waiting>,
    synced: &Mutex<Position>,
    notify: &Notify,
) {
    while let Ok(first) = queue.recv() {
        let group: Vec<Waiting> = std::iter::once(first).chain(queue.try_iter()).collect();
        let done = segment.append(&group);
        *synced.lock().expect("no panic while held") = segment.position();
        for waiting in group {
            let answer = match &done {
                Ok(()) => Ok(()),
                Err(error) => Err(InboxError::Io {
                    doing: "write",
                    path: segment.dir.clone(),
                    source: std::io::Error::new(error.kind(), error.to_string()),
                }),
            };
            let _ = waiting.done.send(answer); // the request may have gone
        }
        notify.notify_one();
    }
}

/// Numbers of the segments in a folder, oldest first.
fn segments(dir: &Path) -> std::io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        let number = name.strip_prefix("inbox-").and_then(|n| n.strip_suffix(".log"));
        numbers.extend(number.and_then(|n| n.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn segment_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("inbox-{number:08}.log"))
}

#[cfg(test)]
mod tests;
