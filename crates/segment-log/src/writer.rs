//! The side that appends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use tokio::sync::{Notify, oneshot};

use crate::frame::{encode, whole_bytes};
use crate::{LogError, Position, identity, segment_path, segments};

/// A segment is closed above this size.
const SEGMENT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Records that may wait for the disk; beyond it the caller is told to come again.
const WAITING_MAX: usize = 4_096;

/// Whether an answer must wait for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    Yes,
    /// Written, so that it survives the process, but maybe not the machine.
    No,
}

#[derive(Clone, Debug)]
pub struct Options {
    /// Names the files (`<name>-00000001.log`) and stands in errors.
    pub name: &'static str,
    /// The newest segment is gone on with; else each opening begins a new one.
    pub go_on: bool,
    /// Bytes that all segments together may take; beyond it nothing is accepted.
    pub bytes_max: u64,
}

/// Appends records; clone freely.
#[derive(Clone)]
pub struct Writer {
    shared: Arc<Shared>,
    waiting: SyncSender<Waiting>,
    /// Before `_thread`, so that the channel is closed when the thread is joined.
    _thread: Arc<Thread>,
}

struct Shared {
    dir: PathBuf,
    name: &'static str,
    identity: String,
    bytes_max: u64,
    /// Held while any clone lives: two writers would overwrite each other.
    _lock: File,
    written: Arc<Notify>,
    /// End of what is on the disk for sure; nothing behind it is read.
    synced: Mutex<Position>,
    /// Bytes of all segments; corrected when old ones are removed.
    bytes: AtomicU64,
}

struct Waiting {
    payload: Vec<u8>,
    sync: Sync,
    done: oneshot::Sender<Result<(), LogError>>,
}

/// Joined when the last clone goes, so that what was accepted is written and the lock free.
struct Thread(Option<JoinHandle<()>>);

impl Drop for Thread {
    fn drop(&mut self) {
        if let Some(thread) = self.0.take() {
            let _ = thread.join();
        }
    }
}

impl Writer {
    /// Opens or makes the folder, locks it and cuts a torn tail off the newest segment.
    ///
    /// # Errors
    /// [`LogError::Locked`] when another process has it; otherwise when the folder cannot
    /// be made, or the newest segment cannot be read or written.
    pub fn open(dir: &Path, options: &Options) -> Result<Self, LogError> {
        let name = options.name;
        let io = |source| LogError::Io { doing: "open", name, path: dir.to_owned(), source };
        std::fs::create_dir_all(dir).map_err(io)?;
        let lock = File::create(dir.join("lock")).map_err(io)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LogError::Locked { name, path: dir.to_owned() });
            }
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        let last = segments(dir, name).map_err(io)?.last().copied();
        let number = last.map_or(1, |last| if options.go_on { last } else { last + 1 });
        let segment = Segment::open(dir, name, number).map_err(io)?;
        let shared = Arc::new(Shared {
            dir: dir.to_owned(),
            name,
            identity: identity::of(dir).map_err(io)?,
            bytes_max: options.bytes_max,
            _lock: lock,
            written: Arc::new(Notify::new()),
            synced: Mutex::new(segment.position()),
            bytes: AtomicU64::new(size(dir, name).map_err(io)?),
        });
        let (waiting, queue) = sync_channel(WAITING_MAX);
        let served = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name(format!("{name}-writer"))
            .spawn(move || serve(segment, &queue, &served))
            .map_err(io)?;
        Ok(Writer { shared, waiting, _thread: Arc::new(Thread(Some(thread))) })
    }

    /// Appends one record; returns when it is written, and with [`Sync::Yes`] on the disk.
    ///
    /// # Errors
    /// When too many wait, the log is full, or the disk refuses. The record is not kept.
    pub async fn append(&self, payload: Vec<u8>, sync: Sync) -> Result<(), LogError> {
        let name = self.shared.name;
        if self.shared.bytes.load(Ordering::Relaxed) >= self.shared.bytes_max {
            self.recount(); // old segments may be gone by now
            if self.shared.bytes.load(Ordering::Relaxed) >= self.shared.bytes_max {
                return Err(LogError::Full { name, bytes_max: self.shared.bytes_max });
            }
        }
        let (done, answer) = oneshot::channel();
        match self.waiting.try_send(Waiting { payload, sync, done }) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                return Err(LogError::Busy { name, waiting: WAITING_MAX });
            }
            Err(TrySendError::Disconnected(_)) => return Err(LogError::Stopped { name }),
        }
        answer.await.unwrap_or(Err(LogError::Stopped { name }))
    }

    fn recount(&self) {
        if let Ok(bytes) = size(&self.shared.dir, self.shared.name) {
            self.shared.bytes.store(bytes, Ordering::Relaxed);
        }
    }

    /// Woken after each group of records that was written.
    pub fn written(&self) -> &Arc<Notify> {
        &self.shared.written
    }

    /// The end of what is on the disk for sure.
    pub fn synced(&self) -> Position {
        *self.shared.synced.lock().expect("no panic while held")
    }

    pub fn dir(&self) -> &Path {
        &self.shared.dir
    }

    /// Names the folder for as long as it exists: a host that comes back with an empty disk
    /// has another.
    pub fn identity(&self) -> &str {
        &self.shared.identity
    }
}

fn size(dir: &Path, name: &str) -> std::io::Result<u64> {
    let mut bytes = 0;
    for number in segments(dir, name)? {
        bytes += std::fs::metadata(segment_path(dir, name, number)).map_or(0, |m| m.len());
    }
    Ok(bytes)
}

struct Segment {
    dir: PathBuf,
    name: &'static str,
    number: u64,
    file: File,
    bytes: u64,
    /// How much of it is on the disk for sure.
    synced: u64,
    /// It may end in half a record; a reader would not find what is written behind that.
    torn: bool,
}

impl Segment {
    /// Opens a segment for appending after its last whole record.
    fn open(dir: &Path, name: &'static str, number: u64) -> std::io::Result<Self> {
        let path = segment_path(dir, name, number);
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
        let mut held = Vec::new();
        file.read_to_end(&mut held)?;
        let whole = whole_bytes(&held) as u64;
        if held.len() as u64 > whole {
            tracing::warn!(
                segment = number,
                "{name}: a torn record was cut off segment {number}; it was never answered for"
            );
            file.set_len(whole)?;
        }
        file.seek(SeekFrom::Start(whole))?;
        file.sync_data()?; // what a crash left in memory is read from now on
        File::open(dir)?.sync_all()?; // the file's name is durable too
        Ok(Segment {
            dir: dir.to_owned(),
            name,
            number,
            file,
            bytes: whole,
            synced: whole,
            torn: false,
        })
    }

    fn position(&self) -> Position {
        Position { segment: self.number, offset: self.synced }
    }

    fn append(&mut self, group: &[Waiting]) -> std::io::Result<()> {
        if self.bytes > SEGMENT_BYTES_MAX || self.torn {
            self.file.sync_data()?;
            *self = Segment::open(&self.dir, self.name, self.number + 1)?;
        }
        let mut bytes = Vec::new();
        for waiting in group {
            encode(&waiting.payload, &mut bytes);
        }
        let must_sync = group.iter().any(|waiting| waiting.sync == Sync::Yes);
        let written = self.file.write_all(&bytes).and_then(|()| match must_sync {
            true => self.file.sync_data(),
            false => Ok(()),
        });
        if written.is_err() {
            // Leave no half record behind that later ones would hide behind.
            let cut = self.file.set_len(self.bytes);
            self.torn = cut.and_then(|()| self.file.seek(SeekFrom::Start(self.bytes))).is_err();
            return written;
        }
        self.bytes += bytes.len() as u64;
        if must_sync {
            self.synced = self.bytes;
        }
        Ok(())
    }
}

fn serve(mut segment: Segment, queue: &Receiver<Waiting>, shared: &Shared) {
    while let Ok(first) = queue.recv() {
        let group: Vec<Waiting> = std::iter::once(first).chain(queue.try_iter()).collect();
        let before = segment.bytes;
        let done = segment.append(&group);
        shared.bytes.fetch_add(segment.bytes.saturating_sub(before), Ordering::Relaxed);
        *shared.synced.lock().expect("no panic while held") = segment.position();
        for waiting in group {
            let answer = match &done {
                Ok(()) => Ok(()),
                Err(error) => Err(LogError::Io {
                    doing: "write",
                    name: shared.name,
                    path: segment.dir.clone(),
                    source: std::io::Error::new(error.kind(), error.to_string()),
                }),
            };
            let _ = waiting.done.send(answer); // the caller may have gone
        }
        shared.written.notify_one();
    }
}
